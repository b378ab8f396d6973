"""The examples of docs/evaluating.md run, and its tables say what the code does."""

import re
from pathlib import Path

from posepile_torch.evaluate import predictions
from posepile_torch.evaluate.protocol import OnMissing, get_args

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluating.md").read_text(encoding="utf-8")


def test_the_examples_run_in_order(mannequin_archives, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archives").symlink_to(mannequin_archives)
    names = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, "docs/evaluating.md", "exec"), names)
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "0.0 mm, pooled, root pelv, mannequin/mpjpe@1",
        "8 of 8 people",
        shown[2],
        "100.0",
    ]
    assert "the y axis points the other way" in shown[2]


def test_policies_columns_and_facts_are_all_listed():
    for word in (*get_args(OnMissing), *predictions.MM_PER_UNIT):
        assert f"`{word}`" in PAGE
    table = predictions.__doc__.split("and the facts")[0]
    for column in re.findall(r"^``(\w+)``", table, re.MULTILINE):
        assert f"| `{column}` |" in PAGE
