"""The body of a mannequin: proportions, joints, and the solids around them.

The world is in millimetres with y up. A body faces +z of its own frame, its left is +x. Every
joint is the point about which the parts beside it turn; the head top and the toes are ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.mannequin.solids import Solids

Floats = NDArray[np.floating[Any]]

# fmt: off
JOINTS = (
    "htop", "head", "neck", "lsho", "rsho", "lelb", "relb", "lwri", "rwri", "spin",
    "pelv", "lhip", "rhip", "lkne", "rkne", "lank", "rank", "ltoe", "rtoe",
)
"""Joint names in the order of the raw files: from the head down, left before right."""

CONES = (
    "neck", "ltrap", "rtrap", "luparm", "ruparm", "lforearm", "rforearm", "lhand", "rhand",
    "lthigh", "rthigh", "lshank", "rshank", "lfoot", "rfoot", "lheel", "rheel", "lflank",
    "rflank",
)
# fmt: on
"""Parts of a body that are round cones."""

ELLIPSOIDS = ("pelvis", "abdomen", "chest", "head", "nose", "hair", "mane")
"""Parts of a body that are ellipsoids."""

PARTS = CONES + ELLIPSOIDS

_COVERED_BY = {
    "htop": "head hair",
    "head": "head hair neck mane nose",
    "neck": "neck chest ltrap rtrap mane",
    "spin": "abdomen chest pelvis lflank rflank",
    "pelv": "pelvis abdomen lflank rflank",
    "sho": "uparm",
    "elb": "uparm forearm",
    "wri": "forearm hand",
    "hip": "thigh",
    "kne": "thigh shank",
    "ank": "shank foot heel",
    "toe": "foot",
}


def covering_parts() -> NDArray[np.bool_]:
    """Return ``[joints, parts]``: whether seeing the part's surface means seeing the joint."""
    covers = np.zeros((len(JOINTS), len(PARTS)), np.bool_)
    for row, joint in enumerate(JOINTS):
        side = "" if joint in _COVERED_BY else joint[0]
        for part in _COVERED_BY[joint.removeprefix(side)].split():
            covers[row, PARTS.index(side + part)] = True
    return covers


@dataclass(frozen=True)
class Proportions:
    """What makes one body differ from another.

    Attributes:
        height_mm: Stature from the sole to the head top.
        legs: Length of the legs, relative to the average at this height; the trunk gives way.
        arms: Length of the arms, relative to the average.
        shoulders: Width between the shoulder joints, relative to the average.
        hips: Width between the hip joints, relative to the average.
        girth: Thickness of trunk and limbs, relative to the average.
        hair: Volume of the hair, 0 for none.
        mane: Length of the hair at the neck, 0 for short hair.
    """

    height_mm: float
    legs: float = 1.0
    arms: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    girth: float = 1.0
    hair: float = 1.0
    mane: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Proportions:
        """Draw a plausible adult."""
        values = {
            "height_mm": rng.uniform(1500, 1950),
            "legs": rng.uniform(0.94, 1.06),
            "arms": rng.uniform(0.94, 1.08),
            "shoulders": rng.uniform(0.9, 1.13),
            "hips": rng.uniform(0.9, 1.12),
            "girth": rng.uniform(0.82, 1.3),
            "hair": rng.choice([0.0, 0.9, 1.0, 1.1, 1.15]),
            "mane": rng.choice([0.0, 0.0, 0.8, 1.2]),
        }
        if not values["hair"]:
            values["mane"] = 0.0
        return cls(**{name: round(float(value), 3) for name, value in values.items()})

    @property
    def thigh_mm(self) -> float:
        """Distance from hip to knee."""
        return 0.245 * self.legs * self.height_mm

    @property
    def shank_mm(self) -> float:
        """Distance from knee to ankle."""
        return 0.246 * self.legs * self.height_mm

    @property
    def ankle_mm(self) -> float:
        """Height of the ankle above the floor."""
        return 0.039 * self.height_mm

    @property
    def upper_arm_mm(self) -> float:
        """Distance from shoulder to elbow."""
        return 0.186 * self.arms * self.height_mm

    @property
    def forearm_mm(self) -> float:
        """Distance from elbow to wrist."""
        return 0.146 * self.arms * self.height_mm

    @property
    def hip_drop_mm(self) -> float:
        """How far the hips lie below the pelvis joint."""
        return 0.02 * self.height_mm

    @property
    def standing_pelvis_mm(self) -> float:
        """Height of the pelvis joint with straight legs."""
        return self.ankle_mm + self.shank_mm + self.thigh_mm + self.hip_drop_mm

    @property
    def trunk(self) -> float:
        """Scale of everything above the pelvis, so that the stature stays as stated."""
        return (self.height_mm - self.standing_pelvis_mm) / (0.45 * self.height_mm)


