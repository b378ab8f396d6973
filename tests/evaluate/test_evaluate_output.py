"""Ground truth from archives and tables, the verb, and everything that is written."""

import csv
import dataclasses
import io
import json

import cv2
import evaluation_toys as toys
import numpy as np
import pytest
from typer.testing import CliRunner

from posepile_torch import collate
from posepile_torch.archive import open_archive
from posepile_torch.cli.main import build_app
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate import (
    Frames,
    Predictions,
    PredictionWriter,
    Switch,
    evaluate,
    load_truth,
)
from posepile_torch.evaluate.plots import worst_people, write_plots
from posepile_torch.evaluate.report import escaped, to_csv, to_latex
from posepile_torch.evaluate.results import library_version
from posepile_torch.evaluate.tables import write_table
from posepile_torch.registry import load_protocol, load_source

PROTOCOL = load_protocol("mannequin/mpjpe")


def written(archives, path, *, noise_mm=0.0, seed=0, name="net"):
    """Predictions of a net that knows the truth up to noise, as a training loop writes them."""
    source = load_source("mannequin")(archives, split="test")
    writer = PredictionWriter(source.skeleton, name=name)
    rng = np.random.default_rng(seed)
    for start in range(0, len(source), 3):
        rows = range(start, min(start + 3, len(source)))
        batch = collate([source[row] for row in rows])
        noise = rng.normal(0, noise_mm, tuple(batch.joints3d.shape)) if noise_mm else 0.0
        writer.add(batch, batch.joints3d.numpy() + noise)
    assert len(writer) == len(source)
    return writer.write(path)


def run(archives, *arguments):
    return CliRunner().invoke(build_app(), ["--root", str(archives), "eval", *map(str, arguments)])


def test_the_truth_of_an_archive_is_that_of_its_records(mannequin_archives):
    archive = open_archive(mannequin_archives / "mannequin")
    truth = load_truth(PROTOCOL, mannequin_archives / "mannequin")
    rows = archive.rows(split="test")
    assert len(truth) == len(rows)
    record = archive.record(int(rows[3]))
    np.testing.assert_array_equal(truth.joints[3], record.joints3d)
    assert f"{truth.image[3]}_{truth.person[3]}" == record.id
    assert truth.labels["subject"][3] == record.subject
    assert truth.labels["camera"][3] == record.camera_name
    assert truth.frame[3] == record.frame
    assert truth.fingerprint == archive.fingerprint
    np.testing.assert_array_equal(truth.position[3], record.camera.t)
    # crops are turned towards people, so their cameras are not those of the benchmark
    with pytest.raises(ProtocolError, match="write the predictions in world space"):
        truth.in_space("camera")


def test_frames_subjects_cameras_and_sequences_are_selected_by_name(mannequin_archives):
    path = mannequin_archives / "mannequin"
    whole = load_truth(PROTOCOL, path)

    def chosen(**rules):
        return load_truth(dataclasses.replace(PROTOCOL, frames=Frames(**rules)), path)

    subject, camera = whole.labels["subject"][0], whole.labels["camera"][0]
    assert set(chosen(subjects=(subject,)).labels["subject"]) == {subject}
    assert set(chosen(cameras=(camera,)).labels["camera"]) == {camera}
    assert len(chosen(splits=("val", "test"))) > len(whole)
    stepped = chosen(step=2, offset=1)
    np.testing.assert_array_equal(np.unique(stepped.frame % 2), [1])
    sequence = whole.labels["sequence"][0]
    with pytest.raises(ProtocolError, match=f"no annotated person[^|]*without {sequence}"):
        chosen(exclude_sequences=(sequence,))
    with pytest.raises(ProtocolError, match="no annotated person"):
        chosen(activities=("flying",))
    expected = chosen(expected=1000)
    assert expected.notes == (f"{len(whole)} people are evaluated; the published evaluation has"
                              " 1000",)  # fmt: skip


def test_an_archive_of_something_else_or_converted_otherwise_is_refused(mannequin_archives):
    path = mannequin_archives / "mannequin"
    with pytest.raises(ProtocolError, match="the archive holds 'mannequin'"):
        load_truth(toys.PROTOCOL, path)
    other = Switch("jpeg_quality", 50, "changes pixels")
    with pytest.raises(ProtocolError, match="converted with jpeg_quality=95"):
        load_truth(dataclasses.replace(PROTOCOL, switches=(other,)), path)
    silent = Switch("h36m_correct_s9", True, "moves S9 by 200 mm")
    truth = load_truth(dataclasses.replace(PROTOCOL, switches=(silent,)), path)
    assert "does not say whether it was converted with h36m_correct_s9=True" in truth.notes[0]
    with pytest.raises(ProtocolError, match="no record has joints3d_univ"):
        load_truth(dataclasses.replace(PROTOCOL, target="joints3d_univ"), path)
    with pytest.raises(ProtocolError, match="an archive holds no vertices"):
        load_truth(dataclasses.replace(PROTOCOL, target="vertices"), path)


