"""MATLAB files of both generations give the same values, or one clear error."""

from __future__ import annotations

import contextlib
import math

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from rawfile_toys import cell, opaque_element, structs, write_mat_v73

from posepile_torch.errors import PosepileError, RawFileTooLargeError, UnreadableRawFileError
from posepile_torch.rawfiles import iter_mat_cells, list_mat, mat_list, read_mat

VARIABLES = {
    "joints": np.arange(24.0).reshape(2, 3, 4),
    "scalar": np.array([[1.5]]),
    "small": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "single": np.array([[0.5, 0.25]], np.float32),
    "signed": np.array([[-3], [4]], np.int16),
    "valid": np.array([[True, False, True]]),
    "wave": np.array([[1 + 2j, -1j]]),
    "nothing": np.zeros((0, 0)),
    "flat": np.zeros((0, 3)),
    "name": "S1 Greeting \u00e9",
    "blank": "",
    "cells": cell([np.arange(3.0).reshape(1, 3), "abc"], [np.zeros((0, 0)), cell(["inner"])]),
    "info": {"k": np.ones((2, 2)), "deeper": {"z": "q"}},
    "people": structs({"x": np.array([[1.0]]), "id": "a"}, {"x": np.array([[2.0]]), "id": "b"}),
}
WRITERS = {
    "v5": lambda path, variables: scipy.io.savemat(path, variables),
    "v7": lambda path, variables: scipy.io.savemat(path, variables, do_compression=True),
    "v7.3": write_mat_v73,
}


