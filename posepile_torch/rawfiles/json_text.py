"""Strict JSON text: which documents are accepted, and where exactly the others go wrong.

JSON as the raw files of this library are read: UTF-8, with or without its byte-order mark; no
duplicate keys; no NaN or Infinity unless asked for; no number that overflows to infinity.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from posepile_torch.errors import UnreadableRawFileError

UTF8_BOM = b"\xef\xbb\xbf"

# Only numbers written like this can overflow a float; all others take the fast C path.
MAY_OVERFLOW = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{309}")

_FOREIGN_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_CONSTANTS = frozenset({"NaN", "Infinity", "-Infinity"})
_TRAILING_COMMA = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|,(?=\s*[}\]])', re.DOTALL)
_CONTEXT_CHARS = 40


@dataclass(frozen=True)
class Origin:
    """Where in a file a piece of text begins: byte offset, line and column, the latter from 1."""

    byte: int = 0
    line: int = 1
    column: int = 1

    def after(self, text: str) -> Origin:
        """The position behind ``text`` when it begins here."""
        breaks = text.count("\n")
        column = len(text) - text.rfind("\n") if breaks else self.column + len(text)
        byte = self.byte + (len(text) if text.isascii() else len(text.encode("utf-8", "replace")))
        return Origin(byte, self.line + breaks, column)


class RefusedJsonError(Exception):
    """Raised inside the decoder by JSON that this library refuses; never leaves this package.

    The decoder does not say where it stands, so ``is_culprit(token, role)`` finds the place in a
    second, slow pass; roles are those of :func:`_walk`.
    """

    def __init__(self, what: str, fix: str, is_culprit: Callable[[str, str], bool]) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.is_culprit = is_culprit


def make_decoder(*, allow_nan: bool, check_overflow: bool) -> json.JSONDecoder:
    """A decoder with the rules of this module; ``check_overflow`` costs time on every float."""
    return json.JSONDecoder(
        object_pairs_hook=_without_duplicates,
        parse_constant=None if allow_nan else _refuse_constant,
        parse_float=_finite if check_overflow else None,
    )


def decode_utf8(data: bytes, *, where: object) -> tuple[str, Origin]:
    """Decode bytes as UTF-8, skipping its byte-order mark.

    Raises:
        UnreadableRawFileError: For other encodings and for bytes that are not UTF-8; the message
            has the byte offset.
    """
    refuse_other_encodings(data[:4], where=where)
    start = len(UTF8_BOM) if data.startswith(UTF8_BOM) else 0
    try:
        return data[start:].decode("utf-8"), Origin(byte=start)
    except UnicodeDecodeError as error:
        raise not_utf8(error, start, where=where) from None


def refuse_other_encodings(head: bytes, *, where: object) -> None:
    """Refuse text that its byte-order mark declares to be UTF-16 or UTF-32."""
    for mark, name in _FOREIGN_BOMS:
        if head.startswith(mark):
            raise UnreadableRawFileError(
                f"the text is encoded as {name}",
                where=where,
                rule="JSON is read as UTF-8, with or without a byte-order mark",
                fix=f"convert it: iconv -f {name} -t UTF-8",
            )


def not_utf8(error: UnicodeDecodeError, start: int, *, where: object) -> UnreadableRawFileError:
    """The error for bytes that cannot be UTF-8, of which ``start`` were skipped or read before."""
    offset, byte = start + error.start, error.object[error.start]
    if error.reason == "unexpected end of data":
        return UnreadableRawFileError(
            f"the JSON ends too early, inside the character at byte {offset}",
            where=where,
            fix="the file was cut off: fetch it again",
        )
    return UnreadableRawFileError(
        f"byte {offset} (0x{byte:02x}) is not UTF-8",
        where=where,
        rule="JSON is read as UTF-8, with or without a byte-order mark",
        fix="fetch the file again, or convert it to UTF-8",
    )


def without_trailing_commas(text: str) -> str:
    """Blank out commas that stand before a closing bracket; all positions stay the same."""
    return _TRAILING_COMMA.sub(lambda m: " " if m[0] == "," else m[0], text)


def fail_on_syntax(
    text: str,
    error: json.JSONDecodeError,
    *,
    origin: Origin,
    where: object,
    trail: str = "$",
    start: int = 0,
) -> NoReturn:
    """Raise the library's error for text that is not JSON.

    ``text`` begins at ``origin``; the value that failed begins at ``start`` and has the JSON path
    ``trail``.
    """
    cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    if cut:
        what, fix = "the JSON ends too early", "the file was cut off: fetch it again"
    else:
        what = f"this is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        fix = "fetch the file again, or correct it at this place"
    path = trail
    for at, _, _, frames in _walk(text, start):
        if at >= error.pos or error.msg == "Extra data":
            break
        path = _path(frames, trail)
    rule = error.msg if cut else None
    raise _at(text, error.pos, what, rule=rule, fix=fix, origin=origin, where=where, path=path)


def fail_on_refusal(
    text: str,
    refused: RefusedJsonError,
    *,
    origin: Origin,
    where: object,
    trail: str = "$",
    start: int = 0,
) -> NoReturn:
    """Raise the library's error for JSON that breaks a rule; arguments as above."""
    at, path = start, trail
    for position, token, role, frames in _walk(text, start):
        if refused.is_culprit(token, role):
            at, path = position, _path(frames, trail)
            break
    raise _at(
        text, at, refused.what, rule=None, fix=refused.fix, origin=origin, where=where, path=path
    )


