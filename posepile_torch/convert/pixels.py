"""Reading the images of selected frames: each file once, each video once and forward only."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posepile_torch.convert.base import EncodedImage, ImageRef, VideoFrame
from posepile_torch.errors import MissingRawFileError, RawFileError
from posepile_torch.intake import probe
from posepile_torch.rawfiles import Video, read_bytes


@dataclass(frozen=True)
class UnusableImage:
    """An image that could not be decoded as promised.

    Attributes:
        reason: One machine-readable word, for example ``"truncated"``.
        detail: The sentence for the report.
    """

    reason: str
    detail: str


@dataclass(frozen=True)
class WantedImage:
    """An image to decode, with the size that its annotation promises.

    Attributes:
        image: Where it is.
        size: ``(width, height)``.
    """

    image: ImageRef
    size: tuple[int, int]


Decoded = NDArray[np.uint8] | UnusableImage


def described(image: ImageRef) -> str:
    """Name an image for messages."""
    if isinstance(image, EncodedImage):
        return image.name
    if isinstance(image, VideoFrame):
        return f"{image.path} frame {image.index}"
    return str(image.path)


def iter_images(wanted: Iterable[WantedImage]) -> Iterator[Decoded]:
    """Decode images in the given order, one at a time, as RGB uint8 ``[H, W, 3]``.

    Consecutive frames of one video are decoded in one pass, and only the frames asked for are
    converted to pixels; their indices must rise. An image that cannot be used, or that has not
    the promised size, is yielded as an :class:`UnusableImage`, so that one bad file does not end
    a conversion.
    """
    for path, group in itertools.groupby(wanted, key=_video_path):
        if path is None:
            yield from map(_decoded, group)
        else:
            yield from _video_frames(path, list(group))


def _video_path(wanted: WantedImage) -> Path | None:
    return wanted.image.path if isinstance(wanted.image, VideoFrame) else None


def _decoded(wanted: WantedImage) -> Decoded:
    image = wanted.image
    try:
        data = image.read() if isinstance(image, EncodedImage) else read_bytes(image.path)
    except MissingRawFileError as error:
        return UnusableImage("missing", str(error))
    except RawFileError as error:
        return UnusableImage("unreadable", str(error))
    intake = probe(data, where=described(image), expected_size=wanted.size)
    if intake.image is None:
        return UnusableImage(intake.reason, intake.detail)
    return intake.image


def _video_frames(path: Path, group: list[WantedImage]) -> Iterator[Decoded]:
    """Frames of one video; when it breaks off, the rest of the group is unusable."""
    video_frames = [item.image for item in group if isinstance(item.image, VideoFrame)]
    done = 0
    try:
        frames = Video(path).iter_frames([frame.index for frame in video_frames])
        for item, (_, pixels) in zip(group, frames, strict=True):
            size = (pixels.shape[1], pixels.shape[0])
            if size == item.size:
                yield pixels
            else:
                yield UnusableImage(
                    "size_mismatch", f"{described(item.image)}: {size}, annotated {item.size}"
                )
            done += 1
    except RawFileError as error:
        reason = "missing" if isinstance(error, MissingRawFileError) else "unreadable"
        yield from (UnusableImage(f"video_{reason}", str(error)) for _ in group[done:])
