"""Alignments against a per-pose SVD loop, closed forms, and the rules for degenerate poses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    ampjpe,
    joint_distances,
    mpjpe,
    pa_mpjpe,
    rigid_alignment,
    rigid_mpjpe,
    root_alignment,
    root_relative,
    scale_alignment,
    similarity_alignment,
)

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=25, deadline=None)


def svd_loop(pred, gt, *, scale=True, reflection=False):
    """Procrustes by the textbook, one pose at a time."""
    errors = np.empty(pred.shape[:2])
    for i, (p, g) in enumerate(zip(pred, gt, strict=True)):
        p0, g0 = p - p.mean(0), g - g.mean(0)
        U, S, Vt = np.linalg.svd(g0.T @ p0)
        sign = np.linalg.det(U) * np.linalg.det(Vt)
        if sign < 0 and not reflection:
            U[:, -1] *= -1
            S[-1] *= -1
        s = S.sum() / (p0**2).sum() if scale else 1.0
        errors[i] = np.linalg.norm(s * p0 @ (U @ Vt).T - g0, axis=-1)
    return errors


def poses(seed, n=6, joints=17, spread=300.0, noise=60.0):
    rng = np.random.default_rng(seed)
    gt = rng.normal(size=(n, joints, 3)) * spread * rng.uniform(0.05, 1, size=(n, 1, 3))
    return gt + rng.normal(size=gt.shape) * noise, gt


def rotation(seed):
    q = np.random.default_rng(seed).normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@given(seeds, st.integers(3, 25), st.floats(0, 500))
@some
def test_similarity_and_rigid_equal_the_svd_loop(seed, joints, noise):
    pred, gt = poses(seed, joints=joints, noise=noise)
    for align, scale in (("similarity", True), ("rigid", False)):
        for reflection in (False, True):
            got = joint_distances(pred, gt, align=align, allow_reflection=reflection)
            want = svd_loop(pred, gt, scale=scale, reflection=reflection)
            # what is unique for every pose is the sum of squares
            np.testing.assert_allclose((got**2).sum(-1), (want**2).sum(-1), rtol=1e-9, atol=1e-9)


def test_distances_equal_the_svd_loop_to_1e_9_mm():
    pred, gt = poses(3, n=5000, noise=40)
    got = joint_distances(pred, gt, align="similarity")
    np.testing.assert_allclose(got, svd_loop(pred, gt), rtol=0, atol=1e-9)
    far = joint_distances(pred + 1e6, gt - 1e6, align="similarity")
    np.testing.assert_allclose(far, got, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e20])
def test_units_do_not_matter(scale):
    pred, gt = poses(4)
    got = joint_distances(pred * scale, gt * scale, align="similarity") / scale
    np.testing.assert_allclose(got, joint_distances(pred, gt, align="similarity"), rtol=1e-9)


@pytest.mark.parametrize("kind", ["coplanar", "collinear", "three points", "collinear pred"])
def test_degenerate_sets_have_the_unique_error_of_the_svd_loop(kind):
    pred, gt = poses(5, n=300)
    flat = {"coplanar": [1, 1, 0], "collinear": [1, 0, 0], "collinear pred": [1, 0, 0]}
    if kind == "three points":
        pred, gt = pred[:, :3], gt[:, :3]
    elif kind == "collinear pred":
        pred = pred * flat[kind] @ rotation(1)
    else:
        pred, gt = pred * flat[kind] @ rotation(1), gt * flat[kind] @ rotation(2)
    got = joint_distances(pred, gt, align="similarity")
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, svd_loop(pred, gt), rtol=0, atol=1e-9)


def test_transform_reproduces_a_known_similarity():
    gt = poses(6)[1]
    R, s, t = rotation(7), 0.8, np.array([100.0, -50, 3000])
    pred = (gt - t) @ R / s
    found = similarity_alignment(pred, gt)
    np.testing.assert_allclose(found.scale, s, rtol=1e-12)
    np.testing.assert_allclose(found.rotation, np.broadcast_to(R, (6, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(found.translation, np.broadcast_to(t, (6, 3)), atol=1e-9)
    np.testing.assert_allclose(found.apply(pred), gt, atol=1e-9)
    np.testing.assert_allclose(
        found.rotate(np.eye(3)[None, None].repeat(6, 0))[:, 0], R[None].repeat(6, 0), atol=1e-12
    )
    assert (found.n_joints == 17).all()
    assert found.n_excluded == found.n_degenerate == 0


def test_transform_and_distances_agree():
    pred, gt = poses(8, n=50)
    for found, align in (
        (similarity_alignment(pred, gt), "similarity"),
        (rigid_alignment(pred, gt), "rigid"),
    ):
        moved = np.linalg.norm(found.apply(pred) - gt, axis=-1)
        np.testing.assert_allclose(moved, joint_distances(pred, gt, align=align), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(found.rotation), 1, rtol=1e-12)


@given(seeds)
@some
def test_one_mirrored_pose_is_caught(seed):
    gt = poses(seed)[1]
    pred = gt.copy()
    pred[2] = pred[2] * [-1, 1, 1]
    per_sample = pa_mpjpe(pred, gt, reduce="sample")
    assert per_sample[2] > 1
    np.testing.assert_allclose(np.delete(per_sample, 2), 0, atol=1e-9)
    mirrored_allowed = joint_distances(pred, gt, align="similarity", allow_reflection=True)
    np.testing.assert_allclose(mirrored_allowed, 0, atol=1e-9)


@given(seeds, seeds, st.floats(0.1, 10))
@some
def test_pa_is_invariant_under_similarity_of_the_prediction(seed, other, factor):
    pred, gt = poses(seed)
    shift = np.random.default_rng(other).normal(size=3) * 1000
    moved = factor * pred @ rotation(other).T + shift
    np.testing.assert_allclose(
        joint_distances(moved, gt, align="similarity"),
        joint_distances(pred, gt, align="similarity"),
        atol=1e-6,
    )


@given(seeds, seeds)
@some
def test_rigid_is_invariant_under_rigid_motion_and_sees_scale(seed, other):
    pred, gt = poses(seed)
    moved = pred @ rotation(other).T + 500
    np.testing.assert_allclose(rigid_mpjpe(moved, gt), rigid_mpjpe(pred, gt), atol=1e-6)
    assert rigid_mpjpe(2 * gt, gt) > 1


@given(seeds, seeds)
@some
def test_mpjpe_is_invariant_under_common_rigid_motion(seed, other):
    pred, gt = poses(seed)
    R, shift = rotation(other), np.random.default_rng(other).normal(size=3) * 1000
    for root in (0, (1, 4), "centroid"):
        np.testing.assert_allclose(
            mpjpe(pred @ R.T + shift, gt @ R.T + shift, root=root),
            mpjpe(pred, gt, root=root),
            rtol=1e-9,
        )


@given(seeds)
@some
def test_sums_of_squares_are_ordered_pa_below_rigid_below_centroid_and_scale_below_root(seed):
    pred, gt = poses(seed)
    pred = 1.3 * pred @ rotation(seed).T + 100
    squares = {
        name: (joint_distances(pred, gt, align=align, root="centroid") ** 2).sum(-1)
        for name, align in (
            ("pa", "similarity"), ("rigid", "rigid"), ("scale", "scale"), ("root", "none")
        )
    }  # fmt: skip
    slack = 1e-6
    assert (squares["pa"] <= squares["scale"] + slack).all()
    assert (squares["scale"] <= squares["root"] + slack).all()
    assert (squares["pa"] <= squares["rigid"] + slack).all()
    assert (squares["rigid"] <= squares["root"] + slack).all()


@given(seeds, seeds)
@some
def test_masked_joints_never_leak(seed, other):
    pred, gt = poses(seed)
    rng = np.random.default_rng(other)
    mask = rng.random(pred.shape[:2]) < 0.6
    changed_pred, changed_gt = pred.copy(), gt.copy()
    changed_pred[~mask] += rng.normal(size=3) * 1e4
    changed_gt[~mask] = np.nan
    for align in ("similarity", "rigid", "scale", "none"):
        for root in (None, "centroid", 3):
            first = joint_distances(pred, gt, align=align, root=root, mask=mask)
            second = joint_distances(changed_pred, changed_gt, align=align, root=root, mask=mask)
            np.testing.assert_array_equal(first, second)
    first, second = (
        similarity_alignment(p, g, mask=mask) for p, g in ((pred, gt), (changed_pred, changed_gt))
    )
    np.testing.assert_array_equal(first.rotation, second.rotation)
    np.testing.assert_array_equal(first.translation, second.translation)


def test_masked_result_is_that_of_the_valid_joints_alone():
    pred, gt = poses(11, n=1)
    mask = np.arange(17) % 3 > 0
    np.testing.assert_allclose(
        joint_distances(pred, gt, align="similarity", mask=mask)[:, mask],
        svd_loop(pred[:, mask], gt[:, mask]),
        atol=1e-9,
    )


def test_zero_variance_prediction_goes_to_the_centroid_and_is_counted():
    pred, gt = poses(12, n=4)
    pred[1] = 0
    pred[2] = np.array([123.456, -0.1, 4567.8])
    found = similarity_alignment(pred, gt)
    assert found.degenerate.tolist() == [False, True, True, False]
    assert found.n_degenerate == 2
    centroid = gt.mean(1, keepdims=True)
    np.testing.assert_allclose(found.apply(pred)[1:3], np.broadcast_to(centroid, gt.shape)[1:3])
    for align in ("similarity", "rigid"):
        got = joint_distances(pred, gt, align=align)
        np.testing.assert_allclose(
            got[1:3], np.linalg.norm(gt - centroid, axis=-1)[1:3], rtol=1e-12
        )


def test_ground_truth_that_coincides_gives_zero_error_after_pa():
    pred, gt = poses(13, n=2)
    gt[0] = 7.0
    found = similarity_alignment(pred, gt)
    assert found.n_degenerate == 0
    np.testing.assert_allclose(joint_distances(pred, gt, align="similarity")[0], 0, atol=1e-9)


def test_fewer_valid_joints_than_the_minimum_are_excluded_and_counted():
    pred, gt = poses(14, n=4)
    mask = np.ones((4, 17), bool)
    mask[1, 2:] = False
    mask[2] = False
    found = similarity_alignment(pred, gt, mask=mask)
    assert found.excluded.tolist() == [False, True, True, False]
    assert found.n_excluded == 2
    assert np.isnan(found.apply(pred)[1:3]).all()
    per_sample = pa_mpjpe(pred, gt, mask=mask, reduce="sample")
    assert np.isnan(per_sample).tolist() == [False, True, True, False]
    two = pa_mpjpe(pred, gt, mask=mask, reduce="sample", min_valid_joints=2)
    np.testing.assert_allclose(two[1], 0, atol=1e-9)
    one = similarity_alignment(pred[:1], gt[:1], mask=np.arange(17) == 5, min_valid_joints=1)
    np.testing.assert_allclose(one.apply(pred[:1])[0, 5], gt[0, 5])


def test_trap_2_mmpose_parity_switch_aligns_on_masked_joints():
    pred, gt = poses(15)
    mask = np.ones((6, 17), bool)
    mask[:, 5] = False
    parity = pa_mpjpe(pred, gt, mask=mask, align_masked_joints=True)
    assert parity == pytest.approx(svd_loop(pred, gt)[mask].mean(), abs=1e-9)
    assert parity != pytest.approx(pa_mpjpe(pred, gt, mask=mask), abs=1e-3)
    gt[0, 5] = np.nan
    with pytest.raises(MetricError, match="masked joints"):
        pa_mpjpe(pred, gt, mask=mask, align_masked_joints=True)


def test_trap_21_posekit_scale_after_a_reflection_is_not_the_optimum():
    # posekit keeps the unreduced sum of singular values as the scale.
    gt = poses(16, n=1)[1]
    pred = gt * [-1, 1, 1]
    p0, g0 = pred[0] - pred[0].mean(0), gt[0] - gt[0].mean(0)
    U, S, Vt = np.linalg.svd(g0.T @ p0)
    R = U @ np.diag([1, 1, -1.0]) @ Vt
    unreduced = S.sum() / (p0**2).sum()
    theirs = ((unreduced * p0 @ R.T - g0) ** 2).sum()
    ours = (joint_distances(pred, gt, align="similarity") ** 2).sum()
    assert ours < theirs - 1


def test_norm_ratio_scale_is_separate_and_closed_form():
    pred, gt = poses(17)
    found = similarity_alignment(pred, gt, scale="norm_ratio")
    p0, g0 = (x - x.mean(1, keepdims=True) for x in (pred, gt))
    ratio = np.sqrt((g0**2).sum((1, 2)) / (p0**2).sum((1, 2)))
    np.testing.assert_allclose(found.scale, ratio, rtol=1e-12)
    best = (joint_distances(pred, gt, align="similarity") ** 2).sum(-1)
    other = (joint_distances(pred, gt, align="similarity", scale="norm_ratio") ** 2).sum(-1)
    assert (best < other).all()


def test_scale_alignment_is_the_dot_product_formula_without_centring():
    pred, gt = poses(18)
    found = scale_alignment(pred, gt)
    want = (pred * gt).sum((1, 2)) / (pred**2).sum((1, 2))
    np.testing.assert_allclose(found.scale, want, rtol=1e-12)
    np.testing.assert_allclose(found.apply(pred), want[:, None, None] * pred)
    assert (scale_alignment(-gt, gt).scale == -1).all()  # the sign is free
    zero = scale_alignment(np.zeros_like(gt), gt)
    assert zero.degenerate.all()
    np.testing.assert_array_equal(zero.apply(pred), 0)


def test_root_alignment_and_root_relative():
    pred, gt = poses(19)
    moved = root_alignment(pred, gt, root=(1, 4)).apply(pred)
    np.testing.assert_allclose(moved[:, [1, 4]].mean(1), gt[:, [1, 4]].mean(1))
    mask = np.ones((6, 17), bool)
    mask[0, 4] = False
    found = root_alignment(pred, gt, root=(1, 4), mask=mask)
    assert found.excluded.tolist() == [True] + [False] * 5
    relative = root_relative(gt, root=-1)
    np.testing.assert_array_equal(relative, gt - gt[:, -1:])
    unknown = root_relative(gt, root=(1, 4), mask=mask)
    assert np.isnan(unknown[0]).all()
    assert np.isfinite(unknown[1:]).all()
    np.testing.assert_array_equal(root_relative(gt, root=None), gt)


def test_results_do_not_depend_on_the_other_poses_in_the_batch():
    pred, gt = poses(20, n=4500)
    pred[1000] = gt[1000] * [1, 1e-9, -1e-9]  # one that needs the slow way
    whole = joint_distances(pred, gt, align="similarity")
    for rows in (slice(0, 1), slice(17, 1940), slice(990, 1010), slice(4499, None)):
        part = joint_distances(pred[rows], gt[rows], align="similarity")
        np.testing.assert_array_equal(part, whole[rows])
    order = np.random.default_rng(0).permutation(len(pred))
    shuffled = joint_distances(pred[order], gt[order], align="similarity")
    np.testing.assert_array_equal(shuffled, whole[order])


def test_leading_axes_and_kinds_of_array():
    pred, gt = poses(21, n=6)
    nested = joint_distances(pred.reshape(2, 3, 17, 3), gt.reshape(2, 3, 17, 3), align="rigid")
    np.testing.assert_array_equal(nested.reshape(6, 17), joint_distances(pred, gt, align="rigid"))
    single = joint_distances(pred[0], gt[0], align="similarity")
    assert single.shape == (17,)
    assert type(pa_mpjpe(pred, gt)) is np.float64
    tensor = pa_mpjpe(torch.from_numpy(pred).float(), torch.from_numpy(gt).float())
    assert isinstance(tensor, torch.Tensor)
    assert tensor.dtype == torch.float64
    found = similarity_alignment(torch.from_numpy(pred), torch.from_numpy(gt))
    assert isinstance(found.scale, torch.Tensor)
    assert found.rotation.shape == (6, 3, 3)
    mesh = np.random.default_rng(1).normal(size=(6, 40, 3))
    assert found.apply(torch.from_numpy(mesh)).shape == (6, 40, 3)


def test_the_way_of_tensors_with_gradient_and_of_gpus_gives_the_same_numbers():
    pred, gt = poses(25, n=700, joints=20)
    pred[3] = gt[3] * [1, 1e-9, -1e-9]  # one that needs the slow way
    pred[4] = 7
    mask = np.random.default_rng(0).random((700, 20)) < 0.8
    for options in (
        {"align": "similarity"},
        {"align": "similarity", "allow_reflection": True, "scale": "norm_ratio"},
        {"align": "rigid", "mask": mask},
    ):
        numpy_way = joint_distances(pred, gt, **options)
        tensors = torch.from_numpy(pred).requires_grad_(), torch.from_numpy(gt)
        other_way = joint_distances(*tensors, **options).detach().numpy()
        np.testing.assert_allclose(other_way[:3], numpy_way[:3], rtol=0, atol=1e-10)
        np.testing.assert_allclose(other_way[4:], numpy_way[4:], rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            np.nansum(other_way[3] ** 2), np.nansum(numpy_way[3] ** 2), rtol=1e-9
        )


def test_empty_batches():
    without_joints = np.zeros((2, 0, 3))
    assert similarity_alignment(without_joints, without_joints).n_excluded == 2
    assert joint_distances(without_joints, without_joints, align="rigid").shape == (2, 0)
    empty = np.zeros((0, 17, 3))
    assert joint_distances(empty, empty, align="similarity").shape == (0, 17)
    found = similarity_alignment(empty, empty)
    assert found.scale.shape == (0,)
    with pytest.raises(MetricError, match="nothing to average"):
        pa_mpjpe(empty, empty)


def test_many_points_as_in_meshes():
    pred, gt = poses(22, n=5, joints=9000)
    got = joint_distances(pred, gt, align="similarity")
    np.testing.assert_allclose(got, svd_loop(pred, gt), atol=1e-9)


def test_overflow_is_an_error_and_not_a_nan():
    pred, gt = poses(23)
    with pytest.raises(MetricError, match="too large"):
        pa_mpjpe(pred * 1e200, gt)
    for call in (
        lambda: similarity_alignment(pred * 1e200, gt),
        lambda: rigid_alignment(pred * 1e200, gt * 1e200),
        lambda: scale_alignment(pred * 1e200, gt),
        lambda: joint_distances(pred * 1e200, gt, align="scale"),
        lambda: ampjpe(pred * 1e200, gt),
    ):
        with pytest.raises(MetricError, match="too large"):
            call()


def test_alignment_refuses_what_does_not_fit():
    pred, gt = poses(24)
    found = similarity_alignment(pred, gt)
    with pytest.raises(MetricError, match="6"):
        found.apply(pred[:3])
    with pytest.raises(MetricError, match="mixed"):
        found.apply(torch.from_numpy(pred))
    with pytest.raises(MetricError, match="root"):
        mpjpe(pred, gt, root="pelvis")
    with pytest.raises(MetricError, match="joint 17"):
        mpjpe(pred, gt, root=17)
    with pytest.raises(MetricError, match="similarity"):
        joint_distances(pred, gt, align="procrustes")
    with pytest.raises(MetricError, match="scale='norm'"):
        joint_distances(pred, gt, align="similarity", scale="norm")
    with pytest.raises(MetricError, match="scale='none'"):
        similarity_alignment(pred, gt, scale="none")
