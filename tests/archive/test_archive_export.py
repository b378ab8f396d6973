"""Archives in the formats of others, and back again."""

import dataclasses
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import archive_toys
import barecat
import cv2
import h5py
import msgpack_numpy
import numpy as np
import pytest
import rlemasklib
from raw import posepile as legacy_toys

from posepile_torch.archive import (
    ArchiveHeader,
    ArchiveWriter,
    export_files,
    exported,
    open_archive,
)
from posepile_torch.archive.export import export_archive
from posepile_torch.archive.exported import ExportedRecords
from posepile_torch.archive.importing import (
    import_archive,
    import_records,
    open_importable,
    undistorted,
)
from posepile_torch.archive.layout import Flag
from posepile_torch.archive.legacy import LegacyArchive
from posepile_torch.archive.verify import verify_archive
from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveError,
    ArchiveNotFoundError,
    ConversionError,
    MissingDependencyError,
    UnknownNameError,
)
from posepile_torch.images import decode_jpeg
from posepile_torch.record import DensePosePoints, Record
from posepile_torch.skeleton import Skeleton

COUNT = 20


def rich_record(i):
    """A toy record that has whatever a record can have."""
    changes = {"joints3d_univ": archive_toys.record(i).joints3d * 0.9} if i % 4 == 1 else {}
    if i % 5 == 2:
        changes["densepose"] = DensePosePoints(
            points=[[1.5, 2.25], [3, 4]], faces=[7, 90000], barycentrics=[[0.5, 0.5, 0], [1, 0, 0]]
        )
    if i % 5 == 3:
        changes |= {"scene_mask": archive_toys.mask(i + 1)}
    if i % 6 == 5:
        changes |= {"camera": None, "joints3d": None, "subject": "Zoë Müller"}
    return archive_toys.record(i, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("archives")
    with archive_toys.open_writer(root) as writer:
        for i in range(COUNT):
            if i % 3 != 1:  # every third record shows another person in the image before it
                writer.add_image(rich_record(i).image_key, archive_toys.jpeg(i))
                shown = i
            key = rich_record(shown).image_key
            writer.add(rich_record(i).with_changes(image_key=key))
        return writer.publish()


@pytest.fixture
def archive(folder):
    with open_archive(folder) as opened:
        yield opened


def assert_same(a, b, *, tolerance=0.0):
    """Compare everything that schema 0 holds, or, without tolerance, simply everything."""
    names = ["box", "joints3d", "joints2d"]
    exact = ["split", "image_key", "image_size"]
    if not tolerance:
        names += ["joints3d_univ", "visible", "confidence"]
        exact += ["id", "subject", "sequence", "camera_name", "activity", "scene", "track"]
        exact += ["frame", "camera", "person_mask", "scene_mask"]
        assert dict(a.raw) == dict(b.raw)
    for name in exact:
        assert getattr(a, name) == getattr(b, name), name
    for name in names:
        assert (getattr(a, name) is None) == (getattr(b, name) is None), name
        if getattr(a, name) is not None:
            np.testing.assert_allclose(
                getattr(a, name), getattr(b, name), rtol=0, atol=tolerance, err_msg=name
            )
    for part in ("body", "densepose"):
        assert (getattr(a, part) is None) == (getattr(b, part) is None)
        if getattr(a, part) is not None:
            for name, value in vars(getattr(a, part)).items():
                other = getattr(getattr(b, part), name)
                assert (value is None) == (other is None)
                if value is not None:
                    np.testing.assert_array_equal(value, other)


# ---- schema 0 ----


def legacy_twin(archive, legacy, row):
    """The record of a legacy archive that came from a row."""
    record = archive.record(row)
    same = [r for r in range(row) if archive.record(r).image_key == record.image_key]
    same = [r for r in same if archive.record(r).split == record.split]
    return legacy.record(legacy.find(record.split, f"{record.image_key}_{len(same):02d}"))


def test_schema0_reads_back_equal(archive, scratch):
    report = export_archive(archive, scratch / "old", "schema0")
    assert (report.records, report.skipped) == (COUNT, {})
    with open_archive(report.path) as legacy:
        assert isinstance(legacy, LegacyArchive)
        assert len(legacy) == COUNT
        assert dict(legacy.manifest.totals.splits) == dict(archive.manifest.totals.splits)
        assert legacy.skeleton.joints == archive.skeleton.joints
        assert legacy.skeleton.edges == archive.skeleton.edges
        assert legacy.skeleton.mirror == archive.skeleton.mirror
        bones = archive.manifest.mean_bone_lengths_mm
        for split, lengths in legacy.manifest.mean_bone_lengths_mm.items():
            np.testing.assert_allclose(
                [np.nan if x is None else x for x in lengths],
                [np.nan if x is None else x for x in bones[split]],
                rtol=1e-6,
            )
        for row in range(COUNT):
            record, twin = archive.record(row), legacy_twin(archive, legacy, row)
            assert_same(record, twin, tolerance=1e-3)
            mask = record.scene_mask or record.person_mask
            assert twin.scene_mask == mask
            if record.camera is not None:
                for name in ("R", "t", "K", "world_up"):
                    expected = getattr(record.camera, name)
                    np.testing.assert_allclose(getattr(twin.camera, name), expected, atol=1e-12)
            image = legacy.image_bytes(legacy.find(twin.split, twin.id))
            assert image == archive.image_bytes(row)


def test_what_schema0_cannot_hold_is_counted(archive, scratch):
    report = export_archive(archive, scratch / "old", "schema0")
    records = [archive.record(row) for row in range(COUNT)]
    expected = {
        "joints3d_univ": sum(r.joints3d_univ is not None for r in records),
        "activity": sum(r.activity is not None for r in records),
        "person_mask": sum(r.scene_mask is not None for r in records),
        "person_mask (kept as the scene mask)": sum(r.scene_mask is None for r in records),
        **dict.fromkeys(
            ("visible", "confidence", "subject", "sequence", "camera_name", "scene", "track",
             "frame", "raw"), COUNT,
        ),
    }  # fmt: skip
    assert report.lost == expected
    errors = report.max_error
    assert 0 < errors["joints3d_mm"] < 1e-3
    assert errors["joints2d_px"] < 1e-4
    assert json.loads(json.dumps(report.to_dict()))["records"] == COUNT


def test_float16_follows_the_rule_of_posepile(archive, scratch):
    report = export_archive(archive, scratch / "old", "schema0", float16=True)
    types = set()
    with barecat.Barecat(str(report.path / "annotations.barecat")) as container:
        for key in container:
            if key != "metadata.msgpack":
                fields = msgpack_numpy.unpackb(container[key])
                assert fields["bbox"].dtype == np.int16
                if "joints3d" in fields:
                    types.add(fields["joints3d"]["rows"].dtype)
    assert np.dtype(np.float16) in types
    with open_archive(report.path) as legacy:
        for row in range(COUNT):
            record, twin = archive.record(row), legacy_twin(archive, legacy, row)
            assert_same(record.with_changes(box=np.round(record.box)), twin, tolerance=1.0)
    assert 1e-3 < report.max_error["joints3d_mm"] < 1
    assert 0 < report.max_error["box_px"] <= 0.5


def test_plain_barecat_lists_and_verifies_schema0(archive, scratch):
    report = export_archive(archive, scratch / "old", "schema0")
    expected = {
        "annotations.barecat": COUNT + 1,
        "images.barecat": archive.manifest.totals.images,
    }
    for name, count in expected.items():
        path = str(report.path / name)
        listed = barecat_command("list", "-R", path)
        lines = [line for line in listed.stdout.splitlines() if line.strip()]
        files = [line for line in lines if line.endswith((".msgpack", ".jpg"))]
        assert len(files) == count, listed.stdout
        barecat_command("verify", path)


def barecat_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "barecat", *arguments], capture_output=True, text=True, check=True
    )


