"""Patterns that describe the raw files of a dataset, relative to the folder of the download.

A pattern is a path with forward slashes. It may hold placeholders, which name a varying part, and
wildcards, which do not:

- ``{subject}`` is any text without a slash; used twice, it stands for the same text both times.
- ``{frame:06d}`` is a number padded to six digits, ``{frame:d}`` one of any length.
- ``{fold:train|val}`` is one of the listed words.
- ``*`` is any text without a slash, ``?`` one such character, ``**/`` any number of folders.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from posepile_torch.card_rules import Problem, is_web_address
from posepile_torch.errors import CardError
from posepile_torch.keys import is_key

_TOKEN = re.compile(
    r"\{(?P<name>[a-z][a-z0-9_]*)(?::(?P<spec>[^{}]+))?\}"
    r"|(?P<deep>\*\*/)|(?P<star>\*)|(?P<one>\?)|(?P<text>[^{}*?]+)"
)
_NUMBER = re.compile(r"(?:0(?P<width>[1-9][0-9]*))?d")


TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""How the names of tar archives end."""


class RawKind(StrEnum):
    """What a raw file holds."""

    IMAGE = "image"
    VIDEO = "video"
    ANNOTATION = "annotation"
    CALIBRATION = "calibration"
    MASK = "mask"
    BODY_MODEL = "body-model"
    INDEX = "index"
    OTHER = "other"


@dataclass(frozen=True)
class _Placeholder:
    name: str
    spec: str | None

    @property
    def digits(self) -> int | None:
        """Least number of digits if this is a number."""
        match = _NUMBER.fullmatch(self.spec or "")
        return None if match is None else int(match["width"] or 1)

    @property
    def regex(self) -> str:
        if self.spec is None:
            return "[^/]+"
        if self.digits is not None:
            return f"[0-9]{{{self.digits},}}"
        return "|".join(re.escape(word) for word in self.spec.split("|"))

    def text(self, value: object) -> str:
        """Write ``value`` as it stands in a path."""
        if self.digits is not None and isinstance(value, int):
            return format(value, f"0{self.digits}d")
        return str(value)


@dataclass(frozen=True)
class _Compiled:
    regex: re.Pattern[str]
    glob: str
    parts: tuple[str | _Placeholder | None, ...]  # None stands for a wildcard


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> _Compiled:
    regex, glob, position = "", "", 0
    parts: list[str | _Placeholder | None] = []
    seen: dict[str, str | None] = {}
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise ValueError(f"{pattern[position:]!r} is neither text nor a placeholder")
        position = token.end()
        part: str | _Placeholder | None = None
        if token["name"]:
            part = _Placeholder(token["name"], token["spec"])
            if part.spec is not None and part.digits is None and "|" not in part.spec:
                raise ValueError(f"{part.spec!r} is neither a number nor a list of words")
            if seen.setdefault(part.name, part.spec) != part.spec:
                raise ValueError(f"{{{part.name}}} stands there with two formats")
            again = any(isinstance(p, _Placeholder) and p.name == part.name for p in parts)
            regex += f"(?P={part.name})" if again else f"(?P<{part.name}>{part.regex})"
            glob += "*"
        elif token["deep"]:
            if token.start() > 0 and pattern[token.start() - 1] != "/":
                raise ValueError("** must be a whole folder name")
            regex += "(?:[^/]+/)*"
            glob += "**/"
        elif token["text"]:
            part = token["text"]
            regex += re.escape(part)
            glob += re.sub(r"([\[\]])", r"[\1]", part)
        else:
            regex += "[^/]*" if token["star"] else "[^/]"
            glob += token[0]
        parts.append(part)
    return _Compiled(re.compile(regex), re.sub(r"\*\*+(?!/)", "*", glob), tuple(parts))


