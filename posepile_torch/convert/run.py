"""The whole conversion: units into parts, parts into one published archive.

Every unit becomes a part in a working folder beside the archive. A rerun validates the parts it
finds, skips their units, and converts the rest; when all parts are there they are put together in
the order of the units and the archive is published. A killed run loses at most the units in work.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from posepile_torch.archive import ArchiveHeader
from posepile_torch.archive.layout import converting_folder, lock_file
from posepile_torch.archive.lock import WriterLock
from posepile_torch.archive.manifest import read_manifest
from posepile_torch.archive.publish import check_target, finish_interrupted_publish
from posepile_torch.archive.storage import storage_errors
from posepile_torch.convert.assemble import (
    Assembly,
    header_of,
    merged_units,
    published_manifest,
    write_quarantine_list,
)
from posepile_torch.convert.base import Converter, Unit
from posepile_torch.convert.executors import ExecutorChoice
from posepile_torch.convert.job import Job
from posepile_torch.convert.photometric import marked_as_applied
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.report import ConversionProgress, ConversionReport, Progress
from posepile_torch.convert.schedule import Schedule
from posepile_torch.convert.selection import Selection, selected_units
from posepile_torch.convert.space import SpaceWatch
from posepile_torch.convert.unit import PIPELINE_VERSION, fingerprint
from posepile_torch.convert.worker import Task, UnitOutcome, finished_report, part_path
from posepile_torch.errors import ConversionError, StorageError
from posepile_torch.keys import check_archive_path
from posepile_torch.quarantine import LIMIT_SHARE, QuarantineList
from posepile_torch.record import SPLITS


def convert(
    converter: Converter,
    out: Path | str,
    *,
    plan: Plan | None = None,
    executor: ExecutorChoice | str = "inline",
    jobs: int = 1,
    limit: int | None = None,
    only: Iterable[str] = (),
    restart: bool = False,
    force_unlock: bool = False,
    keep_parts: bool = False,
    skip_failed: bool = False,
    max_quarantined: float = LIMIT_SHARE,
    check_space: bool = True,
    is_stopped: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _: None,
) -> ConversionReport:
    """Convert a source and publish its archive.

    A unit that fails is reported and the others go on; the archive is published only when every
    unit has its part, so a rerun finishes the work. The result does not depend on the executor,
    on the number of jobs, or on where earlier runs were interrupted.

    Args:
        converter: Reads the raw files.
        out: Folder of archives; ``out/<name>`` appears when the archive is whole.
        plan: The numbers of the conversion; the converter's own by default.
        executor: Where units are converted, as a choice or by its kind.
        jobs: Units at a time, where ``executor`` is a kind.
        limit: Convert only this many units, for a first look; they are published as an archive
            whose manifest says so.
        only: Convert only units whose names match one of these patterns, likewise.
        restart: Throw finished parts of an earlier run away.
        force_unlock: Take over the lock of a run that cannot be shown to be dead.
        keep_parts: Leave the parts there after publishing, for another selection of units.
        skip_failed: Publish without the units that failed; the manifest names them.
        max_quarantined: Largest share of raw images that may be unusable.
        check_space: Refuse at once when the archive will not fit on the disk.
        is_stopped: Asked often; when it says so, what has begun is finished, and a state is left
            behind from which the next call goes on.
        progress: Called after every unit.

    Raises:
        ArchiveLockedError: If another process is converting or writing this archive.
        ResumeError: If finished parts were made by other code, from other raw files or with other
            choices; the message says which.
        ConversionError: If there are no units, unit names are not usable, raw files change while
            they are read, or too many images cannot be used.
        StorageError: If the disk refuses a write, or the archive will not fit on it.
    """
    root = check_archive_path(out)
    name = converter.source.card.name
    check_target(root, name)
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(lock_file(root, name), force=force_unlock)
    try:
        run = _Run(
            converter,
            root,
            plan or converter.plan,
            executor if isinstance(executor, ExecutorChoice) else _choice(executor, jobs),
            Selection(limit=limit, only=tuple(only)),
            lock,
            keep_parts=keep_parts,
            skip_failed=skip_failed,
            max_quarantined=max_quarantined,
            check_space=check_space,
            is_stopped=is_stopped,
            progress=progress,
        )
        return run.run(restart)
    finally:
        lock.release()


def _choice(kind: str, jobs: int) -> ExecutorChoice:
    return ExecutorChoice(kind=kind, jobs=jobs)


@dataclass(eq=False)
class _Run:
    """One call of :func:`convert`, with the lock held."""

    converter: Converter
    root: Path
    plan: Plan
    choice: ExecutorChoice
    selection: Selection
    lock: WriterLock
    keep_parts: bool
    skip_failed: bool
    max_quarantined: float
    check_space: bool
    is_stopped: Callable[[], bool]
    progress: Progress
    state: ConversionProgress = field(default_factory=ConversionProgress)
    examined: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    units: tuple[Unit, ...] = ()
    _has_merged: bool = False

    def run(self, restart: bool) -> ConversionReport:
        """Convert what is missing, and publish if everything is there."""
        name = self.converter.source.card.name
        finish_interrupted_publish(self.root, name)
        # Before the units are listed, which may fill the converter with what it has parsed.
        pickled = pickle.dumps(self.converter)
        self.units = tuple(selected_units(self.converter, self.selection))
        self.state.units = len(self.units)
        self.progress(self.state)
        job = Job(self.root, self.converter, self.plan)
        job.begin(restart=restart)
        if not restart and self._is_published(job):
            return self._report(self.root / name, already_converted=True)
        self._refuse_to_hide_more(restart)
        self._convert_missing(job, pickled)
        if self.is_stopped():
            return self._report(None, interrupted=True)
        job.check_raw_unchanged()
        if self.state.failed and not self.skip_failed:
            return self._report(None)
        self._check_quarantine(job)
        archive = self._assembly(job).publish(is_stopped=self.is_stopped, progress=self._merged)
        if archive is None:
            return self._report(None, interrupted=True)
        self._clean_up(job)
        return self._report(archive)

    # ---- what is there already ----

    def _is_published(self, job: Job) -> bool:
        manifest = published_manifest(self.root, self.converter.source.card.name)
        if manifest is None or header_of(manifest).to_json() != self._header(job).to_json():
            return False
        self._has_merged = True
        self._clean_up(job)  # a run may have ended between publishing and cleaning up
        return True

    def _refuse_to_hide_more(self, restart: bool) -> None:
        """A first look at a few units must not replace the archive of all of them."""
        manifest = published_manifest(self.root, self.converter.source.card.name)
        is_whole = manifest is not None and "selection" not in manifest.plan
        if is_whole and not self.selection.is_everything and not restart:
            raise ConversionError(
                "the archive that is there holds all units, and only some were asked for",
                where=self.root / self.converter.source.card.name,
                rule="an archive of some units never replaces a whole one by accident",
                fix="write to another folder with --out, or say --restart to replace it",
            )

    # ---- converting ----

    def _convert_missing(self, job: Job, pickled: bytes) -> None:
        self.state.stage = "units"
        missing = self._missing(job)
        space = SpaceWatch(
            self.root,
            self.converter.source.card,
            len(self.units),
            self.selection.is_everything,
            self.keep_parts,
        )
        if self.check_space:
            space.check_before(len(missing))
        schedule = Schedule(
            self.choice,
            task=lambda units: Task(pickled, self.plan, job.parts, units),
            parts=job.parts,
            folder=job.folder,
            is_stopped=self.is_stopped,
            tick=self._tick,
        )
        with closing(schedule.outcomes(missing)) as outcomes:
            for outcome in outcomes:
                self._done(outcome, is_fresh=True)
                if self.check_space:
                    units_left = len(self.units) - self.state.done
                    space.check_after(part_path(job.parts, outcome.unit), units_left)

    def _missing(self, job: Job) -> list[Unit]:
        """Count what earlier runs have done, and list the units that are left."""
        merged = set(merged_units(self.root, self._header(job)) or ())
        wanted = fingerprint(self.converter, self.plan)
        missing = []
        for unit in self.units:
            if self.is_stopped():
                break
            if unit.name in merged:
                self.state.done += 1
                self.state.reused += 1
                continue
            report = finished_report(part_path(job.parts, unit.name), wanted)
            if report is None:
                missing.append(unit)
            else:
                self._done(UnitOutcome(unit.name, report), is_fresh=False)
        self._has_merged = bool(merged)
        return missing

    def _done(self, outcome: UnitOutcome, *, is_fresh: bool) -> None:
        if outcome.report is not None:
            self.state.add(outcome.report, is_fresh=is_fresh)
            self.examined += outcome.report.examined
            self.quarantined.update(outcome.report.quarantined)
        elif isinstance(outcome.error, StorageError):
            raise outcome.error
        else:
            self.state.done += 1
            self.state.failed[outcome.unit] = str(outcome.error)
        self._tick()

    def _tick(self) -> None:
        self.lock.beat()
        self.progress(self.state)

    # ---- the archive ----

    def _check_quarantine(self, job: Job) -> None:
        """Join the quarantine lists, and refuse if too many images could not be used."""
        if self._has_merged:
            return  # the assembly had begun, so this was done by an earlier run
        parts = (part_path(job.parts, unit.name) for unit in self.units)
        write_quarantine_list(parts, job.quarantine_list)
        judge = QuarantineList(job.quarantine_list, limit_share=self.max_quarantined)
        judge.examined, judge.quarantined = self.examined, self.quarantined
        judge.check()

    def _assembly(self, job: Job) -> Assembly:
        self.state.stage, self.state.done = "archive", 0
        return Assembly(
            root=self.root,
            parts=job.parts,
            header=self._header(job, tuple(self.state.failed)),
            units=self.units,
            failed={name: text.splitlines()[0] for name, text in self.state.failed.items()},
            lock=self.lock,
            removes_parts=not self.keep_parts and not self.state.failed,
        )

    def _merged(self, done: int) -> None:
        self.state.done = done
        self.progress(self.state)

    def _header(self, job: Job, failed: tuple[str, ...] = ()) -> ArchiveHeader:
        card = self.converter.source.card
        plan = {"pipeline_version": PIPELINE_VERSION, **self.plan.to_dict()}
        if self.converter.options:
            plan["options"] = dict(self.converter.options)
        if not self.selection.is_everything:
            plan["selection"] = self.selection.to_dict()
        if failed:
            plan["failed_units"] = list(failed)
        return ArchiveHeader(
            source=card.name,
            skeleton=self.converter.source.native,
            card_digest=card.digest,
            plan=plan,
            converter_version=self.converter.version,
            hints=marked_as_applied(card.hints).to_dict(),
            units={unit.name: "" for unit in self.units},
            raw_files=job.raw_files,
            precision=self.plan.precision,
        )

    def _clean_up(self, job: Job) -> None:
        """After publishing: the quarantine list goes beside the archive, the rest goes."""
        if job.quarantine_list.exists():
            job.quarantine_list.replace(self._list_beside)
        elif not self._has_merged:
            self._list_beside.unlink(missing_ok=True)
        if not self.keep_parts:
            job.remove()

    @property
    def _list_beside(self) -> Path:
        return self.root / f"{self.converter.source.card.name}.quarantine.jsonl"

    def _report(
        self,
        archive: Path | None,
        *,
        interrupted: bool = False,
        already_converted: bool = False,
    ) -> ConversionReport:
        state, listed = self.state, self._list_beside
        if archive is not None:
            manifest = read_manifest(archive)
            state.records, state.images = manifest.totals.records, manifest.totals.images
            state.skipped = Counter({why: kind.count for why, kind in manifest.skipped.items()})
        return ConversionReport(
            archive=archive,
            units=state.units,
            reused=state.reused,
            frames=state.frames,
            images=state.images,
            records=state.records,
            skipped=dict(state.skipped),
            failed=dict(state.failed),
            quarantine_list=listed if archive is not None and listed.exists() else None,
            interrupted=interrupted,
            already_converted=already_converted,
            partial=not self.selection.is_everything,
            seconds=state.seconds,
            archive_bytes=0 if archive is None else folder_bytes(archive),
        )


def folder_bytes(folder: Path) -> int:
    """Size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


@dataclass(frozen=True)
class Survey:
    """What a conversion would do.

    Attributes:
        units: Units by split.
        names: The first few units.
        finished: Units whose part is there already.
        begun: Whether there is an unfinished conversion.
    """

    units: Mapping[str, int]
    names: tuple[str, ...]
    finished: int
    begun: bool


def survey(
    converter: Converter, out: Path | str, *, limit: int | None = None, only: Iterable[str] = ()
) -> Survey:
    """Look what :func:`convert` would do; nothing is written, nothing is decoded."""
    units = selected_units(converter, Selection(limit=limit, only=tuple(only)))
    folder = converting_folder(check_archive_path(out), converter.source.card.name)
    parts = {part.name for part in folder.glob("parts-*/*.part")}
    finished = sum(part_path(folder, unit.name).name in parts for unit in units)
    splits = Counter(unit.split for unit in units)
    return Survey(
        units={split: splits[split] for split in SPLITS if splits[split]},
        names=tuple(unit.name for unit in units[:10]),
        finished=finished,
        begun=folder.exists(),
    )