def test_a_reader_written_for_posepile_reads_schema0(archive, scratch):
    """Decodes the fields in the way PosePile does, with its own packages."""
    report = export_archive(archive, scratch / "old", "schema0")
    containers = [
        barecat.Barecat(str(report.path / f"{name}.barecat")) for name in ("annotations", "images")
    ]
    annotations, images = containers
    metadata = msgpack_numpy.unpackb(annotations["metadata.msgpack"])
    count = len(metadata["joint_names"])
    assert metadata["joint_edges"] == [list(edge) for edge in archive.skeleton.edges]
    for row in range(COUNT):
        record = archive.record(row)
        keys = [k for k in annotations if k.startswith(f"{record.split}/{record.image_key}_")]
        stored = [msgpack_numpy.unpackb(annotations[key]) for key in keys]
        fields = min(stored, key=lambda f: np.abs(f["bbox"] - record.box).sum())
        assert images[fields["impath"]] == archive.image_bytes(row)
        if record.camera is not None:
            cam = fields["cam"]
            K = np.concatenate([cam["intr"], np.array([[0, 0, 1]])])
            R = cv2.Rodrigues(cam["rotvec_w2c"])[0]
            coords = np.full((count, 3), np.nan, np.float32)
            joints = fields["joints3d"]
            if len(joints["i_rows"]):
                coords[joints["i_rows"]] = joints["rows"]
            else:
                coords = joints["rows"]
            pixels = (coords - cam["loc"]) @ R.T @ K.T
            pixels = pixels[:, :2] / pixels[:, 2:]
            np.testing.assert_allclose(pixels, record.camera.project(record.joints3d), atol=1e-3)
        mask = rlemasklib.decompress(fields["mask"], only_gzip=True)
        expected = record.scene_mask or record.person_mask
        np.testing.assert_array_equal(rlemasklib.decode(mask), expected.to_array())
    for container in containers:
        container.close()


