"""Human-pose datasets converted once, fed at decoder speed, evaluated like the references.

Names are imported when they are first used, so that ``import posepile_torch`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posepile_torch.archive import open_archive as open_archive
    from posepile_torch.camera import Camera as Camera
    from posepile_torch.camera import Lens as Lens
    from posepile_torch.errors import PosepileError as PosepileError
    from posepile_torch.loader import make_loader as make_loader
    from posepile_torch.masks import Mask as Mask
    from posepile_torch.mixture import Mixture as Mixture
    from posepile_torch.registry import load_converter as load_converter
    from posepile_torch.registry import load_source as load_source
    from posepile_torch.sample import Batch as Batch
    from posepile_torch.sample import collate as collate
    from posepile_torch.skeleton import JointMap as JointMap
    from posepile_torch.skeleton import Skeleton as Skeleton
    from posepile_torch.transforms import recipes as recipes

_HOMES = {
    "Batch": "sample",
    "Camera": "camera",
    "JointMap": "skeleton",
    "Lens": "camera",
    "Mask": "masks",
    "Mixture": "mixture",
    "PosepileError": "errors",
    "Skeleton": "skeleton",
    "collate": "sample",
    "load_converter": "registry",
    "load_source": "registry",
    "make_loader": "loader",
    "open_archive": "archive",
    "recipes": "transforms",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    if name == "recipes":
        return importlib.import_module(f"{__name__}.transforms.recipes")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
