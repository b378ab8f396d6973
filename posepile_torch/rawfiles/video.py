"""Frames of a video, addressed by their order of presentation."""

from __future__ import annotations

import itertools
import math
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import RawFileError, UnreadableRawFileError, require
from posepile_torch.rawfiles import sniff
from posepile_torch.rawfiles.containers import declared_bytes

# Demuxers that read this one file and nothing else: a playlist would open other files or hosts.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,mxf,dv,gxf,ivf,"
    "nut,m4v,rm,swf,wtv,gif"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
_ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
_MAX_DECLARED_FRAMES = 1 << 31
_RATE_TOLERANCE = 0.25  # of a frame; containers round their time stamps, Matroska to 1 ms


@dataclass(frozen=True, eq=False)
class _Scan:
    """What one pass over the packets tells, without decoding more than the first frame."""

    pts: NDArray[np.int64]  # of the frames in order of presentation; empty if there are none
    frame_count: int
    time_base_s: float
    nominal_fps: float
    declared_frame_count: int | None
    coded_size: tuple[int, int]
    rotation_deg: int
    codec: str


class Video:
    """A video file as a sequence of RGB frames, indexed from 0 in order of presentation.

    The index of a frame is the rank of its presentation time stamp among all frames that a player
    shows, so that it does not shift when one frame cannot be decoded. Edit lists are applied:
    frames that the container hides are not counted. Frames stand upright: a rotation in the
    container's metadata is applied, as players and OpenCV do, and ``size`` is ``(width, height)``
    after it. Colours are converted by the matrix that the stream names, or by BT.601 if it names
    none; samples are taken as square pixels.

    Nothing is kept open between calls, so instances may be pickled and used after a fork. Files
    are opened with the FFmpeg libraries through PyAV (``convert`` extra); playlists and other
    files that refer to further files are refused.

    Args:
        path: The file.
        stream: Which of its video streams, from 0; cover pictures are not counted.
        threads: Decoding threads; one by default, because conversions run many processes.
        apply_rotation: Turn the frames upright; ``False`` gives them as stored.
        index_by: ``"order"`` counts decoded frames instead, for files with wrong time stamps.
        strict: Refuse videos that are cut short or cannot be decoded in full. With ``False``, the
            frames that come are given, and gaps show in their indices.

    Raises:
        UnreadableRawFileError: On the first use, if the file is no video, is cut short (the
            message says how many frames came), or has no frames.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        stream: int = 0,
        threads: int = 1,
        apply_rotation: bool = True,
        index_by: Literal["pts", "order"] = "pts",
        strict: bool = True,
    ) -> None:
        self.path = Path(path)
        self.stream = stream
        self.threads = threads
        self.apply_rotation = apply_rotation
        self.index_by = index_by
        self.strict = strict
        sniff.check_file(self.path, max_bytes=None)

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` in pixels of the frames that are given."""
        width, height = self._scan.coded_size
        return (height, width) if self._quarter_turns % 2 else (width, height)

    @property
    def frame_count(self) -> int:
        """How many frames are shown, counted by reading the file's packets once."""
        return self._scan.frame_count

    @property
    def declared_frame_count(self) -> int | None:
        """What the header claims; ``None`` if it claims nothing. Often off by one or more."""
        return self._scan.declared_frame_count

    @property
    def timestamps_s(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds after the first; float64 ``[N]``."""
        scan = self._scan
        if len(scan.pts) == scan.frame_count:
            times: NDArray[np.float64] = (scan.pts - scan.pts[0]) * scan.time_base_s
            return times
        return np.arange(scan.frame_count) / scan.nominal_fps

    @property
    def fps(self) -> float:
        """Frames per second, on average over the time stamps."""
        times = self.timestamps_s
        is_timed = len(times) > 1 and times[-1] > 0
        return (len(times) - 1) / float(times[-1]) if is_timed else self._scan.nominal_fps

    @property
    def nominal_fps(self) -> float:
        """Frames per second as the header declares them."""
        return self._scan.nominal_fps

    @property
    def is_variable_rate(self) -> bool:
        """Whether the frames are not evenly spaced in time."""
        times = self.timestamps_s
        if len(times) < 3:
            return False
        even = np.linspace(0.0, times[-1], len(times))
        return bool(np.abs(times - even).max() * self.fps > _RATE_TOLERANCE)

    @property
    def rotation_deg(self) -> int:
        """How far the container's metadata turns the stored frames, counter-clockwise."""
        return self._scan.rotation_deg

    @property
    def codec(self) -> str:
        """The name of the codec, for example ``"h264"``."""
        return self._scan.codec

    def indices_at(self, times_s: Iterable[float]) -> NDArray[np.int64]:
        """Which frame a player shows at each time (seconds after the first frame).

        That is the last frame whose time stamp is not later; times outside of the video give its
        first or last frame. ``video.indices_at(np.arange(n) / 60)`` resamples to 60 per second.
        """
        times = np.asarray(list(times_s), np.float64)
        slack = 1e-6  # a time stamp that equals the time up to rounding counts
        found = np.searchsorted(self.timestamps_s, times + slack, side="right") - 1
        return np.clip(found, 0, self.frame_count - 1).astype(np.int64)

    def iter_frames(
        self, indices: Iterable[int] | None = None
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield ``(index, frame)`` in one forward pass; frames are uint8 RGB ``[H, W, 3]``.

        Only the frames that are asked for are converted to pixels, and decoding stops after the
        last of them.

        Args:
            indices: Strictly rising frame indices; ``None`` for all frames.

        Raises:
            RawFileError: If the indices do not rise, or there are not so many frames.
            UnreadableRawFileError: If a frame cannot be decoded (only if ``strict``); the message
                says how many frames came.
        """
        wanted = self._checked_indices(indices)
        if not wanted:
            return
        given = passed = 0
        for index, frame in self._decode():
            passed += 1
            while given < len(wanted) and wanted[given] < index:
                self._miss(wanted[given], passed - 1)
                given += 1
            if given < len(wanted) and wanted[given] == index:
                yield index, self._pixels(frame)
                given += 1
            if given == len(wanted):
                return
        for index in wanted[given:]:
            self._miss(index, passed)

    def read_frame(self, index: int) -> NDArray[np.uint8]:
        """One frame as uint8 RGB ``[H, W, 3]``; decodes everything before it as well."""
        for _, frame in self.iter_frames([index]):
            return frame
        raise UnreadableRawFileError(f"frame {index} cannot be decoded", where=self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_scan"}

    @property
    def _quarter_turns(self) -> int:
        return self._scan.rotation_deg // 90 % 4 if self.apply_rotation else 0

    def _checked_indices(self, indices: Iterable[int] | None) -> list[int]:
        if indices is None:
            return list(range(self.frame_count))
        wanted = [int(i) for i in indices]
        if any(b <= a for a, b in itertools.pairwise(wanted)):
            raise RawFileError(
                "the frame indices do not rise strictly",
                where=self.path,
                rule="a video is walked through once, forwards",
                fix="sort the indices and remove repetitions",
            )
        if wanted and not (wanted[0] >= 0 and wanted[-1] < self.frame_count):
            worst = wanted[0] if wanted[0] < 0 else wanted[-1]
            raise RawFileError(
                f"frame {worst} was asked for; the video has {self.frame_count} frames",
                where=self.path,
                rule="frames are counted from 0 in order of presentation",
                fix="check that video and annotation belong together, or fetch the video again",
            )
        return wanted

    def _miss(self, index: int, frames_before: int) -> None:
        if self.strict:
            raise UnreadableRawFileError(
                f"frame {index} cannot be decoded: {frames_before} frames came, "
                f"{self.frame_count} are in the file",
                where=self.path,
                fix="fetch the video again, or pass strict=False to use the frames that come",
            )

    def _pixels(self, frame: Any) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
        if (frame.width, frame.height) != self._scan.coded_size:
            raise UnreadableRawFileError(
                f"a frame has {frame.width}x{frame.height} pixels, the first had "
                f"{self._scan.coded_size[0]}x{self._scan.coded_size[1]}",
                where=self.path,
            )
        turns = self._quarter_turns
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def _decode(self) -> Iterator[tuple[int, Any]]:
        """Yield (index, decoded frame) as they come."""
        av = require("av", extra="convert")
        scan = self._scan
        ranks = {int(pts): rank for rank, pts in enumerate(scan.pts)}
        count = 0
        with self._container(av) as (container, stream):
            stream.codec_context.thread_count = self.threads
            stream.thread_type = "AUTO" if self.threads > 1 else "SLICE"
            for frame in self._frames(av, container, stream):
                index = ranks.get(frame.pts, -1) if ranks else count
                if index < 0 or (frame.is_corrupt and self.strict):
                    what = "has an unknown time stamp" if index < 0 else "is damaged"
                    raise UnreadableRawFileError(
                        f"a frame {what}: {count} frames came before it, "
                        f"{scan.frame_count} are in the file",
                        where=self.path,
                        fix="fetch the video again; if other players show it well, pass "
                        "index_by='order' or strict=False",
                    )
                count += 1
                yield index, frame

    def _frames(self, av: Any, container: Any, stream: Any) -> Iterator[Any]:
        """Decode packet by packet; a packet that fails ends the video only if ``strict``."""
        count = 0
        packets = iter(container.demux(stream))
        while True:
            try:
                frames = next(packets).decode()
            except StopIteration:
                return
            except (av.FFmpegError, OSError, ValueError) as error:
                if self.strict:
                    raise UnreadableRawFileError(
                        f"the video is damaged: {count} frames came, then: {error}",
                        where=self.path,
                        fix="fetch the video again, or pass strict=False to skip what fails",
                    ) from None
                continue
            count += len(frames)
            yield from frames

    def _container(self, av: Any) -> _Opened:
        return _Opened(av, self.path, self.stream)

    @cached_property
    def _scan(self) -> _Scan:
        av = require("av", extra="convert")
        stamps: list[int | None] = []
        failure: Exception | None = None
        with self._container(av) as (container, stream):
            is_vp8 = stream.codec_context.name == "vp8"
            try:
                for packet in container.demux(stream):
                    if (
                        packet.size
                        and not packet.is_discard
                        and not (
                            is_vp8 and not bytes(packet)[0] >> 4 & 1  # a frame that is never shown
                        )
                    ):
                        stamps.append(packet.pts)
            except (av.FFmpegError, OSError, ValueError) as error:
                failure = error
            declared = stream.frames if 0 < stream.frames < _MAX_DECLARED_FRAMES else None
            rate = stream.guessed_rate or stream.average_rate
            nominal_fps = float(rate) if rate else math.nan
            time_base_s = float(stream.time_base)
            codec = stream.codec_context.name
        self._refuse_cut(len(stamps), declared, failure)
        size, rotation = self._first_frame(av)
        timed = [stamp for stamp in stamps if stamp is not None]
        is_sound = len(timed) == len(set(timed)) == len(stamps) and self.index_by == "pts"
        return _Scan(
            pts=np.sort(np.array(timed if is_sound else [], np.int64)),
            frame_count=len(stamps),
            time_base_s=time_base_s,
            nominal_fps=nominal_fps,
            declared_frame_count=declared,
            coded_size=size,
            rotation_deg=rotation,
            codec=codec,
        )

    def _refuse_cut(self, count: int, declared: int | None, failure: Exception | None) -> None:
        shortfall = _shortfall(self.path)
        if declared is not None and count >= declared and failure is None:
            shortfall = ""  # only an index behind the last frame is missing
        if count == 0 or (self.strict and (shortfall or failure is not None)):
            claimed = f" of {declared}" if declared else ""
            reason = f" ({failure})" if failure else ""
            raise UnreadableRawFileError(
                f"the video is cut short or damaged: {count}{claimed} frames came"
                f"{shortfall}{reason}",
                where=self.path,
                fix="fetch the video again"
                + (", or pass strict=False to use the frames that come" if count else ""),
            )

    def _first_frame(self, av: Any) -> tuple[tuple[int, int], int]:
        with self._container(av) as (container, stream):
            for frame in self._frames(av, container, stream):
                return (frame.width, frame.height), self._rotation(frame)
        raise UnreadableRawFileError(
            "the video is damaged: 0 frames came", where=self.path, fix="fetch the video again"
        )

    def _rotation(self, frame: Any) -> int:
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return 0
        a, b, _, c, d, *_ = struct.unpack("<9i", bytes(matrix))
        angle = -math.degrees(math.atan2(b, a))
        quarters = round(angle / 90)
        if a * d - b * c <= 0 or abs(angle - 90 * quarters) > 1:
            raise UnreadableRawFileError(
                f"the video's metadata mirror its frames or turn them by {angle:.0f} degrees",
                where=self.path,
                rule="rotations by multiples of 90 degrees are applied",
                fix="re-encode the video with the transformation applied",
            )
        return quarters % 4 * 90


class _Opened:
    """A container opened for reading, with the wanted stream, as a context manager."""

    def __init__(self, av: Any, path: Path, stream: int) -> None:
        self.av = av
        self.path = path
        self.stream = stream

    def __enter__(self) -> tuple[Any, Any]:
        try:
            self.container = self._open()
        except (self.av.FFmpegError, OSError, ValueError) as error:
            raise UnreadableRawFileError(
                f"the video cannot be opened: 0 frames came{_shortfall(self.path)} ({error})",
                where=self.path,
                rule="a video whose end was cut off often cannot be opened at all",
                fix="fetch the video again",
            ) from None
        streams = [s for s in self.container.streams.video if not _is_picture(s)]
        if self.stream >= len(streams):
            self.container.close()
            raise UnreadableRawFileError(
                f"0 frames came: the file has {len(streams)} video streams, number {self.stream} "
                f"was asked for{_shortfall(self.path)}",
                where=self.path,
                fix="choose another stream, or fetch the video again",
            )
        return self.container, streams[self.stream]

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def _open(self) -> Any:
        path = str(self.path.absolute())
        try:  # titles in odd encodings are no reason to refuse a video
            return self.av.open(path, "r", options=_OPTIONS, metadata_errors="ignore")
        except TypeError:  # PyAV 19 always ignores them
            return self.av.open(path, "r", options=_OPTIONS)


def _shortfall(path: Path) -> str:
    missing = (declared_bytes(path) or 0) - path.stat().st_size
    return f", {missing:,} bytes are missing at its end" if missing > 0 else ""


def _is_picture(stream: Any) -> bool:
    return bool(int(stream.disposition.value) & _ATTACHED_PICTURE)


def open_video(path: str | os.PathLike[str], **options: Any) -> Video:
    """The same as ``Video(path, **options)``."""
    return Video(path, **options)


def iter_video_frames(
    path: str | os.PathLike[str], indices: Iterable[int] | None = None, **options: Any
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield ``(index, frame)`` of a video; see :class:`Video` and :meth:`Video.iter_frames`."""
    return Video(path, **options).iter_frames(indices)