def one_record_archive(scratch, **changes):
    path = scratch / "one"
    with archive_toys.open_writer(scratch, "one") as writer:
        for i in (0, 1):
            writer.add_image(archive_toys.record(i).image_key, archive_toys.jpeg(i))
        writer.add(archive_toys.record(0, **changes))
        writer.add(archive_toys.record(1))
        writer.publish()
    return open_archive(path)


@pytest.mark.parametrize(
    ("camera", "reason"),
    [
        (archive_toys.camera().flipped(), "reflection"),
        (lambda lens: Lens("h36m-toolbox", (0.1, 0, 0, 0, 0)), "Human3.6M"),
        (lambda lens: Lens("brown-conrady", (0.1,) + (0.0,) * 11 + (0.1, 0)), "tilt"),
        (lambda lens: Lens("kannala-brandt", (0.0,) * 4), "fisheye"),
    ],
)
def test_cameras_without_a_form_in_schema0_are_left_out(scratch, camera, reason):
    if not isinstance(camera, Camera):
        values = {**camera_values(), "lens": camera(None)}
        camera = Camera(**values)
    with one_record_archive(scratch, camera=camera) as archive:
        report = export_archive(archive, scratch / "old", "schema0")
    assert (report.records, report.images) == (1, 1)
    ((found, count),) = report.skipped.items()
    assert reason in found
    assert count == 1


def camera_values():
    camera = archive_toys.camera()
    return {name: getattr(camera, name) for name in ("R", "t", "K", "size", "world_up")}


@pytest.mark.parametrize(
    "lens",
    [
        Lens("brown-conrady", (0.1, 0.02, 0.001, 0.002, 0.01)),
        Lens("brown-conrady", (0.1,) + (0.0,) * 6 + (0.05,)),
        Lens("kannala-brandt", (0.05, -0.02, 0.01, 0.003)),
    ],
)
def test_lenses_survive_schema0(scratch, lens):
    camera = Camera(**camera_values(), lens=lens)
    with one_record_archive(scratch, camera=camera) as archive:
        report = export_archive(archive, scratch / "old", "schema0")
        with open_archive(report.path) as legacy:
            twin = legacy_twin(archive, legacy, archive.find("train", archive_toys.record(0).id))
    assert twin.camera.lens == lens


