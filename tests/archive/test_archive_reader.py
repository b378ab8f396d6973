import gc
import json
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import archive_toys as toys
import numpy as np
import pytest

from posepile_torch.archive import Archive, layout, open_archive
from posepile_torch.archive import manifest as manifest_module
from posepile_torch.archive.layout import INDEX_DTYPE, Flag
from posepile_torch.archive.rebuild import rebuild_index
from posepile_torch.archive.verify import verify_archive
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveError,
    ManifestError,
    UnknownNameError,
)
from posepile_torch.record import validate_record

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toys.build(tmp_path_factory.mktemp("archives"), 60)


@pytest.fixture
def archive(folder):
    with open_archive(folder) as opened:
        yield opened


def written_frames():
    return [i for i in range(60) if i % 10 != 9]


def test_records_come_back_as_they_were_written(archive):
    assert len(archive) == len(written_frames())
    for row in range(len(archive)):
        record = archive.record(row)
        expected = toys.record(record.frame)
        np.testing.assert_array_equal(record.joints3d, expected.joints3d)
        np.testing.assert_array_equal(record.joints2d, expected.joints2d)
        np.testing.assert_array_equal(record.box, expected.box)
        assert record.camera == expected.camera
        assert record.person_mask == expected.person_mask
        assert dict(record.raw) == dict(expected.raw)
        validate_record(record, archive.skeleton)
        assert archive.image_bytes(row) == toys.jpeg(record.frame)
        assert archive.record(row).key == record.key
        assert archive.find(record.split, record.id) == row


def test_rows_follow_split_and_order_of_writing(archive):
    frames = archive.index["frame"]
    start = 0
    for split, remainders in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        expected = [i for i in written_frames() if i % 4 in remainders]
        rows = archive.rows(split=split)
        assert rows.dtype == np.int64
        assert rows.tolist() == list(archive.split_range(split))
        assert rows.tolist() == list(range(start, start + len(expected)))
        assert frames[rows].tolist() == expected
        start += len(expected)
    assert archive.rows().tolist() == list(range(len(archive)))
    with pytest.raises(UnknownNameError, match="train"):
        archive.rows(split="trian")


def test_the_index_knows_every_record(archive):
    assert archive.index.dtype == INDEX_DTYPE
    assert not archive.index.flags.writeable
    for row, fields in enumerate(archive.index):
        record = archive.record(row)
        for field, attribute in layout.RECORD_ATTRIBUTES.items():
            text = getattr(record, attribute)
            code = fields[field]
            assert text == (None if code == -1 else archive.vocabulary(field)[code])
        flags = Flag(int(fields["flags"]))
        assert (Flag.BODY in flags) == (record.body is not None)
        assert Flag.CAMERA in flags
        assert Flag.JOINTS3D in flags
        assert Flag.DENSEPOSE not in flags
    with pytest.raises(UnknownNameError, match="subject"):
        archive.vocabulary("subjekt")
    with pytest.raises(IndexError):
        archive.record(len(archive))
    with pytest.raises(UnknownNameError):
        archive.find("train", "nobody")
    assert archive.record(-1).key == archive.record(len(archive) - 1).key


def test_a_split_range_costs_no_memory(archive):
    assert isinstance(archive.split_range("train"), range)


def test_several_records_may_share_an_image(tmp_path):
    with toys.open_writer(tmp_path) as writer:
        writer.add_image("a.jpg", toys.jpeg(3))
        for person in range(3):
            writer.add(toys.record(0, id=f"a_{person:02d}", image_key="a.jpg"))
        folder = writer.publish()
    with open_archive(folder) as archive:
        assert len(archive) == 3
        assert archive.manifest.totals.images == 1
        assert {archive.image_bytes(row) for row in range(3)} == {toys.jpeg(3)}
    assert verify_archive(folder, "decode").ok


def test_large_vocabularies_move_out_of_the_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "MAX_INLINE_VOCABULARY", 3)
    folder = toys.build(tmp_path, 30)
    with open_archive(folder) as archive:
        assert archive.manifest.vocabularies["subject"] is None
        assert archive.vocabulary("subject") == ("S0", "S1", "S2", "S3", "S4")
        assert archive.vocabulary("sequence") == ("seq0", "seq1", "seq2")
    assert verify_archive(folder, "decode").ok
    before = toys.contents(folder)
    (folder / "vocabularies.json").write_bytes(b"{}")
    (folder / "index.npy").unlink()
    rebuild_index(folder)
    assert toys.contents(folder) == before


def test_unicode_names_sort_by_their_bytes_and_come_back(tmp_path):
    names = ["Zoë", "Ärzte", "字", "a", "Z", "\U0001f600"]
    with toys.open_writer(tmp_path) as writer:
        for i, name in enumerate(names):
            writer.add_image(f"{i}.jpg", toys.jpeg(i))
            writer.add(toys.record(i, id=f"{name}/{i}", image_key=f"{i}.jpg", subject=name))
        folder = writer.publish()
    with open_archive(folder) as archive:
        assert archive.vocabulary("subject") == tuple(sorted(names, key=str.encode))
        for row in range(len(archive)):
            code = archive.index["subject"][row]
            assert archive.record(row).subject == archive.vocabulary("subject")[code]
    assert verify_archive(folder, "decode").ok


