"""MPII single person: PCKh, with both meanings of its "Head" column and of its comparison.

The truth counts pixels from one; what the reader of the raw files returns, and predictions, count
from zero.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol, Published

from . import _citations as cite
from ._specs import NORMED

SCORED = "rank rkne rhip lhip lkne lank neck htop rwri relb rsho lsho lelb lwri"
"""14 joints: all but pelvis and thorax."""

GROUPS = {
    "Head": ("neck", "htop"),
    "Head (head top alone)": ("htop",),
    "Shoulder": ("rsho", "lsho"),
    "Elbow": ("relb", "lelb"),
    "Wrist": ("rwri", "lwri"),
    "Hip": ("rhip", "lhip"),
    "Knee": ("rkne", "lkne"),
    "Ankle": ("rank", "lank"),
}
"""Columns of the table; "Head" is the official one, that of HRNet and mmpose is the second."""

N_PEOPLE = 2958


def _pckh(name: str, threshold: float, *, strict: bool) -> MetricSpec:
    return MetricSpec(
        name,
        "pck_2d",
        {"norm": "head_size", "threshold": threshold, "strict": strict},
        unit="%",
        higher_is_better=True,
        about=f"d {'<' if strict else '<='} {threshold} of 0.6 times the diagonal of the head box",
    )


def _protocol(variant: str, *, strict: bool) -> Protocol:
    area = MetricSpec(
        "AUC",
        "pck_curve_area",
        {"norm": "head_size", "limit": 0.5, "step": 0.01},
        unit="%",
        higher_is_better=True,
        about="trapezoid area under PCKh at 0, 0.01, ..., 0.5",
    )
    hrnet = {} if strict else {"PCKh@0.5": 90.3}
    return Protocol(
        name=f"mpii/{variant}",
        version=1,
        title="MPII validation, single person, PCKh "
        + ("(strict, mmpose)" if strict else "(inclusive, official)"),
        benchmark="mpii",
        skeleton="mpii_16",
        joints=SCORED,
        target="joints2d",
        space="image",
        metrics=(
            _pckh("PCKh@0.5", 0.5, strict=strict),
            _pckh("PCKh@0.1", 0.1, strict=strict),
            *(() if strict else (_pckh("PCKh@0.11 (HRNet's 0.1)", 0.11, strict=False), area)),
        ),
        frames=Frames(splits=("val",), valid="validation set of single people", expected=N_PEOPLE),
        breakdowns=("joint",),
        groups=GROUPS,
        evaluator=NORMED,
        raw_truth="posepile_torch.benchmarks.mpii_raw:truth_from_raw",
        choices=(
            Choice("joints", "14, without pelvis and thorax", cite.EVAL_MPII),
            Choice("norm", "0.6 times the diagonal of the head rectangle", cite.EVAL_MPII),
            Choice(
                "comparison",
                "strict, d < t" if strict else "inclusive, d <= t",
                cite.MMPOSE if strict else f"{cite.EVAL_MPII}; {cite.HRNET}",
            ),
            Choice("averaging", "pooled: weighted by visible counts", cite.EVAL_MPII),
            Choice(
                "pixels",
                "the files count from 1; predictions count from 0 and are compared with files "
                "minus 1, which equals adding 1 to predictions",
                cite.EVAL_MPII,
            ),
            Choice("PCKh@0.1", "the threshold is 0.1; HRNet prints the value at 0.11", cite.OURS),
            Choice(
                "Head",
                "upper neck and head top; HRNet and mmpose print head top alone under that title; "
                "groups are pooled over their joints",
                f"{cite.EVAL_MPII}; {cite.HRNET}",
            ),
        ),
        comparable=(
            Published(
                "HRNet-W32 256",
                {"PCKh@0.5": 90.0, "PCKh@0.1": 33.4},
                "mmpose, model zoo",
            ),
        )
        if strict
        else (
            Published(
                "HRNet-W32 256",
                hrnet | {"PCKh@0.11 (HRNet's 0.1)": 37.7},
                "HRNet, README, where it is called @0.1",
            ),
        ),
        not_comparable=(
            "average precision of several people on MPII",
            "the test set, whose labels are not published",
        ),
    )


PCKH = _protocol("pckh", strict=False)
PCKH_MMPOSE = _protocol("pckh-mmpose", strict=True)
