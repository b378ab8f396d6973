"""Finding and checking model files: every mistake has its message."""

import hashlib
import os
import pickle
import sys
import types
from pathlib import Path

import body_toys
import numpy as np
import pytest

from posepile_torch.body import find_body_file, load_body_model, read_body_file
from posepile_torch.body.files import FOLDER_VARIABLE
from posepile_torch.errors import (
    BodyModelError,
    BodyModelNotFoundError,
    UnknownNameError,
    UnreadableRawFileError,
    UnsafePickleError,
)


def test_missing_file_says_all_that_is_needed(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    with pytest.raises(BodyModelNotFoundError, match=FOLDER_VARIABLE):
        find_body_file("smpl")
    body_toys.write(tmp_path / "smpl" / "SMPL_MALE.pkl", f=None)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(BodyModelNotFoundError) as caught:
        load_body_model("smpl", "neutral", needed_by="dataset 3dpw")
    for part in (
        "SMPL neutral needed by dataset 3dpw", "SMPL_NEUTRAL.pkl",
        "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", str(tmp_path / "smpl"), "SMPL_MALE.pkl",
        "https://smpl.is.tue.mpg.de",
    ):  # fmt: skip
        assert part in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)


def test_known_names_are_found_in_order_and_in_any_case(tmp_path):
    folder = tmp_path / "smpl"
    folder.mkdir()
    for name in ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "smpl_female.pkl"):
        (folder / name).touch()
        assert find_body_file("smpl", "female", folder=tmp_path).name == name
    amass = tmp_path / "smplh" / "male" / "model.npz"
    amass.parent.mkdir(parents=True)
    amass.touch()
    assert find_body_file("smplh", "male", folder=tmp_path) == amass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.full((6890, 24), 0.05)}, "row 0 of weights sums to 1.2"),
        ({"J_regressor": np.zeros((24, 6890))}, "row 0 of J_regressor sums to 0"),
        ({"posedirs": np.zeros((6890, 3, 93))}, "posedirs has the shape"),
        ({"v_template": np.full((6890, 3), np.nan)}, "no finite numbers"),
        ({"f": np.full((13776, 3), 6890)}, "faces refer to vertices"),
        ({"posedirs": None}, "no posedirs"),
    ],
)
def test_damaged_files(tmp_path, changes, message):
    path = body_toys.write(tmp_path / "SMPL_NEUTRAL.pkl", **changes)
    with pytest.raises(BodyModelError, match=message) as caught:
        read_body_file(path, "smpl")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("joint", "parent"), [(0, 0), (5, 9), (3, 77)])
def test_wrong_trees(tmp_path, joint, parent):
    table = body_toys.fields("smpl")["kintree_table"]
    table[0, joint] = parent
    path = body_toys.write(tmp_path / "SMPL_NEUTRAL.pkl", kintree_table=table)
    with pytest.raises(BodyModelError, match=f"has the parent {parent}"):
        read_body_file(path, "smpl")


def test_files_of_another_model_or_gender(tmp_path):
    mano = body_toys.write(tmp_path / "SMPL_NEUTRAL.pkl", "mano")
    with pytest.raises(BodyModelError, match=r"this is MANO .* not SMPL"):
        read_body_file(mano, "smpl")
    with pytest.raises(BodyModelError, match="neutral by its name"):
        read_body_file(mano, "smpl", "male")
    with pytest.raises(BodyModelError, match="STAR is not supported"):
        load_body_model("star", folder=tmp_path)
    with pytest.raises(UnknownNameError, match="smplx"):
        load_body_model("smpl-x", folder=tmp_path)
    odd = body_toys.write(tmp_path / "SMPLX_NEUTRAL.npz", "smplx", 16)
    with pytest.raises(BodyModelError, match="16 components"):
        read_body_file(odd, "smplx")
    assert read_body_file(odd, "smplx", num_expression=6).shape_basis.shape[2] == 10


def test_arrays_are_frozen_and_the_hash_is_that_of_the_file(tmp_path):
    path = body_toys.write(tmp_path / "MANO_RIGHT.pkl", "mano")
    file = read_body_file(path, "mano")
    with pytest.raises(ValueError, match="read-only"):
        file.template[0] = 1
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.parents[:5] == (-1, 0, 1, 2, 0)
    assert np.abs(file.mean_pose[1:]).min() > 0


class Hostile:
    def __reduce__(self):
        return os.system, ("touch should_not_exist",)


def test_hostile_pickles_run_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({"v_template": Hostile()}))
    with pytest.raises(UnsafePickleError):
        read_body_file(path, "smpl")
    assert not (tmp_path / "should_not_exist").exists()
    path.write_bytes(pickle.dumps(body_toys.fields("mano"))[:1000])
    with pytest.raises(UnreadableRawFileError):
        read_body_file(path, "smpl")


def test_chumpy_pickles_are_understood(tmp_path, monkeypatch):
    """The golden chumpy files are too small for a model; their fields are read all the same."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "rawfiles")
    from golden_pickles import golden_pickle

    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(golden_pickle("smpl_python27_p2"))
    with pytest.raises(BodyModelError, match="no posedirs, weights;"):
        read_body_file(path, "smpl")
    assert "chumpy" not in sys.modules


def test_a_whole_model_of_chumpy_variables_and_sparse_matrices(tmp_path, monkeypatch):
    """MANO as it is downloaded: ``Ch`` with its value under ``x``, a CSC joint regressor."""
    sparse = pytest.importorskip("scipy.sparse")
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    raw = body_toys.fields("mano")
    variable = module.Ch()
    variable.x = raw["shapedirs"]
    regressor = sparse.csc_matrix(raw["J_regressor"])
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(raw | {"shapedirs": variable, "J_regressor": regressor}, 2))
    monkeypatch.undo()
    file = read_body_file(path, "mano")
    np.testing.assert_array_equal(file.shape_basis, raw["shapedirs"])
    np.testing.assert_array_equal(file.joint_regressor, raw["J_regressor"])
