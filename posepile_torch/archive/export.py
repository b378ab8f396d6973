"""Writing an archive in the formats of others: schema 0 of PosePile, HDF5 and npz.

Nothing is visible under the chosen name before it is whole. What a format cannot hold is counted
in the :class:`ExportReport`; the layouts are described in ``docs/interop.md``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.containers import Entry, write_container_index
from posepile_torch.archive.layout import ANNOTATIONS, DEFAULT_SHARD_LIMIT_BYTES, IMAGES
from posepile_torch.archive.legacy_files import METADATA_KEY
from posepile_torch.archive.legacy_records import RecordName
from posepile_torch.archive.legacy_writing import (
    encode_legacy,
    inexpressible,
    lost_fields,
    stored_joints,
)
from posepile_torch.archive.reader import Archive
from posepile_torch.archive.shards import ShardWriter
from posepile_torch.archive.storage import fsync_path, remove_folder, storage_errors
from posepile_torch.errors import ArchiveError, UnknownNameError
from posepile_torch.keys import check_archive_path
from posepile_torch.packing import packed
from posepile_torch.record import Record
from posepile_torch.record_rules import SPLITS

FORMATS = ("schema0", "hdf5", "npz")

#: Called with the number of records that are done and the number there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and what it could not.

    Attributes:
        path: The folder (schema 0) or file that was written.
        format: One of :data:`FORMATS`.
        records: Number of records written.
        images: Number of images written.
        skipped: Records that have no form in the format, by reason.
        lost: Records per field that the format does not hold.
        max_error: Largest rounding error per field: ``joints3d_mm``, ``joints2d_px``, ``box_px``.
    """

    path: Path
    format: str
    records: int
    images: int
    skipped: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    max_error: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return dataclasses.asdict(self) | {"path": str(self.path)}


def export_archive(
    archive: Archive,
    out: str | os.PathLike[str],
    format: str,
    *,
    splits: Sequence[str] = SPLITS,
    images: bool | None = None,
    float16: bool = False,
    on_progress: Progress | None = None,
) -> ExportReport:
    """Write an archive in another format.

    Args:
        archive: What to write; an archive of any schema.
        out: Folder (schema 0) or file (HDF5, npz) to make; it must not exist.
        format: ``"schema0"``, ``"hdf5"`` or ``"npz"``.
        splits: Which splits to write.
        images: Whether to write the images; by default in schema 0 only.
        float16: In schema 0, store the rounded numbers that PosePile itself stored.
        on_progress: Called now and then.

    Raises:
        UnknownNameError: If format or split are not known.
        ArchiveError: If something lies at ``out``, or there is no record to write.
        MissingDependencyError: If h5py is needed and not installed.
        StorageError: If the disk refuses.
    """
    if format not in FORMATS:
        raise UnknownNameError.among("export format", format, FORMATS)
    target = check_archive_path(out)
    if target.exists() or target.is_symlink():
        raise ArchiveError(
            "something is there already",
            where=target,
            rule="an export never overwrites",
            fix="remove it, or choose another name",
        )
    wanted = _checked(splits)
    parts = [archive.rows(split=split) for split in SPLITS if split in wanted]
    rows = np.concatenate([np.zeros(0, np.int64), *parts])
    if not len(rows):
        raise ArchiveError(
            f"there are no records in the splits {list(splits)}",
            where=archive.path,
            fix="choose others, or all by leaving them out",
        )
    progress = on_progress or _no_progress
    with _published(target) as place:
        if format == "schema0":
            export = _Schema0Export(archive, rows, place, float16=float16, progress=progress)
            return export.write(target, with_images=images is not False)
        from posepile_torch.archive.export_files import write_columns

        counts = write_columns(
            archive, rows, image_numbers(archive, rows), place, format, bool(images), progress
        )
    return ExportReport(target, format, *counts)


def _checked(splits: Sequence[str]) -> Sequence[str]:
    for split in splits:
        if split not in SPLITS:
            raise UnknownNameError.among("split", split, SPLITS)
    return splits


def _no_progress(done: int, total: int) -> None:
    pass


@contextlib.contextmanager
def _published(target: Path) -> Iterator[Path]:
    """Yield a place beside ``target`` that takes its name when the block ends well."""
    place = target.with_name(f".exporting-{target.name}")
    with storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    _remove(place)
    try:
        yield place
        with storage_errors(target):
            fsync_path(place)
            place.rename(target)
            fsync_path(target.parent)
    finally:
        _remove(place)


def _remove(place: Path) -> None:
    if place.is_dir():
        remove_folder(place)
    else:
        with storage_errors(place):
            place.unlink(missing_ok=True)


