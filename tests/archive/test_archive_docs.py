"""The examples of docs/archive-format.md run, and its tables say what the code says."""

import re
from pathlib import Path

import numpy as np
import pytest

from posepile_torch.archive import layout, open_archive
from posepile_torch.archive.manifest import CONVENTIONS, read_manifest

PAGE = (Path(__file__).parents[2] / "docs" / "archive-format.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def execute(block, names=None):
        names = {} if names is None else names
        exec(compile(block, "docs/archive-format.md", "exec"), names)
        return names

    return execute


def test_the_writing_example_and_the_reader_of_the_page_agree(run):
    writing, reading = BLOCKS
    written = run(writing)
    assert written["record"].frame == 3
    assert written["jpeg"].startswith(b"\xff\xd8")
    assert "posepile_torch" not in reading
    read = run(reading)
    with open_archive("archives/mydata") as archive:
        assert len(archive) == len(read["index"]) == 10
        last = archive.record(9)
        np.testing.assert_array_equal(read["box"], last.box)
        np.testing.assert_array_equal(read["joints2d"], last.joints2d)
        assert read["subject"] == "S1"
        assert read["image"] == archive.image_bytes(9)


def test_the_reader_of_the_page_knows_missing_joints(run):
    import msgpack

    from posepile_torch.record import Record, encode_record

    run(BLOCKS[0])
    reader = run(BLOCKS[1])
    some = np.array([[1.5, 2], [np.nan, np.nan], [3, 4]])
    for joints2d in (some, some[:1], np.full((3, 2), np.nan)):
        record = Record(
            id="a", split="val", image_key="a.jpg", image_size=(5, 5), box=[0, 0, 1, 1],
            joints2d=joints2d,
        )  # fmt: skip
        stored = msgpack.unpackb(encode_record(record), strict_map_key=False)["joints2d"]
        np.testing.assert_array_equal(reader["joints"](stored), joints2d)


def test_the_page_lists_every_field_and_flag(run):
    for name in layout.INDEX_DTYPE.names:
        assert f"`{name}`" in PAGE, name
    for flag in layout.Flag:
        assert f"{int(flag)} `{flag.name.lower()}`" in PAGE, flag
    run(BLOCKS[0])
    manifest = read_manifest(Path("archives/mydata"))
    for name in manifest.to_json():
        assert f"`{name}`" in PAGE, name
    assert set(manifest.to_json()["conventions"]) == set(CONVENTIONS)
    for number in (layout.INDEX_DTYPE.itemsize, layout.MAX_INLINE_VOCABULARY):
        assert str(number) in PAGE
