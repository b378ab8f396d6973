"""The verbs ``skeleton list``, ``skeleton show`` and ``skeleton diff``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posepile_torch.cli import output
from posepile_torch.errors import SkeletonError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from posepile_torch.jointmap import JointMap
    from posepile_torch.skeleton import Skeleton

_STATUS_STYLE = {"exact": "green", "approximate": "yellow", "missing": "red"}
_UNVERIFIED = "not verified on real files"

app = typer.Typer(
    name="skeleton", no_args_is_help=True, help="Look up and compare joint orders of datasets."
)


def register(root: typer.Typer) -> None:
    """Add ``posepile skeleton`` to the command."""
    root.add_typer(app)


def complete_skeleton(incomplete: str) -> list[str]:
    """Complete the name of a standard skeleton."""
    from posepile_torch import skeletons

    return [name for name in skeletons.names() if name.startswith(incomplete)]


def complete_rules(incomplete: str) -> list[str]:
    """Complete the name of a rule set."""
    from posepile_torch import joint_rules

    return [name for name in joint_rules.names() if name.startswith(incomplete)]


_NameArgument = Annotated[
    str,
    typer.Argument(
        help="A standard skeleton, or a JSON file with one (also an archive's manifest.json).",
        autocompletion=complete_skeleton,
    ),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@app.command("list")
def list_skeletons(as_json: _JsonOption = False) -> None:
    """List the standard skeletons and the named rule sets."""
    from posepile_torch import joint_rules, skeletons

    entries = [skeletons.about(name) for name in skeletons.names()]
    rule_sets = [joint_rules.get(name) for name in joint_rules.names()]
    if as_json:
        output.print_json(
            {
                "skeletons": [
                    {
                        "name": entry.name,
                        "title": entry.title,
                        "joints": len(entry.skeleton),
                        "convention": entry.convention,
                        "verified": entry.verified,
                    }
                    for entry in entries
                ],
                "rules": [
                    {
                        "name": rules.name,
                        "title": rules.title,
                        "source": rules.source,
                        "target": rules.target,
                    }
                    for rules in rule_sets
                ],
            }
        )
        return
    from rich.text import Text

    rows = [
        (
            entry.name,
            str(len(entry.skeleton)),
            entry.convention,
            entry.title,
            Text("" if entry.verified else _UNVERIFIED, style="yellow"),
        )
        for entry in entries
    ]
    console = output.console()
    console.print(_table(("Skeleton", "Joints", "Convention", "What it is", ""), rows))
    console.print()
    console.print(
        _table(
            ("Rules for skeleton diff --rules", "From", "To", "What they do"),
            [(rules.name, rules.source, rules.target, rules.title) for rules in rule_sets],
        )
    )


@app.command()
def show(name: _NameArgument, as_json: _JsonOption = False) -> None:
    """Show one skeleton: order, meaning, mirror partner and groups of each joint, and edges."""
    from posepile_torch import skeletons

    skeleton = _load(name)
    entry = None if _is_file(name) else skeletons.about(name)
    facts: dict[str, Any] = {}
    if entry is not None:
        facts = {
            "title": entry.title,
            "source": entry.source,
            "note": entry.note,
            "verified": entry.verified,
        }
    if as_json:
        output.print_json(skeleton.to_dict() | {"digest": skeleton.digest} | facts)
    else:
        _print_skeleton(output.console(), skeleton, facts)


@app.command()
def diff(
    a: _NameArgument,
    b: _NameArgument,
    rules: Annotated[
        str | None,
        typer.Option(
            help="Rule set for derived joints; see 'skeleton list'.",
            autocompletion=complete_rules,
        ),
    ] = None,
    exact_only: Annotated[
        bool, typer.Option(help="Do not match joints that are merely named alike.")
    ] = False,
    as_json: _JsonOption = False,
) -> None:
    """Show how arrays of skeleton A become arrays of skeleton B, joint by joint."""
    from posepile_torch.jointmap import JointMap

    joint_map = JointMap.between(_load(a), _load(b), rules or (), approximate=not exact_only)
    if as_json:
        same = joint_map.source.digest == joint_map.target.digest
        output.print_json({"identical": same, "rules": rules} | joint_map.to_dict())
    else:
        _print_map(output.console(), joint_map)


def _is_file(name: str) -> bool:
    return name.endswith(".json")


def _load(name: str) -> Skeleton:
    """Return a standard skeleton, or the one in a JSON file."""
    if not _is_file(name):
        from posepile_torch import skeletons

        return skeletons.get(name)
    from posepile_torch.skeleton import Skeleton

    try:
        data = json.loads(Path(name).read_bytes())
    except (OSError, ValueError) as error:
        raise SkeletonError(
            f"no skeleton can be read from this file: {error}",
            where=name,
            fix="give a file written by 'posepile skeleton show NAME --json', or a manifest",
        ) from error
    if isinstance(data, dict) and isinstance(data.get("skeleton"), dict):
        data = data["skeleton"]
    return Skeleton.from_dict(data, where=name)


def _print_skeleton(console: Console, skeleton: Skeleton, facts: dict[str, Any]) -> None:
    from rich.text import Text

    console.print(Text(skeleton.name, style="bold"))
    if facts:
        console.print(Text(facts["title"]))
        console.print(Text(f"source: {facts['source']}"))
        if not facts["verified"]:
            console.print(Text(_UNVERIFIED, style="yellow"))
        if facts["note"]:
            console.print(Text(f"note: {facts['note']}"))
    console.print(Text(f"digest: {skeleton.digest}"))
    spellings: dict[str, list[str]] = {}
    for spelling, joint in skeleton.aliases.items():
        spellings.setdefault(joint, []).append(spelling)
    rows = [
        (
            str(i),
            joint,
            skeleton.landmarks[i],
            "" if skeleton.mirror[i] == i else skeleton.joints[skeleton.mirror[i]],
            " ".join(key for key, members in skeleton.groups.items() if i in members),
            ", ".join(spellings.get(joint, ())),
        )
        for i, joint in enumerate(skeleton.joints)
    ]
    console.print(_table(("#", "Joint", "Landmark", "Mirror", "Groups", "Also called"), rows))
    edges = ", ".join("-".join(bone) for bone in skeleton.bones) or "none"
    console.print(Text(f"edges: {edges}"))
    if skeleton.asymmetric_edges:
        lonely = ", ".join("-".join(bone) for bone in skeleton.asymmetric_edges)
        console.print(Text(f"edges without their mirror image: {lonely}", style="yellow"))


def _print_map(console: Console, joint_map: JointMap) -> None:
    from rich.text import Text

    source, target = joint_map.source, joint_map.target
    console.print(Text(joint_map.summary, style="bold"))
    if source.digest == target.digest:
        console.print(Text("Both describe the same arrays."))
    rows = [
        (
            str(i),
            row.target,
            Text(row.status, style=_STATUS_STYLE[row.status]),
            row.rule.formula if row.rule else "",
            row.why,
        )
        for i, row in enumerate(joint_map.rows)
    ]
    console.print(_table(("#", target.name, "", source.name, "Why"), rows))
    if joint_map.unused:
        console.print(Text(f"unused in {source.name}: {' '.join(joint_map.unused)}"))


def _table(header: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Make a borderless table; texts are shown as they are, brackets included."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for title in header:
        table.add_column(Text(title))
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table
