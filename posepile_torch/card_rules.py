"""What the parts of a card share: how a broken rule is reported, and how they become JSON."""

from __future__ import annotations

import re
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Problem(NamedTuple):
    """A rule that a part of a card breaks.

    Attributes:
        field: Name of the field, dotted from the part that reports it.
        what: What is wrong, with the offending value.
        rule: The rule.
        fix: What the author of the card can do.
    """

    field: str
    what: str
    rule: str
    fix: str


def is_web_address(text: str) -> bool:
    """Say whether ``text`` is an ``http(s)://`` address without blanks."""
    return re.fullmatch(r"https?://[^\s/]+(/\S*)?", text) is not None


def json_ready(value: DataclassInstance) -> dict[str, Any]:
    """Turn a dataclass into dicts, lists and scalars; enum members become their text."""
    return cast("dict[str, Any]", _plain(asdict(value)))


def _plain(item: Any) -> Any:
    if isinstance(item, StrEnum):
        return item.value
    if isinstance(item, dict):
        return {key: _plain(entry) for key, entry in item.items()}
    if isinstance(item, list | tuple):
        return [_plain(entry) for entry in item]
    return item


__all__ = ["Problem", "is_web_address", "json_ready"]
