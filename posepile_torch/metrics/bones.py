"""Poses with other bone lengths: rescaled to the ground truth's, or to a constant total."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_shape,
    joint_index,
    length,
    real,
    returned,
)
from posepile_torch.metrics._validity import compare

Edges = Sequence[tuple[int, int]]

TDHP17_BONES: tuple[tuple[int, int], ...] = (
    (14, 15), (15, 1), (1, 0), (1, 16), (1, 2), (2, 3), (3, 4), (1, 5),
    (5, 6), (6, 7), (14, 8), (8, 9), (9, 10), (14, 11), (11, 12), (12, 13),
)  # fmt: skip
"""Bones (parent, child) of the 17 joints of MPI-INF-3DHP and MuPoTS-3D, outwards from joint 14."""


def outward_bones(edges: Edges, root: int) -> tuple[tuple[int, int], ...]:
    """Direct the edges of a kinematic tree away from its root, parents before children.

    Args:
        edges: Undirected joint pairs; they must form a tree that contains ``root``.
        root: Joint number that stays in place.

    Returns:
        Pairs (parent, child), in the order in which :func:`rescale_bones` walks them.
    """
    neighbours: dict[int, list[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    reached, bones, queue = {root}, list[tuple[int, int]](), [root]
    while queue:
        parent = queue.pop(0)
        for child in neighbours.get(parent, []):
            if child not in reached:
                reached.add(child)
                bones.append((parent, child))
                queue.append(child)
    if len(bones) != len(edges) or not edges:
        raise MetricError(
            f"{len(edges)} edges do not form one tree around joint {root}",
            where="outward_bones",
            rule="every edge is reached from the root exactly once",
            fix="remove edges that close a cycle, and join separate parts",
        )
    return tuple(bones)


def rescale_bones(pred: ArrayT, gt: ArrayT, bones: Edges, *, mask: object = None) -> ArrayT:
    """Give every predicted bone the length it has in the ground truth, keeping its direction.

    The "normalised skeletons" of MuPoTS-3D. The tree is walked outwards; each child is placed
    relative to its parent's new position; the root stays where it is. A predicted bone of length
    zero has no direction: its child is placed on the parent. A bone whose true length is unknown
    (an end masked or not finite) keeps its predicted offset.

    Args:
        pred: ``[..., J, 3]``.
        gt: ``[..., J, 3]`` in the same unit.
        bones: Pairs (parent, child), parents first, for example from :func:`outward_bones`.
            Joints that are in no pair are returned unchanged.
        mask: Bool ``[..., J]`` or broadcastable; None for all joints.

    Returns:
        ``[..., J, 3]``. A predicted joint that is not finite stays so, with all beyond it.
    """
    where = "rescale_bones"
    compared = compare(pred, gt, mask=mask, on_missing="skip", where=where)
    p = real(pred, name="the prediction", where=where)
    valid = compared.all_valid()
    order = _checked_bones(bones, p.shape[-2], where)
    # Moves instead of positions, so that a joint without ground truth hands on its parent's move
    # untouched and its own coordinates reach no other joint.
    moves: dict[int, Tensor] = {}
    for parent, child in order:
        move = moves.get(parent, torch.zeros_like(p[..., parent, :]))
        known = (valid[..., parent] & valid[..., child])[..., None]
        offset = (p[..., child, :] - p[..., parent, :]).masked_fill(~known, 0.0)
        size = length(offset)[..., None]
        goal = length(compared.gt[..., child, :] - compared.gt[..., parent, :])[..., None]
        ratio = torch.where(size > 0, goal / torch.where(size > 0, size, 1.0), 0.0)
        change = move + (ratio - 1) * offset
        moves[child] = torch.where(known, change, move)
    zero = torch.zeros_like(p[..., 0, :])
    shift = torch.stack([moves.get(joint, zero) for joint in range(p.shape[-2])], dim=-2)
    return returned(p + shift, pred)


def bone_lengths(poses: ArrayT, bones: Edges) -> ArrayT:
    """Return the lengths ``[..., len(bones)]`` of bones, in the unit of the poses.

    Args:
        poses: ``[..., J, D]``.
        bones: Joint pairs, in either direction.
    """
    where = "bone_lengths"
    x = real(poses, name="poses", where=where)
    check_shape(x, where=where, dims=None)
    first, second = _ends(bones, x.shape[-2], where)
    return returned(length(x[..., first, :] - x[..., second, :]), poses)


def rescale_to_limb_sum(poses: ArrayT, bones: Edges, *, total_mm: float = 4000.0) -> ArrayT:
    """Scale each pose about the origin so that its bone lengths sum to a constant.

    The output normalisation of pytorch-pose-hg-3d (with 4000 mm). It is not the least-squares
    scale: an error after it is not N-MPJPE. Pass root-relative poses.

    Args:
        poses: ``[..., J, 3]``, any unit; the result is in mm.
        bones: Joint pairs whose lengths are summed.
        total_mm: The sum after scaling.

    Raises:
        MetricError: If a pose has bones of total length zero.
    """
    where = "rescale_to_limb_sum"
    x = real(poses, name="poses", where=where)
    check_shape(x, where=where)
    first, second = _ends(bones, x.shape[-2], where)
    total = length(x[..., first, :] - x[..., second, :]).sum(-1)
    if bool((total == 0).any()):
        raise MetricError(
            f"{int((total == 0).sum())} poses have bones of total length zero",
            where=where,
            rule="a scale needs at least one bone of some length",
            fix="leave out poses whose joints coincide",
        )
    return returned(x * (total_mm / total)[..., None, None], poses)


def _ends(bones: Edges, count: int, where: str) -> tuple[list[int], list[int]]:
    pairs = [[joint_index(joint, count, where=where) for joint in bone] for bone in bones]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _checked_bones(bones: Edges, count: int, where: str) -> list[tuple[int, int]]:
    parents, children = _ends(bones, count, where)
    placed: set[int] = set()
    for parent, child in zip(parents, children, strict=True):
        if child in placed or (parent not in placed and parent in children):
            raise MetricError(
                f"the bone from joint {parent} to joint {child} is out of order",
                where=where,
                rule="every joint has one parent, and parents come before their children",
                fix="order the edges with outward_bones(edges, root)",
            )
        placed.add(child)
    return list(zip(parents, children, strict=True))
