"""Cluster jobs as futures: preempted jobs are pending, lost ones are told from failed ones."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, wait
from types import SimpleNamespace

import conversion_toys as toys
import pytest

from posepile_torch.convert import executors
from posepile_torch.convert.executors import ExecutorChoice
from posepile_torch.convert.run import convert
from posepile_torch.convert.slurm import JobExecutor, LostJobError, slurm_executor
from posepile_torch.errors import ConversionError


class FakeJob:
    """A job whose states are told by the test; it has a result once that is given."""

    def __init__(self, folder, number):
        self.paths = SimpleNamespace(result_pickle=folder / f"{number}.pickle")
        self.state = "PENDING"
        self.is_cancelled = False
        self.value, self.error = None, None

    def done(self):
        ended = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
        return self.paths.result_pickle.exists() or self.state.split(" ")[0] in ended

    def finish(self, value=None, error=None):
        self.value, self.error, self.state = value, error, "COMPLETED"
        self.paths.result_pickle.write_bytes(b"")

    def exception(self):
        return self.error

    def result(self):
        return self.value

    def cancel(self, check=True):
        self.is_cancelled = True


@pytest.fixture
def cluster(tmp_path):
    jobs = []

    def submit(function, *arguments):
        jobs.append(FakeJob(tmp_path, len(jobs)))
        jobs[-1].call = (function, arguments)
        return jobs[-1]

    executor = JobExecutor(submit, poll_s=0.01, grace_s=0.15)
    yield executor, jobs
    for job in jobs:
        if not job.done():
            job.finish()
    executor.shutdown()


def settle():
    time.sleep(0.06)


def test_results_and_failures_come_through(cluster):
    executor, jobs = cluster
    first, second = executor.submit(len, "abc"), executor.submit(len, "abcd")
    assert jobs[0].call == (len, ("abc",))
    jobs[1].finish(value=4)
    done, waiting = wait([first, second], timeout=5, return_when=FIRST_COMPLETED)
    assert (done, waiting) == ({second}, {first})
    assert second.result() == 4
    jobs[0].finish(error=RuntimeError("the trace of the job"))
    with pytest.raises(ConversionError, match="the trace of the job"):
        first.result(timeout=5)


@pytest.mark.parametrize(
    "states",
    [
        ["RUNNING", "PREEMPTED", "PENDING", "RUNNING"],
        ["RUNNING", "REQUEUED", "RUNNING"],
        ["SUSPENDED", "RUNNING"],
        ["RUNNING", "NODE_FAIL", "PENDING", "RUNNING"],
        ["UNKNOWN", "CONFIGURING", "RUNNING", "COMPLETING"],
    ],
)
def test_a_preempted_or_requeued_job_is_pending(cluster, states):
    executor, jobs = cluster
    future = executor.submit(len, "abc")
    for state in states:
        jobs[0].state = state
        settle()
        assert not future.done(), state
    jobs[0].finish(value=3)
    assert future.result(timeout=5) == 3


@pytest.mark.parametrize(
    "state", ["NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED by 1000", "CANCELLED+", "TIMEOUT"]
)
def test_a_job_that_ended_without_a_result_is_lost_after_a_while(cluster, state):
    executor, jobs = cluster
    future = executor.submit(len, "abc")
    jobs[0].state = state.replace("+", "")
    began = time.monotonic()
    with pytest.raises(LostJobError, match=state.split(" ")[0].rstrip("+")):
        future.result(timeout=5)
    assert time.monotonic() - began >= 0.15
    assert executors.is_lost(future.exception())


def test_only_jobs_that_have_not_begun_are_cancelled(cluster):
    executor, jobs = cluster
    running, queued = executor.submit(len, "a"), executor.submit(len, "b")
    jobs[0].state = "RUNNING"
    settle()
    executor.shutdown(wait=False, cancel_futures=True)
    assert queued.cancelled()
    assert not running.cancelled()
    settle()
    assert [job.is_cancelled for job in jobs] == [False, True]
    jobs[0].finish(value=1)
    assert running.result(timeout=5) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(len, "c")


@pytest.mark.slow
def test_a_conversion_through_submitit_gives_the_same_bytes(tmp_path, monkeypatch):
    """With submitit's executor for this machine, which runs each job as a process."""
    raw = toys.write_raw(tmp_path / "raw", units=4)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path.joinpath(toys.__file__).parent))
    monkeypatch.setattr(
        executors,
        "slurm_executor",
        lambda folder, parameters: slurm_executor(
            folder, parameters, cluster="local", poll_s=0.05, grace_s=1.0
        ),
    )
    expected = toys.contents(convert(toys.ToyConverter(raw), tmp_path / "fresh").archive)
    toys.tell(raw, {"take001/c1": "die-once"})
    choice = ExecutorChoice(kind="slurm", jobs=2, parameters={"timeout_min": 5})
    report = convert(toys.ToyConverter(raw), tmp_path / "out", executor=choice)
    assert not report.failed
    assert toys.contents(report.archive) == expected
    assert not list((tmp_path / "out").glob(".converting-*"))


# dask-jobqueue leaves the pipes of its local jobs to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_dask_workers_started_as_cluster_jobs_give_the_same_bytes(tmp_path, monkeypatch):
    """With dask-jobqueue's cluster of this machine in the place of Slurm's."""
    import dask_jobqueue
    from dask_jobqueue.local import LocalCluster

    monkeypatch.setattr(dask_jobqueue, "SLURMCluster", LocalCluster)
    raw = toys.write_raw(tmp_path / "raw", units=4)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path.joinpath(toys.__file__).parent))
    expected = toys.contents(convert(toys.ToyConverter(raw), tmp_path / "fresh").archive)
    settings = {"memory": "2GB", "scheduler_options": {"dashboard_address": ":0"}}
    choice = ExecutorChoice(kind="dask", scheduler="slurm", jobs=2, parameters=settings)
    report = convert(toys.ToyConverter(raw), tmp_path / "out", executor=choice)
    assert toys.contents(report.archive) == expected


def test_a_scheduler_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    import dask

    raw = toys.write_raw(tmp_path / "raw", units=1)
    choice = ExecutorChoice(kind="dask", scheduler="tcp://127.0.0.1:1")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}),
        pytest.raises(ConversionError, match="cannot be reached") as caught,
    ):
        convert(toys.ToyConverter(raw), tmp_path / "out", executor=choice)
    assert caught.value.where == "tcp://127.0.0.1:1"
