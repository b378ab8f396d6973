"""Average precision over OKS: COCO and the data sets that share its evaluation.

A row of the predictions is one detection with the column ``score`` (and ``box``, where there is
one); ids of people mean nothing. The truth has the columns ``area``, ``box``, ``crowd`` and
``ignored``; an image without anybody is a row with an empty ``person`` and no labelled joint, so
that detections on it count as false.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Published,
)

from . import _citations as cite

FUNCTIONS = ("oks_stat",)
TEN = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
"""The ten numbers of COCO, in its order."""

NINE = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")
"""The nine numbers of CrowdPose."""


_EVALUATOR = "posepile_torch.benchmarks.oks_scoring:evaluate_oks"
_COMMON = (
    Choice("thresholds", "0.50, 0.55, ..., 0.95; recall grid 0, 0.01, ..., 1", cite.COCO),
    Choice("detections", "at most 20 per image, best scores first; ties by image, row", cite.COCO),
    Choice("ignored people", "crowds, people without a labelled keypoint, other sizes", cite.COCO),
    Choice(
        "empty results",
        "no detection at all gives AP 0; pycocotools refuses such a file",
        cite.OURS,
    ),
    Choice("annotation ids", "are not used; id 0 is a person like any other", cite.OURS),
)


def _stats(names: tuple[str, ...], **arguments: str) -> tuple[MetricSpec, ...]:
    prefix = f"{arguments['part']} " if "part" in arguments else ""
    return tuple(
        MetricSpec(
            prefix.replace("_", " ") + name,
            "oks_stat",
            {"stat": name, **arguments},
            unit="",
            higher_is_better=True,
            about="fraction; -1 where there is nothing to find",
        )
        for name in names
    )


def _protocol(
    name: str,
    title: str,
    skeleton: str,
    *choices: Choice,
    stats: tuple[MetricSpec, ...] | None = None,
    comparable: tuple[Published, ...] = (),
    not_comparable: tuple[str, ...] = (),
) -> Protocol:
    return Protocol(
        name=name,
        version=1,
        title=title,
        benchmark=name.split("/", maxsplit=1)[0],
        skeleton=skeleton,
        target="joints2d",
        space="image",
        metrics=stats or _stats(TEN),
        frames=Frames(splits=("val",), valid="every image of the file"),
        on_missing="count_as_wrong",
        evaluator=_EVALUATOR,
        raw_truth="posepile_torch.benchmarks.oks_raw:truth_from_raw",
        choices=(*choices, *_COMMON),
        comparable=comparable,
        not_comparable=(
            *not_comparable,
            "numbers with other person detections, or with other OKS suppression and rescoring "
            "before the evaluation (posepile_torch.metrics.oks_nms and its relatives)",
        ),
    )


_SIGMAS = Choice("OKS", "17 sigmas of COCO, area of the annotation", cite.COCO)
_BOX_AREA = "0.53 times the area of the box, for OKS and for size ranges"

COCO = _protocol(
    "coco/oks",
    "COCO keypoints, average precision and recall",
    "coco_17",
    _SIGMAS,
    comparable=(
        Published(
            "HRNet-W32 256x192, person AP 56.4", {"AP": 0.744, "AR": 0.798}, "HRNet, README"
        ),
        Published(
            "HRNet-W32 256x192, person AP 56.4", {"AP": 0.749, "AR": 0.804}, "mmpose, model zoo"
        ),
    ),
)
OCHUMAN = _protocol("ochuman/oks", "OCHuman keypoints, average precision", "coco_17", _SIGMAS)
HUMAN_ART = _protocol(
    "human-art/oks", "Human-Art keypoints, average precision", "coco_17", _SIGMAS
)
AIC = _protocol(
    "aic/oks",
    "AI Challenger keypoints, average precision",
    "aic_14",
    Choice("OKS", "14 sigmas of its own", cite.MMPOSE),
    Choice("area", _BOX_AREA, cite.MMPOSE),
)
HALPE = _protocol(
    "halpe/oks",
    "Halpe full body, 136 keypoints, average precision",
    "halpe_136",
    Choice("OKS", "136 sigmas, area of the annotation", cite.MMPOSE),
)
CROWDPOSE = _protocol(
    "crowdpose/oks",
    "CrowdPose, average precision, also for easy, medium and hard images",
    "crowdpose_14",
    Choice("OKS", "14 sigmas; " + _BOX_AREA, cite.CROWDPOSE),
    Choice(
        "people without keypoints",
        "num_keypoints is 0; the file counts visible ones",
        cite.CROWDPOSE,
    ),
    Choice(
        "subsets",
        "crowdIndex below 0.2, below 0.8, from 0.8; the text of the paper says 0.1 and 0.8",
        cite.CROWDPOSE,
    ),
    Choice("rounding", "none; the tool rounds the subsets to 4 decimals", cite.OURS),
    stats=_stats(NINE),
    comparable=(
        Published(
            "HRNet-W32 256x192",
            {"AP": 0.675, "AP_easy": 0.77, "AP_medium": 0.687, "AP_hard": 0.553},
            "mmpose, model zoo",
        ),
    ),
    not_comparable=("COCO: area, sigmas and size ranges differ",),
)
_PARTS = ("body", "foot", "face", "left_hand", "right_hand", "wholebody")
WHOLEBODY = _protocol(
    "coco-wholebody/oks",
    "COCO-WholeBody, average precision of six parts",
    "coco_wholebody_133",
    Choice("OKS", "133 sigmas; six evaluations, one area", cite.XTCOCO),
    Choice(
        "ignored people per part",
        "each part by its own visible keypoints and valid flag",
        cite.XTCOCO,
    ),
    stats=tuple(stat for part in _PARTS for stat in _stats(("AP", "AR"), part=part)),
    comparable=(
        Published(
            "HRNet-W32 256x192",
            {"body AP": 0.678, "foot AP": 0.543, "face AP": 0.63, "wholebody AP": 0.536},
            "mmpose, model zoo; its single number for hands, 46.7, is of both",
        ),
    ),
)
