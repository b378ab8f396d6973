"""Things to put in front of people, and putting them there."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import BankError
from posepile_torch.transforms import banks, procedural
from posepile_torch.transforms.families import BUILTIN_BANK, Occlusion

Image = NDArray[np.uint8]

KIND = "occluders"
"""What banks of this kind are called in their description."""

EDGE_ALPHA = 191
"""Alpha of the outermost band of a thing: three quarters, so that its outline is not too sharp."""
EDGE_WIDTH_PX = 8
"""Diameter of the erosion that leaves the band, in pixels of the original picture."""

_BUILTIN_COUNT = 32
_REFERENCE_SIDE = 256  # things have their size in the bank on an image of this side


class OccluderBank:
    """Cut-out things with transparency.

    Attributes:
        things: Views of ``[h, w, 4]`` uint8 RGBA, colours multiplied by alpha.
        folder: Where it lies, or None.
        fingerprint: Hash of its pixels.

    Args:
        things: The cut-outs, colours multiplied by alpha; see :func:`cut_out`.
        folder: Where they came from.
        fingerprint: Hash of the pixels.

    Raises:
        BankError: If there is none, or one is not of that kind.
    """

    def __init__(
        self, things: Sequence[Image], *, folder: Path | None = None, fingerprint: str = ""
    ) -> None:
        for thing in things:
            if thing.dtype != np.uint8 or thing.ndim != 3 or thing.shape[2] != 4 or not thing.size:
                raise BankError(
                    f"a thing is a {thing.dtype} array of shape {thing.shape}",
                    where=folder,
                    rule="things are uint8 [h, w, 4], colours multiplied by alpha",
                    fix="make them with cut_out() or with `posepile occluders build`",
                )
        if not things:
            raise BankError("the bank of occluders is empty", where=folder)
        self.things = tuple(things)
        self.folder = folder
        self.fingerprint = fingerprint

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a bank that ``posepile occluders build`` made; its pixels are memory-mapped.

        Raises:
            BankError: If there is none.
        """
        folder = Path(folder)
        description = banks.read_description(folder, KIND)
        flat = banks.open_pixels(folder, description)
        things = banks.pictures(flat, description.shapes)
        return cls(things, folder=folder.resolve(), fingerprint=description.fingerprint)

    @classmethod
    def builtin(cls) -> Self:
        """Return the things that the library paints itself; painted once per process."""
        return cls(_painted(), fingerprint=BUILTIN_BANK)

    def __len__(self) -> int:
        return len(self.things)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return type(self).open, (self.folder,)
        if self.fingerprint == BUILTIN_BANK:
            return type(self).builtin, ()
        return type(self), (self.things,)

    def paste(self, image: Image, numbers: Occlusion, draws: NDArray[np.float64]) -> None:
        """Paste things into an image, in place, each with its centre anywhere in the image.

        Args:
            image: ``[H, W, 3]`` uint8 RGB.
            numbers: Ranges of count and scale.
            draws: Numbers from ``[0, 1)``: one for the count, and four for each of the most
                things there may be (which one, scale, place).
        """
        height, width = image.shape[:2]
        low, high = numbers.object_count
        count = low + int(draws[0] * (high + 1 - low))
        least, most = numbers.object_scale
        for which, size, x, y in draws[1 : 1 + 4 * count].reshape(-1, 4).tolist():
            thing = self.things[int(which * len(self))]
            scale = (least + (most - least) * size) * max(width, height) / _REFERENCE_SIDE
            paste(image, _resized(thing, scale), round(x * width), round(y * height))


def draws_needed(numbers: Occlusion) -> int:
    """Return how many random numbers :meth:`OccluderBank.paste` takes."""
    return 1 + 4 * numbers.object_count[1]


def _resized(thing: Image, scale: float) -> Image:
    size = (max(1, round(thing.shape[1] * scale)), max(1, round(thing.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(thing, size, interpolation=method), np.uint8)


def paste(image: Image, thing: Image, x: int, y: int) -> None:
    """Lay a cut-out over an image, in place, centred at a pixel; what lies outside is cut.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        thing: ``[h, w, 4]`` uint8, colours multiplied by alpha.
        x: Column of the centre.
        y: Row of the centre.
    """
    height, width = image.shape[:2]
    left, top = x - thing.shape[1] // 2, y - thing.shape[0] // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + thing.shape[1], width), min(top + thing.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    front = thing[y0 - top : y1 - top, x0 - left : x1 - left]
    back = image[y0:y1, x0:x1]
    clear = (255 - front[..., 3:]).astype(np.uint16)
    image[y0:y1, x0:x1] = front[..., :3] + ((clear * back + 127) // 255).astype(np.uint8)


def cut_out(
    colour: Image,
    mask: NDArray[np.bool_],
    *,
    shrink: int = 1,
    edge_alpha: int = EDGE_ALPHA,
) -> Image:
    """Make a thing for a bank from a picture and a mask.

    Alpha is 255 inside and ``edge_alpha`` in the band that an elliptical erosion removes. The
    result is cropped to the mask and its colours are multiplied by alpha.

    Args:
        colour: ``[h, w, 3]`` uint8 RGB.
        mask: ``[h, w]``.
        shrink: The result is smaller by this factor.
        edge_alpha: Alpha of the band, 255 for none.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise BankError("a thing without any pixel", rule="the mask of a thing is not empty")
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    solid = np.pad(mask[window].astype(np.uint8), EDGE_WIDTH_PX)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (EDGE_WIDTH_PX, EDGE_WIDTH_PX))
    core = cv2.erode(solid, kernel)
    alpha = np.where(core > 0, 255, edge_alpha) * solid
    alpha = alpha[EDGE_WIDTH_PX:-EDGE_WIDTH_PX, EDGE_WIDTH_PX:-EDGE_WIDTH_PX]
    return premultiplied(np.dstack([colour[window], alpha.astype(np.uint8)]), shrink=shrink)


def premultiplied(rgba: Image, *, shrink: float = 1) -> Image:
    """Multiply the colours of RGBA by alpha, and make it smaller by a factor."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    scaled = np.concatenate([rgba[..., :3] * alpha, rgba[..., 3:].astype(np.float32)], axis=2)
    if shrink != 1:
        size = tuple(max(1, round(side / shrink)) for side in (rgba.shape[1], rgba.shape[0]))
        scaled = cv2.resize(scaled, size, interpolation=cv2.INTER_AREA)
    rounded = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    # Rounding must not leave more colour than alpha, or pasting would overflow.
    rounded[..., :3] = np.minimum(rounded[..., :3], rounded[..., 3:])
    return rounded


@functools.cache
def _painted() -> tuple[Image, ...]:
    pictures = [procedural.thing(i) for i in range(_BUILTIN_COUNT)]
    return tuple(cut_out(p[..., :3], p[..., 3] > 0) for p in pictures)


@functools.lru_cache(maxsize=16)
def open_occluders(bank: str) -> OccluderBank:
    """Return the bank that a recipe names; each is opened once per process.

    Args:
        bank: Folder of a bank, or ``"builtin"``.

    Raises:
        BankError: If there is no bank in that folder.
    """
    return OccluderBank.builtin() if bank == BUILTIN_BANK else OccluderBank.open(bank)


__all__ = [
    "EDGE_ALPHA",
    "EDGE_WIDTH_PX",
    "KIND",
    "OccluderBank",
    "cut_out",
    "draws_needed",
    "open_occluders",
    "paste",
    "premultiplied",
]
