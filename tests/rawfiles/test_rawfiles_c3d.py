"""C3D files in every number format, checked against an independent writer and reader."""

from __future__ import annotations

import contextlib

import ezc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rawfile_toys import write_c3d

from posepile_torch.errors import PosepileError, UnreadableRawFileError
from posepile_torch.rawfiles import parse_c3d, read_c3d

FRAMES, COUNT = 7, 5
POINTS = np.round(np.random.default_rng(0).uniform(-2000, 2000, (FRAMES, COUNT, 3)))
RESIDUALS = np.zeros((FRAMES, COUNT))
RESIDUALS[2, 3] = -1  # the file's mark for "not seen"
RESIDUALS[4, 1] = 0x0305  # two cameras (high byte), residual 5 (low byte)
LABELS = ["pelv", "rhip", "rkne", "rank", "neck"]


def write_with_ezc3d(path):
    file = ezc3d.c3d()
    data = np.ones((4, COUNT, FRAMES))
    data[:3] = POINTS.transpose(2, 1, 0) + 0.25
    data[:3, 3, 2] = np.nan
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = LABELS
    file["data"]["points"] = data
    file["data"]["meta_points"]["residuals"] = np.zeros((1, COUNT, FRAMES))
    file.write(str(path))


def test_file_of_another_writer(tmp_path):
    file = tmp_path / "a.c3d"
    write_with_ezc3d(file)
    found = read_c3d(file)
    expected = POINTS + 0.25
    expected[2, 3] = np.nan
    np.testing.assert_array_equal(found.points_mm, expected)
    assert found.labels == tuple(LABELS)
    assert (found.rate_hz, found.units, found.first_frame) == (50.0, "mm", 1)
    assert np.isnan(found.residuals_mm[2, 3])
    assert found.parameters["POINT"]["USED"] == COUNT


@pytest.mark.parametrize("processor", [84, 85, 86], ids=["intel", "dec", "sgi"])
@pytest.mark.parametrize("scale", [-1.0, -0.5, 0.25], ids=["float", "float scaled", "integer"])
@pytest.mark.parametrize("analog", [0, 6])
def test_number_formats(tmp_path, processor, scale, analog):
    file = tmp_path / "a.c3d"
    stored = np.round(POINTS / scale) if scale > 0 else POINTS
    write_c3d(
        file, stored, RESIDUALS, processor=processor, scale=scale, labels=LABELS, analog=analog
    )
    found = read_c3d(file)
    expected = stored * (scale if scale > 0 else 1.0)
    expected[2, 3] = np.nan
    np.testing.assert_array_equal(found.points_mm, expected)
    assert found.points_mm.dtype == np.float64
    assert found.residuals_mm[4, 1] == 5 * abs(scale)
    assert np.isnan(found.residuals_mm[2, 3])
    assert found.labels == tuple(LABELS)
    assert found.rate_hz == 50.0


def test_what_another_reader_says(tmp_path):
    file = tmp_path / "a.c3d"
    write_c3d(file, POINTS, RESIDUALS, labels=LABELS)
    other = ezc3d.c3d(str(file))["data"]["points"][:3].transpose(2, 1, 0)
    np.testing.assert_allclose(read_c3d(file).points_mm, other)


@pytest.mark.parametrize(("units", "factor"), [("m", 1000), ("cm", 10), ("mm", 1), ("MM", 1)])
def test_units_become_millimetres(tmp_path, units, factor):
    file = tmp_path / "a.c3d"
    write_c3d(file, POINTS, np.zeros_like(RESIDUALS), units=units)
    found = read_c3d(file)
    np.testing.assert_allclose(found.points_mm, POINTS * factor)
    assert found.units == units


@pytest.mark.parametrize("units", [None, "", "px"])
def test_units_that_are_not_known_must_be_given(tmp_path, units):
    file = tmp_path / "a.c3d"
    write_c3d(file, POINTS, np.zeros_like(RESIDUALS), units=units)
    with pytest.raises(UnreadableRawFileError, match="unit of length") as caught:
        read_c3d(file)
    assert "units='mm'" in caught.value.fix
    np.testing.assert_allclose(read_c3d(file, units="cm").points_mm, POINTS * 10)


def test_more_frames_than_the_header_can_say(tmp_path):
    file = tmp_path / "a.c3d"
    frames = 70_000
    points = np.zeros((frames, 1, 3))
    points[:, 0, 0] = np.arange(frames)
    write_c3d(file, points, np.zeros((frames, 1)), trial_frames=frames)
    assert read_c3d(file).points_mm[-1, 0, 0] == frames - 1


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.5, 0.9, 0.999],
                         ids=lambda share: f"fault-32 cut at {share}")  # fmt: skip
def test_cut_files(tmp_path, share):
    file = tmp_path / "a.c3d"
    points = np.tile(POINTS, (20, 1, 1))
    write_c3d(file, points, np.zeros(points.shape[:2]))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableRawFileError) as caught:
        read_c3d(file)
    assert caught.value.where == str(file)
    if share >= 0.5:
        assert f"of {20 * FRAMES} frames came" in caught.value.what


@pytest.mark.parametrize(
    "content",
    [b"\x02\x50", bytes(4096), b"\x02\x50" + bytes(4096)],
    ids=["fault-32 short", "fault-32 zeros", "fault-32 header only"],
)
def test_other_content(tmp_path, content):
    file = tmp_path / "a.c3d"
    file.write_bytes(content)
    with pytest.raises(UnreadableRawFileError):
        read_c3d(file)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1800), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_end_in_a_named_error(tmp_path_factory, changes):
    file = tmp_path_factory.getbasetemp() / "damaged.c3d"
    if not file.exists():
        write_c3d(file, POINTS, RESIDUALS, labels=LABELS, trial_frames=FRAMES)
    data = bytearray(file.read_bytes())
    for at, byte in changes:
        data[at % len(data)] = byte
    with contextlib.suppress(PosepileError):
        parse_c3d(bytes(data))
