"""HDF5 files, without what leads out of them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from posepile_torch.errors import RawFileTooLargeError, UnreadableRawFileError
from posepile_torch.rawfiles import Hdf5File


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.smc"
    with h5py.File(path, "w") as opened:
        opened.attrs["actor_id"] = "0007"
        opened.attrs["height"] = 1.8
        opened["Camera_5mp/0/color/0"] = np.arange(5, dtype=np.uint8)
        opened["Camera_5mp/1/color/0"] = np.arange(6, dtype=np.uint8)
        opened["faces"] = np.arange(6).reshape(2, 3)
    return path


def test_reading(file):
    with Hdf5File(file) as opened:
        assert opened.names() == ("Camera_5mp", "faces")
        assert opened.names("Camera_5mp") == ("0", "1")
        assert list(opened.datasets()) == [
            "Camera_5mp/0/color/0", "Camera_5mp/1/color/0", "faces",
        ]  # fmt: skip
        assert list(opened.datasets("Camera_5mp/1")) == ["Camera_5mp/1/color/0"]
        assert opened.attributes() == {"actor_id": "0007", "height": 1.8}
        assert "Camera_5mp/0" in opened
        assert "Camera_5mp/2" not in opened
        assert opened.shape("faces") == (2, 3)
        np.testing.assert_array_equal(opened.read("faces"), [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(opened.read("faces", np.s_[1, :2]), [3, 4])
        with pytest.raises(UnreadableRawFileError, match="no dataset 'face'"):
            opened.read("face")
        with pytest.raises(UnreadableRawFileError, match="a group, not a dataset"):
            opened.read("Camera_5mp")
        with pytest.raises(UnreadableRawFileError, match="a dataset, not a group"):
            opened.names("faces")


def test_size_limit(file):
    with Hdf5File(file, max_bytes=8) as opened:
        np.testing.assert_array_equal(opened.read("faces", np.s_[0]), [0, 1, 2])
        with pytest.raises(RawFileTooLargeError, match="selection"):
            opened.read("faces")


def test_what_leads_out_of_the_file_is_refused(file, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as opened:
        opened["secret"] = np.arange(3)
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(24))
    with h5py.File(file, "r+") as opened:
        opened["soft"] = h5py.SoftLink("/faces")
        opened["external"] = h5py.ExternalLink("other.h5", "secret")
        opened.create_dataset("outside", (3,), "i8", external=[(str(raw), 0, 24)])
        layout = h5py.VirtualLayout((3,), "i8")
        layout[:] = h5py.VirtualSource(str(other), "secret", (3,))
        opened.create_virtual_dataset("virtual", layout)
    with Hdf5File(file) as opened:
        for name in ("soft", "external", "outside", "virtual"):
            with pytest.raises(UnreadableRawFileError, match="another place or file"):
                opened.read(name)


def test_groups_that_contain_themselves(file):
    with h5py.File(file, "r+") as opened:
        opened["Camera_5mp/again"] = opened["Camera_5mp"]
    with (
        Hdf5File(file) as opened,
        pytest.raises(UnreadableRawFileError, match="nested too deeply"),
    ):
        list(opened.datasets())


def read_all(file):
    with Hdf5File(file) as opened:
        return [opened.read(name) for name in opened.datasets()]


def test_cut_and_foreign_files(file):
    data = file.read_bytes()
    for end in (8, 100, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:end])
        with pytest.raises(UnreadableRawFileError):
            read_all(file)
    file.write_bytes(b"PK\x03\x04 not HDF5")
    with pytest.raises(UnreadableRawFileError, match="zip archive"), Hdf5File(file):
        pass
