"""Reading whole JSON files, strictly."""

from __future__ import annotations

import json
import os
from typing import Any

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.rawfiles import json_text, sniff

DEFAULT_MAX_BYTES = 2 * sniff.GIB


def read_json(
    path: str | os.PathLike[str],
    *,
    allow_nan: bool = False,
    allow_trailing_commas: bool = False,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
) -> Any:
    """Read a JSON file.

    The text is UTF-8; its byte-order mark is skipped if there is one. Python objects as of the
    ``json`` module come back. The parsed document takes about five to ten times the size of the
    file in memory: use :func:`iter_json_array` for very large ones.

    Args:
        path: The file.
        allow_nan: Accept ``NaN``, ``Infinity`` and ``-Infinity``, which some writers emit
            although JSON has no such words.
        allow_trailing_commas: Accept a comma before a closing bracket (hand-written files).
        max_bytes: Refuse larger files; ``None`` lifts the limit.

    Raises:
        UnreadableRawFileError: If it is not JSON, is cut off, repeats a key within an object, or
            holds a number that no float can hold. The message has the byte offset, the line and
            column, the path of the element and the text around it.
        RawFileTooLargeError: If it exceeds ``max_bytes`` or the memory at hand.
    """
    data = sniff.read_bytes(path, max_bytes=max_bytes)
    with sniff.memory_guard(path, len(data)):
        return parse_json(
            data, where=path, allow_nan=allow_nan, allow_trailing_commas=allow_trailing_commas
        )


def parse_json(
    data: bytes,
    *,
    where: object = None,
    allow_nan: bool = False,
    allow_trailing_commas: bool = False,
) -> Any:
    """Parse JSON bytes by the rules of :func:`read_json`; ``where`` is named in errors."""
    text, origin = json_text.decode_utf8(data, where=where)
    if allow_trailing_commas:
        text = json_text.without_trailing_commas(text)
    overflow = json_text.MAY_OVERFLOW.search(text) is not None
    decoder = json_text.make_decoder(allow_nan=allow_nan, check_overflow=overflow)
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        json_text.fail_on_syntax(text, error, origin=origin, where=where)
    except json_text.RefusedJsonError as refused:
        json_text.fail_on_refusal(text, refused, origin=origin, where=where)
    except RecursionError:
        raise UnreadableRawFileError(
            "the JSON is nested too deeply", where=where, rule="Python parses about 1000 levels"
        ) from None
    except ValueError as error:  # an integer with more digits than Python converts
        raise UnreadableRawFileError(
            f"the JSON holds a bad number: {error}", where=where
        ) from None
