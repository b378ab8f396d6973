"""Verification of an archive, from file sizes to the meaning of every record."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.containers import container_entries, open_container
from posepile_torch.archive.finishing import content_digest_of
from posepile_torch.archive.index import IndexArray, index_problems
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    CONTAINERS,
    IMAGES,
    INDEX_FILE,
    MANIFEST_FILE,
    VOCABULARY_FIELDS,
)
from posepile_torch.archive.manifest import Manifest, is_as_written, read_manifest
from posepile_torch.archive.opening import (
    check_listing,
    check_side_files,
    existing_folder,
    shard_sizes,
    shard_sizes_by_kind,
)
from posepile_torch.archive.reader import Archive, is_schema_0, open_archive
from posepile_torch.archive.report import LEVELS, Findings, Progress, VerifyReport
from posepile_torch.archive.shard_reader import ShardReader
from posepile_torch.archive.storage import ends_crc32c, sha256_of
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveError,
    ManifestError,
    SchemaVersionError,
    UnknownNameError,
)
from posepile_torch.keys import check_archive_path, is_key
from posepile_torch.record_rules import SPLITS

_PROGRESS_EVERY = 500


def verify_archive(
    path: str | os.PathLike[str], level: str = "crc", *, on_progress: Progress | None = None
) -> VerifyReport:
    """Check an archive and report everything that is wrong with it.

    Of a PosePile archive (schema 0), which has no manifest, opening, CRCs, decoding and content
    are checked, row by row. The levels, each including the ones before it:

    - ``quick``: manifest, files and sizes, hashes of everything but the shards, structure of the
      container indexes and of ``index.npy``, and their agreement.
    - ``crc``: CRC32C of every entry and SHA-256 of every file.
    - ``decode``: every image decodes and has the size that its records say; every record decodes,
      keeps the conventions and has the index row that it should; all counts and statistics of the
      manifest are derived again.
    - ``semantic``: boxes, cameras, projections, depths, masks and bone lengths make sense.

    Args:
        path: Folder of the archive.
        level: How thoroughly.
        on_progress: Called now and then.

    Returns:
        The findings; data that is wrong is never an exception.

    Raises:
        ArchiveNotFoundError: If there is no archive.
        ArchiveIncompleteError: If it is still being written.
        SchemaVersionError: If it was written by a newer version of the library.
    """
    if level not in LEVELS:
        raise UnknownNameError.among("verification level", level, LEVELS)
    depth = LEVELS.index(level)
    findings = Findings()
    progress = on_progress or _no_progress
    given = check_archive_path(path)
    if is_schema_0(given):
        return _verify_schema_0(given, level, findings, progress)
    folder = existing_folder(given)
    try:
        manifest = read_manifest(folder)
    except SchemaVersionError:
        raise
    except ManifestError as error:
        findings.add("manifest", error)
        return findings.report(folder, level, 0, 0)
    if not is_as_written((folder / MANIFEST_FILE).read_bytes()):
        findings.add("manifest", f"{MANIFEST_FILE}: its bytes were changed, not its content")
    usable = _verify_files(folder, manifest, findings, with_shards=depth >= 1, progress=progress)
    addresses: dict[str, NDArray[np.uint64]] = {}
    for container in CONTAINERS:
        if container in usable:
            _verify_container(folder, container, manifest, findings, addresses, depth, progress)
    if INDEX_FILE in usable and len(addresses) == len(CONTAINERS):
        _verify_index(folder, manifest, findings, addresses)
    if depth >= 2 and not findings.has_errors:
        # imported here: decoding needs OpenCV and libjpeg-turbo, the levels below do not
        from posepile_torch.archive.verify_records import verify_records

        with Archive(folder) as archive:
            verify_records(archive, findings, is_semantic=depth >= 3, progress=progress)
    totals = manifest.totals
    return findings.report(folder, level, totals.records, totals.images)


def _verify_schema_0(
    path: Path, level: str, findings: Findings, progress: Progress
) -> VerifyReport:
    """Verify a PosePile archive: opening it, then reading, decoding and judging every row."""
    from posepile_torch.archive.verify_records import verify_rows

    with open_archive(path) as archive:
        verify_rows(archive, findings, depth=LEVELS.index(level), progress=progress)
        totals = archive.manifest.totals
        return findings.report(archive.path, level, totals.records, totals.images)


def _no_progress(what: str, done: int, total: int) -> None:
    pass


def _verify_files(
    folder: Path, manifest: Manifest, findings: Findings, *, with_shards: bool, progress: Progress
) -> set[str]:
    """Compare all files with the manifest; return the names of those that can be used."""
    for check in (check_listing, check_side_files):
        try:
            check(folder, manifest)
        except ArchiveError as error:
            findings.add("files", error)
    usable = set()
    hashed = 0
    total = sum(file.bytes for file in manifest.files.values())
    for name, stored in manifest.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != stored.bytes:
                findings.add("files", f"{name}: {size:,} bytes instead of {stored.bytes:,}")
                continue
            if ends_crc32c(path) != stored.ends_crc32c:
                findings.add("files", f"{name}: the file begins or ends with other bytes")
            elif "-shard-" not in name or with_shards:
                progress("hashing files", hashed, total)
                if sha256_of(path) != stored.sha256:
                    findings.add("files", f"{name}: SHA-256 differs from the manifest")
            hashed += stored.bytes
            usable.add(name)
        except FileNotFoundError:
            findings.add("files", f"{name}: missing")
        except OSError as error:
            findings.add("files", f"{name}: cannot be read: {error}")
    return usable


def _verify_container(
    folder: Path,
    container: str,
    manifest: Manifest,
    findings: Findings,
    addresses: dict[str, NDArray[np.uint64]],
    depth: int,
    progress: Progress,
) -> None:
    totals = manifest.totals
    expected = totals.images if container == IMAGES else totals.records
    shards = ShardReader(folder)
    try:
        with open_container(folder / container) as database:
            for (result,) in database.execute("PRAGMA integrity_check(20)"):
                if result != "ok":
                    findings.add("container", f"{container}: {result}")
            rows = array("Q")
            checker = _EntryChecker(container, shard_sizes(manifest, container), findings)
            for done, entry in enumerate(container_entries(database)):
                if done % _PROGRESS_EVERY == 0:
                    progress(f"checking {container}", done, expected)
                if checker.check(entry):
                    rows.extend(entry[1:])
                    if depth >= 1:
                        _check_crc(shards, container, entry, findings)
        addresses[container] = np.array(rows, np.uint64).reshape(-1, 4)
        count = len(addresses[container])
        if count != expected:
            findings.add("container", f"{container}: {count} entries instead of {expected}")
        if content_digest_of(folder / container) != manifest.content_digests.get(container):
            findings.add("container", f"{container}: keys, sizes or CRCs differ from the manifest")
    except ArchiveCorruptError as error:
        findings.add("container", error)
    finally:
        shards.close()


def _check_crc(
    shards: ShardReader, container: str, entry: tuple[str, int, int, int, int], findings: Findings
) -> None:
    try:
        shards.read(container, *entry[1:])
    except ArchiveCorruptError as error:
        findings.add("crc", f"{error.shard}, byte {error.offset}, key {entry[0]}: {error.what}")


class _EntryChecker:
    """Structural rules of a container's entries, seen in the order of their addresses."""

    def __init__(self, container: str, sizes: list[int], findings: Findings) -> None:
        self._container = container
        self._sizes = sizes
        self._findings = findings
        self._previous_end = (0, 0)

    def check(self, entry: tuple[str, int, int, int, int]) -> bool:
        """Return whether the entry can be read; note what is wrong with it."""
        key, shard, offset, size, crc = entry
        problem = self._problem(key, shard, offset, size, crc)
        if problem is not None:
            self._findings.add("container", f"{self._container}: {key!r:.200}: {problem}")
            return False
        self._previous_end = (shard, offset + size)
        return True

    def _problem(
        self, key: object, shard: object, offset: object, size: object, crc: object
    ) -> str | None:
        if not is_key(key):
            return "an unusable key (absolute, '..', not NFC, ...)"
        if crc is None:
            return "no CRC32C is stored"
        # SQLite columns hold any type; a damaged or hostile index may hold text here
        if not (
            isinstance(shard, int)
            and isinstance(offset, int)
            and isinstance(size, int)
            and isinstance(crc, int)
        ):
            return "the address is not made of whole numbers"
        if not 0 <= shard < len(self._sizes):
            return f"shard {shard} of {len(self._sizes)}"
        if offset < 0 or size < 0 or offset + size > self._sizes[shard] or not 0 <= crc < 2**32:
            return f"bytes {offset} to {offset + size} of a shard of {self._sizes[shard]}"
        if (shard, offset) < self._previous_end:
            return "overlaps the entry before it"
        return None


