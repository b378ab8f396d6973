"""Reading the images of selected frames: each file once, each video once and forward only."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import image_headers
from posepile_torch.convert.base import (
    ArchiveMember,
    EncodedImage,
    FileImage,
    Hdf5Image,
    ImageRef,
    VideoFrame,
)
from posepile_torch.errors import ConversionError, ImageError, MissingRawFileError, RawFileError
from posepile_torch.intake import AnnotationFrame, Intake, probe
from posepile_torch.jpeg import decode_jpeg, is_cmyk_jpeg
from posepile_torch.raw_layout import TAR_SUFFIXES
from posepile_torch.rawfiles import Hdf5File, Video, ZipReader, iter_tar_members, read_bytes


@dataclass(frozen=True)
class WantedImage:
    """An image to decode, with what its annotation promises.

    Attributes:
        image: Where it is.
        size: ``(width, height)`` in the annotators' frame.
        annotation_frame: Whether annotators saw it turned as EXIF says, or as stored.
        reduction: A JPEG may be shrunk by this factor while it is decoded.
    """

    image: ImageRef
    size: tuple[int, int]
    annotation_frame: AnnotationFrame = "upright"
    reduction: int = 1


@dataclass(frozen=True, eq=False)
class RawImage:
    """What became of a wanted image.

    Attributes:
        intake: The verdict; its ``image`` is None if the image cannot be used.
        reduction: The factor by which the pixels were shrunk while decoding.
    """

    intake: Intake
    reduction: int = 1


def described(image: ImageRef) -> str:
    """Name an image for messages."""
    if isinstance(image, EncodedImage):
        return image.name
    if isinstance(image, FileImage):
        return str(image.path)
    if isinstance(image, VideoFrame):
        return f"{image.path} frame {image.index}"
    if isinstance(image, ArchiveMember):
        return f"{image.path} member {image.member}"
    entry = "" if image.index is None else f" entry {image.index}"
    return f"{image.path} dataset {image.dataset}{entry}"


def iter_images(wanted: Iterable[WantedImage]) -> Iterator[tuple[WantedImage, RawImage]]:
    """Decode images in the given order, one at a time.

    Consecutive frames of one video are decoded in one pass, forwards, and only the frames asked
    for are converted to pixels; consecutive members of one tar are read in one pass as well. An
    image that cannot be used, or has not the promised size, comes with that verdict, so that one
    bad file does not end a conversion.
    """
    for (kind, path), group in itertools.groupby(wanted, key=_container):
        if kind == "video":
            yield from _video_frames(path, list(group))
        elif kind == "tar":
            yield from _tar_members(path, list(group))
        elif kind == "zip":
            with ZipReader(path) as reader:
                for item in group:
                    yield item, _zip_member(reader, item)
        elif kind == "hdf5":
            yield from _hdf5_images(path, group)
        else:
            yield from ((item, _single(item)) for item in group)


def _container(wanted: WantedImage) -> tuple[str, Path]:
    """What must be opened for an image; images with the same answer are read together."""
    image = wanted.image
    if isinstance(image, VideoFrame):
        return "video", image.path
    if isinstance(image, Hdf5Image):
        return "hdf5", image.path
    if isinstance(image, ArchiveMember):
        if image.path.name.lower().endswith(TAR_SUFFIXES):
            return "tar", image.path
        if image.path.suffix.lower() == ".zip":
            return "zip", image.path
        raise ConversionError(
            f"{image.path.name!r} is neither a zip nor a tar archive by its name",
            where=image.path,
            rule=f"members are read from .zip, {', '.join(TAR_SUFFIXES)}",
            fix="rename the file, or use EncodedImage with a reader of your own",
        )
    return "", Path()


def _single(wanted: WantedImage) -> RawImage:
    image = wanted.image
    try:
        data = image.read() if isinstance(image, EncodedImage) else read_bytes(_path(image))
    except RawFileError as error:
        return _unusable(error, wanted)
    return _decoded(data, wanted)


def _path(image: ImageRef) -> Path:
    if isinstance(image, FileImage):
        return image.path
    raise TypeError(f"no file of its own: {image}")


def _decoded(data: bytes, wanted: WantedImage) -> RawImage:
    if wanted.reduction > 1:
        reduced = _reduced(data, wanted)
        if reduced is not None:
            return reduced
    intake = probe(
        data,
        where=described(wanted.image),
        expected_size=wanted.size,
        annotation_frame=wanted.annotation_frame,
    )
    return RawImage(intake)


def _reduced(data: bytes, wanted: WantedImage) -> RawImage | None:
    """Decode a sound, upright JPEG of the promised size at a fraction of it; else None."""
    try:
        if image_headers.sniff(data) != "jpeg":
            return None
        header = image_headers.jpeg_header(data)
        if header.orientation != 1 or header.size != wanted.size or is_cmyk_jpeg(data):
            return None
        image = decode_jpeg(data, reduction=wanted.reduction)
    except ImageError:
        return None  # the probe says why
    return RawImage(Intake(status="ok", image=image, original=data), wanted.reduction)


def _video_frames(path: Path, group: list[WantedImage]) -> Iterator[tuple[WantedImage, RawImage]]:
    """Frames of one video; when it breaks off, the rest of the group is unusable."""
    indices = [item.image.index for item in group if isinstance(item.image, VideoFrame)]
    done = 0
    try:
        for item, (_, pixels) in zip(group, Video(path).iter_frames(indices), strict=True):
            yield item, _of_pixels(pixels, item)
            done += 1
    except RawFileError as error:
        yield from ((item, _unusable(error, item, "video_")) for item in group[done:])


def _tar_members(path: Path, group: list[WantedImage]) -> Iterator[tuple[WantedImage, RawImage]]:
    """Members of one tar; those that come before their turn wait, still encoded."""
    names = [item.image.member for item in group if isinstance(item.image, ArchiveMember)]
    due, waiting, done = Counter(names), dict[str, bytes](), 0
    try:
        for name, data in iter_tar_members(path):
            if due[name]:
                waiting[name] = data
            while done < len(group) and names[done] in waiting:
                due[names[done]] -= 1
                still_needed = due[names[done]] > 0
                data = waiting[names[done]] if still_needed else waiting.pop(names[done])
                yield group[done], _decoded(data, group[done])
                done += 1
            if done == len(group):
                return
    except RawFileError as error:
        yield from ((item, _unusable(error, item)) for item in group[done:])
        return
    for item, name in zip(group[done:], names[done:], strict=True):
        if name in waiting:
            yield item, _decoded(waiting[name], item)
        else:
            yield item, _unusable(_no_member(path, name), item)


def _no_member(path: Path, name: str) -> MissingRawFileError:
    return MissingRawFileError(
        f"there is no member {name!r}", where=path, fix="fetch the archive again"
    )


def _zip_member(reader: ZipReader, wanted: WantedImage) -> RawImage:
    name = wanted.image.member if isinstance(wanted.image, ArchiveMember) else ""
    try:
        if name not in reader:
            raise _no_member(reader.path, name)
        return _decoded(reader.read(name), wanted)
    except RawFileError as error:
        return _unusable(error, wanted)


def _hdf5_images(
    path: Path, group: Iterable[WantedImage]
) -> Iterator[tuple[WantedImage, RawImage]]:
    items = iter(group)
    try:
        with Hdf5File(path) as file:
            for item in items:
                yield item, _hdf5_image(file, item)
    except RawFileError as error:  # the file itself cannot be opened
        yield from ((item, _unusable(error, item)) for item in items)


def _hdf5_image(file: Hdf5File, wanted: WantedImage) -> RawImage:
    image = wanted.image
    if not isinstance(image, Hdf5Image):
        raise TypeError(f"no image in an HDF5 file: {image}")
    try:
        array = file.read(image.dataset, () if image.index is None else image.index)
    except RawFileError as error:
        return _unusable(error, wanted)
    if array.ndim == 1 and array.dtype.itemsize == 1:
        return _decoded(array.tobytes(), wanted)
    if array.ndim == 0 and isinstance(array.item(), bytes):
        return _decoded(array.item(), wanted)
    if array.dtype == np.uint8 and array.ndim == 2:
        return _of_pixels(np.repeat(array[..., None], 3, axis=2), wanted)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
        rgb = array[..., ::-1] if image.channels == "bgr" else array
        return _of_pixels(np.ascontiguousarray(rgb), wanted)
    detail = f"{described(image)}: {array.dtype} of shape {array.shape} is no image"
    return RawImage(_refused("not_an_image", detail))


def _of_pixels(pixels: NDArray[Any], wanted: WantedImage) -> RawImage:
    size = (pixels.shape[1], pixels.shape[0])
    if size != wanted.size:
        detail = (
            f"{described(wanted.image)}: image is {size[0]}x{size[1]}, the annotation says "
            f"{wanted.size[0]}x{wanted.size[1]} (width x height)"
        )
        return RawImage(_refused("size_mismatch", detail))
    return RawImage(Intake(status="ok", image=pixels, original=b""))


def _unusable(error: RawFileError, wanted: WantedImage, prefix: str = "") -> RawImage:
    reason = "missing" if isinstance(error, MissingRawFileError) else "unreadable"
    return RawImage(_refused(f"{prefix}{reason}", f"{described(wanted.image)}: {error.what}"))


def _refused(reason: str, detail: str) -> Intake:
    return Intake(status="quarantined", reason=reason, detail=detail, original=b"")
