"""Writing HDF5 and npz files: a block of records at a time, so that memory stays flat.

The columns are those of :mod:`posepile_torch.archive.export_columns`. Besides them a file has
``meta`` (JSON: skeleton, conventions, where the records came from), ``image`` ``[N]`` (the number
of each record's image), ``image_key`` (one text per image) and, on request, ``image_jpeg`` with
``image_jpeg_offsets`` (the bytes of all images one after another).
:class:`~posepile_torch.archive.exported.ExportedRecords` reads them back.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.export_columns import COLUMNS, Columns, Ragged, to_columns
from posepile_torch.archive.layout import Flag
from posepile_torch.archive.manifest import CONVENTIONS, plain_json
from posepile_torch.archive.reader import Archive
from posepile_torch.archive.storage import storage_errors
from posepile_torch.errors import require
from posepile_torch.record import Record

EXPORT_FORMAT = "posepile-export"
EXPORT_VERSION = 1

_RECORDS_PER_BLOCK = 512
_IMAGES_PER_BLOCK = 64
OFFSETS = "_offsets"

#: Fields of the manifest that travel with exported records.
HEADER_FIELDS = ("source", "card_digest", "plan", "converter_version", "hints", "raw_files")


class _Sink(Protocol):
    def append(self, name: str, values: NDArray[Any] | list[str]) -> None:
        """Append to a column, which is made when it is first seen."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Let go of all resources, whether or not the file is complete."""


def write_columns(
    archive: Archive,
    rows: NDArray[np.int64],
    groups: NDArray[np.int64],
    path: Path,
    format: str,
    with_images: bool,
    progress: Callable[[int, int], None],
) -> tuple[int, int]:
    """Write records as columns.

    Args:
        archive: Where they are read.
        rows: Which, in order.
        groups: Number of the image of each.
        path: File to write.
        format: ``"hdf5"`` or ``"npz"``.
        with_images: Whether to write the JPEG bytes, too.
        progress: Called with what is done and how much there is.

    Returns:
        Number of records and of images written.
    """
    image_count = int(groups.max()) + 1
    with storage_errors(path):
        sink: _Sink = _Hdf5Sink(path) if format == "hdf5" else _NpzSink(path)
        try:
            sink.append("meta", [json.dumps(_meta(archive), sort_keys=True)])
            sink.append("image", groups)
            writer = _BlockWriter(sink, len(archive.skeleton))
            for start in range(0, len(rows), _RECORDS_PER_BLOCK):
                progress(start, len(rows))
                block = rows[start : start + _RECORDS_PER_BLOCK].tolist()
                writer.write([archive.record(row) for row in block])
            _write_images(archive, rows, groups, sink, with_images=with_images)
            sink.finish()
        finally:
            sink.close()
    progress(len(rows), len(rows))
    return len(rows), image_count if with_images else 0


def _meta(archive: Archive) -> dict[str, Any]:
    manifest = archive.manifest
    meta = {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "fingerprint": archive.fingerprint,
        "skeleton": archive.skeleton.to_dict(),
        "conventions": CONVENTIONS,
        "flags": {flag.name.lower(): int(flag) for flag in Flag if flag.name is not None},
        **{name: getattr(manifest, name) for name in HEADER_FIELDS},
    }
    return dict(plain_json(meta, where=archive.path))


def _write_images(
    archive: Archive,
    rows: NDArray[np.int64],
    groups: NDArray[np.int64],
    sink: _Sink,
    *,
    with_images: bool,
) -> None:
    _, first = np.unique(groups, return_index=True)
    end = 0
    if with_images:
        sink.append("image_jpeg" + OFFSETS, np.zeros(1, np.int64))
    for start in range(0, len(first), _IMAGES_PER_BLOCK):
        block = rows[first[start : start + _IMAGES_PER_BLOCK]].tolist()
        sink.append("image_key", [archive.record(row).image_key for row in block])
        if with_images:
            images = [archive.image_bytes(row) for row in block]
            sink.append("image_jpeg", np.frombuffer(b"".join(images), np.uint8))
            ends = end + np.cumsum([len(image) for image in images])
            sink.append("image_jpeg" + OFFSETS, ends.astype(np.int64))
            end = int(ends[-1])


