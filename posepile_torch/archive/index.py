"""The memory-mapped index: one fixed-size row per record.

The file is an ordinary ``.npy`` of a structured type. Its header is compared with the one that
must be there instead of being parsed, and nothing of the file is read before it is asked for, so
that opening costs the same for a thousand and for ten million records.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.layout import INDEX_DTYPE, UNKNOWN_CODE, VOCABULARY_FIELDS
from posepile_torch.archive.storage import storage_errors, write_all
from posepile_torch.errors import ArchiveCorruptError

IndexArray = NDArray[np.void]

#: What to do about a damaged index.
REBUILD = "posepile index rebuild ARCHIVE"

_ROWS_PER_CHUNK = 1 << 16


def npy_header(count: int) -> bytes:
    """Return the bytes with which an index file of ``count`` rows begins."""
    stream = io.BytesIO()
    header = {"descr": INDEX_DTYPE.descr, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def write_index(path: Path, count: int, chunks: Iterable[IndexArray]) -> None:
    """Write an index file from chunks of rows; they must add up to ``count`` rows.

    Raises:
        StorageError: If the disk refuses.
    """
    written = 0
    with storage_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(descriptor, npy_header(count))
            for chunk in chunks:
                written += len(chunk)
                write_all(descriptor, np.ascontiguousarray(chunk, INDEX_DTYPE).tobytes())
        finally:
            os.close(descriptor)
    if written != count:
        raise ArchiveCorruptError(
            f"{written} index rows instead of {count}", archive=path.parent, shard=path.name
        )


def row_chunks(
    rows: Iterable[tuple[int, ...]], code_maps: Mapping[str, NDArray[np.int32]]
) -> Iterator[IndexArray]:
    """Turn tuples of the journal into index rows, a chunk at a time.

    Args:
        rows: Values of all fields but ``reserved``, in the order of the type.
        code_maps: Per vocabulary field, the position in the sorted vocabulary of each code that
            the journal gave out; the last entry stands for "unknown".
    """
    iterator = iter(rows)
    while block := list(islice(iterator, _ROWS_PER_CHUNK)):
        chunk = np.zeros(len(block), INDEX_DTYPE)
        names = INDEX_DTYPE.names or ()
        for name, column in zip(names, zip(*block, strict=True), strict=False):
            chunk[name] = column
        for name in VOCABULARY_FIELDS:
            chunk[name] = code_maps[name][chunk[name]]
        yield chunk


def code_map(codes: Iterable[int]) -> NDArray[np.int32]:
    """Return the table that maps the journal's codes to positions in the sorted vocabulary.

    Args:
        codes: The journal's codes in the order of the sorted vocabulary.
    """
    ordered = np.fromiter(codes, np.int64)
    table = np.full(int(ordered.max(initial=0)) + 2, UNKNOWN_CODE, np.int32)
    table[ordered] = np.arange(len(ordered), dtype=np.int32)
    table[-1] = UNKNOWN_CODE  # where the code -1 (unknown) points
    return table


def open_index(path: Path, count: int) -> IndexArray:
    """Map an index file into memory, read-only and shared by all processes.

    Raises:
        ArchiveCorruptError: If the file is not an index of ``count`` rows.
    """
    header = npy_header(count)
    expected_bytes = len(header) + count * INDEX_DTYPE.itemsize
    try:
        with path.open("rb") as file:
            actual_bytes = os.fstat(file.fileno()).st_size
            if file.read(len(header)) != header or actual_bytes != expected_bytes:
                raise ArchiveCorruptError(
                    f"this is not an index of {count} rows ({actual_bytes:,} bytes, "
                    f"expected {expected_bytes:,})",
                    archive=path.parent,
                    shard=path.name,
                    fix=REBUILD,
                )
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ArchiveCorruptError(
            f"the index cannot be read: {error}", archive=path.parent, shard=path.name
        ) from None
    rows: IndexArray = np.frombuffer(mapped, INDEX_DTYPE, count, offset=len(header))
    return rows


def index_problems(
    index: IndexArray,
    *,
    shard_sizes: Mapping[str, list[int]],
    vocabulary_sizes: Mapping[str, int],
    split_counts: list[int],
) -> list[str]:
    """Check every row of an index for addresses and codes that point nowhere.

    Args:
        index: All rows.
        shard_sizes: ``image`` and ``annotation``: physical size of each shard, bytes.
        vocabulary_sizes: Number of texts per vocabulary field.
        split_counts: Records per split, in the order of the split codes.

    Returns:
        One sentence per kind of problem, empty if all is well.
    """
    problems = []
    expected_splits = np.repeat(np.arange(len(split_counts)), split_counts)
    if not np.array_equal(index["split"], expected_splits):
        problems.append("the rows are not ordered by split as counted in the manifest")
    for kind, sizes in shard_sizes.items():
        problems += _address_problems(index, kind, np.array(sizes, np.uint64))
    for name, size in vocabulary_sizes.items():
        codes = index[name]
        bad = np.count_nonzero((codes < UNKNOWN_CODE) | (codes >= size))
        if bad:
            problems.append(f"{bad} rows have a {name} code outside its vocabulary of {size}")
    if np.any(index["reserved"]):
        problems.append("reserved bytes are not zero")
    return problems


def _address_problems(index: IndexArray, kind: str, sizes: NDArray[np.uint64]) -> list[str]:
    shard, offset = index[f"{kind}_shard"], index[f"{kind}_offset"]
    size = index[f"{kind}_bytes"].astype(np.uint64)
    if np.any(shard >= len(sizes)):
        return [f"{np.count_nonzero(shard >= len(sizes))} rows name a missing {kind} shard"]
    limit = sizes[shard]
    outside = (offset > limit) | (size > limit - np.minimum(offset, limit))
    if np.any(outside):
        return [f"{np.count_nonzero(outside)} rows end behind their {kind} shard"]
    if kind != "annotation":
        return []  # several records may share an image
    order = np.lexsort((offset, shard))
    same = shard[order][1:] == shard[order][:-1]
    overlap = same & (offset[order][1:] < (offset + size)[order][:-1])
    return [f"{np.count_nonzero(overlap)} records overlap"] if np.any(overlap) else []
