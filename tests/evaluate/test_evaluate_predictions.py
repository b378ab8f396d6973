"""Files of predictions, their conversion, and the slips that are found in them."""

import dataclasses
import json

import evaluation_toys as toys
import numpy as np
import pytest

from posepile_torch.errors import PosepileError, PredictionError
from posepile_torch.evaluate import MetricSpec, Predictions, evaluate, keys_of_ids, over_seeds
from posepile_torch.evaluate.coco_results import read_predictions
from posepile_torch.evaluate.report import to_latex
from posepile_torch.evaluate.suspicion import find_suspicion
from posepile_torch.evaluate.tables import is_table, read_table, write_table

ENDINGS = (".npz", ".json", ".parquet", ".arrow", ".feather")


def test_capability_97_predictions_are_keyed_by_image_and_order_means_nothing(tmp_path):
    gt = toys.poses(20)
    truth = toys.truth(gt)
    results = []
    for seed in (1, 2, 3):
        pred = toys.poses(20, seed)
        straight = toys.predictions(pred, name=f"seed {seed}")
        order = np.random.default_rng(seed).permutation(20)
        path = toys.shuffled(straight, order).write(tmp_path / f"{seed}.npz")
        first = evaluate(toys.PROTOCOL, straight, truth)
        results.append(evaluate(toys.PROTOCOL, Predictions.read(path), truth))
        assert results[-1].values == first.values
    summary = over_seeds(results)
    numbers = [result["MPJPE"].value for result in results]
    assert summary.values[0].mean == pytest.approx(np.mean(numbers))
    assert summary.values[0].std == pytest.approx(np.std(numbers))  # population, not sample
    row = to_latex(results, summary).splitlines()[-1]
    assert row.startswith(rf"seed 1 (and 2 more) & {np.mean(numbers):.1f} $\pm$ ")
    lacking = toys.shuffled(straight, np.arange(19))
    with pytest.raises(PredictionError, match="1 of 20 annotated people"):
        evaluate(toys.PROTOCOL, lacking, truth)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_table_back(tmp_path, ending):
    rng = np.random.default_rng(0)
    joints = toys.poses(4)
    joints[1, 2] = np.nan
    extras = {
        "score": rng.random(4),
        "confidence": rng.random((4, 7)),
        "vertices": rng.normal(0, 300, (4, 11, 3)),
        "rotations": np.tile(np.eye(3), (4, 7, 1, 1)),
        "track": np.array(["a", "b", "ü", ""]),
    }
    written = toys.predictions(joints, extras=extras, name="mine")
    again = Predictions.read(written.write(tmp_path / f"pred{ending}"))
    assert again.name == "mine"
    assert again.skeleton == toys.SKELETON
    assert again.space == "camera"
    np.testing.assert_array_equal(again.joints, joints)
    np.testing.assert_array_equal(again.image, written.image)
    np.testing.assert_array_equal(again.person, written.person)
    assert again.extras.keys() == extras.keys()
    for name, column in extras.items():
        np.testing.assert_array_equal(again.extras[name], column)
    assert [path.name for path in tmp_path.iterdir()] == [f"pred{ending}"]


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("cm", 10), ("m", 1000)])
def test_lengths_become_millimetres_once(tmp_path, unit, factor):
    gt = toys.poses(3)
    meta = {"skeleton": toys.SKELETON.to_dict(), "unit": unit, "space": "camera"}
    columns = {
        "image": np.array(["i000", "i001", "i002"]),
        "joints": gt / factor,
        "vertices": gt.astype(np.float32) / factor,
    }
    read = Predictions.read(write_table(tmp_path / "p.npz", meta, columns))
    np.testing.assert_allclose(read.joints, gt)
    np.testing.assert_allclose(read.extras["vertices"], gt, rtol=1e-6)
    assert read.extras["vertices"].dtype == np.float32
    assert read.name == "p"


