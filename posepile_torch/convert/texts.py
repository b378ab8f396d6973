"""Choices that a person types as ``name=value``, checked and brought to their types."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from posepile_torch.convert.base import Converter, Option
from posepile_torch.convert.plan import Plan
from posepile_torch.errors import ConversionError, UnknownNameError


def changed_plan(plan: Plan, texts: Iterable[str]) -> Plan:
    """Return a plan with some numbers changed, for example by ``["jpeg_quality=90"]``.

    Numbers within a part of the plan are named with a dot: ``precision.joints3d_mm=0.1``.

    Raises:
        UnknownNameError: If the plan has no such number.
        ConversionError: If a value has the wrong type, or breaks its rule.
    """
    for name, value in parsed_texts(texts, "plan").items():
        plan = _with_value(plan, name.split("."), value, name)
    return plan


def _with_value(holder: Any, path: list[str], value: Any, name: str) -> Any:
    known = [field.name for field in dataclasses.fields(holder)]
    if path[0] not in known:
        raise UnknownNameError.among("number", name, known, where="conversion plan")
    old = getattr(holder, path[0])
    if len(path) > 1 and dataclasses.is_dataclass(old):
        new = _with_value(old, path[1:], value, name)
    elif dataclasses.is_dataclass(old) or len(path) > 1:
        raise ConversionError(f"{name} is no single number", where="conversion plan")
    else:
        new = _like(old, value, name, "conversion plan")
    return dataclasses.replace(holder, **{path[0]: new})


def parsed_options(kind: type[Converter], texts: Iterable[str]) -> dict[str, Option]:
    """Read options of a converter, for example ``["joints=25"]``.

    Raises:
        UnknownNameError: If the converter has no such option.
        ConversionError: If a value has another type than its default.
    """
    where = f"converter of {kind.source.card.name}"
    options = {}
    for name, value in parsed_texts(texts, "option").items():
        if name not in kind.default_options:
            raise UnknownNameError.among("option", name, kind.default_options, where=where)
        options[name] = _like(kind.default_options[name], value, name, where)
    return options


def parsed_parameters(texts: Iterable[str]) -> Mapping[str, Any]:
    """Read settings of a cluster, for example ``["slurm_partition=cpu", "timeout_min=240"]``."""
    return {name: _value(text) for name, text in parsed_texts(texts, "cluster").items()}


def parsed_texts(texts: Iterable[str], what: str) -> dict[str, str]:
    """Split ``name=value`` texts.

    Args:
        texts: The texts.
        what: The option that they were given to, for errors.

    Raises:
        ConversionError: If one of them is no such text.
    """
    values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise ConversionError(
                f"{text!r} is no name=value", where=f"--{what}", fix=f"--{what} name=value"
            )
        values[name.strip()] = value.strip()
    return values


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _like(old: Any, text: str, name: str, where: str) -> Any:
    """Return ``text`` as a value of the type of ``old``."""
    value = text if isinstance(old, str) else _value(text)
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        value = tuple(value)
    if old is not None and type(value) is not type(old):
        raise ConversionError(
            f"{name}={text}",
            where=where,
            rule=f"{name} is of the type {type(old).__name__}, for example {json.dumps(old)}",
        )
    return value
