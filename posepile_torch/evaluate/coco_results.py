"""Predictions from results files of the COCO keypoint task."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from posepile_torch.errors import PredictionError
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import Protocol
from posepile_torch.evaluate.tables import is_table
from posepile_torch.rawfiles import read_json
from posepile_torch.skeleton import Skeleton


def read_predictions(path: str | os.PathLike[str], protocol: Protocol) -> Predictions:
    """Read predictions in our own form, or COCO results for a protocol of 2D joints."""
    path = Path(path)
    is_other_json = path.suffix == ".json" and path.is_file() and not is_table(path)
    if is_other_json and protocol.target == "joints2d":
        return read_coco_results(path, protocol.named_skeleton)
    return Predictions.read(path)


def read_coco_results(path: str | os.PathLike[str], skeleton: Skeleton) -> Predictions:
    """Read a list of ``{"image_id", "keypoints": [x, y, s, ...], "score"}``.

    The third number of each keypoint becomes its confidence. Detections are told apart by their
    position among those of their image: ``"0"``, ``"1"``, ... in the order of the file, which is
    also the order that breaks ties of the score. Further fields that are numbers become columns.

    Args:
        path: The file.
        skeleton: Order of the keypoints.

    Raises:
        PredictionError: If it is no such list, or has another number of keypoints.
    """
    entries = read_json(path)
    needed = {"image_id", "keypoints", "score"}
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and needed <= entry.keys() for entry in entries
    ):
        raise PredictionError(
            "no list of COCO keypoint results",
            where=path,
            rule=f"a results file is a list of objects with {', '.join(sorted(needed))}",
            fix="or write a table with posepile_torch.evaluate.Predictions",
        )
    wrong = {len(e["keypoints"]) for e in entries} - {3 * len(skeleton)}
    if wrong:
        raise PredictionError(
            f"{min(wrong)} numbers in keypoints",
            where=path,
            rule=f"{skeleton.name} has {len(skeleton)} keypoints of three numbers each",
        )
    keypoints = np.array([entry["keypoints"] for entry in entries], np.float64)
    keypoints = keypoints.reshape(-1, len(skeleton), 3)
    extras = {"confidence": keypoints[..., 2], **_numbers(entries, needed)}
    extras["score"] = np.array([entry["score"] for entry in entries], np.float64)
    seen: Counter[Any] = Counter()
    person = []
    for entry in entries:
        person.append(str(seen[entry["image_id"]]))
        seen[entry["image_id"]] += 1
    return Predictions(
        image=np.array([str(entry["image_id"]) for entry in entries], dtype=str),
        person=np.array(person, dtype=str),
        joints=keypoints[..., :2],
        skeleton=skeleton,
        space="image",
        extras=extras,
        name=Path(path).stem,
        where=str(path),
    )


def _numbers(entries: list[dict[str, Any]], known: set[str]) -> dict[str, Any]:
    """Columns of the fields that every entry has as a number or as numbers of one shape."""
    names = set.intersection(*(set(entry) for entry in entries)) - known if entries else set()
    columns = {}
    for name in sorted(names):
        try:
            columns[name] = np.array([entry[name] for entry in entries], np.float64)
        except (TypeError, ValueError):
            continue  # texts and ragged lists are no columns
    return columns


__all__ = ["read_coco_results", "read_predictions"]
