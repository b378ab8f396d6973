"""The examples of the page about training run."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_examples_run_in_order(mannequin_archives, tmp_path, monkeypatch):
    (tmp_path / "archives").symlink_to(mannequin_archives)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/training.md", "exec"), names)
    assert names["state"]["step"] == 2
    assert names["images"].shape == (8, 3, 64, 64)
