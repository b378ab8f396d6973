import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import archive_toys as toys
import numpy as np
import pytest

from posepile_torch.archive import ArchiveWriter, open_archive, storage
from posepile_torch.archive import lock as lock_module
from posepile_torch.archive.interrupts import StopRequest
from posepile_torch.archive.journal import Journal
from posepile_torch.archive.layout import lock_file
from posepile_torch.archive.lock import WriterLock, is_locked
from posepile_torch.archive.manifest import read_manifest
from posepile_torch.archive.publish import find_leftovers, remove_leftover
from posepile_torch.archive.verify import verify_archive
from posepile_torch.errors import (
    ArchiveError,
    ArchiveIncompleteError,
    ArchiveLockedError,
    ArchiveNotFoundError,
    ArchivePathError,
    ImageError,
    JointCountError,
    RecordError,
    ResumeError,
    StorageError,
)
from posepile_torch.record import Precision, encode_record

BARECAT = [sys.executable, "-m", "barecat"]


def barecat(*arguments):
    return subprocess.run([*BARECAT, *map(str, arguments)], capture_output=True, text=True)


# ---- bytes ----


def test_two_writes_are_byte_equal_wherever_and_whenever(tmp_path):
    first = toys.build(tmp_path / "a", 25)
    time.sleep(1.1)  # BareCat's own triggers would store the current second
    second = toys.build(tmp_path / "elsewhere" / "b", 25)
    assert toys.contents(first) == toys.contents(second)


@pytest.mark.parametrize("stops", [[1], [7, 8, 20], list(range(1, 25))])
def test_a_write_resumed_after_leaving_is_byte_equal(tmp_path, stops):
    reference = toys.contents(toys.build(tmp_path / "reference", 25))
    for stop in stops:
        with toys.open_writer(tmp_path) as writer:
            assert toys.resume_at(writer) == max((s for s in stops if s < stop), default=0)
            toys.write_items(writer, stop, toys.resume_at(writer))
        with pytest.raises(ArchiveIncompleteError, match="not finished"):
            open_archive(tmp_path / "toy")
    assert toys.contents(toys.build(tmp_path, 25)) == reference


def test_an_exception_publishes_nothing_and_keeps_the_last_durable_checkpoint(tmp_path):
    reference = toys.contents(toys.build(tmp_path / "reference", 25))

    def fail():
        with toys.open_writer(tmp_path) as writer:
            toys.write_items(writer, 12)
            writer.add_image("half.jpg", toys.jpeg(0))
            raise RuntimeError("bug in a converter")

    with pytest.raises(RuntimeError, match="converter"):
        fail()
    assert not (tmp_path / "toy").exists()
    with toys.open_writer(tmp_path) as writer:
        assert 8 <= toys.resume_at(writer) <= 12
        toys.write_items(writer, 25, toys.resume_at(writer))
        writer.publish()
    assert toys.contents(tmp_path / "toy") == reference


def test_leaving_between_a_unit_and_its_checkpoint_repeats_neither(tmp_path):
    for _ in range(2):
        with toys.open_writer(tmp_path) as writer:
            toys.write_items(writer, 3, toys.resume_at(writer))
            writer.end_unit("a")
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 3, toys.resume_at(writer))
        writer.end_unit("a")
        folder = writer.publish()
    assert read_manifest(folder).units["a"].records == 3


def test_bytes_do_not_depend_on_how_often_checkpoints_are_made(tmp_path):
    folders = [
        toys.build(tmp_path / str(every), 25, checkpoint_every=every) for every in (1, 7, 10000)
    ]
    assert len({json.dumps(toys.contents(f), default=bytes.hex) for f in folders}) == 1


