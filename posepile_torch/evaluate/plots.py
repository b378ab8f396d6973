"""Pictures of errors: bars per joint, curves of PCK, and the worst people over their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive import Archive, open_archive
from posepile_torch.errors import ProtocolError, require
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.joining import join
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import MetricSpec, Protocol
from posepile_torch.evaluate.results import Result
from posepile_torch.evaluate.scoring import Scorer
from posepile_torch.jpeg import decode_jpeg
from posepile_torch.metrics import pck_curve
from posepile_torch.skeleton import JointMap, Skeleton
from posepile_torch.view.draw import contact_sheet, draw_skeleton, write_png

CURVE_MM = 200
"""PCK curves run from 0 to this threshold."""

PREDICTED = (230, 30, 120)
"""Colour of predicted skeletons; true ones have the colours of their sides."""


def write_plots(
    folder: Path,
    protocol: Protocol,
    runs: Sequence[tuple[Predictions, Result]],
    truth: GroundTruth,
    *,
    worst: int = 12,
) -> list[Path]:
    """Write all pictures that the results allow, and return their paths.

    ``joints-<metric>.png`` for every metric with a table per joint; ``pck.png`` for 3D joints;
    ``worst-<predictions>.png`` if the truth came from an archive with images.

    Args:
        folder: Where to; made if it is not there.
        protocol: What was evaluated.
        runs: Predictions with their results.
        truth: Ground truth of all of them.
        worst: How many people are shown, worst first.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = [result for _, result in runs]
    written = []
    for value in results[0].values:
        if "joint" in value.breakdowns:
            path = folder / f"joints-{_slug(value.metric)}.png"
            written.append(joint_bars(results, value.metric, path))
    if protocol.target != "joints2d" and protocol.evaluator is None:
        written.append(pck_curves(protocol, runs, truth, folder / "pck.png"))
    if truth.rows is not None:
        for i, (predictions, result) in enumerate(runs):
            if result.samples is not None:
                path = folder / f"worst-{i}-{_slug(result.name or 'predictions')}.png"
                written.append(
                    worst_people(protocol, predictions, result, truth, path, count=worst)
                )
    return written


def joint_bars(results: Sequence[Result], metric: str, path: Path) -> Path:
    """Draw one group of bars per joint, one bar per result."""
    figure, axes = _figure(7.5, 3.2)
    labels = [cell.label for cell in results[0][metric].breakdowns["joint"]]
    width = 0.8 / len(results)
    for i, result in enumerate(results):
        cells = result[metric].breakdowns["joint"]
        heights = [np.nan if cell.value is None else cell.value for cell in cells]
        at = np.arange(len(labels)) + (i - (len(results) - 1) / 2) * width
        axes.bar(at, heights, width, label=result.name or "predictions")
    value = results[0][metric]
    axes.set_xticks(range(len(labels)), labels, rotation=60)
    axes.set_ylabel(f"{metric} ({value.unit})" if value.unit else metric)
    axes.set_title(f"{results[0].protocol}: {metric} per joint, {value.aggregation}", fontsize=9)
    if len(results) > 1:
        axes.legend(fontsize=8)
    return _saved(figure, path)


