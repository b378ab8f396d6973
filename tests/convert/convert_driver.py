"""Kills conversions on purpose; run as a script, so that signals and children are its own.

    python convert_driver.py run RAW OUT EXECUTOR JOBS     one conversion, for others to kill
    python convert_driver.py parents SCRATCH KILLS         SIGKILL of an inline conversion
    python convert_driver.py pools SCRATCH KILLS           SIGKILL of the parent of a pool
    python convert_driver.py workers SCRATCH EXECUTOR KILLS  SIGKILL of workers of one that goes on
    python convert_driver.py limits SCRATCH                the disk refuses (RLIMIT_FSIZE)

Prints one JSON object; the tests judge it.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import conversion_toys as toys

from posepile_torch.convert.executors import ExecutorChoice
from posepile_torch.convert.run import convert
from posepile_torch.errors import StorageError

UNITS, FRAMES = 24, 3


def run(raw, out, kind="inline", jobs=1, **options):
    choice = ExecutorChoice(kind=kind, jobs=jobs)
    return convert(toys.ToyConverter(raw), out, executor=choice, **options)


def in_child(function):
    """Run ``function`` in a forked child; return the pid. Only inline conversions may be."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            function()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def exit_of(pid):
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def parents(scratch, kills):
    raw = toys.write_raw(scratch / "raw", UNITS, FRAMES)
    reference = toys.contents(run(raw, scratch / "reference").archive)
    start = time.perf_counter()
    exit_of(in_child(lambda: run(raw, scratch / "timing")))
    whole_s = time.perf_counter() - start
    rng, done, finished, stages = random.Random(0), 0, 0, []
    work = scratch / "work"
    while done < kills or finished < 3:
        pid = in_child(lambda: run(raw, work))
        time.sleep(rng.uniform(0, 0.7 * whole_s))
        os.kill(pid, signal.SIGKILL)
        if exit_of(pid) == 0:
            finished += 1
            if toys.contents(work / "toy") != reference or list(work.glob(".converting-*")):
                raise SystemExit("a resumed archive differs from an uninterrupted one")
            shutil.rmtree(work)
            continue
        done += 1
        stages.append(len(list(work.glob(".converting-toy/parts-*/*.part"))))
        if (work / "toy").exists() and toys.contents(work / "toy") != reference:
            raise SystemExit("a damaged archive was visible")
    return {"kills": done, "finished": finished, "distinct_progress": len(set(stages))}


def children_of(pid):
    """Worker processes below ``pid``, found in /proc; the resource tracker is none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            command = folder.joinpath("cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == pid and b"spawn_main" in command:
            found.append(int(folder.name))
    return sorted(found)


def workers(scratch, kind, kills):
    """Kill workers while one conversion goes on; every unit waits a little, to be hit."""
    raw = toys.write_raw(scratch / "raw", UNITS, FRAMES)
    reference = toys.contents(run(raw, scratch / "reference").archive)
    toys.tell(raw, {"*": "wait0.4"})
    killed = []
    is_over = threading.Event()

    def kill():
        rng = random.Random(1)
        while len(killed) < kills and not is_over.wait(rng.uniform(0.3, 1.2)):
            pids = children_of(os.getpid())
            # a worker that has just been started is still importing: let it begin with a unit
            if pids and list(scratch.glob("work/.converting-toy/parts-*/*.partial-*")):
                pid = rng.choice(pids)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    failed = runs = 0
    try:
        while True:
            report = run(raw, scratch / "work", kind, 2)
            runs += 1
            failed += len(report.failed)
            if report.archive is not None:
                break
    finally:
        is_over.set()
        killer.join()
    if toys.contents(report.archive) != reference:
        raise SystemExit("the archive differs from an uninterrupted one")
    return {"kills": len(killed), "runs": runs, "failed": failed, "records": report.records}


def killed_pools(scratch, kills):
    """SIGKILL of a parent whose pool is at work: workers die with it, the rerun finishes."""
    raw = toys.write_raw(scratch / "raw", UNITS, FRAMES)
    reference = toys.contents(run(raw, scratch / "reference").archive)
    toys.tell(raw, {"*": "wait0.1"})
    work, rng, done, survivors = scratch / "work", random.Random(2), 0, 0
    command = [sys.executable, __file__, "run", str(raw), str(work), "process", "2"]
    while done < kills:
        parent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        parts = 0
        while parent.poll() is None and not (children := children_of(parent.pid)):
            time.sleep(0.02)
        limit = time.monotonic() + 20
        before = len(list(work.glob(".converting-toy/parts-*/*.part")))
        while parts <= before and parent.poll() is None and time.monotonic() < limit:
            parts = len(list(work.glob(".converting-toy/parts-*/*.part")))
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.15))
        children = children_of(parent.pid)
        parent.kill()
        if parent.wait() == 0:
            break
        done += 1
        limit = time.monotonic() + 5
        while any(is_alive(pid) for pid in children) and time.monotonic() < limit:
            time.sleep(0.02)
        survivors += sum(is_alive(pid) for pid in children)
    toys.tell(raw, {})
    report = run(raw, work)
    if toys.contents(report.archive) != reference:
        raise SystemExit("the archive differs from an uninterrupted one")
    return {"kills": done, "survivors": survivors, "reused": report.reused}


def limits(scratch):
    """No file may grow beyond a limit, which rises until the conversion succeeds."""
    raw = toys.write_raw(scratch / "raw", units=3, frames=2)
    expected = toys.contents(run(raw, scratch / "reference").archive)
    refused, limit = 0, 1024
    while True:
        work = scratch / f"limit{limit}"

        def child(work=work, limit=limit):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails with EFBIG
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                run(raw, work)
            except StorageError as error:
                os._exit(75 if "bytes are free" in str(error) else 70)

        code = exit_of(in_child(child))
        if code == 0:
            return {"refused": refused}
        if code != 75:
            raise SystemExit(f"limit {limit}: not a StorageError with sizes, exit {code}")
        if (work / "toy").exists():
            raise SystemExit(f"limit {limit}: published in spite of a full disk")
        if toys.contents(run(raw, work).archive) != expected:
            raise SystemExit(f"limit {limit}: the resumed archive differs")
        shutil.rmtree(work)
        refused, limit = refused + 1, limit + 3500


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    if mode == "run":
        result = run(Path(arguments[0]), Path(arguments[1]), arguments[2], int(arguments[3]))
        result = result.to_dict()
    else:
        scratch = Path(arguments[0])
        result = {
            "parents": lambda: parents(scratch, int(arguments[1])),
            "limits": lambda: limits(scratch),
            "pools": lambda: killed_pools(scratch, int(arguments[1])),
            "workers": lambda: workers(scratch, arguments[1], int(arguments[2])),
        }[mode]()
    sys.stdout.write(json.dumps(result))
