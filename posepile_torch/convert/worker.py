"""What runs where a unit is converted: in this process, a pool's process, or another machine."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

import cv2

from posepile_torch.convert.base import Converter, Unit
from posepile_torch.convert.part import DamagedPartError, UnitReport, read_report
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.unit import convert_unit, fingerprint
from posepile_torch.errors import ConversionError, PosepileError, StorageError, require

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class UnitFailedError(ConversionError):
    """A unit raised something that is not an error of this library: a bug, most likely."""


@dataclass(frozen=True)
class Task:
    """Some units to convert, one after the other; small and picklable.

    Attributes:
        converter: The pickled converter.
        plan: The numbers of the conversion.
        folder: Folder of the parts.
        units: The units.
    """

    converter: bytes
    plan: Plan
    folder: Path
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class UnitOutcome:
    """What became of a unit.

    Attributes:
        unit: Name of the unit.
        report: Its report; None if it failed.
        error: Why it failed.
        seconds: How long it took.
    """

    unit: str
    report: UnitReport | None
    error: PosepileError | None = None
    seconds: float = 0.0


def part_path(folder: Path, unit: str) -> Path:
    """Return the file of a unit's part; names of units may be longer than file names can be."""
    digest = hashlib.sha256(unit.encode()).hexdigest()[:20]
    return folder / f"{digest}.part"


def run_task(task: Task) -> list[UnitOutcome]:
    """Convert the units of a task; failures are outcomes, never exceptions.

    A unit whose part is there already is not converted again, so a task can be repeated. A disk
    that refuses writes ends the task early.
    """
    converter = _unpickled(task.converter)
    outcomes = []
    for unit in task.units:
        start = time.perf_counter()
        report, error = None, None
        try:
            report = _converted(converter, unit, task)
        except PosepileError as caught:
            error = caught
        outcomes.append(UnitOutcome(unit.name, report, error, time.perf_counter() - start))
        if isinstance(error, StorageError):
            break
    return outcomes


def finished_report(part: Path, wanted_fingerprint: str) -> UnitReport | None:
    """Validate a part that lies there already; None if there is none, or it is of no use."""
    try:
        report = read_report(part)
    except FileNotFoundError:
        return None
    except DamagedPartError:
        part.unlink(missing_ok=True)
        return None
    return report if report.fingerprint == wanted_fingerprint else None


def _converted(converter: Converter, unit: Unit, task: Task) -> UnitReport:
    path = part_path(task.folder, unit.name)
    report = finished_report(path, fingerprint(converter, task.plan))
    if report is not None:
        return report
    try:
        return convert_unit(converter, unit, task.plan, path)
    except PosepileError:
        raise
    except Exception as error:
        # Errors of the library say all in their message; this one must tell where it happened.
        place = "".join(traceback.format_exception(error)[-3:]).rstrip()
        raise UnitFailedError(
            f"{type(error).__name__}: {error}",
            where=f"unit {unit.name}\n{place}",
            rule="converters raise only errors of this library",
            fix="report it, with this text, to whoever maintains the converter",
        ) from error


_local = threading.local()


def _unpickled(data: bytes) -> Converter:
    """Return the converter, the same one for all units that a thread works on."""
    if getattr(_local, "data", None) != data:
        _local.converter = pickle.loads(data)  # noqa: S301 -- made by this very program
        _local.data = data
    converter: Converter = _local.converter
    return converter


def start_worker() -> None:
    """Prepare a fresh worker process: one thread, no Ctrl-C, and no life after its parent."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    require("threadpoolctl", extra="convert").threadpool_limits(1)
    cv2.setNumThreads(0)
    # A terminal sends Ctrl-C to everybody; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, name="watch-parent", daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Cap the threads of numerical libraries in this process, and restore them afterwards.

    The matrices here are small: with a thread per core, BLAS spends its time waiting. Measured on
    two busy cores: six times slower.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        with require("threadpoolctl", extra="convert").threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)


def run_task_capped(task: Task) -> list[UnitOutcome]:
    """Run a task in a worker that somebody else started: cap its threads first."""
    with one_thread_each():
        return run_task(task)
