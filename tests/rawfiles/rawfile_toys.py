"""Small raw files in formats that need some care to write."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

_NUMBERS = itertools.count()


def cell(*rows: Sequence[Any]) -> np.ndarray:
    """A cell array as scipy and the library write it: an object array."""
    array = np.empty((len(rows), len(rows[0])), object)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            array[i, j] = value
    return array


def structs(*elements: Mapping[str, Any]) -> np.ndarray:
    """A 1xN struct array: a structured array of objects."""
    array = np.empty((1, len(elements)), [(name, object) for name in elements[0]])
    for i, element in enumerate(elements):
        for name, value in element.items():
            array[0, i][name] = value
    return array


def write_mat_v73(path: Path, variables: Mapping[str, Any]) -> None:
    """Write values in the HDF5 layout of MATLAB v7.3: transposed, with references and marks."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        for name, value in variables.items():
            _put(file, name, value, references)
    data = bytearray(path.read_bytes())
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Fri Nov 20 12:00:00 2026"
    data[:128] = text.ljust(124) + b"\x00\x02IM"
    path.write_bytes(data)


def _put(group: Any, name: str, value: Any, references: Any) -> None:
    import h5py

    if isinstance(value, dict):
        item = group.create_group(name)
        for key, part in value.items():
            _put(item, key, part, references)
        matlab_class = "struct"
    elif isinstance(value, np.ndarray) and value.dtype.names:
        item, matlab_class = group.create_group(name), "struct"
        for key in value.dtype.names:
            item.create_dataset(key, data=_refer(value[key], references), dtype=h5py.ref_dtype)
    elif isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), "<u2").reshape(-1, 1)
        item = _dataset(group, name, codes if value else np.zeros((0, 0)))
        matlab_class = "char"
    elif isinstance(value, np.ndarray) and value.dtype == object:
        if value.size:
            data = _refer(value, references)
            item = group.create_dataset(name, data=data, dtype=h5py.ref_dtype)
        else:
            item = _dataset(group, name, value)
        matlab_class = "cell"
    else:
        value = np.atleast_2d(np.asarray(value))
        named = {"float64": "double", "float32": "single", "bool": "logical"}
        matlab_class = named.get(value.dtype.name, value.dtype.name)
        stored = value.astype("u1") if value.dtype == bool else value
        if value.dtype.kind == "c":
            matlab_class, stored = (
                "double",
                np.empty(value.shape, [("real", "f8"), ("imag", "f8")]),
            )
            stored["real"], stored["imag"] = value.real, value.imag
        item = _dataset(group, name, stored.T if value.size else value)
    item.attrs["MATLAB_class"] = np.bytes_(matlab_class)


def _dataset(group: Any, name: str, stored: np.ndarray) -> Any:
    if stored.size:
        return group.create_dataset(name, data=stored)
    item = group.create_dataset(name, data=np.array(stored.shape, "u8"))
    item.attrs["MATLAB_empty"] = np.uint8(1)
    return item


def _refer(values: np.ndarray, references: Any) -> np.ndarray:
    import h5py

    found = np.empty(values.shape, h5py.ref_dtype)
    for at in np.ndindex(values.shape):
        name = f"r{next(_NUMBERS)}"
        _put(references, name, values[at], references)
        found[at] = references[name].ref
    return found.T


def opaque_element(name: str, matlab_class: str) -> bytes:
    """A variable that holds an object of a MATLAB class, as MATLAB v7 writes it (uncompressed)."""

    def tagged(kind: int, content: bytes) -> bytes:
        return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)

    metadata = tagged(6, struct.pack("<II", 13, 0)) + tagged(5, struct.pack("<ii", 6, 1))
    metadata += tagged(1, b"") + tagged(6, struct.pack("<6I", 0xDD000000, 2, 1, 1, 1, 1))
    body = tagged(6, struct.pack("<II", 17, 0)) + tagged(1, name.encode()) + tagged(1, b"MCOS")
    return tagged(14, body + tagged(1, matlab_class.encode()) + tagged(14, metadata))


