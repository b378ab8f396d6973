"""Average precision over OKS: COCO and the data sets that share its evaluation.

A row of the predictions is one detection with the column ``score`` (and ``box``, where there is
one); ids of people mean nothing. The truth has the columns ``area``, ``box``, ``crowd`` and
``ignored``; an image without anybody is a row with an empty ``person`` and no labelled joint, so
that detections on it count as false.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    Choice,
    Frames,
    MetricSpec,
    OnMissing,
    Protocol,
    Published,
)
from posepile_torch.evaluate.results import Counts, Result
from posepile_torch.metrics.coco_ap import OksEvaluator, OksResult
from posepile_torch.metrics.keypoint_tables import KeypointDetections, KeypointPersons
from posepile_torch.metrics.oks_sets import CrowdPoseEvaluator, WholeBodyEvaluator, oks_rules
from posepile_torch.rawfiles import read_json

from . import _citations as cite
from . import _rows as rows

FUNCTIONS = ("oks_stat",)
TEN = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
"""The ten numbers of COCO, in its order."""

NINE = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")
"""The nine numbers of CrowdPose."""

RULES = {
    "coco/oks": "coco",
    "ochuman/oks": "ochuman",
    "human-art/oks": "human_art",
    "crowdpose/oks": "crowdpose",
    "aic/oks": "aic",
    "halpe/oks": "halpe",
}
"""Protocol → entry of :data:`posepile_torch.metrics.oks_sets.OKS_RULES`."""

FILES = {
    "coco": "person_keypoints_val2017.json",
    "coco-wholebody": "coco_wholebody_val_v1.0.json",
    "crowdpose": "crowdpose_test.json",
    "ochuman": "ochuman_coco_format_val_range_0.00_1.00.json",
    "human-art": "validation_humanart.json",
    "aic": "aic_val.json",
    "halpe": "halpe_val_v1.json",
}
"""Benchmark → file that its ground truth is read from, in the folder or in ``annotations``."""

_WHOLEBODY_FIELDS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
_EVALUATOR = "posepile_torch.benchmarks.oks:evaluate_oks"
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
        raw_truth="posepile_torch.benchmarks.oks:truth_from_raw",
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


def evaluate_oks(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Compute average precision and recall.

    ``on_missing`` is about keypoints that are not finite: an error, or infinitely far. A person
    who is not found is a miss under either.
    """
    rows.check_policy(protocol, on_missing)
    rows.check_people(predictions)
    persons, images = _persons(truth)
    detections = KeypointDetections(
        image=_ids(predictions.image),
        keypoints=predictions.joints,
        score=np.asarray(rows.predicted_column(predictions, "score", protocol), np.float64),
        box=predictions.extras.get("box"),
    )
    found = _computed(protocol, persons, detections, images, truth, on_missing)
    values = tuple(
        rows.valued(
            protocol,
            metric,
            found[str(metric.arguments.get("part", ""))][str(metric.arguments["stat"])],
            aggregation="mean over OKS thresholds and recall grid",
            n_samples=len(persons),
        )
        for metric in protocol.metrics
    )
    first = next(iter(found.values()))
    uncounted = int(persons.uncounted().sum())
    counts = Counts(
        n_expected=len(persons),
        n_evaluated=len(persons) - uncounted,
        n_excluded=uncounted,
    )
    notes: tuple[str, ...] = (f"{first.n_detections} detections took part",)
    if first.n_over_limit:
        notes += (f"{first.n_over_limit} detections beyond the limit per image were left out",)
    return rows.result(
        protocol, predictions, truth, on_missing, values=values, counts=counts, notes=notes
    )


def _computed(
    protocol: Protocol,
    persons: KeypointPersons,
    detections: KeypointDetections,
    images: list[Any],
    truth: GroundTruth,
    on_missing: OnMissing,
) -> dict[str, OksResult]:
    policy: Any = on_missing
    known = {image.item() if hasattr(image, "item") else image for image in images}
    keep = np.isin(detections.image, list(known)) if len(detections) else np.zeros(0, bool)
    chosen = KeypointDetections(
        image=detections.image[keep],
        keypoints=detections.keypoints[keep],
        score=detections.score[keep],
        box=None if detections.box is None else detections.box[keep],
    )
    if protocol.name == "coco-wholebody/oks":
        whole = WholeBodyEvaluator(policy)
        whole.update(persons, chosen, images)
        return whole.compute()
    rules = dataclasses.replace(oks_rules(RULES[protocol.name]), on_missing=policy)
    if protocol.name == "crowdpose/oks":
        index = np.asarray(rows.true_column(truth, "crowd_index", protocol), np.float64)
        levels = dict(zip(_ids(truth.image).tolist(), index.tolist(), strict=True))
        crowd = CrowdPoseEvaluator(levels, rules)
        crowd.update(persons, chosen, images)
        return {"": crowd.compute()}
    evaluator = OksEvaluator(rules)
    evaluator.update(persons, chosen, images)
    return {"": evaluator.compute()}