def test_kilometre_coordinates_are_reported_as_rounded(scratch):
    far = archive_toys.record(0)
    offset = np.array([1e7, 0, 0.0])
    values = camera_values() | {"t": offset + archive_toys.camera().t}
    changes = {"joints3d": far.joints3d + offset, "camera": Camera(**values)}
    with one_record_archive(scratch, **changes) as archive:
        report = export_archive(archive, scratch / "old", "schema0")
    assert 0.05 < report.max_error["joints3d_mm"] <= 0.5


def test_a_legacy_archive_exports_to_an_equal_one(scratch):
    path = legacy_toys.write_legacy(scratch / "a", 9)
    with open_archive(path) as archive:
        report = export_archive(archive, scratch / "b", "schema0")
        with open_archive(report.path) as again:
            for row in range(9):
                record = archive.record(row)
                twin = again.record(again.find(record.split, record.id))
                np.testing.assert_array_equal(twin.joints3d, record.joints3d)
                np.testing.assert_array_equal(twin.box, record.box)
                assert twin.scene_mask == record.scene_mask
                np.testing.assert_allclose(twin.camera.R, record.camera.R, atol=1e-12)


def test_loose_images_are_exported_once(scratch):
    path = legacy_toys.write_legacy(scratch / "a", 4, with_images=False)
    for i in range(4):
        file = path.parent / legacy_toys.image_path(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(legacy_toys.picture(i))
    with open_archive(path) as archive:
        report = export_archive(archive, scratch / "b", "schema0")
    assert report.images == 4
    with LegacyArchive(report.path / "annotations.barecat") as again:
        assert again.manifest.totals.images == 4
        assert (again.index["image_bytes"] > 0).all()


# ---- columns ----


@pytest.mark.parametrize("suffix", ["hdf5", "npz"])
@pytest.mark.parametrize("block", [3, 512])
def test_columns_read_back_equal(archive, scratch, monkeypatch, suffix, block):
    monkeypatch.setattr(export_files, "_RECORDS_PER_BLOCK", block)
    monkeypatch.setattr(export_files, "_IMAGES_PER_BLOCK", block)
    monkeypatch.setattr(exported, "_RECORDS_PER_BLOCK", block + 2)
    out = scratch / f"toy.{suffix}"
    report = export_archive(archive, out, suffix, images=True)
    assert (report.records, report.images) == (COUNT, archive.manifest.totals.images)
    assert (report.lost, report.skipped, report.max_error) == ({}, {}, {})
    with ExportedRecords(out) as records:
        assert len(records) == COUNT
        assert records.skeleton == archive.skeleton
        assert records.has_images
        for row in [*range(COUNT), 3, 17]:
            assert_same(archive.record(row), records.record(row))
            assert records.image_bytes(row) == archive.image_bytes(row)
        with pytest.raises(IndexError):
            records.record(COUNT)


@pytest.mark.parametrize("suffix", ["hdf5", "npz"])
def test_an_exported_file_imports_to_the_same_content(archive, scratch, suffix):
    out = scratch / f"toy.{suffix}"
    export_archive(archive, out, suffix, images=True)
    report = import_archive(out, scratch / "archives", "again")
    assert (report.skipped, report.changed) == ({}, {})
    with open_archive(report.path) as again:
        old, new = archive.manifest, again.manifest
        assert new.content_digests == old.content_digests
        assert (new.source, new.plan, new.totals) == (old.source, old.plan, old.totals)
        assert new.mean_bone_lengths_mm == old.mean_bone_lengths_mm
        assert new.vocabularies == old.vocabularies


def test_the_documented_layout_is_what_numpy_sees(archive, scratch):
    out = scratch / "toy.npz"
    export_archive(archive, out, "npz", splits=["train"], images=True)
    rows = archive.rows(split="train")
    with np.load(out) as columns:
        assert columns["joints3d"].shape == (len(rows), 5, 3)
        assert columns["joints3d"].dtype == np.float64
        assert set(columns["split"]) == {"train"}
        meta = json.loads(str(columns["meta"][0]))
        assert meta["flags"]["joints3d"] == int(Flag.JOINTS3D)
        assert meta["skeleton"]["joints"] == list(archive.skeleton.joints)
        assert "millimetres" in meta["conventions"]["length"]
        for at, row in enumerate(rows.tolist()):
            record = archive.record(row)
            assert columns["id"][at] == record.id
            image = columns["image"][at]
            assert columns["image_key"][image] == record.image_key
            begin, end = columns["image_jpeg_offsets"][image : image + 2]
            assert columns["image_jpeg"][begin:end].tobytes() == archive.image_bytes(row)
            begin, end = columns["body_pose_offsets"][at : at + 2]
            pose = np.zeros(0) if record.body is None else record.body.pose
            np.testing.assert_array_equal(columns["body_pose"][begin:end], pose)
            has_camera = bool(columns["flags"][at] & Flag.CAMERA)
            assert has_camera == (record.camera is not None)
            assert np.isnan(columns["camera_t"][at]).all() == (not has_camera)


def test_the_documented_layout_is_what_h5py_sees(archive, scratch):
    out = scratch / "toy.h5"
    export_archive(archive, out, "hdf5")
    with h5py.File(out) as file:
        assert file["joints2d"].shape == (COUNT, 5, 2)
        assert file["id"].asstr()[3] == archive.record(3).id
        assert "image_jpeg" not in file
        assert len(file["image_key"]) == archive.manifest.totals.images
        subjects = set(file["subject"].asstr()[:])
        assert "Zoë Müller" in subjects
    with ExportedRecords(out) as records, pytest.raises(ArchiveError, match="--images"):
        records.image_bytes(0)


@pytest.mark.parametrize("kind", ["hdf5", "npz", "schema0"])
def test_equal_archives_give_equal_files(archive, scratch, kind):
    for name in ("a", "b"):
        export_archive(archive, scratch / name, kind, images=True)
    if kind == "schema0":
        contents = [archive_toys.contents(scratch / name) for name in ("a", "b")]
    else:
        contents = [(scratch / name).read_bytes() for name in ("a", "b")]
    assert contents[0] == contents[1]


def test_npz_members_are_stored_without_objects(archive, scratch):
    export_archive(archive, scratch / "toy.npz", "npz")
    with zipfile.ZipFile(scratch / "toy.npz") as members:
        assert all(name.endswith(".npy") for name in members.namelist())
    with np.load(scratch / "toy.npz", allow_pickle=False) as columns:
        assert all(columns[name].dtype != object for name in columns.files)


def test_a_missing_h5py_names_the_extra(archive, scratch, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"posepile-torch\[convert\]"):
        export_archive(archive, scratch / "toy.h5", "hdf5")
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("suffix", ["hdf5", "npz"])
def test_damaged_exports_are_refused(archive, scratch, suffix):
    out = scratch / "toy"
    export_archive(archive, out, suffix)
    data = out.read_bytes()
    damaged = scratch / "damaged"
    rng = np.random.default_rng(1)
    for cut in (0, 20, len(data) // 2, len(data) - 10):
        damaged.write_bytes(data[:cut])
        with pytest.raises(ArchiveError):
            ExportedRecords(damaged)
    for _ in range(15):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), 8):
            changed[at] ^= int(rng.integers(1, 256))
        damaged.write_bytes(changed)
        try:
            with ExportedRecords(damaged) as records:
                for row in range(len(records)):
                    records.record(row)
        except (ValueError, ArchiveError):
            pass  # deliberate errors about files and fields


