"""The words that say how a number is made.

Results of one name differ between papers by such choices. Here each has a name, and most functions
give them no default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from posepile_torch.errors import MetricError

Root = int | Sequence[int] | Literal["centroid"] | None
"""The point that is moved to the origin.

A joint number, several joint numbers (their midpoint, for example both hips), ``"centroid"`` (mean
of the valid joints), or None for no translation.
"""

Align = Literal["none", "scale", "rigid", "similarity"]
"""What is fitted to the ground truth after the root translation.

``"none"``: nothing. ``"scale"``: one scale about the origin (N-MPJPE). ``"rigid"``: rotation and
translation. ``"similarity"``: rotation, translation and scale (Procrustes, "PA").
"""

Scale = Literal["least_squares", "norm_ratio", "none"]
"""Scale of a fitted transform.

``"least_squares"``: the optimum, which PA means. ``"norm_ratio"``: the ratio of the root sums of
squares about the centroids, as in CanonPose-type code. ``"none"``: one, a rigid transform.
"""

OnMissing = Literal["error", "skip", "count_as_wrong"]
"""What a non-finite prediction at a valid joint means.

``"error"`` raises; ``"skip"`` leaves the joint out; ``"count_as_wrong"`` gives it an infinite
distance, so that PCK, AUC and CPS count it as wrong while means of errors leave it out.
"""

Reduce = Literal[
    "none", "pooled", "sample", "sample_mean", "joint", "joint_mean", "group", "group_mean"
]
"""How values per sample and joint, ``[..., J]``, become the result.

- ``"none"``: as they are, ``[..., J]``.
- ``"pooled"``: one mean over all evaluated (sample, joint) pairs.
- ``"sample"``: mean over the joints of each sample, ``[...]``; NaN for a sample without any.
- ``"sample_mean"``: mean of these over the samples that have one.
- ``"joint"``: mean over the samples for each joint, ``[J]``; NaN for a joint without any.
- ``"joint_mean"``: mean of these over the joints that have one.
- ``"group"``: pooled mean inside each group of samples, one per label in sorted order.
- ``"group_mean"``: unweighted mean of these over the groups that have one.
"""

Hypotheses = Literal["best", "median", "mean", "worst"]
"""Which of several hypotheses for one pose counts."""

ReduceSamples = Literal["none", "mean", "group", "group_mean"]
"""How one value per sample becomes the result.

``"none"``: as they are; ``"mean"``: over the samples that have one; ``"group"`` and
``"group_mean"`` as in :data:`Reduce`.
"""

IouReduce = Literal["pooled", "image", "image_mean"]
"""How silhouettes of several images become one overlap.

``"pooled"``: all intersections over all unions, as published for SSP-3D (STRAPS). ``"image"``: one
value per image, NaN where both silhouettes are empty. ``"image_mean"``: mean of these, as in
PosePile.
"""

Smoothing = Literal["symmetric", "causal", "posepile_causal"]
"""Weights of the neighbouring frames, before they are normalised to sum to one.

- ``"symmetric"``: 1, 2, 4, 8, 16, 32, 16, 8, 4, 2, 1 about the frame.
- ``"causal"``: 6 for the frame itself, then 2, 1, 1, 0.5 for the four before it.
- ``"posepile_causal"``: what PosePile's option of that name computes. Its weight 6 falls on the
  *next* frame, so that it is not causal; for parity only.
"""


def check_choice(value: object, allowed: Any, *, name: str, where: str) -> None:
    """Raise unless ``value`` is one of the words of a literal type.

    Args:
        value: What the caller gave.
        allowed: One of the types of this module.
        name: Name of the argument.
        where: Name of the calling function.
    """
    words = get_args(allowed)
    if value not in words:
        raise MetricError(
            f"{name}={value!r} is none of the choices",
            where=where,
            fix=f"choose one of {', '.join(words)}",
        )