@dataclass(frozen=True)
class RawFilePattern:
    """One kind of file in the raw layout of a dataset.

    Attributes:
        pattern: Path relative to the raw folder; the module's documentation says how it is
            written.
        kind: What the files hold.
        required: False if a conversion can do without the files.
        note: What a person should know about them.
        origin: Which download they come from: an address, or the name on the download page.
    """

    pattern: str
    kind: RawKind
    required: bool = True
    note: str = ""
    origin: str = ""

    @property
    def glob(self) -> str:
        """The pattern for :meth:`pathlib.Path.glob`; it may match more than :meth:`match`."""
        return _compiled(self.pattern).glob

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the placeholders, each once, in order of appearance."""
        parts = _compiled(self.pattern).parts
        return tuple(dict.fromkeys(p.name for p in parts if isinstance(p, _Placeholder)))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the texts of the placeholders if ``path`` follows the pattern, else None.

        The path is relative to the raw folder and has forward slashes.
        """
        found = _compiled(self.pattern).regex.fullmatch(path)
        return None if found is None else found.groupdict()

    def fill(self, **values: object) -> str:
        """Build a path from the placeholders' values.

        Raises:
            CardError: If a value is missing, is not a placeholder, or does not fit it, or if the
                pattern has a wildcard, which no value can fill.
        """
        parts = _compiled(self.pattern).parts
        names = self.placeholders
        if set(values) != set(names) or None in parts:
            raise CardError(
                f"cannot fill {self.pattern!r} from {sorted(values)}",
                where="raw layout of the card",
                rule="every placeholder gets one value, and wildcards cannot be filled",
                fix=f"give exactly {sorted(names)}" if None not in parts else "use .glob",
            )
        path = "".join(
            part.text(values[part.name]) if isinstance(part, _Placeholder) else str(part)
            for part in parts
        )
        if self.match(path) is None:
            raise CardError(
                f"{path!r} does not follow {self.pattern!r}",
                where="raw layout of the card",
                rule="a value fits the format of its placeholder and holds no slash",
                fix=f"look at the values {values}",
            )
        return path

    def problems(self) -> Iterator[Problem]:
        """Yield every rule that this pattern breaks; a card asks for them when it is made."""
        fix = "write the path as it stands below the raw folder, with forward slashes"
        folders = self.pattern.split("/")
        if "\\" in self.pattern or {"", ".", ".."} & set(folders) or ":/" in self.pattern:
            rule = "a pattern is a relative path with forward slashes and without . or .."
            yield Problem("pattern", f"{self.pattern!r} is not such a path", rule, fix)
        if unicodedata.normalize("NFC", self.pattern) != self.pattern:
            yield Problem("pattern", f"{self.pattern!r} is not in NFC", "paths are in NFC", fix)
        try:
            _compiled(self.pattern)
        except ValueError as error:
            yield Problem(
                "pattern",
                f"{self.pattern!r}: {error}",
                "placeholders are {name}, {name:06d} or {name:one|other}; wildcards *, ? and **/",
                "correct the pattern",
            )


@dataclass(frozen=True)
class RemoteFile:
    """A file that anybody may download, and where it goes.

    Attributes:
        url: Its address.
        path: Where it is kept, relative to the raw folder.
        sha256: Hash of its content; empty if the authors publish none.
        size_bytes: Size of the download; None if unknown.
        unpack_into: For a zip or tar archive: folder, relative to the raw folder, into which it is
            unpacked (``"."`` for the raw folder itself); None leaves it as it is.
        note: What a person should know about it.
    """

    url: str
    path: str
    sha256: str = ""
    size_bytes: int | None = None
    unpack_into: str | None = None
    note: str = ""

    @property
    def is_zip(self) -> bool:
        """Whether it is unpacked as a zip archive."""
        return self.path.lower().endswith(".zip")

    def problems(self) -> Iterator[Problem]:
        """Yield every rule that this file breaks; a card asks for them when it is made."""
        if not is_web_address(self.url):
            rule = "addresses are http(s)://"
            yield Problem("url", f"{self.url!r} is no web address", rule, "correct it")
        folders = {"path": self.path, "unpack_into": self.unpack_into or "."}
        for name, text in folders.items():
            if (name, text) != ("unpack_into", ".") and not is_key(text):
                rule = "a relative path with forward slashes and without . or .."
                yield Problem(name, f"{text!r} is not such a path", rule, "correct it")
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            rule = "a hash is 64 hexadecimal digits in lower case"
            yield Problem(
                "sha256", f"{self.sha256!r} is none", rule, "correct it, or leave it out"
            )
        suffixes = (".zip", *TAR_SUFFIXES)
        if self.unpack_into is not None and not self.path.lower().endswith(suffixes):
            rule = f"what is unpacked is named {', '.join(suffixes)}"
            yield Problem("path", f"{self.path!r} is not", rule, "rename the download")


__all__ = ["TAR_SUFFIXES", "RawFilePattern", "RawKind", "RemoteFile"]