def test_plain_barecat_tools_read_both_containers(tmp_path):
    folder = toys.build(tmp_path, 25)
    with open_archive(folder) as archive:
        for container, count in (("images", 23), ("annotations", 23)):
            path = folder / f"{container}.barecat"
            verified = barecat("verify", path)
            assert verified.returncode == 0, verified.stderr
            assert f"Verified {count} files" in verified.stdout
            listed = barecat("list", "-R", path).stdout.split()
            assert len([name for name in listed if name.endswith((".jpg", ".msgpack"))]) == count
            out = tmp_path / container
            out.mkdir()
            assert barecat("extract", path, "-C", out).returncode == 0
            files = [p for p in out.rglob("*") if p.is_file()]
            assert len(files) == count
        row = archive.find("train", "seq1/cam0/00004_00")
        extracted = tmp_path / "images" / "seq1" / "cam0" / "00004.jpg"
        assert archive.image_bytes(row) == extracted.read_bytes()
        extracted = tmp_path / "annotations" / "train" / "seq1" / "cam0" / "00004_00.msgpack"
        assert archive.record_bytes(row) == extracted.read_bytes()
    import barecat as library

    with library.Barecat(str(folder / "annotations.barecat"), threadsafe=True) as container:
        assert len(container) == 23
        assert container.index.verify_integrity()


def test_an_empty_archive_is_refused_unless_wanted(tmp_path):
    with (
        pytest.raises(ArchiveError, match="no records"),
        toys.open_writer(tmp_path) as writer,
    ):
        writer.publish()
    with toys.open_writer(tmp_path) as writer:
        folder = writer.publish(allow_empty=True)
    with open_archive(folder) as archive:
        assert len(archive) == 0
        assert archive.rows().shape == (0,)
        assert archive.manifest.mean_bone_lengths_mm["train"] == (None,) * 4
    assert verify_archive(folder, "semantic").ok
    assert barecat("verify", folder / "images.barecat").returncode == 0


def test_shards_hold_at_most_the_limit_and_entries_are_not_divided(tmp_path):
    size = len(toys.jpeg(0))
    with toys.open_writer(tmp_path, shard_limit_bytes=2 * size) as writer:
        for i in range(4):
            writer.add_image(f"{i}.jpg", toys.jpeg(0))
        assert [p.stat().st_size for p in sorted(writer.data_folder.glob("images*"))] == [
            2 * size, 2 * size
        ]  # fmt: skip
    with (
        pytest.raises(ArchiveError, match="does not fit"),
        toys.open_writer(tmp_path, restart=True, shard_limit_bytes=size - 1) as writer,
    ):
        writer.add_image("0.jpg", toys.jpeg(0))


# ---- what is refused ----


def test_bad_records_and_images_leave_the_writer_usable(tmp_path):
    with toys.open_writer(tmp_path) as writer:
        writer.add_image("seq0/cam0/00000.jpg", toys.jpeg(0))
        with pytest.raises(RecordError, match="already an image"):
            writer.add_image("seq0/cam0/00000.jpg", toys.jpeg(0))
        for key in ("a.png", "a.jpg/b.jpg"):
            with pytest.raises(RecordError, match="ends in"):
                writer.add_image(key, toys.jpeg(0))
        with pytest.raises(ArchivePathError):
            writer.add_image("../a.jpg", toys.jpeg(0))
        with pytest.raises(ImageError):
            writer.add_image("b.jpg", b"<html>")
        with pytest.raises(RecordError, match="end like"):
            writer.add_image("b.jpg", toys.jpeg(0)[:-2])
        with pytest.raises(RecordError, match="not there"):
            writer.add(toys.record(1))
        with pytest.raises(RecordError, match="width, height"):
            writer.add(toys.record(0, image_size=(16, 24), camera=None, person_mask=None))
        with pytest.raises(JointCountError):
            writer.add(toys.record(0, joints3d=np.zeros((6, 3))))
        writer.add(toys.record(0))
        with pytest.raises(RecordError, match="already a record"):
            writer.add(toys.record(0, subject="a refused record leaves no trace"))
        with pytest.raises(RecordError, match="absolute"):
            writer.skip("bad", "/data/x")
        with pytest.raises(ArchiveError, match="JSON"):
            writer.checkpoint({"rng": np.zeros(3)})
        with pytest.raises(ArchiveError, match="JSON"):
            writer.checkpoint({"x": float("nan")})
        writer.publish()
    with open_archive(tmp_path / "toy") as archive:
        assert len(archive) == 1
    assert verify_archive(tmp_path / "toy", "decode").ok


