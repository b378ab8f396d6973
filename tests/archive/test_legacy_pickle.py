"""Pickled PosePile datasets, made with stand-ins for the classes and read without them."""

import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import rlemasklib
from PIL import Image
from raw import posepile as toys

from posepile_torch.archive import open_archive
from posepile_torch.archive.importing import import_archive
from posepile_torch.archive.legacy_pickle import LegacyPickle
from posepile_torch.archive.verify import verify_archive
from posepile_torch.errors import (
    ArchiveIncompleteError,
    ConversionError,
    JointCountError,
    RecordError,
    UnreadableRawFileError,
    UnsafePickleError,
)
from posepile_torch.record import validate_record

CLASSES = {
    "datasets3d": ("Pose3DDataset", "Pose3DExample", "SparseCoords"),
    "datasets2d": ("Pose2DDataset", "Pose2DExample"),
    "joint_info": ("JointInfo",),
}


class _AttributeBag:
    """State only: what a pickle holds of an instance."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def _addict():
    class Dict(dict):
        """Pickles as addict's does: the items are arguments, and it is its own state."""

        def __getnewargs__(self):
            return tuple(self.items())

        def __getstate__(self):
            return self

        def __setstate__(self, state):
            self.update(state)

    return Dict


def _attrdict():
    class AttrDict(dict):
        """Pickles as attrdict's does: a copy of the items and two settings."""

        def __getstate__(self):
            return dict(self), tuple, False

        def __setstate__(self, state):
            self.update(state[0])

    return AttrDict


@pytest.fixture
def legacy(monkeypatch):
    """A function that makes stand-in modules and returns their classes by name."""

    def make(package="posepile", camera_module="cameralib.cameralib", dictionary="addict.addict"):
        made = {}
        for module, names in CLASSES.items():
            for name in names:
                made[name] = type(name, (_AttributeBag,), {})
                define(f"{package}.{module}", made[name])
        made["Camera"] = type("Camera", (_AttributeBag,), {})
        define(camera_module, made["Camera"])
        made["Dictionary"] = _addict() if dictionary.startswith("addict") else _attrdict()
        define(dictionary, made["Dictionary"])
        return types.SimpleNamespace(**made)

    def define(module, kind):
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            dotted = ".".join(parts[:i])
            if dotted not in sys.modules:
                monkeypatch.setitem(sys.modules, dotted, types.ModuleType(dotted))
        kind.__module__, kind.__qualname__ = module, kind.__name__
        monkeypatch.setattr(sys.modules[module], kind.__name__, kind, raising=False)

    return make


def joint_info(kinds):
    ids = kinds.Dictionary(zip(toys.JOINTS, range(len(toys.JOINTS)), strict=True))
    return kinds.JointInfo(
        ids=ids,
        names=list(toys.JOINTS),
        mirror_mapping=[0, 2, 1, 3, 5, 4, 6],
        stick_figure_edges=[tuple(edge) for edge in toys.EDGES],
    )


def camera(kinds, **more):
    import cv2

    state = {
        "R": cv2.Rodrigues(toys.ROTVEC)[0],
        "t": toys.LOCATION,
        "intrinsic_matrix": np.vstack([toys.INTRINSICS, [0, 0, 1]]).astype(np.float32),
        "distortion_coeffs": None,
        "world_up": np.array([0, 0, 1], np.float32),
    }
    return kinds.Camera(**state | more)


def example3d(kinds, i, **more):
    coords = toys.world(i).astype(np.float32)
    if i % 3 == 1:
        coords[[1, 4]] = np.nan
    values = {
        "image_path": toys.image_path(i),
        "world_coords": coords,
        "univ_coords": coords * 0.9,
        "bbox": toys.box_of(toys.project(toys.world(i))).astype(np.float32),
        "camera": camera(kinds),
        "activity_name": "Walking" if i % 2 else "unknown",
        "scene_name": "unknown",
        "mask": rlemasklib.encode(toys.mask_array(i)),
        "instance_mask": None,
        "custom": None,
        "image": None,
        "parameters": None,
    }
    return kinds.Pose3DExample(**values | more)


