import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run_driver(mode, scratch, *arguments):
    done = subprocess.run(
        [sys.executable, str(HERE / "crash_driver.py"), mode, str(scratch), *arguments],
        cwd=HERE, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_kills_at_random_moments_never_show_a_damaged_archive(scratch):
    result = run_driver("random", scratch, "64")
    assert result["kills"] >= 64
    assert result["finished"] >= 3  # each was byte-equal to an uninterrupted write
    assert result["with_old_version"] >= 1


@pytest.mark.slow
def test_a_kill_before_every_single_system_call(scratch):
    result = run_driver("steps", scratch)
    assert result["steps"] > 80
    # those after the last rename show the new version although no old one was there
    assert result["states"]["whole"] > result["states"]["absent"] > 20


def test_a_file_size_limit_at_every_height_is_a_storage_error(scratch):
    result = run_driver("limits", scratch)
    assert result["refused"] >= 20


def test_another_user_reads_what_nobody_may_write(scratch):
    assert run_driver("readonly", scratch) == {"read": 36}
