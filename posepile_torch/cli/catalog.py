"""The verbs ``list`` and ``info``: which sources there are, and everything about one of them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posepile_torch import card_formats, registry
from posepile_torch.cards import SPLIT_NAMES, Access, Card, Task
from posepile_torch.cli import output
from posepile_torch.errors import PosepileError, UnknownNameError
from posepile_torch.licences import Permissions, spdx_permissions

if TYPE_CHECKING:
    from rich.table import Table

MANIFEST = "manifest.json"
"""The file whose presence says that a source has been converted."""

_PERMISSIONS = Permissions._fields
_LICENCE_WORDS = (*_PERMISSIONS, "unknown")


@dataclass(frozen=True)
class Listed:
    """One row of ``posepile list``.

    Attributes:
        card: The source's card.
        joints: Number of joints of its native skeleton.
        distribution: Who declares it.
        archive: Folder of its archive, or None if it has not been converted.
    """

    card: Card
    joints: int
    distribution: str
    archive: Path | None


def register(app: typer.Typer) -> None:
    """Add the verbs of this module to the command."""
    app.command("list")(list_sources)
    app.command("info")(info)


def list_sources(
    ctx: typer.Context,
    task: Annotated[
        list[Task] | None, typer.Option(help="Only sources for this task; repeat to narrow.")
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Only sources that permit this (commercial, redistribution, derivatives), or "
            "with this identifier (CC-BY-4.0, 'CC-*'), or of unknown terms (unknown)."
        ),
    ] = None,
    access: Annotated[
        list[Access] | None, typer.Option(help="Only sources got this way; repeat to widen.")
    ] = None,
    converted: Annotated[
        bool | None,
        typer.Option("--converted/--not-converted", help="Only those with, or without, archive."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """List the sources that the library and its plugins know."""
    for word in licence or ():
        _check_licence_filter(word)
    listed, problems = _collect(output.archives_root(ctx))
    chosen = [
        row
        for row in listed
        if set(task or ()) <= set(row.card.tasks)
        and all(_has_licence(row.card, word) for word in licence or ())
        and (not access or row.card.access in access)
        and (converted is None or converted == (row.archive is not None))
    ]
    for problem in problems:
        output.warn(str(problem))
    if as_json:
        sources = [_summary(row) for row in chosen]
        output.print_json({"sources": sources, "problems": [str(p) for p in problems]})
    else:
        output.console().print(_table(chosen))


def info(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Name of a source.", autocompletion=output.complete_source)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    bibtex: Annotated[bool, typer.Option(help="Write the BibTeX entry to cite.")] = False,
    markdown: Annotated[bool, typer.Option(help="Write a Markdown page.")] = False,
    croissant: Annotated[bool, typer.Option(help="Write Croissant 1.0 JSON-LD.")] = False,
) -> None:
    """Show everything about one source: terms, how to get it, files, conventions, quirks."""
    chosen = {"json": as_json, "bibtex": bibtex, "markdown": markdown, "croissant": croissant}
    formats = [word for word, wanted in chosen.items() if wanted]
    if len(formats) > 1:
        raise typer.BadParameter(f"choose one of {', '.join('--' + word for word in formats)}")
    row = _listed(name, output.archives_root(ctx))
    if bibtex:
        typer.echo(card_formats.bibtex(row.card))
    elif markdown:
        typer.echo(card_formats.markdown(row.card), nl=False)
    elif croissant:
        output.print_json(card_formats.croissant(row.card))
    else:
        _show_everything(row, as_json)


def _show_everything(row: Listed, as_json: bool) -> None:
    archive: dict[str, Any] | None = None
    problem: PosepileError | None = None
    if row.archive is not None:
        try:
            archive = _archive_facts(row.archive, row.card)
        except PosepileError as error:
            problem = error
    if as_json:
        stated = None if problem is None else str(problem)
        facts = {"archive": archive, "archive_problem": stated, "distribution": row.distribution}
        output.print_json(card_formats.as_json(row.card) | {"joints": row.joints} | facts)
    else:
        from posepile_torch.cli.card_view import show_card

        show_card(output.console(), row.card, row.joints, archive)
    if problem is not None:
        output.show_error(problem)
        raise typer.Exit(output.exit_code(problem))


def _collect(root: Path) -> tuple[list[Listed], list[PosepileError]]:
    """All sources that can be loaded, and why the others cannot."""
    listed, problems = [], []
    for name in registry.source_names():
        try:
            listed.append(_listed(name, root))
        except PosepileError as error:
            problems.append(error)
    return listed, problems


def _listed(name: str, root: Path) -> Listed:
    entry = registry.source_entry(name)
    source = registry.load_source(name)
    archive = root / name
    return Listed(
        card=source.card,
        joints=len(source.native),
        distribution=entry.distribution,
        archive=archive if (archive / MANIFEST).is_file() else None,
    )


def _check_licence_filter(word: str) -> None:
    """Refuse a word that no licence could ever match, which a typing slip would be."""
    identifier = word.startswith("LicenseRef-") or spdx_permissions(word) is not None
    if not (word in _LICENCE_WORDS or identifier or set("*?") & set(word)):
        raise UnknownNameError.among("licence or permission", word, _LICENCE_WORDS)


def _has_licence(card: Card, word: str) -> bool:
    if word == "unknown":
        return None in card.licence.permissions
    if word in _PERMISSIONS:
        return getattr(card.licence.permissions, word) is True
    return fnmatch.fnmatchcase(card.licence.id, word)


def _summary(row: Listed) -> dict[str, Any]:
    card = row.card.to_dict()
    keys = ("name", "title", "tasks", "licence", "access", "homepage", "sizes", "splits")
    return {key: card[key] for key in keys} | {
        "joints": row.joints,
        "distribution": row.distribution,
        "converted": row.archive is not None,
        "archive": None if row.archive is None else str(row.archive),
    }


def _table(rows: list[Listed]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Name", "Tasks", "Access", "Licence", "Commercial", "Converted"):
        table.add_column(title)
    for title in ("Joints", "People", "Raw size"):
        table.add_column(title, justify="right")
    for row in rows:
        card = row.card
        people = [split.people for split in card.splits if split.people is not None]
        table.add_row(
            card.name,
            ", ".join(card.tasks),
            card.access.value,
            card.licence.id,
            card_formats.permission_text(card.licence.commercial),
            "no" if row.archive is None else "yes",
            str(row.joints),
            card_formats.size_text(sum(people) if people else None),
            card_formats.size_text(card.sizes.raw_bytes, "B"),
        )
    return table


def _archive_facts(folder: Path, card: Card) -> dict[str, Any]:
    from posepile_torch.archive.manifest import Manifest

    path = folder / MANIFEST
    manifest = Manifest.from_bytes(path.read_bytes(), where=path)
    return {
        "path": str(folder),
        "bytes": sum(file.bytes for file in manifest.files.values()),
        "records": manifest.totals.records,
        "images": manifest.totals.images,
        "splits": {name: manifest.totals.splits[name] for name in SPLIT_NAMES},
        "skipped": {reason: skipped.count for reason, skipped in manifest.skipped.items()},
        "schema_version": list(manifest.schema_version),
        "library_version": manifest.library_version,
        "converter_version": manifest.converter_version,
        "fingerprint": manifest.fingerprint,
        "card_is_current": manifest.card_digest == card.digest,
    }
