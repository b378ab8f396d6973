"""Pictures, masks and visibility agree with rays that are cast one by one."""

import dataclasses

import numpy as np
import pytest

from posepile_torch.light import to_linear
from posepile_torch.mannequin.body import JOINTS
from posepile_torch.mannequin.cameras import drawn_camera
from posepile_torch.mannequin.render import Figure, View
from posepile_torch.mannequin.samples import Samples
from posepile_torch.mannequin.scene import Crate
from posepile_torch.mannequin.shadows import Shadows
from posepile_torch.mannequin.solids import Solids
from posepile_torch.mannequin.takes import MannequinOptions, Performance, planned_takes
from posepile_torch.mannequin.visibility import visible_joints

OPTIONS = MannequinOptions(takes=3, frames=2, cameras=3, size=(200, 160))
LENSES = ("none", "brown-conrady", "kannala-brandt")


def view_of(performance, camera):
    lamp, scene = performance.scene.lamp, performance.scene
    static = Shadows.none(lamp.towards).with_crates(scene.crates).with_solids(scene.decor)
    return View(scene, camera, static), static


def picture_of(performance, camera, people=None, frame=0):
    """What a camera sees of some of the people."""
    people = range(len(performance.poses)) if people is None else people
    figures = [
        Figure(performance.poses[p].solids[frame], performance.subjects[p].outfit) for p in people
    ]
    view, shadows = view_of(performance, camera)
    for figure in figures:
        shadows = shadows.with_solids(figure.solids)
    return view.picture(figures, shadows, performance.contacts(frame))


@pytest.fixture(scope="module")
def performances():
    return [Performance.drawn(OPTIONS, take) for take in planned_takes(OPTIONS)]


def all_views(performances):
    return [(p, camera) for p in performances for camera in p.cameras]


@pytest.mark.parametrize("kind", range(3))
def test_sample_rays_are_those_of_the_camera(kind):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        camera = drawn_camera(rng, (212, 164), 0.4, kind)
        assert camera.lens.model == LENSES[kind]
        samples = Samples(camera)
        assert np.isfinite(samples.x).all()
        x, y = np.meshgrid((np.arange(424) + 0.5) / 2 - 0.5, (np.arange(328) + 0.5) / 2 - 0.5)
        exact = camera.back_project(np.stack([x, y], axis=-1))
        error_px = np.abs(exact[..., 0] - samples.x).max() * camera.K[0, 0]
        error_px = max(error_px, np.abs(exact[..., 1] - samples.y).max() * camera.K[1, 1])
        assert error_px < 2e-3


def test_cameras_pass_the_gate_and_see_the_middle_upright():
    for seed in range(6):
        for kind in range(3):
            camera = drawn_camera(np.random.default_rng(seed), (400, 300), seed, kind)
            camera.validated()
            assert np.linalg.norm(camera.project((0, 900, 0)) - (199.5, 149.5)) < 60
            head, feet = camera.project(np.array([[0, 1750.0, 0], [0, 0, 0]]))
            assert 100 < feet[1] - head[1] < 260
            assert abs(feet[0] - head[0]) < 40


def test_labels_are_what_single_rays_meet(performances):
    """Casts exact rays through pixel centres at every solid, without any window or grid."""
    rng = np.random.default_rng(0)
    for performance, camera in all_views(performances)[::2]:
        labels = picture_of(performance, camera).labels
        pixels = np.stack([rng.integers(0, side, 600) for side in camera.size], axis=-1)
        rays = camera.to_world(camera.back_project(pixels.astype(float))) - camera.t
        nearest = np.stack(
            [pose.solids[0].all_entries(camera.t, rays).min(1) for pose in performance.poses]
        )
        met = np.where(np.isfinite(nearest).any(0), nearest.argmin(0) + 1, 0)
        for crate in performance.scene.crates:
            entry, _ = crate.entry(tuple(camera.t), tuple(rays.T))
            met[entry < nearest.min(0)] = 0
        met[performance.scene.decor.all_entries(camera.t, rays).min(1) < nearest.min(0)] = 0
        agree = labels[pixels[:, 1], pixels[:, 0]] == met
        assert agree.mean() > 0.985  # a label is the majority of a pixel, a ray its centre
        assert set(np.unique(labels)) == {0, 1, 2}


