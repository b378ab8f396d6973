"""How many bytes a video file says it has: the surest sign that a download was cut short.

Players are built to make the best of a damaged file, so a decoder often reports a cut video as a
shorter whole one. The box structure of MP4 and QuickTime, the RIFF sizes of AVI and the segment
size of Matroska say how long the file was meant to be.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_NO_SIZE = (0, 0xFFFFFFFF)  # written by recorders that never came back to fill it in


def declared_bytes(path: str | os.PathLike[str]) -> int | None:
    """The size that the container itself declares; ``None`` if it does not say."""
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _end_of_boxes(file, size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return _end_of_riff(file, size)
        if head[:4] == _EBML:
            return _end_of_segment(file)
    return None


def _end_of_boxes(file: BinaryIO, file_bytes: int) -> int | None:
    at = 0
    while at < file_bytes:
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return at + 8  # not even a box header is left
        length, kind = struct.unpack_from(">I4s", header)
        if not all(32 <= c < 127 or c == 0xA9 for c in kind):
            return None  # something else follows the last box
        if length == 0:
            return None  # "up to the end of the file"
        if length == 1:
            if len(header) < 16:
                return at + 16
            (length,) = struct.unpack_from(">Q", header, 8)
        if length < 8:
            return None
        at += length
    return at


def _end_of_riff(file: BinaryIO, file_bytes: int) -> int | None:
    at = 0
    while at + 12 <= file_bytes:
        file.seek(at)
        tag, length, _ = struct.unpack("<4sI4s", file.read(12))
        if tag != b"RIFF":
            break  # some writers append their own data
        if length in _NO_SIZE:
            return None
        at += 8 + length + length % 2
    return at


def _end_of_segment(file: BinaryIO) -> int | None:
    file.seek(4)
    header_bytes = _variable_int(file)
    if header_bytes is None:
        return None
    file.seek(header_bytes, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    segment_bytes = _variable_int(file)
    return None if segment_bytes is None else file.tell() + segment_bytes


def _variable_int(file: BinaryIO) -> int | None:
    """An EBML size: the number of leading zero bits says how many bytes follow."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    raw = first + file.read(extra)
    if len(raw) != 1 + extra:
        return None
    value_bits = 7 * (extra + 1)
    value = int.from_bytes(raw, "big") & ((1 << value_bits) - 1)
    return None if value == (1 << value_bits) - 1 else value  # all ones: not known
