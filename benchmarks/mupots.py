"""MuPoTS-3D: people are matched by their 2D joints, then scored per sequence.

Variants differ in the ground truth (universal or metric), in whether predicted bones get the
lengths of the truth, and in whether missed people count. Predictions are in camera space; a row is
one predicted person, whose id means nothing.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    Protocol,
    Target,
)

from . import _citations as cite
from . import _specs as specs

FUNCTIONS = ("mupots_matched", "mupots_annotated", "mupots_recall")
"""What the metrics of these protocols name: a mean over matched people, a percentage over all
annotated people, and the share of people who were matched."""

SCORED = "htop neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank"
_MATCHING = Choice(
    "matching",
    "annotated people in their order take the free prediction with the most joints (neck to left "
    "ankle) less than 40 px away in x and in y; predictions at (0, 0) do not count; the first of "
    "equals; no penalty for surplus predictions",
    cite.POSEPILE,
)
_BONES = Choice(
    "bone lengths",
    "predicted bones get the lengths of the truth, from the pelvis outwards, before the root is "
    "subtracted",
    cite.POSEPILE,
)
_RAW_BONES = Choice("bone lengths", "as predicted", cite.POSEPILE)
_PER_SEQUENCE = Choice(
    "averaging",
    "mean over people per sequence, then over 20 sequences; a sequence without a match is left "
    "out of matched means (and said) and counts 0 for all annotated people",
    f"{cite.POSEPILE}; {cite.OURS} for sequences without a match",
)
_FRAMES = Choice("frames", "people with isValidFrame", cite.POSEPILE)
_PROJECTION = Choice(
    "2D predictions",
    "the column joints2d in pixels, or the 3D prediction projected by the camera of the sequence",
    cite.POSEPILE,
)
_THRESHOLDS = Choice(
    "thresholds", "PCK: d < 150 mm; AUC: 31 strict thresholds 0, 5, ..., 150 mm", cite.POSEPILE
)
_EVALUATOR = "posepile_torch.benchmarks.mupots_scoring:evaluate_mupots"
_RAW = "posepile_torch.benchmarks.mupots_raw:truth_from_raw"


def _score(name: str, score: str, *, missed: bool, absolute: bool, rescale: bool) -> MetricSpec:
    percent = not score.startswith("mpjpe")
    joints = {"mpjpe_16_mm": SCORED + " spin head", "mpjpe_17_mm": None}.get(score, SCORED)
    return MetricSpec(
        name,
        "mupots_annotated" if missed else "mupots_matched",
        {"score": score, "rescale": rescale},
        unit="%" if percent else "mm",
        higher_is_better=percent,
        order="group_mean",
        over="sequence",
        joints=joints,
        root=None if absolute else "protocol",
        about=("missed people count 0; " if missed else "matched people only; ")
        + ("in camera coordinates" if absolute else "relative to the pelvis"),
    )


def _table(variant: str, target: Target, *, rescale: bool) -> Protocol:
    universal = target == "joints3d_univ"
    kind = "universal" if universal else "metric"
    metrics = tuple(
        _score(
            f"{prefix}{label} ({who})", score, missed=missed, absolute=absolute, rescale=rescale
        )
        for absolute, prefix in ((False, ""), (True, "A"))
        for score, label in (("pck_150", "PCK@150"), ("auc_31", "AUC-31"))
        for missed, who in ((True, "all"), (False, "matched"))
    )
    return Protocol(
        name=f"mupots/{variant}",
        version=1,
        title=f"MuPoTS-3D, {kind} truth, bones {'rescaled' if rescale else 'as predicted'}",
        benchmark="mupots",
        skeleton="mupots_17",
        root="pelv",
        target=target,
        metrics=metrics,
        frames=Frames(valid="isValidFrame"),
        breakdowns=("sequence",),
        on_missing="count_as_wrong",
        evaluator=_EVALUATOR,
        raw_truth=_RAW,
        choices=(
            Choice("truth", "univ_annot3" if universal else "annot3", cite.POSEPILE),
            _BONES if rescale else _RAW_BONES,
            _MATCHING,
            _PER_SEQUENCE,
            _FRAMES,
            _PROJECTION,
            _THRESHOLDS,
        ),
        not_comparable=(
            "the other truth, and numbers with the other treatment of bones",
            "numbers for matched people beside numbers for all annotated people",
        ),
        notes=(
            "MeTRAbs eff2l_y4: PCK 90.6, APCK 42.5 (its table of models does not say for whom)",
        )
        if universal and rescale
        else (),
    )


ALL_UNIV_RESCALED = _table("all-univ-rescaled", "joints3d_univ", rescale=True)
ALL_UNIV = _table("all-univ", "joints3d_univ", rescale=False)
ALL_METRIC_RESCALED = _table("all-metric-rescaled", "joints3d", rescale=True)
ALL_METRIC = _table("all-metric", "joints3d", rescale=False)

DETECTED = Protocol(
    name="mupots/detected",
    version=1,
    title="MuPoTS-3D, detected poses: metric truth, bones as predicted",
    benchmark="mupots",
    skeleton="mupots_17",
    root="pelv",
    metrics=(
        *(
            _score(
                f"{'A' if absolute else ''}{label}",
                score,
                missed=False,
                absolute=absolute,
                rescale=False,
            )
            for score, label in (
                ("mpjpe_14_mm", "MPJPE-14"),
                ("mpjpe_16_mm", "MPJPE-16"),
                ("mpjpe_17_mm", "MPJPE-17"),
                ("pck_150", "PCK@150"),
            )
            for absolute in (False, True)
        ),
        MetricSpec(
            "recall",
            "mupots_recall",
            unit="%",
            higher_is_better=True,
            about="matched people of all annotated people",
        ),
    ),
    frames=Frames(valid="isValidFrame"),
    breakdowns=("sequence",),
    on_missing="count_as_wrong",
    evaluator=_EVALUATOR,
    raw_truth=_RAW,
    choices=(
        Choice("truth", "annot3", cite.POSEPILE),
        _RAW_BONES,
        _MATCHING,
        _PER_SEQUENCE,
        _FRAMES,
        _PROJECTION,
        _THRESHOLDS,
    ),
    not_comparable=(
        "numbers after bone rescaling; a method with fewer matches has easier people",
    ),
)
WACV23 = Protocol(
    name="mupots/wacv23",
    version=1,
    title="MuPoTS-3D, WACV'23 tables: matched people pooled, metric truth, 17 joints",
    benchmark="mupots",
    skeleton="mupots_17",
    root="pelv",
    metrics=specs.wacv23(),
    frames=Frames(valid="isValidFrame"),
    breakdowns=("sequence", "joint"),
    on_missing="skip",
    evaluator="posepile_torch.benchmarks.mupots_scoring:evaluate_matched",
    raw_truth=_RAW,
    choices=(
        Choice("truth", "annot3", cite.POSEPILE),
        _RAW_BONES,
        _MATCHING,
        Choice("averaging", "pooled over all matched people, not per sequence", cite.POSEPILE),
        Choice("missed people", "left out; the published recall factor is 1", cite.POSEPILE),
        _FRAMES,
        _PROJECTION,
        Choice("thresholds", "strict, d < t; all 17 joints", cite.POSEPILE),
    ),
    not_comparable=("the other tables of MuPoTS-3D: those are means over sequences",),
)
