"""Typed Dataset classes, one per source, over converted archives.

A class says what is true of the data (card, native skeleton, typed keys); an instance reads one
split of one archive and yields samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posepile_torch.sources.base import Source, Source2D, Source3D

if TYPE_CHECKING:
    from posepile_torch.sources.mannequin import Mannequin as Mannequin

__all__ = ["Mannequin", "Source", "Source2D", "Source3D"]

_MODULES = {"Mannequin": "mannequin"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
