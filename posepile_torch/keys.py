"""Names that may be stored: keys inside archives, relative raw paths, and folders of archives.

A key is a relative path with forward slashes, in Unicode NFC, without ``.`` or ``..``. Whoever
extracts an archive with plain tools can therefore never write outside the chosen folder, and the
same text never exists in two spellings.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from posepile_torch.errors import ArchivePathError

#: Characters that plain BareCat tools misread in the path of an archive (not in keys within it):
#: the index is opened as a URI (``# ? %``) and the shards are found by a glob (``[ ] *``).
UNSAFE_PATH_CHARACTERS = frozenset("#?%[]*\n\r\0")

MAX_COMPONENT_BYTES = 255  # limit of one file name on ext4, XFS, APFS and NTFS alike
MAX_KEY_BYTES = 1024

_FIX = "use relative names with '/' between folders, in Unicode NFC, without '.' and '..'"


def check_key(key: object, *, where: object = None) -> str:
    """Return ``key`` if it may name an entry of an archive.

    A key is a non-empty relative path in NFC: no ``.``, ``..`` or empty component, no backslash,
    no control character, at most 255 bytes per component and 1024 bytes in all (UTF-8).

    Raises:
        ArchivePathError: If any rule is broken; the message names the rule.
    """
    if type(key) is not str:
        raise ArchivePathError(
            f"unusable key {key!r:.80}", where=where, rule="a key is text", fix=_FIX
        )
    rule = _broken_key_rule(key)
    if rule is not None:
        raise ArchivePathError(f"unusable key {key!r}", where=where, rule=rule, fix=_FIX)
    return key


def _broken_key_rule(key: str) -> str | None:
    if key.isascii() and key.isprintable():  # the common case needs no normalisation
        encoded_length = len(key)
    else:
        try:
            encoded_length = len(key.encode())
        except UnicodeEncodeError:
            return "a key is valid Unicode (no lone surrogates)"
        if not unicodedata.is_normalized("NFC", key):
            return "a key is in Unicode NFC"
        if any(unicodedata.category(c) == "Cc" for c in key):
            return "a key has no control characters"
    if encoded_length > MAX_KEY_BYTES:
        return f"a key has at most {MAX_KEY_BYTES} bytes"
    if "\\" in key:
        return "a key has no backslash"
    for component in key.split("/"):
        if component in ("", ".", ".."):
            return "a key is relative and has no empty, '.' or '..' component"
        if len(component) > 63 and len(component.encode()) > MAX_COMPONENT_BYTES:
            return f"a component of a key has at most {MAX_COMPONENT_BYTES} bytes"
    return None


def is_key(key: object) -> bool:
    """Tell whether :func:`check_key` would accept ``key``."""
    return type(key) is str and _broken_key_rule(key) is None


def is_absolute_path(text: str) -> bool:
    """Tell whether ``text`` reads as an absolute path on any platform, or as a home folder."""
    return (
        PurePosixPath(text).is_absolute()
        or PureWindowsPath(text).drive != ""
        or text.startswith(("\\", "~"))
    )


def check_archive_path(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` made absolute, if plain BareCat tools can open an archive there.

    Raises:
        ArchivePathError: If the path has one of ``# ? % [ ] *``, a newline or a NUL.
    """
    absolute = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100 -- keeps symlinks
    bad = sorted(UNSAFE_PATH_CHARACTERS & set(str(absolute)))
    if bad:
        shown = " ".join(repr(c) for c in bad)
        raise ArchivePathError(
            f"the path of an archive must not contain {shown}",
            where=absolute,
            rule="BareCat opens its index as a URI and finds its shards by a glob pattern",
            fix="rename the folder, or reach it through a symbolic link with a plain name",
        )
    return absolute


def check_archive_name(name: str) -> str:
    """Return ``name`` if an archive may be called so: one path component, no leading dot.

    Raises:
        ArchivePathError: If it is empty, hidden, has a slash, or breaks a rule of keys and paths.
    """
    check_key(name, where="archive name")
    if "/" in name or name.startswith(".") or UNSAFE_PATH_CHARACTERS & set(name):
        raise ArchivePathError(
            f"unusable archive name {name!r}",
            rule="a name is one folder name without a leading dot and without # ? % [ ] *",
            fix="use letters, digits, '-', '_' and '.'",
        )
    return name
