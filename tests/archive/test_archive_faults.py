import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3

import archive_toys as toys
import pytest

from posepile_torch.archive import open_archive
from posepile_torch.archive.containers import write_container_index
from posepile_torch.archive.layout import INDEX_DTYPE
from posepile_torch.archive.manifest import canonical_bytes, digest_of
from posepile_torch.archive.verify import verify_archive
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveError,
    ArchiveIncompleteError,
    ArchiveNotFoundError,
    ManifestError,
    PosepileError,
    SchemaVersionError,
    StorageError,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return toys.build(tmp_path_factory.mktemp("original"), 40).resolve()


@pytest.fixture
def copy(original, tmp_path):
    target = tmp_path / "toy"
    shutil.copytree(original, target)
    return target


def read_everything(folder):
    with open_archive(folder) as archive:
        for row in archive.split_range():
            archive.record(row)
            archive.image_bytes(row)


def flip(path, position, mask=0xFF):
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(data)


# ---- the N-th write fails ----

WATCHED = ("write", "fsync", "open", "ftruncate", "truncate", "rename", "replace", "symlink")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_the_nth_failing_system_call_publishes_nothing_and_can_be_resumed(
    scratch, monkeypatch, number
):
    reference = toys.contents(toys.build(scratch / "reference", 6))
    failures, harmless = 0, []
    for nth in range(1, 1000):
        root = scratch / str(nth)
        calls = []

        def failing(name, original, calls=calls, nth=nth):
            def call(*args, **kwargs):
                calls.append(name)
                if len(calls) == nth:
                    raise OSError(number, os.strerror(number))
                return original(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in WATCHED:
                patch.setattr(os, name, failing(name, getattr(os, name)))
            error = build_or_error(root, 6)
        if len(calls) < nth:
            break
        if error is None:
            harmless.append(calls[nth - 1])
        else:
            failures += 1
            assert "bytes are free" in str(error)
            assert os.strerror(number) in str(error)
            assert error.free_bytes > 0
        if (root / "toy").exists():  # only the last steps, behind the rename, may get so far
            assert toys.contents(root / "toy") == reference
        assert toys.contents(toys.build(root, 6)) == reference
        assert not list(root.glob(".building-*"))
        shutil.rmtree(root)
    assert failures > 50
    assert harmless == ["ftruncate"]  # emptying the lock file, after everything is done


def build_or_error(root, count):
    try:
        toys.build(root, count)
    except StorageError as error:
        return error
    return None


def test_a_full_journal_is_a_storage_error(scratch, monkeypatch):
    reference = toys.contents(toys.build(scratch / "reference", 150))
    with toys.open_writer(scratch) as writer:
        pages = writer._journal._database.execute("PRAGMA page_count").fetchone()[0]
        writer._journal._database.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StorageError, match="bytes are free"):
            toys.write_items(writer, 150)
        with pytest.raises(ArchiveError, match="opened anew"):
            writer.publish()
    assert toys.contents(toys.build(scratch, 150)) == reference


# ---- damage ----


def test_500_flipped_indexes_are_refused_or_reported(original, tmp_path):
    """Both container indexes, index.npy and the manifest; bits, bytes and cuts."""
    rng = random.Random(1)
    names = ["index.npy", "images.barecat", "annotations.barecat", "manifest.json"]
    outcomes = {"typed error": 0, "verify False": 0}
    folder = tmp_path / "toy"
    shutil.copytree(original, folder)
    for trial in range(500):
        path = folder / names[trial % 4]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 1, 3))):
            damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
        if trial % 10 == 9:
            del damaged[rng.randrange(len(damaged)) :]
        assert damaged != whole
        path.write_bytes(damaged)
        try:
            read_everything(folder)
        except PosepileError:
            outcomes["typed error"] += 1
        try:
            report = verify_archive(folder, "quick")
        except SchemaVersionError:
            assert path.name == "manifest.json"
        else:
            assert not report.ok, f"trial {trial}: {path.name} is damaged and nobody noticed"
            outcomes["verify False"] += 1
        path.write_bytes(whole)
    assert verify_archive(folder, "quick").ok
    assert outcomes["typed error"] > 100
    assert outcomes["verify False"] > 490


def test_every_flipped_shard_byte_is_noticed_by_the_read_that_meets_it(original, copy):
    rng = random.Random(2)
    shards = sorted(copy.glob("*-shard-*"))
    for _ in range(60):
        path = rng.choice(shards)
        position = rng.randrange(path.stat().st_size)
        flip(path, position, 1 << rng.randrange(8))
        with pytest.raises(ArchiveCorruptError) as caught:
            read_everything(copy)
        assert caught.value.shard == path.name
        assert str(copy) in str(caught.value)
        report = verify_archive(copy, "crc")
        assert not report.ok
        shutil.copyfile(original / path.name, path)
    assert verify_archive(copy, "crc").ok


