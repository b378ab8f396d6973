"""Where units are converted: in this process, in others, or on a cluster.

Every way is a ``concurrent.futures.Executor``, so that scheduling, retries and progress are
written once.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posepile_torch.convert.slurm import slurm_executor
from posepile_torch.convert.worker import (
    Task,
    UnitOutcome,
    one_thread_each,
    run_task,
    run_task_capped,
    start_worker,
)
from posepile_torch.errors import ConversionError, UnknownNameError, require

EXECUTORS = ("inline", "process", "thread", "dask", "slurm")
"""The ways of running units."""

_MAX_GROUP = 64

# Two conversions on one machine would ask for the same port otherwise.
_ANY_FREE_PORT = ":0"


@dataclass(frozen=True, kw_only=True)
class ExecutorChoice:
    """How units are run.

    Attributes:
        kind: One of :data:`EXECUTORS`.
        jobs: Units at a time: processes, threads, Dask workers, or Slurm jobs.
        scheduler: For Dask: address or scheduler file of a running scheduler, ``"local"`` for a
            cluster of processes on this machine, or ``"slurm"`` for one that is started as Slurm
            jobs.
        parameters: Settings of the cluster: for ``slurm`` those of submitit
            (``slurm_partition``, ``timeout_min``, ``mem_gb``, ``slurm_account``, ...), for Dask
            on Slurm those of ``dask_jobqueue.SLURMCluster`` (``queue``, ``walltime``,
            ``memory``, ...).

    Raises:
        UnknownNameError: If there is no such kind.
        ConversionError: If the number of jobs is below one.
    """

    kind: str = "inline"
    jobs: int = 1
    scheduler: str = "local"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in EXECUTORS:
            raise UnknownNameError.among("executor", self.kind, EXECUTORS)
        if self.jobs < 1:
            raise ConversionError(f"{self.jobs} jobs", rule="at least one unit is converted")

    @property
    def window(self) -> int:
        """Tasks under way at a time: enough that nobody waits, few enough to stop soon."""
        return 1 if self.kind == "inline" else 2 * self.jobs

    @property
    def task_seconds(self) -> float:
        """How long a task should take, so that handing it out costs nothing beside it."""
        return {"inline": 0.0, "slurm": 1800.0, "dask": 5.0}.get(self.kind, 2.0)

    def group_size(self, seconds_per_unit: float, units_left: int) -> int:
        """How many units make a task of about :attr:`task_seconds`, with work left for all."""
        if self.task_seconds == 0:
            return 1
        fair_share = max(1, units_left // (2 * self.jobs))
        if seconds_per_unit <= 0:  # nothing is known yet
            return fair_share if self.kind == "slurm" else 1
        most = fair_share if self.kind == "slurm" else min(fair_share, _MAX_GROUP)
        return max(1, min(int(self.task_seconds / seconds_per_unit), most))

    @property
    def shares_fate(self) -> bool:
        """Whether the death of one worker takes the tasks of all others along."""
        return self.kind == "process"

    @property
    def can_cancel(self) -> bool:
        """Whether a task that has begun refuses to be cancelled, so that others can be."""
        return self.kind != "dask"

    @property
    def function(self) -> Callable[[Task], list[UnitOutcome]]:
        """What is submitted: in workers that others start, threads are capped with each task."""
        return run_task_capped if self.kind in ("dask", "slurm") else run_task

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Executor]:
        """Start the executor and close it again.

        On the way out, tasks that have not begun are cancelled and the others waited for.

        Args:
            folder: A folder that all workers see, for job files and logs.

        Raises:
            MissingDependencyError: If its extra is not installed.
            ConversionError: If the cluster cannot be reached.
        """
        if self.kind == "dask":
            with self._dask(folder) as executor:
                yield executor
        elif self.kind == "slurm":
            with _closing(slurm_executor(folder / "jobs", self.parameters)) as executor:
                yield executor
        elif self.kind == "process":
            pool = ProcessPoolExecutor(
                self.jobs,
                # A forked child would inherit locks that another thread of the parent holds.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=start_worker,
            )
            with _closing(pool) as executor:
                yield executor
        else:
            here = InlineExecutor() if self.kind == "inline" else ThreadPoolExecutor(self.jobs)
            with one_thread_each(), _closing(here) as executor:
                yield executor

    @contextmanager
    def _dask(self, folder: Path) -> Iterator[Executor]:
        distributed = require("distributed", extra="dask")
        with _dask_cluster(self, distributed, folder) as address:
            try:
                client = distributed.Client(**address)
            except (OSError, ValueError) as error:
                raise ConversionError(
                    f"the Dask scheduler cannot be reached: {error}",
                    where=self.scheduler,
                    fix="check the address and that the scheduler runs, or leave it out for a "
                    "cluster on this machine",
                ) from None
            with client:  # closing it cancels what it submitted
                yield client.get_executor(pure=False)


def is_lost(error: BaseException) -> bool:
    """Whether a task's error says that its worker died, rather than what went wrong in it."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ in (
        "KilledWorker",  # Dask: the worker died with this task more than once
        "FutureCancelledError",  # Dask: the scheduler lost the task
        "FuturesCancelledError",
    )


class InlineExecutor(Executor):
    """Runs each call at once, in the thread that submits it; what it raises goes through."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the call and return a future that is done."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def _closing(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _dask_cluster(
    choice: ExecutorChoice, distributed: Any, folder: Path
) -> Iterator[dict[str, Any]]:
    """Start the cluster that was asked for, if any, and say how a client reaches it."""
    if choice.scheduler == "local":
        cluster = distributed.LocalCluster(
            n_workers=choice.jobs,
            threads_per_worker=1,  # the raw readers hold files that threads must not share
            processes=True,
            dashboard_address=_ANY_FREE_PORT,
            **choice.parameters,
        )
    elif choice.scheduler == "slurm":
        jobqueue = require("dask_jobqueue", extra="dask")
        settings = {
            "cores": 1,
            "processes": 1,
            "log_directory": str(folder / "jobs"),
            "scheduler_options": {"dashboard_address": _ANY_FREE_PORT},
        }
        cluster = jobqueue.SLURMCluster(**{**settings, **choice.parameters})
        cluster.scale(choice.jobs)
    elif Path(choice.scheduler).is_file():
        yield {"scheduler_file": choice.scheduler}
        return
    else:
        yield {"address": choice.scheduler}
        return
    with cluster:
        yield {"address": cluster}
