"""Samples and batches: shapes, types, masks and what may be mixed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from posepile_torch.camera import Camera
from posepile_torch.errors import PosepileError
from posepile_torch.sample import Sample2D, Sample3D, collate


def fields(row: int, joints: int = 3, side: int = 16) -> dict:
    rng = np.random.default_rng(row)
    return {
        "image": rng.integers(0, 256, (side, side, 3)).astype(np.uint8),
        "joints2d": rng.uniform(0, side, (joints, 2)).astype(np.float32),
        "known": np.ones(joints, bool),
        "visible": np.full(joints, -1, np.int8),
        "in_view": np.ones(joints, bool),
        "box": np.array([1, 2, 3, 4], np.float32),
        "has_camera": True,
        "camera": Camera.from_fov((side, side), 1.0, t=(1e7, 0, row)),
        "source": "toy",
        "row": row,
        "id": f"toy/{row}",
    }


def sample3d(row: int, **changes) -> Sample3D:
    joints = np.full((3, 3), float(row), np.float32)
    return Sample3D(
        **fields(row, **changes), joints3d=joints, known3d=np.array([True, True, False])
    )


def test_a_batch_stacks_its_samples():
    batch = collate([sample3d(0), sample3d(1)])
    assert len(batch) == 2
    assert batch.image.shape == (2, 3, 16, 16)
    assert batch.image.dtype == torch.uint8
    assert batch.image.is_contiguous()
    assert torch.equal(batch.image[1, 2], torch.from_numpy(sample3d(1).image[..., 2].copy()))
    assert batch.joints3d.shape == (2, 3, 3)
    assert batch.known3d.tolist() == [[True, True, False]] * 2
    assert batch.camera_position.dtype == torch.float64
    assert batch.camera_position[1].tolist() == [1e7, 0.0, 1.0]
    assert batch.id == ("toy/0", "toy/1")
    assert batch.row.tolist() == [0, 1]


def test_2d_samples_among_3d_ones_have_no_valid_depth():
    batch = collate([Sample2D(**fields(0)), sample3d(1)])
    assert not batch.known3d[0].any()
    assert (batch.joints3d[0] == 0).all()
    assert batch.known[0].all()


@pytest.mark.parametrize("changes", [{"joints": 4}, {"side": 8}])
def test_samples_of_different_shapes_are_refused_by_name(changes):
    other = Sample2D(**fields(5, **changes))
    with pytest.raises(PosepileError, match=r"toy row 5") as caught:
        collate([Sample2D(**fields(0)), other])
    assert "skeleton" in str(caught.value)


def test_no_samples():
    with pytest.raises(PosepileError, match="no samples"):
        collate([])


def test_moving_a_batch_keeps_every_field():
    batch = collate([sample3d(0)])
    moved = batch.to("meta")
    for field in dataclasses.fields(batch):
        before, after = getattr(batch, field.name), getattr(moved, field.name)
        if isinstance(before, torch.Tensor):
            assert after.device.type == "meta"
            assert after.shape == before.shape
        else:
            assert after == before