def test_an_error_names_key_shard_and_offset(copy):
    with open_archive(copy) as archive:
        row = archive.find("val", "seq2/cam0/00014_00")
        fields = archive.index[row]
        shard = copy / f"annotations.barecat-shard-{fields['annotation_shard']:05d}"
        flip(shard, int(fields["annotation_offset"]) + 5)
        with pytest.raises(ArchiveCorruptError) as caught:
            archive.record(row)
        error = caught.value
        assert error.key == "val/seq2/cam0/00014_00.msgpack"
        assert error.shard == shard.name
        assert error.offset == fields["annotation_offset"]
        assert error.archive == str(copy)
        for text in (error.key, error.shard, "CRC32C", "posepile verify"):
            assert text in str(error)
        assert archive.image_bytes(row)
        image = copy / f"images.barecat-shard-{fields['image_shard']:05d}"
        os.truncate(image, int(fields["image_offset"]) + 3)
        with pytest.raises(ArchiveCorruptError, match="the file ends after 3 of") as caught:
            archive.image_bytes(row)
        assert caught.value.key == "seq2/cam0/00014.jpg"


# ---- files that are missing, added or swapped ----


def test_missing_files_are_named_before_the_first_read(original, tmp_path):
    for path in sorted(original.iterdir()):
        folder = tmp_path / path.name
        shutil.copytree(original, folder)
        (folder / path.name).unlink()
        expected = ManifestError if path.name == "manifest.json" else ArchiveIncompleteError
        with pytest.raises(expected, match=path.name):
            open_archive(folder)
        assert not verify_archive(folder, "quick").ok


def test_extra_shards_and_journals_are_refused(copy):
    extra = copy / "images.barecat-shard-00099"
    extra.write_bytes(b"x")
    with pytest.raises(ManifestError, match="00099"):
        open_archive(copy)
    assert not verify_archive(copy, "quick").ok
    extra.unlink()
    for suffix in ("-journal", "-wal"):
        side = copy / f"images.barecat{suffix}"
        side.write_bytes(b"x")
        with pytest.raises(ArchiveIncompleteError, match="journal"):
            open_archive(copy)
        assert not verify_archive(copy, "quick").ok
        side.unlink()
    (copy / "README.txt").write_text("a note beside the data is fine")
    open_archive(copy).close()
    assert verify_archive(copy).ok


def test_swapped_shards_are_noticed_on_open_even_if_equally_large(original, tmp_path):
    root = tmp_path / "same"
    with toys.open_writer(root, shard_limit_bytes=2 * len(toys.jpeg(0))) as writer:
        for i in range(6):
            writer.add_image(f"{i}.jpg", toys.jpeg(0)[:-2] + bytes([i, 0xFF, 0xD9]))
        folder = writer.publish(allow_empty=True).resolve()
    a, b = (folder / f"images.barecat-shard-0000{i}" for i in (0, 1))
    first, second = a.read_bytes(), b.read_bytes()
    assert len(first) == len(second)
    assert first != second
    open_archive(folder).close()
    a.write_bytes(second)
    b.write_bytes(first)
    with pytest.raises(ArchiveCorruptError, match="begins or ends with other bytes"):
        open_archive(folder)


def test_a_cut_or_grown_file_is_noticed_on_open(copy):
    path = copy / "annotations.barecat-shard-00001"
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"\0", b""):
        path.write_bytes(content)
        with pytest.raises(ArchiveCorruptError, match="bytes instead of"):
            open_archive(copy)
    path.write_bytes(whole)
    open_archive(copy).close()


def test_reading_leaves_no_trace(copy):
    before = toys.contents(copy)
    read_everything(copy)
    assert verify_archive(copy, "semantic").ok
    assert toys.contents(copy) == before


def test_places_without_an_archive_say_what_to_do(tmp_path, original):
    (tmp_path / "3dpw").mkdir()
    with pytest.raises(ArchiveNotFoundError, match="did you mean 3dpw"):
        open_archive(tmp_path / "3dpv")
    (tmp_path / "file").touch()
    from posepile_torch.archive import Archive

    with pytest.raises(ArchiveNotFoundError, match="is a file"):
        Archive(tmp_path / "file")
    (tmp_path / "toy").symlink_to(".toy-0123456789abcdef")
    with pytest.raises(ArchiveNotFoundError, match="links followed"):
        open_archive(tmp_path / "toy")


# ---- manifest ----


def edit_manifest(folder, change, *, resign=False):
    path = folder / "manifest.json"
    data = json.loads(path.read_bytes())
    data.pop("fingerprint")
    stated = digest_of(data)
    change(data)
    data["fingerprint"] = digest_of(data) if resign else stated
    path.write_bytes(canonical_bytes(data))


def test_an_edited_manifest_is_refused(copy):
    edit_manifest(copy, lambda data: data["hints"].update(realistic_background=True))
    with pytest.raises(ManifestError, match="edited"):
        open_archive(copy)
    assert not verify_archive(copy, "quick").ok


def test_a_reformatted_manifest_is_the_same_manifest(copy):
    edit_manifest(copy, lambda data: None)
    with open_archive(copy) as archive:
        assert archive.fingerprint == archive.manifest.fingerprint