def image_numbers(archive: Archive, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for the image of each row: equal for equal images, in order of appearance.

    Images in a container are told apart by their address. For those outside of any (loose files
    of schema 0) the records are read.
    """
    index = archive.index
    ids = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), 1 << 16):
        part = index[rows[start : start + (1 << 16)]]
        ids[start : start + len(part)] = (part["image_shard"].astype(np.uint64) << 47) | part[
            "image_offset"
        ]
        for i in np.flatnonzero(part["image_bytes"] == 0):
            key = archive.record(int(rows[start + i])).image_key
            digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
            ids[start + i] = int.from_bytes(digest, "little") | (1 << 63)
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse])


def _counters(groups: NDArray[np.int64], splits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number the rows of each (split, image), from 0 in order."""
    order = np.lexsort((np.arange(len(groups)), groups, splits))
    changes = (np.diff(groups[order]) != 0) | (np.diff(splits[order]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    lengths = np.diff(np.concatenate([starts, [len(order)]]))
    counters = np.empty(len(order), np.int64)
    counters[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return counters


class _Schema0Export:
    """Two BareCat containers with the keys and fields of PosePile."""

    def __init__(
        self,
        archive: Archive,
        rows: NDArray[np.int64],
        folder: Path,
        *,
        float16: bool,
        progress: Progress,
    ) -> None:
        self._archive = archive
        self._rows = rows
        self._folder = folder
        self._float16 = float16
        self._progress = progress
        self._groups = image_numbers(archive, rows)
        self._is_shown = np.zeros(int(self._groups.max()) + 1, np.bool_)
        splits = archive.index["split"][rows]
        self._counters = _counters(self._groups, splits)
        self._skipped: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._errors = {"joints3d_mm": 0.0, "joints2d_px": 0.0, "box_px": 0.0}
        self._written = 0

    def write(self, target: Path, *, with_images: bool) -> ExportReport:
        with storage_errors(self._folder):
            self._folder.mkdir()
        self._write_container(ANNOTATIONS, self._annotations())
        if with_images:
            self._write_container(IMAGES, self._images())
        return ExportReport(
            path=target,
            format="schema0",
            records=self._written,
            images=int(self._is_shown.sum()) if with_images else 0,
            skipped=dict(self._skipped),
            lost=dict(self._lost),
            max_error=self._errors,
        )

    def _write_container(self, name: str, items: Iterator[tuple[str, bytes]]) -> None:
        shards = ShardWriter(self._folder, name, limit_bytes=DEFAULT_SHARD_LIMIT_BYTES)

        def entries() -> Iterator[Entry]:
            # Every entry is written while its row is: none of them is kept.
            for key, data in items:
                yield (key, *shards.append(data))

        try:
            path = self._folder / name
            write_container_index(path, entries(), DEFAULT_SHARD_LIMIT_BYTES)
            shards.sync()
            fsync_path(path)
        finally:
            shards.close()

    def _annotations(self) -> Iterator[tuple[str, bytes]]:
        yield METADATA_KEY, self._metadata()
        for done, row in enumerate(self._rows.tolist()):
            if done % 256 == 0:
                self._progress(done, len(self._rows))
            record = self._archive.record(row)
            reason = inexpressible(record)
            if reason is not None:
                self._skipped[reason] += 1
                continue
            name = RecordName(record.split, record.image_key, int(self._counters[done]))
            self._note_losses(record)
            self._written += 1
            self._is_shown[self._groups[done]] = True
            yield name.key, encode_legacy(record, float16=self._float16)
        self._progress(len(self._rows), len(self._rows))

    def _metadata(self) -> bytes:
        skeleton, bones = self._archive.skeleton, self._archive.manifest.mean_bone_lengths_mm
        fields: dict[str, Any] = {
            "joint_names": list(skeleton.joints),
            "joint_edges": [list(edge) for edge in skeleton.edges],
        }
        for split in ("train", "trainval"):
            lengths = bones.get(split, ())
            values = [np.nan if length is None else length for length in lengths]
            fields[f"{split}_bone_lengths"] = np.array(values, np.float32)
        return packed(fields)

    def _note_losses(self, record: Record) -> None:
        self._lost.update(lost_fields(record))
        errors = {
            "joints3d_mm": _rounding(record.joints3d, self._float16),
            "joints2d_px": _rounding(record.joints2d, self._float16),
            "box_px": float(np.abs(record.box - np.round(record.box)).max())
            if self._float16
            else _rounding(record.box[None], False),
        }
        self._errors = {name: max(self._errors[name], error) for name, error in errors.items()}

    def _images(self) -> Iterator[tuple[str, bytes]]:
        _, first = np.unique(self._groups, return_index=True)
        for row in self._rows[first[self._is_shown]].tolist():
            yield self._archive.record(row).image_key, self._archive.image_bytes(row)


def _rounding(values: NDArray[np.float64] | None, float16: bool) -> float:
    """Largest error of storing finite numbers as float32, or as PosePile's float16."""
    if values is None:
        return 0.0
    known = values[np.isfinite(values).all(axis=-1)]
    stored = stored_joints(known, float16)
    return float(np.abs(stored.astype(np.float64) - known).max(initial=0.0))
