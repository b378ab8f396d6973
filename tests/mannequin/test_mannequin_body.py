"""Bodies: proportions, true centres of rotation, left and right, and motions that make sense."""

import dataclasses

import numpy as np
import pytest

from posepile_torch.mannequin.body import CONES, JOINTS, PARTS, Proportions, covering_parts, posed
from posepile_torch.mannequin.motion import ACTIVITIES, SEAT_MM, Place, act

TIMES_S = np.arange(40) / 20
BONES = [
    ("lsho", "lelb", "upper_arm_mm"),
    ("rsho", "relb", "upper_arm_mm"),
    ("lelb", "lwri", "forearm_mm"),
    ("relb", "rwri", "forearm_mm"),
    ("lhip", "lkne", "thigh_mm"),
    ("rhip", "rkne", "thigh_mm"),
    ("lkne", "lank", "shank_mm"),
    ("rkne", "rank", "shank_mm"),
]


def place(heading=0.0):
    return Place(spot=(0.0, 0.0), heading=heading, orbit_mm=1000, azimuth=0.3, turning=0.95)


def performed(activity, body=None, seed=0, heading=0.0):
    body = body or Proportions(1750)
    rng = np.random.default_rng(seed)
    pose = posed(body, act(activity, body, place(heading), TIMES_S, rng))
    return body, pose, {name: pose.joints[:, i] for i, name in enumerate(JOINTS)}


