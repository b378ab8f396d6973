"""Torchvision's transforms between: samples as tv_tensors and back.

A sample becomes a dictionary that ``torchvision.transforms.v2`` understands, and is put together
again from what a transform made of it. Geometry may change as well: the way that a grid of
reference points went says which camera takes the new image, so 3D joints stay consistent with
pixels whatever the transform was called. Only transforms that no camera can explain are refused.

Torchvision is optional (the extra ``tv``) and imported when a function is called. Its coordinates
have pixel *corners* at integers; the half pixel is added and taken off here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import ImageError, MissingDependencyError, RecipeError, require
from posepile_torch.sample import Sample, Sample3D
from posepile_torch.transforms.affine import affine_camera, homography_camera
from posepile_torch.transforms.streams import RandomKey

S = TypeVar("S", bound=Sample)
Floats = NDArray[np.float64]

_GRID = 3  # reference points along each side: four fix a homography, the rest check it
_TOLERANCE_PX = 0.05


def to_tv(sample: Sample, *, mask: NDArray[np.uint8] | None = None) -> dict[str, Any]:
    """Return a sample as a dictionary of tv_tensors.

    ``image`` is an ``Image`` ``[3, H, W]``, ``joints2d`` are ``KeyPoints``, ``box`` and
    ``reference`` are ``BoundingBoxes``, ``mask`` is a ``Mask`` if one is given. Do not touch
    ``reference``: :func:`from_tv` reads from it where the image went.

    Args:
        sample: Any sample.
        mask: ``[H, W]`` to be transformed with it.

    Raises:
        MissingDependencyError: If torchvision is not installed.
    """
    import torch

    tv_tensors = _tv_tensors()
    canvas = sample.image.shape[:2]
    image = torch.from_numpy(np.ascontiguousarray(sample.image.transpose(2, 0, 1)))
    box = torch.from_numpy(sample.box[None].astype(np.float32))
    box[:, :2] += 0.5
    # Boxes without extent: torchvision mirrors key points by another convention than it resizes
    # them, boxes by one and the same.
    places = torch.from_numpy(_reference(sample.camera.size)).to(torch.float32) + 0.5
    reference = torch.cat([places, torch.zeros_like(places)], dim=1)
    values = {
        "image": tv_tensors.Image(image),
        "joints2d": tv_tensors.KeyPoints(
            torch.from_numpy(sample.joints2d) + 0.5, canvas_size=canvas
        ),
        "box": tv_tensors.BoundingBoxes(
            box, format="XYWH", canvas_size=canvas, clamping_mode=None
        ),
        "reference": tv_tensors.BoundingBoxes(
            reference, format="XYWH", canvas_size=canvas, clamping_mode=None
        ),
    }
    if mask is not None:
        values["mask"] = tv_tensors.Mask(torch.from_numpy(mask))
    return values


def from_tv(sample: S, values: Mapping[str, Any], *, mirror: Sequence[int] | None = None) -> S:
    """Put a sample together from what a transform made of :func:`to_tv`.

    Image, camera, 2D and 3D joints, box and masks of joints follow; everything else is kept.

    Args:
        sample: The sample that went in.
        values: What came out.
        mirror: Partner of each joint, as ``skeleton.mirror``; needed if the image was mirrored.

    Raises:
        RecipeError: If the geometry was changed in a way that no camera can explain, or the
            image was mirrored and ``mirror`` is not given.
        ImageError: If the image is not uint8 any more.
    """
    image = _image(values)
    size = (image.shape[1], image.shape[0])
    matrix = _matrix(sample.camera.size, values["reference"])
    if np.array_equal(matrix, np.eye(3)):
        return dataclasses.replace(sample, image=image)
    is_affine = bool(np.abs(matrix[2] - (0, 0, 1)).max() < 1e-9)
    camera = (
        affine_camera(sample.camera, matrix[:2], size)
        if is_affine
        else homography_camera(sample.camera, matrix, size)
    )
    order = _joint_order(sample, camera, mirror)
    points = _mapped(matrix, sample.joints2d.astype(np.float64))[order]
    known = sample.known[order]
    points = np.where(known[:, None], points, 0.0)
    changes: dict[str, Any] = {
        "image": image,
        "camera": camera,
        "joints2d": points.astype(np.float32),
        "known": known,
        "visible": sample.visible[order],
        "in_view": camera.is_in_view(points) & known,
        "box": _box(matrix, sample.box.astype(np.float64)).astype(np.float32),
    }
    if isinstance(sample, Sample3D):
        turn = camera.R @ np.linalg.inv(sample.camera.R)
        joints3d = sample.joints3d.astype(np.float64)[order] @ turn.T
        changes["joints3d"] = joints3d.astype(np.float32)
        changes["known3d"] = sample.known3d[order]
    return dataclasses.replace(sample, **changes)


def transformed(
    sample: S,
    transform: Callable[[dict[str, Any]], Any],
    *,
    mirror: Sequence[int] | None = None,
    key: RandomKey | None = None,
) -> S:
    """Send a sample through a transform of ``torchvision.transforms.v2``.

    Args:
        sample: Any sample.
        transform: Takes and returns a dictionary of tv_tensors.
        mirror: Partner of each joint; needed if the transform may mirror.
        key: Makes the outcome depend on the key alone (family ``"tv"``): torch's own generator,
            from which torchvision draws, is seeded for the call and put back afterwards. Without
            a key it draws from torch's generator as it is.
    """
    import torch

    values = to_tv(sample)
    if key is None:
        return from_tv(sample, transform(values), mirror=mirror)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(key.generator("tv").integers(1 << 62)))
        return from_tv(sample, transform(values), mirror=mirror)


def _tv_tensors() -> Any:
    module = require("torchvision.tv_tensors", extra="tv")
    if not hasattr(module, "KeyPoints"):
        raise MissingDependencyError(
            "torchvision is installed in a version without key points",
            rule="torchvision is at least 0.23 here",
            fix="pip install --upgrade 'posepile-torch[tv]'",
        )
    return module


def _image(values: Mapping[str, Any]) -> NDArray[np.uint8]:
    import torch

    image = values["image"].as_subclass(torch.Tensor)
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise ImageError(
            f"the transform returned an image of {image.dtype}, shape {tuple(image.shape)}",
            reason="argument",
            rule="images of samples stay uint8 [3, H, W] until they are normalised on the device",
            fix="leave out ToDtype, Normalize and Grayscale(1); recipe.pixels does that later",
        )
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def _joint_order(
    sample: Sample, camera: Camera, mirror: Sequence[int] | None
) -> NDArray[np.int64]:
    if camera.is_mirrored == sample.camera.is_mirrored:
        return np.arange(len(sample.known))
    if mirror is None:
        raise RecipeError(
            "the transform mirrored the image",
            where=sample.id,
            rule="left and right joints trade places in a mirrored image",
            fix="pass mirror=skeleton.mirror",
        )
    return np.array(mirror, np.int64)


def _reference(size: tuple[int, int]) -> Floats:
    """Return a grid of points over an image, pixels with centres at integers."""
    x, y = (np.linspace(0, side - 1, _GRID) for side in size)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _matrix(size: tuple[int, int], boxes: Any) -> Floats:
    """Find the homography that moved the reference points."""
    before = _reference(size)
    after = np.asarray(boxes, np.float64)[:, :2] - 0.5
    if after.shape != before.shape:
        raise RecipeError(
            f"{len(after)} of {len(before)} reference points came back",
            rule="a transform keeps all boxes without extent",
            fix="leave out SanitizeBoundingBoxes, or pass labels_getter=None and only the box",
        )
    if np.array_equal(np.float32(after), np.float32(before)):
        return np.eye(3)
    ones = np.ones((len(before), 1))
    rows = np.linalg.lstsq(np.hstack([before, ones]), after, rcond=None)[0].T
    matrix = np.vstack([rows, [0.0, 0.0, 1.0]])
    if np.abs(_mapped(matrix, before) - after).max() > 1e-3:
        matrix = _fitted_homography(before, after)
    error = np.abs(_mapped(matrix, before) - after).max()
    if not error < _TOLERANCE_PX:
        raise RecipeError(
            f"the transform moved points by up to {error:.2g} px off any homography",
            rule="the new image is what a camera at the same place could have taken",
            fix="leave out transforms that bend the image, such as ElasticTransform",
        )
    return matrix


def _fitted_homography(before: Floats, after: Floats) -> Floats:
    """Solve the linear equations for a homography; coordinates are scaled for accuracy."""
    scale = max(np.abs(before).max(), np.abs(after).max(), 1.0)
    equations = []
    for (x, y), (u, v) in zip(before / scale, after / scale, strict=True):
        equations.append([x, y, 1, 0, 0, 0, -u * x, -u * y, -u])
        equations.append([0, 0, 0, x, y, 1, -v * x, -v * y, -v])
    solution = np.linalg.svd(np.array(equations))[2][-1].reshape(3, 3)
    widen = np.diag([scale, scale, 1.0])
    matrix: Floats = widen @ solution @ np.linalg.inv(widen)
    # The sign is free; points of the image have a positive third coordinate.
    middle = matrix[2] @ np.append(before.mean(axis=0), 1.0)
    return matrix / middle if middle else matrix


def _mapped(matrix: Floats, points: Floats) -> Floats:
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[..., :2] / mapped[..., 2:])


def _box(matrix: Floats, box: Floats) -> Floats:
    x, y, w, h = box
    middles = np.array([(x, y + h / 2), (x + w, y + h / 2), (x + w / 2, y), (x + w / 2, y + h)])
    places = _mapped(matrix, middles)
    low, high = places.min(axis=0), places.max(axis=0)
    return np.concatenate([low, high - low])


__all__ = ["from_tv", "to_tv", "transformed"]
