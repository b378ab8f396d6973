"""From raw files to samples, seen in pixels: the way of the data on the mannequin."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posepile_torch.archive import open_archive
from posepile_torch.archive.verify import verify_archive
from posepile_torch.errors import ArchiveError, UnknownNameError
from posepile_torch.mannequin import find_marks
from posepile_torch.sample import Sample3D, collate
from posepile_torch.sources import Mannequin
from posepile_torch.transforms import evaluation

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module", params=SPLITS)
def source(request, mannequin_archives):
    return Mannequin(mannequin_archives, split=request.param, recipe=evaluation(side=256))


def same_picture(source, index):
    """Rows of the records that were cut from the same picture."""
    record = source.record(index)
    others = [source.record(i) for i in range(len(source))]
    return [o for o in others if (o.sequence, o.camera_name, o.frame) == picture_of(record)]


def picture_of(record):
    return record.sequence, record.camera_name, record.frame


def everybody(source, index, camera):
    """Joints of all people of the picture; somebody else's mark may lie nearer than one's own."""
    return np.stack([camera.project(o.joints3d) for o in same_picture(source, index)])


def own_place(source, index):
    ids = [o.id for o in same_picture(source, index)]
    return ids.index(source.record(index).id)


def test_the_archive_passes_every_check(mannequin_archives):
    report = verify_archive(mannequin_archives / "mannequin", "semantic")
    assert report.ok, report


def test_marks_lie_where_the_sample_says(source):
    errors = []
    for index, sample in enumerate(source):
        found = find_marks(
            sample.image, source.skeleton, near=everybody(source, index, sample.camera)
        )
        found = found[own_place(source, index)]
        seen = np.isfinite(found).all(axis=-1) & sample.in_view
        errors += list(np.linalg.norm(found - sample.joints2d, axis=-1)[seen])
    assert len(errors) > 3 * len(source)
    assert np.mean(errors) < 0.5


def test_the_samples_own_camera_projects_3d_onto_2d(source):
    for sample in source:
        assert isinstance(sample, Sample3D)
        known = sample.known3d
        assert known.all()
        projected = sample.camera.project_camera(sample.joints3d[known])
        np.testing.assert_allclose(projected, sample.joints2d[known], atol=1e-3)


def test_every_field_has_its_documented_shape_and_type(source):
    sample, joints = source[0], len(source.skeleton)
    assert sample.image.shape == (256, 256, 3)
    assert sample.image.dtype == np.uint8
    for name, shape, dtype in (
        ("joints2d", (joints, 2), np.float32),
        ("joints3d", (joints, 3), np.float32),
        ("known", (joints,), np.bool_),
        ("known3d", (joints,), np.bool_),
        ("in_view", (joints,), np.bool_),
        ("visible", (joints,), np.int8),
        ("box", (4,), np.float32),
    ):
        value = getattr(sample, name)
        assert value.shape == shape, name
        assert value.dtype == dtype, name
    assert sample.has_camera
    assert sample.source == "mannequin"
    record = source.archive.record(sample.row)
    assert record.id == sample.id
    assert record.raw["file"].startswith("takes/")


def test_world_coordinates_come_back(source):
    for index in range(len(source)):
        sample, record = source[index], source.record(index)
        world = sample.joints3d @ sample.camera.R + sample.camera.t
        np.testing.assert_allclose(world, record.joints3d, atol=0.01)


def test_another_skeleton_masks_what_it_does_not_know(mannequin_archives):
    source = Mannequin(mannequin_archives, split="train", skeleton="coco_17")
    sample = source[0]
    skeleton = source.skeleton
    assert sample.joints3d.shape == (17, 3)
    for unknown in ("lear", "rear", "leye", "reye"):
        joint = skeleton.index(unknown)
        assert not sample.known[joint]
        assert not sample.known3d[joint]
        assert (sample.joints3d[joint] == 0).all()
        assert sample.visible[joint] == -1
    native = Mannequin(mannequin_archives, split="train")[0]
    for joint in ("lwri", "rank"):
        there, here = source.native.index(joint), skeleton.index(joint)
        np.testing.assert_array_equal(sample.joints3d[here], native.joints3d[there])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_plain_dataloader_gives_the_same_samples_with_workers(mannequin_archives, start):
    source = Mannequin(mannequin_archives, split="train", recipe=evaluation(side=64))
    context = multiprocessing.get_context(start)
    alone = list(DataLoader(source, batch_size=3, collate_fn=collate))
    shared = list(
        DataLoader(
            source,
            batch_size=3,
            collate_fn=collate,
            num_workers=2,
            multiprocessing_context=context,
        )
    )
    assert len(alone) == len(shared) > 1
    for one, other in zip(alone, shared, strict=True):
        assert one.id == other.id
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.joints3d, other.joints3d)


def test_a_source_can_be_pickled_and_negative_indices_count_from_the_end(source):
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[-1].image, source[len(source) - 1].image)
    with pytest.raises(IndexError):
        source[len(source)]


def test_wrong_splits_and_foreign_archives_are_named(mannequin_archives):
    with pytest.raises(UnknownNameError, match="tran"):
        Mannequin(mannequin_archives, split="tran")

    class Other(Mannequin):
        card = Mannequin.card.__class__(**{**_fields(Mannequin.card), "name": "other"})

    with pytest.raises(ArchiveError, match="holds 'mannequin', not 'other'"):
        Other(mannequin_archives / "mannequin")


def _fields(card):
    return {name: getattr(card, name) for name in card.__dataclass_fields__}


def test_splits_share_no_subject(mannequin_archives):
    archive = open_archive(mannequin_archives / "mannequin")
    subjects = {
        split: {archive.record(int(row)).subject for row in archive.rows(split=split)}
        for split in SPLITS
    }
    assert not subjects["train"] & subjects["test"]
    assert not subjects["train"] & subjects["val"]