def test_other_files_are_no_exports(scratch):
    np.savez(scratch / "other.npz", a=1)
    with pytest.raises(ArchiveError, match="no file written by"):
        ExportedRecords(scratch / "other.npz")
    np.savez(scratch / "newer.npz", flags=[0], meta=[json.dumps({"format": "posepile-export"})])
    with pytest.raises(ArchiveError, match="newer version"):
        ExportedRecords(scratch / "newer.npz")
    with pytest.raises(ArchiveNotFoundError):
        ExportedRecords(scratch / "nothing.npz")


# ---- asking for it ----


def test_bad_requests(archive, scratch):
    with pytest.raises(UnknownNameError, match="export format"):
        export_archive(archive, scratch / "x", "csv")
    with pytest.raises(UnknownNameError, match="split"):
        export_archive(archive, scratch / "x", "npz", splits=["valid"])
    (scratch / "there").write_text("mine")
    with pytest.raises(ArchiveError, match="never overwrites"):
        export_archive(archive, scratch / "there", "npz")
    assert (scratch / "there").read_text() == "mine"
    with pytest.raises(ArchiveError, match="no records"):
        export_archive(archive, scratch / "x", "npz", splits=[])


@pytest.mark.parametrize("kind", ["schema0", "hdf5", "npz"])
def test_a_failed_export_leaves_nothing(folder, scratch, kind):
    damaged = scratch / "damaged"
    shutil.copytree(folder.resolve(), damaged)
    out = scratch / "out"
    out.mkdir()
    with open_archive(damaged) as archive:
        shard = sorted(damaged.glob("annotations.barecat-shard-*"))[1]
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        with pytest.raises(ArchiveCorruptError):
            export_archive(archive, out / "x", kind, images=True)
    assert list(out.iterdir()) == []


