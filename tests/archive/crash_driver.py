"""Crashes writers on purpose; run as a script in a process without threads, so that it may fork.

    python crash_driver.py random ROOT KILLS     SIGKILL at random moments
    python crash_driver.py steps ROOT            SIGKILL before every single system call in turn
    python crash_driver.py limits ROOT           the disk refuses beyond a file size (RLIMIT_FSIZE)
    python crash_driver.py readonly ROOT         another user reads a folder nobody may write

Prints one JSON object; the tests judge it.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import archive_toys as toys

from posepile_torch.archive import open_archive
from posepile_torch.archive.verify import verify_archive
from posepile_torch.errors import ArchiveIncompleteError, ArchiveNotFoundError, StorageError

CALLS = ("open", "write", "pwrite", "fsync", "ftruncate", "truncate", "rename", "replace")
CALLS += ("symlink", "unlink", "mkdir", "rmdir", "utime")


def in_child(function):
    """Run ``function`` in a forked child; return the pid."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = function() or 0
        except StorageError as error:
            code = 75 if "bytes are free" in str(error) and error.free_bytes >= 0 else 70
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def exit_of(pid):
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def published_state(root):
    """Return "absent" or "whole"; anything else raises."""
    try:
        with open_archive(root / "toy") as archive:
            path = archive.path
    except (ArchiveNotFoundError, ArchiveIncompleteError):
        return "absent"
    report = verify_archive(path, "crc")
    if not report.ok:
        raise SystemExit(f"a damaged archive was visible: {report.lines()}")
    return "whole"


def build(root, count):
    return lambda: toys.build(root, count) and 0


def random_kills(root, kills):
    rng = random.Random(0)
    reference = toys.contents(toys.build(root / "reference", 150))
    start = time.perf_counter()
    exit_of(in_child(build(root / "timing", 150)))
    whole_s = time.perf_counter() - start
    done, finished, with_old_version, progress = 0, 0, 0, []
    work = root / "work"
    while done < kills or finished < 3:
        if finished % 2 and not (work / "toy").exists():
            toys.build(work, 20)  # from here on an older version must stay visible
        must_stay = published_state(work) if work.exists() else "absent"
        pid = in_child(build(work, 150))
        time.sleep(rng.uniform(0, 1.05 * whole_s))
        os.kill(pid, signal.SIGKILL)
        if exit_of(pid) == 0:
            finished += 1
            equal = toys.contents(work / "toy") == reference
            if not equal or list(work.glob(".building-*")):
                raise SystemExit("a resumed archive differs from an uninterrupted one")
            shutil.rmtree(work)
            continue
        done += 1
        state = published_state(work) if work.exists() else "absent"
        if must_stay == "whole" and state != "whole":
            raise SystemExit("the older version vanished")
        with_old_version += must_stay == "whole"
        if (work / ".building-toy" / "data").exists():
            progress.append(len(list((work / ".building-toy" / "data").iterdir())))
    return {
        "kills": done, "finished": finished, "with_old_version": with_old_version,
        "distinct_progress": len(set(progress)),
    }  # fmt: skip


def crash_at(step):
    """Make the process kill itself before the ``step``-th watched system call."""
    seen = 0

    def wrap(original):
        def call(*args, **kwargs):
            nonlocal seen
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))


def kill_at_every_step(root):
    reference = toys.contents(toys.build(root / "reference", 12))
    older = toys.build(root / "older", 5)
    states, step = {"absent": 0, "whole": 0}, 0
    while True:
        step += 1
        work = root / f"step{step}"
        if step % 2:
            shutil.copytree(older.parent, work, symlinks=True)

        def child(work=work, step=step):
            crash_at(step)
            toys.build(work, 12)
            return 0

        code = exit_of(in_child(child))
        if code == 0:
            break
        if code != -signal.SIGKILL:
            raise SystemExit(f"step {step} ended with {code}")
        state = published_state(work) if work.exists() else "absent"
        states[state] += 1
        if step % 2 and state != "whole":
            raise SystemExit(f"step {step}: the older version vanished")
        toys.build(work, 12)
        if toys.contents(work / "toy") != reference:
            raise SystemExit(f"step {step}: the resumed archive differs")
        if list(work.glob(".building-*")):
            raise SystemExit(f"step {step}: a building folder stayed behind")
        shutil.rmtree(work)
    return {"steps": step - 1, "states": states}


def size_limits(root):
    reference = toys.contents(toys.build(root / "reference", 40))
    refused, limit = 0, 0
    while True:
        limit += 1536
        work = root / f"limit{limit}"

        def child(work=work, limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            toys.build(work, 40)
            return 0

        code = exit_of(in_child(child))
        if code == 0:
            break
        if code != 75:
            raise SystemExit(f"limit {limit}: not a StorageError with sizes, exit {code}")
        refused += 1
        if published_state(work) != "absent":
            raise SystemExit(f"limit {limit}: published in spite of a full disk")
        toys.build(work, 40)
        if toys.contents(work / "toy") != reference:
            raise SystemExit(f"limit {limit}: the resumed archive differs")
        shutil.rmtree(work)
    return {"refused": refused, "largest_file": max(len(data) for data in reference.values())}


def read_only(root):
    """Read an archive in a folder without write permission, as a user who is not root."""
    folder = toys.build(root, 40).resolve()
    verify_archive(folder, "semantic")  # imports everything while this user still may
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    root.chmod(0o555)

    def child():
        if os.getuid() == 0:
            os.setuid(65534)
        with open_archive(folder) as archive:
            for row in archive.split_range():
                archive.record(row)
                archive.image_bytes(row)
            return len(archive) if verify_archive(folder, "semantic").ok else 0

    count = exit_of(in_child(child))
    root.chmod(0o755)
    folder.chmod(0o755)
    return {"read": count}


if __name__ == "__main__":
    mode, folder = sys.argv[1], Path(sys.argv[2])
    run = {
        "random": lambda: random_kills(folder, int(sys.argv[3])),
        "steps": lambda: kill_at_every_step(folder),
        "limits": lambda: size_limits(folder),
        "readonly": lambda: read_only(folder),
    }[mode]
    sys.stdout.write(json.dumps(run()))
