"""The one resampling from a raw image to a stored crop, shared by the image and its masks.

Where the stored pixels come from is worked out once. What a stored pixel shows is then the mean
light of its area: the raw image is blurred by as much as its own pixels fall short of that area,
and sampled once. In float32 this costs a third of sampling a finer image and averaging it, at the
same fidelity (``perf/convert.py`` measures both).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch import light
from posepile_torch.camera import Camera
from posepile_torch.errors import ImageError, MaskError
from posepile_torch.images import REDUCTIONS
from posepile_torch.masks import Mask
from posepile_torch.warping import pixel_map

Pixels = NDArray[Any]
Floats = NDArray[np.float64]

# Raw pixels per stored pixel from which a JPEG may be reduced while it is decoded. Halving is
# harmless as soon as the crop cannot show what it removes. The decoder's quarters and eighths are
# rough and average stored values instead of light, so they come far later: measured, each is at
# its limit still closer to the exact result than a full decode with samples at twice the density.
_REDUCES_FROM = {2: 2.0, 4: 12.5, 8: 33.0}

_FAR_OUTSIDE = np.float32(1e5)  # pixels; OpenCV converts coordinates to integers
_SAMPLED_REACH = 3  # a cubic uses two pixels to each side, and the grid rounds
_LEAST_BLUR = 0.01  # variance in pixels; below, the blur changes no stored value
_GRID = 9


class _Part(NamedTuple):
    """A part of a (reduced) raw image, and where its pixels are needed."""

    rows: slice
    columns: slice
    homography: Floats | None  # from stored pixels to pixels of the part
    mapping: Pixels | None  # the same as an array, where there is no homography


class Resampling:
    """How the pixels of one camera become those of another with the same optical centre.

    Args:
        source: Camera of the raw image, with its lens.
        target: Camera of the image to make; a pinhole.
        step_px: What :func:`typical_step` says of the two, if it has been asked.

    Raises:
        CameraError: If the optical centres differ.
    """

    def __init__(self, source: Camera, target: Camera, step_px: float | None = None) -> None:
        self.source = source
        self.target = target
        #: Raw pixels along a side of a stored pixel.
        self.step_px = typical_step(source, target) if step_px is None else step_px
        self._homography = _whole_homography(target, source)
        self._mapping = None if self._homography is not None else pixel_map(source, target)
        self._reach = self._reached()
        self._parts: dict[int, _Part] = {}  # by reduction; image and masks share them

    def image(self, raw: NDArray[np.uint8], *, reduction: int = 1) -> NDArray[np.uint8]:
        """Resample an image in linear light; black where the raw image does not reach.

        Args:
            raw: RGB uint8 ``[h, w, 3]`` of the source's size, or reduced as the JPEG decoder does.
            reduction: By how much.
        """
        if reduction not in REDUCTIONS or (
            (raw.shape[1], raw.shape[0]) != self.source.downscaled(reduction).size
        ):
            raise ImageError(
                f"an image of {raw.shape[1]}x{raw.shape[0]} for a camera of {self.source.size}, "
                f"reduced by {reduction}",
                reason="size_mismatch",
                rule="image and camera have one size, (width, height)",
            )
        part = self._part(reduction)
        amounts = light.to_linear(np.ascontiguousarray(raw[part.rows, part.columns]))
        amounts = _blurred(amounts, averaging_kernel(self.step_px / reduction))
        return light.from_linear(self._sampled(amounts, part, cv2.INTER_CUBIC))

    def mask(self, raw: Mask) -> Mask:
        """Resample a mask; a stored pixel belongs to it if most of its area does.

        Raises:
            MaskError: If the mask does not have the size of the raw image.
        """
        if raw.size != self.source.size:
            raise MaskError(
                f"mask of {raw.size} for an image of {self.source.size}",
                rule="a mask has the size of its image, (width, height); none is ever resized",
                fix="check which version of the images the masks were made for",
            )
        part = self._part(1)
        dense = raw.to_array()[part.rows, part.columns] * np.uint8(255)
        dense = _blurred(dense, averaging_kernel(self.step_px))
        return Mask.from_array(self._sampled(dense, part, cv2.INTER_LINEAR) > 127)

    def _sampled(self, pixels: Pixels, part: _Part, interpolation: int) -> Pixels:
        if part.homography is not None:
            flags = interpolation | cv2.WARP_INVERSE_MAP
            return np.asarray(
                cv2.warpPerspective(pixels, part.homography, self.target.size, flags=flags)
            )
        return np.asarray(cv2.remap(pixels, part.mapping, None, interpolation))

    def _reached(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is needed of the raw image."""
        if self._homography is not None:
            points = _corners(self.target.size) @ self._homography.T
            x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
        else:
            x, y = np.moveaxis(np.asarray(self._mapping), -1, 0)
            width, height = self.source.size
            inside = (x > -1) & (x < width) & (y > -1) & (y < height)
            if not inside.any():
                return 0.0, 0.0, 0.0, 0.0
            x, y = x[inside], y[inside]
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def _part(self, reduction: int) -> _Part:
        if reduction not in self._parts:
            self._parts[reduction] = self._new_part(reduction)
        return self._parts[reduction]

    def _new_part(self, reduction: int) -> _Part:
        size = self.source.downscaled(reduction).size
        margin = len(averaging_kernel(self.step_px / reduction)) // 2 + _SAMPLED_REACH
        left, top, right, bottom = ((at + 0.5) / reduction - 0.5 for at in self._reach)
        # At least one pixel stays, so that a target that sees nothing needs no case of its own.
        x0, x1 = np.clip([left - margin, right + margin + 1], 0, size[0]).astype(int).tolist()
        y0, y1 = np.clip([top - margin, bottom + margin + 1], 0, size[1]).astype(int).tolist()
        x0, y0 = min(x0, size[0] - 1), min(y0, size[1] - 1)
        rows, columns = slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))
        shift = 0.5 / reduction - 0.5
        if self._homography is not None:
            to_part = np.array(
                [[1 / reduction, 0, shift - x0], [0, 1 / reduction, shift - y0], [0, 0, 1]]
            )
            return _Part(rows, columns, to_part @ self._homography, None)
        mapping = np.asarray(self._mapping) * np.float32(1 / reduction)
        mapping += np.array([shift - x0, shift - y0], np.float32)
        np.fmin(mapping, _FAR_OUTSIDE, out=mapping)  # NaN too
        np.fmax(mapping, -_FAR_OUTSIDE, out=mapping)
        return _Part(rows, columns, None, mapping)