def test_a_training_loop_writes_predictions_that_are_exact(mannequin_archives, tmp_path):
    path = written(mannequin_archives, tmp_path / "pred.npz")
    truth = load_truth(PROTOCOL, mannequin_archives / "mannequin")
    result = evaluate(PROTOCOL, Predictions.read(path), truth)
    assert result["MPJPE"].value < 0.01  # float32 millimetres at several metres
    assert result["PCK@150"].value == 100
    assert result["AUC-31"].value == pytest.approx(100 * 30 / 31)
    assert result.counts.coverage == 1


def raw_reader(protocol, path, body_models):
    """Reads a benchmark's own file."""
    joints = np.loadtxt(path / "joints.txt").reshape(-1, 7, 3)
    return toys.truth(joints, notes=(f"models in {body_models.name}",))


def test_truth_comes_from_tables_and_raw_files_too(tmp_path):
    gt = toys.poses(4)
    meta = {"skeleton": toys.SKELETON.to_dict(), "unit": "m", "space": "camera"}
    columns = {
        "image": np.array([f"i{i:03d}" for i in range(4)]),
        "person": np.full(4, "0"),
        "joints": gt / 1000,
        "activity": np.array(list("aabb")),
        "frame": np.arange(4),
        "vertices": np.zeros((4, 2, 3)),
    }
    truth = load_truth(toys.PROTOCOL, write_table(tmp_path / "gt.npz", meta, columns))
    np.testing.assert_allclose(truth.joints, gt)
    assert truth.labels["activity"].tolist() == list("aabb")
    assert truth.extras["vertices"].shape == (4, 2, 3)
    np.testing.assert_array_equal(truth.frame, np.arange(4))
    del columns["joints"]
    with pytest.raises(ProtocolError, match="no column joints"):
        load_truth(toys.PROTOCOL, write_table(tmp_path / "no.npz", meta, columns))
    np.savetxt(tmp_path / "joints.txt", gt.reshape(4, -1), fmt="%.17g")
    raw = toys.protocol(raw_truth=f"{__name__}:raw_reader")
    truth = load_truth(raw, tmp_path, body_models=tmp_path / "smpl")
    np.testing.assert_array_equal(truth.joints, gt)
    assert truth.notes == ("models in smpl",)
    with pytest.raises(ProtocolError, match="is annotated twice"):
        toys.truth(gt, image=np.array(["a", "a", "b", "c"]))


def test_eval_prints_numbers_with_their_definition(mannequin_archives, tmp_path):
    path = written(mannequin_archives, tmp_path / "pred.npz", noise_mm=20.0)
    shown = run(mannequin_archives, "mannequin/mpjpe", "--pred", path)
    assert shown.exit_code == 0, shown.output
    for words in (
        "mannequin/mpjpe@1: net", "PCK@150 ↑", "mean of means per activity", "similarity",
        "8 of 8 annotated people evaluated (100.00 %); missing predictions: error",
        "per subject", "per joint", f"posepile_torch {library_version()}",
    ):  # fmt: skip
        assert words in shown.output


def test_eval_writes_json_csv_and_latex_of_one_result(mannequin_archives, tmp_path):
    path = written(mannequin_archives, tmp_path / "pred.npz", noise_mm=20.0)
    arguments = ("mannequin/mpjpe", "--pred", path, "--gt", mannequin_archives / "mannequin")
    data = json.loads(run(mannequin_archives, *arguments, "--json").stdout)
    (result,) = data["results"]
    value = result["values"][0]
    assert result["protocol"] == "mannequin/mpjpe@1"
    assert result["version"] == library_version()
    assert result["counts"]["coverage"] == 1
    assert (value["unit"], value["root"], value["alignment"]) == ("mm", "pelv", "none")
    assert (len(value["joints"]), value["n_samples"], value["n_values"]) == (19, 8, 152)
    rows = list(csv.DictReader(io.StringIO(run(mannequin_archives, *arguments, "--csv").stdout)))
    headline = rows[0]
    assert float(headline["value"]) == value["value"]  # to the last digit
    assert headline["protocol"] == "mannequin/mpjpe@1"
    joints = [row for row in rows if row["metric"] == "MPJPE" and row["breakdown"] == "joint"]
    assert [row["label"] for row in joints] == list(PROTOCOL.joints)
    latex = run(mannequin_archives, *arguments, "--latex").stdout.splitlines()
    assert latex[0].startswith("% mannequin/mpjpe@1, posepile_torch ")
    assert r"PCK@150 (\%) $\uparrow$" in latex[-3]
    assert latex[-1].startswith(f"net & {value['value']:.1f} & ")
    assert latex[-1].endswith(r" \\")


