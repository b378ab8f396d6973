"""Making torchvision importable beside a CPU-only torch, for tests.

The wheel on PyPI is built against the CUDA libraries of torch. Beside the CPU-only wheel its
compiled part does not load, and the import fails because the operator ``torchvision::nms`` is not
there. With the operator defined, everything of it that is written in Python works.

Where both packages fit each other nothing is changed. The library itself never does any of this.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import torch

# Installed apart from other packages: some of them import torchvision whenever they find it,
# before anybody could define the operator.
FOLDER = Path(sys.prefix) / "tv"

_defined: list[torch.library.Library] = []  # an operator lives as long as its library


def prepare_torchvision() -> None:
    """Make ``import torchvision`` work; call it before the first import."""
    if importlib.util.find_spec("torchvision") is None and FOLDER.is_dir():
        sys.path.append(str(FOLDER))
    if "torchvision" in sys.modules or torch.version.cuda is not None:
        return
    if "+cpu" in importlib.metadata.version("torchvision"):
        return
    library = torch.library.Library("torchvision", "DEF")
    _defined.append(library)
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", greedy_nms, "CPU")
    from torchvision import extension
    from torchvision.ops import boxes

    extension._assert_has_ops = boxes._assert_has_ops = lambda: None


def greedy_nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes (corners) that no better box overlaps by more than the threshold."""
    kept: list[int] = []
    area = (dets[:, 2] - dets[:, 0]) * (dets[:, 3] - dets[:, 1])
    for i in scores.argsort(descending=True, stable=True).tolist():
        low = torch.maximum(dets[i, :2], dets[kept, :2])
        high = torch.minimum(dets[i, 2:], dets[kept, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        if not (shared > iou_threshold * (area[i] + area[kept] - shared)).any():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)
