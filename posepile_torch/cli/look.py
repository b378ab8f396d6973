"""The verbs that show an archive: ``view`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posepile_torch.cli import output

if TYPE_CHECKING:
    from posepile_torch.sources import Source

ArchiveArgument = Annotated[
    str, typer.Argument(help="Path of an archive, or its name below --root.")
]
SplitOption = Annotated[str, typer.Option(help="train, val or test.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("view")(view)
    app.command("report")(report)


def view(
    ctx: typer.Context,
    archive: ArchiveArgument,
    out: Annotated[Path, typer.Option(help="PNG file to write.", dir_okay=False)],
    split: SplitOption = "train",
    count: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 24,
    columns: Annotated[int, typer.Option(min=1, help="Samples per row.")] = 6,
    side: Annotated[int, typer.Option(min=32, max=1024, help="Side of one image, px.")] = 192,
) -> None:
    """Write a contact sheet of samples, spread over a split, with skeletons drawn over them."""
    from posepile_torch.view.draw import write_png
    from posepile_torch.view.report import sample_sheet

    source = _open(ctx, archive, split, side)
    write_png(out, sample_sheet(source, count=count, columns=columns))
    output.console().print(f"wrote {out}: {min(count, len(source))} of {len(source)} samples")


def report(
    ctx: typer.Context,
    archive: ArchiveArgument,
    out: Annotated[Path, typer.Option(help="HTML file to write.", dir_okay=False)],
    split: SplitOption = "train",
    side: Annotated[int, typer.Option(min=32, max=1024, help="Side of one image, px.")] = 160,
) -> None:
    """Write a self-contained HTML page: counts, what was left out, bone lengths, samples."""
    from posepile_torch.view.report import archive_report

    out.write_text(archive_report(_open(ctx, archive, split, side)).render(), encoding="utf-8")
    output.console().print(f"wrote {out}")


def _open(ctx: typer.Context, archive: str, split: str, side: int) -> Source[Any]:
    from posepile_torch.archive import open_archive
    from posepile_torch.archive.legacy import LEGACY_SOURCE
    from posepile_torch.registry import load_source
    from posepile_torch.sources import PosePile3D
    from posepile_torch.transforms import evaluation

    path = output.archive_path(ctx, archive)
    name = open_archive(path).manifest.source
    # PosePile archives are of no particular source, so none is registered for them.
    source = PosePile3D if name == LEGACY_SOURCE else load_source(name)
    return source(path, split=split, recipe=evaluation(side=side))
