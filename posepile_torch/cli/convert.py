"""The verb ``convert``: raw files in, archive out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posepile_torch.cli import output

if TYPE_CHECKING:
    from posepile_torch.convert.run import ConversionReport


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
    limit: Annotated[
        int | None, typer.Option(min=1, help="Convert only the first N units.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of resuming.")
    ] = False,
    force_unlock: Annotated[
        bool, typer.Option("--force-unlock", help="Take over the lock of a dead run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Convert the raw files of a source into an archive.

    Run it again after an interruption: finished units are kept. Nothing is visible under the
    final name before the archive is whole.
    """
    from posepile_torch.convert.part import UnitReport
    from posepile_torch.convert.run import convert as run
    from posepile_torch.registry import load_converter

    converter = load_converter(name)(raw)
    with output.progress("units") as bar:
        task = bar.add_task(f"convert {name}", total=None)

        def show(_: UnitReport | None, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        report = run(
            converter,
            out or output.archives_root(ctx),
            limit=limit,
            restart=restart,
            force_unlock=force_unlock,
            progress=show,
        )
    if as_json:
        output.print_json(report.to_dict())
    else:
        _show(report)
    if report.failed:
        raise typer.Exit(output.EXIT_PROBLEM)


def _show(report: ConversionReport) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_row("units", f"{report.units} ({report.reused} from an earlier run)")
    table.add_row("frames", f"{report.frames:,}")
    table.add_row("images", f"{report.images:,}")
    table.add_row("records", f"{report.records:,}")
    for reason, count in sorted(report.skipped.items()):
        table.add_row("skipped", f"{count:,} × {reason}")
    for unit, error in report.failed.items():
        table.add_row("failed", f"{unit}: {error}")
    table.add_row("archive", str(report.archive or "not published: run again to finish"))
    output.console().print(table)