def averaging_kernel(step_px: float) -> NDArray[np.float32]:
    """Return the blur, along one axis, that makes pixels show areas of ``step_px`` pixels.

    A camera's pixel is itself the mean over its area, a box of variance 1/12; the mean over a
    larger one is a box of variance ``step_px**2 / 12``. The kernel has the difference: a box with
    tapered ends, of odd length and sum 1.
    """
    variance = (step_px**2 - 1) / 12
    if variance < _LEAST_BLUR:
        return np.ones(1, np.float32)
    reach = 1
    while reach * (reach + 1) / 3 < variance:  # the variance of a box of 2 * reach + 1 pixels
        reach += 1
    # The variance is a ratio of two terms that are linear in the weight of the two end taps.
    inner = np.arange(1 - reach, reach)
    end = (variance * len(inner) - float((inner**2).sum())) / (2 * (reach**2 - variance))
    kernel = np.array([end, *np.ones(len(inner)), end], np.float32)
    return np.asarray(kernel / kernel.sum())


def _blurred(pixels: Pixels, kernel: NDArray[np.float32]) -> Pixels:
    if len(kernel) == 1:
        return pixels
    return np.asarray(cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def _whole_homography(target: Camera, source: Camera) -> Floats | None:
    """From target to source pixels, if all of the target lies in front of a source without lens.

    OpenCV would also draw what lies behind the source camera, upside down.
    """
    if not (source.is_pinhole and target.is_pinhole):
        return None
    homography = target.homography_to(source)
    return homography if (_corners(target.size) @ homography[2] > 0).all() else None


def _corners(size: tuple[int, int]) -> Floats:
    right, bottom = size[0] - 1, size[1] - 1
    return np.array([[0, 0, 1], [right, 0, 1], [0, bottom, 1], [right, bottom, 1.0]])


def reduction_for_step(step_px: float) -> int:
    """Return the factor by which a JPEG may be reduced while it is decoded.

    Args:
        step_px: Raw pixels along a side of a stored pixel.
    """
    return max([1, *(k for k, step in _REDUCES_FROM.items() if step_px >= step)])


def typical_step(source: Camera, target: Camera) -> float:
    """Return how many raw pixels lie along a side of a stored pixel.

    It is the median over a grid of places that see the raw image, and 1 if none does.
    """
    x, y = (np.linspace(0, side - 1, _GRID) for side in target.size)
    here = np.stack(np.meshgrid(x, y), axis=-1)
    neighbours = np.stack([here, here + (1, 0), here + (0, 1)])
    rays = target.back_project(neighbours) @ (source.R @ target.R.T).T
    middle, right, below = source.project_camera(rays)
    (a, b), (c, d) = np.moveaxis(right - middle, -1, 0), np.moveaxis(below - middle, -1, 0)
    area = np.abs(a * d - b * c)
    used = np.isfinite(area) & (area > 0) & source.is_in_view(middle)
    return float(np.sqrt(np.median(area[used]))) if used.any() else 1.0
