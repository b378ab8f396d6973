"""Roots, orders of averaging and frames in words, the same wherever they are printed."""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Frames, MetricSpec, RootSpec

_ORDERS = {
    "pooled": "pooled",
    "sample_mean": "mean of means per person",
    "joint_mean": "mean of means per joint",
}


def root_in_words(root: RootSpec) -> str:
    """Return a root as a short text: a joint, a midpoint, the centroid, or none."""
    if root is None:
        return "none"
    return root if isinstance(root, str) else f"midpoint of {' and '.join(root)}"


def order_in_words(metric: MetricSpec, order: str) -> str:
    """Return an order of averaging as a short text."""
    return f"mean of means per {metric.over}" if order == "group_mean" else _ORDERS[order]


def frames_in_words(frames: Frames) -> str:
    """Return the rules of a selection of frames as one line."""
    parts = [f"split {' and '.join(frames.splits)}"]
    if frames.step > 1:
        parts.append(f"frame number = {frames.offset} modulo {frames.step}")
    for name in ("subjects", "cameras", "activities"):
        if wanted := getattr(frames, name):
            parts.append(f"{name} {', '.join(wanted)}")
    if frames.exclude_sequences:
        parts.append(f"without {', '.join(frames.exclude_sequences)}")
    if frames.valid:
        parts.append(frames.valid)
    return "; ".join(parts)


__all__ = ["frames_in_words", "order_in_words", "root_in_words"]
