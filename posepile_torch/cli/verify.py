"""The verbs ``verify``, ``index rebuild`` and ``tidy``: looking after archives."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from posepile_torch.cli import output
from posepile_torch.errors import PosepileError

if TYPE_CHECKING:
    from posepile_torch.archive.report import VerifyReport


class Level(enum.StrEnum):
    """How thoroughly an archive is verified; each level includes the ones before it."""

    QUICK = "quick"
    CRC = "crc"
    DECODE = "decode"
    SEMANTIC = "semantic"


_ArchiveArgument = Annotated[
    str, typer.Argument(help="Folder of an archive, or its name below the archives' root.")
]

index_app = typer.Typer(
    name="index", no_args_is_help=True, help="Look after the index of an archive."
)


def register(root: typer.Typer) -> None:
    """Add ``posepile verify``, ``posepile index`` and ``posepile tidy`` to the command."""
    root.command("verify")(verify)
    root.add_typer(index_app)
    root.command("tidy")(tidy)


def verify(
    ctx: typer.Context,
    archive: _ArchiveArgument,
    level: Annotated[
        Level,
        typer.Option(
            help="quick: structure and hashes of the indexes; crc: every stored byte; decode: "
            "every image and record; semantic: whether their content makes sense."
        ),
    ] = Level.CRC,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
) -> None:
    """Check an archive and report what is wrong with it.

    Exit codes: 0 all is well (warnings allowed), 1 bad data, 2 it could not be checked.
    """
    from posepile_torch.archive.verify import verify_archive

    path = output.archive_path(ctx, archive)
    try:
        with output.progress("entries") as display:
            task = display.add_task("verifying", total=None)
            report = verify_archive(
                path,
                level.value,
                on_progress=lambda what, done, total: display.update(
                    task, description=what, completed=done, total=total
                ),
            )
    except PosepileError as error:
        output.show_error(error)
        raise typer.Exit(output.EXIT_USAGE) from error
    if as_json:
        output.print_json(report.to_json())
    else:
        _print_report(report)
    raise typer.Exit(output.EXIT_OK if report.ok else output.EXIT_PROBLEM)


def _print_report(report: VerifyReport) -> None:
    from rich.text import Text

    console = output.console()
    for line in report.lines():
        console.print(Text(line), soft_wrap=True)
    verdict = "sound" if report.ok else "DAMAGED"
    console.print(
        Text(
            f"{report.archive}: {verdict} at level {report.level}: {report.records:,} records, "
            f"{report.images:,} images, {report.errors} errors, {report.warnings} warnings"
        ),
        soft_wrap=True,
    )


@index_app.command("rebuild")
def rebuild(ctx: typer.Context, archive: _ArchiveArgument) -> None:
    """Write index.npy again from the stored records, if it was lost or damaged.

    The new file replaces the old one only if it is the one that the manifest describes.
    """
    from rich.text import Text

    from posepile_torch.archive.rebuild import rebuild_index

    path = rebuild_index(output.archive_path(ctx, archive))
    output.console().print(Text(f"{path}: rebuilt, equal to what the manifest describes"))


def tidy(
    ctx: typer.Context,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete them instead of only listing them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the list as JSON.")] = False,
) -> None:
    """List unfinished and superseded archives below the archives' root, or remove them.

    What a running conversion is writing is never listed. A superseded version may still be read
    by a running training job: remove it only when none is.
    """
    from rich.text import Text

    from posepile_torch.archive.publish import find_leftovers, remove_leftover

    leftovers = find_leftovers(output.archives_root(ctx))
    for leftover in leftovers if remove else ():
        remove_leftover(leftover)
    if as_json:
        output.print_json(
            [
                {"path": str(x.path), "archive": x.name, "kind": x.kind, "bytes": x.bytes}
                for x in leftovers
            ]
        )
        return
    for leftover in leftovers:
        done = "removed " if remove else ""
        output.console().print(
            Text(f"{done}{leftover.kind:<11} {leftover.bytes:>15,} bytes  {leftover.path}"),
            soft_wrap=True,
        )
