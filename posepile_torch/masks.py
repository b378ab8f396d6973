"""Binary masks of image regions, kept as run lengths.

A mask belongs to an image of one size and lives in its pixel coordinates (pixel centres at
integers, x right, y down). Masks are immutable: every operation returns a new one. Two masks only
ever meet when their sizes are equal; nothing is resized in silence.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from rlemasklib import RLEMask

from posepile_torch import boxes, mask_warping, runlengths
from posepile_torch.errors import ImageError, MaskError
from posepile_torch.intake import decode_labels


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Mask:
    """A set of pixels of an image of ``size`` (width, height).

    Build one with :meth:`from_array`, :meth:`from_coco`, :meth:`from_png`,
    :meth:`from_label_image` or :meth:`empty`. Masks compare equal when size and pixels are equal,
    and they pickle.

    Attributes:
        rle: The run lengths, down the columns, as an ``rlemasklib.RLEMask``; not to be changed.
        defects: Why parts of the annotation added no pixels (polygons with fewer than three
            points, NaN coordinates, no polygon at all); empty for a sound annotation.
    """

    rle: RLEMask
    defects: tuple[str, ...] = ()

    # ------------------------------------------------------------------ construction

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Mask:
        """Return the mask without any pixel, for an image of ``size`` (width, height)."""
        return cls(RLEMask.zeros(runlengths.checked_size((size[1], size[0]))))

    @classmethod
    def from_array(cls, array: ArrayLike) -> Mask:
        """Build a mask from a dense array ``[h, w]``; every non-zero entry is foreground.

        Raises:
            MaskError: If the array is not two-dimensional boolean or integer.
        """
        dense = np.asarray(array)
        if dense.ndim != 2 or dense.dtype.kind not in "bui":
            raise MaskError(
                f"cannot make a mask of a {dense.dtype} array of shape {dense.shape}",
                rule="a dense mask is [height, width], boolean or integer",
                fix="threshold a soft mask first, for example `alpha > 0.5`",
            )
        runlengths.checked_size(dense.shape)
        if dense.dtype != np.uint8:
            dense = (dense != 0).view(np.uint8)
        return cls(RLEMask.from_array(dense))

    @classmethod
    def from_coco(
        cls,
        annotation: Mapping[str, Any] | Sequence[Any],
        size: tuple[int, int] | None = None,
        *,
        where: object = None,
    ) -> Mask:
        """Build a mask from a COCO ``segmentation``: a run-length dictionary or polygons.

        Run lengths may be compressed (``str`` or ``bytes``) or a list. Polygons are flat
        ``[x0, y0, x1, y1, ...]`` lists, one for each part; the parts are united. Parts that
        enclose nothing, and NaN coordinates, give no pixels and an entry in :attr:`defects`.

        Args:
            annotation: ``{"size": [h, w], "counts": ...}`` or a list of polygons.
            size: (width, height) of the image. Polygons need it; run lengths are checked by it.
            where: Named in errors.

        Raises:
            MaskError: If the annotation is malformed or of another size than the image.
        """
        if isinstance(annotation, Mapping):
            missing = {"size", "counts"} - set(annotation)
            if missing:
                raise MaskError(
                    f"segmentation lacks {sorted(missing)}",
                    where=where,
                    rule="run lengths come as {'size': [height, width], 'counts': ...}",
                )
            height, width = runlengths.checked_size(annotation["size"], where=where)
            if size is not None:
                _require_size((width, height), size, where)
            return cls(runlengths.parse_counts(annotation["counts"], height, width, where=where))
        if size is None:
            raise MaskError(
                "polygons were given without the size of their image",
                where=where,
                fix="pass size=(width, height)",
            )
        if isinstance(annotation, str | bytes) or not isinstance(annotation, Sequence):
            raise MaskError(
                f"segmentation {annotation!r:.60} is neither run lengths nor polygons", where=where
            )
        height, width = runlengths.checked_size((size[1], size[0]), where=where)
        return cls(*runlengths.rasterised(annotation, height, width, where=where))

    @classmethod
    def from_label_image(
        cls, labels: NDArray[Any], value: int | Sequence[int], *, where: object = None
    ) -> Mask:
        """Build the mask of the pixels that carry one label.

        Args:
            labels: Integer ids ``[h, w]``, or colour codes ``[h, w, 3]``, as
                :func:`posepile_torch.intake.decode_labels` gives them.
            value: The id, or the colour as three numbers.
            where: Named in errors.

        Raises:
            MaskError: If ``value`` does not fit the array.
        """
        labels = np.asarray(labels)
        wanted = np.atleast_1d(np.asarray(value))
        if labels.dtype.kind not in "ui" or labels.ndim not in (2, 3) or wanted.ndim != 1:
            raise MaskError(
                f"a {labels.dtype} array of shape {labels.shape} holds no labels", where=where
            )
        channels = 1 if labels.ndim == 2 else labels.shape[2]
        if len(wanted) != channels:
            raise MaskError(
                f"label {value!r} has {len(wanted)} numbers, the image {channels} a pixel",
                where=where,
                fix="give a colour-coded image three numbers, an id image one",
            )
        hit = labels == wanted[0] if labels.ndim == 2 else (labels == wanted).all(axis=2)
        return cls.from_array(hit)

    @classmethod
    def from_png(
        cls,
        data: bytes,
        size: tuple[int, int] | None = None,
        *,
        threshold: int = 1,
        where: object = None,
    ) -> Mask:
        """Build a mask from the bytes of a grey, palette or 1-bit PNG.

        A pixel is foreground when its stored number is at least ``threshold``. The default takes
        every non-zero pixel, which is right for 0/1, 0/255 and palette masks alike; pass 128 for
        soft (antialiased) masks. For instance ids use :meth:`from_label_image`.

        Raises:
            MaskError: If it is no such PNG, or of another size than ``size`` (width, height).
        """
        try:
            labels = decode_labels(data, where=where)
        except ImageError as error:
            raise MaskError(error.what, where=where, rule=error.rule, fix=error.fix) from error
        if labels.ndim == 3:
            if (labels != labels[..., :1]).any():
                raise MaskError(
                    "the mask image is in colour",
                    where=where,
                    rule="a mask image has one number a pixel",
                    fix="pick a colour: Mask.from_label_image(decode_labels(data), (r, g, b))",
                )
            labels = labels[..., 0]
        if size is not None:
            _require_size((labels.shape[1], labels.shape[0]), size, where)
        return cls.from_array(labels >= threshold)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, where: object = None) -> Mask:
        """Read a mask back from its stored form, the inverse of :meth:`to_record`.

        Raises:
            MaskError: If the stored bytes are not a mask.
        """
        return cls(runlengths.parse_record(record, where=where))

    # ------------------------------------------------------------------ properties

    @property
    def size(self) -> tuple[int, int]:
        """Image size as (width, height)."""
        height, width = self.rle.shape
        return int(width), int(height)

    @property
    def area(self) -> int:
        """Number of foreground pixels."""
        return int(self.rle.area())

    @property
    def box(self) -> NDArray[np.float64] | None:
        """Tightest box ``[x, y, w, h]`` around the foreground, or None for an empty mask.

        Its edges run along the outer edges of the pixels, so a single pixel (3, 5) gives
        ``[2.5, 4.5, 1, 1]``; see :mod:`posepile_torch.boxes`.
        """
        x, y, width, height = self._pixel_box()
        return boxes.of_pixels(x, y, width, height) if width else None

    def _pixel_box(self) -> tuple[int, int, int, int]:
        x, y, width, height = self.rle.bbox().tolist()
        return int(x), int(y), int(width), int(height)

    # ------------------------------------------------------------------ output

    def to_array(self) -> NDArray[np.uint8]:
        """Return the mask as a dense array ``[h, w]`` of 0 and 1, in C order and writable."""
        dense: NDArray[np.uint8] = self.rle.to_array(order="C")
        return dense

    def to_record(self) -> dict[str, Any]:
        """Return the stored form ``{"size": [h, w], "zcounts": bytes}``.

        ``zcounts`` is the compressed COCO string under zlib, the layout of PosePile archives.
        """
        record = self.rle.to_dict(zlevel=-1)
        return {"size": [int(v) for v in record["size"]], "zcounts": bytes(record["zcounts"])}

    def to_coco(self) -> dict[str, Any]:
        """Return ``{"size": [h, w], "counts": str}``, ready for a COCO JSON file."""
        record = self.rle.to_dict()
        return {"size": [int(v) for v in record["size"]], "counts": record["counts"].decode()}

    # ------------------------------------------------------------------ algebra

    def union(self, *others: Mask) -> Mask:
        """Return the pixels of this mask or of any of ``others``."""
        return Mask(RLEMask.union([self.rle, *self._rles(others)]))

    def intersection(self, *others: Mask) -> Mask:
        """Return the pixels of this mask that are in all of ``others``."""
        return Mask(RLEMask.intersection([self.rle, *self._rles(others)]))

    def difference(self, other: Mask) -> Mask:
        """Return the pixels of this mask that are not in ``other``."""
        (rle,) = self._rles([other])
        return Mask(self.rle - rle)

    def complement(self) -> Mask:
        """Return the pixels of the image that are not in this mask."""
        return Mask(self.rle.complement())

    def iou(self, other: Mask) -> float:
        """Return intersection over union; 0 when both masks are empty."""
        (rle,) = self._rles([other])
        overlap = float(self.rle.iou(rle))
        return 0.0 if math.isnan(overlap) else overlap

    def _rles(self, others: Sequence[Mask]) -> list[RLEMask]:
        for other in others:
            _require_size(other.size, self.size, None)
        return [other.rle for other in others]

    # ------------------------------------------------------------------ components

    def largest_component(self) -> Mask:
        """Return the largest 4-connected component; of equals, the one met first."""
        if not self.area:
            return self
        return Mask(self.rle.largest_connected_component(connectivity=4))

    def component_best_matching(self, box: ArrayLike) -> Mask:
        """Return the 4-connected component whose own box overlaps ``box`` best.

        This is how a person is picked from a mask of all people: by the overlap (IoU) of boxes,
        not of pixels. The result is empty if no component overlaps the box at all.

        Args:
            box: ``[x, y, w, h]`` in pixels.
        """
        wanted = boxes.validated(box)
        stats = self.rle.connected_component_stats(connectivity=4)
        if stats is None:
            return Mask.empty(self.size)
        found = stats[1].astype(np.float64)
        found[:, :2] -= 0.5
        overlap = boxes.iou(found, wanted[None])[:, 0]
        best = int(overlap.argmax())
        if overlap[best] <= 0:
            return Mask.empty(self.size)
        chosen = np.arange(len(found)) == best
        (component,) = self.rle.connected_components(
            connectivity=4, filter_fn=lambda areas, bboxes, centroids: chosen
        )
        return Mask(component)

    # ------------------------------------------------------------------ warps

    def warped(self, homography: ArrayLike, size: tuple[int, int]) -> Mask:
        """Return the mask as seen in another image of ``size`` (width, height).

        An output pixel takes the value of the input pixel that its centre comes from
        (nearest neighbour); what comes from outside the old image is background.

        Args:
            homography: ``[3, 3]``, maps old pixels to new ones (pixel centres at integers), with a
                positive third coordinate for visible points, as ``Camera.homography_to`` gives.
            size: (width, height) of the new image.

        Raises:
            MaskError: If the homography is singular or not finite, or the size is none.
        """
        matrix = mask_warping.checked_homography(homography)
        height, width = runlengths.checked_size((size[1], size[0]))
        return Mask(mask_warping.warped(self.rle, matrix, (width, height)))

    def to_alpha(
        self,
        homography: ArrayLike | None = None,
        size: tuple[int, int] | None = None,
        *,
        supersample: int = 2,
    ) -> NDArray[np.uint8]:
        """Render the mask with soft edges, for compositing: uint8 ``[h, w]``, 255 inside.

        The mask is warped at ``supersample`` times the resolution and averaged, so the value of a
        pixel is the share of it that is covered. Blend as
        ``(alpha * front + (255 - alpha) * back) / 255``.

        Args:
            homography: ``[3, 3]``, as for :meth:`warped`; None leaves the mask where it is.
            size: (width, height) of the result; None keeps the size.
            supersample: Samples a pixel and axis. 2 has a root-mean-square error of about 1.3 %
                of the range on a person of 256 px, 4 has 0.5 % and takes five times as long.
        """
        width, height = self.size if size is None else size
        matrix = np.eye(3) if homography is None else mask_warping.checked_homography(homography)
        factor = float(supersample)
        shift = (factor - 1) / 2  # the centre of a pixel, in the pixels of the fine image
        fine = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]]) @ matrix
        runlengths.checked_size((height * supersample, width * supersample))
        rle = mask_warping.warped(
            self.rle, fine, (width * supersample, height * supersample), oversampling=supersample
        )
        drawn: NDArray[np.uint8] = rle.to_array(255, order="C")
        if supersample == 1:
            return drawn
        alpha = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(alpha, dtype=np.uint8)

    def __eq__(self, other: object) -> bool:
        """Whether size and pixels are equal."""
        return isinstance(other, Mask) and bool(self.rle == other.rle)

    __hash__ = None  # type: ignore[assignment]  # compared by content, so never a key

    def __repr__(self) -> str:
        """Name size and area; run lengths are too long to show."""
        width, height = self.size
        note = f", defects={self.defects!r}" if self.defects else ""
        return f"Mask({width}x{height}, area={self.area}{note})"


def iou_matrix(first: Sequence[Mask], second: Sequence[Mask]) -> NDArray[np.float64]:
    """Return the intersection over union of every mask of ``first`` with every one of ``second``.

    Shape ``[len(first), len(second)]``; 0 where both masks are empty.

    Raises:
        MaskError: If the masks are not all of one size.
    """
    if not first or not second:
        return np.zeros((len(first), len(second)))
    for mask in (*first, *second):
        _require_size(mask.size, first[0].size, None)
    matrix = RLEMask.iou_matrix([m.rle for m in first], [m.rle for m in second])
    return np.nan_to_num(np.asarray(matrix, dtype=np.float64), nan=0.0)


def _require_size(size: tuple[int, int], expected: tuple[int, int], where: object) -> None:
    if tuple(size) != tuple(expected):
        raise MaskError(
            f"mask is {size[0]}x{size[1]}, expected {expected[0]}x{expected[1]} (width x height)",
            where=where,
            rule="a mask has the size of its image; masks are never resized in silence",
            fix="check which image the mask belongs to, or warp it on purpose: mask.warped(...)",
        )
