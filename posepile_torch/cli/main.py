"""The ``posepile`` command: its frame, its global options, and the groups of verbs it is made of.

Each module ``posepile_torch.cli.<group>`` has a function ``register(app)`` that adds its verbs.
Those modules import typer and light modules only; what is heavy is imported inside a verb, so
that ``posepile --help`` and completion stay fast.
"""

from __future__ import annotations

from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from posepile_torch.cli import output
from posepile_torch.errors import PosepileError
from posepile_torch.registry import DISTRIBUTION

GROUPS = (
    "catalog",
    "mannequin",
    "rawdata",
    "convert",
    "verify",
    "merge",
    "look",
    "skeleton",
    "interop",
    "backgrounds",
    "evaluate",
    "demo",
)
"""Modules of this package that hold verbs, in the order in which ``--help`` lists them."""


class ErrorReportingGroup(TyperGroup):
    """A group of verbs that reports the library's own errors without a traceback.

    Anything else that escapes a verb is a bug and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the verb, and turn a deliberate error into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except PosepileError as error:
            output.show_error(error)
            raise typer.Exit(output.exit_code(error)) from error


def build_app() -> typer.Typer:
    """Put the command together from its frame and all groups of verbs."""
    app = typer.Typer(
        name="posepile",
        cls=ErrorReportingGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 all is well, 1 a problem was found, 2 the command could not run.",
    )
    app.callback()(_frame)
    for group in GROUPS:
        import_module(f"{__package__}.{group}").register(app)
    return app


def main() -> None:
    """Run the command; the entry point of the ``posepile`` script."""
    build_app()(prog_name="posepile")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}")
        raise typer.Exit


def _frame(
    ctx: typer.Context,
    root: Annotated[
        Path,
        typer.Option(
            envvar="POSEPILE_HOME",
            help="Folder that holds the archives, one folder per source.",
            file_okay=False,
        ),
    ] = output.DEFAULT_ROOT,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Human-pose datasets: convert once, feed at decoder speed, evaluate like the references."""
    ctx.obj = output.Settings(root=root.expanduser())
