"""The two levels of verification that look into every image and record."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posepile_torch.archive.bones import BoneSums
from posepile_torch.archive.containers import Entry, container_entries, open_container
from posepile_torch.archive.finishing import totals_of
from posepile_torch.archive.journal import Journal
from posepile_torch.archive.layout import ANNOTATIONS, IMAGES, INDEX_FILE, flags_of
from posepile_torch.archive.reader import Archive
from posepile_torch.archive.rebuild import index_chunks, vocabularies_of
from posepile_torch.archive.report import Findings, Progress
from posepile_torch.archive.semantics import semantic_findings
from posepile_torch.archive.shard_reader import ShardReader
from posepile_torch.archive.shards import Address
from posepile_torch.errors import ArchiveCorruptError, PosepileError
from posepile_torch.images import decode_image, decode_jpeg
from posepile_torch.record import decode_record, validate_record

_PROGRESS_EVERY = 100


def verify_records(
    archive: Archive, findings: Findings, *, is_semantic: bool, progress: Progress
) -> None:
    """Decode every image and record, and derive index and statistics again.

    Args:
        archive: An archive whose structure is sound.
        findings: Where problems are noted.
        is_semantic: Whether to look for implausible content, too.
        progress: Called with what is done, how much of it, and of how much.
    """
    shards = ShardReader(archive.path)
    with tempfile.TemporaryDirectory() as scratch:
        journal = Journal(Path(scratch) / "journal.sqlite")
        try:
            checker = _RecordChecker(archive, shards, journal, findings)
            checker.check_images(progress)
            checker.check_records(progress, is_semantic=is_semantic)
            if not findings.has_errors:
                checker.check_derived()
        except ArchiveCorruptError as error:
            findings.add("container", error)
        finally:
            journal.close()
            shards.close()


def verify_rows(archive: Archive, findings: Findings, *, depth: int, progress: Progress) -> None:
    """Read an archive that has nothing but its rows to be compared with.

    Args:
        archive: An archive of schema 0.
        findings: Where problems are noted.
        depth: Position of the level in ``LEVELS``.
        progress: Called with what is done, how much of it, and of how much.
    """
    if depth == 0:
        return
    means_mm = archive.manifest.mean_bone_lengths_mm["train"]
    for row in archive.split_range():
        if row % _PROGRESS_EVERY == 0:
            progress("reading rows", row, len(archive))
        try:
            image = archive.image_bytes(row)
            record = archive.record(row)
            if depth >= 2:
                decode_image(image, where=record.image_key)
                validate_record(record, archive.skeleton)
        except PosepileError as error:
            findings.add("record", f"row {row}: {error}")
            continue
        if depth >= 3:
            for kind, message, is_warning in semantic_findings(record, archive.skeleton, means_mm):
                findings.add(kind, f"{record.key}: {message}", is_warning=is_warning)


class _RecordChecker:
    """Replays an archive into a journal of its own, noting whatever does not fit."""

    def __init__(
        self, archive: Archive, shards: ShardReader, journal: Journal, findings: Findings
    ) -> None:
        self._archive = archive
        self._shards = shards
        self._journal = journal
        self._findings = findings
        self._bones = BoneSums(archive.skeleton)

    def _entries(self, container: str, progress: Progress) -> Iterator[Entry]:
        totals = self._archive.manifest.totals
        total = totals.images if container == IMAGES else totals.records
        with open_container(self._archive.path / container) as database:
            for done, entry in enumerate(container_entries(database)):
                if done % _PROGRESS_EVERY == 0:
                    progress(f"decoding {container}", done, total)
                yield entry

    def check_images(self, progress: Progress) -> None:
        """Decode every image and note its size."""
        for key, *address in self._entries(IMAGES, progress):
            try:
                pixels = decode_jpeg(self._shards.read(IMAGES, *address), where=key)
                size = pixels.shape[1], pixels.shape[0]
                self._journal.add_image(key, Address(*address), size)
            except PosepileError as error:
                self._findings.add("image", f"{key}: {error.what}")

    def check_records(self, progress: Progress, *, is_semantic: bool) -> None:
        """Decode every record, compare it with key, skeleton and image, and judge its content."""
        manifest = self._archive.manifest
        means_mm = manifest.mean_bone_lengths_mm["train"]
        for key, *address in self._entries(ANNOTATIONS, progress):
            try:
                record = decode_record(self._shards.read(ANNOTATIONS, *address), where=key)
                validate_record(record, self._archive.skeleton)
                problem = self._image_problem(record.image_key, record.image_size)
                if record.key != key:
                    problem = f"the record calls itself {record.key}"
                if problem is not None:
                    self._findings.add("record", f"{key}: {problem}")
                    continue
                image = self._journal.find_image(record.image_key)
                number = 0 if image is None else image[0]
                self._journal.add_record(record, Address(*address), number, flags_of(record))
            except PosepileError as error:
                self._findings.add("record", f"{key}: {error.what}; {error.rule or ''}")
                continue
            self._bones.add(record)
            if is_semantic:
                found = semantic_findings(record, self._archive.skeleton, means_mm)
                for kind, message, is_warning in found:
                    self._findings.add(kind, f"{key}: {message}", is_warning=is_warning)

    def _image_problem(self, key: str, size: tuple[int, int]) -> str | None:
        image = self._journal.find_image(key)
        if image is None:
            return f"its image {key} is missing or damaged"
        if image[1] != size:
            return f"its image is {image[1]}, the record says {size}"
        return None

    def check_derived(self) -> None:
        """Compare index, counts, vocabularies and bone lengths with what the records give."""
        start = wrong = 0
        for chunk in index_chunks(self._journal):
            rows = self._archive.index[start : start + len(chunk)]
            wrong += int(np.count_nonzero(rows != chunk))
            start += len(chunk)
        if wrong:
            self._findings.add("index", f"{INDEX_FILE}: {wrong} rows differ from their records")
        manifest = self._archive.manifest
        derived: Mapping[str, Any] = {
            "totals": totals_of(self._journal),
            "mean_bone_lengths_mm": self._bones.means_mm(),
        }
        for name, value in derived.items():
            if getattr(manifest, name) != value:
                self._findings.add("manifest", f"{name} differ from what the records give")
        for field, texts in vocabularies_of(self._journal).items():
            if self._archive.vocabulary(field) != texts:
                self._findings.add("manifest", f"vocabulary {field} differs from the records")