def test_bad_places_and_names_are_refused(tmp_path):
    for name in ("a b/c", ".x", "a#", ""):
        with pytest.raises(ArchivePathError):
            ArchiveWriter(tmp_path, name, header=toys.header())
    with pytest.raises(ArchivePathError):
        ArchiveWriter(tmp_path / "a[1]", "toy", header=toys.header())
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "thesis.tex").touch()
    with pytest.raises(ArchiveError, match="not an archive"):
        toys.open_writer(tmp_path)
    with pytest.raises(ArchiveError, match="JSON"):
        toys.header(plan={"x": Path("a")}).to_json()


def test_a_writer_is_of_no_use_after_its_end(tmp_path):
    writer = toys.open_writer(tmp_path)
    toys.write_items(writer, 5)
    writer.publish()
    for call in (
        lambda: writer.add_image("x.jpg", toys.jpeg(0)),
        lambda: writer.checkpoint({}),
        writer.publish,
    ):
        with pytest.raises(ArchiveError, match="published"):
            call()
    writer.close()
    writer.close()


def test_resuming_with_other_settings_is_refused_and_says_which(tmp_path):
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 5)
    changed = toys.header(
        plan={"step_mm": 50}, converter_version="2", raw_files={"a.mp4": {"bytes": 1}}
    )
    with pytest.raises(ResumeError) as caught:
        toys.open_writer(tmp_path, header=changed)
    for text in ("plan.step_mm: 100 became 50", "converter_version", "raw_files.a.mp4", "restart"):
        assert text in str(caught.value)
    with toys.open_writer(tmp_path, header=changed, restart=True) as writer:
        assert writer.resumed_state is None
        assert writer.record_count == 0


