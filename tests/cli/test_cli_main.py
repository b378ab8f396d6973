"""The frame of the command: what it imports, how it reports errors, where results go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from posepile_torch.cli import main, output
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveNotFoundError,
    MissingDependencyError,
    MissingRawFileError,
    PosepileError,
    UnknownNameError,
)

COMMAND = "import sys; from posepile_torch.cli.main import main; "


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def app_with(verb: object) -> typer.Typer:
    app = main.build_app()
    app.command("try")(verb)  # type: ignore[type-var]
    return app


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["list", "--help"], ["info", "-h"], ["--version"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        COMMAND + "import atexit; heavy = {'torch', 'numpy', 'cv2', 'barecat'}; "
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules)))); main()"
    )
    done = run(code, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("HEAVY []\n")
    assert done.stderr == ""


def test_every_group_of_verbs_is_registered_and_documented() -> None:
    app = main.build_app()
    for group in main.GROUPS:
        assert callable(__import__(f"posepile_torch.cli.{group}", fromlist=["x"]).register)
    command = typer.main.get_command(app)
    for name, verb in command.commands.items():  # type: ignore[attr-defined]
        assert verb.help or getattr(verb, "commands", None), f"{name} has no help"
        for parameter in verb.params:
            assert getattr(parameter, "help", "x"), f"{name} {parameter.name} has no help"


def test_every_verb_stands_in_the_documentation() -> None:
    page = Path(__file__).parents[2] / "docs" / "command.md"
    text = page.read_text(encoding="utf-8")
    command = typer.main.get_command(main.build_app())
    for verb in command.commands:  # type: ignore[attr-defined]
        assert f"\n| `{verb}` |" in text, verb


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PosepileError("odd", where="file.json", rule="be even", fix="add one"), 1),
        (MissingRawFileError("no a.mp4"), 1),
        (ArchiveCorruptError("bad bytes"), 1),
        (UnknownNameError.among("source", "x", ["y"]), 2),
        (MissingDependencyError("no scipy"), 2),
        (ArchiveNotFoundError("nothing there"), 2),
    ],
)
def test_deliberate_errors_have_no_traceback(error: PosepileError, code: int) -> None:
    def verb() -> None:
        raise error

    result = CliRunner().invoke(app_with(verb), ["try"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"error: {error}\n"


def test_brackets_and_long_lines_of_an_error_arrive_whole() -> None:
    text = "pip install 'posepile-torch[convert]' " + "x" * 300

    def verb() -> None:
        raise PosepileError(text)

    assert CliRunner().invoke(app_with(verb), ["try"]).stderr == f"error: {text}\n"


def test_a_bug_keeps_its_traceback() -> None:
    def verb() -> None:
        raise ZeroDivisionError

    result = CliRunner().invoke(app_with(verb), ["try"])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("arguments", [["nothing"], ["list", "--nothing"], ["info"]])
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main.build_app(), arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage" in result.stderr


def test_where_archives_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSEPILE_HOME", raising=False)
    for folder in ("archives/toy", "home/toy", "other/toy", "here"):
        (tmp_path / folder).mkdir(parents=True)
    seen: list[Path] = []

    def verb(ctx: typer.Context, archive: str) -> None:
        seen.extend([output.archives_root(ctx), output.archive_path(ctx, archive)])

    app = app_with(verb)

    def paths(*arguments: str, **environment: str) -> list[str]:
        seen.clear()
        result = CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return [path.as_posix() for path in seen]

    assert paths("try", "toy") == ["archives", "archives/toy"]
    assert paths("try", "toy", POSEPILE_HOME="home") == ["home", "home/toy"]
    assert paths("--root", "other", "try", "toy", POSEPILE_HOME="home") == ["other", "other/toy"]
    assert paths("try", "here") == ["archives", "here"]
    assert paths("try", "absent") == ["archives", "absent"]
    assert paths("try", str(tmp_path / "x")) == ["archives", (tmp_path / "x").as_posix()]


def test_progress_is_silent_without_a_terminal() -> None:
    code = (
        "from posepile_torch.cli import output\n"
        "with output.progress('images') as shown:\n"
        "    task = shown.add_task('converting', total=3, note='1 failed')\n"
        "    shown.advance(task, 3)\n"
    )
    silent = run(code)
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    shown = run(code, TTY_COMPATIBLE="1", FORCE_COLOR="1", COLUMNS="120")
    assert shown.stdout == ""
    assert "converting" in shown.stderr
    assert "3/3" in shown.stderr
    assert "1 failed" in shown.stderr


def test_json_goes_to_standard_output_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"title": "Müller", "none": None})
    written = capsys.readouterr()
    assert json.loads(written.out) == {"title": "Müller", "none": None}
    assert "Müller" in written.out
    assert written.err == ""
    with pytest.raises(ValueError, match="JSON"):
        output.print_json(float("nan"))


def test_the_shell_completes_names_of_sources() -> None:
    done = run(
        COMMAND + "main()",
        _POSEPILE_COMPLETE="complete_bash",
        COMP_WORDS="posepile info man",
        COMP_CWORD="2",
    )
    assert done.stdout.split() == ["mannequin"]
    assert output.complete_converter("man") == ["mannequin"]
    assert output.complete_source("zzz") == []
