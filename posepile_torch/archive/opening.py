"""What is checked each time an archive is opened: a few ``stat`` calls and two reads per file."""

from __future__ import annotations

import difflib
from pathlib import Path

from posepile_torch.archive.layout import (
    ANNOTATIONS,
    CONTAINERS,
    IMAGES,
    INDEX_FILE,
    VOCABULARIES_FILE,
    building_folder,
    shard_name,
)
from posepile_torch.archive.manifest import Manifest
from posepile_torch.archive.storage import ends_crc32c
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveIncompleteError,
    ArchiveNotFoundError,
    ManifestError,
)

_RESTORE = "copy the whole folder again, or convert the dataset again"
_SQLITE_SIDE_FILES = ("-journal", "-wal", "-shm")


def existing_folder(path: Path) -> Path:
    """Return the folder of an archive with all links resolved.

    Raises:
        ArchiveNotFoundError: If nothing is there, or no folder.
        ArchiveIncompleteError: If the archive is still being written.
    """
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise ArchiveNotFoundError(
            "an archive is a folder, this is a file",
            where=path,
            fix="name the folder that holds manifest.json",
        )
    if building_folder(path.parent, path.name).exists():
        raise ArchiveIncompleteError(
            "this archive was begun and not finished",
            where=path,
            rule="an archive becomes visible when it is whole",
            fix="run the same conversion again: it resumes; or wait for the one that is running",
        )
    if path.is_symlink():
        raise ArchiveNotFoundError(
            f"the link points at {path.readlink()}, which is not there",
            where=path,
            rule="<root>/<name> is a link to the folder of one version beside it",
            fix="copy archives with links followed (cp -rL, rsync -aL), hidden folders included",
        )
    near = _neighbours(path)
    raise ArchiveNotFoundError(
        "no archive there",
        where=path,
        fix=f"did you mean {near}?" if near else "check the path; posepile list shows what exists",
    )


def _neighbours(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    except OSError:
        return ""
    return ", ".join(difflib.get_close_matches(path.name, names, n=3, cutoff=0.5))


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files of an archive with its manifest: names, sizes, first and last bytes.

    Raises:
        ArchiveIncompleteError: If a listed file is missing, or a write is going on.
        ManifestError: If the manifest lists no complete archive, or there are extra data files.
        ArchiveCorruptError: If a file has another size or other ends than it was given.
    """
    check_listing(folder, manifest)
    check_side_files(folder, manifest)
    missing = sorted(name for name in manifest.files if not (folder / name).exists())
    if missing:
        raise ArchiveIncompleteError(
            f"{len(missing)} of {len(manifest.files)} files are missing: {', '.join(missing[:5])}",
            where=folder,
            rule="all files that the manifest lists are there",
            fix=_RESTORE,
        )
    for name, stored in manifest.files.items():
        _check_file(folder, name, stored.bytes, stored.ends_crc32c)


def check_side_files(folder: Path, manifest: Manifest) -> None:
    """Check that no journals and no stray data files lie beside the listed files.

    Raises:
        ArchiveIncompleteError: If a write is going on, or was when the archive was copied.
        ManifestError: If there are data files that the manifest does not list.
    """
    present = {path.name for path in folder.iterdir()}
    for container in CONTAINERS:
        for suffix in _SQLITE_SIDE_FILES:
            if container + suffix in present:
                raise ArchiveIncompleteError(
                    f"{container}{suffix} lies beside the archive",
                    where=folder,
                    rule="a finished archive has no journal: it is being changed, or was copied "
                    "while it was",
                    fix=_RESTORE,
                )
    prefixes = tuple(f"{container}-shard-" for container in CONTAINERS)
    extra = sorted(n for n in present - manifest.files.keys() if n.startswith(prefixes))
    if extra:
        raise ManifestError(
            f"shards that the manifest does not list: {', '.join(extra[:5])}",
            where=folder,
            rule="a published archive is never added to",
            fix="remove them if they came from another archive; otherwise copy the folder again",
        )


def check_listing(folder: Path, manifest: Manifest) -> None:
    """Check that the manifest lists all files of an archive: containers, shards, index.

    Raises:
        ManifestError: If it does not.
    """
    expected = {*CONTAINERS, INDEX_FILE}
    if any(texts is None for texts in manifest.vocabularies.values()):
        expected.add(VOCABULARIES_FILE)
    for container in CONTAINERS:
        count = max(1, len(shard_sizes(manifest, container)))
        expected |= {shard_name(container, shard) for shard in range(count)}
    if expected != manifest.files.keys():
        wrong = sorted(expected ^ manifest.files.keys())
        raise ManifestError(
            f"the manifest lists no complete archive: {', '.join(wrong[:5])}",
            where=folder,
            rule="both containers, all their shards from 00000 on, and the index are listed",
            fix=_RESTORE,
        )


def _check_file(folder: Path, name: str, expected_bytes: int, expected_crc32c: int) -> None:
    path = folder / name
    try:
        actual_bytes = path.stat().st_size
        if actual_bytes != expected_bytes:
            raise ArchiveCorruptError(
                f"{actual_bytes:,} bytes instead of {expected_bytes:,}",
                archive=folder,
                shard=name,
                fix=_RESTORE,
            )
        if ends_crc32c(path) != expected_crc32c:
            raise ArchiveCorruptError(
                "the file begins or ends with other bytes than were written",
                archive=folder,
                shard=name,
                rule="files are neither changed nor swapped after publication",
                fix=_RESTORE,
            )
    except OSError as error:
        raise ArchiveCorruptError(
            f"cannot read: {error}", archive=folder, shard=name, fix=_RESTORE
        ) from None


def shard_sizes(manifest: Manifest, container: str) -> list[int]:
    """Return the sizes of the shards of a container in bytes, as the manifest lists them."""
    prefix = f"{container}-shard-"
    names = sorted(name for name in manifest.files if name.startswith(prefix))
    return [manifest.files[name].bytes for name in names]


def shard_sizes_by_kind(manifest: Manifest) -> dict[str, list[int]]:
    """Return :func:`shard_sizes` under the names that the index fields begin with."""
    return {
        "annotation": shard_sizes(manifest, ANNOTATIONS),
        "image": shard_sizes(manifest, IMAGES),
    }
