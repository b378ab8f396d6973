"""SIGKILL of parents and workers, signals, a disk that refuses: nothing is ever lost or mixed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import conversion_toys as toys
import pytest

from posepile_torch.archive.verify import verify_archive
from posepile_torch.convert.run import convert

HERE = Path(__file__).parent


@pytest.fixture
def scratch(tmp_path):
    """A folder in memory where there is one: these tests wait for fsync thousands of times."""
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=shared_memory))
    yield folder
    shutil.rmtree(folder)


def drive(*arguments):
    done = subprocess.run(
        [sys.executable, str(HERE / "convert_driver.py"), *map(str, arguments)],
        cwd=HERE, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


# Together more than forty kills.


@pytest.mark.slow
def test_sigkill_of_an_inline_conversion_at_random_times(scratch):
    result = drive("parents", scratch, 25)
    assert result["kills"] >= 25
    assert result["finished"] >= 3  # each was byte-equal to an uninterrupted one
    assert result["distinct_progress"] >= 4


@pytest.mark.slow
def test_sigkill_of_the_parent_of_a_pool(scratch):
    result = drive("pools", scratch, 5)
    assert result["kills"] == 5
    assert result["survivors"] == 0  # workers end with their parent
    assert result["reused"] >= 5


@pytest.mark.slow
def test_sigkill_of_workers_of_a_pool(scratch):
    result = drive("workers", scratch, "process", 8)
    assert result["kills"] == 8
    assert result["records"] == 72


@pytest.mark.slow
def test_sigkill_of_dask_workers(scratch):
    result = drive("workers", scratch, "dask", 6)
    assert result["kills"] == 6
    assert result["records"] == 72


# ---- signals ------------------------------------------------------------------------------------

COMMAND = """
import sys
import conversion_toys as toys
from posepile_torch import registry
registry._CONVERTERS["toy"] = "conversion_toys:ToyConverter"
registry._SOURCES["toy"] = "conversion_toys:Toy"
from posepile_torch.cli.main import main
main()
"""


def started(raw, out, *options):
    """Start ``posepile convert`` and wait until its first unit is done."""
    command = [sys.executable, "-c", COMMAND, "convert", "toy", "--raw", raw, "--out", out]
    process = subprocess.Popen(
        [*map(str, command), *options], cwd=HERE, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    limit = time.monotonic() + 60
    while not list(Path(out).glob(".converting-toy/parts-*/*.part")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--jobs", "2")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_has_begun_and_says_how_to_go_on(scratch, number, options):
    raw = toys.write_raw(scratch / "raw", units=40)
    toys.tell(raw, {"*": "wait0.15"})
    process = started(raw, scratch / "out", *options)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the workers get it too
    else:
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in stderr
    assert "not published" in stdout
    (resume,) = re.findall(r"^posepile convert.*$", stderr, re.MULTILINE)
    assert shlex.split(resume)[1:] == [
        "convert", "toy", "--raw", str(raw), "--out", str(scratch / "out"), *options,
    ]  # fmt: skip
    parts = list((scratch / "out").glob(".converting-toy/parts-*/*"))
    assert parts
    assert not [path for path in parts if "partial" in path.name]
    toys.tell(raw, {})
    report = convert(toys.ToyConverter(raw), scratch / "out")
    assert report.reused == len(parts)
    assert verify_archive(report.archive, "decode").ok


@pytest.mark.slow
def test_the_second_signal_ends_at_once_and_leaves_a_good_state(scratch):
    raw = toys.write_raw(scratch / "raw", units=4)
    toys.tell(raw, {"take001/c1": "wait60", "take002/c1": "wait60"})
    process = started(raw, scratch / "out", "--jobs", "2")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    toys.tell(raw, {})
    report = convert(toys.ToyConverter(raw), scratch / "out")
    assert report.reused >= 1
    assert verify_archive(report.archive, "decode").ok


@pytest.mark.slow
def test_a_second_process_is_told_who_is_at_work(scratch):
    raw = toys.write_raw(scratch / "raw", units=30)
    toys.tell(raw, {"*": "wait0.3"})
    first = started(raw, scratch / "out")
    command = [sys.executable, "-c", COMMAND, "convert", "toy", "--raw", str(raw)]
    begin = time.monotonic()
    second = subprocess.run(
        [*command, "--out", str(scratch / "out")], cwd=HERE, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"pid {first.pid} on " in second.stderr
    assert time.monotonic() - begin < 30
    first.kill()
    first.communicate()
    toys.tell(raw, {})
    assert convert(toys.ToyConverter(raw), scratch / "out").archive  # its lock died with it


# ---- a disk that refuses ------------------------------------------------------------------------


def test_a_disk_that_is_full_at_any_write_is_named_and_resumed(scratch):
    """No file may grow beyond a limit, which rises until the conversion succeeds."""
    assert drive("limits", scratch)["refused"] >= 8
