"""Averages, each under its own name, and the counts that belong beside them.

The same distances give different numbers under different orders of averaging, so the order is
always an explicit word. NaN and infinite values are never averaged; see
:func:`posepile_torch.metrics.joint_distances` for what they stand for.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    joint_indices,
    real,
    returned,
    summed,
    surely_finite,
)
from posepile_torch.metrics.choices import Hypotheses, Reduce, check_choice


@dataclass(frozen=True, eq=False)
class GroupMeans(Generic[ArrayT]):
    """Pooled means per group of samples.

    Args:
        labels: The distinct labels, sorted.
        means: ``[G]`` pooled mean per label; NaN where nothing was evaluated.
        counts: ``[G]`` number of evaluated (sample, joint) pairs per label.
    """

    labels: tuple[Any, ...]
    means: ArrayT
    counts: ArrayT

    @property
    def empty(self) -> tuple[Any, ...]:
        """Labels of the groups in which nothing was evaluated, left out of every mean."""
        return tuple(
            label for label, n in zip(self.labels, self.counts.tolist(), strict=True) if n == 0
        )

    def to_dict(self) -> dict[Hashable, float]:
        """Return label → mean."""
        return dict(zip(self.labels, self.means.tolist(), strict=True))


def aggregate(values: ArrayT, reduce: Reduce = "pooled", *, groups: object = None) -> ArrayT:
    """Average values per sample and joint in the named order.

    Values are ``[..., J]``; those that are not finite are left out. A vector of one value per
    sample is given as ``values[..., None]``.

    Args:
        values: Distances, hits or scores, ``[..., J]``.
        reduce: See :data:`Reduce`.
        groups: One label (integer or string) per sample, of the shape of ``values`` without its
            last axis; required by ``"group"`` and ``"group_mean"``, refused otherwise.

    Returns:
        An array, or a scalar for ``"pooled"`` and the ``"..._mean"`` orders.

    Raises:
        MetricError: If a scalar is asked for and not one value is finite.
    """
    where = "aggregate"
    tensor = real(values, name="values", where=where)
    return returned(reduced(tensor, reduce, groups=groups, where=where), values)


def reduced(values: Tensor, reduce: Reduce, *, groups: object = None, where: str) -> Tensor:
    """Average a tensor of values ``[..., J]``; the tensor twin of :func:`aggregate`."""
    check_choice(reduce, Reduce, name="reduce", where=where)
    if (groups is not None) != reduce.startswith("group"):
        raise MetricError(
            "groups were given" if groups is not None else "no groups were given",
            where=where,
            rule='groups belong to reduce="group" and "group_mean", and to no other',
            fix="pass groups=<one label per sample>, or another reduce",
        )
    if reduce == "none":
        return values
    if reduce == "pooled":
        return _mean_of_all(values, where)
    if reduce.startswith("sample"):
        per_sample = _mean_over(values, (values.ndim - 1,))
        return per_sample if reduce == "sample" else _mean_of_all(per_sample, where)
    if reduce.startswith("joint"):
        per_joint = _mean_over(values, tuple(range(values.ndim - 1)))
        return per_joint if reduce == "joint" else _mean_of_all(per_joint, where)
    _, means, _ = _group_means(values, groups, where)
    return means if reduce == "group" else _mean_of_all(means, where)


def group_means(values: ArrayT, groups: object) -> GroupMeans[ArrayT]:
    """Average values inside each group of samples, keeping labels and counts.

    Use it for tables per activity, sequence or subject. A group without any evaluated joint has
    mean NaN and is named by :attr:`GroupMeans.empty`.

    Args:
        values: ``[..., J]``; non-finite values are left out.
        groups: One label per sample, of the shape of ``values`` without its last axis.
    """
    where = "group_means"
    labels, means, counts = _group_means(real(values, name="values", where=where), groups, where)
    return GroupMeans(labels, returned(means, values), returned(counts, values))


def joint_group_means(
    per_joint: ArrayT, groups: Mapping[str, Sequence[int]], *, counts: ArrayT | None = None
) -> dict[str, float]:
    """Average values per joint inside named groups of joints, as benchmark tables do.

    A joint that was never visible (NaN) is left out; a group of only such joints is NaN. Some
    toolboxes average their placeholder -1 into the group instead and report a negative PCK.

    Args:
        per_joint: ``[J]``, for example from ``reduce="joint"``.
        groups: Group name → joint numbers.
        counts: ``[J]`` evaluated samples per joint; if given, joints are weighted by them (the
            pooled mean of the group), otherwise each joint weighs the same.
    """
    where = "joint_group_means"
    values = real(per_joint, name="per_joint", where=where).detach()
    weights = torch.ones_like(values)
    if counts is not None:
        weights = real(counts, name="counts", where=where, device=values.device)
    if values.ndim != 1 or weights.shape != values.shape:
        raise MetricError(
            f"per_joint has shape {list(values.shape)}, counts {list(weights.shape)}",
            where=where,
            rule="both are vectors with one entry per joint",
        )
    weights = torch.where(torch.isfinite(values), weights, torch.zeros_like(weights))
    finite = torch.where(torch.isfinite(values), values, torch.zeros_like(values))
    table = {}
    for name, joints in groups.items():
        chosen = joint_indices(joints, len(values), where=f"{where}, group {name!r}")
        table[name] = float((finite * weights)[chosen].sum() / weights[chosen].sum())
    return table


def over_hypotheses(
    values: ArrayT, how: Hypotheses, *, dim: int = -1, larger_is_better: bool
) -> ArrayT:
    """Reduce one value per pose and hypothesis to one value per pose.

    For PCK, pass the share of correct joints per pose and hypothesis. For CPS, pass what is
    correct per pose, hypothesis and threshold: the best hypothesis is then chosen per pose *and*
    threshold, which for ``"best"`` equals taking the smallest worst-joint distance. The median of
    an even number is the mean of the two middle values. NaN anywhere gives NaN.

    Args:
        values: Any shape; ``dim`` runs over the hypotheses.
        how: Which value counts.
        dim: The axis of hypotheses, which is removed.
        larger_is_better: True for scores, False for errors.
    """
    where = "over_hypotheses"
    tensor = real(values, name="values", where=where)
    check_choice(how, Hypotheses, name="how", where=where)
    if tensor.ndim == 0 or tensor.shape[dim] == 0:
        raise MetricError(
            f"an array of shape {list(tensor.shape)} has nothing along axis {dim}",
            where=where,
            rule="there is at least one hypothesis",
        )
    if how == "mean":
        return returned(tensor.mean(dim), values)
    if how == "median":
        n = tensor.shape[dim]
        middle = tensor.sort(dim).values.narrow(dim, (n - 1) // 2, 2 - n % 2).mean(dim)
        # sort() puts NaN last, where it would escape the median
        return returned(middle.masked_fill(torch.isnan(tensor).any(dim), torch.nan), values)
    largest = (how == "best") == larger_is_better
    return returned(tensor.amax(dim) if largest else tensor.amin(dim), values)


def _mean_over(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    if not dims:
        return values
    if surely_finite(values):
        return summed(values, dims) / math.prod(values.shape[dim] for dim in dims)
    finite = torch.isfinite(values)
    total = summed(values.masked_fill(~finite, 0.0), dims)
    count = finite.sum(dims)
    return (total / count.clamp_min(1)).masked_fill(count == 0, torch.nan)


def _mean_of_all(values: Tensor, where: str) -> Tensor:
    mean = _mean_over(values.reshape(-1), (0,))
    if values.numel() == 0 or bool(torch.isnan(mean.detach())):
        raise MetricError(
            f"nothing to average: an array of shape {list(values.shape)} without a finite value",
            where=where,
            rule="a mean needs at least one evaluated joint",
            fix='check the mask; reduce="sample" or "joint" report NaN where nothing is known',
        )
    return mean


def _group_means(
    values: Tensor, groups: object, where: str
) -> tuple[tuple[Any, ...], Tensor, Tensor]:
    raw = groups.detach().cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
    if raw.shape != tuple(values.shape[:-1]):
        raise MetricError(
            f"{raw.size} group labels of shape {list(raw.shape)} for values of shape"
            f" {list(values.shape)}",
            where=where,
            rule="there is one label per sample",
        )
    labels, codes = np.unique(raw.reshape(-1), return_inverse=True)
    code = torch.from_numpy(codes.reshape(-1)).to(values.device)
    finite = torch.isfinite(values)
    sums = values.masked_fill(~finite, 0.0).sum(-1).reshape(-1)
    number = finite.sum(-1).reshape(-1).to(torch.float64)
    zeros = torch.zeros(len(labels), dtype=torch.float64, device=values.device)
    total, count = zeros.index_add(0, code, sums), zeros.index_add(0, code, number)
    means = (total / count.clamp_min(1)).masked_fill(count == 0, torch.nan)
    return tuple(labels.tolist()), means, count
