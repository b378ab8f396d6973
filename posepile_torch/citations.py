"""Citations: a strict reader of BibTeX, and the one file that all cards cite from.

The dialect is small on purpose, so that a slip in ``citations.bib`` is found when it is made and
not when a paper is printed: entries are ``@type{key, field = {value}, ...}``, the text is UTF-8
without LaTeX commands, braces balance, and keys are unique.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import NoReturn

from posepile_torch.cards import Card
from posepile_torch.errors import CardError

REQUIRED_FIELDS = ("author", "title", "year")
"""Fields without which an entry cites nothing."""

_ENTRY = re.compile(r"@(?P<kind>[a-z]+)\{(?P<key>[A-Za-z][A-Za-z0-9_:-]*),\s*")
_FIELD = re.compile(r"(?P<name>[a-z]+)\s*=\s*(?=\{)")
_BLANK = re.compile(r"(?:\s+|%[^\n]*)*")


@dataclass(frozen=True)
class Citation:
    r"""One bibliography entry.

    Attributes:
        key: What ``\cite{...}`` takes.
        kind: ``"article"``, ``"inproceedings"``, ``"software"``, ...
        fields: Names and values in the order of the file; braces inside a value are kept.
    """

    key: str
    kind: str
    fields: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        return dict(self.fields)[name]

    def get(self, name: str) -> str | None:
        """Return the value of a field as plain text, without braces; None if there is none."""
        value = dict(self.fields).get(name)
        return None if value is None else " ".join(re.sub(r"[{}]", "", value).split())

    @property
    def authors(self) -> tuple[str, ...]:
        """Names in the order of the file, as "First Last"; a braced name stays as it is."""
        return tuple(_first_last(name) for name in _split_outside_braces(self["author"]))

    def to_bibtex(self) -> str:
        """Write the entry, with its fields aligned."""
        width = max(len(name) for name, _ in self.fields)
        lines = [f"  {name:<{width}} = {{{value}}}," for name, value in self.fields]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])

    def to_text(self) -> str:
        """Write the entry as one line for people."""
        venue = next(filter(None, map(self.get, ("journal", "booktitle", "publisher"))), None)
        where = f" {venue}," if venue else ""
        return f"{', '.join(self.authors)}: {self.get('title')}.{where} {self.get('year')}."


def parse_bibtex(text: str, *, where: object) -> dict[str, Citation]:
    """Read all entries of ``text``.

    Args:
        text: The BibTeX source.
        where: What to call it in errors, for example its path.

    Returns:
        The entries by key, in the order of the text.

    Raises:
        CardError: If the text leaves the dialect of this module; the line is named.
    """
    entries: dict[str, Citation] = {}
    reader = _Reader(text, where)
    for entry in reader.entries():
        if entry.key in entries:
            reader.refuse(f"{entry.key!r} is there twice", "keys are unique", "remove one entry")
        entries[entry.key] = entry
    return entries


def builtin_citations() -> dict[str, Citation]:
    """Return the entries of the library's own ``citations.bib``, by key."""
    return dict(_builtin())


def citation_of(card: Card) -> Citation:
    """Return the entry that ``card`` cites.

    A card outside the library brings its entry along in ``card.bibtex``.

    Raises:
        CardError: If there is no such entry, or two that differ.
    """
    where = f"card {card.name!r}, field citation"
    known = builtin_citations()
    if card.bibtex:
        own = parse_bibtex(card.bibtex, where=f"card {card.name!r}, field bibtex")
        if list(own) != [card.citation]:
            raise CardError(
                f"bibtex holds {list(own)}, the card cites {card.citation!r}",
                where=where,
                rule="bibtex holds exactly the entry that is cited",
                fix="make the keys equal",
            )
        if known.get(card.citation, own[card.citation]) != own[card.citation]:
            raise CardError(
                f"{card.citation!r} is another work in the library's citations.bib",
                where=where,
                rule="a key means one work",
                fix="choose another key",
            )
        known |= own
    if card.citation not in known:
        raise CardError(
            f"no entry {card.citation!r} in citations.bib",
            where=where,
            rule="every card cites an entry that is there",
            fix="add the entry to posepile_torch/citations.bib, or, outside the library, to the "
            "card's bibtex field",
        )
    return known[card.citation]