def assert_same(found, expected):
    if isinstance(expected, str):
        assert found == expected
    elif isinstance(expected, dict):
        assert list(found) == list(expected) or sorted(found) == sorted(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif expected.dtype.names:
        assert found.shape == expected.shape
        assert found.dtype == object
        for at in np.ndindex(expected.shape):
            assert_same(found[at], {n: expected[at][n] for n in expected.dtype.names})
    elif expected.dtype == object:
        assert found.shape == expected.shape
        for at in np.ndindex(expected.shape):
            assert_same(found[at], expected[at])
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("version", WRITERS)
def test_all_kinds_of_values(tmp_path, version):
    file = tmp_path / "a.mat"
    WRITERS[version](file, VARIABLES)
    found = read_mat(file)
    assert sorted(found) == sorted(VARIABLES)
    for name, expected in VARIABLES.items():
        assert_same(found[name], expected)


@pytest.mark.parametrize("version", WRITERS)
def test_only_what_is_asked_for(tmp_path, version):
    file = tmp_path / "a.mat"
    WRITERS[version](file, VARIABLES)
    assert list(read_mat(file, ["small", "name"])) == ["small", "name"]
    with pytest.raises(UnreadableRawFileError, match="'joint'") as caught:
        read_mat(file, ["joint"])
    assert "joints" in caught.value.fix
    listed = {v.name: (v.shape, v.matlab_class) for v in list_mat(file)}
    assert listed["joints"] == ((2, 3, 4), "double")
    assert listed["valid"] == ((1, 3), "logical")
    assert listed["cells"] == ((2, 2), "cell")
    assert listed["people"] == ((1, 2), "struct")
    assert listed["name"][1] == "char"
    assert listed["flat"][0] == (0, 3)
    with pytest.raises(RawFileTooLargeError, match="max_bytes"):
        read_mat(file, ["joints"], max_bytes=100)


@pytest.mark.parametrize("version", WRITERS)
def test_cells_and_structs_as_lists(tmp_path, version):
    file = tmp_path / "a.mat"
    WRITERS[version](file, VARIABLES)
    found = read_mat(file, ["cells", "people", "info"])
    linear = [
        cells[at] for cells in [VARIABLES["cells"]] for at in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    for elements in (mat_list(found["cells"]), list(iter_mat_cells(file, "cells"))):
        assert len(elements) == 4
        for element, expected in zip(elements, linear, strict=True):
            assert_same(element, expected)
    assert [person["id"] for person in mat_list(found["people"])] == ["a", "b"]
    assert mat_list(found["info"]) == [found["info"]]
    assert mat_list(np.empty((0, 0), object)) == []
    with pytest.raises(UnreadableRawFileError, match="no cell array"):
        list(iter_mat_cells(file, "joints"))
    with pytest.raises(UnreadableRawFileError, match="no variable"):
        list(iter_mat_cells(file, "cell"))


def test_types_that_matlab_stores_smaller_or_differently(tmp_path):
    file = tmp_path / "a.mat"
    # MATLAB stores doubles that are small integers as bytes, and logicals as bytes with a flag.
    data = bytearray(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM")
    flags = {"plain": 6, "flag": 9 | 0x200}
    for name, bits in flags.items():
        body = np.array([6, 8, bits, 0, 5, 8, 1, 3], "<u4").tobytes()
        body += np.array([1 | len(name) << 16], "<u4").tobytes() if len(name) <= 4 else b""
        body += name.encode()[:4] if len(name) <= 4 else (
            np.array([1, len(name)], "<u4").tobytes() + name.encode().ljust(8, b"\0")
        )  # fmt: skip
        body += np.array([2 | 3 << 16], "<u4").tobytes() + bytes([1, 0, 7, 0])
        data += np.array([14, len(body)], "<u4").tobytes() + body
    file.write_bytes(data)
    found = read_mat(file)
    np.testing.assert_array_equal(found["plain"], [[1.0, 0.0, 7.0]], strict=True)
    np.testing.assert_array_equal(found["flag"], [[True, False, True]], strict=True)


@pytest.mark.parametrize("version", ["v5", "v7"])
def test_sparse_and_character_matrices(tmp_path, version):
    file = tmp_path / "a.mat"
    dense = np.array([[0, 2.5, 0], [1, 0, 0]])
    WRITERS[version](file, {
        "s": scipy.sparse.csc_matrix(dense), "c": scipy.sparse.csc_matrix(dense * 1j),
        "b": scipy.sparse.csc_matrix(dense != 0), "rows": np.array(["one  ", "three"]),
    })  # fmt: skip
    found = read_mat(file)
    for name, expected in (("s", dense), ("c", dense * 1j), ("b", dense != 0)):
        assert isinstance(found[name], scipy.sparse.csc_array)
        np.testing.assert_array_equal(found[name].toarray(), expected)
    assert found["rows"] == ["one  ", "three"]


def test_sparse_v73(tmp_path):
    file = tmp_path / "a.mat"
    write_mat_v73(file, {"x": np.ones((1, 1))})
    dense = np.array([[0, 2.5, 0], [1, 0, 0]])
    matrix = scipy.sparse.csc_matrix(dense)
    with h5py.File(file, "r+") as opened:
        group = opened.create_group("s")
        group.attrs["MATLAB_class"] = np.bytes_("double")
        group.attrs["MATLAB_sparse"] = np.uint64(2)
        group["data"], group["ir"], group["jc"] = matrix.data, matrix.indices, matrix.indptr
    assert list_mat(file)[0].shape == (2, 3)
    np.testing.assert_array_equal(read_mat(file, ["s"])["s"].toarray(), dense)


# ---- fault 31 ----------------------------------------------------------------------------


def v73_object(path):
    write_mat_v73(path, {"x": np.ones((1, 1))})
    with h5py.File(path, "r+") as opened:
        item = opened.create_dataset("cam", data=np.array([[0xDD000000, 2, 1, 1, 1, 1]], "u4"))
        item.attrs["MATLAB_class"] = np.bytes_("cameraParameters")
        item.attrs["MATLAB_object_decode"] = np.int32(3)


def v5_object(path):
    scipy.io.savemat(path, {"x": np.ones((1, 1))})
    path.write_bytes(path.read_bytes() + opaque_element("cam", "cameraParameters"))


@pytest.mark.parametrize(
    "write", [v5_object, v73_object], ids=lambda write: f"fault-31 opaque object {write.__name__}"
)
def test_object_of_a_matlab_class_is_named(tmp_path, write):
    file = tmp_path / "cameraParams.mat"
    write(file)
    for variables in (None, ["cam"]):
        with pytest.raises(UnreadableRawFileError, match="'cameraParameters'") as caught:
            read_mat(file, variables)
        assert f"{file}: cam" in caught.value.where
        assert "struct(x)" in caught.value.fix
    np.testing.assert_array_equal(read_mat(file, ["x"])["x"], [[1.0]])
    assert {v.name: v.is_object for v in list_mat(file)} == {"x": False, "cam": True}


def test_object_inside_a_cell_is_named_with_its_place(tmp_path):
    file = tmp_path / "a.mat"
    scipy.io.savemat(file, {"c": cell([1.0, 2.0])})
    data = file.read_bytes()
    first = data.index(b"\x0e\0\0\0", 136)  # the first element of the cell
    length = int.from_bytes(data[first + 4 : first + 8], "little")
    inner = opaque_element("", "string")
    changed = bytearray(data[:first] + inner + data[first + 8 + length :])
    grown = int.from_bytes(data[132:136], "little") + len(inner) - 8 - length
    changed[132:136] = grown.to_bytes(4, "little")
    file.write_bytes(changed)
    with pytest.raises(UnreadableRawFileError, match="'string'") as caught:
        read_mat(file)
    assert caught.value.where.endswith("c{1,1}")


@pytest.mark.parametrize("order", ["<", ">"], ids=lambda order: f"fault-31 version 4 {order}")
def test_version_4_is_refused_by_name(tmp_path, order):
    file = tmp_path / "old.mat"
    code = 0 if order == "<" else 1000
    header = np.array([code, 1, 1, 0, 2], f"{order}i4").tobytes()
    file.write_bytes(header + b"x\0" + np.array([1.0], f"{order}f8").tobytes() + bytes(100))
    with pytest.raises(UnreadableRawFileError, match="version 4") as caught:
        read_mat(file)
    assert "-v7" in caught.value.fix


@pytest.mark.parametrize("version", WRITERS, ids=lambda version: f"fault-31 version {version}")
def test_the_version_is_found_whatever_the_name(tmp_path, version):
    file = tmp_path / "annot.data"
    WRITERS[version](file, {"a": np.eye(2)})
    np.testing.assert_array_equal(read_mat(file)["a"], np.eye(2))


@pytest.mark.parametrize("version", WRITERS, ids=lambda version: f"fault-32 cut {version}")
def test_cut_files(tmp_path, version):
    file = tmp_path / "a.mat"
    WRITERS[version](file, VARIABLES)
    data = file.read_bytes()
    ends = {len(data) - 1, *range(1, len(data), max(1, len(data) // 60))}
    # between two variables nothing tells a cut file from a shorter one: v5 keeps no count
    borders = set()
    at = 128
    while version != "v7.3" and at < len(data):
        borders.add(at)
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    for end in sorted(ends - borders):
        file.write_bytes(data[:end])
        with pytest.raises(UnreadableRawFileError):
            read_mat(file)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(sorted(WRITERS)),
    st.lists(st.tuples(st.integers(124, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_files_end_in_a_named_error(tmp_path_factory, version, changes):
    file = tmp_path_factory.mktemp("mat") / "a.mat"
    WRITERS[version](
        file, {k: VARIABLES[k] for k in ("joints", "cells", "people", "name", "wave")}
    )
    data = bytearray(file.read_bytes())
    for at, byte in changes:
        data[at % len(data)] = byte
    file.write_bytes(data)
    with contextlib.suppress(PosepileError):
        read_mat(file, max_bytes=1 << 24)


def test_announced_sizes_are_not_believed(tmp_path):
    file = tmp_path / "a.mat"
    scipy.io.savemat(
        file, {"c": cell([1.0, 2.0]), "bomb": np.zeros((1, 2_000_000))}, do_compression=True
    )
    assert file.stat().st_size < 20_000
    with pytest.raises(RawFileTooLargeError):
        read_mat(file, ["bomb"], max_bytes=1_000_000)
    scipy.io.savemat(file, {"c": cell([1.0, 2.0])})
    data = bytearray(file.read_bytes())
    at = data.index(np.array([5, 8, 1, 2], "<u4").tobytes(), 136) + 12
    data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(UnreadableRawFileError, match="do not fit"):
        read_mat(file)


# ---- v7.3 only ---------------------------------------------------------------------------


def test_links_out_of_the_file_are_refused(tmp_path):
    file, other = tmp_path / "a.mat", tmp_path / "secret.h5"
    with h5py.File(other, "w") as opened:
        opened["s"] = np.arange(3.0)
    write_mat_v73(file, {"x": np.ones((1, 1))})
    with h5py.File(file, "r+") as opened:
        opened["out"] = h5py.ExternalLink(other.name, "s")
    with pytest.raises(UnreadableRawFileError, match="another place or file"):
        read_mat(file)


def test_circles_of_references_end(tmp_path):
    file = tmp_path / "a.mat"
    write_mat_v73(file, {"c": cell(["x"])})
    with h5py.File(file, "r+") as opened:
        opened["c"][0, 0] = opened["c"].ref
    with pytest.raises(UnreadableRawFileError, match="nested too deeply"):
        read_mat(file)


def test_plain_hdf5_without_marks(tmp_path):
    file = tmp_path / "a.mat"
    with h5py.File(file, "w") as opened:
        opened["annot2"] = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(read_mat(file)["annot2"], np.arange(6.0).reshape(3, 2).T)
    assert math.prod(list_mat(file)[0].shape) == 6
