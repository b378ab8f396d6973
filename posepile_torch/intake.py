"""The one way in for images of unknown quality.

:func:`probe` looks at the bytes of an image file and says one of three things: ``ok``,
``repaired`` (with what was done), or ``quarantined`` (with why). It never returns made-up pixels:
an image that is cut short or damaged is quarantined, not filled up with grey or black. What
happens to each kind of image is listed in ``docs/images.md``.

Images come out as uint8 RGB ``[height, width, 3]``, sizes as (width, height).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posepile_torch import image_headers
from posepile_torch.errors import ImageError
from posepile_torch.image_formats import StoredPixels, read_pixels, turn_matrix, turned
from posepile_torch.image_headers import MAX_PIXELS
from posepile_torch.jpeg import Image, decode_jpeg, encode_jpeg, is_cmyk_jpeg

Status = Literal["ok", "repaired", "quarantined"]
AnnotationFrame = Literal["upright", "stored"]

QUARANTINE_REASONS = (
    "not_an_image",
    "truncated",
    "damaged",
    "too_large",
    "unsupported",
    "multi_frame",
    "size_mismatch",
)
"""Every reason for which :func:`probe` refuses an image."""

REPAIR_REASONS = ("rotated", "orientation_ignored", "cmyk", "sixteen_bit", "alpha")
"""Everything that :func:`probe` may do to an image; several are joined with ``+``."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Intake:
    """What :func:`probe` found.

    Attributes:
        status: ``"ok"``, ``"repaired"`` or ``"quarantined"``.
        reason: Empty when ok; else words of :data:`REPAIR_REASONS` joined with ``+``, or one of
            :data:`QUARANTINE_REASONS`.
        detail: The same for people.
        image: RGB pixels in the frame of the annotations, or None when quarantined.
        original: The bytes of the file.
        storable: JPEG bytes that decode to exactly ``image`` and need no encoding: the original
            ones, without an ignored EXIF orientation; None if there are none.
        stored_to_image: ``[3, 3]`` map from pixels as stored in the file to pixels of ``image``;
            the identity unless the image was rotated.
        where: The file, for messages.
    """

    status: Status
    reason: str = ""
    detail: str = ""
    image: Image | None = None
    original: bytes = dataclasses.field(repr=False)
    storable: bytes | None = dataclasses.field(default=None, repr=False)
    stored_to_image: NDArray[np.float64] = dataclasses.field(
        default_factory=lambda: np.eye(3), repr=False
    )
    where: object = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of ``image``, or None when quarantined."""
        return None if self.image is None else (self.image.shape[1], self.image.shape[0])

    def pixels(self) -> Image:
        """Return the image.

        Raises:
            ImageError: If it is quarantined, with the same reason.
        """
        if self.image is None:
            raise ImageError(self.detail, reason=self.reason, where=self.where)
        return self.image

    def storable_bytes(self, quality: int = 95) -> bytes:
        """Return a JPEG of ``image``: the original bytes if they are one, else encoded anew.

        Encoding is deterministic, so the same file always gives the same bytes.

        Raises:
            ImageError: If the image is quarantined.
        """
        image = self.pixels()
        return encode_jpeg(image, quality) if self.storable is None else self.storable


def probe(
    data: bytes,
    *,
    where: object = None,
    expected_size: tuple[int, int] | None = None,
    annotation_frame: AnnotationFrame = "upright",
    background: tuple[int, int, int] = (0, 0, 0),
    frame_index: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Intake:
    """Decode an image file, or say why not.

    Cameras write rotated photos with an EXIF orientation, which some programs apply and others do
    not. Boxes and joints drawn in one fit the pixels of the other only by luck, so the caller says
    which it was, and the image is returned in that frame.

    Args:
        data: The bytes of the file.
        where: Its name, for messages.
        expected_size: (width, height) of the image according to the annotation, in the
            annotation's frame. Another size is quarantined; nothing is rescaled in silence.
        annotation_frame: ``"upright"`` if annotators saw the image rotated as EXIF says,
            ``"stored"`` if they saw the rows as stored in the file.
        background: RGB on which transparent pixels are laid.
        frame_index: Which frame of an animation or multi-page file; without it those are
            quarantined.
        max_pixels: Limit on width times height, checked before anything is allocated.

    Returns:
        The verdict; bad images never raise.

    Raises:
        ImageError: If ``annotation_frame`` is neither.
        MissingDependencyError: If the format needs Pillow and it is not installed.
    """
    if annotation_frame not in ("upright", "stored"):
        raise ImageError(
            f"unknown annotation_frame {annotation_frame!r}",
            reason="argument",
            rule='annotations were made in the "upright" or in the "stored" frame',
        )
    original = bytes(data)
    try:
        kind = image_headers.sniff(original, where=where)
        if kind == "jpeg":
            found = _probe_jpeg(original, annotation_frame, max_pixels, where)
        else:
            stored = read_pixels(
                original, kind, frame_index=frame_index, max_pixels=max_pixels, where=where
            )
            found = _interpreted(stored, original, annotation_frame, background, where)
        _check_expected(found, expected_size, where)
    except ImageError as error:
        detail = f"{error.what}; fix: {error.fix}" if error.fix else error.what
        reason = error.reason if error.reason in QUARANTINE_REASONS else "damaged"
        return Intake(
            status="quarantined", reason=reason, detail=detail, original=original, where=where
        )
    return found


def decode_image(data: bytes, where: object = None, **options: Any) -> Image:
    """Decode an image file to RGB, or raise; takes the options of :func:`probe`.

    Raises:
        ImageError: If the image would be quarantined; ``reason`` says why.
    """
    return probe(data, where=where, **options).pixels()


def decode_labels(
    data: bytes,
    *,
    where: object = None,
    expected_size: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode the numbers of a mask, instance-id or depth image, exactly as stored.

    Palette images give their indices, greys of 1, 2 or 4 bits their small numbers, 16-bit images
    stay uint16. Colour-coded images keep three channels; an alpha channel that is fully opaque
    is left out.

    Args:
        data: The bytes of a lossless image file (PNG, TIFF, BMP, GIF, PNM).
        where: Its name, for messages.
        expected_size: (width, height) of the image that the labels belong to.
        max_pixels: Limit on width times height.

    Returns:
        ``[h, w]`` or ``[h, w, 3]``, uint8 or uint16.

    Raises:
        ImageError: If the file cannot be read as labels, or is of another size.
    """
    kind = image_headers.sniff(data, where=where)
    if kind in ("jpeg", "webp", "jpeg2000"):
        raise ImageError(
            f"labels in a {kind} file",
            reason="unsupported",
            where=where,
            rule="labels are numbers; lossy formats change them",
            fix="for a two-valued mask: Mask.from_array(decode_image(data)[..., 0] > 127)",
        )
    stored = read_pixels(bytes(data), kind, labels=True, max_pixels=max_pixels, where=where)
    if stored.orientation != 1:
        raise ImageError(
            "a label image carries an EXIF rotation",
            reason="unsupported",
            where=where,
            rule="labels lie in the frame of their image, without rotation of their own",
        )
    values = stored.values
    if values.ndim == 3 and values.shape[2] in (2, 4):
        if (values[..., -1] != np.iinfo(values.dtype).max).any():
            raise ImageError(
                "a label image is partly transparent",
                reason="unsupported",
                where=where,
                rule="every pixel of a label image has a label",
            )
        values = values[..., 0] if values.shape[2] == 2 else values[..., :3]
    _check_size((values.shape[1], values.shape[0]), expected_size, where)
    return np.array(values)