@functools.cache
def _builtin() -> dict[str, Citation]:
    file = resources.files("posepile_torch").joinpath("citations.bib")
    return parse_bibtex(file.read_text(encoding="utf-8"), where="posepile_torch/citations.bib")


class _Reader:
    """Reads one text from front to back; ``position`` is where it is."""

    def __init__(self, text: str, where: object) -> None:
        self.text = text
        self.where = where
        self.position = 0

    def refuse(self, what: str, rule: str, fix: str) -> NoReturn:
        line = self.text.count("\n", 0, self.position) + 1
        raise CardError(what, where=f"{self.where}, line {line}", rule=rule, fix=fix)

    def entries(self) -> Iterator[Citation]:
        self._take(_BLANK)
        while self.position < len(self.text):
            head = self._take(_ENTRY)
            if head is None:
                self._refuse_syntax("an entry, @type{key,")
            yield self._entry(head["kind"], head["key"])
            self._take(_BLANK)

    def _entry(self, kind: str, key: str) -> Citation:
        fields: dict[str, str] = {}
        while not self.text.startswith("}", self.position):
            head = self._take(_FIELD)
            if head is None:
                self._refuse_syntax("a field, name = {value},")
            if head["name"] in fields:
                rule = "an entry has each field once"
                self.refuse(f"{head['name']!r} is there twice in {key!r}", rule, "remove one")
            fields[head["name"]] = self._value()
            if self._take(re.compile(r",\s*")) is None:
                self._take(_BLANK)
                if not self.text.startswith("}", self.position):
                    self._refuse_syntax("a comma or the end of the entry")
        missing = [name for name in REQUIRED_FIELDS if not fields.get(name)]
        if missing:
            rule = f"an entry has {', '.join(REQUIRED_FIELDS)}"
            self.refuse(f"{key!r} lacks {', '.join(missing)}", rule, "add the fields")
        if not re.fullmatch(r"[12][0-9]{3}", fields["year"]):
            rule = "a year has four digits"
            self.refuse(f"year {fields['year']!r} in {key!r}", rule, "correct it")
        self.position += 1
        return Citation(key, kind, tuple(fields.items()))

    def _value(self) -> str:
        depth, start = 0, self.position
        for offset in range(start, len(self.text)):
            depth += {"{": 1, "}": -1}.get(self.text[offset], 0)
            if depth == 0:
                self.position = offset + 1
                value = " ".join(self.text[start + 1 : offset].split())
                if "\\" in value:
                    rule = "values are plain UTF-8 without LaTeX commands"
                    self.refuse(f"backslash in {value!r}", rule, "write the character itself")
                return value
        self.refuse("a brace is never closed", "braces balance", "close it")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def _refuse_syntax(self, expected: str) -> NoReturn:
        got = self.text[self.position : self.position + 20].split("\n")[0]
        rule = "entries are @type{key, name = {value}, ...}; types and names are lower case"
        self.refuse(f"expected {expected}, found {got!r}", rule, "rewrite the entry like that")


def _split_outside_braces(names: str) -> list[str]:
    """Split at the word "and", unless it stands inside braces."""
    parts, depth = [""], 0
    for word in names.split(" "):
        if word == "and" and depth == 0:
            parts.append("")
            continue
        depth += word.count("{") - word.count("}")
        parts[-1] = f"{parts[-1]} {word}".strip()
    return parts


def _first_last(name: str) -> str:
    if name.startswith("{") and name.endswith("}"):
        return name[1:-1]
    last, comma, first = re.sub(r"[{}]", "", name).partition(",")
    return f"{first.strip()} {last.strip()}" if comma else last


__all__ = ["REQUIRED_FIELDS", "Citation", "builtin_citations", "citation_of", "parse_bibtex"]
