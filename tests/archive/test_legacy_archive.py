"""PosePile archives (schema 0), written by BareCat and msgpack-numpy and read by the library."""

import itertools
import multiprocessing
import os
import pickle
import shutil
import sqlite3
import threading
import tracemalloc
import zlib
from pathlib import Path

import crc32c
import msgpack
import msgpack_numpy
import numpy as np
import pytest
from PIL import Image
from raw import posepile as toys

from posepile_torch import skeletons
from posepile_torch.archive import Archive, legacy_index, open_archive
from posepile_torch.archive.containers import write_container_index
from posepile_torch.archive.layout import INDEX_DTYPE
from posepile_torch.archive.legacy import LegacyArchive
from posepile_torch.archive.legacy_index import FOREIGN_KEY
from posepile_torch.archive.legacy_skeleton import skeleton_of
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveError,
    ArchiveIncompleteError,
    ArchiveNotFoundError,
    JointCountError,
    ManifestError,
    RecordError,
    SchemaVersionError,
    SkeletonError,
    UnknownNameError,
)
from posepile_torch.images import decode_jpeg
from posepile_torch.lenses import Lens
from posepile_torch.record import validate_record
from posepile_torch.skeleton import Skeleton

COUNT = 12


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return toys.write_legacy(tmp_path_factory.mktemp("legacy"), COUNT)


@pytest.fixture
def path(pristine, scratch):
    """A copy that a test may damage."""
    folder = scratch / "copy"
    shutil.copytree(pristine.parent, folder)
    return folder / pristine.name


@pytest.fixture
def archive(pristine):
    with open_archive(pristine) as opened:
        yield opened


def number_of(record):
    return int(record.image_key[-10:-4])


def open_with(scratch, **fields):
    """An archive of one record with other fields."""
    path = toys.write_legacy(scratch / "one", 1, lambda i: toys.fields_3d(i, **fields))
    return open_archive(path)


# ---- what is stored comes back ----


def test_records_come_back_as_posepile_stored_them(archive):
    assert isinstance(archive, LegacyArchive)
    assert len(archive) == COUNT
    seen = set()
    for row in range(len(archive)):
        record = archive.record(row)
        i = number_of(record)
        seen.add(i)
        assert record.id == f"{toys.image_path(i)}_00"
        assert record.key == toys.key_of(i)
        assert record.split == toys.split_of(i)
        assert record.image_size == (toys.WIDTH, toys.HEIGHT)
        np.testing.assert_array_equal(record.box, toys.box_of(toys.project(toys.world(i))))
        known = np.isfinite(record.joints3d).all(axis=1)
        assert known.tolist() == [i % 3 != 1 or j not in (1, 4) for j in range(len(toys.JOINTS))]
        # float16 is exact to 1 mm here
        assert np.abs(record.joints3d - toys.world(i))[known].max() < 1
        np.testing.assert_array_equal(record.scene_mask.to_array(), toys.mask_array(i))
        np.testing.assert_array_equal(archive.image_bytes(row), toys.picture(i))
        validate_record(record, archive.skeleton)
    assert seen == set(range(COUNT))


def test_camera_projects_like_opencv(archive):
    for row in range(len(archive)):
        record = archive.record(row)
        points = toys.world(number_of(record))
        np.testing.assert_allclose(record.camera.project(points), toys.project(points), atol=1e-4)
        np.testing.assert_array_equal(record.camera.t, toys.LOCATION)
        np.testing.assert_array_equal(record.camera.world_up, [0, 0, 1])
        assert record.camera.size == record.image_size


def test_rows_are_grouped_by_split(archive):
    assert dict(archive.manifest.totals.splits) == {"train": 6, "val": 3, "test": 3}
    for split in ("train", "val", "test"):
        rows = archive.rows(split=split)
        assert {archive.record(row).split for row in rows} == {split}
        places = archive.index[rows][["annotation_shard", "annotation_offset"]].tolist()
        assert places == sorted(places)
    with pytest.raises(UnknownNameError, match="split"):
        archive.rows(split="valid")


