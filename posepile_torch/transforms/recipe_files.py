"""Recipes as plain values and as text: what is saved, hashed, and written by hand.

The plain form is nested dictionaries of numbers, strings and lists, one per family, every field
present. Reading it back is strict about names and types, and lenient about what is left out: a
missing field keeps its value.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from posepile_torch.errors import RecipeError, UnknownNameError

SCHEMA = 1
"""Version of the plain form; a newer one is refused."""

Plain = dict[str, Any]
_T = TypeVar("_T")


def to_plain(owner: Any) -> Plain:
    """Return a dataclass of numbers, or of such dataclasses, as plain values."""
    return {
        field.name: _plain(getattr(owner, field.name), _example(field))
        for field in dataclasses.fields(owner)
    }


def _plain(value: Any, example: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, tuple):
        return [_plain(v, e) for v, e in zip(value, example, strict=True)]
    # 1 and 1.0 are one number, so they must give one text and one digest.
    return float(value) if isinstance(example, float) else value


def _example(field: dataclasses.Field[Any]) -> Any:
    """Return a value of the type that a field has: its default, or the size of an image."""
    return (256, 256) if field.default is dataclasses.MISSING else field.default


def with_changes(owner: _T, changes: Mapping[str, Any], *, where: str) -> _T:
    """Return a dataclass with some fields replaced by plain values or by values of their type.

    Raises:
        UnknownNameError: If a field is not known.
        RecipeError: If a value has the wrong type or breaks the rule of its field.
    """
    fields = {field.name: field for field in dataclasses.fields(owner)}  # type: ignore[arg-type]
    values = {}
    for name, given in changes.items():
        if name not in fields:
            raise UnknownNameError.among("number of a recipe", name, fields, where=where)
        values[name] = _typed(given, getattr(owner, name), where=f"{where}.{name}")
    return dataclasses.replace(owner, **values)  # type: ignore[type-var]


def _typed(given: Any, current: Any, *, where: str) -> Any:
    if dataclasses.is_dataclass(current):
        if isinstance(given, Mapping):
            return with_changes(current, given, where=where)
        return _checked(given, type(given) is type(current), type(current).__name__, where)
    if isinstance(current, tuple):
        fits = isinstance(given, list | tuple) and len(given) == len(current)
        _checked(given, fits, f"a list of {len(current)}", where)
        return tuple(_typed(g, c, where=where) for g, c in zip(given, current, strict=True))
    if isinstance(current, bool) or isinstance(given, bool):
        return _checked(given, type(given) is type(current), type(current).__name__, where)
    if isinstance(current, float):
        fits = isinstance(given, int | float) and math.isfinite(given)
        return float(_checked(given, fits, "a finite number", where))
    return _checked(given, isinstance(given, type(current)), type(current).__name__, where)


def _checked(given: Any, fits: bool, expected: str, where: str) -> Any:
    if not fits:
        raise RecipeError(
            f"expected {expected}, got {given!r}",
            where=where,
            rule="a changed number has the type that it had before",
            fix="write it as Recipe.to_dict() shows it",
        )
    return given


def nested(changes: Mapping[str, Any]) -> Plain:
    """Turn dotted names into nesting: ``{"geometry.scale.width": 0.1}``."""
    result: Plain = {}
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        inner = result
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return result


def to_json(plain: Plain) -> str:
    """Return plain values as one line of JSON with sorted keys, the same for equal values."""
    return json.dumps(plain, sort_keys=True, allow_nan=False, separators=(",", ":"))


def to_toml(plain: Plain) -> str:
    """Return plain values as TOML, one table per family."""
    return "\n".join(_toml_lines(plain, ())) + "\n"


def _toml_lines(plain: Plain, path: tuple[str, ...]) -> list[str]:
    tables = {key: value for key, value in plain.items() if isinstance(value, dict)}
    lines = [f"{k} = {_toml_value(v)}" for k, v in plain.items() if k not in tables]
    for key, value in tables.items():
        lines += ["", f"[{'.'.join((*path, key))}]", *_toml_lines(value, (*path, key))]
    return lines


def _toml_value(value: Any) -> str:
    # JSON's way of writing numbers, booleans, lists and text is TOML's way, except for pairs of
    # escapes that stand for one character, and for the control character DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