class _BlockWriter:
    """Appends blocks of records; a column begins with the first record that has it."""

    def __init__(self, sink: _Sink, joint_count: int) -> None:
        self._sink = sink
        self._joint_count = joint_count
        self._count = 0
        self._begun: set[str] = set()
        self._ends: dict[str, int] = {}

    def write(self, records: Sequence[Record]) -> None:
        columns = to_columns(records, self._joint_count)
        for column in COLUMNS:
            name = column.name
            if name in columns and name not in self._begun:
                self._begun.add(name)
                self._begin(name, columns)
                for start in range(0, self._count, _RECORDS_PER_BLOCK):
                    self._fill(name, min(_RECORDS_PER_BLOCK, self._count - start))
            if name in columns:
                self._append(name, columns[name])
            elif name in self._begun:
                self._fill(name, len(records))
        self._count += len(records)

    def _begin(self, name: str, columns: Columns) -> None:
        if isinstance(columns[name], Ragged):
            self._ends[name] = 0
            self._sink.append(name, columns[name].values[:0])
            self._sink.append(name + OFFSETS, np.zeros(1, np.int64))

    def _append(self, name: str, values: Any) -> None:
        if not isinstance(values, Ragged):
            self._sink.append(name, values)
            return
        ends = self._ends[name] + np.cumsum(values.lengths)
        self._sink.append(name, values.values)
        self._sink.append(name + OFFSETS, ends)
        self._ends[name] = int(ends[-1])

    def _fill(self, name: str, count: int) -> None:
        """Append ``count`` records that do not have the column."""
        column = next(c for c in COLUMNS if c.name == name)
        if column.kind == "text":
            self._sink.append(name, [""] * count)
        elif column.kind == "ragged":
            self._sink.append(name + OFFSETS, np.full(count, self._ends[name], np.int64))
        else:
            shape = column.entry_shape(self._joint_count)
            self._sink.append(name, np.full((count, *shape), column.empty, column.dtype))


class _Hdf5Sink:
    def __init__(self, path: Path) -> None:
        h5py = require("h5py", extra="convert")
        self._text = h5py.string_dtype()
        self._file = h5py.File(path, "w")

    def append(self, name: str, values: NDArray[Any] | list[str]) -> None:
        if name not in self._file:
            self._create(name, values)
        dataset = self._file[name]
        start = len(dataset)
        dataset.resize(start + len(values), axis=0)
        dataset[start:] = values

    def _create(self, name: str, values: NDArray[Any] | list[str]) -> None:
        is_text = isinstance(values, list)
        tail = () if is_text else values.shape[1:]  # type: ignore[union-attr]
        # JPEGs and masks are compressed already.
        packs = {} if name == "image_jpeg" or is_text else {"compression": "gzip", "shuffle": True}
        per_row = max(1, int(np.prod(tail, dtype=np.int64)))
        rows = 1 << 20 if name == "image_jpeg" else max(1, min(4096, (1 << 17) // per_row))
        self._file.create_dataset(
            name,
            shape=(0, *tail),
            maxshape=(None, *tail),
            chunks=(rows, *(max(1, side) for side in tail)),
            dtype=self._text if is_text else values.dtype,  # type: ignore[union-attr]
            track_times=False,
            **packs,
        )

    def finish(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _NpzSink:
    """Spools each column to a file of its own, and zips them as npy files in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = Path(tempfile.mkdtemp(prefix=f"{path.name}-", dir=path.parent))
        self._spools: dict[str, IO[bytes]] = {}
        self._types: dict[str, tuple[np.dtype[Any] | None, tuple[int, ...]]] = {}
        self._counts: dict[str, int] = {}

    def append(self, name: str, values: NDArray[Any] | list[str]) -> None:
        if name not in self._spools:
            self._spools[name] = (self._folder / name).open("w+b")
            is_text = isinstance(values, list)
            self._types[name] = (
                (None, ()) if is_text else (values.dtype, values.shape[1:])  # type: ignore[union-attr]
            )
            self._counts[name] = 0
        self._counts[name] += len(values)
        if isinstance(values, list):
            data = b"".join(text.encode() + b"\0" for text in values)  # no name holds NUL
        else:
            data = np.ascontiguousarray(values).tobytes()
        self._spools[name].write(data)

    def finish(self) -> None:
        with zipfile.ZipFile(self._path, "w", allowZip64=True) as archive:
            for name, spool in self._spools.items():
                spool.seek(0)
                self._zip(archive, name, spool)

    def close(self) -> None:
        for spool in self._spools.values():
            spool.close()
        shutil.rmtree(self._folder)

    def _zip(self, archive: zipfile.ZipFile, name: str, spool: IO[bytes]) -> None:
        # Without the time of writing, so that equal archives give equal files.
        entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        is_packed = name in ("image_jpeg", "person_mask", "scene_mask")
        entry.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
        dtype, tail = self._types[name]
        chunks: Iterator[bytes]
        if dtype is None:
            dtype = np.dtype(f"<U{max(1, max(map(len, _texts(spool)), default=1))}")
            spool.seek(0)
            chunks = _text_chunks(spool, dtype)
        else:
            chunks = iter(lambda: spool.read(1 << 20), b"")
        with archive.open(entry, "w", force_zip64=True) as target:
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (self._counts[name], *tail),
            }
            np.lib.format.write_array_header_1_0(target, header)
            for chunk in chunks:
                target.write(chunk)


def _texts(spool: IO[bytes]) -> Iterator[str]:
    rest = b""
    while chunk := spool.read(1 << 20):
        *whole, rest = (rest + chunk).split(b"\0")
        for text in whole:
            yield text.decode()


def _text_chunks(spool: IO[bytes], dtype: np.dtype[Any]) -> Iterator[bytes]:
    texts = _texts(spool)
    while block := list(itertools.islice(texts, 4096)):
        yield np.array(block, dtype).tobytes()
