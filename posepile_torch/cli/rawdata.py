"""The verbs ``check`` and ``fetch``: is the raw download complete, and getting what is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posepile_torch.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from posepile_torch.cards import Card
    from posepile_torch.convert.rawcheck import Estimate, RawCheck
    from posepile_torch.raw_layout import RemoteFile


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("check")(check)
    app.command("fetch")(fetch)


_Name = Annotated[
    str, typer.Argument(help="Name of the source.", autocompletion=output.complete_converter)
]


def check(
    ctx: typer.Context,
    name: _Name,
    raw: Annotated[Path, typer.Option(help="Folder of the raw download.", file_okay=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder of archives; default: --root.", file_okay=False)
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Option of the converter; repeat for more."),
    ] = None,
    estimate: Annotated[
        bool, typer.Option(help="Convert a few frames to estimate time and disk.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Compare a raw download with what the source's card says, before any work.

    Exit codes: 0 a conversion can begin, 1 something is missing or cannot be read.
    """
    from posepile_torch.convert.rawcheck import check_raw
    from posepile_torch.convert.texts import parsed_options
    from posepile_torch.registry import load_converter

    kind = load_converter(name)
    converter = kind(raw, **parsed_options(kind, option or ()))
    with output.progress("") as bar:
        task = bar.add_task("check", total=None)
        result = check_raw(
            converter,
            out=out or output.archives_root(ctx),
            estimate=estimate,
            progress=lambda what: bar.update(task, description=what),
        )
    if as_json:
        output.print_json(result.to_dict())
    else:
        _show(output.console(), result, kind.source.card)
    if not result.is_fine:
        raise typer.Exit(output.EXIT_PROBLEM)


def fetch(
    name: _Name,
    raw: Annotated[Path, typer.Option(help="Folder of the raw download.", file_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Download what anybody may download of a source, and say how to get the rest.

    Interrupted downloads go on where they stopped; archives are unpacked.
    """
    from rich.text import Text

    from posepile_torch.convert.fetch import fetch as run
    from posepile_torch.registry import load_source

    card = load_source(name).card
    with output.progress("MB") as bar:
        tasks = {remote: bar.add_task(remote.path, total=None) for remote in card.remotes}

        def show(remote: RemoteFile, done: int, total: int | None) -> None:
            full = None if total is None else total // 10**6
            bar.update(tasks[remote], completed=done // 10**6, total=full)

        fetched = run(card, raw, progress=show)
    if as_json:
        files = [
            {"path": str(f.path), "was_there": f.was_there, "unpacked_files": f.unpacked_files}
            for f in fetched
        ]
        output.print_json({"files": files, "steps": list(card.download_steps)})
        return
    console = output.console()
    for item in fetched:
        state = "was there" if item.was_there else "fetched"
        unpacked = f", {item.unpacked_files:,} files unpacked" if item.unpacked_files else ""
        console.print(Text(f"{item.path}: {state}{unpacked}"), soft_wrap=True)
    if card.download_steps:
        console.print(Text("What is left to do by hand:" if fetched else "To do by hand:"))
    _show_steps(console, card)
    command = f"posepile check {name} --raw {raw}"
    console.print(Text(f"Then: {command}"), soft_wrap=True)


def _show(console: Console, result: RawCheck, card: Card) -> None:
    from rich.table import Table
    from rich.text import Text

    from posepile_torch.card_formats import size_text

    table = Table("files", "size", "what", "pattern", box=None)
    for row in result.patterns:
        what = row.sample or ("" if row.files or not row.required else "MISSING")
        size = size_text(row.size_bytes, "B") if row.files else ""
        optional = "" if row.required else " (optional)"
        table.add_row(f"{row.files:,}", size, Text(what), Text(row.pattern + optional))
    console.print(table)
    lines = []
    for row in result.patterns:
        source = f", from {row.origin}" if row.origin else ""
        if row.missing:
            lines.append(f"missing: {row.missing:,} of {row.pattern}{source}:")
        if row.empty:
            lines.append(f"empty: {row.empty:,} of {row.pattern}{source}:")
        lines += [f"  {name}" for name in row.first_missing]
        if row.problem:
            lines.append(f"unreadable: {row.first[0]}: {row.problem}")
    if result.unexpected:
        lines.append(f"not in the layout, and left alone: {result.unexpected:,} files, first:")
        lines += [f"  {name}" for name in result.first_unexpected]
    if result.estimate is not None:
        lines += _estimate_lines(result.estimate)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if not all(row.is_fine for row in result.patterns):
        console.print(Text(f"How to get the files ({card.access.value}, {card.homepage}):"))
        _show_steps(console, card)


def _estimate_lines(estimate: Estimate) -> list[str]:
    from posepile_torch.card_formats import size_text

    if estimate.problem:
        return [f"a few frames could not be converted: {estimate.problem}"]
    lines = [
        f"about {estimate.frames:,} frames and {estimate.records:,} records in "
        f"{estimate.units:,} units",
        f"about {_time_text(estimate.seconds)} with one job; divide by --jobs, up to your cores",
        f"about {size_text(estimate.archive_bytes, 'B')} of archive",
    ]
    if 0 <= estimate.free_bytes < estimate.archive_bytes:
        lines.append(f"only {size_text(estimate.free_bytes, 'B')} are free where it will go")
    return lines


def _time_text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _show_steps(console: Console, card: Card) -> None:
    from rich.text import Text

    for number, step in enumerate(card.download_steps, 1):
        console.print(Text(f"  {number}. {step}"), soft_wrap=True)
