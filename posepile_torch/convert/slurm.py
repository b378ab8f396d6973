"""Jobs of a Slurm cluster as a ``concurrent.futures.Executor``, through submitit.

submitit's own job objects cannot be waited for together with others, and its executor is not one
of the standard library. This adapter gives every job an ordinary future and polls all jobs from
one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any, Protocol

from posepile_torch.errors import ConversionError, require

# A job in one of these has not ended: a preempted, requeued or suspended one goes on by itself.
_NOT_ENDED = {"READY", "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "UNKNOWN"}
_NOT_ENDED |= {"PREEMPTED", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
_NOT_ENDED |= {"SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"}


class LostJobError(BrokenExecutor):
    """A job ended without a result: killed, out of memory, or on a node that failed."""


class Job(Protocol):
    """What is used of a submitit job."""

    @property
    def paths(self) -> Any:
        """Where its files are; ``paths.result_pickle`` is there once it has a result."""

    @property
    def state(self) -> str:
        """State in the words of Slurm."""

    def done(self) -> bool:
        """Whether there is a result, or the job is known to have ended."""

    def exception(self) -> BaseException | None:
        """Return what the job raised; also why there is no result."""

    def result(self) -> Any:
        """Return the result."""

    def cancel(self, check: bool = True) -> None:
        """Cancel the job."""


class JobExecutor(Executor):
    """Submits each call as a cluster job.

    Args:
        submit: Submits a call, ``submit(function, *args)``, and returns its job.
        poll_s: Seconds between two looks at the jobs.
        grace_s: A job that seems to have ended without result is given up after this long; a
            requeued job, or a result on a slow disk, shows up earlier.
    """

    def __init__(
        self, submit: Callable[..., Job], *, poll_s: float = 5.0, grace_s: float = 120.0
    ) -> None:
        self._submit = submit
        self._poll_s = poll_s
        self._grace_s = grace_s
        self._jobs: dict[Future[Any], Job] = {}
        self._ended_at_s: dict[Future[Any], float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closing = False
        self._poller = threading.Thread(target=self._poll, name="poll-jobs", daemon=True)
        self._poller.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a job; its future is pending until the job has ended for good."""
        future: Future[Any] = Future()
        with self._lock:
            if self._is_closing:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._jobs[future] = self._submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; with ``cancel_futures``, cancel those that have not begun."""
        with self._lock:
            self._is_closing = True
            jobs = list(self._jobs.items())
        if cancel_futures:
            for future, _ in jobs:
                future.cancel()
        self._wake.set()
        if wait:
            self._poller.join()

    def _poll(self) -> None:
        while True:
            with self._lock:
                jobs = list(self._jobs.items())
                if self._is_closing and not jobs:
                    return
            for future, job in jobs:
                if self._is_settled(future, job):
                    self._ended_at_s.pop(future, None)
                    with self._lock:
                        del self._jobs[future]
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def _is_settled(self, future: Future[Any], job: Job) -> bool:
        """Bring a future up to date with its job; True when nothing more will happen to it."""
        if future.cancelled():
            job.cancel(check=False)
            future.set_running_or_notify_cancel()  # wakes whoever waits for several futures
            return True
        has_result = job.paths.result_pickle.exists()
        state = (job.state.upper().split() or ["UNKNOWN"])[0].rstrip("+")  # "CANCELLED+ by 1000"
        if not has_result and not self._has_ended(future, state, job):
            if state == "RUNNING" and not future.running():
                future.set_running_or_notify_cancel()
            return False
        if not future.running() and not future.set_running_or_notify_cancel():
            return False  # cancelled just now
        error = job.exception() if has_result else None
        if not has_result:
            future.set_exception(LostJobError(f"a job ended as {state} without a result"))
        elif error is not None:
            future.set_exception(ConversionError(f"a job failed: {error}"))
        else:
            future.set_result(job.result())
        return True

    def _has_ended(self, future: Future[Any], state: str, job: Job) -> bool:
        if state in _NOT_ENDED or not job.done():
            self._ended_at_s.pop(future, None)
            return False
        since_s = self._ended_at_s.setdefault(future, time.monotonic())
        return time.monotonic() - since_s >= self._grace_s


def slurm_executor(
    folder: Path,
    parameters: Mapping[str, Any],
    *,
    cluster: str = "slurm",
    poll_s: float = 5.0,
    grace_s: float = 120.0,
) -> JobExecutor:
    """Return an executor whose calls are Slurm jobs.

    Args:
        folder: Where submitit keeps job files and logs; every node must see it.
        parameters: submitit parameters, for example ``{"slurm_partition": "cpu",
            "timeout_min": 240, "mem_gb": 4}``.
        cluster: ``"slurm"``, or ``"local"`` for processes of this machine, as tests use.
        poll_s: Seconds between two looks at the jobs.
        grace_s: Seconds after which a job that ended without a result is given up.

    Raises:
        MissingDependencyError: If submitit is not installed (extra ``slurm``).
    """
    submitit = require("submitit", extra="slurm")
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
    executor.update_parameters(**parameters)
    return JobExecutor(executor.submit, poll_s=poll_s, grace_s=grace_s)
