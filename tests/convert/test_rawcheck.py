"""What ``posepile check`` and ``posepile fetch`` find, say and do."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import conversion_toys as toys
import pytest
from typer.testing import CliRunner

from posepile_torch import registry
from posepile_torch.cards import RawFilePattern, RawKind, RemoteFile
from posepile_torch.cli.main import build_app
from posepile_torch.convert.fetch import fetch
from posepile_torch.convert.rawcheck import check_raw
from posepile_torch.errors import (
    CardError,
    PointerFileError,
    RawFileError,
    StorageError,
    UnreadableRawFileError,
)
from posepile_torch.registry import load_converter


@pytest.fixture
def raw(tmp_path):
    return toys.write_raw(tmp_path / "raw")


def found(raw, **options):
    result = check_raw(toys.ToyConverter(raw), **options)
    return result, {check.pattern: check for check in result.patterns}


def test_a_complete_folder_is_fine_and_estimated(raw, tmp_path):
    result, by_pattern = found(raw, out=tmp_path / "archives" / "later")
    assert result.is_fine
    assert by_pattern["index.json"].sample == "JSON, 2 entries"
    assert by_pattern["images/{name}.jpg"].sample == "an image of 96x64"
    assert by_pattern["extra/{name}.txt"].is_fine  # optional
    assert (result.unexpected, result.first_unexpected) == (1, ("behaviour.json",))
    estimate = result.estimate
    assert (estimate.units, estimate.frames, estimate.records) == (6, 18, 18)
    assert estimate.seconds > 0
    from posepile_torch.convert.run import convert, folder_bytes

    archive = convert(toys.ToyConverter(raw), tmp_path / "out").archive
    images = folder_bytes(archive)
    assert 0.2 < estimate.archive_bytes / images < 2
    assert estimate.free_bytes > 0
    assert found(raw, estimate=False)[0].estimate is None


def test_nothing_is_written_by_a_check(raw):
    before = sorted(raw.rglob("*"))
    found(raw)
    assert sorted(raw.rglob("*")) == before


def test_what_is_missing_empty_or_broken_is_named(raw):
    (raw / "images" / "photo.jpg").write_bytes(b"")
    result, by_pattern = found(raw)
    assert not result.is_fine
    images = by_pattern["images/{name}.jpg"]
    assert (images.empty, images.first_missing) == (1, ["images/photo.jpg (0 bytes)"])
    assert result.estimate is None
    (raw / "images" / "photo.jpg").unlink()
    assert found(raw)[1]["images/{name}.jpg"].first_missing == ["images/{name}.jpg"]
    (raw / "index.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git-lfs pointer" in found(raw)[1]["index.json"].problem
    (raw / "index.json").write_text("<!DOCTYPE html><html>please log in</html>")
    assert "web page" in found(raw)[1]["index.json"].problem
    (raw / "index.json").unlink()
    index = found(raw)[1]["index.json"]
    assert (index.missing, index.first_missing) == (1, ["index.json"])


def test_one_missing_file_of_many_is_named(mannequin_raw, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(mannequin_raw, copy)
    converter = load_converter("mannequin")(copy)
    assert check_raw(converter).is_fine
    (take, *_) = sorted(path.name for path in (copy / "takes").iterdir())
    (copy / "takes" / take / "joints.npz").unlink()
    result = check_raw(converter)
    (bad,) = [check for check in result.patterns if not check.is_fine]
    assert (bad.missing, bad.first_missing) == (1, [f"takes/{take}/joints.npz"])


def test_frames_that_cannot_be_converted_are_found(raw):
    toys.tell(raw, {"take000/c1": "raise"})
    result, _ = found(raw)
    assert not result.is_fine
    assert "the file is damaged" in result.estimate.problem


@pytest.mark.parametrize(
    ("name", "kind", "content", "said"),
    [
        ("a.json", RawKind.ANNOTATION, b'{"a": 1', "JSON"),
        ("a.npz", RawKind.ANNOTATION, b"PK\x03\x04cut", ""),
        ("a.mat", RawKind.ANNOTATION, b"MATLAB 5.0", ""),
        ("a.mp4", RawKind.VIDEO, b"\0\0\0\x18ftypmp42cut", ""),
        ("a.png", RawKind.MASK, b"\x89PNG\r\n\x1a\ncut", ""),
        ("a.h5", RawKind.ANNOTATION, b"\x89HDF\r\n\x1a\ncut", ""),
        ("a.c3d", RawKind.ANNOTATION, b"\x02P", ""),
        ("a.cdf", RawKind.ANNOTATION, b"\xcd\xf3", ""),
        ("a.zip", RawKind.IMAGE, b"PK\x03\x04", ""),
        ("a.tar.gz", RawKind.IMAGE, b"\x1f\x8b\x08", ""),
        ("a.xml", RawKind.CALIBRATION, b"<a><b></a>", ""),
        ("a.csv.part", RawKind.OTHER, b"a,b", "unfinished download"),
    ],
)
def test_cut_files_of_every_format_are_problems_and_not_crashes(
    tmp_path, name, kind, content, said
):
    from posepile_torch.convert.samples import read_sample

    (tmp_path / name).write_bytes(content)
    sample, problem = read_sample(tmp_path / name, kind)
    assert sample == ""
    assert problem
    assert said in problem


# ---- fetch --------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Serves ``files``; supports ranges, may cut the connection, and keeps a log."""

    files: dict = {}  # noqa: RUF012 -- set anew by the fixture
    log: list = []  # noqa: RUF012
    cut_after = None

    def do_GET(self):
        data = Server.files.get(self.path)
        Server.log.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        if data is None:
            self.send_error(404)
            return
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        start, wanted = 0, self.headers.get("Range")
        if wanted and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        end = len(data) if Server.cut_after is None else start + Server.cut_after
        self.wfile.write(data[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Server.files, Server.log, Server.cut_after = {}, [], None
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def card_with(*remotes):
    return dataclasses.replace(toys.CARD, remotes=remotes)


def test_open_files_are_fetched_checked_and_unpacked_once(server, tmp_path):
    data = zipped({"index.json": "{}", "images/a.jpg": "x"})
    Server.files = {"/labels.zip": data, "/readme.txt": b"read me"}
    card = card_with(
        RemoteFile(
            f"{server}/labels.zip",
            "downloads/labels.zip",
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            unpack_into=".",
        ),
        RemoteFile(f"{server}/readme.txt", "readme.txt"),
    )
    seen = []
    fetched = fetch(card, tmp_path / "raw", progress=lambda *step: seen.append(step))
    assert [(f.was_there, f.unpacked_files) for f in fetched] == [(False, 2), (False, 0)]
    assert (tmp_path / "raw" / "images" / "a.jpg").read_text() == "x"
    assert (tmp_path / "raw" / "readme.txt").read_bytes() == b"read me"
    assert seen[0][1:] == (len(data), len(data))
    again = fetch(card, tmp_path / "raw")
    assert [(f.was_there, f.unpacked_files) for f in again] == [(True, 0), (True, 0)]
    assert len(Server.log) == 2
    assert not list((tmp_path / "raw").rglob("*.part*"))


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    data = bytes(range(256)) * 40
    Server.files, Server.cut_after = {"/a.bin": data}, 4000
    card = card_with(RemoteFile(f"{server}/a.bin", "a.bin", hashlib.sha256(data).hexdigest()))
    for _ in range(2):
        with pytest.raises(RawFileError, match="interrupted"):
            fetch(card, tmp_path)
    assert (tmp_path / "a.bin.part").stat().st_size == 8000
    assert not (tmp_path / "a.bin").exists()
    Server.cut_after = None
    fetch(card, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == data
    assert [entry[1] for entry in Server.log] == [None, "bytes=4000-", "bytes=8000-"]


def test_a_file_that_was_replaced_meanwhile_is_fetched_from_its_start(server, tmp_path):
    Server.files, Server.cut_after = {"/a.bin": b"old" * 2000}, 1000
    card = card_with(RemoteFile(f"{server}/a.bin", "a.bin"))
    with pytest.raises(RawFileError, match="interrupted"):
        fetch(card, tmp_path)
    Server.files, Server.cut_after = {"/a.bin": b"new" * 1000}, None
    fetch(card, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"new" * 1000
    (tmp_path / "a.bin").unlink()
    (tmp_path / "a.bin.part").write_bytes(b"x" * 5000)  # longer than the file: answer 416
    fetch(card, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"new" * 1000


def test_what_is_not_what_the_card_says_gets_no_name(server, tmp_path):
    Server.files = {"/a.bin": b"something else", "/page.zip": b"<html>log in</html>"}
    wrong_hash = card_with(RemoteFile(f"{server}/a.bin", "a.bin", sha256="0" * 64))
    with pytest.raises(UnreadableRawFileError, match="another hash"):
        fetch(wrong_hash, tmp_path)
    wrong_size = card_with(RemoteFile(f"{server}/a.bin", "a.bin", size_bytes=15))
    with pytest.raises(UnreadableRawFileError, match="14 bytes came, the card says 15"):
        fetch(wrong_size, tmp_path)
    assert not (tmp_path / "a.bin").exists()
    page = card_with(RemoteFile(f"{server}/page.zip", "page.zip", unpack_into="."))
    with pytest.raises(PointerFileError, match="web page"):
        fetch(page, tmp_path)
    with pytest.raises(RawFileError, match="404"):
        fetch(card_with(RemoteFile(f"{server}/none", "none")), tmp_path)
    with pytest.raises(RawFileError, match="interrupted"):
        fetch(card_with(RemoteFile("http://127.0.0.1:1/none", "none")), tmp_path)
    huge = card_with(RemoteFile(f"{server}/a.bin", "huge.bin", size_bytes=10**18))
    with pytest.raises(StorageError, match="bytes are needed"):
        fetch(huge, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://example.org/a.zip"},
        {"path": "../a.zip"},
        {"path": "/a.zip"},
        {"sha256": "ABC"},
        {"path": "a.rar", "unpack_into": "."},
        {"unpack_into": "../elsewhere"},
    ],
)
def test_cards_with_impossible_remote_files_are_refused(changes):
    values = {"url": "https://example.org/a.zip", "path": "a.zip"} | changes
    with pytest.raises(CardError, match=r"remotes\[0\]"):
        card_with(RemoteFile(**values))


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setitem(registry._SOURCES, "toy", "conversion_toys:Toy")
    monkeypatch.setitem(registry._CONVERTERS, "toy", "conversion_toys:ToyConverter")

    def invoke(*arguments):
        return CliRunner().invoke(build_app(), [str(a) for a in arguments])

    return invoke


def test_check_on_the_command_line(command, raw, monkeypatch):
    fine = command("check", "toy", "--raw", raw)
    assert fine.exit_code == 0
    assert "about 18 frames and 18 records in 6 units" in fine.stdout
    assert "behaviour.json" in fine.stdout
    steps = ("register at https://example.org", "unpack everything into one folder")
    monkeypatch.setattr(toys.Toy, "card", dataclasses.replace(toys.CARD, download_steps=steps))
    (raw / "index.json").unlink()
    bad = command("check", "toy", "--raw", raw)
    assert bad.exit_code == 1
    assert "missing: 1 of index.json, from toy-annotations.zip" in bad.stdout
    assert "1. register at https://example.org" in bad.stdout
    as_json = json.loads(command("check", "toy", "--raw", raw, "--json").stdout)
    assert as_json["is_fine"] is False
    assert as_json["patterns"][0]["first_missing"] == ["index.json"]
    nowhere = command("check", "toy", "--raw", raw / "nowhere")
    assert nowhere.exit_code == 1


def test_fetch_on_the_command_line(command, server, tmp_path, monkeypatch):
    Server.files = {"/index.json": b'{"units": [], "frames": 0}'}
    card = dataclasses.replace(
        card_with(RemoteFile(f"{server}/index.json", "index.json")),
        download_steps=("ask the authors for the images",),
    )
    monkeypatch.setattr(toys.Toy, "card", card)
    done = command("fetch", "toy", "--raw", tmp_path / "raw")
    assert done.exit_code == 0, done.output
    assert "index.json: fetched" in done.stdout
    assert "1. ask the authors for the images" in done.stdout
    assert "posepile check toy" in done.stdout
    as_json = json.loads(command("fetch", "toy", "--raw", tmp_path / "raw", "--json").stdout)
    assert as_json["files"][0]["was_there"] is True


def test_an_unknown_pattern_kind_is_only_looked_at(tmp_path):
    from posepile_torch.convert.samples import read_sample

    (tmp_path / "model.bin").write_bytes(b"\x01" * 100)
    assert read_sample(tmp_path / "model.bin", RawKind.OTHER) == ("a finished download", "")
    assert RawFilePattern("model.bin", RawKind.OTHER).match("model.bin") == {}
