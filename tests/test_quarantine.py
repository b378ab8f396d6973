"""The quarantine list: what is written, what is counted, and when a conversion fails."""

import hashlib
import json

import pytest

from posepile_torch.errors import ConversionError, UnreadableRawFileError
from posepile_torch.intake import Intake
from posepile_torch.quarantine import QuarantineList, read_quarantine


def intake(status, reason="", data=b"bytes"):
    return Intake(status=status, reason=reason, detail=f"about {reason}", original=data)


def test_lines_counts_and_summary(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    with QuarantineList(path) as images:
        assert images.record("a/1.jpg", intake("ok"))
        assert images.record("a/2.jpg", intake("repaired", "rotated"))
        assert not images.record("a/3.jpg", intake("quarantined", "truncated", b"half"))
        lines = path.read_text().splitlines()  # already on disk, before the end
    assert len(lines) == 2
    assert json.loads(lines[1]) == {
        "path": "a/3.jpg",
        "status": "quarantined",
        "reason": "truncated",
        "detail": "about truncated",
        "sha256": hashlib.sha256(b"half").hexdigest(),
        "size_bytes": 4,
    }
    assert images.summary() == {
        "examined": 3,
        "repaired": {"rotated": 1},
        "quarantined": {"truncated": 1},
    }
    assert [incident.reason for incident in read_quarantine(path)] == ["rotated", "truncated"]


@pytest.mark.parametrize(("bad", "total", "fails"), [(1, 1000, False), (2, 1000, True)])
def test_the_limit_is_a_share_of_all_images(tmp_path, bad, total, fails):
    with QuarantineList(tmp_path / "q.jsonl") as images:
        for number in range(total):
            verdict = intake("quarantined", "damaged") if number < bad else intake("ok")
            images.record(f"{number}.jpg", verdict)
    if not fails:
        images.check()
        return
    with pytest.raises(ConversionError, match=r"2 of 1000 images cannot be used \(2 damaged\)"):
        images.check()
    QuarantineList(tmp_path / "other.jsonl", limit_share=0.01).check()


def test_repairs_do_not_count_against_the_limit(tmp_path):
    with QuarantineList(tmp_path / "q.jsonl", limit_share=0) as images:
        images.record("1.jpg", intake("repaired", "cmyk"))
    images.check()
    assert images.share == 0


def test_an_empty_list_is_fine(tmp_path):
    with QuarantineList(tmp_path / "q.jsonl") as images:
        pass
    images.check()
    assert list(read_quarantine(tmp_path / "q.jsonl")) == []


def test_opening_again_begins_anew(tmp_path):
    for reason in ("truncated", "damaged"):
        with QuarantineList(tmp_path / "q.jsonl") as images:
            images.record("1.jpg", intake("quarantined", reason))
    assert [i.reason for i in read_quarantine(tmp_path / "q.jsonl")] == ["damaged"]


def test_absolute_paths_and_closed_lists_are_refused(tmp_path):
    images = QuarantineList(tmp_path / "q.jsonl")
    with pytest.raises(ConversionError):
        images.record("1.jpg", intake("ok"))
    with images, pytest.raises(ConversionError, match="relative to the raw folder"):
        images.record(tmp_path / "1.jpg", intake("ok"))


def test_file_names_that_are_not_utf_8_survive(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    with QuarantineList(tmp_path / "q.jsonl") as images:
        images.record(name, intake("quarantined", "damaged"))
    (incident,) = read_quarantine(tmp_path / "q.jsonl")
    assert incident.path.encode("utf-8", "surrogateescape") == b"caf\xe9.jpg"


@pytest.mark.parametrize("line", ["not json", "[]", '{"path": "a"}', "{}"])
def test_a_damaged_list_is_named(tmp_path, line):
    path = tmp_path / "q.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UnreadableRawFileError, match="line 1"):
        list(read_quarantine(path))
