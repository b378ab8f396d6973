import contextlib
import math
import pickle

import hypothesis.extra.numpy as npst
import msgpack
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import JointCountError, RecordError
from posepile_torch.masks import Mask
from posepile_torch.packing import smallest_float
from posepile_torch.record import (
    BodyParameters,
    DensePosePoints,
    Precision,
    Record,
    decode_record,
    encode_record,
    validate_record,
)
from posepile_torch.skeleton import Skeleton

JOINT_FIELDS = ("joints3d", "joints2d", "joints3d_univ")
ARRAY_FIELDS = (*JOINT_FIELDS, "box", "visible", "confidence")


def make(**changes):
    values = {
        "id": "seq/000001_00",
        "split": "train",
        "image_key": "seq/000001.jpg",
        "image_size": (40, 30),
        "box": [1.5, 2.0, 20.25, 25.0],
        **changes,
    }
    return Record(**values)


def assert_equal_records(a, b):
    for name in ARRAY_FIELDS:
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        if left is not None:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, err_msg=name)
    names = "id split image_key image_size subject sequence camera_name activity scene track frame"
    for name in names.split():
        assert getattr(a, name) == getattr(b, name), name
    assert dict(a.raw) == dict(b.raw)
    assert (a.camera is None) == (b.camera is None)
    if a.camera is not None:
        assert a.camera == b.camera
    for name in ("person_mask", "scene_mask"):
        assert getattr(a, name) == getattr(b, name)
    for name in ("body", "densepose"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None)
        for key, value in vars(left).items() if left is not None else ():
            np.testing.assert_array_equal(value, getattr(right, key), err_msg=f"{name}.{key}")


# ---- round trip ----

finite = st.floats(-1e7, 1e7, allow_nan=False, width=64)
names = st.none() | st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=20
)
keys = st.lists(
    st.text(st.sampled_from("abcXYZ019_-. äñ字"), min_size=1, max_size=12).filter(
        lambda t: t.strip(".") and not t.endswith(".msgpack")
    ),
    min_size=1,
    max_size=4,
).map("/".join)


@st.composite
def joints(draw, count, width):
    if draw(st.booleans()):
        return None
    values = draw(npst.arrays(np.float64, (count, width), elements=finite))
    known = draw(npst.arrays(np.bool_, count))
    values[~known] = np.nan
    return values


@st.composite
def cameras(draw, size):
    R = draw(npst.arrays(np.float64, (3, 3), elements=st.floats(-1, 1)))
    lens = draw(
        st.sampled_from(
            [Lens.none(), Lens("brown-conrady", (0.1, -0.2, 0.003, 1e-5, 0.3)),
             Lens("kannala-brandt", (0.1, 0.02, 0.0, -1.5))]
        )
    )  # fmt: skip
    return Camera(
        R=R, t=draw(npst.arrays(np.float64, 3, elements=finite)), lens=lens, size=size,
        K=np.array([[draw(st.floats(1, 1e5)), 0, 3.25], [0, 77.7, 1.1], [0, 0, 1.0]]),
        world_up=draw(st.sampled_from([(0, 0, 1.0), (0, -1.0, 0)])),
    )  # fmt: skip