@dataclass(frozen=True, eq=False)
class Targets:
    """Where a motion wants the body to be; ``T`` moments of one person.

    Attributes:
        pelvis: ``[T, 3]`` world position of the pelvis joint.
        pelvis_turn: ``[T, 3, 3]`` body-to-world rotation of the pelvis.
        chest_turn: ``[T, 3, 3]`` body-to-world rotation of the chest, about the spine joint.
        head_turn: ``[T, 3, 3]`` body-to-world rotation of the head.
        ankles: ``[T, 2, 3]`` world positions, left then right; legs reach as far as they can.
        foot_turn: ``[T, 2, 3, 3]`` body-to-world rotations of the feet.
        wrists: ``[T, 2, 3]`` offsets from the shoulders in the frame of the chest, in arm lengths.
        elbow_poles: ``[T, 2, 3]`` directions in the frame of the chest to which elbows point.
    """

    pelvis: Floats
    pelvis_turn: Floats
    chest_turn: Floats
    head_turn: Floats
    ankles: Floats
    foot_turn: Floats
    wrists: Floats
    elbow_poles: Floats


@dataclass(frozen=True, eq=False)
class Pose:
    """A posed body over ``T`` moments.

    Attributes:
        joints: ``[T, 19, 3]`` world millimetres in the order of :data:`JOINTS`.
        solids: One :class:`Solids` per moment, in the order of :data:`PARTS`.
    """

    joints: Floats
    solids: tuple[Solids, ...]


def posed(body: Proportions, targets: Targets) -> Pose:
    """Place the joints of ``body`` as near to the targets as its bones allow."""
    h, trunk = body.height_mm, body.trunk * body.height_mm
    turn = targets.chest_turn
    where: dict[str, Floats] = {"pelv": targets.pelvis}
    where["spin"] = targets.pelvis + _carried(targets.pelvis_turn, 0, 0.1 * trunk, 0)
    where["neck"] = where["spin"] + _carried(turn, 0, 0.19 * trunk, 0)
    # The neck bends half as far as the head turns against the chest.
    rise = np.array([0, 0.055 * trunk, 0.008 * h])
    towards = (turn + targets.head_turn) @ rise
    towards *= np.linalg.norm(rise) / np.linalg.norm(towards, axis=-1, keepdims=True)
    where["head"] = where["neck"] + towards
    where["htop"] = where["head"] + _carried(targets.head_turn, 0, 0.105 * trunk, 0)
    for side, name in enumerate("lr"):
        sign = 1 - 2 * side
        hip = where["pelv"] + _carried(
            targets.pelvis_turn, sign * 0.05 * body.hips * h, -body.hip_drop_mm, 0
        )
        pole = targets.pelvis_turn[..., 2] + targets.foot_turn[:, side, :, 2]
        knee, ankle = _bent(hip, targets.ankles[:, side], pole, body.thigh_mm, body.shank_mm)
        toe = ankle + _carried(
            targets.foot_turn[:, side], sign * 0.012 * h, 0.012 * h - body.ankle_mm, 0.1 * h
        )
        shoulder = where["spin"] + _carried(
            turn, sign * 0.108 * body.shoulders * h, 0.168 * trunk, 0
        )
        reach = body.upper_arm_mm + body.forearm_mm
        wrist = shoulder + np.einsum("tij,tj->ti", turn, targets.wrists[:, side]) * reach
        pole = np.einsum("tij,tj->ti", turn, targets.elbow_poles[:, side])
        elbow, wrist = _bent(shoulder, wrist, pole, body.upper_arm_mm, body.forearm_mm)
        for joint, place in zip(
            ("hip", "kne", "ank", "toe", "sho", "elb", "wri"),
            (hip, knee, ankle, toe, shoulder, elbow, wrist),
            strict=True,
        ):
            where[name + joint] = place
    joints = np.stack([where[name] for name in JOINTS], axis=1)
    return Pose(joints, _solids(body, where, targets))


def _carried(turn: Floats, x: float, y: float, z: float) -> Floats:
    return turn @ np.array([x, y, z], np.float64)


def _bent(
    root: Floats, target: Floats, pole: Floats, upper_mm: float, lower_mm: float
) -> tuple[Floats, Floats]:
    """Place the middle and the end of a two-bone chain that bends towards ``pole``."""
    span = target - root
    wanted = np.linalg.norm(span, axis=-1, keepdims=True)
    axis = span / wanted
    # Never quite straight: a straight chain has no side to bend to, and flips there.
    distance = np.clip(wanted, abs(upper_mm - lower_mm) + 5, 0.999 * (upper_mm + lower_mm))
    along = (upper_mm**2 - lower_mm**2 + distance**2) / (2 * distance)
    across = np.sqrt(np.maximum(upper_mm**2 - along**2, 0))
    pole = pole - axis * np.sum(axis * pole, axis=-1, keepdims=True)
    pole = pole / np.linalg.norm(pole, axis=-1, keepdims=True)
    return root + along * axis + across * pole, root + distance * axis


_Cone = tuple[Floats, Floats, float, float]
_Ellipsoid = tuple[Floats, Floats, tuple[float, float, float]]


