"""What image bytes say about themselves, read without decoding a pixel.

Everything here works on untrusted bytes and allocates nothing that a header asks for: kind of
file, size, bit depth, EXIF orientation, and whether the file is whole as far as its structure
tells.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import Literal

from posepile_torch.errors import ImageError

Kind = Literal["jpeg", "png", "gif", "webp", "tiff", "bmp", "pnm", "jpeg2000"]

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"BM", "bmp"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"P4", "pnm"),
    (b"P5", "pnm"),
    (b"P6", "pnm"),
)

_ORIENTATION_TAG = 0x0112

MAX_PIXELS = 100_000_000
"""Default limit on width times height, checked before anything of that size is allocated."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What the header of a JPEG or PNG promises.

    Attributes:
        size: (width, height) as stored, before any EXIF rotation.
        bit_depth: Bits of one sample.
        orientation: EXIF orientation, 1 (upright) to 8.
        orientation_at: Where in the file its number lies, or None; for rewriting it.
        little_endian: Byte order of that number.
        indexed: Whether pixels are indices into a palette.
        animated: Whether there are several frames.
    """

    size: tuple[int, int]
    bit_depth: int
    orientation: int = 1
    orientation_at: int | None = None
    little_endian: bool = False
    indexed: bool = False
    animated: bool = False


def sniff(data: bytes, *, where: object = None) -> Kind:
    """Name the format of image bytes by how they begin.

    Raises:
        ImageError: With reason ``not_an_image``, and what the bytes are instead where that can be
            told: nothing, zeros, a web page, a git-lfs pointer.
    """
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    found, fix = _instead_of_image(data)
    raise ImageError(
        f"not an image: {found}",
        reason="not_an_image",
        where=where,
        rule="image bytes begin with the mark of a known format",
        fix=fix,
    )


def _instead_of_image(data: bytes) -> tuple[str, str]:
    again = "fetch the file again"
    if not data:
        return "the file is empty", again
    if not data.strip(b"\0"):
        return f"all {len(data)} bytes are zero", f"{again}; the download stopped halfway"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "it is a git-lfs pointer", "run `git lfs pull` where the files were cloned"
    if start.startswith((b"/annex/objects/", b".git/annex/", b"../.git/annex/")):
        return "it is a git-annex pointer", "run `git annex get` where the files were cloned"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "it is a web page or XML", f"{again}, logged in to the site if it asks for that"
    return f"it begins with {data[:8]!r}", f"{again}, or convert it to PNG or JPEG"


def check_size(size: tuple[int, int], max_pixels: int, *, where: object = None) -> None:
    """Refuse an image whose header asks for more than ``max_pixels`` pixels.

    Raises:
        ImageError: With reason ``too_large``.
    """
    if size[0] * size[1] > max_pixels:
        raise ImageError(
            f"the header promises {size[0]}x{size[1]} pixels",
            reason="too_large",
            where=where,
            rule=f"at most {max_pixels} pixels; nothing was decoded",
            fix="if the image is genuine, raise max_pixels",
        )


# ---------------------------------------------------------------------- JPEG

# Start-of-frame markers: all but DHT (C4), JPG (C8) and DAC (CC), which lie among them.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


def jpeg_header(data: bytes, *, max_pixels: int = MAX_PIXELS, where: object = None) -> Header:
    """Read the segments of a JPEG up to its first scan.

    Raises:
        ImageError: ``truncated`` when the bytes end before that, ``damaged`` when the segments
            contradict each other, ``too_large``, or ``unsupported`` for samples of more than
            8 bits.
    """
    frame: tuple[int, int, int] | None = None
    orientation: tuple[int, int | None, bool] = (1, None, False)
    for marker, start, end in _jpeg_segments(data, where):
        if marker in _FRAME_MARKERS:
            if end - start < 6:
                raise _damaged("a JPEG frame header is too short", where)
            depth, height, width = struct.unpack_from(">BHH", data, start)
            check_size((width, height), max_pixels, where=where)
            frame = depth, width, height
        elif marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _exif_orientation(data, start + 6, end)
        elif marker == 0xDA:
            break
    if frame is None or not frame[1] or not frame[2]:
        raise _damaged("the JPEG gives no size", where)
    if frame[0] != 8:
        raise ImageError(
            f"JPEG with {frame[0]} bits a sample",
            reason="unsupported",
            where=where,
            rule="JPEG samples have 8 bits",
            fix="convert the file to PNG or to an ordinary JPEG",
        )
    return Header(frame[1:], frame[0], *orientation)


def is_baseline_jpeg(data: bytes) -> bool:
    """Whether bytes are a sequential JPEG; progressive ones take three times as long to decode."""
    try:
        markers = {marker for marker, _, _ in _jpeg_segments(data, None)}
    except ImageError:
        return False
    return markers & _FRAME_MARKERS <= {0xC0, 0xC1}


def _jpeg_segments(data: bytes, where: object) -> list[tuple[int, int, int]]:
    """List (marker, payload start, payload end) up to and including the first start of scan."""
    segments = []
    position = 2
    while True:
        while data[position : position + 2] == b"\xff\xff":  # fill bytes
            position += 1
        if position + 4 > len(data):
            raise _truncated("the JPEG ends inside its header", where)
        if data[position] != 0xFF:
            raise _damaged(f"no JPEG marker at byte {position}", where)
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker in (0x00, 0xD8, 0xD9):
            raise _damaged(f"JPEG marker {marker:#04x} at byte {position} before any pixel", where)
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end > len(data):
            raise _truncated("the JPEG ends inside its header", where)
        segments.append((marker, position + 4, end))
        if marker == 0xDA:
            return segments
        position = max(end, position + 4)


def _exif_orientation(data: bytes, start: int, end: int) -> tuple[int, int | None, bool]:
    """Read (orientation, its offset, little endian) from a TIFF structure; 1 if there is none."""
    none = (1, None, False)
    mark = data[start : start + 4]
    if mark not in (b"II*\0", b"MM\0*") or end - start < 14:
        return none
    little = mark[:1] == b"I"
    order = "<" if little else ">"
    (offset,) = struct.unpack_from(f"{order}I", data, start + 4)
    entries_at = start + offset
    if offset < 8 or entries_at + 2 > end:
        return none
    (count,) = struct.unpack_from(f"{order}H", data, entries_at)
    for number in range(count):
        at = entries_at + 2 + 12 * number
        if at + 12 > end:
            return none
        tag, kind, length, value = struct.unpack_from(f"{order}HHIH", data, at)
        if (tag, kind, length) == (_ORIENTATION_TAG, 3, 1) and 1 <= value <= 8:
            return value, at + 8, little
    return none


def with_upright_orientation(data: bytes, header: Header) -> bytes:
    """Return the same file with its EXIF orientation set to 1; no pixel is touched."""
    if header.orientation_at is None:
        return data
    number = (1).to_bytes(2, "little" if header.little_endian else "big")
    return data[: header.orientation_at] + number + data[header.orientation_at + 2 :]


# ---------------------------------------------------------------------- PNG

_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def png_header(data: bytes, *, max_pixels: int = MAX_PIXELS, where: object = None) -> Header:
    """Read the header of a PNG and check the frame of the whole file.

    Every chunk is there up to the last, and every checksum is right. Decoders skip some of that.

    Raises:
        ImageError: ``truncated`` when the bytes end before the IEND chunk, ``damaged`` when a
            checksum or the header is wrong, ``too_large``.
    """
    header: Header | None = None
    orientation: tuple[int, int | None, bool] = (1, None, False)
    animated = False
    position = 8
    while True:
        if position + 12 > len(data):
            raise _truncated("the PNG ends before its IEND chunk", where)
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _truncated(f"the PNG ends inside a {kind!r} chunk", where)
        body = memoryview(data)[position + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged(f"checksum of the PNG chunk {kind!r} at byte {position}", where)
        if header is None:
            header = _png_start(kind, bytes(body[4:]), where)
            check_size(header.size, max_pixels, where=where)
        elif kind == b"acTL":
            animated = True
        elif kind == b"eXIf":
            orientation = _exif_orientation(data, position + 8, end - 4)
        elif kind == b"IEND":
            break
        position = end
    return dataclasses.replace(header, orientation=orientation[0], animated=animated)


def _png_start(kind: bytes, body: bytes, where: object) -> Header:
    if kind != b"IHDR" or len(body) != 13:
        raise _damaged("the PNG does not begin with its header chunk", where)
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", body)
    if not width or not height or depth not in _PNG_DEPTHS.get(colour, ()):
        raise _damaged(f"PNG of {width}x{height}, {depth} bits, colour type {colour}", where)
    return Header((width, height), depth, indexed=colour == 3)


def _truncated(what: str, where: object) -> ImageError:
    return ImageError(
        what,
        reason="truncated",
        where=where,
        rule="an image is whole, else part of it would be made up",
        fix="fetch the file again",
    )


def _damaged(what: str, where: object) -> ImageError:
    return ImageError(
        what,
        reason="damaged",
        where=where,
        rule="the structure of an image file is intact",
        fix="fetch the file again; if the source itself is broken, leave it quarantined",
    )
