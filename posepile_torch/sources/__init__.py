"""Typed Dataset classes, one per source, over converted archives.

A class says what is true of the data (card, native skeleton, typed keys); an instance reads one
split of one archive and yields samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posepile_torch.sources.base import Source, Source2D, Source3D

if TYPE_CHECKING:
    from posepile_torch.sources.aspset import Aspset as Aspset
    from posepile_torch.sources.coco import Coco as Coco
    from posepile_torch.sources.coco import CocoWholeBody as CocoWholeBody
    from posepile_torch.sources.h36m import Human36M as Human36M
    from posepile_torch.sources.mannequin import Mannequin as Mannequin
    from posepile_torch.sources.posepile import PosePile2D as PosePile2D
    from posepile_torch.sources.posepile import PosePile3D as PosePile3D
    from posepile_torch.sources.threedpw import ThreeDPW as ThreeDPW

__all__ = [
    "Aspset",
    "Coco",
    "CocoWholeBody",
    "Human36M",
    "Mannequin",
    "PosePile2D",
    "PosePile3D",
    "Source",
    "Source2D",
    "Source3D",
    "ThreeDPW",
]

_MODULES = {
    "Aspset": "aspset",
    "Coco": "coco",
    "CocoWholeBody": "coco",
    "Human36M": "h36m",
    "Mannequin": "mannequin",
    "PosePile2D": "posepile",
    "PosePile3D": "posepile",
    "ThreeDPW": "threedpw",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