def test_interface_is_that_of_an_archive(archive):
    assert isinstance(archive, Archive)
    assert archive.index.dtype == INDEX_DTYPE
    assert archive.vocabulary("subject") == ()
    assert (archive.index["subject"] == -1).all()
    assert (archive.index["frame"] == -1).all()
    assert archive.manifest.schema_version == (0, 0)
    assert archive.manifest.source == "posepile"
    assert archive.manifest.totals.images == COUNT
    assert archive.fingerprint == archive.manifest.fingerprint
    assert "12" in repr(archive)
    for row in (0, 5, COUNT - 1):
        record = archive.record(row)
        assert archive.find(record.split, record.id) == row
        data = msgpack_numpy.unpackb(archive.record_bytes(row))
        assert data["impath"] == record.image_key
    with pytest.raises(UnknownNameError, match="no record"):
        archive.find("train", "nothing_00")
    with pytest.raises(IndexError):
        archive.record(COUNT)


def test_decoded_arrays_are_writable_and_of_fixed_types(archive):
    record = archive.record(0)
    for array in (record.joints3d, record.box):
        assert array.dtype == np.float64
        array += 1


def test_2d_records(scratch):
    def fields(i):
        more = {} if i % 2 else {"cam": toys.camera_fields()}
        points = np.array([[10.5, 20.25], [30, 40]], np.float32)
        dense = {
            "imcoords": points,
            "i_faces": np.array([5, 13775], np.uint16),
            "barycoords": np.array([[0.5, 0.25, 0.25], [1, 0, 0]], np.float16),
        }
        return toys.fields_2d(i, densepose=dense, **more)

    with open_archive(toys.write_legacy(scratch, 6, fields)) as archive:
        for row in range(6):
            record = archive.record(row)
            i = number_of(record)
            assert record.joints3d is None
            assert (record.camera is None) == bool(i % 2)
            expected = toys.project(toys.world(i)).astype(np.float32).astype(float)
            known = np.isfinite(record.joints2d).all(axis=1)
            np.testing.assert_array_equal(record.joints2d[known], expected[known])
            assert record.densepose.faces.tolist() == [5, 13775]
            assert record.densepose.barycentrics.tolist() == [[0.5, 0.25, 0.25], [1, 0, 0]]
            assert record.densepose.points.tolist() == [[10.5, 20.25], [30, 40]]
            validate_record(record, archive.skeleton)


def test_body_parameters(scratch):
    given = toys.parameters(kid_factor=np.float32(0.25), scale=1.5, expression=np.ones(10))
    with open_with(scratch, parameters=given) as archive:
        body = archive.record(0).body
    assert (body.model, body.gender, body.kid_factor, body.scale) == ("smplx", "male", 0.25, 1.5)
    np.testing.assert_array_equal(body.pose, given["pose"].ravel())
    np.testing.assert_array_equal(body.betas, given["shape"])
    np.testing.assert_array_equal(body.translation, given["trans"])
    np.testing.assert_array_equal(body.expression, np.ones(10))


def test_body_translations_in_millimetres_are_converted_on_request(scratch):
    given = toys.parameters(trans=np.array([100.0, 0, 4000]))
    path = toys.write_legacy(scratch, 1, lambda i: toys.fields_3d(i, parameters=given))
    with LegacyArchive(path, body_unit_m=0.001) as archive:
        np.testing.assert_allclose(archive.record(0).body.translation, [0.1, 0, 4])


def test_unknown_body_models_and_genders_are_refused(scratch):
    for i, wrong in enumerate(({"type": "skel"}, {"gender": "x"}, {"trans": None})):
        with (
            open_with(scratch / str(i), parameters=toys.parameters(**wrong)) as archive,
            pytest.raises(RecordError, match="parameters"),
        ):
            archive.record(0)


# ---- the empty list of joint numbers ----