# ---- rebuilding ----


def test_the_index_can_be_rebuilt_to_the_bit(tmp_path):
    folder = toys.build(tmp_path, 40)
    before = toys.contents(folder)
    for damage in (b"", b"x" * 100, None):
        if damage is None:
            (folder / "index.npy").unlink()
        else:
            (folder / "index.npy").write_bytes(damage)
        with pytest.raises(ArchiveError, match=r"index\.npy"):
            open_archive(folder)
        assert rebuild_index(folder).name == "index.npy"
        assert toys.contents(folder) == before


def test_a_rebuild_that_differs_from_the_manifest_changes_nothing(tmp_path):
    folder = toys.build(tmp_path, 40).resolve()
    other = toys.build(tmp_path / "other", 38)
    for name in ("annotations.barecat", "images.barecat"):
        (folder / name).write_bytes((other / name).read_bytes())
    before = toys.contents(folder)
    with pytest.raises(ArchiveCorruptError, match="another"):
        rebuild_index(folder)
    assert toys.contents(folder) == before


# ---- processes ----


@pytest.mark.slow
def test_threads_forked_and_spawned_readers_together(tmp_path):
    """20,000 reads of a record and an image each: no error, no descriptor too many."""
    folder = toys.build(tmp_path, 300, shard_limit_bytes=40_000, checkpoint_every=1000)
    done = subprocess.run(
        [sys.executable, str(HERE / "stress_driver.py"), str(folder), "20000"],
        cwd=HERE, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout)
    assert result["reads"] >= 20000
    assert result["errors"] == []
    assert result["failed_children"] == 0, done.stderr[-4000:]
    assert result["descriptor_growth"] == 0


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def read_all(archive):
    for row in archive.split_range():
        archive.record(row)
        archive.image_bytes(row)


def test_descriptors_stay_flat_over_epochs_and_readers(folder):
    with open_archive(folder) as archive:
        opened = descriptors()
        read_all(archive)
        after_one = descriptors()
        shards = sum("-shard-" in name for name in archive.manifest.files)
        assert after_one - opened == shards  # one per shard, the index is a mapping
        for _ in range(20):
            read_all(archive)
        assert descriptors() == after_one
    gc.collect()
    baseline = descriptors()
    for turn in range(200):
        archive = pickle.loads(pickle.dumps(open_archive(folder)))
        archive.record(turn % len(archive))
        del archive  # never closed by hand
        if turn % 20 == 19:
            gc.collect()
            assert descriptors() <= baseline


def test_reading_after_close_is_an_error(folder):
    archive = open_archive(folder)
    archive.record(0)
    archive.close()
    archive.close()
    with pytest.raises(ArchiveError, match="closed"):
        archive.record(0)
    assert len(archive) == len(written_frames())  # what is in memory stays


def test_an_archive_pickles_as_its_path(folder, tmp_path):
    archive = open_archive(folder)
    data = pickle.dumps(archive)
    assert len(data) < 1000
    again = pickle.loads(data)
    assert again.path == archive.path
    assert again.fingerprint == archive.fingerprint


def test_an_unpickled_reader_keeps_its_version_or_refuses(tmp_path):
    toys.build(tmp_path, 10)
    old = open_archive(tmp_path / "toy")
    data = pickle.dumps(old)
    toys.build(tmp_path, 20)
    assert pickle.loads(data).fingerprint == old.fingerprint  # the old folder is still there
    plain = tmp_path / "plain" / "toy"
    plain.mkdir(parents=True)
    for name, content in toys.contents(old.path).items():
        (plain / name).write_bytes(content)
    data = pickle.dumps(open_archive(plain))
    for name, content in toys.contents(tmp_path / "toy").items():
        (plain / name).write_bytes(content)
    with pytest.raises(ManifestError, match="changed in place"):
        pickle.loads(data)


def child_reads(archive, queue):
    queue.put((archive.record(3).key, "torch" in sys.modules))


def test_a_spawned_worker_needs_no_torch(archive):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child_reads, args=(archive, queue))
    process.start()
    key, has_torch = queue.get(timeout=60)
    process.join()
    assert key == archive.record(3).key
    assert not has_torch


def test_importing_the_archive_is_light():
    code = (
        "import sys, posepile_torch.archive; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'barecat', 'typer', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_open_archive_takes_links_and_text(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    for path in (str(folder), link, f"{folder}/"):
        with open_archive(path) as archive:
            assert isinstance(archive, Archive)
            assert archive.path == folder.resolve()
    assert "records of toy" in repr(archive)
