"""The verbs ``backgrounds`` and ``occluders``."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from posepile_torch.cli import backgrounds
from posepile_torch.cli.main import ErrorReportingGroup
from posepile_torch.transforms.backgrounds import BackgroundBank
from posepile_torch.transforms.occluders import OccluderBank


@pytest.fixture
def run():
    app = typer.Typer(cls=ErrorReportingGroup)
    backgrounds.register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png", "people.png"):
        picture = np.random.default_rng(len(name)).integers(0, 256, (80, 90, 4), np.uint8)
        (folder / name).write_bytes(cv2.imencode(".png", picture)[1])
    return folder


def test_build_and_show(run, photos, tmp_path):
    listing = tmp_path / "people.txt"
    listing.write_text("people\n")
    out = tmp_path / "bank"
    result = run("backgrounds", "build", photos, "--out", out, "--side", 64, "--exclude", listing)
    assert result.exit_code == 0, result.output
    assert "2 backgrounds of 64 px" in result.output
    assert "skipped 1: excluded" in result.output
    assert f'"bank": "{out}"' in result.output
    assert len(BackgroundBank.open(out)) == 2
    shown = run("backgrounds", "show", out, "--verify")
    assert shown.exit_code == 0
    assert "every pixel is as it was written" in shown.output
    values = json.loads(run("backgrounds", "show", out, "--json").output)
    assert values["pictures"] == 2
    assert values["names"] == ["a.png", "b.png"]
    assert values["skipped"] == {"excluded": 1}
    assert values["bytes"] == 2 * 64 * 64 * 3


def test_a_bank_is_not_replaced_unasked(run, photos, tmp_path):
    out = tmp_path / "bank"
    arguments = ("backgrounds", "build", photos, "--out", out, "--side", 32)
    assert run(*arguments).exit_code == 0
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output
    assert run(*arguments, "--overwrite").exit_code == 0


def test_occluders(run, photos, tmp_path):
    out = tmp_path / "things"
    result = run("occluders", "build", photos, "--out", out, "--longest", 45)
    assert result.exit_code == 0, result.output
    assert "3 occluders of" in result.output
    assert len(OccluderBank.open(out)) == 3
    assert run("occluders", "show", out).exit_code == 0
    wrong = run("backgrounds", "show", out)
    assert wrong.exit_code == 1
    assert "occluders" in wrong.output


def test_damage_and_absence_are_told(run, photos, tmp_path):
    missing = run("backgrounds", "show", tmp_path / "nowhere")
    assert missing.exit_code == 1
    assert "posepile backgrounds build" in missing.output
    out = tmp_path / "bank"
    run("backgrounds", "build", photos, "--out", out, "--side", 32)
    data = bytearray((out / "pixels.npy").read_bytes())
    data[-1] ^= 1
    (out / "pixels.npy").write_bytes(data)
    assert run("backgrounds", "show", out).exit_code == 0
    assert run("backgrounds", "show", out, "--verify").exit_code == 1