def test_empty_joint_numbers_mean_all_or_none_by_the_count_of_rows(scratch):
    empty = np.zeros(0, np.uint16)
    coords = toys.POSE.astype(np.float32)
    cases = {"all": coords, "none": coords[:0], "wrong": coords[:3]}
    results = {}
    for name, rows in cases.items():
        with open_with(scratch / name, joints3d={"rows": rows, "i_rows": empty}) as archive:
            if name == "wrong":
                with pytest.raises(JointCountError, match="expected 7 joints, got 3"):
                    archive.record(0)
            else:
                results[name] = archive.record(0).joints3d
    np.testing.assert_array_equal(results["all"], coords)
    assert np.isnan(results["none"]).all()
    assert results["none"].shape == coords.shape


def test_joint_numbers_may_be_in_any_order(scratch):
    """PosePile's own merging tool writes them unsorted."""
    rows = toys.POSE[[4, 0, 2]].astype(np.float32)
    ids = np.array([4, 0, 2], np.uint16)
    with open_with(scratch, joints3d={"rows": rows, "i_rows": ids}) as archive:
        joints = archive.record(0).joints3d
    np.testing.assert_array_equal(joints[[0, 2, 4]], toys.POSE[[0, 2, 4]])
    assert np.isnan(joints[[1, 3, 5, 6]]).all()


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (toys.POSE[:2], [0, 0]),
        (toys.POSE[:2], [0, 7]),
        (toys.POSE[:2], [0]),
        (np.array([[np.inf, 0, 0]]), [1]),
    ],
)
def test_contradicting_joint_numbers_are_refused(scratch, rows, ids):
    stored = {"rows": rows.astype(np.float32), "i_rows": np.array(ids, np.uint16)}
    with (
        open_with(scratch, joints3d=stored) as archive,
        pytest.raises(RecordError, match="joints3d"),
    ):
        archive.record(0)


def test_archives_without_joints_open(scratch):
    """Body-model sources such as BEDLAM have an empty skeleton."""
    path = toys.write_legacy(
        scratch,
        2,
        lambda i: (
            {k: v for k, v in toys.fields_3d(i).items() if k != "joints3d"}
            | {"parameters": toys.parameters()}
        ),
        meta=toys.metadata([], []),
    )
    with open_archive(path) as archive:
        assert len(archive.skeleton) == 0
        assert archive.record(1).joints3d is None
        assert archive.record(1).body is not None


# ---- lenses ----


@pytest.mark.parametrize(
    ("coefficients", "model", "padded"),
    [
        ([0.05, -0.02, 0.01, 0.003], "kannala-brandt", [0.05, -0.02, 0.01, 0.003]),
        ([0.1, 0.02, 0.001, 0.002, 0.01], "brown-conrady", [0.1, 0.02, 0.001, 0.002, 0.01]),
        ([0.1, 0.02], "brown-conrady", [0.1, 0.02, 0, 0, 0]),
        ([0.1] + [0.0] * 5, "brown-conrady", [0.1] + [0.0] * 7),
        ([0.1] + [0.0] * 10, "brown-conrady", [0.1] + [0.0] * 11),
        ([0.0] * 5, "none", []),
    ],
)
def test_lens_follows_from_the_number_of_coefficients(scratch, coefficients, model, padded):
    """Four are a fisheye, every other number is Brown-Conrady, as in cameralib."""
    camera = toys.camera_fields(distcoef=np.array(coefficients))
    with open_with(scratch, cam=camera) as archive:
        read = archive.record(0).camera
    assert read.lens == Lens(model, tuple(padded))
    if len(coefficients) in (4, 5):
        points = toys.world(0)
        expected = toys.project(points, np.array(coefficients))
        np.testing.assert_allclose(read.project(points), expected, atol=1e-3)


def test_too_many_coefficients_are_refused(scratch):
    camera = toys.camera_fields(distcoef=np.full(15, 0.1))
    with open_with(scratch, cam=camera) as archive, pytest.raises(RecordError, match="15 coef"):
        archive.record(0)


# ---- skeleton ----