def _at(
    text: str,
    at: int,
    what: str,
    *,
    rule: str | None,
    fix: str,
    origin: Origin,
    where: object,
    path: str,
) -> UnreadableRawFileError:
    place = origin.after(text[:at])
    before, after = text[max(0, at - _CONTEXT_CHARS) : at], text[at : at + _CONTEXT_CHARS]
    return UnreadableRawFileError(
        f"{what} (at {path}, byte {place.byte}, line {place.line}, column {place.column}): "
        f"{before!r} <-- here --> {after!r}",
        where=where,
        rule=rule,
        fix=fix,
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    raise RefusedJsonError(
        f"the key {twice!r} occurs twice in one object",
        "keep one of the two: a parser that takes the last drops the other silently",
        lambda token, role: role == "repeated key",
    )


def _refuse_constant(name: str) -> NoReturn:
    raise RefusedJsonError(
        f"{name} is not JSON",
        "pass allow_nan=True if such numbers are meant to be there",
        lambda token, role: role == "value" and token in _CONSTANTS,
    )


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise RefusedJsonError(
            f"the number {text[:40]} is too large for a float",
            "correct the number",
            lambda token, role: role == "value" and token == text,
        )
    return value


@dataclass
class _Frame:
    opener: str
    index: int = 0
    key: str = ""
    wants_key: bool = True
    keys: set[str] = field(default_factory=set)

    def enter(self, token: str) -> str:
        """Take the next key of an object; the answer is its role."""
        self.key = token[1:-1]
        if "\\" in token:
            with contextlib.suppress(ValueError):  # a bad escape stays as it is written
                self.key = json.loads(token)
        role = "repeated key" if self.key in self.keys else "key"
        self.keys.add(self.key)
        return role


def _walk(text: str, start: int) -> Iterator[tuple[int, str, str, list[_Frame]]]:
    """Yield (position, token, role, enclosing containers) of a value, as far as it is JSON.

    Roles are "key", "repeated key" and "value"; the list of containers is the walker's own.
    """
    frames: list[_Frame] = []
    for match in _TOKEN.finditer(text, start):
        token = match[0]
        if token in "{[":
            frames.append(_Frame(token))
        elif token in "}]":
            if frames:
                frames.pop()
            if not frames:
                return
        elif token == ",":
            if frames:
                frames[-1].index += 1
                frames[-1].wants_key = True
        elif token == ":":
            if frames:
                frames[-1].wants_key = False
        elif frames and frames[-1].opener == "{" and frames[-1].wants_key:
            yield match.start(), token, frames[-1].enter(token), frames
        else:
            yield match.start(), token, "value", frames


def _path(frames: list[_Frame], trail: str) -> str:
    steps = (step_to(f.key) if f.opener == "{" else f"[{f.index}]" for f in frames)
    return trail + "".join(steps)


def step_to(key: str) -> str:
    """One step of a JSON path: ``.name``, or ``["any name"]``."""
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"