def test_damaged_building_folders_are_reported(tmp_path):
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 9)
        shard = sorted(writer.data_folder.glob("images*"))[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(ResumeError, match="last checkpoint"):
        toys.open_writer(tmp_path)
    shard.write_bytes(whole)
    journal = tmp_path / ".building-toy" / "journal.sqlite"
    journal.write_bytes(b"x" * 5000)
    with pytest.raises(ResumeError, match="damaged"):
        toys.open_writer(tmp_path)
    toys.open_writer(tmp_path, restart=True).close()


# ---- statistics ----


def test_the_manifest_counts_what_was_written(tmp_path):
    units = {"takes/0": "d0", "takes/1": ""}
    with toys.open_writer(tmp_path, header=toys.header(units=units)) as writer:
        toys.write_items(writer, 12)
        writer.end_unit("takes/0")
        with pytest.raises(ArchiveError, match="takes/1"):
            writer.publish()
        toys.write_items(writer, 40, 12)
        for i in range(30):
            writer.skip("blurred", f"frame {i}")
        with pytest.raises(ArchiveError, match="behind the last unit"):
            writer.publish()
        writer.end_unit("takes/1")
        with pytest.raises(RecordError, match="not planned"):
            writer.end_unit("takes/2")
        with pytest.raises(RecordError, match="twice"):
            writer.end_unit("takes/1")
        manifest = read_manifest(writer.publish())
    rows = [i for i in range(40) if i % 10 != 9]
    assert manifest.totals.records == manifest.totals.images == len(rows)
    assert manifest.totals.splits == {
        "train": sum(i % 4 < 2 for i in rows),
        "val": sum(i % 4 == 2 for i in rows),
        "test": sum(i % 4 == 3 for i in rows),
    }
    assert manifest.totals.having["body"] == sum(i % 3 == 0 for i in rows)
    assert manifest.totals.having["densepose"] == 0
    assert manifest.skipped["blurred"].count == 30
    assert manifest.skipped["blurred"].items == tuple(f"frame {i}" for i in range(20))
    assert manifest.skipped["every tenth is skipped"].count == 4
    assert [(u.records, u.images, u.skipped) for u in manifest.units.values()] == [
        (11, 11, 1), (25, 25, 33)
    ]  # fmt: skip
    assert list(manifest.units) == list(units)
    assert manifest.units["takes/0"].raw_digest == "d0"
    assert len(manifest.units["takes/0"].digest) == 64
    assert manifest.vocabularies["subject"] == ("S0", "S1", "S2", "S3", "S4")
    assert manifest.vocabularies["activity"] == ("Sitting", "Walking")


def test_names_that_are_no_unicode_are_escaped_or_refused(tmp_path):
    raw_name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    with pytest.raises(ArchiveError, match="JSON"):
        toys.open_writer(tmp_path, header=toys.header(raw_files={raw_name: {}}))
    with toys.open_writer(tmp_path) as writer:
        writer.skip("not an image", raw_name)
        with pytest.raises(ArchivePathError):
            writer.end_unit(raw_name)
        with pytest.raises(ArchiveError, match="JSON"):
            writer.checkpoint({"next": raw_name})
        manifest = read_manifest(writer.publish(allow_empty=True))
    assert manifest.skipped["not an image"].items == (r"caf\udce9.jpg",)


def test_mean_bone_lengths_are_those_of_the_stored_train_records(tmp_path):
    precision = Precision(joints3d_mm=1.0)
    folder = toys.build(tmp_path, 40, header=toys.header(precision=precision))
    with open_archive(folder) as archive:
        means = archive.manifest.mean_bone_lengths_mm
        for name, splits in (("train", ("train",)), ("trainval", ("train", "val"))):
            rows = np.concatenate([archive.rows(split=split) for split in splits])
            joints = np.stack([archive.record(int(row)).joints3d for row in rows])
            edges = np.array(toys.SKELETON.edges)
            lengths = np.linalg.norm(joints[:, edges[:, 0]] - joints[:, edges[:, 1]], axis=2)
            np.testing.assert_allclose(means[name], np.nanmean(lengths, axis=0), atol=1e-3)


def test_the_content_digest_survives_resharding_and_the_fingerprint_does_not(tmp_path):
    a = read_manifest(toys.build(tmp_path / "a", 25))
    b = read_manifest(toys.build(tmp_path / "b", 25, shard_limit_bytes=10**6))
    c = read_manifest(toys.build(tmp_path / "c", 24))
    assert a.content_digests == b.content_digests
    assert len(a.files) > len(b.files)
    assert a.fingerprint != b.fingerprint
    assert a.content_digests != c.content_digests


# ---- one writer ----


def hold_lock(root, ready):
    with toys.open_writer(root):
        ready.set()
        time.sleep(60)


def test_a_second_writer_leaves_at_once_and_names_the_first(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold_lock, args=(tmp_path, ready))
    process.start()
    try:
        assert ready.wait(60)
        assert is_locked(tmp_path / ".toy.lock")
        for force in (False, True):  # a living holder is never overruled
            with pytest.raises(ArchiveLockedError) as caught:
                toys.open_writer(tmp_path, force_unlock=force)
            assert f"pid {process.pid} on {socket.gethostname()}" in str(caught.value)
        with toys.open_writer(tmp_path, name="other"):
            pass
    finally:
        process.kill()
        process.join()
        process.close()
    with toys.open_writer(tmp_path) as writer:  # its lock died with it
        assert writer.resumed_state is None


def write_holder(path, **changes):
    holder = lock_module._me() | changes
    path.write_text(json.dumps(holder))


def test_stale_locks_are_recognised(tmp_path):
    path = tmp_path / ".toy.lock"
    write_holder(path, boot_id="before the reboot", pid=os.getpid())
    WriterLock(path).release()
    write_holder(path, pid=2**22 + 1, start_ticks=5)
    WriterLock(path).release()
    path.write_text('{"pid": 1')  # cut off while it was written
    WriterLock(path).release()

    write_holder(path, host="othernode", started="2026-01-01 10:00:00")
    with pytest.raises(ArchiveLockedError, match="othernode"):
        WriterLock(path)
    assert is_locked(path)
    old = time.time() - lock_module.HEARTBEAT_TIMEOUT_S - 60
    os.utime(path, (old, old))
    WriterLock(path).release()  # the other machine stopped touching it
    write_holder(path, host="othernode")
    WriterLock(path, force=True).release()
    assert path.read_bytes() == b""


def test_without_kernel_locks_the_text_decides(tmp_path, monkeypatch):
    def unsupported(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock_module.fcntl, "flock", unsupported)
    path = tmp_path / ".toy.lock"
    held = WriterLock(path)
    with pytest.raises(ArchiveLockedError):
        WriterLock(path)
    held.release()
    write_holder(path, start_ticks=1)  # the pid was given to another process since
    WriterLock(path).release()


def test_the_heartbeat_touches_the_lock(tmp_path, monkeypatch):
    lock = WriterLock(tmp_path / "lock")
    os.utime(lock.path, (0, 0))
    lock.beat()
    assert lock.path.stat().st_mtime == 0
    monkeypatch.setattr(lock_module, "_HEARTBEAT_INTERVAL_S", 0.0)
    lock.beat()
    assert lock.path.stat().st_mtime > 0
    lock.release()


def test_only_one_of_many_threads_gets_the_lock(tmp_path):
    outcomes = []

    def attempt():
        with contextlib.suppress(ArchiveLockedError):
            outcomes.append(toys.open_writer(tmp_path))

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    outcomes[0].close()


# ---- publication ----


def test_a_new_version_replaces_the_old_one_and_readers_keep_theirs(tmp_path):
    toys.build(tmp_path, 10)
    old = open_archive(tmp_path / "toy")
    toys.build(tmp_path, 20)
    with open_archive(tmp_path / "toy") as new:
        assert len(new) == 18
        assert new.fingerprint != old.fingerprint
    assert len(old) == 9
    assert old.record(8).frame >= 0  # shards that were not open yet are still there
    assert old.image_bytes(8)
    leftovers = find_leftovers(tmp_path)
    assert [(x.kind, x.path) for x in leftovers] == [("superseded", old.path)]
    assert leftovers[0].bytes > 1000
    old.close()
    remove_leftover(leftovers[0])
    assert find_leftovers(tmp_path) == []
    assert verify_archive(tmp_path / "toy").ok


def test_publishing_the_same_content_again_changes_nothing(tmp_path):
    first = toys.build(tmp_path, 10).resolve()
    before = toys.contents(first)
    assert toys.build(tmp_path, 10).resolve() == first
    assert toys.contents(first) == before
    assert find_leftovers(tmp_path) == []


def test_a_plain_copy_of_an_archive_is_replaced_and_kept(tmp_path):
    source = toys.build(tmp_path / "a", 10)
    (tmp_path / "b").mkdir()
    shutil.copytree(source, tmp_path / "b" / "toy")
    with open_archive(tmp_path / "b" / "toy") as copied:
        assert len(copied) == 9
    toys.build(tmp_path / "b", 20)
    with open_archive(tmp_path / "b" / "toy") as new:
        assert len(new) == 18
    assert [x.kind for x in find_leftovers(tmp_path / "b")] == ["superseded"]


def test_a_damaged_plain_folder_is_set_aside(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "manifest.json").write_text("{}")
    folder = toys.build(tmp_path, 10)
    assert verify_archive(folder).ok
    (leftover,) = find_leftovers(tmp_path)
    assert leftover.path.name == ".toy-damaged000000000"
    copied = tmp_path / "b"
    shutil.copytree(folder, copied / "toy")
    assert toys.build(copied, 10).is_symlink()  # the plain copy had the very same content
    assert find_leftovers(copied) == []


def test_an_archive_that_only_lacks_its_name_is_not_thrown_away(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", fail)
        with pytest.raises(StorageError):
            toys.build(tmp_path, 10)
    (leftover,) = find_leftovers(tmp_path)
    assert leftover.kind == "unfinished"
    remove_leftover(leftover)
    assert verify_archive(tmp_path / "toy").ok
    assert find_leftovers(tmp_path) == []
    assert find_leftovers(tmp_path / "nothing") == []


def test_disks_without_links_hold_one_plain_version(tmp_path, monkeypatch):
    def no_links(*args, **kwargs):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", no_links)
    folder = toys.build(tmp_path, 10)
    assert not folder.is_symlink()
    assert verify_archive(folder).ok
    assert find_leftovers(tmp_path) == []


def test_unfinished_archives_are_listed_and_can_be_removed(tmp_path):
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 5)
        assert find_leftovers(tmp_path) == []  # somebody is at it
    (leftover,) = find_leftovers(tmp_path)
    assert (leftover.kind, leftover.name) == ("unfinished", "toy")
    remove_leftover(leftover)
    with pytest.raises(ArchiveNotFoundError):
        open_archive(tmp_path / "toy")


# ---- disk ----


def test_space_is_checked_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match="bytes are needed") as caught:
        toys.open_writer(tmp_path, expected_bytes=2**70)
    assert caught.value.needed_bytes == 2**70
    assert caught.value.free_bytes == pytest.approx(storage.free_bytes(tmp_path), rel=0.2)
    assert not (tmp_path / ".building-toy").exists()
    monkeypatch.setattr("posepile_torch.archive.storage.free_bytes", lambda folder: 100)
    with pytest.raises(StorageError, match="101 bytes are needed, 100 are free"):
        toys.open_writer(tmp_path, expected_bytes=101)
    toys.open_writer(tmp_path, expected_bytes=100).close()


