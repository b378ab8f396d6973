"""Which units of a source are converted."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from posepile_torch.convert.base import Converter, Unit
from posepile_torch.errors import ConversionError, UnknownNameError
from posepile_torch.keys import is_key


@dataclass(frozen=True)
class Selection:
    """Some of a source's units.

    Attributes:
        limit: The first so many; None for all.
        only: Those whose names match one of these patterns (``*``, ``?``, ``[seq]``); empty for
            all.

    Raises:
        ConversionError: If the limit is below one.
    """

    limit: int | None = None
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConversionError(f"limit {self.limit}", rule="at least one unit is converted")

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.limit is None and not self.only

    def to_dict(self) -> dict[str, Any]:
        """Return what was asked for as JSON values, for the manifest."""
        return {"limit": self.limit, "only": list(self.only)}


def selected_units(converter: Converter, selection: Selection) -> list[Unit]:
    """List the selected units of a source, in the converter's order.

    Raises:
        ConversionError: If there are none, or their names are not usable.
        UnknownNameError: If no unit matches.
    """
    where = f"units of {converter.source.card.name}"
    units = list(islice(_matching(converter, selection), selection.limit))
    if not units:
        if selection.only:
            known = [unit.name for unit in converter.units()]
            raise UnknownNameError.among("unit", " ".join(selection.only), known, where=where)
        raise ConversionError(
            "there is nothing to convert",
            where=converter.root,
            rule="a raw folder holds at least one unit",
            fix=f"compare it with the layout: `posepile check {converter.source.card.name}`",
        )
    again = [name for name, count in Counter(unit.name for unit in units).items() if count > 1]
    if again:
        raise ConversionError(f"unit {again[0]!r} is listed twice", where=where)
    for unit in units:
        if not is_key(unit.name):
            raise ConversionError(
                f"unit name {unit.name!r}",
                where=where,
                rule="a unit name is a relative path without '.', '..' or backslash, in NFC",
                fix="have the converter build it from names that are",
            )
    return units


def _matching(converter: Converter, selection: Selection) -> Iterator[Unit]:
    for unit in converter.units():
        if not selection.only or any(
            fnmatch.fnmatchcase(unit.name, pattern) for pattern in selection.only
        ):
            yield unit