def _probe_jpeg(
    data: bytes, annotation_frame: AnnotationFrame, max_pixels: int, where: object
) -> Intake:
    header = image_headers.jpeg_header(data, max_pixels=max_pixels, where=where)
    image = decode_jpeg(data, where=where)
    repairs = ["cmyk"] if is_cmyk_jpeg(data) else []
    turn, storable = np.eye(3), None if repairs else data
    if header.orientation != 1 and annotation_frame == "upright":
        repairs.append("rotated")
        turn, storable = turn_matrix(header.orientation, header.size), None
        image = turned(image, header.orientation)
    elif header.orientation != 1:
        repairs.append("orientation_ignored")
        # Other readers of the stored bytes would rotate them: the note goes, the pixels stay.
        storable = storable and image_headers.with_upright_orientation(data, header)
    return Intake(
        status="repaired" if repairs else "ok",
        reason="+".join(repairs),
        detail=_told(repairs, header.orientation),
        image=image,
        original=data,
        storable=storable,
        stored_to_image=turn,
        where=where,
    )


def _interpreted(
    stored: StoredPixels,
    data: bytes,
    annotation_frame: AnnotationFrame,
    background: tuple[int, int, int],
    where: object,
) -> Intake:
    """Turn pixels as stored into an 8-bit RGB image in the frame of the annotations."""
    repairs: list[str] = []
    values = stored.values
    if values.dtype == np.uint16:
        repairs.append("sixteen_bit")
        values = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if stored.cmyk:
        repairs.append("cmyk")
        paper = 255 - values.astype(np.uint16)
        values = ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)
    elif values.ndim == 3 and values.shape[2] == 4:
        if (values[..., 3] != 255).any():
            repairs.append("alpha")
        values = _composited(values, background)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    turn = np.eye(3)
    if stored.orientation != 1 and annotation_frame == "upright":
        repairs.append("rotated")
        turn = turn_matrix(stored.orientation, (values.shape[1], values.shape[0]))
        values = turned(values, stored.orientation)
    elif stored.orientation != 1:
        repairs.append("orientation_ignored")
    return Intake(
        status="repaired" if repairs else "ok",
        reason="+".join(repairs),
        detail=_told(repairs, stored.orientation),
        image=np.array(values, dtype=np.uint8),
        original=data,
        stored_to_image=turn,
        where=where,
    )


