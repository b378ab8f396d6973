"""Results as a table for the terminal, as CSV, as rows of LaTeX, and a protocol in words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from posepile_torch.evaluate.protocol import MetricSpec, Protocol
from posepile_torch.evaluate.results import MetricValue, Result, SeedSummary
from posepile_torch.evaluate.wording import frames_in_words, order_in_words, root_in_words

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

CSV_HEADER = (
    "protocol", "predictions", "metric", "breakdown", "label", "value", "unit", "aggregation",
    "joints", "root", "alignment", "n_samples", "n_expected", "coverage", "on_missing",
    "library_version",
)  # fmt: skip
"""Columns of :func:`to_csv`."""

_LATEX_SPECIAL = {
    "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "²": r"\textsuperscript{2}", "³": r"\textsuperscript{3}",
}  # fmt: skip


def result_view(result: Result, *, breakdowns: bool = True) -> Group:
    """Return a result as Rich tables: numbers, what was left out, and the breakdowns.

    Args:
        result: What to show.
        breakdowns: Whether to show the tables per activity, joint and so on.
    """
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    name = escape(result.name or "predictions")
    table = Table(title=f"{result.protocol}: {name}", title_justify="left")
    for column in ("metric", "value", "unit", "averaging", "joints", "root", "alignment", "n"):
        numeric = column in ("value", "joints", "n")
        table.add_column(column, justify="right" if numeric else "left")
    for value in result.values:
        joints = str(len(value.joints)) if value.joints else ""
        facts = (joints, value.root, value.alignment, str(value.n_samples))
        arrow = " ↑" if value.higher_is_better else ""
        table.add_row(
            value.metric + arrow, f"{value.value:.2f}", value.unit, value.aggregation, *facts
        )
        for order, number in value.also.items():
            table.add_row("", f"{number:.2f}", value.unit, order, *facts)
    parts: list[RenderableType] = [table, *counts_in_words(result)]
    parts += [f"note: {note}" for note in result.notes]
    names = dict.fromkeys(name for value in result.values for name in value.breakdowns)
    parts += [_breakdown(result, name) for name in names if breakdowns]
    fingerprint = f", fingerprint {result.truth_fingerprint[:12]}" * bool(result.truth_fingerprint)
    parts.append(
        f"posepile_torch {result.version}; ground truth {result.truth or 'given'}{fingerprint}"
    )
    return Group(*(escape(part) if isinstance(part, str) else part for part in parts))


def counts_in_words(result: Result) -> list[str]:
    """Return coverage and everything that was left out, one line each."""
    c = result.counts
    lines = [
        f"{c.n_evaluated} of {c.n_expected} annotated people evaluated ({100 * c.coverage:.2f} %)"
        f"; missing predictions: {result.on_missing}"
    ]
    for number, what in (
        (c.n_missing, "people without a usable prediction"),
        (c.n_duplicates, "people predicted more than once"),
        (c.n_nan_joints, "joints of predicted people that are not finite"),
        (c.n_excluded, "people left out for want of ground truth"),
        (c.n_degenerate, "predictions whose joints all coincide"),
        (c.n_unmatched, "predictions without an annotation"),
    ):
        if number:
            lines.append(f"  {number} {what}")
    return lines


def seeds_view(summary: SeedSummary) -> Table:
    """Return mean and population standard deviation over prediction files as a Rich table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"{summary.protocol}: mean and population std of {len(summary.names)} files",
        title_justify="left",
    )
    for column in ("metric", "mean", "std", "unit", *map(escape, summary.names)):
        table.add_column(column, justify="left" if column in ("metric", "unit") else "right")
    for value in summary.values:
        table.add_row(
            value.metric,
            f"{value.mean:.2f}",
            f"{value.std:.2f}",
            value.unit,
            *(f"{number:.2f}" for number in value.values),
        )
    return table