@st.composite
def records(draw):
    count = draw(st.integers(0, 40))
    size = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    pixels = draw(npst.arrays(np.uint8, (size[1], size[0]), elements=st.integers(0, 1)))
    points = draw(st.integers(0, 5))
    return make(
        id=draw(keys), split=draw(st.sampled_from(["train", "val", "test"])),
        image_key=draw(keys), image_size=size,
        box=[draw(finite), draw(finite), draw(st.floats(1e-3, 1e6)), draw(st.floats(1e-3, 1e6))],
        camera=draw(st.none() | cameras(size)),
        joints3d=draw(joints(count, 3)), joints2d=draw(joints(count, 2)),
        joints3d_univ=draw(joints(count, 3)),
        visible=draw(st.none() | npst.arrays(np.int8, count, elements=st.integers(-1, 1))),
        confidence=draw(
            st.none() | npst.arrays(np.float32, count, elements=st.floats(0, 1, width=32))
        ),
        person_mask=draw(st.none() | st.just(Mask.from_array(pixels))),
        scene_mask=draw(st.none() | st.just(Mask.from_array(1 - pixels))),
        body=draw(
            st.none() | st.builds(
                BodyParameters,
                model=st.sampled_from(["smpl", "smplx"]), gender=st.just("female"),
                pose=npst.arrays(np.float64, 6, elements=finite),
                betas=npst.arrays(np.float64, st.integers(0, 12), elements=finite),
                translation=npst.arrays(np.float64, 3, elements=finite),
                expression=st.none() | npst.arrays(np.float64, 10, elements=finite),
                kid_factor=st.floats(0, 1), scale=st.floats(0.5, 2),
            )
        ),
        densepose=draw(
            st.none() | st.builds(
                DensePosePoints,
                points=npst.arrays(np.float64, (points, 2), elements=finite),
                faces=npst.arrays(np.int64, points, elements=st.integers(0, 13775)),
                barycentrics=npst.arrays(np.float64, (points, 3), elements=st.floats(0, 1)),
            )
        ),
        subject=draw(names), sequence=draw(names), camera_name=draw(names), activity=draw(names),
        scene=draw(names), track=draw(names), frame=draw(st.integers(-1, 2**63 - 1)),
        raw=draw(
            st.dictionaries(
                st.sampled_from(["file", "frame", "person"]),
                st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["a/b.mp4", "x"]),
            )
        ),
    )  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(records())
def test_round_trip_is_exact_by_default(record):
    data = encode_record(record)
    back = decode_record(data)
    assert_equal_records(record, back)
    assert encode_record(back) == data


@settings(max_examples=80, deadline=None)
@given(records(), st.floats(0, 2), st.floats(0, 2))
def test_joints_stay_within_the_stated_precision(record, mm, px):
    back = decode_record(encode_record(record, Precision(joints3d_mm=mm, joints2d_px=px)))
    for name, limit in (("joints3d", mm), ("joints2d", px), ("joints3d_univ", mm)):
        before, after = getattr(record, name), getattr(back, name)
        if before is None:
            assert after is None
            continue
        np.testing.assert_array_equal(np.isnan(before), np.isnan(after))
        if np.isfinite(before).any():
            assert np.nanmax(np.abs(before - after)) <= limit


def test_decoded_arrays_are_writable_and_of_fixed_types():
    joints3d = np.arange(15.0).reshape(5, 3)
    record = make(
        joints3d=joints3d, joints2d=np.full((5, 2), 7.0), visible=[1, 0, -1, 1, 1],
        confidence=np.ones(5), joints3d_univ=np.full((5, 3), np.nan),
    )  # fmt: skip
    back = decode_record(encode_record(record, Precision(joints3d_mm=1, joints2d_px=1)))
    for name in ARRAY_FIELDS:
        array = getattr(back, name)
        assert array.dtype == getattr(record, name).dtype
        assert array.flags.writeable
        assert array.flags.owndata or array.base.flags.owndata
        array[...] = 0
    assert back.joints3d.dtype == np.float64


def test_all_none_and_some_joints_are_told_apart():
    everything, nothing = np.zeros((3, 3)), np.full((3, 3), np.nan)
    some = np.array([[1.0, 2, 3], [np.nan] * 3, [4, 5, 6]])
    for joints3d in (everything, nothing, some, np.zeros((0, 3))):
        back = decode_record(encode_record(make(joints3d=joints3d)))
        np.testing.assert_array_equal(back.joints3d, joints3d)
    stored = msgpack.unpackb(encode_record(make(joints3d=some)))["joints3d"]
    assert stored["joints"] == "ids"
    assert stored["count"] == 3
    assert decode_record(encode_record(make())).joints3d is None


