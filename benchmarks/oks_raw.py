"""Ground truth from keypoint files in the form of COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import (
    Protocol,
)
from posepile_torch.rawfiles import read_json

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