# ---- import of PosePile archives ----


def test_a_legacy_archive_imports(scratch):
    path = legacy_toys.write_legacy(scratch / "old", 12)
    report = import_archive(path, scratch / "archives", "toy")
    assert (report.records, report.images, report.changed) == (12, 12, {})
    with open_archive(path) as legacy, open_archive(report.path) as archive:
        assert not isinstance(archive, LegacyArchive)
        assert archive.manifest.raw_files["index"]["sha256"] == legacy.fingerprint
        for row in range(12):
            record = legacy.record(row)
            twin = archive.find(record.split, record.id)
            assert_same(record, archive.record(twin))
            assert archive.image_bytes(twin) == legacy.image_bytes(row)
    assert verify_archive(report.path, "semantic").problems == ()


def test_an_interrupted_import_goes_on(scratch):
    path = legacy_toys.write_legacy(scratch / "old", 12)
    import_archive(path, scratch / "a", "toy")

    class Stop(Exception):
        pass

    seen = []
    with open_importable(path) as items:

        def failing(row):
            seen.append(row)
            if len(seen) == 7:
                raise Stop
            return items.record(row)

        cut_off = dataclasses.replace(items, record=failing)
        with pytest.raises(Stop):
            import_records(cut_off, scratch / "b", "toy")
        import_records(cut_off, scratch / "b", "toy")
    assert seen == [*range(7), *range(6, 12)]
    resolved = [(scratch / name / "toy").resolve() for name in ("a", "b")]
    assert archive_toys.contents(resolved[0]) == archive_toys.contents(resolved[1])


def test_bad_records_are_left_out_with_a_reason_or_stop_the_import(scratch):
    def fields(i):
        more = {"bbox": np.array([5, 5, 0, 10], np.int16)} if i == 3 else {}
        if i == 5:
            more["cam"] = legacy_toys.camera_fields(intr=-legacy_toys.INTRINSICS)
        return legacy_toys.fields_3d(i, **more)

    path = legacy_toys.write_legacy(scratch / "old", 12, fields)
    with pytest.raises(ConversionError, match="0 of 12 records"):
        import_archive(path, scratch / "archives", "toy")
    report = import_archive(path, scratch / "archives", "toy", max_skipped_share=0.5)
    assert report.records == 10
    assert sum(report.skipped.values()) == 2
    with open_archive(report.path) as archive:
        reasons = {reason: s.count for reason, s in archive.manifest.skipped.items()}
        assert reasons == report.skipped
        found = {archive.record(row).id for row in range(10)}
        assert not found & {f"{legacy_toys.image_path(i)}_00" for i in (3, 5)}


