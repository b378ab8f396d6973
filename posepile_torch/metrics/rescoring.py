"""Scores of detections from the scores of their boxes and keypoints, in the ways of mmpose.

The score ranks the detections and so decides their AP. Each way has its name, to be stated beside
the number.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError

ScoreMode = Literal["bbox", "keypoint", "bbox_keypoint", "bbox_rle"]
"""How the score of a detection is made.

- ``"bbox"``: that of the box.
- ``"keypoint"``: mean of the keypoint scores.
- ``"bbox_keypoint"``: box score times the mean of the keypoint scores above a threshold; 0 if none
  are above it.
- ``"bbox_rle"``: box score plus mean plus maximum of the keypoint scores.
"""


def detection_scores(
    mode: ScoreMode,
    *,
    box: NDArray[np.float64] | None = None,
    keypoint: NDArray[np.float64] | None = None,
    threshold: float = 0.2,
) -> NDArray[np.float64]:
    """Return the score of each detection, ``[D]``.

    Args:
        mode: See :data:`ScoreMode`.
        box: ``[D]`` scores of the boxes; needed by all modes but ``"keypoint"``.
        keypoint: ``[D, K]`` scores of the keypoints; needed by all modes but ``"bbox"``.
        threshold: Keypoint scores at most this large do not count in ``"bbox_keypoint"``.
    """
    where = "detection_scores"
    if mode not in get_args(ScoreMode):
        raise MetricError(
            f"mode={mode!r} is not a way to score",
            where=where,
            fix=f"choose one of {', '.join(get_args(ScoreMode))}",
        )
    boxes = _given(box, 1, "box", where) if mode != "keypoint" else np.zeros(0)
    if mode == "bbox":
        return boxes
    points = _given(keypoint, 2, "keypoint", where)
    if mode == "keypoint":
        return np.asarray(points.mean(1))
    if len(points) != len(boxes):
        raise MetricError(
            f"{len(boxes)} boxes and {len(points)} detections with keypoints",
            where=where,
            rule="there is one box per detection",
        )
    if mode == "bbox_rle":
        return np.asarray(boxes + points.mean(1) + points.max(1))
    sure = points > threshold
    total = np.where(sure, points, 0.0).sum(1)
    return np.asarray(boxes * total / np.maximum(sure.sum(1), 1))


def _given(
    values: NDArray[np.float64] | None, axes: int, name: str, where: str
) -> NDArray[np.float64]:
    array = np.asarray(np.nan if values is None else values, dtype=np.float64)
    if array.ndim != axes or (axes == 2 and not array.shape[1]):
        raise MetricError(
            f"{name} scores of shape {list(array.shape)}"
            if values is not None
            else f"no {name} scores",
            where=where,
            rule=f"this mode needs them as {'[D]' if axes == 1 else '[D, K]'}",
        )
    return array
