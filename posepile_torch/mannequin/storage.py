"""Files of the raw layout whose bytes depend on their content alone: video, stills, JSON."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import require
from posepile_torch.images import encode_jpeg

Image = NDArray[np.uint8]

# MPEG-4 part 2: FFmpeg's own encoder is in every build, and gives the same bytes every time.
# libx264 is not, and with B-frames it was measured to differ once in some 200 runs (PyAV 18.1).
_CODEC = "mpeg4"
_CODEC_OPTIONS = {"qmin": "2", "qmax": "2", "flags": "bitexact", "threads": "1"}
_KEY_FRAME_EVERY = 12
_JPEG_QUALITY = 95


class ImageSink(Protocol):
    """Takes the images of one camera in the order of their frames."""

    def add(self, number: int, image: Image) -> None:
        """Store the image of a frame, ``[h, w, 3]`` RGB."""

    def close(self) -> None:
        """Finish the files."""


class Stills:
    """Stores one JPEG per frame.

    Args:
        folder: Folder to make.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder

    def add(self, number: int, image: Image) -> None:
        """Store the image of a frame, ``[h, w, 3]`` RGB."""
        data = encode_jpeg(image, _JPEG_QUALITY)
        (self._folder / f"{number:06d}.jpg").write_bytes(data)

    def close(self) -> None:
        """Do nothing: every file is finished already."""


class Video:
    """Stores all frames in one MPEG-4 video, in a Matroska file.

    One encoder thread and no marks of time or version, so that the same images give the same bytes
    with the same encoder. Colour is stored at half resolution.

    Args:
        path: File to make.
        size: ``(width, height)``.
        fps: Frames per second.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        av = require("av", extra="convert")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._av = av
        self._container = av.open(
            str(path), "w", format="matroska", options={"fflags": "bitexact"}
        )
        self._stream = self._container.add_stream(_CODEC, rate=fps, options=_CODEC_OPTIONS)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.gop_size = _KEY_FRAME_EVERY
        self._stream.time_base = Fraction(1, fps)
        self._count = 0

    def add(self, number: int, image: Image) -> None:
        """Store the image of a frame, ``[h, w, 3]`` RGB."""
        del number  # frames of a video have no names
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = self._count
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, and finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write a label image as 8-bit grey PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    path.write_bytes(data.tobytes())


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read and any machine parses to the same numbers."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