def dataset(kinds, examples, kind="Pose3DDataset", **more):
    phases = {0: [], 1: [], 2: []}
    for i, example in enumerate(examples):
        phases[{"train": 0, "val": 1, "test": 2}[toys.split_of(i)]].append(example)
    bones = np.full(len(toys.EDGES), 130.0)
    return getattr(kinds, kind)(
        joint_info=joint_info(kinds), examples=phases, train_bones=bones, **more
    )


def write(scratch, value, protocol=pickle.HIGHEST_PROTOCOL, images=8):
    path = scratch / "toy.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    for i in range(images):
        file = scratch / toys.image_path(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(toys.picture(i))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize(
    "modules",
    [
        ("posepile", "cameralib.cameralib", "addict.addict"),
        ("posepile", "cameralib", "addict"),
        ("data", "cameralib", "attrdict.dictionary"),
        ("data", "cameralib", "attrdict"),
    ],
)
def test_datasets_of_all_ages_are_read(scratch, legacy, modules, protocol):
    kinds = legacy(*modules)
    path = write(scratch, dataset(kinds, [example3d(kinds, i) for i in range(8)]), protocol)
    for module in [name for name in sys.modules if name.startswith(modules[0] + ".")]:
        del sys.modules[module]  # nothing of it is needed, or asked for
    pickled = LegacyPickle(path)
    assert len(pickled) == 8
    assert pickled.skeleton.joints == tuple(toys.JOINTS)
    assert pickled.skeleton.edges == tuple(toys.EDGES)
    for row in range(8):
        record = pickled.record(row)
        i = int(record.image_key[-10:-4])
        assert record.key == toys.key_of(i)
        expected = toys.world(i).astype(np.float32).astype(float)
        known = np.isfinite(record.joints3d).all(axis=1)
        assert known.sum() == (5 if i % 3 == 1 else 7)
        np.testing.assert_array_equal(record.joints3d[known], expected[known])
        np.testing.assert_allclose(record.joints3d_univ, record.joints3d * 0.9, rtol=1e-6)
        np.testing.assert_allclose(
            record.camera.project(expected), toys.project(expected), atol=1e-3
        )
        np.testing.assert_array_equal(record.scene_mask.to_array(), toys.mask_array(i))
        assert record.person_mask is None
        assert record.activity == ("Walking" if i % 2 else None)
        assert record.scene is None
        assert record.image_size == (toys.WIDTH, toys.HEIGHT)
        validate_record(record, pickled.skeleton)


def test_2d_datasets_are_read(scratch, legacy):
    kinds = legacy()
    points = np.array([[10.5, 20.5], [30, 40]], np.float32)
    barycentrics = np.array([[0.5, 0.25, 0.25], [1, 0, 0]], np.float32)
    examples = []
    for i in range(4):
        coords = toys.project(toys.world(i)).astype(np.float32)
        coords[2] = np.nan
        examples.append(
            kinds.Pose2DExample(
                image_path=toys.image_path(i),
                coords=coords,
                bbox=np.asarray(None) if i == 0 else np.array([10.0, 20, 30, 40, 0.9]),
                mask=None,
                camera=None,
                densepose=(points, np.array([5, 6]), barycentrics) if i else None,
                image=None,
            )
        )
    pickled = LegacyPickle(write(scratch, dataset(kinds, examples, "Pose2DDataset")))
    for row in range(4):
        record = pickled.record(row)
        assert record.camera is None
        assert np.isnan(record.joints2d[2]).all()
        if record.id.endswith("000000.jpg_00"):
            points_known = record.joints2d[[0, 1, 3, 4, 5, 6]]
            np.testing.assert_allclose(record.box[:2], points_known.min(axis=0))
        else:
            assert record.box.tolist() == [10, 20, 30, 40]
            assert record.densepose.faces.tolist() == [5, 6]
        validate_record(record, pickled.skeleton)


def test_sparse_coordinates_shared_images_and_parameters(scratch, legacy):
    kinds = legacy()
    ids = np.array([0, 3, 5], np.uint16)
    sparse = kinds.SparseCoords(
        shape=(7, 3), i_valid_joints=ids, valid_coords=toys.POSE[ids].astype(np.float16)
    )
    examples = [
        example3d(kinds, 0, world_coords=sparse),
        example3d(kinds, 0, parameters=kinds.Dictionary(toys.parameters(kid_factor=0.5))),
    ]
    records = [LegacyPickle(write(scratch, dataset(kinds, examples))).record(i) for i in (0, 1)]
    assert [record.id[-3:] for record in records] == ["_00", "_01"]
    np.testing.assert_array_equal(records[0].joints3d[ids], toys.POSE[ids])
    assert np.isnan(records[0].joints3d[[1, 2, 4, 6]]).all()
    assert records[1].body.model == "smplx"
    assert records[1].body.kid_factor == 0.5


def test_fisheyes_mirrors_and_pictures_within(scratch, legacy):
    kinds = legacy()
    flipped = camera(kinds).R * np.array([[-1], [1], [1]], np.float32)
    coefficients = np.array([0.05, -0.02, 0.01, 0.003])
    png = scratch / "x.png"
    Image.fromarray(toys.dots([(3, 4)])).save(png)
    examples = [
        example3d(kinds, 0, camera=camera(kinds, distortion_coeffs=coefficients)),
        example3d(kinds, 1, camera=camera(kinds, R=flipped), image=png.read_bytes()),
        example3d(kinds, 2, image=toys.dots([(3, 4)])),
    ]
    pickled = LegacyPickle(write(scratch, dataset(kinds, examples)))
    assert pickled.record(0).camera.lens.model == "kannala-brandt"
    assert pickled.record(1).camera.is_mirrored
    assert pickled.image_bytes(1) == png.read_bytes()
    assert pickled.record(2).image_size == (toys.WIDTH, toys.HEIGHT)
    assert pickled.image_bytes(2).startswith(b"\xff\xd8")


def test_what_is_left_out_is_reported(scratch, legacy):
    kinds = legacy()
    examples = [example3d(kinds, i, custom={"a": 1}, extra=None) for i in range(3)]
    notes = LegacyPickle(write(scratch, dataset(kinds, examples))).notes
    assert any("3 examples have an attribute 'custom'" in note for note in notes)
    assert any("root" in note for note in notes)
    assert not any("extra" in note for note in notes)


# ---- paths ----


def test_absolute_paths_need_a_root_or_a_prefix(scratch, legacy):
    kinds = legacy()
    inside = example3d(kinds, 0, image_path=str(scratch / toys.image_path(0)))
    outside = example3d(kinds, 1, image_path=f"/old/machine/{toys.image_path(1)}")
    path = write(scratch, dataset(kinds, [inside, outside]))
    pickled = LegacyPickle(path)
    assert pickled.record(0).image_key == toys.image_path(0)
    with pytest.raises(RecordError, match="strip-prefix"):
        pickled.record(1)
    moved = LegacyPickle(path, strip_prefix="/old/machine/")
    assert moved.record(1).image_key == toys.image_path(1)


def test_paths_that_climb_out_are_refused(scratch, legacy):
    kinds = legacy()
    secret = scratch.parent / "secret.jpg"
    for image_path in ("a/../../secret.jpg", str(secret)):
        example = example3d(kinds, 0, image_path=image_path)
        pickled = LegacyPickle(write(scratch, dataset(kinds, [example])))
        for read in (pickled.record, pickled.image_bytes):
            with pytest.raises(RecordError, match="below the root"):
                read(0)


def test_splits_follow_their_numbers_in_any_order(scratch, legacy):
    kinds = legacy()
    phases = {2: [example3d(kinds, 0)], 0: [example3d(kinds, 1), example3d(kinds, 2)]}
    value = kinds.Pose3DDataset(joint_info=joint_info(kinds), examples=phases)
    pickled = LegacyPickle(write(scratch, value))
    assert [pickled.record(row).split for row in range(3)] == ["train", "train", "test"]
    value.examples = {"train": []}
    with pytest.raises(RecordError, match="lists of examples"):
        LegacyPickle(write(scratch, value))


def test_missing_images_are_named(scratch, legacy):
    kinds = legacy()
    path = write(scratch, dataset(kinds, [example3d(kinds, 0)]), images=0)
    with pytest.raises(ArchiveIncompleteError, match=r"000000\.jpg"):
        LegacyPickle(path).record(0)


# ---- bad ones ----


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"world_coords": np.zeros((17, 3))}, JointCountError),
        ({"camera": "none"}, RecordError),
        ({"mask": [{"size": [2, 2], "counts": b"4"}, {"size": [2, 2]}]}, RecordError),
        ({"mask": "mask"}, RecordError),
        ({"parameters": {"type": "smpl"}}, RecordError),
        ({"bbox": np.array(["a"])}, RecordError),
    ],
)  # fmt: skip
def test_examples_of_another_form(scratch, legacy, changes, error):
    kinds = legacy()
    path = write(scratch, dataset(kinds, [example3d(kinds, 0, **changes)]))
    with pytest.raises(error):
        LegacyPickle(path).record(0)


