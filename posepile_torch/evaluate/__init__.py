"""Evaluation: predictions in, numbers with their definition out.

:func:`evaluate` computes what a named protocol says about one set of predictions. Protocols are
loaded by name with :func:`posepile_torch.registry.load_protocol`; ``docs/evaluating.md`` goes the
whole way.
"""

from posepile_torch.evaluate.engine import Evaluator, evaluate
from posepile_torch.evaluate.groundtruth import GroundTruth, load_truth
from posepile_torch.evaluate.predictions import Predictions, PredictionWriter, keys_of_ids
from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
    Switch,
)
from posepile_torch.evaluate.results import (
    Cell,
    Counts,
    MetricValue,
    Result,
    SeedSummary,
    over_seeds,
)

__all__ = [
    "Cell",
    "Choice",
    "Counts",
    "Evaluator",
    "Frames",
    "GroundTruth",
    "MetricSpec",
    "MetricValue",
    "PredictionWriter",
    "Predictions",
    "Protocol",
    "Published",
    "Result",
    "SeedSummary",
    "Switch",
    "evaluate",
    "keys_of_ids",
    "load_truth",
    "over_seeds",
]
