"""Writing the files that make a finished pile of shards an archive: indexes and manifest."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

from posepile_torch.archive.bones import BoneSums
from posepile_torch.archive.containers import (
    Entry,
    container_entries,
    open_container,
    write_container_index,
)
from posepile_torch.archive.index import write_index
from posepile_torch.archive.journal import Journal
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    CONTAINERS,
    FLAG_ATTRIBUTES,
    IMAGES,
    INDEX_FILE,
    MANIFEST_FILE,
    VOCABULARIES_FILE,
)
from posepile_torch.archive.manifest import (
    ArchiveHeader,
    Manifest,
    Skipped,
    Totals,
    UnitSummary,
    canonical_bytes,
    digest_of,
    split_vocabularies,
)
from posepile_torch.archive.rebuild import index_chunks, vocabularies_of
from posepile_torch.archive.storage import describe_file, fsync_path, write_file
from posepile_torch.record_rules import SPLITS


def write_published_files(
    folder: Path,
    header: ArchiveHeader,
    shard_limit_bytes: int,
    journal: Journal,
    bones: BoneSums,
) -> Manifest:
    """Write both container indexes, ``index.npy`` and, last, the manifest; make all durable.

    The result depends on what was added, in which order, and on nothing else.
    """
    for leftover in (*CONTAINERS, INDEX_FILE, VOCABULARIES_FILE, MANIFEST_FILE):
        (folder / leftover).unlink(missing_ok=True)
    for container in CONTAINERS:
        write_container_index(folder / container, journal.entries(container), shard_limit_bytes)
    write_index(folder / INDEX_FILE, journal.record_count, index_chunks(journal))
    inline, large = split_vocabularies(vocabularies_of(journal))
    if large:
        write_file(folder / VOCABULARIES_FILE, canonical_bytes(large) + b"\n")
    names = sorted(path.name for path in folder.iterdir())
    for name in names:
        fsync_path(folder / name)
    plan = header.to_json()["plan"]
    manifest = Manifest(
        source=header.source,
        skeleton=header.skeleton,
        card_digest=header.card_digest,
        plan=plan,
        plan_digest=digest_of(plan),
        converter_version=header.converter_version,
        library_version=library_version(),
        hints=header.to_json()["hints"],
        precision=header.precision,
        raw_files=header.to_json()["raw_files"],
        units=_units(journal, header),
        totals=totals_of(journal),
        skipped={
            reason: Skipped(count=count, items=items)
            for reason, (count, items) in journal.skipped().items()
        },
        mean_bone_lengths_mm=bones.means_mm(),
        vocabularies=inline,
        shard_limit_bytes=shard_limit_bytes,
        content_digests={name: content_digest_of(folder / name) for name in CONTAINERS},
        files={name: describe_file(folder / name) for name in names},
    )
    write_file(folder / MANIFEST_FILE, manifest.to_bytes())
    fsync_path(folder)
    return manifest


def library_version() -> str:
    """Return the version of posepile-torch that is running."""
    return importlib.metadata.version("posepile-torch")


def totals_of(journal: Journal) -> Totals:
    """Count what is in a journal."""
    by_flags = journal.counts_by("flags")
    by_split = journal.counts_by("split")
    return Totals(
        records=journal.record_count,
        images=journal.image_count,
        splits={split: by_split.get(code, 0) for code, split in enumerate(SPLITS)},
        having={
            attribute: sum(count for flags, count in by_flags.items() if flags & flag)
            for flag, attribute in FLAG_ATTRIBUTES.items()
        },
    )


def _units(journal: Journal, header: ArchiveHeader) -> dict[str, UnitSummary]:
    units = {}
    records = images = skipped = 0
    for name, records_end, images_end, skipped_end in journal.units():
        digest = hashlib.sha256()
        update_with_entries(digest, journal.entries(ANNOTATIONS, records, records_end))
        update_with_entries(digest, journal.entries(IMAGES, images, images_end))
        units[name] = UnitSummary(
            records=records_end - records,
            images=images_end - images,
            skipped=skipped_end - skipped,
            digest=digest.hexdigest(),
            raw_digest=header.units.get(name, ""),
        )
        records, images, skipped = records_end, images_end, skipped_end
    return units


def update_with_entries(digest: hashlib._Hash, entries: Iterable[Entry]) -> None:
    """Feed ``key NUL size NUL crc32c LF`` of every entry to a hash; numbers in decimal."""
    for key, _, _, size, crc32c in entries:
        digest.update(f"{key}\0{size}\0{crc32c}\n".encode())


def content_digest_of(container: Path) -> str:
    """SHA-256 over (key, size, CRC32C) of all entries of a container, sorted by key.

    It says what the container holds, independent of the order of writing and of the shards.
    """
    digest = hashlib.sha256()
    with open_container(container) as database:
        update_with_entries(digest, container_entries(database, "key"))
    return digest.hexdigest()