def test_kilometre_coordinates_stay_exact_and_whole_pixels_shrink():
    world = np.array([[1234567.891, -2.0e6 + 1e-9, 3.3]])
    assert smallest_float(world, 0.0).dtype == np.float64
    back = decode_record(encode_record(make(joints3d=world)))
    np.testing.assert_array_equal(back.joints3d, world)
    assert smallest_float(np.array([1.0, 2.0, 2048.0]), 0.0).dtype == np.float16
    assert smallest_float(np.array([1.0, 4097.0]), 0.0).dtype == np.float32
    # float16 near 4 m is off by up to 2 mm: refused at a tolerance of 1 mm
    assert smallest_float(np.array([4097.0]), 0.9).dtype == np.float32
    assert smallest_float(np.array([1e6]), 1e3).dtype == np.float32  # float16 would overflow
    assert smallest_float(np.array([]), 0.0).dtype == np.float16


def test_a_mirrored_camera_survives():
    mirrored = Camera(
        R=np.diag([-1.0, 1, 1]), t=np.zeros(3), K=np.diag([50.0, 50, 1]), size=(40, 30)
    )
    back = decode_record(encode_record(make(camera=mirrored)))
    assert np.linalg.det(back.camera.R) == -1.0


def test_plain_msgpack_numpy_reads_a_record():
    data = encode_record(make(joints3d=np.ones((4, 3)), visible=np.ones(4)))
    plain = msgpack_numpy.unpackb(data)
    np.testing.assert_array_equal(plain["box"], [1.5, 2.0, 20.25, 25.0])
    np.testing.assert_array_equal(plain["joints3d"]["values"], np.ones((4, 3)))


# ---- what encoding refuses ----

