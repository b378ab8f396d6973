"""A card on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from posepile_torch import card_formats
from posepile_torch.cards import Card, RawFilePattern
from posepile_torch.citations import citation_of


def show_card(
    console: Console, card: Card, joints: int, archive: Mapping[str, Any] | None
) -> None:
    """Write a card, and the facts of its archive if there is one, to ``console``.

    Args:
        console: Where to write.
        card: What to write.
        joints: Number of joints of the source's native skeleton.
        archive: Facts of the archive as ``posepile info --json`` gives them.
    """
    console.print(Text.assemble((card.title, "bold"), f"  ({card.name})"))
    console.print(Text(card.description))
    _section(console, "Overview", _overview(card, joints))
    _section(console, "Licence", card_formats.licence_lines(card))
    _section(console, "Access", [("State", card.access.value), *_numbered(card.download_steps)])
    _heading(console, "Raw files")
    console.print(Padding(_layout_tree(card.layout), (0, 0, 0, 2), expand=False))
    splits = [(split.name, card_formats.split_text(split)) for split in card.splits]
    _section(console, "Splits", splits)
    _section(console, "Conventions", card_formats.convention_lines(card))
    _section(console, "Hints for loaders", card_formats.hint_lines(card))
    quirks = [f"{quirk.text} ({quirk.where}; {quirk.source})" for quirk in card.quirks]
    _section(console, "Quirks", _numbered(quirks))
    _section(console, "Citation", [(card.citation, citation_of(card).to_text())])
    if archive is not None:
        _section(console, "Archive", _archive_lines(archive))


def _overview(card: Card, joints: int) -> list[tuple[str, str]]:
    sizes = card.sizes
    return [
        ("Tasks", ", ".join(card.tasks)),
        ("Joints", str(joints)),
        ("Homepage", card.homepage),
        *([("Paper", card.paper)] if card.paper else []),
        *([("Release", card.release)] if card.release else []),
        ("Raw size", card_formats.size_text(sizes.raw_bytes, "B")),
        ("Archive size", card_formats.size_text(sizes.archive_bytes, "B")),
        ("Subjects", card_formats.size_text(sizes.subjects)),
        ("Sequences", card_formats.size_text(sizes.sequences)),
        ("Cameras", card_formats.size_text(sizes.cameras)),
    ]


def _archive_lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    splits = ", ".join(f"{name} {count:,}" for name, count in facts["splits"].items())
    skipped = ", ".join(f"{reason} {count:,}" for reason, count in facts["skipped"].items())
    current = "the one shown here" if facts["card_is_current"] else "another version of this card"
    major, minor = facts["schema_version"]
    return [
        ("Path", facts["path"]),
        ("Records", f"{facts['records']:,} ({splits})"),
        ("Images", f"{facts['images']:,}"),
        ("Skipped", skipped or "nothing"),
        ("Size", card_formats.size_text(facts["bytes"], "B")),
        ("Schema", f"{major}.{minor}"),
        ("Written by", f"{facts['library_version']}, converter {facts['converter_version']}"),
        ("Card", current),
        ("Fingerprint", facts["fingerprint"]),
    ]


def _numbered(texts: Iterable[str]) -> list[tuple[str, str]]:
    return [(f"{number}.", text) for number, text in enumerate(texts, 1)]


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _section(console: Console, title: str, lines: Iterable[tuple[str, str]]) -> None:
    _heading(console, title)
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for word, meaning in lines:
        table.add_row(Text(word), Text(meaning))
    console.print(
        Padding(table if table.row_count else Text("none known"), (0, 0, 0, 2), expand=False)
    )


def _layout_tree(layout: Iterable[RawFilePattern]) -> Tree:
    """Show the raw files as the folders in which they lie."""
    root = Tree(Text("RAW", style="dim"))
    folders: dict[tuple[str, ...], Tree] = {(): root}
    for raw in layout:
        *parents, name = raw.pattern.split("/")
        for depth in range(len(parents)):
            key = tuple(parents[: depth + 1])
            if key not in folders:
                folders[key] = folders[key[:-1]].add(Text(f"{parents[depth]}/"))
        label = f"  {raw.kind.value}{'' if raw.required else ', optional'}"
        notes = "".join(f"; {text}" for text in (raw.note, raw.origin) if text)
        folders[tuple(parents)].add(Text.assemble(name, (label + notes, "dim")))
    return root


__all__ = ["show_card"]
