"""CDF files as Human3.6M uses them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from cdflib.cdfwrite import CDF
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import PosepileError, UnreadableRawFileError
from posepile_torch.rawfiles import read_cdf

FRAMES = 8
POSE = np.arange(FRAMES * 96, dtype=np.float32).reshape(1, FRAMES, 96)


def write(path, *, compressed):
    file = CDF(str(path), {"Majority": "row_major", "Compressed": 6 if compressed else 0})
    variable = {"Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
    file.write_var({"Variable": "Pose", "Dim_Sizes": [FRAMES, 96], **variable}, var_data=POSE)
    file.write_var({"Variable": "Other", "Dim_Sizes": [2], **variable}, var_data=POSE[:, 0, :2])
    file.close()


@pytest.mark.parametrize("compressed", [False, True])
def test_reading(tmp_path, compressed):
    file = tmp_path / "Greeting 1.cdf"
    write(file, compressed=compressed)
    found = read_cdf(file)
    assert sorted(found) == ["Other", "Pose"]
    np.testing.assert_array_equal(found["Pose"], POSE, strict=True)
    assert list(read_cdf(file, ["Pose"])) == ["Pose"]
    with pytest.raises(UnreadableRawFileError, match="no variable 'pose'") as caught:
        read_cdf(file, ["pose"])
    assert "Pose" in caught.value.fix


@pytest.mark.parametrize("compressed", [False, True], ids=["fault-32 cut", "fault-32 cut packed"])
def test_cut_files(tmp_path, compressed):
    file = tmp_path / "a.cdf"
    write(file, compressed=compressed)
    data = file.read_bytes()
    for end in (4, 10, 100, 350, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:end])
        with pytest.raises(UnreadableRawFileError) as caught:
            read_cdf(file)
        assert caught.value.where == str(file)


@pytest.mark.parametrize(
    "content",
    [b"CDF", bytes(4000), b"\x89HDF\r\n\x1a\n" + bytes(600)],
    ids=["fault-32 short", "fault-32 zeros", "fault-32 other format"],
)
def test_other_content(tmp_path, content):
    file = tmp_path / "a.cdf"
    file.write_bytes(content)
    with pytest.raises(UnreadableRawFileError):
        read_cdf(file)


@settings(deadline=None, max_examples=60)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_damaged_files_end_in_a_named_error(tmp_path_factory, compressed, changes):
    file = tmp_path_factory.mktemp("cdf") / "a.cdf"
    write(file, compressed=compressed)
    data = bytearray(file.read_bytes())
    for at, byte in changes:
        data[at % len(data)] = byte
    file.write_bytes(data)
    with contextlib.suppress(PosepileError):
        read_cdf(file)