def test_other_pickles_are_refused(scratch, legacy):
    kinds = legacy()
    for value in ([1, 2], joint_info(kinds), dataset(kinds, ["no example"])):
        with pytest.raises(RecordError):
            LegacyPickle(write(scratch, value, images=0))


def test_every_other_class_is_refused_by_name(scratch, legacy):
    kinds = legacy()
    canary = scratch / "canary"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (canary,)

    for value, name in (
        (Bomb(), "touch"),
        (Path("x"), "pathlib"),
        (types.SimpleNamespace(a=1), "SimpleNamespace"),
    ):
        path = write(scratch, dataset(kinds, [example3d(kinds, 0, custom=value)]), images=0)
        with pytest.raises(UnsafePickleError, match=name):
            LegacyPickle(path)
    assert not canary.exists()


def test_a_cut_off_pickle(scratch, legacy):
    kinds = legacy()
    path = write(scratch, dataset(kinds, [example3d(kinds, 0)]), images=0)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableRawFileError):
        LegacyPickle(path)


# ---- import ----


def test_a_pickle_becomes_an_archive(scratch, legacy):
    kinds = legacy()
    path = write(scratch, dataset(kinds, [example3d(kinds, i) for i in range(8)]))
    report = import_archive(path, scratch / "archives", "toy")
    assert (report.records, report.images, report.skipped) == (8, 8, {})
    assert any("root" in note for note in report.notes)
    pickled = LegacyPickle(path)
    with open_archive(report.path) as archive:
        assert archive.manifest.source == "posepile"
        assert archive.manifest.raw_files["toy.pkl"]["bytes"] == path.stat().st_size
        assert archive.skeleton == pickled.skeleton
        for row in range(8):
            expected = pickled.record(row)
            record = archive.record(archive.find(expected.split, expected.id))
            np.testing.assert_array_equal(record.joints3d, expected.joints3d)
            np.testing.assert_array_equal(record.joints3d_univ, expected.joints3d_univ)
            np.testing.assert_array_equal(record.box, expected.box)
            assert record.camera == expected.camera
            assert record.scene_mask == expected.scene_mask
            assert record.activity == expected.activity
            assert archive.image_bytes(archive.find(expected.split, expected.id)) == (
                toys.picture(int(record.image_key[-10:-4]))
            )
    assert verify_archive(report.path, "semantic").problems == ()


def test_examples_without_an_image_are_skipped_within_the_limit(scratch, legacy):
    kinds = legacy()
    path = write(scratch, dataset(kinds, [example3d(kinds, i) for i in range(8)]), images=7)
    with pytest.raises(ConversionError, match="the image is missing"):
        import_archive(path, scratch / "archives", "toy")
    assert not (scratch / "archives" / "toy").exists()
    report = import_archive(path, scratch / "archives", "toy", max_skipped_share=0.2)
    assert report.skipped == {"the image is missing": 1}
    with open_archive(report.path) as archive:
        assert len(archive) == 7
        (skipped,) = archive.manifest.skipped.values()
        assert "000007.jpg" in skipped.items[0]
