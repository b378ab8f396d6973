"""Boxes ``[x, y, w, h]`` in pixels: left, top, width, height, float64.

A box is a rectangle in continuous pixel coordinates, in which pixel centres lie at integers.
Pixel ``i`` spans ``[i - 0.5, i + 0.5]``, so the box of a whole image is ``[-0.5, -0.5, W, H]``
and its centre is the image centre ``((W-1)/2, (H-1)/2)``. Functions take any array whose last axis
has length four and return new float64 arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import BoxError

if TYPE_CHECKING:
    from posepile_torch.camera import Camera

Box = NDArray[np.float64]
"""A float64 array whose last axis is ``x, y, w, h``."""

Floats = NDArray[np.float64]

# ---------------------------------------------------------------------- making boxes


def of_image(size: tuple[int, int]) -> Box:
    """Return the box of a whole image of ``size`` (width, height), to the edges of its pixels."""
    return of_pixels(0, 0, size[0], size[1])


def of_pixels(x: int, y: int, width: int, height: int) -> Box:
    """Return the box around a block of pixels with columns ``x`` to ``x + width - 1``."""
    return np.array([x - 0.5, y - 0.5, width, height])


def to_pixels(box: ArrayLike) -> tuple[int, int, int, int]:
    """Return the smallest block of whole pixels ``(x, y, width, height)`` that covers the box.

    The inverse of :func:`of_pixels`, and what :meth:`Camera.cropped` and array slices take.
    """
    left, top, right, bottom = to_xyxy(validated(box)) + 0.5
    # Edges that miss a pixel border by rounding alone must not take in one more pixel.
    x, y = (int(np.floor(v + 1e-6)) for v in (left, top))
    return x, y, int(np.ceil(right - 1e-6)) - x, int(np.ceil(bottom - 1e-6)) - y


def from_xyxy(corners: ArrayLike) -> Box:
    """Turn ``[left, top, right, bottom]`` into ``[x, y, w, h]``."""
    corners = _four(corners)
    return np.concatenate([corners[..., :2], corners[..., 2:] - corners[..., :2]], axis=-1)


def to_xyxy(box: ArrayLike) -> Box:
    """Turn ``[x, y, w, h]`` into ``[left, top, right, bottom]``."""
    box = _four(box)
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def around_points(points: ArrayLike, visible: ArrayLike | None = None) -> Box:
    """Return the tightest box around points.

    Args:
        points: Pixel positions ``[n, 2]``; rows with NaN are left out.
        visible: Optional truth values ``[n]``; rows where they are false are left out too.

    Returns:
        ``[x, y, w, h]``. It may have zero width or height (a single point).

    Raises:
        BoxError: If no point is left.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    use = _usable(points, visible)
    if not use.any():
        raise BoxError(
            "there is no finite, visible point to put a box around",
            fix="drop this person, or keep the annotated box",
        )
    low, high = points[use].min(axis=0), points[use].max(axis=0)
    return np.concatenate([low, high - low])


def _usable(points: Floats, visible: ArrayLike | None) -> NDArray[np.bool_]:
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(points), axis=1)
    if visible is not None:
        finite &= np.asarray(visible).astype(bool).reshape(-1)
    return finite


# ---------------------------------------------------------------------- measures


def centre(box: ArrayLike) -> Floats:
    """Return the centre ``[..., 2]`` of the box, in pixel coordinates."""
    box = _four(box)
    return box[..., :2] + box[..., 2:] / 2


def area(box: ArrayLike) -> Floats:
    """Return width times height ``[...]``; zero for boxes of negative extent."""
    extent = np.maximum(_four(box)[..., 2:], 0.0)
    product: Floats = extent[..., 0] * extent[..., 1]
    return product


def side_midpoints(box: ArrayLike) -> Floats:
    """Return the middles of the four sides ``[..., 4, 2]``: left, right, top, bottom."""
    left, top, right, bottom = np.moveaxis(to_xyxy(box), -1, 0)
    x, y = (left + right) / 2, (top + bottom) / 2
    pairs = ((left, y), (right, y), (x, top), (x, bottom))
    return np.stack([np.stack(pair, axis=-1) for pair in pairs], axis=-2)