def pck_curves(
    protocol: Protocol,
    runs: Sequence[tuple[Predictions, Result]],
    truth: GroundTruth,
    path: Path,
) -> Path:
    """Draw the share of joints within every threshold, for the protocol's root."""
    figure, axes = _figure(4.5, 3.4)
    thresholds = np.arange(CURVE_MM + 1)
    metric = MetricSpec("distance", "mpjpe")
    for predictions, result in runs:
        mapped = predictions.in_skeleton(protocol.named_skeleton)
        data = join(mapped, truth.in_space(mapped.space)).data
        policy = "skip" if result.on_missing == "error" else result.on_missing
        distances = Scorer(protocol, data, policy).distances(metric)  # type: ignore[arg-type]
        curve = pck_curve(distances, thresholds.astype(np.float64), strict=False)
        axes.plot(thresholds, curve, label=result.name or "predictions")
    axes.set(xlim=(0, CURVE_MM), ylim=(0, 100))
    axes.set_xlabel("threshold (mm), inclusive")
    axes.set_ylabel("PCK (%)")
    axes.set_title(f"{runs[0][1].protocol}", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _saved(figure, path)


def worst_people(
    protocol: Protocol,
    predictions: Predictions,
    result: Result,
    truth: GroundTruth,
    path: Path,
    *,
    count: int = 12,
    side_px: int = 240,
) -> Path:
    """Draw the worst people: truth in the colours of its sides, the prediction in magenta.

    Root-relative predictions are moved onto the true root before they are projected.

    Raises:
        ProtocolError: If the ground truth did not come from an archive, or nobody was evaluated.
    """
    if truth.rows is None or result.samples is None:
        raise ProtocolError(
            "there are no images to draw on",
            where=truth.where,
            rule="pictures of people need ground truth from an archive",
        )
    archive = open_archive(truth.where)
    ranked = _ranked(result)[:count]
    if not ranked:
        raise ProtocolError("nobody was evaluated", where=result.protocol)
    mapped = predictions.in_skeleton(protocol.named_skeleton)
    data = join(mapped, truth.in_space(mapped.space)).data
    rows = {key: row for row, key in enumerate(zip(truth.image, truth.person, strict=True))}
    tiles = [
        _tile(archive, truth, data.pred, data.gt, rows[key], side_px, mapped.space, protocol)
        for key in ranked
    ]
    write_png(path, contact_sheet(tiles, columns=min(4, len(tiles))))
    return path


def _ranked(result: Result) -> list[tuple[str, str]]:
    samples = result.samples
    if samples is None:
        return []
    sign = 1.0 if result.values[0].higher_is_better else -1.0
    known = np.flatnonzero(np.isfinite(samples.values))
    order = known[np.argsort(sign * samples.values[known], kind="stable")]
    return [(str(samples.image[row]), str(samples.person[row])) for row in order]


def _tile(
    archive: Archive,
    truth: GroundTruth,
    pred: NDArray[np.float64],
    gt: NDArray[np.float64],
    row: int,
    side_px: int,
    space: str,
    protocol: Protocol,
) -> NDArray[np.uint8]:
    import cv2

    number = int(truth.rows[row]) if truth.rows is not None else -1
    record = archive.record(number)
    image = decode_jpeg(archive.image_bytes(number))
    points, skeleton = [gt[row], pred[row]], protocol.named_skeleton
    if space != "image":
        if record.camera is None:
            mapping = JointMap.between(archive.skeleton, skeleton)
            shown = record.joints2d if record.joints2d is not None else np.empty((0, 2))
            points = [mapping.apply(shown), np.full((len(skeleton), 2), np.nan)]
        else:
            moved = pred[row] + _root_shift(pred[row], gt[row], skeleton, protocol)
            points = [record.camera.project(gt[row]), record.camera.project(moved)]
    scale = side_px / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = np.full((side_px, side_px, 3), 250, np.uint8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    picture[: size[1], : size[0]] = small
    for joints, colour in zip(points, (None, PREDICTED), strict=True):
        at = (joints + 0.5) * scale - 0.5
        known = np.isfinite(at).all(-1)
        picture = draw_skeleton(picture, at, known, skeleton, colour=colour)
    return picture


def _root_shift(
    pred: NDArray[np.float64], gt: NDArray[np.float64], skeleton: Skeleton, protocol: Protocol
) -> NDArray[np.float64]:
    if protocol.root is None:
        return np.zeros(3)
    if protocol.root == "centroid":
        known = np.isfinite(pred).all(-1) & np.isfinite(gt).all(-1)
        return np.asarray((gt[known] - pred[known]).mean(0))
    names = [protocol.root] if isinstance(protocol.root, str) else list(protocol.root)
    columns = skeleton.indices(names)
    return np.asarray(gt[columns].mean(0) - pred[columns].mean(0))


def _figure(width: float, height: float) -> tuple[Any, Any]:
    # the object-oriented interface leaves the user's backend and figures alone
    figure = require("matplotlib.figure", extra="view").Figure(
        figsize=(width, height), layout="constrained"
    )
    return figure, figure.add_subplot()


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text).strip("-").lower()


__all__ = [
    "CURVE_MM",
    "PREDICTED",
    "joint_bars",
    "pck_curves",
    "worst_people",
    "write_plots",
]
