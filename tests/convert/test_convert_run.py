"""The whole conversion: equal results everywhere, resumed after anything, refused when mixed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import conversion_toys as toys
import pytest

from posepile_torch.archive import open_archive, storage
from posepile_torch.archive.layout import lock_file
from posepile_torch.archive.lock import WriterLock
from posepile_torch.archive.manifest import read_manifest
from posepile_torch.archive.publish import find_leftovers
from posepile_torch.archive.verify import verify_archive
from posepile_torch.convert import assemble, space
from posepile_torch.convert.executors import ExecutorChoice
from posepile_torch.convert.run import convert, survey
from posepile_torch.errors import (
    ArchiveError,
    ArchiveLockedError,
    ArchivePathError,
    ConversionError,
    MissingRawFileError,
    RawFileError,
    ResumeError,
    StorageError,
    UnknownNameError,
)
from posepile_torch.images import encode_jpeg
from posepile_torch.quarantine import read_quarantine
from posepile_torch.registry import load_converter


@pytest.fixture
def raw(tmp_path):
    return toys.write_raw(tmp_path / "raw")


def run(raw, out, **options):
    return convert(toys.ToyConverter(raw, **options.pop("choices", {})), out, **options)


def parts_of(out):
    return sorted(out.glob(".converting-toy/parts-*/*.part"))


def visible(out):
    return sorted(path.name for path in out.iterdir() if not path.name.startswith("."))


# ---- equal results ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    raw = toys.write_raw(folder / "raw", units=9)
    return raw, toys.contents(run(raw, folder / "out").archive)


@pytest.mark.parametrize(
    ("kind", "jobs"),
    [
        ("process", 1),
        ("process", 4),
        ("thread", 4),
        pytest.param("dask", 2, marks=pytest.mark.slow),
    ],
)
def test_every_executor_gives_the_same_bytes(reference, tmp_path, kind, jobs):
    raw, expected = reference
    report = run(raw, tmp_path, executor=kind, jobs=jobs)
    assert toys.contents(report.archive) == expected
    assert verify_archive(report.archive, "semantic").ok
    assert visible(tmp_path) == ["toy"]
    assert not list(tmp_path.glob(".converting-*"))


@pytest.mark.slow
def test_the_mannequin_too_is_equal_record_for_record(mannequin_raw, mannequin_archives, tmp_path):
    converter = load_converter("mannequin")(mannequin_raw)
    report = convert(converter, tmp_path, executor="process", jobs=3)
    inline = read_manifest(mannequin_archives / "mannequin")
    pooled = read_manifest(report.archive)
    assert pooled.content_digests == inline.content_digests
    assert pooled.fingerprint == inline.fingerprint


# ---- reruns -------------------------------------------------------------------------------------


def test_a_second_run_says_that_nothing_is_to_do(raw, tmp_path):
    first = run(raw, tmp_path / "out")
    again = run(raw, tmp_path / "out")
    assert again.already_converted
    assert not first.already_converted
    assert (again.archive, again.records) == (first.archive, first.records)
    assert not list((tmp_path / "out").glob(".converting-*"))
    assert not run(raw, tmp_path / "out", restart=True).already_converted


def test_another_plan_makes_a_new_version(raw, tmp_path):
    out = tmp_path / "out"
    first = run(raw, out)
    with open_archive(first.archive) as held:
        second = run(raw, out, plan=toys.ToyConverter.plan.replaced(jpeg_quality=50))
        assert not second.already_converted
        assert held.record(0).id  # who has the old version open keeps it
        assert open_archive(second.archive).fingerprint != held.fingerprint
    assert [leftover.kind for leftover in find_leftovers(out)] == ["superseded"]


def test_failed_units_are_named_and_only_they_are_tried_again(raw, tmp_path):
    out = tmp_path / "out"
    toys.tell(raw, {"take001/c1": "raise", "take003/c1": "bug"})
    report = run(raw, out)
    assert report.archive is None
    assert set(report.failed) == {"take001/c1", "take003/c1"}
    assert "the file is damaged" in report.failed["take001/c1"]
    assert "KeyError: 'no such field'" in report.failed["take003/c1"]
    assert "in frames" in report.failed["take003/c1"]  # where in the converter
    assert visible(out) == []
    assert len(parts_of(out)) == 4
    toys.tell(raw, {})
    finished = run(raw, out)
    assert (finished.reused, finished.failed) == (4, {})
    assert toys.contents(finished.archive) == toys.contents(run(raw, tmp_path / "fresh").archive)


def test_failed_units_may_be_left_out_on_request(raw, tmp_path):
    toys.tell(raw, {"take001/c1": "raise"})
    report = run(raw, tmp_path / "out", skip_failed=True)
    manifest = read_manifest(report.archive)
    assert manifest.plan["failed_units"] == ["take001/c1"]
    assert manifest.units["take001/c1"].records == 0
    assert manifest.skipped["unit failed"].items == ("take001/c1: the file is damaged",)
    assert str(raw) not in (report.archive / "manifest.json").read_text()
    toys.tell(raw, {})
    whole = run(raw, tmp_path / "out")
    assert not whole.already_converted
    assert "failed_units" not in read_manifest(whole.archive).plan


def test_damaged_parts_are_made_again(raw, tmp_path):
    out = tmp_path / "out"
    toys.tell(raw, {"take005/c1": "raise"})
    run(raw, out)
    cut, flipped, *rest = parts_of(out)
    cut.write_bytes(cut.read_bytes()[:-7])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    toys.tell(raw, {})
    report = run(raw, out)
    assert report.reused == len(rest) == 3
    assert toys.contents(report.archive) == toys.contents(run(raw, tmp_path / "fresh").archive)


def test_stopping_leaves_a_state_from_which_the_next_run_goes_on(raw, tmp_path):
    expected = toys.contents(run(raw, tmp_path / "fresh").archive)
    out = tmp_path / "out"
    for stop_after in range(1, 6):
        calls = []

        def stop_soon(calls=calls, stop_after=stop_after):
            return len(parts_of(out)) >= stop_after

        report = run(raw, out, is_stopped=stop_soon)
        assert report.interrupted
        assert report.archive is None
        assert len(parts_of(out)) == stop_after
    report = run(raw, out)
    assert report.reused == 5
    assert toys.contents(report.archive) == expected


@pytest.mark.parametrize("kept", [True, False])
def test_stopping_while_the_archive_is_put_together(raw, tmp_path, monkeypatch, kept):
    expected = toys.contents(run(raw, tmp_path / "fresh").archive)
    monkeypatch.setattr(assemble, "_DURABLE_RECORDS", 2)  # units that wait for a checkpoint
    out, stages = tmp_path / "out", []

    def stop_soon():
        return bool(stages) and stages[-1] == ("archive", 4)

    report = run(
        raw, out, is_stopped=stop_soon, keep_parts=kept,
        progress=lambda state: stages.append((state.stage, state.done)),
    )  # fmt: skip
    assert report.interrupted
    assert len(parts_of(out)) == (6 if kept else 2)
    second = run(raw, out, keep_parts=kept)
    assert second.reused == 6
    assert toys.contents(second.archive) == expected


def test_an_unfinished_run_is_listed_as_such(raw, tmp_path):
    out = tmp_path / "out"
    toys.tell(raw, {"take001/c1": "raise"})
    run(raw, out)
    kinds = {leftover.path.name: leftover.kind for leftover in find_leftovers(out)}
    assert kinds == {".converting-toy": "unfinished"}
    seen = survey(toys.ToyConverter(raw), out)
    assert (seen.begun, seen.finished, seen.units) == (True, 5, {"train": 5, "test": 1})


# ---- never mixed --------------------------------------------------------------------------------


def begin(raw, out, **options):
    toys.tell(raw, {"take005/c1": "raise"})
    assert run(raw, out, **options).failed
    toys.tell(raw, {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"plan": toys.ToyConverter.plan.replaced(jpeg_quality=81)},
            "plan.jpeg_quality: 80 became 81",
        ),
        ({"choices": {"offset_mm": 2.5}}, "options.offset_mm: 0.0 became 2.5"),
    ],
)
def test_other_choices_are_refused_with_what_differs(raw, tmp_path, options, said):
    out = tmp_path / "out"
    begin(raw, out)
    with pytest.raises(ResumeError, match=said) as caught:
        run(raw, out, **options)
    assert "--restart" in caught.value.fix
    assert not run(raw, out, restart=True, **options).failed


def test_another_version_of_the_converter_is_refused(raw, tmp_path, monkeypatch):
    begin(raw, tmp_path / "out")
    monkeypatch.setattr(toys.ToyConverter, "version", "2")
    with pytest.raises(ResumeError, match="converter_version: '1' became '2'"):
        run(raw, tmp_path / "out")


def test_changed_code_is_refused_even_without_a_new_version(raw, tmp_path, monkeypatch):
    from posepile_torch.convert import job

    begin(raw, tmp_path / "out")
    monkeypatch.setattr(job, "code_digest", lambda kind: "f00d")
    with pytest.raises(ResumeError, match="code: "):
        run(raw, tmp_path / "out")


def test_other_raw_files_are_refused_by_name(raw, tmp_path):
    out = tmp_path / "out"
    begin(raw, out)
    (raw / "extra").mkdir()
    (raw / "extra" / "note.txt").write_text("new")
    with pytest.raises(ResumeError, match=r"'extra/note.txt' was added"):
        run(raw, out)
    shutil.rmtree(raw / "extra")
    (raw / "images" / "photo.jpg").write_bytes(encode_jpeg(toys.photo(1), quality=60))
    with pytest.raises(ResumeError, match=r"'images/photo.jpg' was changed"):
        run(raw, out)


def test_times_of_raw_files_decide_nothing_between_runs(raw, tmp_path):
    """Clocks are skewed, downloads are copied and unpacked again (1970, the year 2100)."""
    out = tmp_path / "out"
    begin(raw, out)
    os.utime(raw / "images" / "photo.jpg", (4102444800, 4102444800))
    os.utime(raw / "index.json", (0, 0))
    assert run(raw, out).reused == 5
    os.utime(raw / "index.json", (1e9, 1e9))
    assert run(raw, out).already_converted


def test_archives_hold_no_time_of_their_making(raw, tmp_path):
    first = toys.contents(run(raw, tmp_path / "a").archive)
    os.utime(raw / "index.json", (1e9, 1e9))
    assert toys.contents(run(raw, tmp_path / "b").archive) == first


@pytest.mark.parametrize(
    ("what", "path"), [("touch", "images/photo.jpg"), ("annotate", "index.json")]
)
def test_raw_files_that_change_during_a_run(raw, tmp_path, what, path):
    out = tmp_path / "out"
    toys.tell(raw, {"take002/c1": f"{what}-once"})
    with pytest.raises(ConversionError, match=f"'{path}' was (touched|changed)"):
        run(raw, out)
    assert visible(out) == []
    with pytest.raises(ResumeError, match="changed during an earlier run"):
        run(raw, out)
    assert run(raw, out, restart=True).archive


def test_an_annotation_that_is_only_touched_is_unchanged(raw, tmp_path):
    def touch(state):
        os.utime(raw / "index.json")

    assert run(raw, tmp_path / "out", progress=touch).archive


def test_files_that_were_broken_may_be_fetched_again(raw, tmp_path, monkeypatch):
    """Only the units that missed them are converted anew."""
    names = {"take001/c1": "gone.jpg", "take004/c1": "cut.jpg"}
    original = toys.toy_frame

    def with_own_images(converter, unit, frame, **changes):
        name = names.get(unit.name, "photo.jpg")
        image = toys.FileImage(converter.root / "images" / name)
        return original(converter, unit, frame, image=image, **changes)

    monkeypatch.setattr(toys, "toy_frame", with_own_images)
    sound = (raw / "images" / "photo.jpg").read_bytes()
    (raw / "images" / "cut.jpg").write_bytes(sound[:-300])
    out = tmp_path / "out"
    with pytest.raises(ConversionError, match="6 of 18 images cannot be used") as caught:
        run(raw, out)
    assert {i.path for i in read_quarantine(Path(caught.value.where))} == {
        "images/gone.jpg", "images/cut.jpg",
    }  # fmt: skip
    for name in names.values():
        (raw / "images" / name).write_bytes(sound)
    report = run(raw, out)
    assert report.reused == 4
    assert report.records == 18
    assert report.quarantine_list is None
    assert toys.contents(report.archive) == toys.contents(run(raw, tmp_path / "fresh").archive)


# ---- images that cannot be used -----------------------------------------------------------------


def test_few_unusable_images_are_listed_beside_the_archive(raw, tmp_path, monkeypatch):
    original = toys.toy_frame

    def one_gone(converter, unit, frame, **changes):
        if (unit.name, frame) == ("take002/c1", 1):
            changes["image"] = toys.FileImage(converter.root / "images" / "gone.jpg")
        return original(converter, unit, frame, **changes)

    monkeypatch.setattr(toys, "toy_frame", one_gone)
    with pytest.raises(ConversionError, match="1 of 18 images"):
        run(raw, tmp_path / "out")
    report = run(raw, tmp_path / "out", max_quarantined=0.1)
    assert report.quarantine_list == tmp_path / "out" / "toy.quarantine.jsonl"
    (incident,) = read_quarantine(report.quarantine_list)
    assert (incident.path, incident.reason) == ("images/gone.jpg", "missing")
    assert report.skipped == {"image missing": 1}
    assert read_manifest(report.archive).skipped["image missing"].count == 1
    assert run(raw, tmp_path / "out", max_quarantined=0.1).already_converted
    monkeypatch.setattr(toys, "toy_frame", original)
    sound = run(raw, tmp_path / "out", restart=True)
    assert sound.quarantine_list is None
    assert visible(tmp_path / "out") == ["toy"]


# ---- some units only ----------------------------------------------------------------------------


def test_a_first_look_is_marked_as_such_and_hides_nothing(raw, tmp_path):
    out = tmp_path / "out"
    look = run(raw, out, limit=2, keep_parts=True)
    assert look.partial
    assert read_manifest(look.archive).plan["selection"] == {"limit": 2, "only": []}
    assert len(parts_of(out)) == 2
    whole = run(raw, out)
    assert whole.reused == 2
    assert not whole.partial
    assert not parts_of(out)
    with pytest.raises(ConversionError, match="only some were asked for"):
        run(raw, out, limit=2)
    assert run(raw, out, limit=2, restart=True).records == 6


def test_units_are_chosen_by_name(raw, tmp_path):
    report = run(raw, tmp_path / "out", only=["take00[13]/*", "take005*"])
    assert list(read_manifest(report.archive).units) == ["take001/c1", "take003/c1", "take005/c1"]
    with pytest.raises(UnknownNameError, match="take000/c1"):
        run(raw, tmp_path / "out", only=["nothing*"])
    assert survey(toys.ToyConverter(raw), tmp_path, only=["*/c1"], limit=3).names == (
        "take000/c1", "take001/c1", "take002/c1",
    )  # fmt: skip


def test_another_selection_resumes_the_parts_and_not_the_archive(raw, tmp_path, monkeypatch):
    out, stages = tmp_path / "out", []
    monkeypatch.setattr(assemble, "_DURABLE_RECORDS", 1)
    report = run(
        raw, out, limit=4, is_stopped=lambda: ("archive", 2) in stages,
        progress=lambda state: stages.append((state.stage, state.done)),
    )  # fmt: skip
    assert report.interrupted
    assert len(parts_of(out)) == 2  # two went into the archive that was begun
    whole = run(raw, out)
    assert whole.reused == 2
    assert toys.contents(whole.archive) == toys.contents(run(raw, tmp_path / "fresh").archive)


def test_impossible_units_are_refused(raw, tmp_path, monkeypatch):
    def units(names):
        return lambda self: (toys.Unit(name, "train", {"number": "0"}) for name in names)

    for names, said in ((["a", "a"], "listed twice"), (["../a"], "unit name"), ([], "nothing")):
        monkeypatch.setattr(toys.ToyConverter, "units", units(names))
        with pytest.raises(ConversionError, match=said):
            run(raw, tmp_path / "out")
    with pytest.raises(ConversionError, match="limit 0"):
        run(raw, tmp_path / "out", limit=0)


def test_an_archive_without_a_record_is_not_published(raw, tmp_path):
    with pytest.raises(ArchiveError, match="no records"):
        run(raw, tmp_path / "out", plan=toys.ToyConverter.plan.replaced(min_box_side_px=1000.0))
    assert visible(tmp_path / "out") == []


# ---- locks --------------------------------------------------------------------------------------


def test_a_second_conversion_ends_at_once_and_names_the_first(raw, tmp_path):
    out = tmp_path / "out"
    seen = []

    def try_meanwhile(state):
        if state.done == 2 and not seen:
            with ThreadPoolExecutor(1) as pool:
                seen.append(pool.submit(run, raw, out).exception())

    assert run(raw, out, progress=try_meanwhile).archive
    assert isinstance(seen[0], ArchiveLockedError)
    assert f"pid {os.getpid()} on {socket.gethostname()}" in str(seen[0])
    assert not parts_of(out)


def test_the_lock_is_held_from_the_very_start(raw, tmp_path):
    """Before anything is read: listing the raw files of a large dataset takes minutes."""
    out = tmp_path / "out"
    out.mkdir()
    lock = WriterLock(lock_file(out, "toy"))
    try:
        (raw / "index.json").unlink()
        with pytest.raises(ArchiveLockedError):
            run(raw, out)
    finally:
        lock.release()


@pytest.mark.parametrize("boot", ["another boot", None])
def test_locks_of_dead_runs_are_recognised(raw, tmp_path, boot):
    out = tmp_path / "out"
    out.mkdir()
    holder = {
        "host": socket.gethostname(), "pid": 2**22 - 1, "started": "2024-01-01 00:00:00",
        "start_ticks": 1, "boot_id": boot or Path("/proc/sys/kernel/random/boot_id").read_text(),
    }  # fmt: skip
    lock_file(out, "toy").write_text(json.dumps(holder))
    assert run(raw, out).archive


def test_a_lock_on_another_machine_is_taken_over_only_by_force(raw, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    holder = {"host": "node17", "pid": 1, "started": "2024-01-01 00:00:00", "boot_id": "x"}
    lock_file(out, "toy").write_text(json.dumps(holder))
    with pytest.raises(ArchiveLockedError, match="node17"):
        run(raw, out)
    assert run(raw, out, force_unlock=True).archive


# ---- disk and folders ---------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_noticed_before(raw, tmp_path, monkeypatch):
    sizes = dataclasses.replace(toys.CARD.sizes, archive_bytes=10**9)
    monkeypatch.setattr(toys.Toy, "card", dataclasses.replace(toys.CARD, sizes=sizes))
    monkeypatch.setattr(storage, "free_bytes", lambda folder: 10**8)
    with pytest.raises(StorageError, match="1,000,000,000 bytes are needed, 100,000,000 are free"):
        run(raw, tmp_path / "out")
    assert run(raw, tmp_path / "out", check_space=False).archive


def test_a_disk_that_will_be_too_small_is_noticed_on_the_way(tmp_path, monkeypatch):
    raw = toys.write_raw(tmp_path / "raw", units=40, frames=1)
    monkeypatch.setattr(space, "_INTERVAL_S", 0.0)
    out = tmp_path / "out"
    size = run(raw, tmp_path / "fresh").archive_bytes
    monkeypatch.setattr(storage, "free_bytes", lambda folder: size // 4)
    with pytest.raises(StorageError, match="bytes are needed"):
        run(raw, out)
    assert 8 <= len(parts_of(out)) < 20
    monkeypatch.undo()
    assert run(raw, out).reused >= 8


def test_a_read_only_raw_folder_through_links(raw, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("index.json", "behaviour.json"):
        (linked / name).symlink_to(raw / name)
    (linked / "images").symlink_to(raw / "images", target_is_directory=True)
    (linked / "images" / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*") if path.exists()}
    for path in (raw / "images", raw, linked):
        path.chmod(0o555)
    try:
        report = run(linked, tmp_path / "out")
    finally:
        for path in (raw / "images", raw, linked):
            path.chmod(0o755)
    assert report.archive
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*") if path.exists()} == before


def test_a_link_that_leads_back_is_named(raw, tmp_path):
    (raw / "images" / "back").symlink_to(raw, target_is_directory=True)
    with pytest.raises(RawFileError, match=r"images/back' contains itself"):
        run(raw, tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["with space", "caf\u00e9", "a#b", "[x]", "100%", "line\nbreak", "q?*"]
)
def test_raw_folders_may_have_any_name(tmp_path, name):
    raw = toys.write_raw(tmp_path / name / "raw", units=2, frames=1)
    (raw / "images" / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(encode_jpeg(toys.photo()))
    (raw / "images" / ("x" * 250 + ".jpg")).write_bytes(b"")
    report = run(raw, tmp_path / "out")
    assert report.records == 2
    assert run(raw, tmp_path / "out").already_converted


@pytest.mark.parametrize("name", ["a#b", "[x]", "100%", "line\nbreak", "q?"])
def test_output_folders_that_tools_cannot_open_are_refused_at_once(raw, tmp_path, name):
    with pytest.raises(ArchivePathError):
        run(raw, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_missing_raw_folder_and_a_foreign_target_are_named(raw, tmp_path):
    with pytest.raises(MissingRawFileError, match="nowhere"):
        toys.ToyConverter(tmp_path / "nowhere")
    (tmp_path / "out" / "toy").mkdir(parents=True)
    with pytest.raises(ArchiveError, match="not an archive"):
        run(raw, tmp_path / "out")


# ---- executors ----------------------------------------------------------------------------------


def test_choices_of_executors_are_checked():
    with pytest.raises(UnknownNameError, match="process"):
        ExecutorChoice(kind="proces")
    with pytest.raises(ConversionError, match="0 jobs"):
        ExecutorChoice(jobs=0)


def test_short_units_are_grouped_and_long_ones_are_not():
    pool = ExecutorChoice(kind="process", jobs=4)
    assert pool.window == 8
    assert pool.group_size(0.0, 1000) == 1  # nothing is known yet
    assert pool.group_size(0.1, 1000) == 20
    assert pool.group_size(0.001, 10**6) == 64
    assert pool.group_size(0.1, 16) == 2  # work for everybody to the end
    assert pool.group_size(60.0, 1000) == 1
    jobs = ExecutorChoice(kind="slurm", jobs=10)
    assert jobs.group_size(0.0, 1000) == 50
    assert jobs.group_size(60.0, 1000) == 30
    assert ExecutorChoice().group_size(0.001, 1000) == 1


def test_a_worker_that_always_dies_fails_its_unit_by_name(raw, tmp_path):
    toys.tell(raw, {"take002/c1": "die"})
    report = run(raw, tmp_path / "out", executor="process", jobs=2)
    assert set(report.failed) == {"take002/c1"}
    assert "died twice" in report.failed["take002/c1"]
    assert len(parts_of(tmp_path / "out")) == 5
    assert not list((tmp_path / "out").glob(".converting-toy/parts-*/*.partial-*"))


def test_a_worker_that_dies_once_costs_nothing(raw, tmp_path):
    toys.tell(raw, {"take001/c1": "exit-once", "take004/c1": "die-once"})
    report = run(raw, tmp_path / "out", executor="process", jobs=2)
    assert not report.failed
    assert toys.contents(report.archive) == toys.contents(run(raw, tmp_path / "fresh").archive)


def test_workers_that_cannot_even_begin_end_the_run(raw, tmp_path, monkeypatch):
    """As when a program calls convert() without the guard that spawned workers need."""
    broken = tmp_path / "site" / "sitecustomize.py"
    broken.parent.mkdir()
    broken.write_text("import os, sys\nif 'spawn_main' in ' '.join(sys.orig_argv): os._exit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    with pytest.raises(ConversionError, match="die before they begin") as caught:
        run(raw, tmp_path / "out", executor="process", jobs=2)
    assert "__main__" in caught.value.fix


def test_workers_use_one_thread_and_this_process_gets_its_threads_back(raw, tmp_path):
    import cv2
    from threadpoolctl import threadpool_info

    before = (cv2.getNumThreads(), [pool["num_threads"] for pool in threadpool_info()])
    seen = []

    def look(state):
        if state.stage == "units":
            seen.append(cv2.getNumThreads())

    run(raw, tmp_path / "out", progress=look)
    assert 1 in seen
    assert (cv2.getNumThreads(), [pool["num_threads"] for pool in threadpool_info()]) == before


def test_what_a_converter_has_parsed_stays_at_home(raw):
    import functools
    import pickle

    class Remembering(toys.ToyConverter):
        @functools.cached_property
        def annotation(self):
            return bytearray(10**6)

    vars(toys)["Remembering"] = Remembering
    Remembering.__module__, Remembering.__qualname__ = "conversion_toys", "Remembering"
    converter = Remembering(raw)
    assert len(converter.annotation) == 10**6
    assert len(pickle.dumps(converter)) < 2000
    del toys.Remembering
