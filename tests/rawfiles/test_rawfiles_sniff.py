"""What no reader may take for data: pointers, pages, unfinished downloads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from posepile_torch import rawfiles
from posepile_torch.errors import (
    MissingRawFileError,
    PointerFileError,
    RawFileTooLargeError,
    UnreadableRawFileError,
)

LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
NOT_DATA = {
    "git-lfs pointer": LFS,
    "git-annex pointer": b"/annex/objects/SHA256E-s1048576--4d7a214614ab2935c943f9e0ff.pkl\n",
    "login page": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>",
    "page after a comment": b"\xef\xbb\xbf\n<!-- saved from url -->\n<HTML><body>Quota exceeded",
    "storage error": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
}
READERS = {
    "json": (rawfiles.read_json, "a.json"),
    "json stream": (lambda path: list(rawfiles.iter_json_array(path)), "b.json"),
    "pickle": (rawfiles.read_pickle, "a.pkl"),
    "mat": (rawfiles.read_mat, "a.mat"),
    "npy": (rawfiles.read_npy, "a.npy"),
    "mapped npy": (lambda path: rawfiles.read_npy(path, memory_map=True), "b.npy"),
    "npz": (rawfiles.read_npz, "a.npz"),
    "cdf": (rawfiles.read_cdf, "a.cdf"),
    "c3d": (rawfiles.read_c3d, "a.c3d"),
    "hdf5": (lambda path: rawfiles.Hdf5File(path).__enter__(), "a.hdf5"),
    "video": (lambda path: rawfiles.Video(path).size, "a.mp4"),
    "zip": (lambda path: rawfiles.ZipReader(path).names, "a.zip"),
    "zip extraction": (lambda path: rawfiles.extract_zip(path, path.parent / "out"), "b.zip"),
    "tar": (lambda path: list(rawfiles.iter_tar_members(path)), "a.tar"),
    "tar extraction": (lambda path: rawfiles.extract_tar(path, path.parent / "out"), "b.tar.gz"),
    "barecat": (lambda path: rawfiles.extract_barecat(path, path.parent / "out"), "a.barecat"),
    "compressed": (lambda path: rawfiles.decompress_file(path, path.with_suffix("")), "a.avi.xz"),
    "text": (rawfiles.read_text, "a.txt"),
    "numbers": (rawfiles.read_numbers, "b.txt"),
    "csv": (rawfiles.read_csv, "a.csv"),
    "xml": (rawfiles.read_xml, "a.xml"),
    "bytes": (rawfiles.read_bytes, "a.bin"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", NOT_DATA, ids=lambda kind: f"fault-33 {kind}")
def test_pointer_or_page_instead_of_data(tmp_path, kind, reader):
    read, name = READERS[reader]
    file = tmp_path / name
    file.write_bytes(NOT_DATA[kind])
    with pytest.raises(PointerFileError) as caught:
        read(file)
    assert "pointer file" in caught.value.what or "HTML" in caught.value.what
    assert "fetch again" in caught.value.fix
    assert caught.value.where == str(file)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("reader", READERS)
def test_missing_empty_zero_folder_and_part(tmp_path, reader):
    read, name = READERS[reader]
    file = tmp_path / name
    with pytest.raises(MissingRawFileError, match="no file"):
        read(file)
    file.touch()
    with pytest.raises(UnreadableRawFileError, match="empty"):
        read(file)
    file.write_bytes(bytes(5000))
    with pytest.raises(UnreadableRawFileError):
        read(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(UnreadableRawFileError, match="folder"):
        read(file)
    unfinished = tmp_path / f"{name}.part"
    unfinished.write_bytes(b"some bytes")
    with pytest.raises(UnreadableRawFileError, match="unfinished"):
        read(unfinished)


def test_data_that_only_mentions_pages_is_data(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"note": "<!DOCTYPE html> and version https://git-lfs.github.com/spec/"}')
    assert "html" in rawfiles.read_json(file)["note"]


@pytest.mark.parametrize("start", ["<metadata>", "<header/>", "<bodies>", "<?xml version='1.0'?>"])
def test_tags_that_only_begin_like_pages(tmp_path, start):
    file = tmp_path / "a.xml"
    file.write_text(f"{start}\n<a>1</a>")
    assert rawfiles.read_text(file).startswith(start)


def test_check_file_reads_the_head_only(tmp_path):
    file = tmp_path / "big.bin"
    file.write_bytes(b"x" * 10_000)
    checked = rawfiles.check_file(file)
    assert (checked.path, checked.size_bytes) == (file, 10_000)
    assert checked.head == b"x" * 2048
    with pytest.raises(RawFileTooLargeError, match=r"10,000 bytes"):
        rawfiles.check_file(file, max_bytes=9_999)
    assert rawfiles.read_bytes(file) == b"x" * 10_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_permissions(tmp_path):
    file = tmp_path / "secret.bin"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(UnreadableRawFileError, match="may not be read"):
        rawfiles.read_bytes(file)


def test_names_that_no_file_system_takes():
    with pytest.raises(UnreadableRawFileError):
        rawfiles.read_bytes(Path("a\0b"))


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "data.bin").write_bytes(b"x")
    (tmp_path / "link.bin").symlink_to("data.bin")
    (tmp_path / "dangling.bin").symlink_to("nothing")
    (tmp_path / "loop.bin").symlink_to("loop.bin")
    assert rawfiles.read_bytes(tmp_path / "link.bin") == b"x"
    with pytest.raises(MissingRawFileError):
        rawfiles.read_bytes(tmp_path / "dangling.bin")
    with pytest.raises(UnreadableRawFileError):
        rawfiles.read_bytes(tmp_path / "loop.bin")