def test_mirror_map_is_made_once_and_reported(archive):
    skeleton = archive.skeleton
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    mirrored = {joint: skeleton.joints[skeleton.mirror[i]] for joint, i in index.items()}
    assert mirrored == {
        "pelv": "pelv", "rhip": "lhip", "lhip": "rhip", "neck": "neck",
        "lsho": "rsho", "rsho": "lsho", "root": "root",
    }  # fmt: skip
    assert any("root" in note for note in archive.notes)
    assert skeleton.edges == tuple(toys.EDGES)
    assert skeleton.groups["left"] == (index["lhip"], index["lsho"])


def test_suffixed_joints_are_landmarks_of_their_convention():
    joints = ["rhip_h36m", "lhip_h36m", "nose_coco", "lumbar_own"]
    made = skeleton_of(joints, [(0, 1)], name="mix", where=None).skeleton
    assert made.landmarks == ("h36m:rhip", "h36m:lhip", "coco:nose", "mix:lumbar_own")
    assert made.mirror == (1, 0, 2, 3)


def test_repeated_edges_and_loops_are_dropped_and_reported():
    made = skeleton_of(["a", "b", "c"], [(0, 1), (1, 0), (1, 2), (2, 2)], name="x", where=None)
    assert made.skeleton.edges == ((0, 1), (1, 2))
    assert made.edge_order == (0, 2)
    assert any("2 repeated" in note for note in made.notes)
    with pytest.raises(SkeletonError, match="a joint that is not among 1"):
        skeleton_of(["a"], [(0, 1)], name="x", where=None)


def test_bone_lengths_follow_the_kept_edges(scratch):
    meta = toys.metadata(
        edges=[(0, 1), (1, 0), (0, 2), (0, 3)],
        train_bone_lengths=np.array([130.5, 130.5, 0, np.nan], np.float32),
    )
    with open_archive(toys.write_legacy(scratch, 2, meta=meta)) as archive:
        bones = archive.manifest.mean_bone_lengths_mm
    assert bones["train"] == (130.5, None, None)
    assert bones["trainval"] == (None, None, None)


def test_a_better_known_skeleton_must_have_the_same_joints(pristine):
    given = Skeleton.parse("known", " ".join(toys.JOINTS), sided="", convention="h36m")
    with LegacyArchive(pristine, skeleton=given) as archive:
        assert archive.skeleton == given
    with pytest.raises(SkeletonError, match="its order"):
        LegacyArchive(pristine, skeleton=skeletons.get("coco_17"))


# ---- finding the files ----


def test_path_may_be_the_folder(path):
    with open_archive(path.parent) as archive:
        assert archive.image_bytes(0) == toys.picture(0)


def test_a_folder_with_two_annotation_containers_is_ambiguous(path):
    toys.write_legacy(path.parent, 1, name="other.barecat", with_images=False)
    with pytest.raises(ArchiveNotFoundError, match=r"other\.barecat, toy\.barecat"):
        open_archive(path.parent)
    with open_archive(path) as archive:
        assert len(archive) == COUNT


def test_a_folder_without_any_archive_says_so(scratch):
    with pytest.raises(ArchiveNotFoundError, match="0 annotation containers"):
        open_archive(scratch)


def test_an_image_container_is_not_taken_for_annotations(path):
    with pytest.raises(ArchiveNotFoundError, match=r"metadata\.msgpack"):
        open_archive(path.with_name("images.barecat"))


def test_images_elsewhere_by_container_or_folder(path, scratch):
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir()
    for file in path.parent.glob("images.barecat*"):
        shutil.move(file, elsewhere)
    for given in (elsewhere / "images.barecat", elsewhere):
        with LegacyArchive(path, images=given) as archive:
            assert archive.image_bytes(0) == toys.picture(0)
    with pytest.raises(ArchiveNotFoundError, match="no images there"):
        LegacyArchive(path, images=scratch / "nowhere")


