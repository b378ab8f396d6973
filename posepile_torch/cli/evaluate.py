"""The verb ``eval``: named protocols on files of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posepile_torch import registry
from posepile_torch.cli import output
from posepile_torch.errors import PosepileError

if TYPE_CHECKING:
    from posepile_torch.evaluate.groundtruth import GroundTruth
    from posepile_torch.evaluate.protocol import Protocol
    from posepile_torch.evaluate.results import Result

Policy = Literal["error", "skip", "count_as_wrong"]


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("eval")(evaluate)


def complete_protocol(incomplete: str) -> list[str]:
    """Complete the name of a protocol on the command line."""
    names = ("explain", *registry.protocol_names())
    return [name for name in names if name.startswith(incomplete)]


def evaluate(
    ctx: typer.Context,
    protocol: Annotated[
        str | None,
        typer.Argument(
            help="Name of a protocol, or 'explain' and then its name.",
            autocompletion=complete_protocol,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(help="The protocol to explain.", autocompletion=complete_protocol),
    ] = None,
    pred: Annotated[
        list[Path] | None,
        typer.Option(help="File of predictions (npz, json, parquet, arrow); repeat for seeds."),
    ] = None,
    gt: Annotated[
        str | None,
        typer.Option(
            help="Archive (path, or name below --root), table, or raw files of the benchmark; "
            "by default the archive of the protocol's benchmark below --root."
        ),
    ] = None,
    on_missing: Annotated[
        Policy | None,
        typer.Option(help="People and joints without a prediction; the protocol's by default."),
    ] = None,
    body_models: Annotated[
        Path | None, typer.Option(help="Folder of body models, where ground truth needs one.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for pictures of errors.", file_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line per number.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Rows of a LaTeX table.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List all protocols.")] = False,
) -> None:
    """Compute the numbers of a named protocol, or list and explain protocols."""
    if show_list:
        _list(as_json=as_json)
    elif protocol == "explain" and name is not None:
        from posepile_torch.evaluate.report import explanation

        typer.echo(explanation(registry.load_protocol(name)))
    elif protocol is None or name is not None or not pred:
        raise typer.BadParameter(
            "give a protocol and --pred FILE, or --list, or explain NAME", ctx=ctx
        )
    else:
        if as_json + as_csv + as_latex > 1:
            raise typer.BadParameter("--json, --csv and --latex exclude each other", ctx=ctx)
        form = "json" if as_json else "csv" if as_csv else "latex" if as_latex else "table"
        _run(ctx, registry.load_protocol(protocol), pred, gt, on_missing, body_models, plots, form)


def _run(
    ctx: typer.Context,
    protocol: Protocol,
    files: list[Path],
    gt: str | None,
    on_missing: Policy | None,
    body_models: Path | None,
    plots: Path | None,
    form: str,
) -> None:
    from posepile_torch.evaluate.coco_results import read_predictions
    from posepile_torch.evaluate.engine import evaluate as compute

    truth = _truth(ctx, protocol, gt, body_models)
    runs = []
    for file in files:
        predictions = read_predictions(file, protocol)
        runs.append((predictions, compute(protocol, predictions, truth, on_missing=on_missing)))
    results = [result for _, result in runs]
    _show(results, form)
    if plots is not None:
        from posepile_torch.evaluate.plots import write_plots

        for path in write_plots(plots, protocol, runs, truth):
            output.error_console().print(f"wrote {path}", soft_wrap=True)


def _truth(
    ctx: typer.Context, protocol: Protocol, gt: str | None, body_models: Path | None
) -> GroundTruth:
    from posepile_torch.evaluate.groundtruth import load_truth

    path = output.archive_path(ctx, gt or protocol.benchmark)
    return load_truth(protocol, path, body_models=body_models)


def _show(results: list[Result], form: str) -> None:
    from posepile_torch.evaluate import report
    from posepile_torch.evaluate.results import over_seeds

    summary = over_seeds(results) if len(results) > 1 else None
    if form == "json":
        data: dict[str, Any] = {"results": [result.to_dict() for result in results]}
        if summary is not None:
            data["over_seeds"] = summary.to_dict()
        output.print_json(data)
    elif form == "csv":
        typer.echo(report.to_csv(results), nl=False)
    elif form == "latex":
        typer.echo(report.to_latex(results, summary), nl=False)
    else:
        console = output.console()
        for result in results:
            console.print(report.result_view(result, breakdowns=summary is None))
        if summary is not None:
            console.print(report.seeds_view(summary))
    for note in dict.fromkeys(note for result in results for note in result.notes):
        output.warn(note)


def _list(*, as_json: bool) -> None:
    from rich.table import Table

    rows, broken = [], []
    for name in registry.protocol_names():
        try:
            rows.append(registry.load_protocol(name))
        except PosepileError as error:  # of a plugin; the others can still be listed
            broken.append(f"{name}: {error.what}")
    if as_json:
        output.print_json(
            [
                {
                    "name": p.name,
                    "version": p.version,
                    "title": p.title,
                    "benchmark": p.benchmark,
                    "metrics": [metric.name for metric in p.metrics],
                }
                for p in rows
            ]
        )
    else:
        table = Table("protocol", "title", "metrics")
        for p in rows:
            names = [metric.name for metric in p.metrics]
            more = f", and {len(names) - 4} more" if len(names) > 4 else ""
            table.add_row(p.id, p.title, ", ".join(names[:4]) + more)
        output.console().print(table)
    for line in broken:
        output.warn(line)
