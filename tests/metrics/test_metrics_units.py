"""Units are checked, and the package stays light and complete."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from posepile_torch import metrics
from posepile_torch.errors import MetricError
from posepile_torch.metrics import check_units_mm, median_joint_radius

POSE = np.array([[0.0, 0, 0], [300, 0, 0], [0, 400, 0], [0, 0, 500], [600, 0, 0]])


def test_median_radius():
    assert median_joint_radius(POSE, root=0) == 450  # the root itself does not count
    assert median_joint_radius(POSE, root=0, mask=[1, 1, 1, 1, 0]) == 400
    centroid = POSE - POSE.mean(0)
    assert median_joint_radius(POSE) == pytest.approx(np.median(np.linalg.norm(centroid, axis=-1)))
    two = np.stack([POSE, POSE])
    two[1, 0] = np.nan
    assert median_joint_radius(torch.from_numpy(two), root=0) == 450
    with pytest.raises(MetricError, match="no joint"):
        median_joint_radius(np.full((2, 5, 3), np.nan))


@pytest.mark.parametrize(
    ("factor", "hint"),
    [(1e-3, "metres"), (0.1, "centimetres"), (1e3, "micrometres")],
)
def test_suspicious_units_raise_with_a_guess(factor, hint):
    with pytest.raises(MetricError, match=hint) as caught:
        check_units_mm(factor * POSE, name="prediction", root=0, where="p.npz")
    assert "p.npz" in str(caught.value)
    assert "50..2000 mm" in str(caught.value)


def test_plausible_units_pass():
    assert check_units_mm(POSE, name="prediction", root=0) == 450
    for radius in (50.0, 2000.0):
        pose = np.array([[0.0, 0, 0], [radius, 0, 0]])
        assert check_units_mm(pose, name="truth", root=0) == radius
    with pytest.raises(MetricError):
        check_units_mm(np.array([[0.0, 0, 0], [49.9, 0, 0]]), name="truth", root=0)


def test_every_public_name_is_exported_and_documented():
    for name in metrics.__all__:
        value = getattr(metrics, name)
        if callable(value) and value.__module__.startswith("posepile_torch"):
            assert value.__doc__, name
    assert len(set(metrics.__all__)) == len(metrics.__all__)


def test_the_package_does_not_load_metrics_or_torch_by_itself():
    code = "import sys, posepile_torch; assert 'posepile_torch.metrics' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metrics_need_torch_and_numpy_alone():
    code = (
        "import sys, posepile_torch.metrics as m\n"
        "outside = {'scipy', 'cv2', 'torchmetrics', 'barecat', 'pandas', 'matplotlib'}\n"
        "assert not outside & set(sys.modules), outside & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