def test_newer_versions_are_told_apart_from_damage(copy):
    edit_manifest(copy, lambda data: data.update(schema_version=[2, 0]), resign=True)
    with pytest.raises(SchemaVersionError, match="upgrade"):
        open_archive(copy)
    with pytest.raises(SchemaVersionError):
        verify_archive(copy)

    def newer_minor(data):
        data.update(schema_version=[1, 7], colour_space="sRGB")

    edit_manifest(copy, newer_minor, resign=True)
    with open_archive(copy) as archive:  # a later minor version only adds things
        assert len(archive) == 36
        assert archive.manifest.schema_version == (1, 7)
        assert (
            archive.fingerprint == json.loads((copy / "manifest.json").read_bytes())["fingerprint"]
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("totals"),
        lambda d: d.update(schema_version="1.0"),
        lambda d: d.update(schema_version=[0, 9]),
        lambda d: d.update(format="something"),
        lambda d: d.update(files="x"),
        lambda d: d["files"].append({**d["files"][0], "name": "../../etc/passwd"}),
        lambda d: d["files"].append({**d["files"][0], "name": "/etc/passwd"}),
        lambda d: d["files"][0].update(bytes=-1),
        lambda d: d["files"][0].update(bytes="many"),
        lambda d: d["files"].pop(),
        lambda d: d["totals"].update(records=None),
        lambda d: d["totals"].update(records=10**9),
        lambda d: d["totals"].update(splits={"train": 10**9}),
        lambda d: d["skeleton"].update(mirror=[9]),
        lambda d: d["precision"].update(joints3d_mm=-1),
        lambda d: d["vocabularies"].update(subject=None),
        lambda d: d["vocabularies"].pop("subject"),
    ],
)
def test_manifests_with_a_valid_digest_and_wrong_content_are_refused(copy, change):
    edit_manifest(copy, change, resign=True)
    report = verify_archive(copy, "quick")
    assert not report.ok
    with pytest.raises(ArchiveError):
        open_archive(copy)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"nul", b"[" * 100000])
def test_things_that_are_no_manifest(copy, content):
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError):
        open_archive(copy)
    assert not verify_archive(copy, "quick").ok


# ---- hostile container indexes ----


def hostile(folder, statement, *values):
    """Change a container behind the library's back and make the manifest agree with it."""
    from posepile_torch.archive.storage import describe_file

    path = folder / "images.barecat"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE config SET value_int = 0 WHERE key = 'use_triggers'")
        database.execute(statement, values)
        database.execute("UPDATE config SET value_int = 1 WHERE key = 'use_triggers'")
    database.close()
    stored = describe_file(path)

    def change(data):
        for entry in data["files"]:
            if entry["name"] == path.name:
                entry.update(bytes=stored.bytes, sha256=stored.sha256)
                entry.update(ends_crc32c=stored.ends_crc32c)

    edit_manifest(folder, change, resign=True)


ONE = "WHERE path = 'seq0/cam0/00000.jpg'"


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (f"UPDATE files SET path = '../../../tmp/canary' {ONE}", "unusable key"),
        (f"UPDATE files SET path = '/etc/passwd' {ONE}", "unusable key"),
        (f"UPDATE files SET path = 'e' || char(769) {ONE}", "unusable key"),
        (f"UPDATE files SET path = CAST(x'ff00' AS TEXT) {ONE}", "cannot be read"),
        (f"UPDATE files SET crc32c = NULL {ONE}", "no CRC32C"),
        (f"UPDATE files SET crc32c = -1 {ONE}", "bytes 0 to"),
        (f"UPDATE files SET offset = -1 {ONE}", "bytes -1 to"),
        (f"UPDATE files SET size = 1 << 60 {ONE}", "of a shard of"),
        (f"UPDATE files SET size = 'many' {ONE}", "whole numbers"),
        (f"UPDATE files SET shard = 77 {ONE}", "shard 77"),
        (f"UPDATE files SET size = size + 1 {ONE}", "overlaps"),
        (f"DELETE FROM files {ONE}", "35 entries instead of 36"),
        ("DROP TABLE files", "no such table"),
    ],
)
def test_hostile_containers_are_reported_and_touch_nothing(copy, tmp_path, statement, complaint):
    hostile(copy, statement)
    report = verify_archive(copy, "decode")
    assert not report.ok
    assert any(complaint in line for line in report.lines()), report.lines()
    assert not list(tmp_path.rglob("canary"))
    with contextlib.suppress(ArchiveError):
        read_everything(copy)  # reads go by index.npy, which still points at sound bytes


def test_contradicting_keys_are_refused_when_an_index_is_written(tmp_path):
    for keys in (["a", "a"], ["a", "a/b"]):
        entries = [(key, 0, 0, 0, 0) for key in keys]
        with pytest.raises(ArchiveError, match="contradict"):
            write_container_index(tmp_path / "x.barecat", entries, 10)


def test_an_index_row_is_72_bytes_without_gaps():
    assert INDEX_DTYPE.itemsize == 72 == sum(INDEX_DTYPE[name].itemsize for name in
                                             INDEX_DTYPE.names)  # fmt: skip
