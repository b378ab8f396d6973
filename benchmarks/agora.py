"""AGORA: people are matched by 24 projected joints, errors of matched people, divided by F1.

Numbers of the leaderboard come from the benchmark's server; those computed here are estimates on
the validation set. Predictions have the column ``joints2d`` in pixels of the 3840 x 2160 images,
the truth too, and ``valid``; both may have ``vertices`` of the body.
"""

from __future__ import annotations

from posepile_torch.evaluate.protocol import Choice, Frames, MetricSpec, Protocol

from . import _citations as cite
from . import _specs as specs

FUNCTIONS = ("agora_mean", "agora_normalised", "agora_f1", "agora_precision", "agora_recall")
_CHOICES = (
    Choice("valid people", "flagged valid and occluded by 0 to 90 percent", cite.AGORA_PAPER),
    Choice(
        "matching",
        "the pair with the smallest discrepancy of 24 joints in the image, again and again; "
        "accepted if both are free and the tight boxes (legacy +1 px) overlap by 0.1; a pair with "
        "an annotated person who is not valid retires that person only",
        cite.AGORA_PAPER,
    ),
    Choice(
        "discrepancy",
        "largest singular value of the matrix of differences, as the public tool has it; "
        "its low-overlap pairs may end the matching early, these do not",
        f"{cite.AGORA_PAPER}; {cite.OURS}",
    ),
    Choice("root", "midpoint of the hips, wrist, or neck; translation only", cite.AGORA_PAPER),
    Choice("F1", "TP / (TP + (FP + FN) / 2), not rounded before it divides", cite.OURS),
    Choice("missed people", "enter F1, never a mean error", cite.OURS),
    Choice(
        "parity",
        "agora/smpl-tool rounds F1 to 2 decimals and lets missed people enter means of hands and "
        "face as zero",
        cite.AGORA_PAPER,
    ),
)
_NOT = ("numbers of the leaderboard: those are of the test set, by the server",)


def _metrics(measures: dict[str, str]) -> tuple[MetricSpec, ...]:
    found = []
    for measure, label in measures.items():
        kind = "NMJE" if measure.startswith("mpjpe") else "NMVE"
        for function, name in (
            ("agora_mean", label),
            ("agora_normalised", label.replace("MPJPE", kind).replace("MVE", kind)),
        ):
            found.append(
                MetricSpec(
                    name,
                    function,
                    {"measure": measure},
                    about="mean over matched people" + ("" if name == label else ", over F1"),
                )
            )
    for function, name in (
        ("agora_f1", "F1"),
        ("agora_precision", "precision"),
        ("agora_recall", "recall"),
    ):
        found.append(MetricSpec(name, function, unit="", higher_is_better=True))
    return tuple(found)


def _smpl(variant: str, tool: bool) -> Protocol:
    return Protocol(
        name=f"agora/{variant}",
        version=1,
        title="AGORA validation, SMPL: 24 joints and body vertices"
        + (", with the roundings of the public tool" if tool else ""),
        benchmark="agora",
        skeleton="smpl_24",
        root=specs.MID_HIP,
        target="vertices",
        metrics=_metrics({"mpjpe_body": "MPJPE body", "mve_body": "MVE body"}),
        frames=Frames(splits=("val",), valid="occlusion 0..90 percent"),
        on_missing="count_as_wrong",
        evaluator="posepile_torch.benchmarks.agora_scoring:evaluate_tool"
        if tool
        else "posepile_torch.benchmarks.agora_scoring:evaluate_agora",
        choices=_CHOICES,
        not_comparable=_NOT,
    )


SMPL = _smpl("smpl", tool=False)
SMPL_TOOL = _smpl("smpl-tool", tool=True)
SMPLX = Protocol(
    name="agora/smplx-joints",
    version=1,
    title="AGORA validation, SMPL-X: body and hand joints, face landmarks",
    benchmark="agora",
    skeleton="smplx_55",
    root=specs.MID_HIP,
    metrics=_metrics(
        {
            "mpjpe_body": "MPJPE body",
            "mpjpe_left_hand": "MPJPE left hand",
            "mpjpe_right_hand": "MPJPE right hand",
            "mpjpe_face": "MPJPE face",
            "mpjpe_full": "MPJPE full body",
        }
    ),
    frames=Frames(splits=("val",), valid="occlusion 0..90 percent"),
    on_missing="count_as_wrong",
    evaluator="posepile_torch.benchmarks.agora_scoring:evaluate_agora",
    choices=(
        *_CHOICES,
        Choice(
            "joints",
            "22 of the body, 15 per hand, 51 landmarks of the face in the column face",
            cite.AGORA_PAPER,
        ),
        Choice("full body", "body + (left hand + right hand + face) / 3", cite.AGORA_PAPER),
    ),
    not_comparable=(*_NOT, "SMPLer-X prints NMVE 107.2 mm: vertices, test set"),
)
