"""The README's lines do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from typer.testing import CliRunner

from posepile_torch.cli.main import build_app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(mannequin_archives):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert '"demo-output/archives"' in example
    code = example.replace('"demo-output/archives"', repr(str(mannequin_archives)))
    code = code.replace("batch_size=64", "batch_size=4")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    batch = names["batch"]
    assert batch.image.shape == (4, 3, 128, 128)
    assert batch.image.dtype == torch.uint8
    assert batch.joints3d.shape[0] == 4
    assert batch.known3d.all()
    assert names["error_mm"] == 0


def test_every_command_of_the_readme_exists():
    (commands,) = re.findall(r"```\n(posepile .*?)```", README, re.DOTALL)
    lines = commands.strip().splitlines()
    assert len(lines) >= 8
    for line in lines:
        words = line.split("   ")[0].split()[1:]
        verb = [words[0], *([words[1]] if words[0] in ("skeleton", "mixture") else [])]
        result = CliRunner().invoke(build_app(), [*verb, "--help"])
        assert result.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in re.sub(r"\x1b\[[0-9;]*m", "", result.output), line


def test_its_picture_and_links_are_there():
    root = Path(__file__).parents[1]
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert any(target.endswith(".jpg") for target in targets)
    for target in targets:
        assert target.startswith("https://") or (root / target).is_file(), target
