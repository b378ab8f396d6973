"""Derivatives: against finite differences, and finite where an SVD's would not be."""

import pytest
import torch

from posepile_torch.metrics import (
    acceleration_error,
    ampjpe,
    epe,
    joint_distances,
    mpjae,
    mpjpe,
    mpjve,
    n_mpjpe,
    oks,
    pa_mpjpe,
    pa_mpvpe,
    rescale_bones,
    rigid_mpjpe,
    similarity_alignment,
    w_mpjpe,
)
from posepile_torch.metrics._rotations import best_rotation


def pair(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    gt = torch.randn(*shape, dtype=torch.float64, generator=generator)
    noise = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return (gt + 0.2 * noise).requires_grad_(), gt.requires_grad_()


MASK = torch.arange(7) % 3 > 0

FUNCTIONS = {
    "mpjpe": lambda p, g: mpjpe(p, g, root=(1, 2)),
    "mpjpe centroid": lambda p, g: mpjpe(p, g, root="centroid", mask=MASK),
    "ampjpe": lambda p, g: ampjpe(p, g, mask=MASK),
    "pa": pa_mpjpe,
    "pa masked": lambda p, g: pa_mpjpe(p, g, mask=MASK, reduce="sample"),
    "pa mirrored": lambda p, g: pa_mpjpe(p * p.new_tensor([-1, 1, 1]), g),
    "pa reflection": lambda p, g: joint_distances(
        p * p.new_tensor([-1, 1, 1]), g, align="similarity", allow_reflection=True
    ),
    "norm ratio": lambda p, g: joint_distances(p, g, align="similarity", scale="norm_ratio"),
    "rigid": rigid_mpjpe,
    "n_mpjpe": lambda p, g: n_mpjpe(p, g, root="centroid"),
    "transform": lambda p, g: similarity_alignment(p, g).apply(p[:, :3]),
    "vertices": lambda p, g: pa_mpvpe(p, g, alignment=similarity_alignment(p[:, :4], g[:, :4])),
    "velocity": mpjve,
    "acceleration": lambda p, g: acceleration_error(p, g, root=0),
    "world": lambda p, g: w_mpjpe(p, g, chunk_frames=2),
    "2d": lambda p, g: epe(p[..., :2], g[..., :2]),
    "oks": lambda p, g: oks(
        p[..., :2], g[..., :2], labelled=MASK, area=torch.ones(3), sigmas=[0.5] * 7
    ),
    "bones": lambda p, g: rescale_bones(p, g, [(0, 1), (1, 2), (0, 3)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name):
    assert torch.autograd.gradcheck(FUNCTIONS[name], pair(0, 3, 7, 3))


def test_second_derivatives_of_procrustes():
    assert torch.autograd.gradgradcheck(pa_mpjpe, pair(1, 2, 5, 3))


def test_gradcheck_of_joint_angles():
    def angles(axis_angle):
        skew = torch.zeros(*axis_angle.shape[:-1], 3, 3, dtype=torch.float64)
        for k, (i, j) in enumerate(((2, 1), (0, 2), (1, 0))):
            skew[..., i, j] = axis_angle[..., k]
            skew[..., j, i] = -axis_angle[..., k]
        return mpjae(torch.matrix_exp(skew), torch.eye(3, dtype=torch.float64).expand(2, 4, 3, 3))

    torch.manual_seed(0)
    assert torch.autograd.gradcheck(
        angles, torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    )


@pytest.mark.parametrize(
    "values", [(1, 1, 1), (2, 1, 1), (1, 1, -0.5), (3, 2, 0), (1, 0.01, -0.008)]
)
def test_rotation_gradient_has_no_pole_at_equal_singular_values(values):
    # The derivative of an SVD divides by differences of singular values, this one by sums.
    q1, q2 = (torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0] for _ in range(2))
    q1, q2 = q1 * torch.linalg.det(q1), q2 * torch.linalg.det(q2)
    B = q1 @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q2.T
    B = B[..., None].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: best_rotation(x)[0], (B,), atol=1e-4, eps=1e-7)


@pytest.mark.parametrize(
    "case", ["perfect", "zero prediction", "coinciding truth", "collinear", "mirrored", "root"]
)
def test_gradients_stay_finite_in_degenerate_cases(case):
    pred, gt = (x.detach().clone() for x in pair(2, 4, 7, 3))
    if case == "perfect":
        pred[1] = gt[1]
    elif case == "zero prediction":
        pred[1] = 0
    elif case == "coinciding truth":
        gt[1] = 5
    elif case == "collinear":
        pred[1] = pred[1] * pred.new_tensor([1, 0, 0])
    elif case == "mirrored":
        pred[1] = gt[1] * gt.new_tensor([-1, 1, 1])
    pred.requires_grad_()
    for loss in (pa_mpjpe(pred, gt), rigid_mpjpe(pred, gt), n_mpjpe(pred, gt, root=0)):
        pred.grad = None
        loss.backward()
        assert torch.isfinite(pred.grad).all()
        assert bool(pred.grad.abs().sum() > 0)


def test_masked_joints_and_excluded_samples_get_zero_gradient():
    pred, gt = (x.detach().clone() for x in pair(3, 3, 7, 3))
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[0, 4] = False
    mask[1, 2:] = False  # too few to align
    gt[0, 4] = torch.nan
    pred.requires_grad_()
    pa_mpjpe(pred, gt, mask=mask).backward()
    assert bool((pred.grad[0, 4] == 0).all())
    assert bool((pred.grad[1] == 0).all())
    assert bool((pred.grad[2] != 0).all())


def test_many_poses_have_the_gradient_of_a_few():
    # more than one block, one pose of it needing the slow way
    pred, gt = (x.detach().clone() for x in pair(4, 2500, 17, 3))
    pred[7] = gt[7] * gt.new_tensor([1, 1e-8, -1e-8])
    pred.requires_grad_()
    joint_distances(pred, gt, align="similarity").sum().backward()
    part = pred.detach()[5:9].clone().requires_grad_()
    joint_distances(part, gt[5:9], align="similarity").sum().backward()
    torch.testing.assert_close(part.grad, pred.grad[5:9], rtol=0, atol=1e-14)
    assert torch.isfinite(pred.grad).all()


def test_gradient_of_pa_descends():
    pred, gt = (x.detach().clone() for x in pair(5, 4, 17, 3))
    pred = (pred + 3).requires_grad_()
    optimiser = torch.optim.SGD([pred], lr=1.0)
    first = pa_mpjpe(pred, gt).item()
    for _ in range(50):
        optimiser.zero_grad()
        pa_mpjpe(pred, gt).backward()
        optimiser.step()
    assert pa_mpjpe(pred, gt).item() < first / 2
