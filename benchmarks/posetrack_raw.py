"""Ground truth of PoseTrack 2018 from its JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import (
    Protocol,
)
from posepile_torch.metrics.posetrack import (
    posetrack18_joints,
)
from posepile_torch.rawfiles import read_json

HEAD_SHARE = 0.6


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read the JSON files of PoseTrack 2018, one per sequence.

    The id of an image is its file name without the ending; labelled frames only.

    Args:
        protocol: Not used beyond its name.
        path: Folder with ``annotations/val/*.json``, ``val/*.json`` or ``*.json``.
        body_models: Not used.
    """
    del body_models
    folders = [path / "annotations" / "val", path / "val", path]
    files = next((f for folder in folders if (f := sorted(folder.glob("*.json")))), [])
    if not files:
        raise ProtocolError(
            "no file annotations/val/*.json",
            where=path,
            rule=f"{protocol.id} reads one file per sequence",
            fix="pass the folder that holds 'annotations'",
        )
    columns: dict[str, list[Any]] = {
        name: [] for name in ("image", "person", "sequence", "frame", "size", "track", "ignore")
    }
    triples: list[Any] = []
    for file in files:
        _read_sequence(file, columns, triples)
    table = np.array(triples, np.float64).reshape(-1, 17, 3)
    return GroundTruth(
        image=np.array(columns["image"], dtype=str),
        person=np.array(columns["person"], dtype=str),
        joints=posetrack18_joints(table[..., :2], table[..., 2]),
        skeleton=skeletons.get("posetrack_15"),
        space="image",
        labels={"sequence": np.array(columns["sequence"], dtype=str)},
        frame=np.array(columns["frame"], dtype=np.int64),
        extras={
            "head_size": np.array(columns["size"], np.float64),
            "track": np.array(columns["track"], dtype=str),
            "ignore_regions": np.array(columns["ignore"], dtype=str),
        },
        where=str(path),
    )


def _read_sequence(file: Path, columns: dict[str, list[Any]], triples: list[Any]) -> None:
    data = read_json(file)
    images = {image["id"]: image for image in data["images"] if image.get("is_labeled", True)}
    for person in data["annotations"]:
        image = images.get(person["image_id"])
        if image is None or "keypoints" not in person or "bbox_head" not in person:
            continue
        width, height = person["bbox_head"][2:]
        xs, ys = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
        regions = [list(zip(x, y, strict=True)) for x, y in zip(xs, ys, strict=True)]
        columns["image"].append(str(Path(image["file_name"]).with_suffix("")))
        columns["person"].append(str(person["track_id"]))
        columns["sequence"].append(str(image.get("vid_id", file.stem)))
        columns["frame"].append(int(image.get("frame_id", image["id"])))
        columns["size"].append(HEAD_SHARE * float(np.hypot(width, height)))
        columns["track"].append(str(person["track_id"]))
        columns["ignore"].append(json.dumps(regions))
        triples.append(person["keypoints"])