def test_shares_and_blocks_are_those_of_the_person_alone(performances):
    seen_partly = 0
    for performance, camera in all_views(performances):
        both = picture_of(performance, camera)
        for person in range(2):
            alone = picture_of(performance, camera, [person])
            area, whole = (both.labels == person + 1).sum(), (alone.labels == 1).sum()
            assert both.visible_share[person] <= alone.visible_share[0] + 1e-6
            expected = alone.visible_share[0] * area / whole
            assert both.visible_share[person] == pytest.approx(expected, abs=0.04)  # majorities
            assert np.array_equal(both.blocks[person], alone.blocks[0])
            seen_partly += 0.02 < both.visible_share[person] < 0.98
            if alone.visible_share[0] == 1:
                rows, columns = np.nonzero(alone.labels)
                left, top, width, height = both.blocks[person]
                assert (columns.min(), rows.min()) == (left, top)
                assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (width, height)
    assert seen_partly >= 2  # people do occlude each other


def test_visible_joints_lie_in_the_mask_of_their_person(performances):
    counts = np.zeros(2, int)
    for performance, camera in all_views(performances):
        labels = picture_of(performance, camera).labels
        joints = performance.joints[0]
        bodies = [pose.solids[0] for pose in performance.poses]
        visible = visible_joints(camera.t, joints, bodies, performance.scene)
        pixels = camera.project(joints)
        assert visible.shape == (2, len(JOINTS))
        for person in range(2):
            inside = camera.is_in_view(pixels[person])
            column, row = np.rint(pixels[person, inside]).astype(int).T
            label = labels[row, column]
            seen = visible[person, inside] == 1
            counts += (seen & (label == person + 1)).sum(), (seen & (label != person + 1)).sum()
            # Whoever is in front of a joint hides it.
            hidden_by_other = (label != person + 1) & (label != 0)
            assert (seen & hidden_by_other).sum() <= 1
    assert counts[0] > 150
    assert counts[1] <= 0.02 * counts.sum()  # at silhouettes a label is a majority


def emptied(scene):
    """The same room without furniture."""
    shapes = ((3,), (3,), (), (), (3,), (3, 3))
    nothing = Solids(*(np.zeros((0, *shape)) for shape in shapes))
    return dataclasses.replace(
        scene, crates=(), decor=nothing, decor_colours=np.zeros((0, 3), np.float32)
    )


def side_and_front(joints):
    """Directions to the left and to the front of a body, level."""
    left = joints[JOINTS.index("lsho")] - joints[JOINTS.index("rsho")]
    left = left * (1, 0, 1) / np.linalg.norm(left[[0, 2]])
    return left, np.cross(left, (0, 1, 0))


@pytest.fixture(scope="module")
def turner():
    """One person with both arms away from the trunk."""
    options = dataclasses.replace(OPTIONS, takes=20, people=1)
    take = next(take for take in planned_takes(options) if take.activity == "walking")
    return Performance.drawn(options, take)


def test_a_person_in_front_hides_the_one_behind(turner):
    scene, joints, body = emptied(turner.scene), turner.joints[0, 0], turner.poses[0].solids[0]
    _, front = side_and_front(joints)
    camera = joints[JOINTS.index("spin")] + 3000 * front
    # The same body once more, nearer to the camera.
    second, shift = body.moved(np.eye(3), -1200 * front), 1200 * front
    torso = [JOINTS.index(name) for name in ("pelv", "spin", "neck")]
    alone = visible_joints(camera, joints[None], [body], scene)
    assert alone[0, torso].all()
    both = visible_joints(camera, np.stack([joints, joints + shift]), [body, second], scene)
    assert not both[0, torso].any()
    assert both[1, torso].all()
    assert np.array_equal(
        both[1], visible_joints(camera, (joints + shift)[None], [second], scene)[0]
    )


