"""Archives: all of it or nothing, and never a byte outside of the target."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import pickle
import random
import shutil
import sqlite3
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import barecat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import ArchivePathError, ExtractionError, UnreadableRawFileError
from posepile_torch.rawfiles import (
    ExtractionLimits,
    ZipReader,
    decompress_file,
    extract_barecat,
    extract_tar,
    extract_zip,
    iter_tar_members,
    iter_zip_members,
    read_zip_member,
    safe_member_name,
)
from posepile_torch.rawfiles import extract as extract_module

NOISE = random.Random(0).randbytes(30_000)
FILES = {
    "train/img_0001.jpg": NOISE,
    "train/sub/labels.json": b'{"a": 1}',
    "empty.txt": b"",
    "caf\u00e9/\u00fc.txt": b"umlaut",
    "zeros.bin": bytes(100_000),
}


def zip_file(path: Path, files=FILES, compression=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar_file(path: Path, files=FILES, mode="w", format=tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def assert_untouched(tmp_path: Path, *kept: str) -> None:
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


# ---- what honest archives give -----------------------------------------------------------


@pytest.mark.parametrize("compression", [0, 8, 12, 14])
def test_zip(tmp_path, compression):
    path = zip_file(tmp_path / "a.zip", compression=compression)
    done = extract_zip(path, tmp_path / "new" / "out", expected_bytes=path.stat().st_size)
    assert content_of(tmp_path / "new" / "out") == FILES
    assert done.num_files == len(FILES)
    assert done.num_bytes == sum(map(len, FILES.values()))
    assert_untouched(tmp_path / "new", "out")
    modes = {stat.S_IMODE(p.stat().st_mode) & 0o111 for p in done.folder.rglob("*.jpg")}
    assert modes == {0}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(tmp_path, mode, format):
    files = {**FILES, "long/" + "x" * 90 + "/" + "y" * 90: b"long"}
    path = tar_file(tmp_path / "a.tar", files, mode, format)
    done = extract_tar(path, tmp_path / "out")
    assert content_of(tmp_path / "out") == files
    assert done.num_files == len(files)
    assert dict(iter_tar_members(path)) == files


def test_selection_and_folders(tmp_path):
    path = zip_file(tmp_path / "a.zip", {**FILES, "hollow/": b""})
    extract_zip(path, tmp_path / "out", select=lambda name: name.endswith(".jpg"))
    assert list(content_of(tmp_path / "out")) == ["train/img_0001.jpg"]
    extract_zip(path, tmp_path / "all")
    assert (tmp_path / "all" / "hollow").is_dir()
    tar = tmp_path / "a.tar"
    with tarfile.open(tar_file(tar), "a") as archive:
        folder = tarfile.TarInfo("./hollow/deep/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    extract_tar(tar, tmp_path / "tar", select=lambda name: name.endswith(".jpg"))
    assert list(content_of(tmp_path / "tar")) == ["train/img_0001.jpg"]
    extract_tar(tar, tmp_path / "alltar")
    assert (tmp_path / "alltar" / "hollow" / "deep").is_dir()


def test_archive_of_a_folder_itself(tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "a.txt").write_bytes(b"a")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(source, arcname=".")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("./", b"")
        archive.writestr("./sub/a.txt", b"a")
    extract_tar(tmp_path / "a.tar", tmp_path / "tar")
    extract_zip(tmp_path / "a.zip", tmp_path / "zip")
    assert content_of(tmp_path / "tar") == content_of(tmp_path / "zip") == {"sub/a.txt": b"a"}


def test_into_a_folder_that_has_files(tmp_path):
    first = zip_file(tmp_path / "1.zip", {"images/a.jpg": b"a", "list.txt": b"1"})
    second = zip_file(tmp_path / "2.zip", {"images/b.jpg": b"b", "list.txt": b"2"})
    third = zip_file(tmp_path / "3.zip", {"images/c.jpg": b"c"})
    out = tmp_path / "out"
    out.mkdir()
    extract_zip(first, out)
    with pytest.raises(ExtractionError, match=r"list\.txt.* exists already"):
        extract_zip(second, out)
    assert content_of(out) == {"images/a.jpg": b"a", "list.txt": b"1"}
    extract_zip(third, out)
    assert content_of(out) == {"images/a.jpg": b"a", "images/c.jpg": b"c", "list.txt": b"1"}
    assert_untouched(tmp_path, "1.zip", "2.zip", "3.zip", "out")
    fourth = zip_file(tmp_path / "4.zip", {"list.txt/d.jpg": b"d"})  # a file stands in the way
    for path, target in ((fourth, out), (first, out / "list.txt")):
        with pytest.raises(ExtractionError, match="exists already"):
            extract_zip(path, target)
    assert len(content_of(out)) == 3


def test_names_are_normalised(tmp_path):
    decomposed = "e\u0301.txt"  # as macOS writes it
    path = zip_file(tmp_path / "a.zip", {decomposed: b"1", "./a//b.txt": b"2"})
    extract_zip(path, tmp_path / "out")
    assert content_of(tmp_path / "out") == {"\u00e9.txt": b"1", "a/b.txt": b"2"}


def test_names_of_older_writers(tmp_path):
    path = zip_file(tmp_path / "a.zip", {"AAAA.txt": b"1", "dir-b.txt": b"2"})
    data = path.read_bytes().replace(b"AAAA.txt", "\u00fc\u00fc.txt".encode())  # UTF-8, no flag
    data = data.replace(b"dir-b.txt", b"dir\\b.txt")  # backslashes, as Windows wrote them
    path.write_bytes(data.replace(b"PK\x01\x02\x14\x03", b"PK\x01\x02\x14\x00"))
    assert ZipReader(path).names == ("\u00fc\u00fc.txt", "dir/b.txt")
    extract_zip(path, tmp_path / "out")
    assert content_of(tmp_path / "out") == {"\u00fc\u00fc.txt": b"1", "dir/b.txt": b"2"}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_reading_without_extraction(tmp_path):
    path = zip_file(tmp_path / "a.zip")
    assert {m.name: m.size_bytes for m in iter_zip_members(path)} == {
        name: len(content) for name, content in FILES.items()
    }
    assert read_zip_member(path, "train/img_0001.jpg") == NOISE
    with ZipReader(path) as reader:
        assert "empty.txt" in reader
        copy = pickle.loads(pickle.dumps(reader))
        assert copy.read("caf\u00e9/\u00fc.txt") == b"umlaut"
        copy.close()
        with pytest.raises(UnreadableRawFileError, match="no member") as caught:
            reader.read("train/img_001.jpg")
        assert "train/img_0001.jpg" in caught.value.fix
        child = os.fork()
        if child == 0:
            os._exit(0 if reader.read("train/img_0001.jpg") == NOISE else 1)
        assert reader.read("zeros.bin") == bytes(100_000)
        assert os.waitpid(child, 0)[1] == 0
    assert reader.read("empty.txt") == b""
    reader.close()
    assert_untouched(tmp_path, "a.zip")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_single_compressed_files(tmp_path, pack):
    path = tmp_path / "video.avi.packed"
    path.write_bytes(pack(NOISE))
    assert decompress_file(path, tmp_path / "new" / "video.avi").read_bytes() == NOISE
    with pytest.raises(ExtractionError, match="exists already"):
        decompress_file(path, tmp_path / "new" / "video.avi")
    path.write_bytes(pack(NOISE)[:-20])
    with pytest.raises(ExtractionError, match="cut off or damaged"):
        decompress_file(path, tmp_path / "other.avi")
    path.write_bytes(pack(bytes(10_000_000)))
    with pytest.raises(ExtractionError, match="max_ratio"):
        decompress_file(path, tmp_path / "other.avi")
    assert_untouched(tmp_path, "video.avi.packed", "new")
    path.write_bytes(b"plain data")
    with pytest.raises(UnreadableRawFileError, match="no gzip"):
        decompress_file(path, tmp_path / "other.avi")


# ---- faults 34 and 35: cut and damaged ---------------------------------------------------


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999],
                         ids=lambda share: f"fault-34 cut at {share}")  # fmt: skip
def test_half_downloaded_zip(tmp_path, share):
    path = zip_file(tmp_path / "a.zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ExtractionError, match="cut off or damaged") as caught:
        extract_zip(path, tmp_path / "out")
    assert "fetch the archive again" in caught.value.fix
    with pytest.raises(ExtractionError):
        read_zip_member(path, "empty.txt")
    assert_untouched(tmp_path, "a.zip")


@pytest.mark.parametrize("kind", ["zip", "tar"], ids=lambda kind: f"fault-34 size of {kind}")
def test_wrong_size_and_part_files(tmp_path, kind):
    path = (zip_file if kind == "zip" else tar_file)(tmp_path / f"a.{kind}")
    extract = extract_zip if kind == "zip" else extract_tar
    with pytest.raises(ExtractionError, match=r"not 1,000,000,000"):
        extract(path, tmp_path / "out", expected_bytes=10**9)
    part = path.rename(f"{path}.part")
    with pytest.raises(UnreadableRawFileError, match="unfinished download"):
        extract(part, tmp_path / "out")
    assert_untouched(tmp_path, part.name)


@pytest.mark.parametrize(
    "offset", [60, 20_000], ids=lambda offset: f"fault-34 flipped at {offset}"
)
def test_flipped_byte_in_zip(tmp_path, offset):
    path = zip_file(tmp_path / "a.zip", compression=0)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(ExtractionError, match=r"img_0001\.jpg"):
        extract_zip(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.zip")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"], ids=lambda m: f"fault-35 {m}")
def test_truncated_tar(tmp_path, mode):
    path = tar_file(tmp_path / "a.tar", mode=mode)
    data = path.read_bytes()
    unpadded = len(data) if mode != "w" else len(data.rstrip(b"\0")) // 512 * 512
    for end in sorted(
        {600, 1024, 1200, len(data) // 2, unpadded - 1, unpadded // 512 * 512 - 512}
    ):
        path.write_bytes(data[:end])
        with pytest.raises(ExtractionError) as caught:
            extract_tar(path, tmp_path / "out")
        assert "cut off or damaged" in caught.value.what
        with pytest.raises(ExtractionError):
            dict(iter_tar_members(path))
    assert_untouched(tmp_path, "a.tar")


@pytest.mark.parametrize("end", [pytest.param(512 + 30_208, id="fault-35 at a border")])
def test_tar_that_stops_between_two_members(tmp_path, end):
    path = tar_file(tmp_path / "a.tar")
    data = path.read_bytes()
    assert data[end + 257 : end + 262] == b"ustar"  # the next member would begin here
    path.write_bytes(data[:end])
    with pytest.raises(ExtractionError, match="without its end mark"):
        extract_tar(path, tmp_path / "out")
    changed = bytearray(data)
    changed[end + 148] ^= 1  # the checksum of the second header
    path.write_bytes(changed)
    with pytest.raises(ExtractionError, match="makes no sense"):
        extract_tar(path, tmp_path / "out")
    path.write_bytes(data + data)
    with pytest.raises(ExtractionError, match="more data follows"):
        extract_tar(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.tar")


def test_not_an_archive(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + NOISE)
    with pytest.raises(UnreadableRawFileError, match="HDF5"):
        extract_zip(path, tmp_path / "out")
    with pytest.raises(ExtractionError):
        extract_tar(path, tmp_path / "out")
    zip_file(path)
    with pytest.raises(UnreadableRawFileError, match="zip archive") as caught:
        extract_tar(path, tmp_path / "out")
    assert "extract_zip" in caught.value.fix


# ---- fault 38: members that would leave the target ----------------------------------------

BAD_NAMES = {
    "parent": "../evil", "inner parent": "a/../../evil", "absolute": "/evil",
    "drive": "C:/evil", "drive relative": "C:evil", "backslashes": "..\\evil",
    "share": "\\\\host\\evil", "newline": "a\nb", "control": "a\x01b", "dot only": "./.",
    "long part": "x" * 256, "long path": "/".join(["x" * 50] * 100),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_NAMES, ids=lambda kind: f"fault-38 {kind}")
@pytest.mark.parametrize("container", ["zip", "tar"])
def test_unsafe_names(tmp_path, kind, container):
    root = tmp_path / "root"
    root.mkdir()
    name = BAD_NAMES[kind]
    with pytest.raises(ExtractionError):
        safe_member_name(name, where="a")
    files = {"good.txt": b"good", name: b"evil"}
    path = (zip_file if container == "zip" else tar_file)(root / "a", files)
    with pytest.raises(ExtractionError) as caught:
        (extract_zip if container == "zip" else extract_tar)(path, root / "out")
    assert caught.value.where == str(path)
    assert_untouched(root, "a")
    assert_untouched(tmp_path, "root")


def special(kind: str) -> list[tarfile.TarInfo]:
    link, entry = tarfile.TarInfo("link"), tarfile.TarInfo("link/evil.txt")
    link.type = {
        "symlink then file": tarfile.SYMTYPE, "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE, "hardlink to symlink": tarfile.SYMTYPE,
        "device": tarfile.CHRTYPE, "block device": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE,
    }[kind]  # fmt: skip
    link.linkname = {"hardlink": "good.txt"}.get(kind, "..")
    if kind == "hardlink to symlink":
        entry.type, entry.linkname = tarfile.LNKTYPE, "link"
    return [link, entry] if "then" in kind or " to " in kind else [link]


@pytest.mark.parametrize(
    "kind",
    [
        "symlink then file",
        "symlink",
        "hardlink",
        "hardlink to symlink",
        "device",
        "block device",
        "pipe",
    ],
    ids=lambda kind: f"fault-38 tar {kind}",
)
def test_tar_with_more_than_files(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("good.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"good"))
        for info in special(kind):
            archive.addfile(info, io.BytesIO())
    with pytest.raises(ExtractionError, match="link, a device"):
        extract_tar(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.tar")


@pytest.mark.parametrize(
    "mode",
    [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO],
    ids=["fault-38 zip symlink", "fault-38 zip device", "fault-38 zip pipe"],
)
def test_zip_with_more_than_files(tmp_path, mode):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc")
        archive.writestr("link/passwd", "evil")
    with pytest.raises(ExtractionError, match="link or a device"):
        extract_zip(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.zip")


@pytest.mark.parametrize("size", [pytest.param(1 << 40, id="fault-38 sparse file")])
def test_sparse_members_are_refused(tmp_path, size):
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("sparse.bin")
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": "sparse.bin", "GNU.sparse.realsize": str(size),
    }  # fmt: skip
    block = b"1\n0\n512\n".ljust(512, b"\0") + bytes(512)
    info.size = len(block)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(block))
    with pytest.raises(ExtractionError, match="sparse"):
        extract_tar(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.tar")


def test_links_that_wait_in_the_target_are_not_written_through(tmp_path):
    path = zip_file(tmp_path / "a.zip", {"images/a.jpg": b"a"})
    (tmp_path / "victim.jpg").write_bytes(b"precious")
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "a.jpg").symlink_to(tmp_path / "victim.jpg")
    with pytest.raises(ExtractionError, match="exists already"):
        extract_zip(path, tmp_path / "out")
    assert (tmp_path / "victim.jpg").read_bytes() == b"precious"


# ---- fault 39: too much, too often --------------------------------------------------------


@pytest.mark.parametrize("container", ["zip", "tar.gz"], ids=lambda c: f"fault-39 bomb {c}")
def test_bombs(tmp_path, container):
    files = {"zeros": bytes(10_000_000)}
    path = tmp_path / f"a.{container}"
    zip_file(path, files) if container == "zip" else tar_file(path, files, "w:gz")
    assert path.stat().st_size < 12_000
    extract = extract_zip if container == "zip" else extract_tar
    with pytest.raises(ExtractionError, match="max_ratio") as caught:
        extract(path, tmp_path / "out")
    assert "ExtractionLimits(max_ratio=" in caught.value.fix
    assert_untouched(tmp_path, path.name)
    extract(path, tmp_path / "out", limits=ExtractionLimits(max_ratio=1500))
    assert content_of(tmp_path / "out") == files


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(ExtractionLimits(max_members=4), id="fault-39 members"),
        pytest.param(ExtractionLimits(max_total_bytes=100_000), id="fault-39 total"),
        pytest.param(ExtractionLimits(max_member_bytes=99_999), id="fault-39 member"),
    ],
)
@pytest.mark.parametrize("container", ["zip", "tar"])
def test_limits(tmp_path, container, limits):
    path = (zip_file if container == "zip" else tar_file)(tmp_path / "a")
    extract = extract_zip if container == "zip" else extract_tar
    with pytest.raises(ExtractionError, match="ExtractionLimits") as caught:
        extract(path, tmp_path / "out", limits=limits)
    assert "limits=" in caught.value.fix
    assert_untouched(tmp_path, "a")


@pytest.mark.parametrize("count", [pytest.param(3_000_000, id="fault-39 announced members")])
def test_announced_number_of_members_is_checked_before_the_index_is_read(tmp_path, count):
    path = zip_file(tmp_path / "a.zip", {"a": b"1"})
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    index_bytes, index_at = struct.unpack_from("<II", data, at + 12)
    end64 = b"PK\x06\x06" + struct.pack(
        "<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, index_bytes, index_at
    )
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
    path.write_bytes(data[:at] + end64 + locator + data[at:])
    with pytest.raises(ExtractionError, match="3,000,000 members"):
        extract_zip(path, tmp_path / "out")


CLASHES = {
    "twice": ["a.txt", "a.txt"],
    "twice after normalisation": ["a.txt", "./a.txt"],
    "two Unicode forms": ["\u00e9.txt", "e\u0301.txt"],
    "case": ["Images/a.jpg", "images/A.JPG"],
    "case of folders": ["Images/a.jpg", "images/b.jpg"],
    "file and folder": ["a", "a/b"],
    "folder and file": ["a/b", "a"],
    "sharp s": ["stra\u00dfe", "STRASSE"],
}


@pytest.mark.parametrize("kind", CLASHES, ids=lambda kind: f"fault-39 {kind}")
@pytest.mark.parametrize("container", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_clashing_names(tmp_path, kind, container):
    names = CLASHES[kind]
    path = tmp_path / "a"
    if container == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, name)
    else:
        with tarfile.open(path, "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
    extract = extract_zip if container == "zip" else extract_tar
    with pytest.raises(ExtractionError, match=r"occurs twice|only in case|both a file and"):
        extract(path, tmp_path / "out")
    assert_untouched(tmp_path, "a")
    if kind.startswith("case"):
        extract(path, tmp_path / "out", limits=ExtractionLimits(allow_case_collisions=True))
        assert sorted(content_of(tmp_path / "out")) == sorted(names)


@pytest.mark.parametrize("kind", ["overlap"], ids=lambda kind: f"fault-39 {kind}")
def test_members_that_share_their_bytes(tmp_path, kind):
    path = zip_file(tmp_path / "a.zip", {"a": NOISE, "b": NOISE}, compression=0)
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 100)  # its bytes lie inside those of "a"
    path.write_bytes(data)
    with pytest.raises(ExtractionError, match="overlap"):
        extract_zip(path, tmp_path / "out")


def test_declared_sizes_are_compared(tmp_path):
    path = zip_file(tmp_path / "a.zip", {"a": NOISE})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", len(NOISE) + 10)
    path.write_bytes(data)
    with pytest.raises(ExtractionError):
        extract_zip(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.zip")


def test_encrypted_split_and_odd_methods(tmp_path):
    path = zip_file(tmp_path / "a.zip", {"a": b"1"})
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    for offset, value, what in ((8, 1, "encrypted"), (10, 9, "compression method 9")):
        changed = bytearray(data)
        changed[at + offset] = value
        path.write_bytes(changed)
        with pytest.raises(ExtractionError, match=what) as caught:
            extract_zip(path, tmp_path / "out")
        assert "by hand" in caught.value.fix
    changed = bytearray(data)
    changed[data.rindex(b"PK\x05\x06") + 4] = 3
    path.write_bytes(changed)
    with pytest.raises(ExtractionError, match="split zip"):
        extract_zip(path, tmp_path / "out")


@settings(deadline=None, max_examples=120)
@given(st.text(max_size=30))
def test_safe_names_stay_inside(name):
    try:
        path = safe_member_name(name, where="a")
    except ExtractionError:
        return
    resolved = (Path("/root/of/it") / path).resolve()
    assert resolved.is_relative_to("/root/of/it")
    assert resolved != Path("/root/of/it")
    assert safe_member_name(path, where="a") == path


@settings(deadline=None, max_examples=60)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_archives_end_in_a_named_error_or_whole(tmp_path_factory, is_zip, changes):
    folder = tmp_path_factory.mktemp("damaged")
    files = {"a/b.txt": b"hello" * 50, "c.bin": NOISE[:500]}
    path = (zip_file if is_zip else tar_file)(folder / "a", files)
    data = bytearray(path.read_bytes()[:3072])
    for at, byte in changes:
        data[at % len(data)] = byte
    path.write_bytes(bytes(data) + path.read_bytes()[3072:])
    try:
        (extract_zip if is_zip else extract_tar)(path, folder / "out")
    except (ExtractionError, UnreadableRawFileError):
        assert_untouched(folder, "a")


# ---- fault 40: keys of a BareCat index ----------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["../evil", "/evil", "a/../../evil", "a\nb"],
    ids=lambda key: f"fault-40 {key!r}",
)
def test_evil_keys_in_a_barecat_index(tmp_path, key):
    root = tmp_path / "root"
    root.mkdir()
    path = root / "a.barecat"
    with barecat.Barecat(path, readonly=False) as archive:
        archive["good/x.txt"] = b"good"
        archive["evil.txt"] = b"evil"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            connection.execute(f'DROP TRIGGER "{trigger}"')
        connection.execute("UPDATE files SET path = ? WHERE path = 'evil.txt'", (key,))
    connection.close()
    with pytest.raises(ExtractionError, match="not safe"):
        extract_barecat(path, root / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["root"]
    assert not (root / "out").exists()


def test_barecat(tmp_path):
    path = tmp_path / "a.barecat"
    with barecat.Barecat(path, readonly=False) as archive:
        for name, content in FILES.items():
            archive[name] = content
    done = extract_barecat(path, tmp_path / "out")
    assert content_of(tmp_path / "out") == FILES
    assert done.num_files == len(FILES)
    extract_barecat(path, tmp_path / "some", select=lambda name: name.endswith(".json"))
    assert list(content_of(tmp_path / "some")) == ["train/sub/labels.json"]
    shard = tmp_path / "a.barecat-shard-00000"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ExtractionError, match="CRC32C"):
        extract_barecat(path, tmp_path / "other")
    path.write_bytes(b"SQLite format 3\0" + NOISE[:2000])
    with pytest.raises(ExtractionError, match="cut off or damaged"):
        extract_barecat(path, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    odd = tmp_path / "a#b.barecat"
    odd.write_bytes(b"x")
    with pytest.raises(ArchivePathError):
        extract_barecat(odd, tmp_path / "other")


# ---- disk -------------------------------------------------------------------------------


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    path = zip_file(tmp_path / "a.zip")
    tar = tar_file(tmp_path / "a.tar")
    opened = extract_module._new_file
    count = 0

    def failing(target):
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(target)

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(extract_module, "_new_file", failing)
    for extract, source in ((extract_zip, path), (extract_tar, tar)):
        count = 0
        with pytest.raises(ExtractionError, match="No space left"):
            extract(source, tmp_path / "out")
    monkeypatch.setattr(extract_module, "_new_file", lambda target: Full())
    with pytest.raises(ExtractionError, match="disk is full"):
        extract_zip(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.tar", "a.zip")


def test_free_space_is_checked_first(tmp_path, monkeypatch):
    path = zip_file(tmp_path / "a.zip")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ExtractionError, match=r"bytes are needed, 1,000 are free"):
        extract_zip(path, tmp_path / "out")
    assert_untouched(tmp_path, "a.zip")