def test_a_table_can_name_a_standard_skeleton(tmp_path):
    meta = {"skeleton": "coco_17", "unit": "px", "space": "image"}
    columns = {"image": np.array(["a"]), "joints": np.zeros((1, 17, 2))}
    path = write_table(tmp_path / "p.json", meta, columns)
    assert Predictions.read(path).skeleton.joints[0] == "nose"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": None}, "not stated: unit"),
        ({"skeleton": None, "space": None}, "not stated: skeleton, space"),
        ({"unit": "px"}, "unit 'px' in 'camera' space"),
        ({"unit": "inch"}, "unit 'inch'"),
        ({"space": "room"}, "space 'room'"),
        ({"skeleton": "coco_18"}, "unknown skeleton 'coco_18'"),
    ],
)
def test_facts_must_be_stated(tmp_path, change, message):
    meta = {"skeleton": toys.SKELETON.to_dict(), "unit": "mm", "space": "camera"} | change
    meta = {name: value for name, value in meta.items() if value is not None}
    columns = {"image": np.array(["a"]), "joints": np.zeros((1, 7, 3))}
    path = write_table(tmp_path / "p.npz", meta, columns)
    with pytest.raises(PosepileError, match=message):
        Predictions.read(path)


def test_broken_files_name_themselves_and_the_rule(tmp_path):
    np.savez(tmp_path / "bare.npz", image=np.array(["a"]))
    with pytest.raises(PredictionError, match="no facts about the columns"):
        read_table(tmp_path / "bare.npz")
    with pytest.raises(PredictionError, match=r"no such file[\s\S]*none.npz"):
        read_table(tmp_path / "none.npz")
    with pytest.raises(PredictionError, match=r"the ending '\.pkl'"):
        read_table(tmp_path / "pred.pkl")
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(PredictionError, match="no object with the key 'meta'"):
        read_table(tmp_path / "list.json")
    (tmp_path / "ragged.json").write_text(json.dumps({"meta": {}, "joints": [[1, 2], [3]]}))
    with pytest.raises(PredictionError, match="no regular array"):
        read_table(tmp_path / "ragged.json")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(PredictionError, match="cannot be read"):
        read_table(tmp_path / "cut.parquet")
    path = write_table(tmp_path / "l.npz", {}, {"image": np.array(["a"]), "joints": np.zeros(2)})
    with pytest.raises(PredictionError, match="columns of different lengths"):
        read_table(path)
    meta = {"skeleton": toys.SKELETON.to_dict(), "unit": "mm", "space": "camera"}
    path = write_table(tmp_path / "m.npz", meta, {"person": np.array(["a"])})
    with pytest.raises(PredictionError, match="no column image, joints"):
        Predictions.read(path)


def test_numbers_that_are_ids_are_spelled_as_integers():
    written = toys.predictions(toys.poses(2), image=np.array([12, 7]), person=np.array([0.0, 1.0]))
    assert written.image.tolist() == ["12", "7"]
    assert written.person.tolist() == ["0", "1"]


def test_ids_of_records_split_into_image_and_person():
    image, person = keys_of_ids(["take/c1/000012_3", "a_b/5_s_1", "plain"])
    assert image.tolist() == ["take/c1/000012", "a_b/5_s", "plain"]
    assert person.tolist() == ["3", "1", ""]


