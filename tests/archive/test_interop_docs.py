"""The examples of docs/interop.md run, and its tables name every field and column."""

import re
from pathlib import Path

import msgpack_numpy
import pytest
from raw import posepile as toys

from posepile_torch.archive import export_columns
from posepile_torch.record_fields import Record

PAGE = (Path(__file__).parents[2] / "docs" / "interop.md").read_text(encoding="utf-8")
COLUMNS_SECTION = PAGE.split("## HDF5 and npz")[1]
BLOCKS = re.findall(r"( *)```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run_in_order(scratch, monkeypatch, capsys):
    monkeypatch.chdir(scratch)
    toys.write_legacy(scratch / "posepile", 8)
    names = {}
    for indent, block in BLOCKS:
        code = re.sub(f"^{indent}", "", block, flags=re.MULTILINE)
        exec(compile(code, "docs/interop.md", "exec"), names)
    assert names["sample"].known.shape == (17,)
    assert names["joints3d"].shape == (8, 7, 3)
    assert names["jpeg"] == toys.picture(0)
    assert "8 {} {}" in capsys.readouterr().out
    names["archive"].close()


@pytest.mark.parametrize("column", export_columns.COLUMNS, ids=lambda column: column.name)
def test_every_column_is_listed(column):
    (row,) = (
        line
        for line in COLUMNS_SECTION.splitlines()
        if re.match(rf"\|.*`{column.name}`.*\| ", line)
    )
    form = row.split("|")[2]
    assert ("text" in form) == (column.kind == "text")
    assert ("varying" in form) == (column.kind == "ragged")


def test_every_lost_field_is_listed():
    lost = PAGE.split("Of a record it does not hold:")[1].split("\n\n")[0]
    kept = {"split", "image_key", "image_size", "box", "camera", "joints3d", "joints2d", "body",
            "densepose", "person_mask", "scene_mask"}  # fmt: skip
    fields = set(Record.__dataclass_fields__) - kept
    assert set(re.findall(r"`(\w+)`", lost)) == fields


def test_every_stored_field_is_listed(scratch):
    fields = toys.fields_3d(0, parameters=toys.parameters()) | toys.fields_2d(0)
    stored = msgpack_numpy.unpackb(msgpack_numpy.packb(fields))
    for name, value in stored.items():
        assert f"`{name}`" in PAGE
        for inner in value if isinstance(value, dict) else ():
            assert f"`{inner}`" in PAGE