def test_eval_of_several_files_adds_mean_and_population_std(mannequin_archives, tmp_path):
    files = [
        written(mannequin_archives, tmp_path / f"{s}.npz", noise_mm=20.0, seed=s, name=f"seed{s}")
        for s in (1, 2)
    ]
    arguments = ["mannequin/mpjpe", *(a for file in files for a in ("--pred", file))]
    data = json.loads(run(mannequin_archives, *arguments, "--json").stdout)
    first, second = (result["values"][0]["value"] for result in data["results"])
    summary = data["over_seeds"]["values"][0]
    assert summary["mean"] == pytest.approx((first + second) / 2)
    assert summary["std"] == pytest.approx(abs(first - second) / 2)
    shown = run(mannequin_archives, *arguments).output
    assert "mean and population std of 2 files" in shown
    assert r"$\pm$" in run(mannequin_archives, *arguments, "--latex").output


def test_eval_lists_and_explains(mannequin_archives):
    listed = run(mannequin_archives, "--list")
    assert "mannequin/mpjpe@1" in listed.stdout
    names = [entry["name"] for entry in json.loads(
        run(mannequin_archives, "--list", "--json").stdout)]  # fmt: skip
    assert "mannequin/mpjpe" in names
    told = run(mannequin_archives, "explain", "mannequin/mpjpe").stdout
    assert "choices and their sources" in told
    assert "any published benchmark: the data are synthetic" in told


def test_eval_says_what_is_wrong(mannequin_archives, tmp_path):
    path = written(mannequin_archives, tmp_path / "pred.npz")
    given = Predictions.read(path)
    part = toys.shuffled(given, np.arange(len(given) - 1)).write(tmp_path / "part.json")
    missing = run(mannequin_archives, "mannequin/mpjpe", "--pred", part)
    assert missing.exit_code == 1
    assert "1 of 8 annotated people have no usable prediction" in missing.output
    skipped = run(mannequin_archives, "mannequin/mpjpe", "--pred", part, "--on-missing", "skip")
    assert skipped.exit_code == 0
    assert "7 of 8 annotated people evaluated (87.50 %)" in skipped.output
    flipped = dataclasses.replace(given, joints=given.joints * [1, -1, 1])
    warned = run(
        mannequin_archives, "mannequin/mpjpe", "--pred", flipped.write(tmp_path / "flip.npz")
    )
    assert warned.exit_code == 0
    assert "the y axis points the other way" in warned.stderr
    unknown = run(mannequin_archives, "mannequin/mpjep", "--pred", path)
    assert unknown.exit_code == 2
    assert "did you mean mannequin/mpjpe" in unknown.output
    assert run(mannequin_archives, "mannequin/mpjpe").exit_code == 2
    both = run(mannequin_archives, "mannequin/mpjpe", "--pred", path, "--csv", "--json")
    assert both.exit_code == 2


def test_plots_show_bars_curves_and_the_worst_people(mannequin_archives, tmp_path):
    path = written(mannequin_archives, tmp_path / "pred.npz", noise_mm=20.0)
    folder = tmp_path / "plots"
    done = run(mannequin_archives, "mannequin/mpjpe", "--pred", path, "--plots", folder)
    assert done.exit_code == 0, done.output
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "joints-mpjpe.png", "joints-pa-mpjpe.png", "joints-pck-150.png", "joints-auc-31.png",
        "pck.png", "worst-0-net.png",
    }  # fmt: skip
    for name in names:
        picture = cv2.imread(str(folder / name))
        assert picture.std() > 5, f"{name} shows something"


def test_the_worst_person_comes_first_with_both_skeletons(mannequin_archives, tmp_path):
    truth = load_truth(PROTOCOL, mannequin_archives / "mannequin")
    joints = truth.joints.copy()
    joints[5, 4] += [0, 300.0, 0]  # the top of one head is too high
    wrong = Predictions(
        image=truth.image, person=truth.person, joints=joints, skeleton=truth.skeleton,
        space="world",
    )  # fmt: skip
    result = evaluate(PROTOCOL, wrong, truth)
    pictures = []
    for i, given in enumerate((wrong, dataclasses.replace(wrong, joints=truth.joints))):
        path = worst_people(PROTOCOL, given, result, truth, tmp_path / f"{i}.png", count=1)
        pictures.append(cv2.imread(str(path)).astype(int))
    # the same person both times, so that only the wrong bone differs
    changed = (pictures[0] != pictures[1]).any(-1).mean()
    assert 0 < changed < 0.1
    with pytest.raises(ProtocolError, match="no images to draw on"):
        worst_people(
            PROTOCOL, wrong, result, dataclasses.replace(truth, rows=None), tmp_path / "x"
        )
    without = dataclasses.replace(truth, rows=None)
    paths = write_plots(tmp_path / "p", PROTOCOL, [(wrong, result)], without)
    assert all("worst" not in path.name for path in paths)


def test_tables_escape_what_latex_reserves():
    gt = toys.poses(3)
    result = evaluate(toys.PROTOCOL, toys.predictions(gt, name="a_b & 50%"), toys.truth(gt))
    assert to_latex([result]).splitlines()[-1].startswith(r"a\_b \& 50\% & 0.0 & ")
    assert escaped("mm²{x}") == r"mm\textsuperscript{2}\{x\}"
    assert to_csv([result]).count("\n") == 1 + sum(
        1 + len(v.also) + sum(map(len, v.breakdowns.values())) for v in result.values
    )
