"""Pictures to put behind people, and putting them there."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import BankError
from posepile_torch.transforms import banks, procedural
from posepile_torch.transforms.families import BUILTIN_BANK, Background

Image = NDArray[np.uint8]

KIND = "backgrounds"
"""What banks of this kind are called in their description."""

_BUILTIN_COUNT = 24
_BUILTIN_SIDE = 288


class BackgroundBank:
    """Square pictures without people, decoded and of one size.

    A bank from a folder is memory-mapped and shared by all workers; pickling one passes its
    folder on, not its pixels.

    Attributes:
        images: ``[N, side, side, 3]`` uint8 RGB, read-only.
        folder: Where it lies, or None for the built-in bank.
        fingerprint: Hash of its pixels.

    Args:
        images: ``[N, side, side, 3]`` uint8 RGB.
        folder: Where they came from.
        fingerprint: Hash of the pixels.

    Raises:
        BankError: If the array is not of that kind.
    """

    def __init__(
        self, images: Image, *, folder: Path | None = None, fingerprint: str = ""
    ) -> None:
        shape = images.shape
        if images.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise BankError(
                f"backgrounds are a {images.dtype} array of shape {shape}",
                where=folder,
                rule="backgrounds are uint8 [N, side, side, 3]",
                fix="build the bank with `posepile backgrounds build`",
            )
        if not shape[0]:
            raise BankError("the bank of backgrounds is empty", where=folder)
        self.images = images
        self.folder = folder
        self.fingerprint = fingerprint

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a bank that ``posepile backgrounds build`` made.

        Raises:
            BankError: If there is none.
        """
        folder = Path(folder)
        description = banks.read_description(folder, KIND)
        flat = banks.open_pixels(folder, description)
        if len(set(description.shapes)) != 1:
            raise BankError("the pictures differ in size", where=folder, fix="build it anew")
        images = flat.reshape(len(description), *description.shapes[0])
        return cls(images, folder=folder.resolve(), fingerprint=description.fingerprint)

    @classmethod
    def builtin(cls) -> Self:
        """Return the pictures that the library paints itself; painted once per process."""
        return cls(_painted(), fingerprint=BUILTIN_BANK)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side_px(self) -> int:
        """Side of the pictures."""
        return int(self.images.shape[1])

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return type(self).open, (self.folder,)
        if self.fingerprint == BUILTIN_BANK:
            return type(self).builtin, ()
        return type(self), (self.images,)

    def picture(
        self, numbers: Background, size: tuple[int, int], draws: tuple[float, float, float, float]
    ) -> Image:
        """Cut a picture of ``size`` out of one of the backgrounds.

        Args:
            numbers: Ranges of zoom and shift.
            size: ``(width, height)`` of the picture.
            draws: Four numbers from ``[0, 1)``: which one, zoom, and place in the disc of shifts.

        Returns:
            ``[H, W, 3]`` uint8 RGB, a new array.
        """
        which, zoom, radius, angle = draws
        picture = self.images[int(which * len(self))]
        side = self.side_px
        cover = side / max(size)  # bank pixels per pixel when the picture just covers the image
        scale = cover / (numbers.zoom[0] + (numbers.zoom[1] - numbers.zoom[0]) * zoom)
        reach = numbers.shift * math.sqrt(radius) * max(size) * scale
        width, height = (max(1, round(s * scale)) for s in size)
        left = _placed(side, width, reach * math.cos(2 * math.pi * angle))
        top = _placed(side, height, reach * math.sin(2 * math.pi * angle))
        part = picture[top : top + height, left : left + width]
        # Bilinear sampling skips pixels when it shrinks by more than two.
        method = cv2.INTER_AREA if scale > 2 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)


def _placed(side: int, extent: int, shift: float) -> int:
    return min(max(round((side - extent) / 2 + shift), 0), side - extent)


@functools.cache
def _painted() -> Image:
    images = np.stack([procedural.background(i, _BUILTIN_SIDE) for i in range(_BUILTIN_COUNT)])
    images.flags.writeable = False
    return images


@functools.lru_cache(maxsize=16)
def open_backgrounds(bank: str) -> BackgroundBank:
    """Return the bank that a recipe names; each is opened once per process.

    Args:
        bank: Folder of a bank, or ``"builtin"``.

    Raises:
        BankError: If there is no bank in that folder.
    """
    return BackgroundBank.builtin() if bank == BUILTIN_BANK else BackgroundBank.open(bank)


def composited(front: Image, alpha: NDArray[np.uint8], back: Image) -> Image:
    """Lay an image over a background: ``(alpha * front + (255 - alpha) * back) / 255``.

    Where alpha is 255 the result is exactly ``front``, where it is 0 exactly ``back``.

    Args:
        front: ``[H, W, 3]`` uint8.
        alpha: ``[H, W]`` uint8, the share of each pixel that ``front`` covers, 255 for all.
        back: ``[H, W, 3]`` uint8, contiguous; overwritten with the result.

    Returns:
        ``back``.
    """
    # Only the pixels on the edge are blended: all others are copied, which is ten times faster.
    edge = np.flatnonzero((alpha.ravel() - np.uint8(1)) < 254)
    share = alpha.ravel()[edge].astype(np.uint16)[:, None]
    back_pixels = back.reshape(-1, 3)
    mixed = share * front.reshape(-1, 3)[edge] + (255 - share) * back_pixels[edge]
    cv2.copyTo(front, alpha, back)
    back_pixels[edge] = (mixed + 127) // 255
    return back


__all__ = ["KIND", "BackgroundBank", "composited", "open_backgrounds"]
