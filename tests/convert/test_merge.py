"""Merged archives: every record of every archive, joints side by side, in flat memory."""

from __future__ import annotations

import dataclasses
import json

import conversion_toys as toys
import numpy as np
import pytest
from typer.testing import CliRunner

from posepile_torch.archive import ArchiveHeader, ArchiveWriter, open_archive
from posepile_torch.archive.verify import verify_archive
from posepile_torch.cards import Hints, PhotometricFix
from posepile_torch.cli.main import build_app
from posepile_torch.convert.merge import merge_archives
from posepile_torch.convert.run import convert
from posepile_torch.errors import ArchiveError
from posepile_torch.images import encode_jpeg
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton

OTHER = Skeleton.parse("other_3", joints="nose lsho rsho", edges="nose-lsho")


@pytest.fixture
def archives(tmp_path):
    """One archive of the toy source, and one of 2D data with another skeleton."""
    raw = toys.write_raw(tmp_path / "raw", units=3)
    first = convert(toys.ToyConverter(raw), tmp_path / "archives").archive
    return [first, written(tmp_path / "archives", "other", count=5)]


def written(root, name, count, skeleton=OTHER, hints=None):
    header = ArchiveHeader(
        source=name, skeleton=skeleton, hints=(hints or Hints(has_camera=False)).to_dict()
    )
    with ArchiveWriter(root, name, header=header) as writer:
        for number in range(count):
            key = f"photo{number // 2}.jpg"
            if not writer.has_image(key):
                writer.add_image(key, encode_jpeg(toys.photo(number // 2)))
            writer.add(
                Record(
                    id=f"{number:03d}",
                    split=("train", "val")[number % 2],
                    image_key=key,
                    image_size=toys.SIZE,
                    box=np.array([10.0, 10, 40, 40]),
                    joints2d=np.arange(2.0 * len(skeleton)).reshape(-1, 2) + number,
                    visible=np.array([1, 0, -1] * len(skeleton), np.int8)[: len(skeleton)],
                    confidence=np.linspace(0.1, 1, len(skeleton)).astype(np.float32),
                    subject="s1",
                )
            )
        return writer.publish()


def test_every_record_is_there_with_its_joints_in_the_union(archives, tmp_path):
    path = merge_archives(archives, tmp_path / "archives", "both")
    assert verify_archive(path, "semantic").ok
    with open_archive(path) as merged, open_archive(archives[0]) as first:
        assert merged.skeleton.joints == (
            "pelv_toy_4", "neck_toy_4", "lsho_toy_4", "rsho_toy_4",
            "nose_other_3", "lsho_other_3", "rsho_other_3",
        )  # fmt: skip
        assert len(merged) == len(first) + 5
        assert merged.manifest.totals.images == first.manifest.totals.images + 3
        assert [u.records for u in merged.manifest.units.values()] == [len(first), 5]
        assert merged.manifest.totals.splits == {"train": 12, "val": 2, "test": 0}
        record = first.record(0)
        copy = merged.record(merged.find("train", f"toy/{record.id}"))
        np.testing.assert_array_equal(copy.joints3d[:4], record.joints3d)
        assert np.isnan(copy.joints3d[4:]).all()
        assert copy.camera == record.camera
        assert copy.person_mask == record.person_mask
        assert copy.sequence == f"toy/{record.sequence}"
        flat = merged.record(merged.find("val", "other/003"))
        assert np.isnan(flat.joints2d[:4]).all()
        np.testing.assert_array_equal(flat.joints2d[4:], np.arange(6.0).reshape(3, 2) + 3)
        assert flat.visible.tolist() == [-1, -1, -1, -1, 1, 0, -1]
        np.testing.assert_allclose(flat.confidence[4:], [0.1, 0.55, 1.0], rtol=1e-6)
        row = merged.find("val", "other/003")
        assert merged.image_bytes(row) == encode_jpeg(toys.photo(1))
        assert merged.vocabulary("subject") == ("other/s1", "toy/s1")


def test_archives_of_one_skeleton_keep_it(tmp_path):
    paths = [written(tmp_path, name, 4) for name in ("a", "b")]
    with open_archive(merge_archives(paths, tmp_path, "c")) as merged:
        assert merged.skeleton.joints == OTHER.joints
        assert len(merged) == 8


def test_a_suffix_says_which_joints_are_the_same(archives, tmp_path):
    path = merge_archives(
        archives, tmp_path / "x", "both", suffixes={"toy": "same", "other": "same"}
    )
    with open_archive(path) as merged:
        assert merged.skeleton.joints == (
            "pelv_same", "neck_same", "lsho_same", "rsho_same", "nose_same",
        )  # fmt: skip
        flat = merged.record(merged.find("train", "other/000"))
        assert np.isfinite(flat.joints2d[:, 0]).tolist() == [False, False, True, True, True]


def test_an_interrupted_merge_goes_on(archives, tmp_path, monkeypatch):
    from posepile_torch.convert import merge

    monkeypatch.setattr(merge, "_CHECKPOINT_ROWS", 2)
    expected = toys.contents(merge_archives(archives, tmp_path / "fresh", "both"))
    calls = []

    def stop_at(count):
        def is_stopped():
            calls.append(1)
            return len(calls) >= count

        return is_stopped

    for count in (2, 3, 4):
        calls.clear()
        assert merge_archives(archives, tmp_path / "x", "both", is_stopped=stop_at(count)) is None
        assert not (tmp_path / "x" / "both").exists()
    steps = []
    path = merge_archives(
        archives, tmp_path / "x", "both", progress=lambda *step: steps.append(step)
    )
    assert toys.contents(path) == expected
    assert steps[0][0] > 2
    assert steps[-1] == (14, 14)


def test_hints_hold_for_all_that_is_in_it(tmp_path):
    a = written(tmp_path, "a", 1, hints=Hints(has_mask=True, single_person=True))
    b = written(tmp_path, "b", 1, hints=Hints(has_mask=True, has_camera=False))
    hints = Hints.from_dict(open_archive(merge_archives([a, b], tmp_path, "c")).manifest.hints)
    assert hints == Hints(has_mask=True, has_camera=False)
    origins = open_archive(tmp_path / "c").manifest.plan["merged"]
    assert [origin["name"] for origin in origins] == ["a", "b"]
    fix = PhotometricFix(gamma=0.67)
    odd = written(tmp_path, "odd", 1, hints=Hints(photometric=(fix,)))
    with pytest.raises(ArchiveError, match="correction of their colours"):
        merge_archives([a, odd], tmp_path, "d")
    fine = written(
        tmp_path, "fine", 1,
        hints=Hints(photometric=(dataclasses.replace(fix, already_applied=True),)),
    )  # fmt: skip
    assert merge_archives([a, fine], tmp_path, "e")


def test_impossible_merges_are_refused(archives, tmp_path):
    with pytest.raises(ArchiveError, match="two or more"):
        merge_archives(archives[:1], tmp_path, "x")
    with pytest.raises(ArchiveError, match="two archives are named 'toy'"):
        merge_archives([archives[0], archives[0]], tmp_path, "x")
    with pytest.raises(ArchiveError, match="would replace one of those"):
        merge_archives(archives, tmp_path / "archives", "toy")
    with pytest.raises(ArchiveError, match="suffix for 'tyo'"):
        merge_archives(archives, tmp_path, "x", suffixes={"tyo": "a"})


def test_merge_on_the_command_line(archives, tmp_path):
    arguments = [
        "--root", str(tmp_path / "archives"), "merge", "toy", str(archives[1]), "--out",
        str(tmp_path / "both"), "--suffix", "other=o", "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["records"], facts["joints"]) == (14, 7)
    assert open_archive(tmp_path / "both").skeleton.joints[-1] == "rsho_o"
    same = CliRunner().invoke(
        build_app(), ["merge", *map(str, archives), "--out", str(archives[0])]
    )
    assert same.exit_code == 1
