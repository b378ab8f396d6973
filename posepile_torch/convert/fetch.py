"""Downloading the raw files that anybody may download.

What lies behind a form or an account is fetched by a person; the card's steps say how. A download
goes into ``<name>.part`` beside its final place, is continued where it stopped, and gets its name
only when its size and hash are right.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from posepile_torch.archive.storage import check_free_space, sha256_of, storage_errors, write_file
from posepile_torch.cards import Card
from posepile_torch.errors import RawFileError, UnreadableRawFileError, require
from posepile_torch.raw_layout import RemoteFile
from posepile_torch.rawfiles import check_file, extract_tar, extract_zip

_CHUNK_BYTES = 2**20
_TIMEOUT_S = 60.0
_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416

Progress = Callable[[RemoteFile, int, int | None], None]
"""Called with the file, the bytes that are there, and the bytes in all if they are known."""


@dataclass(frozen=True)
class Fetched:
    """What became of one remote file.

    Attributes:
        remote: The file.
        path: Where it is.
        was_there: Whether it had been fetched before.
        unpacked_files: How many files were unpacked from it; 0 if none were, or earlier.
    """

    remote: RemoteFile
    path: Path
    was_there: bool
    unpacked_files: int = 0


def fetch(card: Card, root: Path | str, *, progress: Progress = lambda *_: None) -> list[Fetched]:
    """Download and unpack what the card says anybody may download.

    Files that are there, with the stated hash or size, are kept; interrupted downloads go on.

    Args:
        card: The card of the source.
        root: Raw folder; made if it is not there.
        progress: Called after every mebibyte.

    Raises:
        RawFileError: If a server refuses, or what comes is not what the card says.
        ExtractionError: If an archive cannot be unpacked safely.
        StorageError: If the disk refuses a write, or has too little room.
    """
    folder = Path(root)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    missing = [remote for remote in card.remotes if not _is_there(remote, folder / remote.path)]
    sizes = [remote.size_bytes or 0 for remote in missing]
    check_free_space(folder, sum(sizes), where=folder)
    fetched = []
    for remote in card.remotes:
        path = folder / remote.path
        was_there = remote not in missing
        if not was_there:
            _download(remote, path, progress)
        count = 0 if remote.unpack_into is None else _unpack(remote, path, folder)
        fetched.append(Fetched(remote, path, was_there, count))
    return fetched


def _is_there(remote: RemoteFile, path: Path) -> bool:
    if not path.is_file():
        return False
    if remote.size_bytes is not None and path.stat().st_size != remote.size_bytes:
        return False
    return not remote.sha256 or sha256_of(path) == remote.sha256


def _download(remote: RemoteFile, path: Path, progress: Progress) -> None:
    """Fetch through pooch, which checks the hash and moves the file into place."""
    pooch = require("pooch", extra="convert")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # there, but not what the card says

    def downloader(url: str, output_file: str, _: Any) -> None:
        part = path.with_name(f"{path.name}.part")
        _continue_download(remote, url, part, progress)
        _check_size(remote, part)
        shutil.move(part, output_file)

    try:
        pooch.retrieve(
            remote.url,
            known_hash=f"sha256:{remote.sha256}" if remote.sha256 else None,
            fname=path.name,
            path=path.parent,
            downloader=downloader,
        )
    except ValueError as error:  # pooch's word for a wrong hash
        raise UnreadableRawFileError(
            f"the download has another hash than the card says ({error})",
            where=remote.url,
            rule=f"SHA-256 {remote.sha256}",
            fix="fetch it again; if it stays so, the authors have replaced the file",
        ) from None
    check_file(path, max_bytes=None)  # login pages come with status 200


def _continue_download(remote: RemoteFile, url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    note = part.with_name(f"{part.name}.json")
    headers = {"User-Agent": "posepile-torch"}
    if have:
        headers |= {"Range": f"bytes={have}-"}
        validator = _noted_validator(note)
        if validator:  # the server sends the whole file if it has been replaced meanwhile
            headers["If-Range"] = validator
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            is_rest = answer.status == _PARTIAL_CONTENT
            have = have if is_rest else 0
            length = answer.headers.get("Content-Length")
            total = None if length is None else have + int(length)
            validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            write_file(note, json.dumps({"validator": validator}).encode())
            with storage_errors(part), part.open("ab" if is_rest else "wb") as file:
                while chunk := answer.read(_CHUNK_BYTES):
                    file.write(chunk)
                    have += len(chunk)
                    progress(remote, have, total)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_NOT_SATISFIABLE:
            part.unlink()  # what lies there is longer than the file, or all of it
            note.unlink(missing_ok=True)
            _continue_download(remote, url, part, progress)
            return
        raise _refused(remote, f"the server answers {error.code} {error.reason}") from None
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise _refused(remote, f"the download was interrupted: {reason}") from None
    if total is not None and have != total:
        raise _refused(remote, f"the download was interrupted after {have:,} of {total:,} bytes")
    note.unlink(missing_ok=True)


def _noted_validator(note: Path) -> str | None:
    try:
        validator = json.loads(note.read_bytes())["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return validator if isinstance(validator, str) and not validator.startswith("W/") else None


def _refused(remote: RemoteFile, what: str) -> RawFileError:
    return RawFileError(
        what,
        where=remote.url,
        fix="run the same command again, it goes on where it stopped; if the address has moved, "
        "download the file by hand",
    )


def _check_size(remote: RemoteFile, part: Path) -> None:
    size = part.stat().st_size
    if remote.size_bytes is not None and size != remote.size_bytes:
        part.unlink()
        raise UnreadableRawFileError(
            f"{size:,} bytes came, the card says {remote.size_bytes:,}",
            where=remote.url,
            fix="open the address in a browser: it may be a login page, or a newer release",
        )


def _unpack(remote: RemoteFile, path: Path, root: Path) -> int:
    """Unpack an archive once; a note beside it says that it was."""
    note = path.with_name(f"{path.name}.unpacked.json")
    state = {"bytes": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}
    try:
        if json.loads(note.read_bytes()) == state:
            return 0
    except (OSError, ValueError):
        pass  # not unpacked yet
    into = root if remote.unpack_into in (None, ".") else root / str(remote.unpack_into)
    extract = extract_zip if remote.is_zip else extract_tar
    extraction = extract(path, into)
    write_file(note, json.dumps(state).encode())
    return extraction.num_files
