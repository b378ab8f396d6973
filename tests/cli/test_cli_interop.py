"""The verbs ``import-legacy`` and ``export``, from the shell's side."""

import json

import pytest
from raw import posepile as toys
from typer.testing import CliRunner

from posepile_torch.archive import open_archive
from posepile_torch.archive.legacy import LegacyArchive
from posepile_torch.cli import main


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    return toys.write_legacy(tmp_path_factory.mktemp("legacy"), 8)


def run(*arguments):
    return CliRunner().invoke(main.build_app(), [str(argument) for argument in arguments])


def test_there_and_back(legacy, tmp_path):
    """PosePile archive to archive to HDF5 to archive to PosePile archive."""
    root = tmp_path / "archives"
    done = run("--root", root, "import-legacy", legacy, "--name", "toy")
    assert done.exit_code == 0, done.output
    assert "on the midline" in done.output
    done = run("--root", root, "export", "toy", "--format", "hdf5", "--out", tmp_path / "x.h5",
               "--images")  # fmt: skip
    assert done.exit_code == 0, done.output
    done = run("import-legacy", tmp_path / "x.h5", "--name", "again", "--out", root, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["records"] == 8
    with open_archive(root / "toy") as first, open_archive(root / "again") as second:
        assert first.manifest.content_digests == second.manifest.content_digests
    out = tmp_path / "old"
    done = run("--root", root, "export", "again", "--format", "schema0", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["records"], report["lost"]) == (8, {})
    with open_archive(out) as archive:
        assert isinstance(archive, LegacyArchive)
        assert len(archive) == 8


def test_one_split_in_npz(legacy, tmp_path):
    out = tmp_path / "val.npz"
    done = run("export", legacy, "--format", "npz", "--out", out, "--split", "val", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["records"] == 2


def test_losses_are_shown(legacy, tmp_path):
    done = run("export", legacy, "--format", "schema0", "--out", tmp_path / "o",
               "--legacy-float16")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "records" in done.output
    assert str(tmp_path / "o") in done.output.replace("\n", "")


def test_options_of_the_import(tmp_path):
    path = toys.write_legacy(
        tmp_path / "a",
        2,
        lambda i: toys.fields_3d(i, parameters=toys.parameters()),
        with_images=False,
    )
    images = tmp_path / "images"
    for i in range(2):
        file = images / toys.image_path(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(toys.picture(i))
    arguments = ["import-legacy", path, "--name", "toy", "--out", tmp_path / "archives"]
    missing = run(*arguments)
    assert missing.exit_code == 1
    assert "cannot be imported" in missing.output
    assert "the image is missing" in missing.output
    done = run(*arguments, "--images", images, "--body-unit", "mm", "--restart")
    assert done.exit_code == 0, done.output
    with open_archive(tmp_path / "archives" / "toy") as archive:
        assert archive.record(0).body.translation[2] == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["export", "nothing", "--format", "npz", "--out", "x"], 2),
        (["export", "nothing", "--format", "csv", "--out", "x"], 2),
        (["import-legacy", "nothing", "--name", "x"], 2),
        (["import-legacy", "nothing", "--name", "x", "--skeleton", "coco"], 2),
    ],
)
def test_what_cannot_run(arguments, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == code


@pytest.mark.parametrize("verb", ["view", "report"])
def test_posepile_archives_can_be_looked_at(legacy, tmp_path, verb):
    out = tmp_path / ("sheet.png" if verb == "view" else "page.html")
    done = run(verb, legacy, "--out", out)
    assert done.exit_code == 0, done.output
    assert out.stat().st_size > 1000
