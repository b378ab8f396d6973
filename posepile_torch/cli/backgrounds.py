"""The verbs ``backgrounds`` and ``occluders``: banks of pictures that augmentation draws from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posepile_torch.cli import output

if TYPE_CHECKING:
    from posepile_torch.transforms.banks import BankDescription

_Pictures = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the pictures.")]
_Out = Annotated[Path, typer.Option("--out", help="Folder of the bank to make.")]
_Overwrite = Annotated[bool, typer.Option(help="Replace a bank that lies there.")]
_Bank = Annotated[Path, typer.Argument(metavar="BANK", help="Folder of a bank.")]
_Json = Annotated[bool, typer.Option("--json", help="Write the description as JSON.")]
_Verify = Annotated[bool, typer.Option(help="Read all pixels and compare their hash.")]


def register(root: typer.Typer) -> None:
    """Add ``posepile backgrounds`` and ``posepile occluders`` to the command."""
    backgrounds = typer.Typer(no_args_is_help=True, help="Pictures to put behind people.")
    backgrounds.command("build")(build_backgrounds)
    backgrounds.command("show")(show_backgrounds)
    root.add_typer(backgrounds, name="backgrounds")
    occluders = typer.Typer(no_args_is_help=True, help="Things to put in front of people.")
    occluders.command("build")(build_occluders)
    occluders.command("show")(show_occluders)
    root.add_typer(occluders, name="occluders")


def build_backgrounds(
    pictures: _Pictures,
    out: _Out,
    side: Annotated[int, typer.Option(min=16, help="Side of the stored squares, px.")] = 384,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(help="Text file of pictures to leave out, one per line; may be repeated."),
    ] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Decode all pictures below DIR once, and keep their centre squares in one file.

    Leave out pictures that show people: list them in a file and pass it as --exclude.
    """
    from posepile_torch.transforms import bank_building

    listed = [name for path in exclude or [] for name in bank_building.read_exclusions(path)]
    with _shown() as on_progress:
        description = bank_building.build_backgrounds(
            pictures,
            out,
            side=side,
            exclude=listed,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    _report(out, description)
    output.console().print(f'use it: recipe.replaced(background={{"bank": "{out}"}})')


def build_occluders(
    pictures: _Pictures,
    out: _Out,
    longest: Annotated[
        int, typer.Option(min=8, help="Longest side of things from transparent pictures, px.")
    ] = 256,
    overwrite: _Overwrite = False,
) -> None:
    """Cut things out of Pascal VOC (DIR is VOCdevkit/VOC2012), or take transparent pictures."""
    from posepile_torch.transforms import bank_building

    with _shown() as on_progress:
        description = bank_building.build_occluders(
            pictures, out, longest=longest, overwrite=overwrite, on_progress=on_progress
        )
    _report(out, description)
    output.console().print(f'use it: recipe.replaced(occlusion={{"bank": "{out}"}})')


def show_backgrounds(bank: _Bank, verify: _Verify = False, as_json: _Json = False) -> None:
    """Say what is in a bank of backgrounds."""
    _show(bank, "backgrounds", verify=verify, as_json=as_json)


def show_occluders(bank: _Bank, verify: _Verify = False, as_json: _Json = False) -> None:
    """Say what is in a bank of occluders."""
    _show(bank, "occluders", verify=verify, as_json=as_json)


def _show(bank: Path, kind: str, *, verify: bool, as_json: bool) -> None:
    from posepile_torch.transforms import banks

    description = banks.check_pixels(bank, kind) if verify else banks.read_description(bank, kind)
    if as_json:
        output.print_json(
            {
                "kind": kind,
                "pictures": len(description),
                "bytes": _total_bytes(description),
                "fingerprint": description.fingerprint,
                "skipped": description.skip_counts,
                "names": list(description.names),
            }
        )
    else:
        _report(bank, description)
        if verify:
            output.console().print("every pixel is as it was written")


@contextmanager
def _shown() -> Iterator[Callable[[int, int], None]]:
    with output.progress("pictures") as display:
        task = display.add_task("decoding", total=None)
        yield lambda done, total: display.update(task, completed=done, total=total)


def _report(folder: Path, description: BankDescription) -> None:
    sides = [side for height, width, _ in description.shapes for side in (height, width)]
    extent = f"{min(sides)} px" if min(sides) == max(sides) else f"{min(sides)}-{max(sides)} px"
    console = output.console()
    console.print(
        f"{folder}: {len(description)} {description.kind} of {extent}, "
        f"{_total_bytes(description) / 1e6:.1f} MB, fingerprint {description.fingerprint[:16]}"
    )
    for reason, count in description.skip_counts.items():
        console.print(f"  skipped {count}: {reason}")


def _total_bytes(description: BankDescription) -> int:
    return sum(height * width * channels for height, width, channels in description.shapes)
