"""Body models against smplx, on fabricated files of the true shapes."""

import body_toys
import numpy as np
import pytest
import torch

from posepile_torch.body import BodyModel, load_body_model, read_body_file
from posepile_torch.body.kinematics import rotation_matrices
from posepile_torch.body.smplx_backend import SmplxBodyModel
from posepile_torch.errors import BodyModelError
from posepile_torch.record import BodyParameters


@pytest.fixture(scope="module")
def smpl_file(tmp_path_factory):
    return body_toys.write(tmp_path_factory.mktemp("models") / "smpl" / "SMPL_NEUTRAL.pkl")


@pytest.fixture(scope="module")
def smpl(smpl_file):
    return load_body_model("smpl", path=smpl_file, dtype=torch.float64, chunk_size=3)


def parameters(model, count, seed=1):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(count, 3 * model.num_joints)) * 0.5,
        random.normal(size=(count, 10)),
        random.normal(size=(count, 3)),
    )


@pytest.mark.parametrize(
    ("name", "suffix", "components"),
    [("smpl", "pkl", 10), ("smplh", "npz", 10), ("smplx", "npz", 20), ("mano", "pkl", 10)],
)
def test_equals_smplx(tmp_path, name, suffix, components):
    pytest.importorskip("smplx")
    path = body_toys.write(tmp_path / f"model.{suffix}", name, components)
    file = read_body_file(path, name)
    own, other = (kind(file, flat_hand_mean=False) for kind in (BodyModel, SmplxBodyModel))
    pose, betas, translation = parameters(own, 8 if name == "smplx" else 64)
    more = {"expression": betas[:, ::-1]} if name == "smplx" else {}
    for method in ("joints", "vertices"):
        ours = getattr(own, method)(pose, betas, translation, **more)
        theirs = getattr(other, method)(pose, betas, translation, **more)
        assert ours.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_kinematic_joints_are_the_regressed_rest_joints_when_nothing_is_turned(smpl, smpl_file):
    raw = body_toys.fields("smpl")
    betas = np.linspace(-2, 2, 10)
    rest = raw["J_regressor"] @ (raw["v_template"] + raw["shapedirs"] @ betas)
    np.testing.assert_allclose(smpl.joints(np.zeros(72), betas), rest, atol=1e-12)
    np.testing.assert_allclose(smpl.joints_mm(np.zeros(72), betas), rest * 1000, atol=1e-9)
    assert smpl.skeleton.name == "smpl_24"


def test_batches_chunks_and_bodies_do_not_touch_each_other(smpl):
    pose, betas, translation = parameters(smpl, 7)
    together = smpl.vertices(pose, betas, translation)
    for i in (0, 3, 6):
        alone = smpl.vertices(pose[i], betas[i], translation[i])
        assert alone.shape == (6890, 3)
        np.testing.assert_allclose(together[i], alone, atol=1e-12)
    grid = smpl.joints(pose[:6].reshape(2, 3, 24, 3), betas[0])
    assert grid.shape == (2, 3, 24, 3)
    assert smpl.vertices(pose[:0], betas[:0]).shape == (0, 6890, 3)


def test_regressor_equals_matrix_times_vertices(smpl):
    random = np.random.default_rng(5)
    matrix = np.zeros((5, 6890))
    matrix[0, 332] = 1
    for row in matrix[1:]:
        row[random.choice(6890, 9)] = random.normal(size=9)  # sums that are not 1
    pose, betas, translation = parameters(smpl, 4)
    given = {"pose": pose, "betas": betas, "translation": translation, "scale": [1, 2, 0.5, 1]}
    expected = matrix @ smpl.vertices(**given)
    regressor = smpl.regressor(matrix)
    np.testing.assert_allclose(regressor.points(**given), expected, atol=1e-10)
    np.testing.assert_allclose(regressor.points_mm(**given), expected * 1000, atol=1e-7)
    with pytest.raises(BodyModelError, match="6890"):
        smpl.regressor(np.zeros((17, 10475)))


def test_gradients(smpl):
    random = torch.Generator().manual_seed(0)
    pose = (torch.randn(2, 72, dtype=torch.float64, generator=random) * 0.3).requires_grad_()
    betas = torch.randn(2, 10, dtype=torch.float64, generator=random).requires_grad_()
    assert torch.autograd.gradcheck(smpl.joints, (pose, betas), fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda p, b: smpl.vertices(p, b)[:, ::500], (pose, betas), fast_mode=True
    )
    still = torch.zeros(1, 72, dtype=torch.float64, requires_grad=True)
    smpl.vertices(still).sum().backward()
    assert torch.isfinite(still.grad).all()
    assert still.grad.abs().max() > 0


@pytest.mark.parametrize("angle", [0, 1e-9, 1e-4, 0.01, 1, np.pi, 7])
def test_rotation_matrices(angle):
    vector = torch.tensor([0.6, 0, 0.8], dtype=torch.float64) * angle
    x, y, z = vector.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    expected = torch.matrix_exp(cross)
    torch.testing.assert_close(rotation_matrices(vector), expected, rtol=0, atol=1e-12)


def test_parameters_of_a_record(smpl):
    pose, betas, translation = parameters(smpl, 1)
    body = BodyParameters(
        model="smpl", gender="neutral", pose=pose[0], betas=betas[0],
        translation=translation[0], scale=0.5,
    )  # fmt: skip
    plain = smpl.joints(pose[0], betas[0])
    np.testing.assert_allclose(smpl.joints(body), plain * 0.5 + translation[0], atol=1e-12)
    for changes in ({"model": "mano"}, {"gender": "male"}):
        other = BodyParameters(**(vars(body) | changes))
        with pytest.raises(BodyModelError, match="the parameters are of"):
            smpl.joints(other)


def test_kid_template_is_one_more_component(smpl_file):
    raw = body_toys.fields("smpl")
    child = raw["v_template"] * 0.5 + 0.1
    model = load_body_model("smpl", path=smpl_file, dtype=torch.float64, kid_template=child)
    centred = child - child.mean(axis=0)
    np.testing.assert_allclose(model.vertices(np.zeros(72), kid_factor=1), centred, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pose": np.zeros(66)}, "the pose has 66 numbers"),
        ({"pose": np.zeros(48)}, "the pose has 48 numbers"),
        ({"betas": np.zeros(300)}, r"betas has 300 numbers; this file has 10"),
        ({"expression": np.zeros(10)}, "expression has 10 numbers"),
        ({"kid_factor": 0.3}, "kid template"),
        ({"translation": np.zeros(2)}, "translation"),
        ({"pose": np.zeros((3, 72)), "betas": np.zeros((2, 10))}, "do not fit together"),
    ],
)
def test_wrong_parameters(smpl, given, message):
    with pytest.raises(BodyModelError, match=message):
        smpl.joints(**({"pose": np.zeros(72)} | given))
