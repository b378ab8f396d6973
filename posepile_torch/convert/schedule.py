"""Handing units to an executor: few at a time, again after a worker died, until all are done."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from posepile_torch.convert.base import Unit
from posepile_torch.convert.executors import ExecutorChoice, is_lost
from posepile_torch.convert.part import part_of_partial, partial_files
from posepile_torch.convert.worker import Task, UnitOutcome, part_path
from posepile_torch.errors import ConversionError

_TICK_S = 0.5
_MAX_BARREN_BREAKS = 3  # a pool that breaks so often before any unit begins cannot work at all


class WorkerLostError(ConversionError):
    """The worker of a unit died twice: killed from outside, or out of memory."""


@dataclass
class Schedule:
    """The units of a run on their way through an executor.

    A worker that dies takes its pool along. The pool is then opened anew; units that were being
    converted are tried once more, alone, so that only the one that kills its worker can fail.

    Attributes:
        choice: The executor.
        task: Makes the task of some units.
        parts: Folder of the parts.
        folder: Folder that all workers see, for job files and logs.
        is_stopped: Asked often; when it says so, nothing more is handed out.
        tick: Called about twice a second.
    """

    choice: ExecutorChoice
    task: Callable[[tuple[Unit, ...]], Task]
    parts: Path
    folder: Path
    is_stopped: Callable[[], bool] = lambda: False
    tick: Callable[[], None] = lambda: None
    _waiting: deque[Unit] = field(default_factory=deque)
    _suspects: deque[Unit] = field(default_factory=deque)
    _under_way: dict[Future[list[UnitOutcome]], tuple[Unit, ...]] = field(default_factory=dict)
    _tries: Counter[str] = field(default_factory=Counter)
    _on_trial: bool = False
    _seconds_per_unit: float = 0.0
    _barren_breaks: int = 0

    def outcomes(self, units: Sequence[Unit]) -> Generator[UnitOutcome, None, None]:
        """Convert units; yields their outcomes as they come.

        Stops early, and in good order, when asked to: what has begun is finished.

        Raises:
            ConversionError: If workers die before they begin with any unit.
        """
        self._waiting.extend(units)
        while (self._waiting or self._suspects) and not self.is_stopped():
            with self.choice.opened(self.folder) as executor:
                is_broken = yield from self._until_broken(executor)
            if is_broken:
                yield from self._sorted_out()

    def _until_broken(self, executor: Executor) -> Generator[UnitOutcome, None, bool]:
        """Run until nothing is left; True if the executor broke, with its tasks under way."""
        while True:
            if self.is_stopped():
                self._cancel()
            elif not self._fill(executor):
                return True
            if not self._under_way:
                return False
            done, _ = wait(self._under_way, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            self.tick()
            for future in done:
                error = None if future.cancelled() else future.exception()
                if future.cancelled() and self.is_stopped():
                    self._under_way.pop(future)
                elif self.choice.shares_fate and isinstance(error, BrokenExecutor):
                    return True
                elif future.cancelled() or (error is not None and is_lost(error)):
                    yield from self._lost(self._under_way.pop(future))
                else:
                    yield from self._finished(future, error)

    def _cancel(self) -> None:
        if self.choice.can_cancel:
            for future in self._under_way:
                future.cancel()

    def _fill(self, executor: Executor) -> bool:
        """Hand out tasks; False if the executor is found broken."""
        while len(self._under_way) < self.choice.window:
            units = self._next_units()
            if not units:
                break
            try:
                future = executor.submit(self.choice.function, self.task(units))
            except BrokenExecutor:
                self._waiting.extendleft(reversed(units))
                return False
            self._under_way[future] = units
        return True

    def _next_units(self) -> tuple[Unit, ...]:
        if self.choice.shares_fate and self._under_way and (self._suspects or self._on_trial):
            return ()  # a suspect runs alone
        self._on_trial = bool(self._suspects)
        if self._suspects:
            return (self._suspects.popleft(),)
        if not self._waiting:
            return ()
        count = self.choice.group_size(self._seconds_per_unit, len(self._waiting))
        return tuple(self._waiting.popleft() for _ in range(count))

    def _finished(
        self, future: Future[list[UnitOutcome]], error: BaseException | None
    ) -> Iterator[UnitOutcome]:
        units = self._under_way.pop(future)
        if error is not None:  # the task itself could not run, for example be unpickled
            failure = ConversionError(
                f"a worker could not begin: {type(error).__name__}: {error}",
                where=f"units {', '.join(unit.name for unit in units[:3])}",
                fix="check that the workers have the same installation as this process",
            )
            yield from (UnitOutcome(unit.name, None, failure) for unit in units)
            return
        self._barren_breaks = 0
        outcomes = future.result()
        seconds = sum(outcome.seconds for outcome in outcomes) / max(len(outcomes), 1)
        known = self._seconds_per_unit
        self._seconds_per_unit = 0.7 * known + 0.3 * seconds if known else seconds
        yield from outcomes
        told = {outcome.unit for outcome in outcomes}
        self._waiting.extendleft(unit for unit in reversed(units) if unit.name not in told)

    def _sorted_out(self) -> Iterator[UnitOutcome]:
        """After a pool broke: who was being converted is suspect, the others just wait again.

        Several processes may have been at work; the temporary files tell on what.
        """
        done = [future for future in self._under_way if _is_sound(future)]
        for future in done:
            yield from self._finished(future, None)
        begun = set()
        for partial in partial_files(self.parts):
            begun.add(part_of_partial(partial))
            partial.unlink(missing_ok=True)
        self._barren_breaks += 1
        for units in self._under_way.values():
            at_work = [unit for unit in units if part_path(self.parts, unit.name) in begun]
            self._waiting.extendleft(unit for unit in reversed(units) if unit not in at_work)
            for unit in at_work:
                self._barren_breaks = 0
                yield from self._tried(unit)
        self._under_way.clear()
        if self._barren_breaks >= _MAX_BARREN_BREAKS:
            raise ConversionError(
                "worker processes die before they begin with a unit",
                rule="worker processes import the program that starts them",
                fix='call convert() below `if __name__ == "__main__":`; look at what the workers '
                "wrote to standard error; or use the inline executor",
            )

    def _lost(self, units: tuple[Unit, ...]) -> Iterator[UnitOutcome]:
        """A task was lost: its worker was at the first of its units that has no part."""
        missing = [unit for unit in units if not part_path(self.parts, unit.name).exists()]
        at_work = (missing or list(units))[0]
        self._waiting.extendleft(unit for unit in reversed(units) if unit is not at_work)
        yield from self._tried(at_work)

    def _tried(self, unit: Unit) -> Iterator[UnitOutcome]:
        self._tries[unit.name] += 1
        if self._tries[unit.name] == 1:
            self._suspects.append(unit)
            return
        error = WorkerLostError(
            "its worker died twice",
            where=f"unit {unit.name}",
            rule="a unit whose worker dies is tried once more, alone",
            fix="look whether the system killed it for its memory; give it more, with fewer jobs "
            "at a time, and run the same command again",
        )
        yield UnitOutcome(unit.name, None, error)


def _is_sound(future: Future[list[UnitOutcome]]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