NAN_ROW = np.array([[1.0, np.nan, 2.0]])
REFUSED = {
    "split": {"split": "training"},
    "id absolute": {"id": "/a"},
    "id up": {"id": "a/../b"},
    "id not NFC": {"id": "a\u0308"},
    "id control": {"id": "a\nb"},
    "id surrogate": {"id": "a\ud800"},
    "id long": {"id": "x" * 250},
    "id backslash": {"id": "a\\b"},
    "id folder": {"id": "a.msgpack/b"},
    "id empty": {"id": ""},
    "id type": {"id": 3},
    "image key": {"image_key": "a//b.jpg"},
    "image size": {"image_size": (0, 5)},
    "image size type": {"image_size": [4, 5]},
    "box nan": {"box": [1, 2, 3, math.nan]},
    "box flat": {"box": [1, 2, 0, 4]},
    "box shape": {"box": [1, 2, 3]},
    "half a joint": {"joints3d": NAN_ROW},
    "infinite": {"joints3d": NAN_ROW * 0 + math.inf},
    "joints width": {"joints2d": np.zeros((3, 3))},
    "visible": {"visible": np.array([2])},
    "visible number": {"visible": 1},
    "confidence": {"confidence": np.array([1.5])},
    "confidence nan": {"confidence": np.array([math.nan])},
    "raw absolute": {"raw": {"file": "/data/x.mp4"}},
    "raw windows": {"raw": {"file": "C:\\data\\x.mp4"}},
    "raw home": {"raw": {"file": "~/x.mp4"}},
    "raw type": {"raw": {"frame": 1.5}},
    "empty name": {"subject": ""},
    "frame": {"frame": -2},
    "frame type": {"frame": 1.0},
    "mask size": {"person_mask": Mask.from_array(np.zeros((40, 30), np.uint8))},
    "camera size": {
        "camera": Camera(R=np.eye(3), t=np.zeros(3), K=np.eye(3), size=(41, 30)),
    },
    "gender": {
        "body": BodyParameters(
            model="smpl", gender="f", pose=np.zeros(72), betas=[0], translation=[0, 0, 0]
        )
    },
    "pose": {
        "body": BodyParameters(
            model="smpl", gender="female", pose=np.zeros(71), betas=[0], translation=[0, 0, 0]
        )
    },
    "densepose": {
        "densepose": DensePosePoints(
            points=np.zeros((2, 2)), faces=np.zeros(3), barycentrics=np.zeros((3, 3))
        )
    },
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_broken_records_are_refused(changes):
    with pytest.raises(RecordError) as caught:
        encode_record(make(**changes))
    assert caught.value.rule


def test_values_of_the_wrong_kind_are_refused_at_construction():
    with pytest.raises(RecordError, match="no array of numbers"):
        make(box=["a", "b", "c", "d"])
    with pytest.raises(RecordError, match="visible"):
        make(visible=[0.5])
    with pytest.raises(RecordError, match="no array"):
        make(joints3d=[[1, 2], [3]])


def test_joint_count_follows_the_skeleton():
    skeleton = Skeleton.parse("two", joints="pelv head", edges="pelv-head")
    validate_record(make(joints3d=np.zeros((2, 3))), skeleton)
    with pytest.raises(JointCountError):
        validate_record(make(joints3d=np.zeros((3, 3))), skeleton)
    with pytest.raises(JointCountError):
        encode_record(make(joints3d=np.zeros((3, 3)), visible=np.zeros(2)))
    with pytest.raises(RecordError):
        Precision(joints3d_mm=-1)


# ---- what decoding survives ----


class Exploit:
    def __reduce__(self):
        raise AssertionError("never pickled for real")


def hostile_records():
    good = msgpack.unpackb(encode_record(make(joints3d=np.ones((2, 3)))))

    def array(**changes):
        return {b"nd": True, b"type": "<f8", b"kind": b"", b"shape": [4], b"data": b"\0" * 32,
                **{key.encode(): value for key, value in changes.items()}}  # fmt: skip

    payload = pickle.dumps(print)
    yield {**good, "box": array(type="|O", kind=b"O", data=payload)}
    yield {**good, "box": array(kind=b"V", type=[["a", "<f8"]])}
    yield {**good, "box": array(type="|S32", shape=[1])}
    yield {**good, "box": array(shape=[2**62, 2**62])}
    yield {**good, "box": array(shape=[-4])}
    yield {**good, "box": array(shape=[4, 1])}
    yield {**good, "box": array(data=b"\0" * 31)}
    yield {**good, "box": array(data="text")}
    yield {**good, "box": array(type="<i8")}
    yield {**good, "box": [1, 2, 3, 4]}
    yield {**good, "id": b"bytes"}
    yield {**good, "image_size": [1]}
    yield {**good, "image_size": [1, "2"]}
    yield {**good, "frame": "1"}
    yield {**good, "raw": []}
    joints = good["joints3d"]
    yield {**good, "joints3d": {**joints, "joints": "some"}}
    yield {**good, "joints3d": {**joints, "count": 2**40}}
    yield {**good, "joints3d": {**joints, "joints": "none", "count": 2**40}}
    ids = {**joints, "joints": "ids"}
    for bad in ([1, 0], [0, 9], [0, 0], []):
        stored = {b"nd": True, b"type": "|u1", b"kind": b"", b"shape": [len(bad)],
                  b"data": bytes(bad)}  # fmt: skip
        yield {**good, "joints3d": {**ids, "ids": stored}}
    yield {**good, "person_mask": {"size": [30, 40], "zcounts": b"garbage"}}
    yield {**good, "person_mask": 5}
    yield {**good, "camera": {}}
    yield {**good, "body": {"model": "smpl", "gender": "male"}}
    yield {**good, "densepose": {"faces": array(type="<i8")}}
    yield {key: value for key, value in good.items() if key != "id"}


@pytest.mark.parametrize("fields", list(hostile_records()))
def test_hostile_records_are_refused(fields):
    with pytest.raises(RecordError):
        decode_record(msgpack.packb(fields), where="x.barecat, key y")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_a_record_error(data):
    with pytest.raises(RecordError):
        decode_record(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_never_crash(data):
    record = make(
        joints3d=np.ones((9, 3)), camera=Camera.from_fov((40, 30), 1.0), subject="S1",
        person_mask=Mask.from_array(np.ones((30, 40), np.uint8)), visible=np.ones(9),
    )  # fmt: skip
    encoded = bytearray(encode_record(record))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RecordError):
        decode_record(bytes(encoded))