def corners(box: ArrayLike) -> Floats:
    """Return the corners ``[..., 4, 2]``: top left, top right, bottom right, bottom left."""
    left, top, right, bottom = np.moveaxis(to_xyxy(box), -1, 0)
    pairs = ((left, top), (right, top), (right, bottom), (left, bottom))
    return np.stack([np.stack(pair, axis=-1) for pair in pairs], axis=-2)


def iou(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return the intersection over union of every box of ``first`` with every one of ``second``.

    Args:
        first: Boxes ``[n, 4]`` (a single box counts as one row).
        second: Boxes ``[m, 4]``.

    Returns:
        ``[n, m]``; 0 where the union has no area.
    """
    rows, columns = _four(first).reshape(-1, 4), _four(second).reshape(-1, 4)
    shared = area(intersection(rows[:, None], columns[None]))
    total = area(rows)[:, None] + area(columns)[None] - shared
    return np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)


# ---------------------------------------------------------------------- new boxes from old


def scaled(box: ArrayLike, factor: ArrayLike) -> Box:
    """Return boxes grown by ``factor`` about their centres (one factor, or one per axis)."""
    box = _four(box)
    extent = box[..., 2:] * np.asarray(factor, dtype=np.float64)
    return np.concatenate([centre(box) - extent / 2, extent], axis=-1)


def squared(box: ArrayLike) -> Box:
    """Return squares about the same centres, with the longer side."""
    box = _four(box)
    side = np.repeat(box[..., 2:].max(axis=-1, keepdims=True), 2, axis=-1)
    return np.concatenate([centre(box) - side / 2, side], axis=-1)


def intersection(first: ArrayLike, second: ArrayLike) -> Box:
    """Return the common part, paired by broadcasting; zero extent where there is none."""
    a, b = np.broadcast_arrays(to_xyxy(first), to_xyxy(second))
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return np.concatenate([low, np.maximum(high - low, 0.0)], axis=-1)


def hull(boxes: ArrayLike) -> Box:
    """Return the smallest box that holds all boxes ``[n, 4]``.

    Raises:
        BoxError: If there is none.
    """
    edges = to_xyxy(_four(boxes).reshape(-1, 4))
    if not len(edges):
        raise BoxError("the hull of no boxes is not a box")
    return from_xyxy(np.concatenate([edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)]))


def clipped(box: ArrayLike, size: tuple[int, int]) -> Box:
    """Return the part inside an image of ``size`` (width, height); zero extent if outside."""
    low, high = np.array([-0.5, -0.5]), np.array(size, dtype=np.float64) - 0.5
    edges = to_xyxy(box)
    return from_xyxy(
        np.concatenate([edges[..., :2].clip(low, high), edges[..., 2:].clip(low, high)], axis=-1)
    )


def transformed(box: ArrayLike, homography: ArrayLike) -> Box:
    """Return the box around the four mapped corners, for flips, quarter turns and resizing.

    Args:
        box: A single ``[x, y, w, h]``.
        homography: ``[3, 3]``, maps old pixels to new pixels.
    """
    points = np.concatenate([corners(validated(box)), np.ones((4, 1))], axis=1)
    mapped = points @ np.asarray(homography, dtype=np.float64).T
    if not (mapped[:, 2] > 0).all():
        raise BoxError("part of the box is mapped beyond the horizon", where=box)
    return validated(around_points(mapped[:, :2] / mapped[:, 2:]))


def reprojected(
    box: ArrayLike,
    source: Camera,
    target: Camera,
    *,
    by: Literal["sides", "corners"] = "sides",
) -> Box:
    """Return the box as another camera at the same place sees it.

    Lens distortion of both cameras is applied. The cameras must share their optical centre, since
    a box has no depth.

    Args:
        box: ``[x, y, w, h]`` in pixels of ``source``.
        source: Camera in which the box was drawn.
        target: Camera in which it is wanted.
        by: ``"sides"`` maps the middles of the four sides, which keeps boxes around people
            tight when the view turns. ``"corners"`` maps the corners, so that all of the old
            box is inside the new one, as the limits of an image need it; where a corner lies
            behind the target camera the result is unbounded (1e9 px on every side).

    Raises:
        BoxError: If the side middles do not all lie in front of the target camera.
    """
    points = side_midpoints(box) if by == "sides" else corners(box)
    rays = source.back_project(points)
    pixels = target.project_camera(rays @ (target.R @ source.R.T).T)
    if np.isfinite(pixels).all():
        return around_points(pixels)
    if by == "corners":
        return np.array([-1e9, -1e9, 2e9, 2e9])
    raise BoxError(
        f"box {np.asarray(box).tolist()} does not lie wholly in front of the target camera",
        rule="the middles of all four sides project to finite pixels",
        fix="turn the target camera towards the box first",
    )


# ---------------------------------------------------------------------- validation


def validated(box: ArrayLike, *, where: object = None) -> Box:
    """Return the box as float64 ``[4]`` after checking it.

    Raises:
        BoxError: If it is not four finite numbers with positive width and height.
    """
    reason = _fault(box)
    if reason is not None:
        raise BoxError(
            f"box {box!r:.80} {reason}",
            where=where,
            rule="a box is [x, y, w, h]: four finite numbers, w > 0 and h > 0",
            fix="rebuild it from the joints with boxes.vetted(..., points=...), or drop it",
        )
    return np.array(box, dtype=np.float64)


def _fault(box: object) -> str | None:
    try:
        values = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError):
        return "is not numeric"
    if values.shape != (4,):
        return f"has shape {values.shape}"
    if not np.isfinite(values).all():
        return "has NaN or infinite numbers"
    if not (values[2:] > 0).all():
        return "has no extent"
    return None


class VettedBox(NamedTuple):
    """What became of an annotated box.

    Attributes:
        box: The usable box, or None when the person has to be dropped.
        status: ``"ok"``, ``"repaired"`` or ``"dropped"``.
        reason: A short machine-readable word, empty when ok: ``absent``, ``invalid``,
            ``outside``, ``too_small``, ``rebuilt`` or ``clipped``.
    """

    box: Box | None
    status: Literal["ok", "repaired", "dropped"]
    reason: str


def vetted(
    box: ArrayLike | None,
    size: tuple[int, int],
    *,
    points: ArrayLike | None = None,
    margin: float = 1.05,
    min_side_px: float = 2.0,
) -> VettedBox:
    """Decide what to do with a box as a dataset gives it.

    An absent box (None or an empty list, which is not the same as zeros) or an invalid one (NaN,
    no extent) is rebuilt from ``points``, where these span an area. The box is then clipped to
    the image, and dropped when less than ``min_side_px`` remains on either side.

    Args:
        box: The annotated ``[x, y, w, h]``, None, or an empty list.
        size: Image size (width, height).
        points: Joints ``[J, 2]`` in pixels of the same image, NaN where unknown.
        margin: Factor by which a box rebuilt from joints is grown; flesh surrounds joints.
        min_side_px: Smallest side, after clipping, of a box that is kept.

    Returns:
        The decision; nothing is dropped without a reason.
    """
    status: Literal["ok", "repaired"] = "ok"
    reason = ""
    absent = box is None or np.size(np.asarray(box, dtype=object)) == 0
    if box is None or absent or _fault(box) is not None:
        joints = np.zeros((0, 2)) if points is None else np.asarray(points, dtype=np.float64)
        found = around_points(joints) if _usable(joints.reshape(-1, 2), None).any() else None
        if found is None or _fault(found) is not None:
            return VettedBox(None, "dropped", "absent" if absent else "invalid")
        usable, status, reason = scaled(found, margin), "repaired", "rebuilt"
    else:
        usable = validated(box)
    inside = clipped(usable, size)
    if not (inside[2:] > 0).all():
        return VettedBox(None, "dropped", "outside")
    if inside[2:].min() < min_side_px:
        return VettedBox(None, "dropped", "too_small")
    if not np.array_equal(inside, usable):
        status, reason = "repaired", reason or "clipped"
    return VettedBox(inside, status, reason)


def _four(box: ArrayLike) -> Box:
    array = np.asarray(box, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 4:
        raise BoxError(
            f"an array of shape {array.shape} holds no boxes",
            rule="the last axis of a box array is x, y, w, h",
        )
    return array