def write_c3d(
    path: Path,
    points: np.ndarray,
    residuals: np.ndarray,
    *,
    processor: int = 84,
    scale: float = -1.0,
    units: str | None = "mm",
    labels: Sequence[str] = (),
    analog: int = 0,
    trial_frames: int | None = None,
) -> None:
    """Write points ``[T, J, 3]`` and residual words ``[T, J]`` in any of the number formats."""
    order = ">" if processor == 86 else "<"
    frames, count = residuals.shape

    def real(values: Any) -> bytes:
        values = np.asarray(values, np.float32)
        if processor != 85:
            return values.astype(f"{order}f4").tobytes()
        halves = (values * 4).astype("<f4").view("<u2").reshape(-1, 2)[:, ::-1]
        return np.ascontiguousarray(halves).tobytes()

    def record(name: str, number: int, rest: bytes) -> bytes:
        offset = struct.pack(f"{order}h", 2 + len(rest))
        return struct.pack("bb", len(name), number) + name.encode() + offset + rest

    def parameter(name: str, number: int, kind: int, shape: Sequence[int], data: bytes) -> bytes:
        return record(
            name, number, struct.pack("bB", kind, len(shape)) + bytes(shape) + data + b"\0"
        )

    def word(*values: int) -> bytes:
        return struct.pack(f"{order}{len(values)}H", *values)

    width = 4 if scale < 0 else 2
    data_block = 2 + 4
    tree = record("POINT", -1, b"\0")
    tree += parameter("USED", 1, 2, (), word(count))
    tree += parameter("FRAMES", 1, 2, (), word(frames & 0xFFFF))
    tree += parameter("DATA_START", 1, 2, (), word(data_block))
    tree += parameter("SCALE", 1, 4, (), real([scale]))
    tree += parameter("RATE", 1, 4, (), real([50.0]))
    if units is not None:
        tree += parameter("UNITS", 1, -1, (4,), units.encode().ljust(4))
    text = b"".join(label.encode().ljust(8) for label in labels)
    tree += parameter("LABELS", 1, -1, (8, len(labels)), text)
    if trial_frames is not None:
        tree += record("TRIAL", -2, b"\0")
        tree += parameter("ACTUAL_START_FIELD", 2, 2, (2,), word(1, 0))
        end = word(trial_frames & 0xFFFF, trial_frames >> 16)
        tree += parameter("ACTUAL_END_FIELD", 2, 2, (2,), end)
    parameters = (b"\x01\x50" + bytes([4, processor]) + tree + b"\0\0").ljust(4 * 512, b"\0")
    last = min(frames if trial_frames is None else trial_frames, 0xFFFF)
    header = b"\x02\x50" + word(count, analog, 1, last, 10) + real([scale])
    header += word(data_block, min(analog, 1)) + real([50.0])
    table = np.zeros((frames, 4 * count + analog))
    table[:, : 4 * count] = np.concatenate([points, residuals[..., None]], -1).reshape(frames, -1)
    content = real(table) if width == 4 else table.astype(f"{order}i2").tobytes()
    path.write_bytes(header.ljust(512, b"\0") + parameters + content)


def write_video(
    path: Path,
    frames: int = 12,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    times_ms: Sequence[int] | None = None,
    rotation_deg: int | None = None,
    faststart: bool = False,
    bit_rate: int | None = None,
) -> None:
    """A video whose frame ``i`` has the grey level ``20 + 8 i`` and a white upper left corner."""
    import av

    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        if rotation_deg is not None:
            stream.set_display_rotation(rotation_deg)
        for i in range(frames):
            pixels = np.full((size[1], size[0], 3), 20 + 8 * i, np.uint8)
            pixels[: size[1] // 4, : size[0] // 4] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def frame_number(pixels: np.ndarray) -> int:
    """Which frame of :func:`write_video` this is, by its grey level."""
    return round((float(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].mean()) - 20) / 8)
