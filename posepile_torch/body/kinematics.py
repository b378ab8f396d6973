"""Rotations along a kinematic tree, as differentiable torch code.

The equations are those of Loper et al., SMPL (2015), section 3: Rodrigues' formula (eq. 1) and
the world transform of each joint as the product along its chain of ancestors (eq. 3-4).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor


def rotation_matrices(axis_angle: Tensor) -> Tensor:
    """Return the rotation matrices of axis-angle vectors; derivatives are finite everywhere.

    Args:
        axis_angle: [..., 3], radians.

    Returns:
        [..., 3, 3]
    """
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    # Below this the next term of each series, angle^4 / 120, is lost in rounding.
    is_small = squared < 10 * torch.finfo(squared.dtype).eps ** 0.5
    safe = torch.where(is_small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    half = torch.sin(angle / 2)
    sine = torch.where(is_small, 1 - squared / 6 + squared**2 / 120, angle.sin() / angle)
    versine = torch.where(is_small, 0.5 - squared / 24 + squared**2 / 720, 2 * half * half / safe)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    cross = cross.reshape(*axis_angle.shape, 3)
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    identity = torch.eye(3, dtype=squared.dtype, device=squared.device)
    # [w]^2 = w w^T - |w|^2 1
    return identity + sine * cross + versine * (outer - squared * identity)


class KinematicTree:
    """A tree of joints, walked one generation at a time.

    Args:
        parents: Parent of each joint, -1 for the root, which is the first.
    """

    def __init__(self, parents: tuple[int, ...]) -> None:
        self.parents = parents
        depth = [0] * len(parents)
        for joint, parent in enumerate(parents[1:], start=1):
            depth[joint] = depth[parent] + 1
        generations = [
            [j for j, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)
        ]
        self._generations = [torch.tensor(joints) for joints in generations]
        self._parents_within = [
            torch.tensor([older.index(parents[joint]) for joint in younger])
            for older, younger in pairwise(generations)
        ]
        order = [joint for joints in generations for joint in joints]
        self._back = torch.tensor([order.index(joint) for joint in range(len(parents))])
        self._parent_of = torch.tensor([max(parent, 0) for parent in parents])

    def pose(self, rotations: Tensor, rest: Tensor) -> Tensor:
        """Return where every joint's frame goes.

        Args:
            rotations: [N, J, 3, 3], relative to the parent.
            rest: [N, J, 3], joints of the rest pose.

        Returns:
            [N, J, 3, 4]: rotation, and position of the posed joint.
        """
        device = rest.device
        bones = torch.cat([rest[:, :1], rest[:, 1:] - rest[:, self._parent_of[1:].to(device)]], 1)
        local = torch.cat([rotations, bones[..., None]], dim=-1)
        older = local[:, :1]
        frames = [older]
        for joints, within in zip(self._generations[1:], self._parents_within, strict=True):
            parent = older[:, within.to(device)]
            younger = parent[..., :3] @ local[:, joints.to(device)]
            older = torch.cat([younger[..., :3], younger[..., 3:] + parent[..., 3:]], dim=-1)
            frames.append(older)
        return torch.cat(frames, dim=1)[:, self._back.to(device)]


def relative_to_rest(frames: Tensor, rest: Tensor) -> Tensor:
    """Return the transforms that carry points of the rest pose along with each joint.

    Args:
        frames: [N, J, 3, 4], of :meth:`KinematicTree.pose`.
        rest: [N, J, 3]

    Returns:
        [N, J, 3, 4]
    """
    moved = frames[..., :3] @ rest[..., None]
    return torch.cat([frames[..., :3], frames[..., 3:] - moved], dim=-1)