def _solids(body: Proportions, where: dict[str, Floats], targets: Targets) -> tuple[Solids, ...]:
    """Wrap the joints in flesh."""
    cones, ellipsoids = _limbs(body, where, targets), _trunk_and_head(body, where, targets)
    starts = np.stack([cones[name][0] for name in CONES], axis=1)
    ends = np.stack([cones[name][1] for name in CONES], axis=1)
    start_radii = np.array([cones[name][2] for name in CONES])
    end_radii = np.array([cones[name][3] for name in CONES])
    centres = np.stack([ellipsoids[name][0] for name in ELLIPSOIDS], axis=1)
    maps = np.stack(
        [
            turn.transpose(0, 2, 1) / np.array(radii)[:, None]
            for _, turn, radii in (ellipsoids[name] for name in ELLIPSOIDS)
        ],
        axis=1,
    )
    return tuple(
        Solids(starts[t], ends[t], start_radii, end_radii, centres[t], maps[t])
        for t in range(len(starts))
    )


def _limbs(body: Proportions, where: dict[str, Floats], targets: Targets) -> dict[str, _Cone]:
    """Centres and radii of the balls of every round cone."""
    h = body.height_mm
    lean = h * (0.6 + 0.4 * body.girth)  # limbs gain less girth than the trunk
    thick = h * body.girth
    cones: dict[str, _Cone] = {"neck": (where["neck"], where["head"], 0.034 * lean, 0.03 * lean)}
    for side, name in enumerate("lr"):
        shoulder, elbow, wrist = (where[name + joint] for joint in ("sho", "elb", "wri"))
        hip, knee, ankle, toe = (where[name + joint] for joint in ("hip", "kne", "ank", "toe"))
        hand = wrist + (wrist - elbow) * (0.062 * h / body.forearm_mm)
        sign = 1 - 2 * side
        ribs = where["spin"] + _carried(
            targets.chest_turn, sign * 0.046 * body.shoulders * thick, 0.1 * body.trunk * h, 0
        )
        waist = where["pelv"] + _carried(
            targets.pelvis_turn, sign * 0.042 * body.hips * thick, 0.045 * h, -0.002 * h
        )
        down = 0.02 * h - body.ankle_mm
        heel = ankle + _carried(targets.foot_turn[:, side], 0, down, -0.026 * h)
        cones |= {
            f"{name}trap": (where["neck"], shoulder, 0.034 * lean, 0.032 * lean),
            f"{name}uparm": (shoulder, elbow, 0.034 * lean, 0.025 * lean),
            f"{name}forearm": (elbow, wrist, 0.0255 * lean, 0.0165 * lean),
            f"{name}hand": (wrist, hand, 0.016 * lean, 0.02 * lean),
            f"{name}thigh": (hip, knee, 0.053 * lean, 0.035 * lean),
            f"{name}shank": (knee, ankle, 0.036 * lean, 0.022 * lean),
            f"{name}foot": (ankle, toe, 0.024 * h, 0.0165 * h),
            f"{name}heel": (ankle, heel, 0.022 * h, 0.02 * h),
            f"{name}flank": (ribs, waist, 0.05 * thick, 0.043 * thick),
        }
    return cones


def _trunk_and_head(
    body: Proportions, where: dict[str, Floats], targets: Targets
) -> dict[str, _Ellipsoid]:
    """Centre, orientation and radii of every ellipsoid."""
    h, thick, trunk = body.height_mm, body.height_mm * body.girth, body.trunk * body.height_mm
    pelvis, chest, head = targets.pelvis_turn, targets.chest_turn, targets.head_turn
    skull = where["head"] + _carried(head, 0, 0.043 * trunk, 0.012 * h)
    # Bodies without hair keep a grain of it inside the head, so that all have the same parts.
    full = body.hair
    hair = (0.0435 * h * full, 0.06 * trunk * full, 0.052 * h * full) if full else (0.1, 0.1, 0.1)
    mane = (0.042 * h, 0.05 * h * body.mane, 0.028 * h) if body.mane else (0.1, 0.1, 0.1)
    return {
        "pelvis": (
            where["pelv"] + _carried(pelvis, 0, -0.005 * h, -0.006 * h),
            pelvis,
            (0.094 * body.hips * thick, 0.075 * h, 0.07 * thick),
        ),
        "abdomen": (
            where["spin"] + _carried(chest, 0, -0.03 * trunk, 0.002 * h),
            chest,
            (0.082 * thick, 0.115 * trunk, 0.062 * thick),
        ),
        "chest": (
            where["spin"] + _carried(chest, 0, 0.095 * trunk, 0.002 * h),
            chest,
            (0.098 * body.shoulders * thick, 0.11 * trunk, 0.067 * thick),
        ),
        "head": (skull, head, (0.043 * h, 0.064 * trunk, 0.053 * h)),
        "nose": (
            skull + _carried(head, 0, -0.008 * h, 0.053 * h),
            head,
            (0.007 * h, 0.012 * h, 0.009 * h),
        ),
        "hair": (
            skull + _carried(head, 0, 0.0115 * h, -0.0125 * h),
            head,
            hair,
        ),
        "mane": (skull + _carried(head, 0, -0.03 * h, -0.03 * h), head, mane),
    }
