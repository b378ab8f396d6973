"""The verb ``demo``: the whole way once, on a synthetic dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posepile_torch.cli import output

CLEARLY_BETTER = 0.85
"""Share of the mean pose's error that the network must stay below."""


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("demo")(demo)


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for everything it writes.", file_okay=False)
    ] = Path("demo-output"),
    seconds: Annotated[float, typer.Option(min=1, help="Time budget of the training.")] = 75.0,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic dataset.")] = 0,
) -> None:
    """Render a synthetic dataset, convert, verify, train a small network, evaluate, draw.

    Takes a few minutes on a CPU. Fails if the network does not clearly beat the mean pose.
    """
    from dataclasses import replace

    from posepile_torch.demo.tour import DATA, run_tour

    console = output.console()
    with output.progress("%") as bar:
        task = bar.add_task("train", total=100, visible=False)

        def show(done: float, error_mm: float) -> None:
            bar.update(task, completed=100 * done, note=f"{error_mm:.0f} mm", visible=True)

        tour = run_tour(
            out,
            seconds=seconds,
            options=replace(DATA, seed=seed),
            say=console.print,
            progress=show,
        )
    if tour.mpjpe_mm > CLEARLY_BETTER * tour.baseline_mm:
        output.warn("the network did not clearly beat the mean pose; give it more --seconds")
        raise typer.Exit(output.EXIT_PROBLEM)
