"""Deriving the index again from what the containers hold."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from posepile_torch.archive.containers import container_entries, open_container
from posepile_torch.archive.index import IndexArray, code_map, row_chunks, write_index
from posepile_torch.archive.journal import Journal
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    IMAGES,
    INDEX_FILE,
    VOCABULARIES_FILE,
    VOCABULARY_FIELDS,
    flags_of,
)
from posepile_torch.archive.manifest import (
    Manifest,
    canonical_bytes,
    read_manifest,
    split_vocabularies,
)
from posepile_torch.archive.opening import existing_folder
from posepile_torch.archive.shard_reader import ShardReader
from posepile_torch.archive.shards import Address
from posepile_torch.archive.storage import fsync_path, sha256_of, storage_errors, write_file
from posepile_torch.errors import ArchiveCorruptError
from posepile_torch.keys import check_archive_path
from posepile_torch.record import decode_record


def vocabularies_of(journal: Journal) -> dict[str, tuple[str, ...]]:
    """Return the sorted texts of every vocabulary field."""
    return {
        field: tuple(text for _, text in journal.vocabulary(field)) for field in VOCABULARY_FIELDS
    }


def index_chunks(journal: Journal) -> Iterator[IndexArray]:
    """Yield the rows of ``index.npy`` for everything in a journal."""
    code_maps = {
        field: code_map(code for code, _ in journal.vocabulary(field))
        for field in VOCABULARY_FIELDS
    }
    return row_chunks(journal.index_rows(), code_maps)


def rebuild_index(path: str | os.PathLike[str]) -> Path:
    """Write ``index.npy`` (and ``vocabularies.json``) of an archive again from its containers.

    Every record is read. The new files replace the old ones only if they are, to the bit, those
    that the manifest describes.

    Returns:
        The index file.

    Raises:
        ManifestError: If the manifest is missing or damaged.
        ArchiveCorruptError: If the containers do not hold what the manifest says.
        StorageError: If the folder cannot be written.
    """
    folder = existing_folder(check_archive_path(path))
    manifest = read_manifest(folder)
    with tempfile.TemporaryDirectory() as scratch:
        journal = Journal(Path(scratch) / "journal.sqlite")
        try:
            _replay(folder, journal)
            _replace_files(folder, manifest, journal)
        finally:
            journal.close()
    return folder / INDEX_FILE


def _replay(folder: Path, journal: Journal) -> None:
    with open_container(folder / IMAGES) as database:
        for key, *address in container_entries(database):
            journal.add_image(key, Address(*address), (0, 0))
    shards = ShardReader(folder)
    try:
        with open_container(folder / ANNOTATIONS) as database:
            for key, *address in container_entries(database):
                where = f"{folder}, key {key}"
                record = decode_record(shards.read(ANNOTATIONS, *address), where=where)
                image = journal.find_image(record.image_key)
                if image is None or record.key != key:
                    raise ArchiveCorruptError(
                        f"the record names the image {record.image_key!r} and the key "
                        f"{record.key!r}",
                        archive=folder,
                        key=key,
                        rule="a record lies under its own key and its image is stored",
                    )
                journal.add_record(record, Address(*address), image[0], flags_of(record))
    finally:
        shards.close()


def _replace_files(folder: Path, manifest: Manifest, journal: Journal) -> None:
    new_index = folder / f".{INDEX_FILE}.new"
    new_vocabularies = folder / f".{VOCABULARIES_FILE}.new"
    replacements = [(new_index, INDEX_FILE)]
    try:
        write_index(new_index, journal.record_count, index_chunks(journal))
        _, large = split_vocabularies(vocabularies_of(journal))
        if large:
            write_file(new_vocabularies, canonical_bytes(large) + b"\n")
            replacements.append((new_vocabularies, VOCABULARIES_FILE))
        for new, name in replacements:
            stored = manifest.files.get(name)
            if stored is None or sha256_of(new) != stored.sha256:
                raise ArchiveCorruptError(
                    f"the records give another {name} than the manifest describes",
                    archive=folder,
                    rule="nothing was changed",
                    fix="posepile verify --level decode ARCHIVE shows which records differ",
                )
        with storage_errors(folder):
            for new, name in replacements:
                fsync_path(new)
                new.replace(folder / name)
            fsync_path(folder)
    finally:
        new_index.unlink(missing_ok=True)
        new_vocabularies.unlink(missing_ok=True)
