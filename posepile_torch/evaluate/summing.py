"""From scores to numbers: headlines, orders of averaging, tables per group and joint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.protocol import GROUPS, MetricSpec, Protocol, root_joints
from posepile_torch.evaluate.results import Cell, Counts, MetricValue
from posepile_torch.evaluate.scores import Joined, Scores
from posepile_torch.evaluate.scoring import ALIGNMENT_OF
from posepile_torch.evaluate.wording import order_in_words, root_in_words


def metric_value(
    protocol: Protocol, metric: MetricSpec, scores: Scores, data: Joined
) -> MetricValue:
    """Return the headline, other orders and breakdowns of one metric.

    Raises:
        PredictionError: If nothing of it was evaluated.
    """
    rows = np.arange(len(data))
    value = _in_order(protocol, metric, scores, data, metric.order)
    if value is None:
        raise PredictionError(
            f"nothing to average for {metric.name!r}: no person has an evaluated joint",
            where=protocol.id,
            rule="a number needs at least one evaluated joint",
            fix="check that labels and predictions share joints",
        )
    also = {order: _in_order(protocol, metric, scores, data, order) for order in metric.also}
    finite = np.isfinite(scores.values)
    breakdowns: dict[str, tuple[Cell, ...]] = {}
    for name in protocol.breakdowns:
        if name == "joint":
            if scores.per_joint:
                breakdowns[name] = _joint_cells(protocol, metric, scores, rows)
        elif name in data.labels:
            breakdowns[name] = _group_cells(scores, data.labels[name])
    root = protocol.root_of(metric)
    joints = protocol.joints_of(metric)
    alignment = ALIGNMENT_OF.get(metric.function, metric.align)
    rootless = metric.function == "ampjpe" or alignment in ("rigid", "similarity")
    on_mesh = metric.function.endswith("pvpe") or metric.function == "pve_t_sc"
    return MetricValue(
        metric=metric.name,
        value=value,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        aggregation=order_in_words(metric, metric.order),
        joints=() if on_mesh else joints,
        root=root_in_words(None if rootless else root),
        alignment=alignment,
        n_samples=int(finite.any(1).sum()),
        n_values=int(finite.sum()),
        also={order_in_words(metric, o): v for o, v in also.items() if v is not None},
        breakdowns=breakdowns,
    )


def _in_order(
    protocol: Protocol, metric: MetricSpec, scores: Scores, data: Joined, order: str
) -> float | None:
    rows = np.arange(len(data))
    if order != "group_mean":
        return scores.mean(rows, order)
    if metric.over not in data.labels:
        if order != metric.order:
            return None
        raise ProtocolError(
            f"the ground truth does not say the {metric.over} of its people",
            where=protocol.id,
            rule=f"{metric.name} is the mean of means per {metric.over}",
            fix=f"give the table of ground truth a column {metric.over!r}",
        )
    cells = _group_cells(scores, data.labels[metric.over])
    known = [cell.value for cell in cells if cell.value is not None]
    return float(np.mean(known)) if known else None


def _group_cells(scores: Scores, labels: NDArray[np.str_]) -> tuple[Cell, ...]:
    names, codes = np.unique(labels, return_inverse=True)
    order = np.argsort(codes.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(codes.reshape(-1), minlength=len(names)))[:-1]
    cells = []
    for name, rows in zip(names.tolist(), np.split(order, ends), strict=True):
        n = int(np.isfinite(scores.values[rows]).any(1).sum())
        cells.append(Cell(name, scores.mean(rows, "pooled"), n))
    return tuple(cells)


def _joint_cells(
    protocol: Protocol, metric: MetricSpec, scores: Scores, rows: NDArray[np.int64]
) -> tuple[Cell, ...]:
    names = protocol.joints_of(metric)
    cells = []
    members: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    members |= {
        group: tuple(j for j in joints if j in names) for group, joints in protocol.groups.items()
    }
    for label, joints in members.items():
        if joints:
            columns = [names.index(joint) for joint in joints]
            part = Scores(scores.values[:, columns])
            n = int(np.isfinite(part.values).any(1).sum())
            cells.append(Cell(label, part.mean(rows, "pooled"), n))
    return tuple(cells)


def columns_of(protocol: Protocol) -> NDArray[np.intp]:
    """Return the numbers of all joints that any metric looks at."""
    names = [*(protocol.joints or ()), *root_joints(protocol.root)]
    for metric in protocol.metrics:
        names += [*protocol.joints_of(metric), *protocol.fit_of(metric)]
        names += root_joints(protocol.root_of(metric))
    return np.unique(protocol.named_skeleton.indices(names))


def count(protocol: Protocol, data: Joined, counted: Mapping[str, int]) -> Counts:
    """Count who is evaluated by the headline metric and who is not.

    Args:
        protocol: Its first metric is the headline.
        data: All annotated people.
        counted: Counts of the join, passed on.
    """
    skeleton, headline = protocol.named_skeleton, protocol.metrics[0]
    columns = skeleton.indices(list(protocol.joints_of(headline)))
    valid, finite = (np.asarray(np.isfinite(p[:, columns]).all(-1)) for p in (data.gt, data.pred))
    fits = ALIGNMENT_OF.get(headline.function, headline.align) in ("rigid", "similarity")
    least = max(1, protocol.min_valid_joints or (3 if fits else 1))
    if fits:
        fitted = skeleton.indices(list(protocol.fit_of(headline)))
        n_labelled = np.isfinite(data.gt[:, fitted]).all(-1).sum(-1)
        excluded = (n_labelled < least) | ~valid.any(1)
    else:
        root = None if headline.function == "ampjpe" else protocol.root_of(headline)
        members = skeleton.indices(list(root_joints(root)))
        excluded = (valid.sum(1) < least) | ~np.isfinite(data.gt[:, members]).all((1, 2))
    both = valid & finite
    missing = ~excluded & ~both.any(1)
    present = ~excluded & ~missing
    low = np.where(both[..., None], data.pred[:, columns], np.inf).min(1, initial=np.inf)
    high = np.where(both[..., None], data.pred[:, columns], -np.inf).max(1, initial=-np.inf)
    degenerate = present & (both.sum(1) > 1) & (low == high).all(-1)
    return Counts(
        n_expected=len(data),
        n_evaluated=int(present.sum()),
        n_missing=int(missing.sum()),
        n_nan_joints=int((valid & ~finite)[present].sum()),
        n_excluded=int(excluded.sum()),
        n_degenerate=int(degenerate.sum()),
        **counted,
    )


def remarks(protocol: Protocol, values: Sequence[MetricValue]) -> list[str]:
    """Return what a reader should know about empty tables and groups."""
    told = []
    absent = [
        name
        for name in protocol.breakdowns
        if name in GROUPS and not any(name in value.breakdowns for value in values)
    ]
    if absent:
        told.append(f"the ground truth has no labels for the tables per {', '.join(absent)}")
    for value in values:
        for name, cells in value.breakdowns.items():
            empty = [cell.label for cell in cells if cell.value is None]
            if empty:
                told.append(
                    f"{value.metric}: nothing was evaluated for {name} {', '.join(empty)}; left "
                    "out of means over them"
                )
    return told


__all__ = ["columns_of", "count", "metric_value", "remarks"]
