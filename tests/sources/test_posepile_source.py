"""PosePile archives as Datasets: what is drawn is where the labels say."""

import pickle

import numpy as np
import pytest
import torch
from raw import posepile as toys

from posepile_torch import collate, skeletons
from posepile_torch.archive.importing import import_archive
from posepile_torch.errors import ArchiveError, SkeletonError
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources import Mannequin, PosePile2D, PosePile3D

COUNT = 12


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return toys.write_legacy(tmp_path_factory.mktemp("legacy3d"), COUNT)


@pytest.fixture(scope="module")
def path2d(tmp_path_factory):
    return toys.write_legacy(tmp_path_factory.mktemp("legacy2d"), COUNT, toys.fields_2d)


@pytest.fixture(scope="module")
def imported(path, tmp_path_factory):
    return import_archive(path, tmp_path_factory.mktemp("archives"), "toy").path


def dot_offsets(sample):
    """Distance from every joint in view to the middle of the dot that is drawn there, px."""
    image = sample.image.astype(float).mean(axis=-1)
    radius = 5
    offsets = []
    for (x, y), in_view in zip(sample.joints2d, sample.in_view, strict=True):
        column, row = round(float(x)), round(float(y))
        if not in_view or min(column, row) < radius or max(column, row) > 255 - radius:
            continue
        rows = slice(row - radius, row + radius + 1)
        columns = slice(column - radius, column + radius + 1)
        light = np.maximum(image[rows, columns] - 60, 0)
        assert light.max() > 100, "no dot near the joint"
        grid_y, grid_x = np.mgrid[rows, columns]
        middle = np.array([(light * grid_x).sum(), (light * grid_y).sum()]) / light.sum()
        offsets.append(np.linalg.norm(middle - (x, y)))
    return offsets


@pytest.mark.parametrize("given", ["path", "imported"])
def test_joints_lie_on_their_dots(given, request):
    offsets = []
    for split in ("train", "val", "test"):
        source = PosePile3D(request.getfixturevalue(given), split=split)
        for sample in source:
            offsets += dot_offsets(sample)
            assert sample.has_camera
            assert sample.known3d.tolist() == sample.known.tolist()
            projected = sample.camera.project_camera(sample.joints3d[sample.known3d])
            np.testing.assert_allclose(projected, sample.joints2d[sample.known3d], atol=1e-3)
    assert len(offsets) > COUNT * 4
    assert max(offsets) < 0.75
    assert np.mean(offsets) < 0.3


def test_2d_joints_lie_on_their_dots(path2d):
    source = PosePile2D(path2d)
    offsets = [offset for sample in source for offset in dot_offsets(sample)]
    assert len(offsets) > 20
    assert max(offsets) < 0.75
    assert not any(sample.has_camera for sample in source)


def test_native_skeleton_comes_from_the_archive(path):
    source = PosePile3D(path)
    assert source.native.joints == tuple(toys.JOINTS)
    assert source.skeleton is source.native
    mapped = PosePile3D(path, skeleton="h36m_17")
    assert mapped.skeleton == skeletons.get("h36m_17")
    sample = mapped[0]
    assert sample.known.shape == (17,)
    named = dict(zip(mapped.skeleton.joints, sample.known, strict=True))
    assert named["lsho"]
    assert not named["lkne"]


def test_a_better_known_skeleton_may_be_given(path):
    known = Skeleton.parse("known", " ".join(toys.JOINTS), convention="h36m")
    assert PosePile3D(path, native=known).native == known
    with pytest.raises(SkeletonError, match="its order"):
        PosePile3D(path, native="coco_17")


def test_images_may_lie_elsewhere(tmp_path):
    path = toys.write_legacy(tmp_path / "annotations", 2, with_images=False)
    for i in range(2):
        file = tmp_path / "images" / toys.image_path(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(toys.picture(i))
    source = PosePile3D(path, images=tmp_path / "images")
    assert max(dot_offsets(source[1])) < 0.75


def test_goes_through_pickle_and_a_loader(path):
    source = pickle.loads(pickle.dumps(PosePile3D(path)))
    assert source.native.joints == tuple(toys.JOINTS)
    loader = torch.utils.data.DataLoader(
        source, batch_size=3, collate_fn=collate, num_workers=1, multiprocessing_context="fork"
    )
    batches = list(loader)
    assert [len(batch) for batch in batches] == [3, 3]
    for row, index in enumerate(torch.cat([batch.row for batch in batches]).tolist()):
        assert index == row
    assert batches[0].joints3d.shape == (3, 7, 3)


def test_archives_of_other_sources_are_refused(path, tmp_path):
    with pytest.raises(ArchiveError, match="posepile"):
        Mannequin(path)
    from posepile_torch.archive import ArchiveHeader, ArchiveWriter

    header = ArchiveHeader(source="other", skeleton=Skeleton.parse("x", "a"))
    with ArchiveWriter(tmp_path, "x", header=header) as writer:
        archive = writer.publish(allow_empty=True)
    with pytest.raises(ArchiveError, match="'other'"):
        PosePile3D(archive)
