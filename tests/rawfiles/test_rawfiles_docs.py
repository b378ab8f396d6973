"""The examples of docs/rawfiles.md run, and the page knows every function."""

import re
from pathlib import Path

from posepile_torch import rawfiles

PAGE = (Path(__file__).parents[2] / "docs" / "rawfiles.md").read_text(encoding="utf-8")


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 8
    for block in blocks:
        exec(compile(block, "docs/rawfiles.md", "exec"), names)


def test_limits_on_the_page_are_those_of_the_code():
    limits = rawfiles.DEFAULT_LIMITS
    assert "a million members, 4 TiB, 1 TiB per member and a 500-fold expansion" in PAGE
    assert (limits.max_members, limits.max_ratio) == (10**6, 500)
    assert (limits.max_total_bytes, limits.max_member_bytes) == (4 << 40, 1 << 40)


def test_every_format_is_on_the_page():
    offered = set(rawfiles.__all__)
    mentioned = set(re.findall(r"`(\w+)[`(]", PAGE))
    left_out = {"C3D", "CheckedFile", "Extraction", "MatVariable", "ZipMember", "check_file",
                "decompress_file", "iter_zip_members", "open_video", "read_bytes",
                "read_zip_member", "safe_member_name", "DEFAULT_LIMITS", "PICKLE_PROFILES",
                "PickleProfile", "ExtractionLimits", "Shell", "ColumnTable"}  # fmt: skip
    missing = {n for n in offered - mentioned - left_out if not n.startswith("parse_")}
    assert not missing
