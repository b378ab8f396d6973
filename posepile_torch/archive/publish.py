"""From a finished building folder to a visible archive, in steps that a crash cannot mix up.

``<root>/<name>`` is a relative symbolic link to ``.<name>-<fingerprint>``; replacing the link is
atomic, so a reader sees the old version or the new one, and whoever has the old one open keeps
it. An intent file in the building folder lets the next writer finish an interrupted publication.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from posepile_torch.archive.layout import (
    BUILDING_PREFIX,
    CONVERTING_PREFIX,
    MANIFEST_FILE,
    building_folder,
    lock_file,
    version_folder,
)
from posepile_torch.archive.lock import WriterLock, is_locked
from posepile_torch.archive.manifest import Manifest, read_manifest
from posepile_torch.archive.storage import (
    fsync_path,
    remove_folder,
    storage_errors,
    write_file,
)
from posepile_torch.errors import ArchiveError, ManifestError
from posepile_torch.keys import check_archive_name, check_archive_path

JOURNAL_FILE = "journal.sqlite"
DATA_FOLDER = "data"
_INTENT_FILE = "publish.json"
_NO_SYMLINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def check_target(root: Path, name: str) -> None:
    """Refuse to publish over something that is not an archive.

    Raises:
        ArchiveError: If ``<root>/<name>`` exists and has no manifest.
    """
    target = root / name
    if target.is_symlink() or not target.exists():
        return
    if not (target / MANIFEST_FILE).is_file():
        raise ArchiveError(
            "something that is not an archive already lies there",
            where=target,
            rule="only a version of the same archive is replaced",
            fix="move it away, or choose another name or output folder",
        )


def publish_data(root: Path, name: str, manifest: Manifest) -> Path:
    """Make a complete data folder visible under its final name.

    All its files must be durable already. Returns ``<root>/<name>``.
    """
    building = building_folder(root, name)
    version = version_folder(root, name, manifest.fingerprint)
    write_file(building / _INTENT_FILE, json.dumps({"version": version.name}).encode())
    fsync_path(building)
    _finish(root, name, version)
    return root / name


def finish_interrupted_publish(root: Path, name: str) -> Path | None:
    """Complete a publication that was cut off after its data had become durable.

    Call it with the writer's lock held.

    Returns:
        ``<root>/<name>`` if there was something to complete, otherwise ``None``.
    """
    building = building_folder(root, name)
    version = _intended_version(building)
    if version is None or not ((building / DATA_FOLDER).exists() or version.exists()):
        return None
    _finish(root, name, version)
    return root / name


def _intended_version(building: Path) -> Path | None:
    """The version folder that an interrupted publication was about to make visible."""
    try:
        return building.parent / str(json.loads((building / _INTENT_FILE).read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no intent, or cut off while it was written: nothing was moved yet


def _finish(root: Path, name: str, version: Path) -> None:
    building = building_folder(root, name)
    data = building / DATA_FOLDER
    with storage_errors(root):
        if data.exists():
            if version.exists() and _is_whole(version):
                remove_folder(data)  # the same content was published before
            else:
                remove_folder(version)
                data.rename(version)
        fsync_path(root)
        _point_at(root, name, version)
        fsync_path(root)
    remove_folder(building)


def _is_whole(version: Path) -> bool:
    try:
        manifest = read_manifest(version)
        return all(
            (version / file).stat().st_size == stored.bytes
            for file, stored in manifest.files.items()
        )
    except (ManifestError, OSError):
        return False


def _point_at(root: Path, name: str, version: Path) -> None:
    target = root / name
    if target.exists() and not target.is_symlink():
        _set_aside(root, name, target)
    link = root / f".{name}.link"
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(version.name)
    except OSError as error:
        if error.errno not in _NO_SYMLINKS or target.is_symlink():
            raise
        version.rename(target)  # a disk without links holds one version, under its plain name
        return
    os.replace(link, target)  # noqa: PTH105 -- the counterpart of the rename above


def _set_aside(root: Path, name: str, folder: Path) -> None:
    """Keep a plain folder, as a copy leaves it, as a superseded version."""
    try:
        fingerprint = read_manifest(folder).fingerprint
    except ManifestError:
        fingerprint = "damaged".ljust(16, "0")  # a name as long as those of fingerprints
    aside = version_folder(root, name, fingerprint)
    if aside.exists():
        remove_folder(folder)  # the same content lies there already
    else:
        folder.rename(aside)


@dataclass(frozen=True)
class Leftover:
    """A hidden folder beside the archives that nothing points at any more.

    Attributes:
        path: The folder.
        name: Archive to which it belongs.
        kind: ``"unfinished"`` (an interrupted write, which can be resumed) or ``"superseded"``
            (an older version, which running jobs may still read).
        bytes: Space that it takes.
    """

    path: Path
    name: str
    kind: str
    bytes: int


def find_leftovers(root: str | os.PathLike[str]) -> list[Leftover]:
    """List unfinished and superseded folders below ``root`` that no living writer holds."""
    base = check_archive_path(root)
    return [
        Leftover(path, name, kind, _size_of(path))
        for path, name, kind in sorted(_hidden_folders(base))
        if not is_locked(lock_file(base, name))
    ]


def _hidden_folders(root: Path) -> Iterator[tuple[Path, str, str]]:
    if not root.is_dir():
        return
    for path in root.iterdir():
        if path.is_symlink() or not path.is_dir():
            continue
        if path.name.startswith((BUILDING_PREFIX, CONVERTING_PREFIX)):
            yield path, path.name.split("-", 1)[1], "unfinished"
            continue
        name, _, digest = path.name.removeprefix(".").rpartition("-")
        if not path.name.startswith(".") or not name or len(digest) != 16:
            continue
        link = root / name
        is_current = link.is_symlink() and link.readlink() == Path(path.name)
        is_next = _intended_version(building_folder(root, name)) == path
        if (path / MANIFEST_FILE).is_file() and not (is_current or is_next):
            yield path, name, "superseded"


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def remove_leftover(leftover: Leftover) -> None:
    """Delete a leftover folder, under the lock of its archive.

    An unfinished write that lacks nothing but its final name gets it instead.

    Raises:
        ArchiveLockedError: If a writer has taken it up in the meantime.
    """
    root = leftover.path.parent
    lock = WriterLock(lock_file(root, check_archive_name(leftover.name)))
    try:
        if (
            leftover.kind == "superseded"
            or finish_interrupted_publish(root, leftover.name) is None
        ):
            remove_folder(leftover.path)
    finally:
        lock.release()