def _composited(rgba: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    alpha = rgba[..., 3:].astype(np.uint16)
    behind = np.array(background, dtype=np.uint16) * (255 - alpha)
    return ((rgba[..., :3] * alpha + behind + 127) // 255).astype(np.uint8)


def _told(repairs: list[str], orientation: int) -> str:
    words = {
        "rotated": f"EXIF orientation {orientation} was applied",
        "orientation_ignored": f"EXIF orientation {orientation} was ignored, as asked",
        "cmyk": "CMYK was turned to RGB",
        "sixteen_bit": "16 bits were scaled to 8",
        "alpha": "transparent pixels were laid on the background colour",
    }
    return "; ".join(words[repair] for repair in repairs)


def _check_expected(found: Intake, expected: tuple[int, int] | None, where: object) -> None:
    size = found.size
    if size is None or expected is None or size == tuple(expected):
        return
    hint = None
    if size == (expected[1], expected[0]) and "rotated" in found.reason:
        hint = 'the annotation was made without rotation: pass annotation_frame="stored"'
    elif size == (expected[1], expected[0]) and "orientation_ignored" in found.reason:
        hint = 'the annotation was made on the rotated image: pass annotation_frame="upright"'
    _check_size(size, expected, where, hint)


def _check_size(
    size: tuple[int, int],
    expected: tuple[int, int] | None,
    where: object,
    hint: str | None = None,
) -> None:
    if expected is not None and size != tuple(expected):
        raise ImageError(
            f"image is {size[0]}x{size[1]}, the annotation says {expected[0]}x{expected[1]} "
            "(width x height)",
            reason="size_mismatch",
            where=where,
            rule="image and annotation agree on the size; images are never rescaled in silence",
            fix=hint or "check which version of the images the annotation was made on",
        )