def test_bytes_are_durable_before_the_rows_that_point_at_them(tmp_path, monkeypatch):
    """A power cut between commit and flush would leave rows that point past the end of a file."""
    dirty, order = set(), []
    real_write, real_fsync, real_commit = os.write, os.fsync, Journal.commit

    def path_of(descriptor):
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def write(descriptor, data):
        dirty.add(path_of(descriptor))
        return real_write(descriptor, data)

    def fsync(descriptor):
        dirty.discard(path_of(descriptor))
        real_fsync(descriptor)

    def commit(journal, ends, bones):
        order.append(sorted(dirty))
        for container, sizes in ends.items():
            for shard, size in enumerate(sizes):
                path = journal.path.parent / "data" / f"{container}-shard-{shard:05d}"
                assert path.stat().st_size == size
        real_commit(journal, ends, bones)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Journal, "commit", commit)
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 20)
        assert len(order) >= 4
        assert not any(order)
        folder = writer.publish()
    assert not dirty  # indexes and manifest are durable before they get their name
    assert len(toys.contents(folder)) > 5


# ---- signals ----


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_asks_and_the_handlers_come_back(number, code):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.requested
        assert stop.exit_code() == 0
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.exit_code() == code
    assert signal.getsignal(number) is before


STOPPABLE = """
import sys, time
import archive_toys as toys
from posepile_torch.archive.interrupts import StopRequest
with StopRequest() as stop, toys.open_writer(sys.argv[1]) as writer:
    start = toys.resume_at(writer)
    for i in range(start, 100000):
        toys.write_items(writer, i + 1, i)
        if i == start + 3:
            print("going", flush=True)
        if stop.requested and sys.argv[2] == "kind":
            sys.exit(stop.exit_code())
        time.sleep(0.001)
"""


