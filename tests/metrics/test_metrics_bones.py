"""Bone rescaling and limb sums by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    TDHP17_BONES,
    bone_lengths,
    outward_bones,
    rescale_bones,
    rescale_to_limb_sum,
)

CHAIN = [(0, 1), (1, 2)]
GT = np.array([[0.0, 0, 0], [100, 0, 0], [100, 50, 0]])
PRED = np.array([[10.0, 10, 10], [10, 210, 10], [10, 210, 40]])


def test_a_chain_keeps_directions_and_takes_lengths():
    got = rescale_bones(PRED, GT, CHAIN)
    np.testing.assert_allclose(got, [[10, 10, 10], [10, 110, 10], [10, 110, 60]])
    np.testing.assert_allclose(bone_lengths(got, CHAIN), [100, 50])
    tensor = rescale_bones(torch.from_numpy(PRED), torch.from_numpy(GT), CHAIN)
    np.testing.assert_array_equal(tensor.numpy(), got)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_official_skeleton(seed):
    rng = np.random.default_rng(seed)
    pred, gt = rng.normal(size=(2, 3, 17, 3)) * 300
    got = rescale_bones(pred, gt, TDHP17_BONES)
    np.testing.assert_allclose(bone_lengths(got, TDHP17_BONES), bone_lengths(gt, TDHP17_BONES))
    np.testing.assert_array_equal(got[:, 14], pred[:, 14])
    for parent, child in TDHP17_BONES:
        a, b = got[:, child] - got[:, parent], pred[:, child] - pred[:, parent]
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        np.testing.assert_allclose(cosine, 1)
    np.testing.assert_allclose(rescale_bones(gt, gt, TDHP17_BONES), gt, atol=1e-9)


def test_a_predicted_bone_without_length_puts_the_child_on_its_parent():
    pred = PRED.copy()
    pred[2] = pred[1]
    got = rescale_bones(pred, GT, CHAIN)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[2], got[1])


def test_bones_of_unknown_length_keep_their_offset_and_leak_nothing():
    gt = GT.copy()
    gt[1] = np.nan
    pred = PRED + 0.1
    got = rescale_bones(pred, gt, CHAIN)
    np.testing.assert_array_equal(got, pred)
    four = [(0, 1), (1, 2), (2, 3)]
    pred4, gt4 = (np.vstack([x, [[0.0, 1, 2]]]) for x in (pred, GT))
    mask = np.array([True, True, False, True])
    got = rescale_bones(pred4, gt4, four, mask=mask)
    changed = pred4.copy()
    changed[2] = [1e5, np.nan, 7]
    again = rescale_bones(changed, gt4, four, mask=mask)
    np.testing.assert_array_equal(again[[0, 1, 3]], got[[0, 1, 3]])
    np.testing.assert_allclose(got[3] - got[1], pred4[3] - pred4[1])


def test_a_missing_prediction_stays_missing_with_all_beyond_it():
    pred = PRED.copy()
    pred[1] = np.nan
    got = rescale_bones(pred, GT, CHAIN)
    assert np.isnan(got[1:]).all()
    np.testing.assert_array_equal(got[0], pred[0])


def test_edges_are_directed_outwards():
    edges = [(2, 1), (1, 0), (3, 1)]
    assert outward_bones(edges, 0) == ((0, 1), (1, 2), (1, 3))
    assert outward_bones(edges, 2) == ((2, 1), (1, 0), (1, 3))
    shuffled = [(b, a) for a, b in reversed(TDHP17_BONES)]
    assert set(outward_bones(shuffled, 14)) == set(TDHP17_BONES)
    for bad in ([(0, 1), (1, 2), (2, 0)], [(0, 1), (2, 3)], []):
        with pytest.raises(MetricError, match="tree"):
            outward_bones(bad, 0)


def test_orders_that_cannot_be_walked():
    for bones in ([(1, 2), (0, 1)], [(0, 1), (2, 1)]):
        with pytest.raises(MetricError, match="order"):
            rescale_bones(PRED, GT, bones)
    with pytest.raises(MetricError, match="joint 3"):
        rescale_bones(PRED, GT, [(0, 3)])


def test_row_93_bones_sum_to_4000_mm():
    pose = np.stack([PRED, 3 * PRED])
    got = rescale_to_limb_sum(pose, CHAIN)
    np.testing.assert_allclose(bone_lengths(got, CHAIN).sum(-1), 4000)
    np.testing.assert_allclose(got[0], PRED * 4000 / 230)
    np.testing.assert_allclose(rescale_to_limb_sum(pose, CHAIN, total_mm=23)[0], PRED / 10)
    with pytest.raises(MetricError, match="length zero"):
        rescale_to_limb_sum(np.zeros((3, 3)), CHAIN)
