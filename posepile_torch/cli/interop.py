"""The verbs ``import-legacy`` and ``export``: to and from the formats of others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posepile_torch.cli import output
from posepile_torch.cli.skeleton import complete_skeleton

if TYPE_CHECKING:
    from posepile_torch.archive.export import ExportReport
    from posepile_torch.archive.importing import ImportReport


class Format(StrEnum):
    """What ``export`` writes."""

    SCHEMA0 = "schema0"
    HDF5 = "hdf5"
    NPZ = "npz"


class Unit(StrEnum):
    """Unit of body-model translations in a file that does not say."""

    METRE = "m"
    MILLIMETRE = "mm"


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("import-legacy")(import_legacy)
    app.command("export")(export)


def import_legacy(
    ctx: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            help="A PosePile archive (its annotation container or folder), a pickled PosePile "
            "dataset, or a file that 'posepile export' wrote."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the new archive.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of archives; default: --root.", file_okay=False),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Image container, or the folder to which image paths are relative."),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the images that are in no container.", file_okay=False),
    ] = None,
    strip_prefix: Annotated[
        str, typer.Option(help="Beginning to cut off the image paths of a pickle.")
    ] = "",
    skeleton: Annotated[
        str | None,
        typer.Option(
            help="Standard skeleton that the joints are, if their names alone do not say it.",
            autocompletion=complete_skeleton,
        ),
    ] = None,
    body_unit: Annotated[
        Unit, typer.Option(help="Unit of body-model translations; SURREAL has mm.")
    ] = Unit.METRE,
    max_skipped: Annotated[
        float, typer.Option(min=0, max=1, help="Share of records that may be left out.")
    ] = 0.001,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of resuming.")
    ] = False,
    force_unlock: Annotated[
        bool, typer.Option("--force-unlock", help="Take over the lock of a dead run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make an archive of what PosePile or 'posepile export' wrote.

    Run it again after an interruption: it goes on where it was.
    """
    from posepile_torch import skeletons
    from posepile_torch.archive.importing import import_archive

    with output.progress("records") as bar:
        task = bar.add_task(f"import {name}", total=None)
        report = import_archive(
            path,
            out or output.archives_root(ctx),
            name,
            images=images,
            image_root=image_root,
            strip_prefix=strip_prefix,
            skeleton=None if skeleton is None else skeletons.get(skeleton),
            body_unit_m=1.0 if body_unit is Unit.METRE else 0.001,
            max_skipped_share=max_skipped,
            restart=restart,
            force_unlock=force_unlock,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        output.print_json(report.to_dict())
    else:
        _show_import(report)


def export(
    ctx: typer.Context,
    archive: Annotated[str, typer.Argument(help="Path of an archive, or its name below --root.")],
    out: Annotated[Path, typer.Option(help="Folder (schema0) or file (hdf5, npz) to make.")],
    format: Annotated[
        Format,
        typer.Option(help="schema0: PosePile's containers; hdf5 and npz: one array per field."),
    ],
    split: Annotated[
        list[str] | None, typer.Option(help="train, val or test; all if not given.")
    ] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images", help="Write the images, too; by default in schema0 only."
        ),
    ] = None,
    legacy_float16: Annotated[
        bool,
        typer.Option(
            "--legacy-float16", help="schema0: store the rounded numbers that PosePile stored."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write an archive in the format of another program, and say what that cannot hold."""
    from posepile_torch.archive import open_archive
    from posepile_torch.archive.export import export_archive
    from posepile_torch.record_rules import SPLITS

    with output.progress("records") as bar:
        task = bar.add_task(f"export to {format.value}", total=None)
        with open_archive(output.archive_path(ctx, archive)) as opened:
            report = export_archive(
                opened,
                out,
                format.value,
                splits=tuple(split or SPLITS),
                images=images,
                float16=legacy_float16,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    if as_json:
        output.print_json(report.to_dict())
    else:
        _show_export(report)
    if report.skipped:
        raise typer.Exit(output.EXIT_PROBLEM)


def _show_import(report: ImportReport) -> None:
    rows = [("records", f"{report.records:,}"), ("images", f"{report.images:,}")]
    rows += [("skipped", f"{n:,} × {reason}") for reason, n in sorted(report.skipped.items())]
    rows += [("changed", f"{n:,} × {what}") for what, n in sorted(report.changed.items())]
    rows += [("note", note) for note in report.notes]
    _show([*rows, ("archive", str(report.path))])


def _show_export(report: ExportReport) -> None:
    rows = [("records", f"{report.records:,}"), ("images", f"{report.images:,}")]
    rows += [("skipped", f"{n:,} × {reason}") for reason, n in sorted(report.skipped.items())]
    rows += [("lost", f"{n:,} × {name}") for name, n in sorted(report.lost.items())]
    rows += [
        ("rounded", f"{name} by at most {error:.3g}")
        for name, error in report.max_error.items()
        if error
    ]
    _show([*rows, ("written", str(report.path))])


def _show(rows: list[tuple[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for label, value in rows:
        table.add_row(Text(label), Text(value))
    output.console().print(table)