def test_missing_images_fall_back_to_loose_files(scratch):
    path = toys.write_legacy(scratch / "ann", 3, with_images=False)
    root = scratch / "loose"
    for i in (0, 1):
        file = root / toys.image_path(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(toys.picture(i))
    toys.write_container(scratch / "im.barecat", [(toys.image_path(2), toys.picture(2))])
    with LegacyArchive(path, images=scratch / "im.barecat", image_root=root) as archive:
        for row in range(3):
            i = number_of(archive.record(row))
            assert archive.image_bytes(row) == toys.picture(i)
    with LegacyArchive(path, images=root) as archive:
        row = archive.find("val", f"{toys.image_path(2)}_00")
        with pytest.raises(ArchiveIncompleteError, match=r"000002\.jpg"):
            archive.image_bytes(row)
        assert archive.record(row).image_size == (toys.WIDTH, toys.HEIGHT)  # from the mask
    with LegacyArchive(path) as archive:  # no images at all
        assert archive.record(0).image_size == (toys.WIDTH, toys.HEIGHT)
        with pytest.raises(ArchiveIncompleteError, match="images="):
            archive.image_bytes(0)


def test_without_mask_and_image_the_size_is_not_made_up(scratch):
    def fields(i):
        return {key: value for key, value in toys.fields_3d(i).items() if key != "mask"}

    path = toys.write_legacy(scratch, 1, fields, with_images=False)
    with open_archive(path) as archive, pytest.raises(ArchiveIncompleteError, match="missing"):
        archive.record(0)


def test_other_image_formats_come_out_as_jpeg(scratch):
    path = toys.write_legacy(scratch, 1, with_images=False)
    file = scratch / toys.image_path(0)
    file.parent.mkdir(parents=True)
    pixels = toys.dots(toys.project(toys.world(0)))
    Image.fromarray(pixels).save(file, format="PNG")
    with open_archive(path) as archive:
        assert archive.stored_image_bytes(0) == file.read_bytes()
        decoded = decode_jpeg(archive.image_bytes(0))
        assert np.abs(decoded.astype(int) - pixels).mean() < 2
        assert archive.record(0).image_size == (toys.WIDTH, toys.HEIGHT)


def test_a_mask_of_another_size_than_the_image_is_refused(scratch):
    mask = {"size": [10, 12], "zcounts": zlib.compress(b"h3")}  # 120 background pixels
    with open_with(scratch, mask=mask) as archive, pytest.raises(RecordError, match="the image"):
        archive.record(0)


# ---- old versions of BareCat ----


@pytest.mark.parametrize("checksum", ["crc32c", "crc32"])
def test_old_indexes_are_read(path, checksum):
    with open_archive(path) as archive:
        expected = [archive.record(row).id for row in range(COUNT)]
    for container in (path, path.with_name("images.barecat")):
        toys.rewrite_as_old(container, checksum)
    old_index = path.with_name(path.name + "-sqlite-index")
    for given in (path, old_index, path.parent):
        with open_archive(given) as archive:
            assert [archive.record(row).id for row in range(COUNT)] == expected
            assert archive.image_bytes(0) == toys.picture(0)
    shard = path.with_name("images.barecat-shard-00000")
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with open_archive(path) as archive, pytest.raises(ArchiveCorruptError, match="mismatch"):
        archive.image_bytes(0)


def test_an_unknown_index_is_refused(path):
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE files (path TEXT, somewhere INTEGER)")
    database.close()
    with pytest.raises(SchemaVersionError, match="barecat upgrade"):
        open_archive(path)


def test_a_view_cannot_stand_in_for_the_index(path):
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE files RENAME TO hidden")
        database.execute("CREATE VIEW files AS SELECT * FROM hidden")
    database.close()
    with pytest.raises(SchemaVersionError):
        open_archive(path)


# ---- hostile and damaged ----


def change_index(path, statement, *values):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE config SET value_int = 0 WHERE key = 'use_triggers'")
        database.execute(statement, values)
    database.close()


@pytest.mark.parametrize(
    "key", ["../evil_00.msgpack", "train/../../evil_00.msgpack", "/etc/passwd", "a//b", "a\\b"]
)
def test_keys_that_lead_out_are_refused(path, key):
    change_index(path, "UPDATE files SET path = ? WHERE path = ?", key, toys.key_of(3))
    with pytest.raises(ArchiveCorruptError, match="unusable key"):
        open_archive(path)


def test_keys_of_another_form_are_listed_not_lost(path):
    change_index(path, "UPDATE files SET path = 'train/notes.txt' WHERE path = ?", toys.key_of(4))
    with open_archive(path) as archive:
        assert len(archive) == COUNT - 1
        skipped = archive.manifest.skipped[FOREIGN_KEY]
        assert (skipped.count, skipped.items) == (1, ("train/notes.txt",))
        assert dict(archive.manifest.totals.splits) == {"train": 5, "val": 3, "test": 3}
        for row in range(len(archive)):
            record = archive.record(row)
            assert record.key == toys.key_of(number_of(record))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("offset", -1),
        ("offset", 10**9),
        ("offset", 2**63 - 1),
        ("size", 10**7),
        ("size", -5),
        ("size", "twelve"),
        ("shard", -1),
        ("shard", 1.5),
        ("crc32c", None),
        ("crc32c", 2**40),
    ],
)
def test_addresses_that_cannot_be_are_refused(path, column, value):
    change_index(path, f"UPDATE files SET {column} = ? WHERE path = ?", value, toys.key_of(2))
    with pytest.raises(ArchiveCorruptError, match="index is damaged") as caught:
        open_archive(path)
    assert caught.value.key == toys.key_of(2)