@pytest.mark.parametrize("activity", ACTIVITIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_bones_keep_their_length_whatever_happens(activity, seed):
    body = Proportions.drawn(np.random.default_rng(seed))
    _, _, joints = performed(activity, body, seed)
    for a, b, length in BONES:
        lengths = np.linalg.norm(joints[a] - joints[b], axis=-1)
        assert np.allclose(lengths, getattr(body, length), atol=1e-6)
    for a, b in [("pelv", "spin"), ("spin", "neck"), ("neck", "lsho"), ("lhip", "rhip")]:
        assert np.ptp(np.linalg.norm(joints[a] - joints[b], axis=-1)) < 1e-6


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_motion_is_smooth(activity):
    for seed in range(4):
        _, pose, _ = performed(activity, seed=seed)
        assert np.isfinite(pose.joints).all()
        speed_mm_s = np.linalg.norm(np.diff(pose.joints, axis=0), axis=-1) / np.diff(TIMES_S)[0]
        assert speed_mm_s.max() < 9000  # a fast throw; a jump would be tens of metres a second
        assert speed_mm_s.max() > 100  # and nobody is a statue


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_nobody_sinks_into_the_floor_or_floats(activity):
    for seed in range(4):
        body, pose, joints = performed(activity, seed=seed)
        assert pose.joints[..., 1].min() > 0
        lower_ankle = np.minimum(joints["lank"][:, 1], joints["rank"][:, 1])
        assert lower_ankle.max() < body.ankle_mm + 0.05 * body.height_mm


def test_feet_do_not_slide_while_they_carry():
    for seed in range(6):
        _, _, joints = performed("walking", seed=seed)
        travelled = np.linalg.norm(joints["pelv"][-1] - joints["pelv"][0])
        assert travelled > 700
        steps = np.stack(
            [np.linalg.norm(np.diff(joints[a][:, ::2], axis=0), axis=-1) for a in ("lank", "rank")]
        )
        assert np.median(steps.min(axis=0)) < 1e-6


def test_left_is_left():
    for seed in range(3):
        _, pose, joints = performed("waving", seed=seed, heading=0.0)
        for name in JOINTS:
            if name[0] == "l" and name in ("lsho", "lhip", "lkne", "lank", "ltoe"):
                # Facing +z with y up, the left hand is towards +x.
                assert (joints[name][:, 0] > joints["r" + name[1:]][:, 0]).all()
        toes = joints["ltoe"] - joints["lank"]
        assert (toes[:, 2] > 0).all()
        head = PARTS.index("nose") - len(CONES)
        skull = PARTS.index("head") - len(CONES)
        ahead = pose.solids[0].centres[head] - pose.solids[0].centres[skull]
        assert ahead[2] > 0


def test_heading_turns_to_the_left():
    _, _, ahead = performed("exercising", heading=0.0)
    _, _, turned = performed("exercising", heading=np.pi / 2)
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    for name in JOINTS:
        assert np.allclose(turned[name], ahead[name] @ quarter.T, atol=1e-6)


def test_stature_is_what_it_says():
    for body in (Proportions(1500, legs=1.06), Proportions(1950, legs=0.94, arms=1.08)):
        _, _, joints = performed("waving", body)
        straight = (
            np.linalg.norm(joints["htop"] - joints["head"], axis=-1)
            + np.linalg.norm(joints["neck"] - joints["spin"], axis=-1)
            + np.linalg.norm(joints["spin"] - joints["pelv"], axis=-1)
            + 0.055 * body.trunk * body.height_mm
            + body.standing_pelvis_mm
        )
        assert np.allclose(straight, body.height_mm)
        assert joints["htop"][:, 1].max() < body.height_mm
        assert joints["htop"][:, 1].max() > 0.96 * body.height_mm


def test_drawn_bodies_differ_in_shape_and_not_only_in_size():
    bodies = [Proportions.drawn(np.random.default_rng(seed)) for seed in range(30)]
    for field in dataclasses.fields(Proportions):
        assert np.std([getattr(body, field.name) for body in bodies]) > 0
    ratios = [body.thigh_mm / body.upper_arm_mm for body in bodies]
    assert max(ratios) / min(ratios) > 1.08


def test_solids_turn_about_the_joints():
    body, pose, joints = performed("reaching")
    for moment in (0, 20):
        solids = pose.solids[moment]
        for cone, start, end in [
            ("luparm", "lsho", "lelb"),
            ("rforearm", "relb", "rwri"),
            ("lthigh", "lhip", "lkne"),
            ("rshank", "rkne", "rank"),
            ("neck", "neck", "head"),
            ("lfoot", "lank", "ltoe"),
        ]:
            index = CONES.index(cone)
            assert np.array_equal(solids.starts[index], joints[start][moment])
            assert np.array_equal(solids.ends[index], joints[end][moment])
    assert len(solids) == len(PARTS)
    assert body.girth == 1


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_every_joint_lies_in_a_part_that_covers_it(activity):
    covers = covering_parts()
    assert covers.any(axis=1).all()
    for seed in range(3):
        body = Proportions.drawn(np.random.default_rng(seed))
        _, pose, _ = performed(activity, body, seed)
        solids = pose.solids[10]
        for joint, place_mm in enumerate(pose.joints[10]):
            # From far away, a ray through the joint enters a covering part before the joint.
            for direction in np.eye(3):
                start = place_mm - 5000 * direction
                entry = solids.all_entries(start, 5000 * direction[None])[0]
                assert entry[covers[joint]].min() <= 1 + 1e-9, JOINTS[joint]


def test_activities_look_like_their_names():
    for seed in range(4):
        _, _, sitting = performed("sitting", seed=seed)
        assert sitting["pelv"][-1, 1] < sitting["lkne"][-1, 1] + 250
        assert sitting["pelv"][-1, 1] > SEAT_MM
        _, _, waving = performed("waving", seed=seed)
        higher = np.maximum(waving["lwri"][:, 1], waving["rwri"][:, 1])
        assert (higher > waving["neck"][:, 1]).all()
        _, _, turning = performed("turning", seed=seed)
        across = turning["lsho"] - turning["rsho"]
        heading = np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))
        assert abs(heading[-1] - heading[0]) > 1
        _, _, walking = performed("walking", seed=seed)
        assert np.linalg.norm(walking["pelv"][-1] - walking["pelv"][0]) > 700
        _, _, exercising = performed("exercising", seed=seed)
        assert np.ptp(exercising["pelv"][:, 1]) > 100


def test_the_same_seed_gives_the_same_motion():
    _, first, _ = performed("reaching", seed=4)
    _, again, _ = performed("reaching", seed=4)
    _, other, _ = performed("reaching", seed=5)
    assert np.array_equal(first.joints, again.joints)
    assert not np.allclose(first.joints, other.joints)
