"""The page on the mannequin is true, and its examples run."""

import re
from pathlib import Path

from posepile_torch.cards import LengthUnit
from posepile_torch.mannequin import MARK_COLOURS, MannequinOptions
from posepile_torch.mannequin.body import JOINTS
from posepile_torch.mannequin.motion import ACTIVITIES
from posepile_torch.sources.mannequin import CARD

PAGE = (Path(__file__).parents[2] / "docs" / "mannequin.md").read_text(encoding="utf-8")


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "docs/mannequin.md", "exec"), {})
    assert (tmp_path / "raw" / "tiny" / "mannequin.json").is_file()


def test_tables_say_what_the_code_does():
    told = dict(re.findall(r"\| `(\w+)` \| ([0-9a-f]{6}) ", PAGE))
    assert told == {joint: "{:02x}{:02x}{:02x}".format(*MARK_COLOURS[joint]) for joint in JOINTS}
    assert " ".join(JOINTS) in PAGE
    assert all(f"`{activity}`" in PAGE for activity in ACTIVITIES)
    options = MannequinOptions()
    for name in ("seed", "takes", "frames", "cameras", "people", "fps", "video_share"):
        assert f"| `--{name.replace('_', '-')}` | {getattr(options, name)} |" in PAGE
    assert "| `--size` | {}x{} |".format(*options.size) in PAGE


def test_layout_names_every_pattern_of_the_card():
    for pattern in CARD.layout:
        written = pattern.pattern.replace("{frame:06d}", "{frame}")
        assert re.sub(r"\{(\w+)\}", r"<\1>", written) in PAGE
    assert CARD.units is LengthUnit.METRE