def test_overlapping_records_are_refused(path):
    change_index(
        path,
        "UPDATE files SET (shard, offset, size, crc32c) = "
        "(SELECT shard, offset, size, crc32c FROM files WHERE path = ?) WHERE path = ?",
        toys.key_of(0),
        toys.key_of(1),
    )
    with pytest.raises(ArchiveCorruptError, match="overlap"):
        open_archive(path)


def test_a_missing_shard_is_named(path):
    shard = sorted(path.parent.glob("images.barecat-shard-*"))[0]
    shard.unlink()
    with pytest.raises(ArchiveIncompleteError, match=shard.name):
        open_archive(path)
    for other in path.parent.glob("toy.barecat-shard-*"):
        other.unlink()
    with pytest.raises(ArchiveIncompleteError, match=r"toy\.barecat-shard-00000"):
        open_archive(path)


def test_an_unfinished_container_is_refused(path):
    path.with_name("toy.barecat-journal").write_bytes(b"hot")
    with pytest.raises(ArchiveIncompleteError, match="journal"):
        open_archive(path)


def test_flipped_bytes_are_found_and_named(path):
    shard = path.with_name("toy.barecat-shard-00000")
    data = bytearray(shard.read_bytes())
    with open_archive(path) as archive:
        entry = archive.index[0]
    data[int(entry["annotation_offset"]) + 5] ^= 0x10
    shard.write_bytes(data)
    with open_archive(path) as archive, pytest.raises(ArchiveCorruptError) as caught:
        archive.record(0)
    assert caught.value.key == toys.key_of(0)


def test_a_record_under_the_key_of_another_image_is_refused(path):
    change_index(
        path,
        "UPDATE files SET path = ? WHERE path = ?",
        toys.key_of(0).replace("000000.jpg", "000001.jpg"),
        toys.key_of(0),
    )
    with open_archive(path) as archive, pytest.raises(RecordError, match="under the key of"):
        archive.record(0)


def test_object_arrays_are_refused_and_never_unpickled(scratch):
    canary = scratch / "canary"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (canary,)

    evil = {
        b"nd": True,
        b"type": "|O",
        b"kind": b"O",
        b"shape": [1],
        b"data": pickle.dumps(Bomb()),
    }
    cases = {
        "bbox": evil,
        "joints3d": {"rows": evil, "i_rows": np.zeros(0, np.uint16)},
        "cam": toys.camera_fields(loc=evil),
        "parameters": toys.parameters(pose=evil),
    }
    for name, value in cases.items():
        with open_with(scratch / name, **{name: value}) as archive, pytest.raises(RecordError):
            archive.record(0)
    entries = [("metadata.msgpack", msgpack.packb({"joint_names": evil, "joint_edges": []}))]
    toys.write_container(scratch / "meta.barecat", entries)
    with pytest.raises(RecordError, match="joint_names"):
        open_archive(scratch / "meta.barecat")
    assert not canary.exists()