def test_furniture_hides_what_is_behind_it(turner):
    joints, body = turner.joints[0, 0], turner.poses[0].solids[0]
    _, front = side_and_front(joints)
    pelvis = joints[JOINTS.index("pelv")]
    camera, between = pelvis + 3000 * front, pelvis + 1000 * front
    low = emptied(turner.scene)
    heading = np.arctan2(front[0], front[2])
    crate = Crate(between[0], between[2], (900.0, 450.0, 30.0), heading, (1.0, 1.0, 1.0))
    blocked = dataclasses.replace(low, crates=(crate,))
    knees = [JOINTS.index(name) for name in ("lkne", "rkne")]
    head = JOINTS.index("htop")
    assert visible_joints(camera, joints[None], [body], low)[0, knees].all()
    visible = visible_joints(camera, joints[None], [body], blocked)[0]
    assert not visible[knees].any()
    assert visible[head]


def test_the_far_shoulder_is_hidden_by_the_own_body(turner):
    scene, joints, body = emptied(turner.scene), turner.joints[0, 0], turner.poses[0].solids[0]
    left, _ = side_and_front(joints)
    for near, far, sign in (("l", "r", 1), ("r", "l", -1)):
        camera = joints[JOINTS.index("neck")] + sign * 3000 * left
        visible = visible_joints(camera, joints[None], [body], scene)[0]
        assert visible[[JOINTS.index(near + joint) for joint in ("sho", "elb")]].all()
        assert not visible[JOINTS.index(far + "sho")]


def test_people_stand_out_from_the_room(performances):
    performance, camera = performances[0], performances[0].cameras[0]
    view, static = view_of(performance, camera)
    empty = view.picture([], static, np.zeros((0, 4)))
    picture = picture_of(performance, camera)
    assert empty.image.shape == (160, 200, 3)
    assert empty.image.dtype == np.uint8
    assert empty.image.std() > 15
    assert not empty.labels.any()
    changed = np.abs(picture.image.astype(int) - empty.image).sum(-1)
    assert changed[picture.labels > 0].mean() > 60


def test_edges_are_smooth(performances):
    """White people in a dark room: what a pixel shows is how much of it they cover."""
    performance, camera = performances[0], performances[0].cameras[0]
    lamp = dataclasses.replace(
        performance.scene.lamp, key=np.zeros(3), above=np.ones(3), below=np.ones(3)
    )
    scene = dataclasses.replace(performance.scene, lamp=lamp)
    view, static = view_of(dataclasses.replace(performance, scene=scene), camera)
    view.backdrop = dataclasses.replace(view.backdrop, light=0 * view.backdrop.light)
    white = dict.fromkeys(("skin", "hair", "shirt", "trim", "trousers", "shoes"), (1.0, 1.0, 1.0))
    figures = [
        Figure(pose.solids[0], dataclasses.replace(subject.outfit, **white))
        for pose, subject in zip(performance.poses, performance.subjects, strict=True)
    ]
    picture = view.picture(figures, static, np.zeros((0, 4)))
    cover = to_linear(picture.image)[..., 1]
    inside = picture.labels > 0
    assert np.median(cover[inside]) > 0.7
    partly = (cover > 0.1) & (cover < 0.65)
    assert partly.sum() > 200
    assert (cover[~inside] < 0.55).all()


def test_people_out_of_view_leave_zeros(performances):
    performance = performances[1]
    camera = performance.cameras[1]
    behind = camera.turned_towards(2 * camera.t)
    picture = picture_of(performance, behind)
    assert not picture.labels.any()
    assert not picture.blocks.any()
    assert not picture.visible_share.any()


def test_light_comes_from_the_lamp_and_people_cast_shadows(performances):
    performance = performances[0]
    lamp = performance.scene.lamp
    open_map = Shadows.none(lamp.towards)
    shaded = open_map.with_solids(performance.poses[0].solids[0])
    pelvis = performance.joints[0, 0, JOINTS.index("pelv")]
    below = pelvis - lamp.towards * (pelvis[1] / lamp.towards[1])  # where its shadow falls
    up = np.array([[0, 1.0, 0]])
    assert open_map.lit(below[None], up)[0] == 1
    assert shaded.lit(below[None], up)[0] == 0
    assert shaded.lit(below[None] + lamp.towards * 3500, up)[0] == 1  # above the head
    assert shaded.on_floor(np.zeros((0, 4)))[..., 0].max() == pytest.approx(1, abs=1e-3)
    facing, averted = lamp.shading(np.stack([lamp.towards, -lamp.towards]), np.ones((2, 1)))
    assert (facing > 2 * averted).all()