def test_coco_results_are_read_for_protocols_of_2d_joints(tmp_path):
    flat = [value for joint in range(7) for value in (10.0 * joint, 5.0, 0.5)]
    entries = [
        {"image_id": 7, "keypoints": flat, "score": 0.9, "area": 10, "category_id": 1},
        {"image_id": 5, "keypoints": flat, "score": 0.8, "area": 11, "note": "x"},
        {"image_id": 7, "keypoints": flat, "score": 0.7, "area": 12},
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    protocol = toys.protocol(
        MetricSpec("EPE", "epe", unit="px"), target="joints2d", space="image", root=None
    )
    read = read_predictions(path, protocol)
    assert read.image.tolist() == ["7", "5", "7"]
    assert read.person.tolist() == ["0", "0", "1"]
    assert read.extras.keys() == {"confidence", "score", "area"}
    assert read.joints[2, 6].tolist() == [60.0, 5.0]
    with pytest.raises(PredictionError, match="no object with the key 'meta'"):
        read_predictions(path, toys.PROTOCOL)
    written_ = toys.predictions(toys.poses(2)[..., :2]).write(tmp_path / "ours.json")
    assert len(read_predictions(written_, protocol)) == 2
    for wrong, message in (
        ([{}], "no list of COCO"),
        ([entries[0] | {"keypoints": [1]}], "1 num"),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(PredictionError, match=message):
            read_predictions(path, protocol)


def test_files_of_benchmarks_are_told_from_tables(tmp_path):
    (tmp_path / "coco.json").write_text('{"images": [], "meta": {}}')
    np.savez(tmp_path / "other.npz", joints=np.zeros(3))
    assert not is_table(tmp_path / "coco.json")
    assert not is_table(tmp_path / "other.npz")
    assert not is_table(tmp_path / "annotations.mat")
    for ending in ENDINGS:
        assert is_table(toys.predictions(toys.poses(1)).write(tmp_path / f"p{ending}"))


def test_fault_a_millimetre_metre_slip_is_an_error():
    gt = toys.poses(5)
    for factor, guess in (
        (1e-3, "metres: multiply by 1000"),
        (0.1, "centimetres"),
        (1e3, "micro"),
    ):
        with pytest.raises(PredictionError, match=guess):
            evaluate(toys.PROTOCOL, toys.predictions(gt * factor), toys.truth(gt))


def swapped_sides(pred):
    return pred[:, np.array(toys.SKELETON.mirror)]


def mirrored(pred):
    return pred * [-1, 1, 1]


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        (swapped_sides, "left and right joints are swapped"),
        (mirrored, "the x axis points the other way"),
        (lambda pred: pred * [1, -1, -1], "the y and z axes point the other way"),
        (lambda pred: pred[..., [0, 2, 1]], "true y is given as z, true z is given as y"),
    ],
)
def test_fault_swapped_sides_and_wrong_axes_are_said(slip, words):
    gt = toys.poses(40)
    pred = gt + np.random.default_rng(1).normal(0, 15, gt.shape)
    result = evaluate(toys.PROTOCOL, toys.predictions(slip(pred)), toys.truth(gt))
    (note,) = [note for note in result.notes if "look as if" in note]
    assert words in note
    assert "nothing was corrected" in note


def test_poor_but_honest_predictions_are_not_suspected():
    gt = toys.poses(60)
    for noise in (0, 20, 80, 200):
        pred = gt + np.random.default_rng(noise).normal(0, noise, gt.shape)
        assert find_suspicion(pred, gt, toys.SKELETON) is None
    rest = np.tile(toys.poses(60).mean(0), (60, 1, 1))  # the same pose for everybody
    assert find_suspicion(rest, gt, toys.SKELETON) is None
    assert find_suspicion(np.full_like(gt, np.nan), gt, toys.SKELETON) is None


def test_a_slip_in_image_coordinates_is_said():
    gt = toys.poses(40)[..., :2]
    found = find_suspicion(gt[..., ::-1], gt, toys.SKELETON)
    assert found is not None
    assert "true x is given as y" in found.change


def test_seeds_share_their_definition():
    gt = toys.poses(4)
    one = evaluate(toys.PROTOCOL, toys.predictions(gt), toys.truth(gt))
    other = evaluate(toys.PROTOCOL, toys.predictions(gt), toys.truth(gt), on_missing="skip")
    for results in ([], [one, other], [one, dataclasses.replace(one, truth="elsewhere")]):
        with pytest.raises(PosepileError, match="seeds share protocol"):
            over_seeds(results)
