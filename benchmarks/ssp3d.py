"""SSP-3D: body shape in the neutral pose, and the overlap of silhouettes.

Truth and predictions have the columns ``vertices`` (mesh in the neutral pose, mm) and, for the
overlap, ``silhouette`` (``[H, W]``, rendered by the user).
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol

from . import _citations as cite

FUNCTIONS = ("silhouette_iou",)
_FRAMES = Frames(valid="every image", expected=311)
SHAPE = Protocol(
    name="ssp3d/shape",
    version=1,
    title="SSP-3D, vertex error in the neutral pose after scale correction (PVE-T-SC)",
    benchmark="ssp3d",
    skeleton="smpl_24",
    target="vertices",
    metrics=(
        MetricSpec(
            "PVE-T-SC",
            "pve_t_sc",
            order="sample_mean",
            about="meshes in T-pose, centred, the prediction scaled to the truth's size; no turn",
        ),
    ),
    frames=_FRAMES,
    choices=(
        Choice("truth", "gendered mesh in the neutral pose", cite.STRAPS),
        Choice("prediction", "neutral mesh in the neutral pose", cite.STRAPS),
        Choice("scale", "ratio of the sizes, not the least-squares scale", cite.STRAPS),
        Choice("averaging", "mean over images", cite.STRAPS),
    ),
    not_comparable=("PVE-T without scale correction",),
)
SILHOUETTE = Protocol(
    name="ssp3d/silhouette",
    version=1,
    title="SSP-3D, shape error and overlap of silhouettes, pooled and per image",
    benchmark="ssp3d",
    skeleton="smpl_24",
    target="vertices",
    metrics=(
        *SHAPE.metrics,
        MetricSpec(
            "mIoU (pooled)",
            "silhouette_iou",
            {"reduce": "pooled"},
            unit="",
            higher_is_better=True,
            about="all intersections over all unions, as published",
        ),
        MetricSpec(
            "mIoU (per image)",
            "silhouette_iou",
            {"reduce": "image_mean"},
            unit="",
            higher_is_better=True,
            about="mean of the overlaps of the images, as PosePile computes it",
        ),
    ),
    frames=_FRAMES,
    evaluator="posepile_torch.benchmarks.ssp3d_scoring:evaluate_silhouettes",
    choices=(
        *SHAPE.choices,
        Choice("overlap", "pooled over the pixels of the data set", cite.STRAPS),
        Choice("overlap per image", "the other average, under its own name", cite.POSEPILE),
    ),
    not_comparable=("pooled overlaps beside means per image",),
)
