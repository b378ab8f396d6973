"""The verb ``merge``: several archives into one, as files."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from posepile_torch.cli import output


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("merge")(merge)


def merge(
    ctx: typer.Context,
    archives: Annotated[
        list[str], typer.Argument(help="Archives: folders, or names below the archives' root.")
    ],
    out: Annotated[Path, typer.Option(help="The archive to make.", file_okay=False)],
    suffix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARCHIVE=SUFFIX",
            help="Suffix of an archive's joints in the union; default: the name of its skeleton.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of resuming.")
    ] = False,
    force_unlock: Annotated[
        bool, typer.Option("--force-unlock", help="Take over the lock of a dead merge.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Copy several archives into one, whose skeleton is the union of theirs.

    For training, a mixture views many archives without copying any; merge only to hand on one
    file. An interrupted merge is resumed by the same command.
    """
    from rich.text import Text

    from posepile_torch.archive import open_archive
    from posepile_torch.archive.interrupts import StopRequest
    from posepile_torch.convert.merge import merge_archives
    from posepile_torch.convert.texts import parsed_texts

    with StopRequest() as stop, output.progress("records") as bar:
        task = bar.add_task("merge", total=None)
        path = merge_archives(
            [output.archive_path(ctx, archive) for archive in archives],
            out.absolute().parent,
            out.name,
            suffixes=parsed_texts(suffix or (), "suffix"),
            restart=restart,
            force_unlock=force_unlock,
            is_stopped=lambda: stop.requested,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if path is None:
        command = shlex.join(["posepile", *(a for a in sys.argv[1:] if a != "--restart")])
        output.warn(f"interrupted; resume with\n{command}")
        raise typer.Exit(stop.exit_code())
    with open_archive(path) as merged:
        facts = {
            "archive": str(path),
            "records": len(merged),
            "images": merged.manifest.totals.images,
            "joints": len(merged.skeleton),
        }
    if as_json:
        output.print_json(facts)
    else:
        text = "{archive}: {records:,} records, {images:,} images, {joints} joints"
        output.console().print(Text(text.format(**facts)), soft_wrap=True)
