"""Reading one array or object of a large JSON file element by element.

Memory stays at a few times the size of the largest element, whatever the size of the file. The
whole document is checked: iterating to the end also validates what stands before and behind the
array, so that a file that was cut off never passes for a complete one.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NoReturn

from posepile_torch.errors import RawFileTooLargeError, UnreadableRawFileError
from posepile_torch.rawfiles import json_text, sniff

_WHITESPACE = " \t\n\r"
_NUMBER_CHARS = "+-.eE0123456789"
_LONGEST_LITERAL = 12  # "-Infinity" and the escape "\\ud83d\\ude00" may straddle two chunks
_MAX_ITEM_BYTES = 1 << 28


def iter_json_array(
    path: str | os.PathLike[str],
    key: str | tuple[str, ...] | None = None,
    *,
    allow_nan: bool = False,
    max_item_bytes: int = _MAX_ITEM_BYTES,
    chunk_bytes: int = 1 << 22,
) -> Iterator[Any]:
    """Yield the elements of one array of a JSON file, in order.

    Args:
        path: The file, of any size.
        key: ``None`` when the document itself is the array; ``"annotations"`` for the array under
            that key of the outermost object; a tuple of keys for one further inside.
        allow_nan: As in :func:`read_json`.
        max_item_bytes: The largest single element (or skipped member of a skipped array).
        chunk_bytes: How much is read at a time.

    Raises:
        UnreadableRawFileError: As :func:`read_json`, when iteration arrives at the fault; also if
            there is no such key or no array under it.
        RawFileTooLargeError: If one element exceeds ``max_item_bytes``.
    """
    with _JsonStream(path, allow_nan, max_item_bytes, chunk_bytes) as stream:
        yield from stream.document(_as_keys(key), "[")


def iter_json_arrays(
    path: str | os.PathLike[str],
    keys: Collection[str],
    *,
    allow_nan: bool = False,
    max_item_bytes: int = _MAX_ITEM_BYTES,
    chunk_bytes: int = 1 << 22,
) -> Iterator[tuple[str, Any]]:
    """Yield ``(key, element)`` for several arrays of the outermost object, in one pass.

    The elements come in the order of the file, so the arrays do as well, whatever the order of
    ``keys``. The other arguments and the errors are those of :func:`iter_json_array`; every key
    must be there.
    """
    with _JsonStream(path, allow_nan, max_item_bytes, chunk_bytes) as stream:
        yield from stream.arrays(keys)


def iter_json_object(
    path: str | os.PathLike[str],
    key: str | tuple[str, ...] | None = None,
    *,
    allow_nan: bool = False,
    max_item_bytes: int = _MAX_ITEM_BYTES,
    chunk_bytes: int = 1 << 22,
) -> Iterator[tuple[str, Any]]:
    """Yield the ``(key, value)`` pairs of one object of a JSON file, in order.

    The arguments and errors are those of :func:`iter_json_array`.
    """
    with _JsonStream(path, allow_nan, max_item_bytes, chunk_bytes) as stream:
        yield from stream.document(_as_keys(key), "{")


def _as_keys(key: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if key is None:
        return ()
    return (key,) if isinstance(key, str) else tuple(key)


class _JsonStream:
    """A window of text that moves over a JSON file."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        allow_nan: bool,
        max_item_bytes: int,
        chunk_bytes: int,
    ) -> None:
        checked = sniff.check_file(path, max_bytes=None)
        self.path = checked.path
        self.head = checked.head
        self.allow_nan = allow_nan
        self.max_item_bytes = max_item_bytes
        self.chunk_bytes = chunk_bytes
        self.text = ""
        self.at = 0
        self.origin = json_text.Origin()
        self.ended = False
        self.bytes_read = 0
        self.trail: list[str] = ["$"]
        self.utf8 = codecs.getincrementaldecoder("utf-8")()
        self.decoder = json_text.make_decoder(allow_nan=allow_nan, check_overflow=False)
        self.file: BinaryIO

    def __enter__(self) -> _JsonStream:
        json_text.refuse_other_encodings(self.head, where=self.path)
        start = len(json_text.UTF8_BOM) if self.head.startswith(json_text.UTF8_BOM) else 0
        self.file = self.path.open("rb")
        self.file.seek(start)
        self.bytes_read = start
        self.origin = json_text.Origin(byte=start)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def document(self, keys: tuple[str, ...], opener: str) -> Iterator[Any]:
        """Yield the members of the container under ``keys`` and check the rest of the file."""
        yield from self.within(keys, opener)
        if self.peek():
            self.fail("text follows the end of the JSON document")

    def arrays(self, keys: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Yield the members of several arrays of the document and check the rest of the file."""
        names: list[str] = []
        if self.peek() != "{":
            self.fail("expected an object at $")
        for name in self.names():
            names.append(name)
            if name not in keys:
                self.skip()
            elif self.peek() != "[":
                self.fail(f"expected an array at {''.join(self.trail)}")
            else:
                for element in self.items():
                    yield name, element
        for key in keys:
            self.require(key, names)
        if self.peek():
            self.fail("text follows the end of the JSON document")

    def require(self, key: str, names: list[str]) -> None:
        """Refuse an object whose keys are ``names`` if it lacks ``key``."""
        if key not in names:
            raise UnreadableRawFileError(
                f"there is no key {key!r} at {''.join(self.trail)}",
                where=self.path,
                fix=f"the keys are {', '.join(map(repr, names[:20])) or '(none)'}",
            )

    def within(self, keys: tuple[str, ...], opener: str) -> Iterator[Any]:
        """Descend along ``keys``; yield the members of the container found there."""
        if not keys:
            wanted = "an array" if opener == "[" else "an object"
            if self.peek() != opener:
                self.fail(f"expected {wanted} at {''.join(self.trail)}")
            yield from self.items() if opener == "[" else self.pairs()
            return
        if self.peek() != "{":
            self.fail(f"expected an object with the key {keys[0]!r} at {''.join(self.trail)}")
        names: list[str] = []
        for name in self.names():
            names.append(name)
            if name == keys[0]:
                yield from self.within(keys[1:], opener)
            else:
                self.skip()
        self.require(keys[0], names)

    def items(self) -> Iterator[Any]:
        """Yield the elements of the array that begins here."""
        self.take("[")
        index = 0
        while self.peek() != "]":
            if index:
                self.take(",")
            self.trail.append(f"[{index}]")
            yield self.value()
            self.trail.pop()
            index += 1
        self.take("]")

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """Yield the pairs of the object that begins here."""
        for name in self.names():
            yield name, self.value()

    def names(self) -> Iterator[str]:
        """Yield the keys of the object that begins here; the caller consumes each value."""
        self.take("{")
        seen: set[str] = set()
        while self.peek() != "}":
            if seen:
                self.take(",")
            if self.peek() != '"':
                self.fail("expected a key in double quotes")
            at_key = self.at
            name = self.value()
            if name in seen:
                self.at = at_key
                self.fail(f"the key {name!r} occurs twice in one object")
            seen.add(name)
            self.take(":")
            self.trail.append(json_text.step_to(name))
            yield name
            self.trail.pop()
        self.take("}")

    def skip(self) -> None:
        """Consume one value, validating it, without keeping more than one member of it."""
        opener = self.peek()
        members: Iterator[Any] = iter(())
        if opener == "[":
            members = self.items()
        elif opener == "{":
            members = self.pairs()
        else:
            self.value()
        for _ in members:
            pass

    def value(self) -> Any:
        """Parse one value, reading on as long as it may be incomplete."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self.ended or not self.may_be_incomplete(error):
                    json_text.fail_on_syntax(self.text, error, **self.place(), start=self.at)
            except json_text.RefusedJsonError as refused:
                json_text.fail_on_refusal(self.text, refused, **self.place(), start=self.at)
            except RecursionError:
                self.fail("the JSON is nested too deeply")
            except ValueError as error:
                self.fail(f"the JSON holds a bad number: {error}")
            else:
                following = self.text[end : end + _LONGEST_LITERAL]
                if self.ended or following.lstrip(_NUMBER_CHARS):
                    self.at = end
                    return value  # otherwise a number could go on in the next chunk
            self.fill()

    def may_be_incomplete(self, error: json.JSONDecodeError) -> bool:
        """Whether more text could turn this syntax error into a value."""
        at_end = error.pos >= len(self.text) - _LONGEST_LITERAL
        return at_end or error.msg.startswith("Unterminated string")

    def peek(self) -> str:
        """Skip white space and return the next character, or an empty string at the end."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in _WHITESPACE:
                    return self.text[self.at]
                self.at += 1
            if self.ended:
                return ""
            self.fill()

    def take(self, expected: str) -> None:
        """Consume one structural character."""
        if self.peek() != expected:
            self.fail(f"expected {expected!r}")
        self.at += 1

    def fill(self) -> None:
        """Drop the text that was consumed and read on, at least doubling what is left."""
        self.origin = self.origin.after(self.text[: self.at])
        rest = self.text[self.at :]
        if len(rest) > self.max_item_bytes:
            raise RawFileTooLargeError(
                f"one element has more than {self.max_item_bytes:,} bytes (at "
                f"{''.join(self.trail)}, byte {self.origin.byte})",
                where=self.path,
                rule="elements are parsed one by one, each as a whole",
                fix="iterate over a container further inside, or raise max_item_bytes",
            )
        chunk = self.file.read(max(self.chunk_bytes, len(rest)))
        pending = len(self.utf8.getstate()[0])  # bytes of a character that the last chunk split
        try:
            self.text = rest + self.utf8.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise json_text.not_utf8(error, self.bytes_read - pending, where=self.path) from None
        self.bytes_read += len(chunk)
        self.ended = not chunk
        self.at = 0
        overflow = json_text.MAY_OVERFLOW.search(self.text) is not None
        self.decoder = json_text.make_decoder(allow_nan=self.allow_nan, check_overflow=overflow)

    def fail(self, what: str) -> NoReturn:
        """Raise a syntax error for the current position."""
        error = json.JSONDecodeError(what, self.text, self.at)
        json_text.fail_on_syntax(self.text, error, **self.place(), start=self.at)

    def place(self) -> dict[str, Any]:
        """Where the window and the current value stand, for errors."""
        return {"origin": self.origin, "where": self.path, "trail": "".join(self.trail)}
