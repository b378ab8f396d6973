"""What all verbs share: where archives lie, how results, progress and errors are shown.

Results go to standard output and nothing else does; progress, warnings and errors go to standard
error. Progress is shown on a terminal only. Exit codes: 0 all is well, 1 a problem was found, 2
the command could not run as it was given.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from posepile_torch import registry
from posepile_torch.errors import (
    ArchiveNotFoundError,
    MissingDependencyError,
    PosepileError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

EXIT_OK = 0
"""The verb did what it was asked, and found nothing wrong."""
EXIT_PROBLEM = 1
"""The verb ran and found a problem: bad data, a missing raw file, a failed unit."""
EXIT_USAGE = 2
"""The verb could not run: a wrong option, an unknown name, no archive, a missing extra."""

DEFAULT_ROOT = Path("archives")
"""Folder of the archives if neither ``--root`` nor ``POSEPILE_HOME`` names one."""

_CANNOT_RUN = (UnknownNameError, MissingDependencyError, ArchiveNotFoundError)
_WIDE = 1000  # columns; a pipe or file has no edge to wrap at


@dataclass(frozen=True)
class Settings:
    """The options that stand before the verb.

    Attributes:
        root: Folder that holds the archives, one folder per source.
    """

    root: Path


def archives_root(ctx: typer.Context) -> Path:
    """Return the folder of the archives: ``--root``, else ``POSEPILE_HOME``, else ``archives``."""
    settings = ctx.find_object(Settings)
    return DEFAULT_ROOT if settings is None else settings.root


def archive_path(ctx: typer.Context, archive: str) -> Path:
    """Return the path of an archive given by path, or by its name below the archives' root.

    A path that exists wins over a name; whether an archive is there is for its reader to say.
    """
    path = Path(archive)
    named = archives_root(ctx) / archive
    return path if path.exists() or path.is_absolute() or not named.exists() else named


def complete_source(incomplete: str) -> list[str]:
    """Complete the name of a source on the command line."""
    return [name for name in registry.source_names() if name.startswith(incomplete)]


def complete_converter(incomplete: str) -> list[str]:
    """Complete the name of a source that has a converter."""
    return [name for name in registry.converter_names() if name.startswith(incomplete)]


def console() -> Console:
    """Return a console for results: standard output, not wrapped unless it is a terminal."""
    from rich.console import Console

    result = Console(highlight=False)
    return result if result.is_terminal else Console(highlight=False, width=_WIDE)


def error_console() -> Console:
    """Return a console for everything that is not a result: standard error."""
    from rich.console import Console

    result = Console(stderr=True, highlight=False)
    return result if result.is_terminal else Console(stderr=True, highlight=False, width=_WIDE)


def print_json(value: Any) -> None:
    """Write ``value`` to standard output as one JSON document, for machines.

    Raises:
        ValueError: If it holds NaN or an infinity, which JSON does not have.
    """
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def progress(unit: str = "units") -> Progress:
    """Return a progress display on standard error, silent unless that is a terminal.

    Use it as a context manager and add tasks to it; a task's field ``note`` is shown at the end
    of its line, for example the count of failures: ``progress.update(task, note="2 failed")``.

    Args:
        unit: What one step is, shown behind the counts.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")

    class Note(ProgressColumn):
        """The task's own remark."""

        def render(self, task: Task) -> Text:
            return Text(str(task.fields.get("note", "")))

    target = error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        Note(),
        console=target,
        disable=not target.is_terminal,
    )


def warn(text: str) -> None:
    """Write a warning to standard error."""
    _write_labelled("warning", text, "yellow")


def show_error(error: PosepileError) -> None:
    """Write a deliberate error to standard error, without a traceback."""
    _write_labelled("error", str(error), "red")


def exit_code(error: PosepileError) -> int:
    """Return the exit code for a deliberate error: 2 if the verb could not run at all, else 1."""
    return EXIT_USAGE if isinstance(error, _CANNOT_RUN) else EXIT_PROBLEM


def _write_labelled(label: str, text: str, colour: str) -> None:
    from rich.text import Text

    error_console().print(Text.assemble((f"{label}: ", f"bold {colour}"), text), soft_wrap=True)


__all__ = [
    "DEFAULT_ROOT",
    "EXIT_OK",
    "EXIT_PROBLEM",
    "EXIT_USAGE",
    "Settings",
    "archive_path",
    "archives_root",
    "complete_converter",
    "complete_source",
    "console",
    "error_console",
    "exit_code",
    "print_json",
    "progress",
    "show_error",
    "warn",
]