@pytest.mark.parametrize(
    ("manner", "signals", "code"),
    [
        ("kind", [signal.SIGTERM], 143),
        ("kind", [signal.SIGINT], 130),
        ("deaf", [signal.SIGINT, signal.SIGINT], -signal.SIGINT),
    ],
)
def test_signals_stop_a_write_that_can_be_resumed(tmp_path, manner, signals, code):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE, str(tmp_path), manner],
        cwd=Path(__file__).parent, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == b"going\n"
    for number in signals:
        process.send_signal(number)
        time.sleep(0.2)
    process.stdout.close()
    assert process.wait(30) == code
    with pytest.raises(ArchiveIncompleteError):
        open_archive(tmp_path / "toy")
    with toys.open_writer(tmp_path) as writer:
        done = toys.resume_at(writer)
        assert done >= 4
        toys.write_items(writer, done + 5, done)
        folder = writer.publish()
    reference = toys.build(tmp_path / "reference", done + 5)
    assert toys.contents(folder) == toys.contents(reference)


FORKING = """
import os, sys
import archive_toys as toys
from posepile_torch.archive.lock import is_locked
from posepile_torch.errors import ArchiveError
writer = toys.open_writer(sys.argv[1])
toys.write_items(writer, 3)
pid = os.fork()
if pid == 0:
    try:
        toys.write_items(writer, 4, 3)
    except ArchiveError as error:
        writer.close()
        os._exit(0 if "another process" in str(error) else 1)
    os._exit(2)
assert os.waitpid(pid, 0)[1] == 0
sleeper = os.fork()
if sleeper == 0:
    import time
    for descriptor in range(3):
        os.close(descriptor)
    time.sleep(60)
    os._exit(0)
toys.write_items(writer, 5, 3)
print(sleeper, flush=True)
os._exit(0)  # without closing; the sleeping child must not keep the archive locked
"""


