"""npy and npz: as numpy reads them, without its pickles."""

from __future__ import annotations

import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import (
    MissingRawFileError,
    PosepileError,
    RawFileTooLargeError,
    UnreadableRawFileError,
    UnsafePickleError,
)
from posepile_torch.rawfiles import list_npz, parse_npy, read_npy, read_npz

ARRAYS = {
    "f4": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3), np.int16),
    "text": np.array(["a", "\u00e9t\u00e9"]),
    "bytes": np.array([b"ab", b"c"]),
    "big": np.arange(3, dtype=">i4"),
    "records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8", (2,))]),
    "flags": np.array([True, False]),
    "days": np.array(["2020-01-01"], "M8[D]"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_as_numpy_reads_them(tmp_path, name):
    array = ARRAYS[name]
    file = tmp_path / "a.npy"
    np.save(file, array)
    for found in (read_npy(file), read_npy(file, memory_map=True), parse_npy(file.read_bytes())):
        np.testing.assert_array_equal(found, array, strict=True)
        assert found.flags.f_contiguous == np.load(file).flags.f_contiguous
    assert read_npy(file).flags.writeable
    if array.size:
        assert not read_npy(file, memory_map=True).flags.writeable


@pytest.mark.parametrize("compressed", [False, True])
def test_npz(tmp_path, compressed):
    file = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(file, **ARRAYS)
    found = read_npz(file)
    assert list(found) == list(ARRAYS) == list(list_npz(file))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert list(read_npz(file, ["text", "f4"])) == ["text", "f4"]
    with pytest.raises(UnreadableRawFileError, match="no array 'txt'") as caught:
        read_npz(file, ["txt"])
    assert "text" in caught.value.fix


def test_zeros_are_no_zip_bomb_and_limits_hold(tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, a=np.zeros(3_000_000))
    assert file.stat().st_size < 40_000
    assert read_npz(file)["a"].shape == (3_000_000,)
    with pytest.raises(UnreadableRawFileError, match="bytes"):
        read_npz(file, max_bytes=1_000_000)
    np.save(tmp_path / "a.npy", np.zeros(1000))
    with pytest.raises(RawFileTooLargeError):
        read_npy(tmp_path / "a.npy", max_bytes=8000)
    assert read_npy(tmp_path / "a.npy", memory_map=True, max_bytes=8000).shape == (1000,)


def test_names_that_differ_in_case(tmp_path):
    np.savez(tmp_path / "a.npz", J=np.ones(1), j=np.zeros(1))
    assert read_npz(tmp_path / "a.npz") == {"J": [1.0], "j": [0.0]}


def test_objects_need_a_profile(tmp_path):
    value = {"pose": np.eye(3), "gender": "f", "frames": [1, 2]}
    np.save(tmp_path / "a.npy", value)
    np.savez(tmp_path / "a.npz", meta=value, plain=np.ones(2))
    for read in (lambda **k: read_npy(tmp_path / "a.npy", **k),
                 lambda **k: read_npz(tmp_path / "a.npz", **k)["meta"]):  # fmt: skip
        with pytest.raises(UnsafePickleError, match="pickled Python objects") as caught:
            read()
        assert "profile=" in caught.value.fix
        found = read(profile="numpy")
        assert found.shape == ()
        np.testing.assert_array_equal(found.item()["pose"], np.eye(3))
        assert found.item()["frames"] == [1, 2]
    assert read_npz(tmp_path / "a.npz", ["plain"])["plain"].tolist() == [1, 1]


def test_rows_of_objects(tmp_path):
    rows = np.empty(2, object)
    rows[:] = [{"frame": 0, "bbox": [1, 2]}, None]
    np.save(tmp_path / "a.npy", rows)
    assert read_npy(tmp_path / "a.npy", profile="numpy").tolist() == rows.tolist()


def test_python_2_headers():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 1L), }".ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    np.testing.assert_array_equal(parse_npy(data + np.ones(2).tobytes()), [[1.0], [1.0]])


def cut_points(length: int) -> list[int]:
    return sorted({1, 6, 9, length // 3, length // 2, length - 1})


@pytest.mark.parametrize("kind", ["npy", "npz"], ids=lambda kind: f"fault-32 cut {kind}")
def test_cut_files(tmp_path, kind):
    file = tmp_path / f"a.{kind}"
    read = read_npy if kind == "npy" else read_npz
    (np.save if kind == "npy" else np.savez)(file, np.arange(500.0))
    data = file.read_bytes()
    for end in cut_points(len(data)):
        file.write_bytes(data[:end])
        with pytest.raises(UnreadableRawFileError) as caught:
            read(file)
        assert str(file) in caught.value.where
        assert caught.value.fix
    file.write_bytes(data + b"more" if kind == "npy" else data[4:])
    with pytest.raises(UnreadableRawFileError):
        read(file)


@pytest.mark.parametrize("kind", ["npy", "npz"], ids=lambda kind: f"fault-32 missing {kind}")
def test_missing_files(tmp_path, kind):
    with pytest.raises(MissingRawFileError):
        (read_npy if kind == "npy" else read_npz)(tmp_path / f"a.{kind}")


def test_flipped_byte_in_npz_is_found(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, a=np.arange(500.0))
    data = bytearray(file.read_bytes())
    data[2000] ^= 1
    file.write_bytes(data)
    with pytest.raises(UnreadableRawFileError, match="CRC"):
        read_npz(file)


def test_hostile_headers():
    def npy(header: str, data: bytes = b"") -> bytes:
        text = header.encode("latin1")
        return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + data

    for header in (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}",
        "__import__('os').system('true')",
        "(" * 3000,
        "{'descr': '<f8'}",
        "",
    ):
        with pytest.raises(UnreadableRawFileError):
            parse_npy(npy(header, bytes(8)))


def test_members_that_are_no_arrays(tmp_path):
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("notes.txt", "hello")
        buffer = io.BytesIO()
        np.save(buffer, np.ones(2))
        archive.writestr("a.npy", buffer.getvalue())
    assert read_npz(file, ["a"])["a"].tolist() == [1, 1]
    with pytest.raises(UnreadableRawFileError, match=r"notes\.txt|no npy"):
        read_npz(file)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_end_in_a_named_error(changes):
    buffer = io.BytesIO()
    np.save(buffer, ARRAYS["records"])
    data = bytearray(buffer.getvalue())
    for at, byte in changes:
        data[at % len(data)] = byte
    with contextlib.suppress(PosepileError):
        parse_npy(bytes(data), profile="numpy")