def to_csv(results: Iterable[Result]) -> str:
    """Return results as CSV with one line per number, breakdowns included; full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for result in results:
        for value in result.values:
            writer.writerow(_csv_row(result, value, "", "", value.value, value.n_samples))
            for order, number in value.also.items():
                row = _csv_row(result, value, "", "", number, value.n_samples)
                writer.writerow((*row[:7], order, *row[8:]))
            for name, cells in value.breakdowns.items():
                for cell in cells:
                    row = _csv_row(result, value, name, cell.label, cell.value, cell.n_samples)
                    writer.writerow((*row[:7], "pooled", *row[8:]))
    return text.getvalue()


def to_latex(results: Sequence[Result], summary: SeedSummary | None = None) -> str:
    r"""Return rows of a LaTeX table, headed by a comment and a row with metrics and units.

    Args:
        results: One row each; none of them with ``summary``.
        summary: A single row of ``mean $\pm$ std`` instead.
    """
    first = results[0]
    lines = [f"% {first.protocol}, posepile_torch {first.version}, {first.on_missing} if missing"]
    lines += [f"% {_plain(value)}" for value in first.values]
    heads = []
    for value in first.values:
        arrow = r"$\uparrow$" if value.higher_is_better else r"$\downarrow$"
        unit = f" ({value.unit})" if value.unit else ""
        heads.append(f"{escaped(value.metric + unit)} {arrow}")
    lines.append(" & ".join(["Method", *heads]) + r" \\")
    lines.append(r"\midrule")
    if summary is not None:
        cells = [rf"{value.mean:.1f} $\pm$ {value.std:.1f}" for value in summary.values]
        name = f"{summary.names[0]} (and {len(summary.names) - 1} more)"
        lines.append(" & ".join([escaped(name), *cells]) + r" \\")
    else:
        for result in results:
            cells = [f"{value.value:.1f}" for value in result.values]
            lines.append(" & ".join([escaped(result.name), *cells]) + r" \\")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text with the characters that LaTeX reserves escaped."""
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def explanation(protocol: Protocol) -> str:
    """Return every choice of a protocol, where it comes from, and what it is comparable with."""
    p = protocol
    lines = [f"{p.id}: {p.title}", ""]
    lines.append(f"benchmark    {p.benchmark}")
    lines.append(f"compares     {p.target} in {p.space} space")
    lines.append(f"joints       {len(p.joints or ())} of {p.named_skeleton.name}: "
                 f"{' '.join(p.joints or ())}")  # fmt: skip
    lines.append(f"root         {root_in_words(p.root)}")
    lines.append(f"frames       {frames_in_words(p.frames)}")
    if p.fps is not None:
        lines.append(f"frame rate   {p.fps:g} per second")
    lines.append(f"missing      {p.on_missing}")
    if p.breakdowns:
        lines.append(f"tables       per {', per '.join(p.breakdowns)}")
    if p.evaluator is not None:
        lines.append(f"computed by  {p.evaluator}")
    lines += ["", "metrics"]
    for metric in p.metrics:
        lines += _metric_lines(p, metric)
    if p.switches:
        lines += ["", "the archive is converted with"]
        lines += [f"  {switch.name}={switch.value}: {switch.why}" for switch in p.switches]
    if p.choices:
        lines += ["", "choices and their sources"]
        lines += [f"  {c.topic}: {c.value}  [{c.source}]" for c in p.choices]
    if p.comparable:
        lines += ["", "comparable with"]
    for published in p.comparable:
        numbers = ", ".join(f"{name} {value:g}" for name, value in published.numbers.items())
        lines.append(f"  {published.system}: {numbers}  [{published.source}]")
    if p.not_comparable:
        lines += ["", "not comparable with", *(f"  {text}" for text in p.not_comparable)]
    if p.notes:
        lines += ["", "notes", *(f"  {note}" for note in p.notes)]
    return "\n".join(lines)


def _metric_lines(protocol: Protocol, metric: MetricSpec) -> list[str]:
    arguments = ", ".join(f"{name}={value}" for name, value in metric.arguments.items())
    unit = f" [{metric.unit}]" if metric.unit else ""
    better = "higher" if metric.higher_is_better else "lower"
    orders = ", also ".join(order_in_words(metric, order) for order in
                            (metric.order, *metric.also))  # fmt: skip
    lines = [f"  {metric.name}{unit} = {metric.function}({arguments}); {orders}; "
             f"{better} is better"]  # fmt: skip
    if metric.about:
        lines.append(f"    {metric.about}")
    if metric.align != "none":
        lines.append(f"    alignment: {metric.align}")
    if metric.joints is not None:
        lines.append(f"    joints: {' '.join(protocol.joints_of(metric))}")
    if metric.fit is not None:
        lines.append(f"    alignment fitted to: {' '.join(protocol.fit_of(metric))}")
    if metric.root != "protocol":
        lines.append(f"    root: {root_in_words(metric.root)}")
    return lines


def _breakdown(result: Result, name: str) -> Table:
    from rich.markup import escape
    from rich.table import Table

    values = [value for value in result.values if name in value.breakdowns]
    table = Table(title=f"per {name}", title_justify="left")
    table.add_column(name)
    for value in values:
        unit = f" {value.unit}" if value.unit else ""
        table.add_column(value.metric + unit, justify="right")
    table.add_column("n", justify="right")
    columns = [{cell.label: cell for cell in value.breakdowns[name]} for value in values]
    for label in dict.fromkeys(label for column in columns for label in column):
        cells = [column.get(label) for column in columns]
        shown = ["-" if c is None or c.value is None else f"{c.value:.2f}" for c in cells]
        number = max(cell.n_samples for cell in cells if cell is not None)
        table.add_row(escape(label or "(unknown)"), *shown, str(number))
    return table


def _csv_row(
    result: Result, value: MetricValue, breakdown: str, label: str, number: float | None, n: int
) -> tuple[object, ...]:
    return (
        result.protocol,
        result.name,
        value.metric,
        breakdown,
        label,
        "" if number is None else repr(number),
        value.unit,
        value.aggregation,
        " ".join(value.joints),
        value.root,
        value.alignment,
        n,
        result.counts.n_expected,
        f"{result.counts.coverage:.6f}",
        result.on_missing,
        result.version,
    )


def _plain(value: MetricValue) -> str:
    return (
        f"{value.metric}: {value.aggregation}, {len(value.joints)} joints, root {value.root}, "
        f"alignment {value.alignment}, n = {value.n_samples}"
    )


__all__ = [
    "CSV_HEADER",
    "counts_in_words",
    "escaped",
    "explanation",
    "result_view",
    "seeds_view",
    "to_csv",
    "to_latex",
]