def test_distorted_crops_are_undistorted_at_import(scratch):
    coefficients = np.array([0.25, 0.05, 0.001, 0.002, 0.0])

    def fields(i):
        camera = legacy_toys.camera_fields(distcoef=coefficients)
        return legacy_toys.fields_3d(i, cam=camera)

    path = legacy_toys.write_legacy(scratch / "old", 3, fields, with_images=False)
    pictures = []
    for i in range(3):
        points = legacy_toys.project(legacy_toys.world(i), coefficients)
        jpeg = legacy_toys.encode_jpeg(legacy_toys.dots(points), 97, subsampling="444")
        pictures.append((legacy_toys.image_path(i), jpeg))
    legacy_toys.write_container(path.with_name("images.barecat"), pictures)
    report = import_archive(path, scratch / "archives", "toy")
    assert report.changed == {"undistorted": 3}
    with open_archive(report.path) as archive:
        for row in range(3):
            record = archive.record(row)
            assert record.camera.is_pinhole
            image = decode_jpeg(archive.image_bytes(row)).astype(float).mean(axis=-1)
            for x, y in record.camera.project(record.joints3d):
                if np.isfinite(x) and 3 < x < 236 and 3 < y < 176:
                    assert image[round(y), round(x)] > 150


def test_points_and_masks_follow_the_undistortion():
    lens = Lens("brown-conrady", (0.3, 0.05, 0.0, 0.0, 0.0))
    camera = Camera(**camera_values(), lens=lens)
    world = archive_toys.record(0).joints3d
    dense = DensePosePoints(
        points=camera.project(world[1:3]), faces=[1, 2], barycentrics=[[1, 0, 0], [0, 1, 0]]
    )
    record = archive_toys.record(0, camera=camera, joints2d=camera.project(world), densepose=dense)
    straight, jpeg = undistorted(record, archive_toys.jpeg(0))
    expected = camera.undistorted().project(world)
    np.testing.assert_allclose(straight.joints2d, expected, atol=1e-6)
    np.testing.assert_allclose(straight.densepose.points, expected[1:3], atol=1e-6)
    assert straight.person_mask.size == record.image_size
    assert decode_jpeg(jpeg).shape == (archive_toys.HEIGHT, archive_toys.WIDTH, 3)
    assert isinstance(straight, Record)


def test_several_people_and_splits_share_an_image(scratch):
    entries = [("metadata.msgpack", msgpack_numpy.packb(legacy_toys.metadata()))]
    for split, counter in (("train", 0), ("train", 1), ("test", 0)):
        key = f"{split}/{legacy_toys.image_path(0)}_{counter:02d}.msgpack"
        entries.append((key, msgpack_numpy.packb(legacy_toys.fields_3d(0))))
    legacy_toys.write_container(scratch / "toy.barecat", entries)
    picture = (legacy_toys.image_path(0), legacy_toys.picture(0))
    legacy_toys.write_container(scratch / "images.barecat", [picture])
    report = import_archive(scratch / "toy.barecat", scratch / "archives", "toy")
    assert (report.records, report.images) == (3, 1)


def test_import_of_other_image_formats(scratch):
    from PIL import Image

    path = legacy_toys.write_legacy(scratch, 2, with_images=False)
    for i in range(2):
        file = scratch / legacy_toys.image_path(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        if i:
            file.write_bytes(legacy_toys.picture(i) + b"trailing")
        else:
            Image.fromarray(legacy_toys.dots([(5, 5)])).save(file, format="PNG")
    report = import_archive(path, scratch / "archives", "toy")
    assert report.records == 2
    assert sum(report.changed.values()) == 2


def test_header_of_an_import_is_part_of_it(scratch):
    """Another unit is another archive: an unfinished import is not resumed with it."""
    header = ArchiveHeader(source="posepile", skeleton=Skeleton.parse("x", "a"))
    with ArchiveWriter(scratch, "toy", header=header) as writer:
        writer.checkpoint({"next": 0, "skipped": {}, "changed": {}}, durable=True)
    path = legacy_toys.write_legacy(scratch / "old", 2)
    with pytest.raises(ArchiveError, match="other settings"):
        import_archive(path, scratch, "toy")
    assert import_archive(path, scratch, "toy", restart=True).records == 2
    assert Path(scratch / "toy").exists()