def _persons(truth: GroundTruth) -> tuple[KeypointPersons, list[Any]]:
    """Return annotated people without the rows of empty images, and the ids of all images."""
    images = _ids(truth.image)
    real = truth.person != ""

    def column(name: str, kind: type) -> NDArray[Any] | None:
        values = truth.extras.get(name)
        return None if values is None else np.asarray(values)[real].astype(kind)

    joints = truth.joints[real]
    persons = KeypointPersons(
        image=images[real],
        keypoints=np.nan_to_num(joints),
        labelled=np.asarray(np.isfinite(joints).all(-1)),
        area=column("area", np.float64),
        box=column("box", np.float64),
        crowd=column("crowd", np.bool_),
        ignored=column("ignored", np.bool_),
    )
    return persons, sorted(set(images.tolist()))


def _ids(image: NDArray[np.str_]) -> NDArray[Any]:
    """Return ids of images as integers if all of them are, so that 9 sorts before 10."""
    texts = np.asarray(image, dtype=str)
    if all(text.isdigit() for text in texts.tolist()):
        return texts.astype(np.int64)
    return texts


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read a COCO file of keypoints; ids of images and people are those of the file.

    Args:
        protocol: Says which data set, and so which file of :data:`FILES`.
        path: Folder with the file, or with the folder ``annotations`` that has it.
        body_models: Not used.
    """
    del body_models
    name = FILES[protocol.benchmark]
    file = next((f for f in (path / "annotations" / name, path / name) if f.is_file()), None)
    if file is None:
        raise ProtocolError(
            f"no file {name}",
            where=path,
            rule=f"{protocol.id} reads it, in the folder or in 'annotations'",
            fix="pass the folder of the annotations",
        )
    data = read_json(file)
    people = [a for a in data["annotations"] if "keypoints" in a]
    count = len(protocol.named_skeleton)
    fields = _WHOLEBODY_FIELDS if count == 133 else ("keypoints",)
    triples = np.array(
        [[number for field in fields for number in a[field]] for a in people], np.float64
    ).reshape(-1, count, 3)
    inhabited = {a["image_id"] for a in people}
    empty = [image["id"] for image in data["images"] if image["id"] not in inhabited]
    labelled = triples[..., 2:] > 0
    crowd_of = {image["id"]: float(image.get("crowdIndex", 0.0)) for image in data["images"]}
    ids = [a["image_id"] for a in people] + empty
    n, m = len(people), len(empty)
    ignored = [bool(a.get("ignore", 0)) or a.get("num_keypoints") == 0 for a in people]
    extras: dict[str, NDArray[Any]] = {
        "box": np.array([a["bbox"] for a in people] + [[0.0] * 4] * m, np.float64).reshape(-1, 4),
        "crowd": np.array([bool(a.get("iscrowd", 0)) for a in people] + [False] * m, bool),
        "ignored": np.array(ignored + [True] * m, bool),
        "crowd_index": np.array([crowd_of.get(image, 0.0) for image in ids]),
    }
    if all("area" in a for a in people):
        extras["area"] = np.array([a["area"] for a in people] + [0.0] * m, np.float64)
    return GroundTruth(
        image=np.array([str(image) for image in ids], dtype=str),
        person=np.array([str(a["id"]) for a in people] + [""] * m, dtype=str),
        joints=np.concatenate(
            [np.where(labelled, triples[..., :2], np.nan), np.full((m, count, 2), np.nan)]
        ),
        skeleton=skeletons.get(protocol.named_skeleton.name),
        space="image",
        extras=extras,
        where=str(file),
        notes=() if n else ("nobody is annotated",),
    )
