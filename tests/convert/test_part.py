"""Parts are whole or absent, and damage is always noticed."""

from __future__ import annotations

import numpy as np
import pytest

from posepile_torch.convert.part import (
    IMAGE,
    RECORD,
    DamagedPartError,
    PartWriter,
    UnitReport,
    iter_part,
    read_report,
)


def write_part(path, entries=3):
    report = UnitReport("take/cam", "f00d", frames=entries, images=entries, records=entries)
    report.skip("box outside", "take/cam frame 7 person 0")
    with PartWriter(path) as part:
        for i in range(entries):
            part.add(IMAGE, f"take/{i}.jpg", bytes([i]) * 100)
            part.add(RECORD, f"train/take/{i}.msgpack", bytes([255 - i]) * 30)
        part.finish(report)
    return report


def test_round_trip(tmp_path):
    path = tmp_path / "parts" / "a.part"
    path.parent.mkdir()
    report = write_part(path)
    assert read_report(path).to_dict() == report.to_dict()
    entries = list(iter_part(path))
    assert [e[:2] for e in entries[:2]] == [
        (IMAGE, "take/0.jpg"),
        (RECORD, "train/take/0.msgpack"),
    ]
    assert entries[2][2] == b"\x01" * 100
    assert [p.name for p in path.parent.iterdir()] == ["a.part"]


def test_a_failing_unit_leaves_nothing(tmp_path):
    path = tmp_path / "a.part"

    def failing_unit():
        with PartWriter(path) as part:
            part.add(IMAGE, "a.jpg", b"data")
            raise RuntimeError("the unit failed")

    with pytest.raises(RuntimeError, match="the unit failed"):
        failing_unit()
    assert list(tmp_path.iterdir()) == []


def test_every_cut_and_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "a.part"
    write_part(path, entries=1)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedPartError):
            read_report(path)
    rng = np.random.default_rng(0)
    for position in rng.choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(DamagedPartError):
            read_report(path)


def test_counts_must_agree_with_the_report(tmp_path):
    path = tmp_path / "a.part"
    with PartWriter(path) as part:
        part.add(IMAGE, "a.jpg", b"data")
        part.finish(UnitReport("u", "f", images=2, records=0))
    with pytest.raises(DamagedPartError, match="report says"):
        read_report(path)
