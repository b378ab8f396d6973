"""The verb ``mannequin``."""

import json

import pytest
import typer
from typer.testing import CliRunner

from posepile_torch.cli import mannequin
from posepile_torch.errors import MannequinError


@pytest.fixture
def app():
    app = typer.Typer()
    app.callback()(lambda: None)
    mannequin.register(app)
    return app


def run(app, *words):
    return CliRunner().invoke(app, ["mannequin", *map(str, words)])


def test_renders_what_was_asked_for(app, tmp_path):
    few = ["--takes", 2, "--frames", 2, "--cameras", 1, "--people", 1, "--size", "96x64"]
    result = run(app, "--out", tmp_path / "raw", *few, "--marks", "--video-share", 0, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["images"] == 4
    assert summary["takes"] == {"train": 1, "val": 0, "test": 1}
    index = json.loads((tmp_path / "raw" / "mannequin.json").read_text())
    assert index["marks"] is True
    assert index["size"] == [96, 64]
    assert {take["images"] for take in index["takes"]} == {"stills"}
    again = run(app, "--out", tmp_path / "raw", *few)
    assert isinstance(again.exception, MannequinError)


def test_says_in_one_line_what_was_rendered(app, tmp_path):
    few = ["--takes", 1, "--frames", 1, "--cameras", 1, "--size", "96x64", "--video-share", 0]
    result = run(app, "--out", tmp_path / "raw", *few)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 images in 1 takes (1 train, 0 val, 0 test)")


@pytest.mark.parametrize("size", ["640", "640x", "x480", "640 x 480", "-2x4"])
def test_a_size_that_is_none_is_refused(app, tmp_path, size):
    result = run(app, "--out", tmp_path / "raw", "--size", size)
    assert result.exit_code == 2
    assert not (tmp_path / "raw").exists()


def test_defaults_are_those_of_the_library(app):
    import inspect

    from posepile_torch.mannequin import MannequinOptions

    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(mannequin.mannequin).parameters.items()
    }
    options = MannequinOptions()
    for name in ("seed", "takes", "frames", "cameras", "people", "fps", "video_share", "marks"):
        assert defaults[name] == getattr(options, name), name
    assert defaults["size"] == "{}x{}".format(*options.size)
