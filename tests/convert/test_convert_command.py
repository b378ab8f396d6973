"""The verb ``convert`` and the pages about it: what they show runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import conversion_toys as toys
import pytest
from typer.testing import CliRunner

from posepile_torch import registry
from posepile_torch.archive.manifest import read_manifest
from posepile_torch.cli.main import build_app
from posepile_torch.convert import texts
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.report import ConversionReport
from posepile_torch.errors import ConversionError, UnknownNameError

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "converting.md").read_text(encoding="utf-8")


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setitem(registry._SOURCES, "toy", "conversion_toys:Toy")
    monkeypatch.setitem(registry._CONVERTERS, "toy", "conversion_toys:ToyConverter")

    def invoke(*arguments):
        return CliRunner().invoke(build_app(), [str(a) for a in arguments])

    return invoke


@pytest.fixture
def raw(tmp_path):
    return toys.write_raw(tmp_path / "raw")


def test_a_conversion_and_its_report(command, raw, tmp_path):
    done = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for text in ("6 (0 from an earlier run)", "records  18", f"{tmp_path}/out/toy ("):
        assert text in done.stdout
    again = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out")
    assert again.exit_code == 0
    assert "already converted" in again.stdout
    as_json = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out", "--json")
    report = json.loads(as_json.stdout)
    assert report["already_converted"] is True
    assert report["records"] == 18
    assert set(report) == {*ConversionReport.__dataclass_fields__, "frame_errors"}


def test_exit_codes_say_what_failed(command, raw, tmp_path):
    toys.tell(raw, {"take001/c1": "raise"})
    failed = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out")
    assert failed.exit_code == 1
    assert "take001/c1: the file is damaged" in failed.stdout
    assert "not published: run again to finish" in failed.stdout
    skipped = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out", "--skip-failed")
    assert skipped.exit_code == 1
    assert (tmp_path / "out" / "toy" / "manifest.json").is_file()
    toys.tell(raw, {})
    refused = command(
        "convert", "toy", "--raw", raw, "--out", tmp_path / "o2", "--plan", "min_box_side_px=1000"
    )
    assert refused.exit_code == 1
    assert "no records" in refused.stderr


def test_single_frames_that_fail_show_in_the_exit_code(command, raw, tmp_path, monkeypatch):
    original = toys.toy_frame

    def sometimes(converter, unit, frame, **changes):
        if frame == 1:
            changes["person"] = {"track": ""}
        return original(converter, unit, frame, **changes)

    monkeypatch.setattr(toys, "toy_frame", sometimes)
    done = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "6 × error: RecordError" in done.stdout
    assert (tmp_path / "out" / "toy").exists()


def test_choices_reach_the_manifest(command, raw, tmp_path):
    done = command(
        "convert", "toy", "--raw", raw, "--out", tmp_path / "out", "--only", "take00[01]*",
        "--plan", "jpeg_quality=70", "--plan", "precision.joints3d_mm=0.5",
        "--option", "offset_mm=10", "--keep-parts",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "of some units only" in done.stdout
    manifest = read_manifest(tmp_path / "out" / "toy")
    assert manifest.plan["jpeg_quality"] == 70
    assert manifest.plan["options"] == {"offset_mm": 10.0, "note": ""}
    assert manifest.plan["selection"]["only"] == ["take00[01]*"]
    assert manifest.precision.joints3d_mm == 0.5
    assert len(list((tmp_path / "out").glob(".converting-toy/parts-*/*.part"))) == 2


def test_a_dry_run_writes_nothing(command, raw, tmp_path):
    arguments = ("convert", "toy", "--raw", raw, "--out", tmp_path / "out", "--dry-run")
    done = command(*arguments)
    assert done.exit_code == 0
    assert "6 units (5 train, 1 test)" in done.stdout
    assert "take003/c1" in done.stdout
    assert not (tmp_path / "out").exists()
    assert json.loads(command(*arguments, "--json").stdout)["units"] == {"train": 5, "test": 1}


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--plan", "jpeg_qualty=3", "jpeg_quality"),
        ("--plan", "jpeg_quality=high", "type int"),
        ("--plan", "jpeg_quality=1000", "1..100"),
        ("--plan", "precision=1", "no single number"),
        ("--plan", "jpeg_quality.x=1", "no single number"),
        ("--plan", "jpeg_quality", "name=value"),
        ("--option", "offset=3", "offset_mm"),
        ("--option", "offset_mm=wide", "type float"),
        ("--executor", "clod", "process"),
    ],
)
def test_wrong_choices_are_explained(command, raw, tmp_path, option, text, said):
    done = command("convert", "toy", "--raw", raw, "--out", tmp_path / "out", option, text)
    assert done.exit_code in (1, 2)
    assert said in done.output
    assert not (tmp_path / "out" / "toy").exists()


def test_texts_become_values_of_their_types():
    plan = texts.changed_plan(Plan(), ["scale_room=2", "full_frame=true", "box_margin = 1.5"])
    assert (plan.scale_room, plan.full_frame, plan.box_margin) == (2.0, True, 1.5)
    assert isinstance(plan.scale_room, float)
    with pytest.raises(ConversionError, match="full_frame=1"):
        texts.changed_plan(Plan(), ["full_frame=1"])
    with pytest.raises(UnknownNameError):
        texts.changed_plan(Plan(), ["precision.joints=1"])
    settings = texts.parsed_parameters(
        ["slurm_partition=cpu", "timeout_min=240", 'slurm_additional_parameters={"a": "b"}']
    )
    assert settings == {
        "slurm_partition": "cpu",
        "timeout_min": 240,
        "slurm_additional_parameters": {"a": "b"},
    }


# ---- the pages ----------------------------------------------------------------------------------


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_commands_of_the_page_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = "".join(blocks(PAGE, "bash")).replace("\\\n", " ").splitlines()
    assert len(commands) >= 9
    for line in commands:
        name, *arguments = shlex.split(line)
        if name == "mv":
            Path(arguments[0]).rename(arguments[1])
            continue
        assert name == "posepile"
        done = CliRunner().invoke(build_app(), arguments)
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert read_manifest(Path("archives/merged")).plan["merged"][1]["name"] == "few"


@pytest.mark.slow
def test_the_program_of_the_page_runs(tmp_path, monkeypatch, mannequin_raw, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "mannequin").symlink_to(mannequin_raw)
    (program,) = blocks(PAGE, "python")
    exec(compile(program, "docs/converting.md", "exec"), {"__name__": "__main__"})
    assert "archives/mannequin" in capsys.readouterr().out


def test_the_pages_name_every_option_and_executor():
    from typer.main import get_command

    verb = get_command(build_app()).commands["convert"]
    told = PAGE + (DOCS / "slurm.md").read_text(encoding="utf-8")
    for parameter in verb.params:
        for option in parameter.opts:
            if option.startswith("--") and option not in ("--help", "--json", "--raw", "--out"):
                assert f"`{option}" in told or f" {option} " in told, option
    for kind in ("inline", "process", "thread", "dask", "slurm"):
        assert f"| `{kind}` |" in PAGE


def test_options_of_the_slurm_page_exist():
    from typer.main import get_command

    page = (DOCS / "slurm.md").read_text(encoding="utf-8")
    known = {o for p in get_command(build_app()).commands["convert"].params for o in p.opts}
    lines = [block for block in blocks(page, "bash") if "posepile convert" in block]
    assert len(lines) == 4
    for block in lines:
        ours = block[block.index("posepile convert") :]
        assert set(re.findall(r"(?<= )--[a-z-]+", ours)) <= known
