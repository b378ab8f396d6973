"""Evaluation: predictions in, numbers with their definition out.

:func:`evaluate` computes what a named protocol says about one set of predictions. Protocols are
loaded by name with :func:`posepile_torch.registry.load_protocol`; ``docs/evaluating.md`` goes the
whole way.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posepile_torch.evaluate.engine import Evaluator as Evaluator
    from posepile_torch.evaluate.engine import evaluate as evaluate
    from posepile_torch.evaluate.groundtruth import GroundTruth as GroundTruth
    from posepile_torch.evaluate.groundtruth import load_truth as load_truth
    from posepile_torch.evaluate.predictions import Predictions as Predictions
    from posepile_torch.evaluate.predictions import PredictionWriter as PredictionWriter
    from posepile_torch.evaluate.predictions import keys_of_ids as keys_of_ids
    from posepile_torch.evaluate.protocol import Choice as Choice
    from posepile_torch.evaluate.protocol import Frames as Frames
    from posepile_torch.evaluate.protocol import MetricSpec as MetricSpec
    from posepile_torch.evaluate.protocol import Protocol as Protocol
    from posepile_torch.evaluate.protocol import Published as Published
    from posepile_torch.evaluate.protocol import Switch as Switch
    from posepile_torch.evaluate.results import Cell as Cell
    from posepile_torch.evaluate.results import Counts as Counts
    from posepile_torch.evaluate.results import MetricValue as MetricValue
    from posepile_torch.evaluate.results import Result as Result
    from posepile_torch.evaluate.results import SeedSummary as SeedSummary
    from posepile_torch.evaluate.results import over_seeds as over_seeds

# Protocols are listed and explained without torch, so nothing is imported before it is used.
_HOMES = {
    "Cell": "results",
    "Choice": "protocol",
    "Counts": "results",
    "Evaluator": "engine",
    "Frames": "protocol",
    "GroundTruth": "groundtruth",
    "MetricSpec": "protocol",
    "MetricValue": "results",
    "PredictionWriter": "predictions",
    "Predictions": "predictions",
    "Protocol": "protocol",
    "Published": "protocol",
    "Result": "results",
    "SeedSummary": "results",
    "Switch": "protocol",
    "evaluate": "engine",
    "keys_of_ids": "predictions",
    "load_truth": "groundtruth",
    "over_seeds": "results",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