def test_a_forked_child_can_neither_use_nor_lock_the_archive(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path)],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sleeper = int(done.stdout)
    try:
        assert not is_locked(tmp_path / ".toy.lock")
        toys.open_writer(tmp_path).close()
    finally:
        os.kill(sleeper, signal.SIGKILL)


def test_one_skip_may_stand_for_many_and_only_twenty_are_named(tmp_path):
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 5)
        writer.skip("blurred", "frame 3", count=1000)
        for i in range(30):
            writer.skip("blurred", f"frame {i + 10}")
        with pytest.raises(RecordError, match="count=0"):
            writer.skip("blurred", "frame 99", count=0)
        path = writer.publish()
    skipped = read_manifest(path).skipped["blurred"]
    assert skipped.count == 1030
    assert skipped.items[:2] == ("frame 3", "frame 10")
    assert len(skipped.items) == 20


def test_a_lock_that_the_caller_holds_is_used_and_left_to_them(tmp_path):
    lock = WriterLock(lock_file(tmp_path, "toy"))
    with toys.open_writer(tmp_path, lock=lock) as writer:
        toys.write_items(writer, 5)
        writer.publish()
    with pytest.raises(ArchiveLockedError):
        toys.open_writer(tmp_path)
    lock.release()
    toys.open_writer(tmp_path).close()


def test_records_that_are_encoded_already_give_the_same_archive(tmp_path):
    expected = toys.contents(toys.build(tmp_path / "a", 20))
    with toys.open_writer(tmp_path / "b") as writer:
        for i in range(20):
            if i % 10 == 9:
                writer.skip("every tenth is skipped", f"item {i}")
                continue
            record = toys.record(i)
            with pytest.raises(RecordError, match="not there"):
                writer.add_encoded(encode_record(record))
            writer.add_image(record.image_key, toys.jpeg(i))
            writer.add_encoded(encode_record(record))
            with pytest.raises(RecordError, match="already a record"):
                writer.add_encoded(encode_record(record))
        with pytest.raises(RecordError):
            writer.add_encoded(b"no record")
        path = writer.publish()
    assert toys.contents(path) == expected
