"""The verb ``mannequin``: render the synthetic source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posepile_torch.cli import output


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("mannequin")(mannequin)


def mannequin(
    out: Annotated[Path, typer.Option(help="Folder to make; absent or empty.", file_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Decides everything drawn by chance.")] = 0,
    takes: Annotated[int, typer.Option(min=1, max=999, help="Number of takes.")] = 20,
    frames: Annotated[int, typer.Option(min=1, help="Frames per take.")] = 10,
    cameras: Annotated[int, typer.Option(min=1, max=99, help="Cameras per take.")] = 3,
    people: Annotated[int, typer.Option(min=1, max=8, help="People per take.")] = 2,
    size: Annotated[str, typer.Option(help="Size of the images, WxH, both even.")] = "400x300",
    fps: Annotated[int, typer.Option(min=1, help="Frames per second.")] = 5,
    video_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the takes stored as video.")
    ] = 0.75,
    marks: Annotated[
        bool, typer.Option("--marks", help="Grey the images and mark every joint in colour.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Render the synthetic dataset in its raw layout.

    The same options give the same bytes, whatever the number of processes.
    """
    from posepile_torch.mannequin import MannequinOptions, Take, planned_takes, write_raw

    options = MannequinOptions(
        seed=seed,
        takes=takes,
        frames=frames,
        cameras=cameras,
        people=people,
        size=_parsed(size),
        fps=fps,
        video_share=video_share,
        marks=marks,
    )
    with output.progress("takes") as bar:
        task = bar.add_task("render mannequin", total=takes)

        def show(take: Take) -> None:
            bar.update(task, advance=1, note=take.name)

        write_raw(out, options, jobs=jobs, on_take=show)
    splits = [take.split for take in planned_takes(options)]
    counts = {split: splits.count(split) for split in ("train", "val", "test")}
    if as_json:
        output.print_json({"path": str(out), "takes": counts, "images": takes * frames * cameras})
    else:
        listed = ", ".join(f"{count} {split}" for split, count in counts.items())
        images = takes * frames * cameras
        output.console().print(f"{images:,} images in {takes} takes ({listed}): {out}")


def _parsed(size: str) -> tuple[int, int]:
    width, separator, height = size.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"{size!r} is not WIDTHxHEIGHT, for example 400x300")
    return int(width), int(height)