def _verify_index(
    folder: Path,
    manifest: Manifest,
    findings: Findings,
    addresses: dict[str, NDArray[np.uint64]],
) -> None:
    sizes = shard_sizes_by_kind(manifest)
    try:
        with Archive(folder) as archive:
            index = archive.index
            problems = index_problems(
                index,
                shard_sizes=sizes,
                vocabulary_sizes={f: len(archive.vocabulary(f)) for f in VOCABULARY_FIELDS},
                split_counts=[manifest.totals.splits.get(split, 0) for split in SPLITS],
            )
    except ArchiveError as error:
        findings.add("index", error)
        return
    if not problems:
        records = _sorted_rows(_columns(index, "annotation"))
        if not np.array_equal(records, addresses[ANNOTATIONS]):
            problems.append(f"its record addresses differ from {ANNOTATIONS}")
        images = _columns(index, "image")
        if not _are_all_in(images, addresses[IMAGES], np.array(sizes["image"], np.uint64)):
            problems.append(f"it has image addresses that are not in {IMAGES}")
    for problem in problems:
        findings.add("index", f"{INDEX_FILE}: {problem}")


def _are_all_in(
    rows: NDArray[np.uint64], known: NDArray[np.uint64], sizes: NDArray[np.uint64]
) -> bool:
    """Tell whether every address in ``rows`` is one of ``known``, which are in order."""
    if not len(rows) or not len(known):
        return len(rows) == 0
    starts = np.cumsum(sizes) - sizes  # shards laid end to end give one number per address
    positions = np.searchsorted(
        starts[known[:, 0]] + known[:, 1], starts[rows[:, 0]] + rows[:, 1]
    ).clip(max=len(known) - 1)
    return bool(np.array_equal(known[positions], rows))


def _columns(index: IndexArray, kind: str) -> NDArray[np.uint64]:
    fields = ("shard", "offset", "bytes", "crc32c")
    return np.stack([index[f"{kind}_{field}"].astype(np.uint64) for field in fields], axis=1)


def _sorted_rows(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]