@pytest.mark.parametrize(
    "value",
    [b"", b"\xc1", b"\x93\x01\x02\x03", msgpack.packb({"impath": "../../etc/passwd"})],
)
def test_values_that_are_no_record(scratch, value):
    entries = [
        ("metadata.msgpack", msgpack_numpy.packb(toys.metadata())),
        (toys.key_of(0), value),
    ]
    toys.write_container(scratch / "toy.barecat", entries)
    with open_archive(scratch / "toy.barecat") as archive, pytest.raises(RecordError):
        archive.record(0)


def test_flipped_bytes_in_the_index_never_crash(path, scratch):
    """Every damage is a deliberate error, or the records are those that were written."""
    rng = np.random.default_rng(0)
    original = path.read_bytes()
    good = [f"{toys.image_path(i)}_00" for i in range(COUNT)]
    refused = 0
    for _ in range(60):
        data = bytearray(original)
        for at in rng.integers(0, len(data), 3):
            data[at] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        try:
            with open_archive(path) as archive:
                found = [archive.record(row).id for row in range(len(archive))]
        except (ArchiveError, RecordError, SkeletonError):
            refused += 1
        else:
            assert set(found) <= set(good)
    assert refused > 5


# ---- processes, threads, read-only folders ----


def _read_all(archive, queue):
    queue.put([archive.record(row).id for row in range(len(archive))])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_readable_in_other_processes(archive, method):
    archive.record(0)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    worker = context.Process(target=_read_all, args=(archive, queue))
    worker.start()
    found = queue.get(timeout=60)
    worker.join()
    assert found == [archive.record(row).id for row in range(COUNT)]


def test_threads_share_an_archive(archive):
    wrong = []

    def read():
        for row in np.random.default_rng(0).permutation(COUNT):
            record = archive.record(int(row))
            if archive.image_bytes(int(row)) != toys.picture(number_of(record)):
                wrong.append(row)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_unpickling_refuses_a_changed_archive(path):
    with LegacyArchive(path, body_unit_m=0.5) as archive:
        data = pickle.dumps(archive)
        with pickle.loads(data) as again:
            assert again.fingerprint == archive.fingerprint
            assert len(data) < 2000
    change_index(path, "DELETE FROM files WHERE path = ?", toys.key_of(5))
    with pytest.raises(ManifestError, match="changed in place"):
        pickle.loads(data)


def test_nothing_is_written_beside_the_archive(path):
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with open_archive(path) as archive:
            for row in range(COUNT):
                archive.record(row)
                archive.image_bytes(row)
        assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    finally:
        path.parent.chmod(0o755)


def test_memory_grows_by_arrays_and_not_by_objects(scratch, monkeypatch):
    """A key alone would take 110 bytes as a Python text; a row takes 80, and sorting some more."""
    monkeypatch.setattr(legacy_index, "_ROWS_PER_BLOCK", 500)
    data = msgpack_numpy.packb(toys.metadata())
    peaks = []
    for count in (2_000, 12_000):
        path = scratch / f"{count}.barecat"
        keys = (f"train/images/sequence_{i // 100:05d}/{i:09d}.jpg" for i in range(count))
        entries = ((f"{key}_00.msgpack", 0, 100 * i + 200, 100, i) for i, key in enumerate(keys))
        first = ("metadata.msgpack", 0, 0, len(data), crc32c.crc32c(data))
        write_container_index(path, itertools.chain([first], entries), 2**30)
        with Path(f"{path}-shard-00000").open("wb") as shard:
            shard.write(data)
            shard.truncate(100 * count + 200)
        tracemalloc.start()
        with LegacyArchive(path) as archive:
            assert len(archive) == count
            assert archive.index.nbytes + archive._names.nbytes == 80 * count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 10_000 < 180


def test_closed_archives_cannot_be_read(pristine):
    archive = open_archive(pristine)
    archive.record(0)
    archive.close()
    archive.close()
    with pytest.raises(ArchiveError, match="closed"):
        archive.record(0)
    assert os.path.exists(pristine)  # noqa: PTH110
