"""The verb ``convert``: raw files in, archive out."""

from __future__ import annotations

import enum
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posepile_torch.cli import output

if TYPE_CHECKING:
    from posepile_torch.archive.interrupts import StopRequest
    from posepile_torch.convert.report import ConversionProgress, ConversionReport
    from posepile_torch.convert.run import Survey

_LOG_INTERVAL_S = 60.0
_MOST_FAILED = 20


class ExecutorKind(enum.StrEnum):
    """Where units are converted."""

    INLINE = "inline"
    PROCESS = "process"
    THREAD = "thread"
    DASK = "dask"
    SLURM = "slurm"


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("convert")(convert)


def convert(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Name of the source.", autocompletion=output.complete_converter)
    ],
    raw: Annotated[Path, typer.Option(help="Folder of the raw download.", file_okay=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of archives; default: --root.", file_okay=False),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Units at a time.")] = 1,
    executor: Annotated[
        ExecutorKind | None,
        typer.Option(help="Where units are converted; default: process, or inline for one job."),
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(
            help="For --executor dask: address or file of a running scheduler, local, or slurm."
        ),
    ] = "local",
    cluster: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Setting of the cluster; repeat for more."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Convert only the first N units.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Convert only units with such names; repeat for more."),
    ] = None,
    plan: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Change a number of the plan; repeat for more."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Option of the converter; repeat for more."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of resuming.")
    ] = False,
    keep_parts: Annotated[
        bool, typer.Option("--keep-parts", help="Leave the parts of the units there.")
    ] = False,
    skip_failed: Annotated[
        bool, typer.Option("--skip-failed", help="Publish without the units that failed.")
    ] = False,
    max_quarantined: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest share of raw images that may be unusable."),
    ] = 0.001,
    no_space_check: Annotated[
        bool, typer.Option("--no-space-check", help="Begin even if the disk looks too small.")
    ] = False,
    force_unlock: Annotated[
        bool, typer.Option("--force-unlock", help="Take over the lock of a dead run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Convert the raw files of a source into an archive.

    Run it again after an interruption: finished units are kept. Nothing is visible under the
    final name before the archive is whole. Exit codes: 0 converted, 1 something failed, 130 or
    143 interrupted.
    """
    from posepile_torch.archive.interrupts import StopRequest
    from posepile_torch.convert import run, texts
    from posepile_torch.convert.executors import ExecutorChoice
    from posepile_torch.registry import load_converter

    kind = load_converter(name)
    converter = kind(raw, **texts.parsed_options(kind, option or ()))
    root = out or output.archives_root(ctx)
    if dry_run:
        _show_survey(run.survey(converter, root, limit=limit, only=only or ()), as_json)
        return
    choice = ExecutorChoice(
        kind=executor or ("process" if jobs > 1 else "inline"),
        jobs=jobs,
        scheduler=scheduler,
        parameters=texts.parsed_parameters(cluster or ()),
    )
    with StopRequest() as stop, output.progress("units") as bar:
        report = run.convert(
            converter,
            root,
            plan=texts.changed_plan(converter.plan, plan or ()),
            executor=choice,
            limit=limit,
            only=only or (),
            restart=restart,
            force_unlock=force_unlock,
            keep_parts=keep_parts,
            skip_failed=skip_failed,
            max_quarantined=max_quarantined,
            check_space=not no_space_check,
            is_stopped=lambda: stop.requested,
            progress=_shown_on(bar, name, stop),
        )
    if as_json:
        output.print_json(report.to_dict())
    else:
        _show(report)
    if report.interrupted:
        command = shlex.join(["posepile", *(a for a in sys.argv[1:] if a != "--restart")])
        output.warn(f"interrupted; nothing that was finished is lost. Resume with\n{command}")
        raise typer.Exit(stop.exit_code())
    if report.failed or report.frame_errors:
        raise typer.Exit(output.EXIT_PROBLEM)


def _shown_on(bar: object, name: str, stop: StopRequest) -> Callable[[ConversionProgress], None]:
    """Show progress live on a terminal, and as a line every minute in a log."""
    from rich.progress import Progress

    if not isinstance(bar, Progress):
        raise TypeError("no progress display")
    task = bar.add_task(f"convert {name}", total=None)
    logged_s = time.monotonic()

    def show(state: ConversionProgress) -> None:
        nonlocal logged_s
        note = (
            f"{state.frames_per_second:.0f} frames/s, {state.records:,} kept, "
            f"{state.skipped.total():,} skipped"
        )
        if state.failed:
            note += f", {len(state.failed)} failed"
        if stop.requested:
            note += " (stopping: again to stop at once)"
        bar.update(
            task,
            description=f"{name}: {state.stage}",
            completed=state.done,
            total=state.units or None,
            note=note,
        )
        if bar.disable and time.monotonic() - logged_s >= _LOG_INTERVAL_S:
            logged_s = time.monotonic()
            line = f"{name}: {state.stage} {state.done} of {state.units}, {note}"
            output.error_console().print(line, soft_wrap=True)

    return show


def _show(report: ConversionReport) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    if report.already_converted:
        table.add_row("archive", f"{report.archive}")
        table.add_row("", "already converted, with these raw files and this plan; nothing to do")
    else:
        table.add_row("units", f"{report.units} ({report.reused} from an earlier run)")
        table.add_row("frames", f"{report.frames:,} in {report.seconds:.0f} s")
        table.add_row("images", f"{report.images:,}")
        table.add_row("records", f"{report.records:,}")
        for reason, count in sorted(report.skipped.items()):
            table.add_row("skipped", f"{count:,} × {reason}")
        for unit, error in list(report.failed.items())[:_MOST_FAILED]:
            table.add_row("failed", f"{unit}: {error}")
        if len(report.failed) > _MOST_FAILED:
            table.add_row("failed", f"and {len(report.failed) - _MOST_FAILED} more units")
        if report.quarantine_list is not None:
            table.add_row("broken or repaired", f"listed in {report.quarantine_list}")
        what = f"{report.archive} ({report.archive_bytes / 1e6:,.1f} MB)"
        if report.partial:
            what += ", of some units only"
        table.add_row("archive", what if report.archive else "not published: run again to finish")
    output.console().print(table)


def _show_survey(survey: Survey, as_json: bool) -> None:
    import dataclasses

    from rich.text import Text

    if as_json:
        output.print_json(dataclasses.asdict(survey))
        return
    splits = ", ".join(f"{count:,} {split}" for split, count in survey.units.items())
    lines = [f"{sum(survey.units.values()):,} units ({splits}), among them:"]
    lines += [f"  {unit}" for unit in survey.names]
    if survey.begun:
        lines.append(f"an unfinished conversion has {survey.finished:,} of them")
    for line in lines:
        output.console().print(Text(line), soft_wrap=True)
