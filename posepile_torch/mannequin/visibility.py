"""Which joints a camera sees, by rays and not by pixels.

A joint lies inside the body, so nobody sees the joint itself. It counts as visible if the ray
through it meets one of the parts that cover the joint before it meets anything else. Lengths are
millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.mannequin.body import covering_parts
from posepile_torch.mannequin.scene import Scene
from posepile_torch.mannequin.solids import Solids

Floats = NDArray[np.floating[Any]]

FLESH_MM = 60.0
"""Other parts of the same body hide a joint only if they are this much nearer than its own.

Neighbouring parts overlap: the chest bulges past the shoulder that it carries.
"""


def visible_joints(
    centre: Floats, joints: Floats, bodies: Sequence[Solids], scene: Scene
) -> NDArray[np.uint8]:
    """Return ``[P, J]``: 1 for joints that nothing hides from a camera, else 0.

    Joints outside the image or behind the camera are judged in the same way: by what stands
    between them and the camera.

    Args:
        centre: ``[3]`` optical centre.
        joints: ``[P, J, 3]`` joints in the world, in the order of ``JOINTS``.
        bodies: The solids of the same people in the world.
        scene: The room with its furniture.
    """
    people, count, _ = joints.shape
    # The joint is at distance 1 along its ray.
    rays = (joints - centre).reshape(-1, 3)
    entries = np.stack([body.all_entries(centre, rays) for body in bodies], axis=1)
    entries = entries.reshape(people, count, people, -1)
    own = entries[np.arange(people), :, np.arange(people)]
    covers = covering_parts()
    surface = np.minimum(np.where(covers, own, np.inf).min(axis=-1), 1)
    margin = FLESH_MM / np.linalg.norm(rays, axis=-1).reshape(people, count)
    hidden = np.where(covers, np.inf, own).min(axis=-1) < surface - margin
    entries[np.arange(people), :, np.arange(people)] = np.inf
    hidden |= entries.min(axis=(2, 3)) < surface
    hidden |= _furniture_entry(centre, rays, scene).reshape(people, count) < surface
    return np.asarray(~hidden, np.uint8)


def _furniture_entry(centre: Floats, rays: Floats, scene: Scene) -> Floats:
    nearest = scene.decor.all_entries(centre, rays).min(axis=-1, initial=np.inf)
    start = (float(centre[0]), float(centre[1]), float(centre[2]))
    for crate in scene.crates:
        entry, _ = crate.entry(start, (rays[:, 0], rays[:, 1], rays[:, 2]))
        nearest = np.minimum(nearest, entry)
    return np.asarray(nearest)
