"""Small text files: lines, numbers in columns, CSV rows and XML."""

from __future__ import annotations

import csv
import io
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.rawfiles import sniff

DEFAULT_MAX_BYTES = 1 << 28


def read_text(
    path: str | os.PathLike[str],
    *,
    encoding: str = "utf-8",
    max_bytes: int | None = DEFAULT_MAX_BYTES,
) -> str:
    """Read a text file; a UTF-8 byte-order mark is dropped, line ends become newlines.

    Raises:
        UnreadableRawFileError: If the bytes are not text in ``encoding`` (the message has the
            offset), or the file is cut short, empty, a pointer or a web page.
    """
    data = sniff.read_bytes(path, max_bytes=max_bytes)
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        raise UnreadableRawFileError(
            f"byte {error.start} (0x{data[error.start]:02x}) is not {encoding}",
            where=path,
            fix="fetch the file again, or pass encoding='latin1' for old Western files",
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_numbers(
    path: str | os.PathLike[str],
    *,
    columns: int | None = None,
    delimiter: str | None = None,
    skip_lines: int = 0,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
) -> NDArray[np.float64]:
    """Read a table of numbers as float64 ``[rows, columns]``.

    Args:
        path: The file; empty lines are skipped.
        columns: How many numbers each line must have; ``None`` takes the first line's count.
        delimiter: What separates them; ``None`` for white space.
        skip_lines: How many lines of heading to leave out.
        max_bytes: Refuse larger files.

    Raises:
        UnreadableRawFileError: If something is no number, or a line has another number of them;
            the message names line and column.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(read_text(path, max_bytes=max_bytes).split("\n"), start=1):
        if number <= skip_lines or not line.strip():
            continue
        cells = line.split(delimiter)
        columns = len(cells) if columns is None else columns
        if len(cells) != columns:
            raise _bad_cell(path, number, f"{len(cells)} numbers instead of {columns}")
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            bad = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            raise _bad_cell(
                path, number, f"{cells[bad].strip()!r} in column {bad + 1} is no number"
            ) from None
    return np.array(rows, np.float64).reshape(len(rows), columns or 0)


def read_csv(
    path: str | os.PathLike[str],
    types: Mapping[str, Callable[[str], Any]] | None = None,
    *,
    names: Sequence[str] | None = None,
    delimiter: str = ",",
    max_bytes: int | None = DEFAULT_MAX_BYTES,
) -> list[dict[str, Any]]:
    """Read a CSV file as one dictionary per row.

    Args:
        path: The file, with a heading line unless ``names`` is given; empty lines are skipped.
        types: What turns the text of a column into its value (``{"frame": int}``); columns that
            are not named stay text.
        names: The names of the columns of a file without a heading line.
        delimiter: What separates cells; quotes are as in Python's ``csv`` module.
        max_bytes: Refuse larger files.

    Raises:
        UnreadableRawFileError: If a column of ``types`` is missing, a row has another number of
            cells, or a cell cannot be converted; the message names line and column.
    """
    text = read_text(path, max_bytes=max_bytes)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    types = types or {}
    rows = []
    try:
        for cells in reader:
            if not cells:
                continue
            if names is None:
                names = [cell.strip() for cell in cells]
                _check_heading(path, names, types)
                continue
            if len(cells) != len(names):
                raise _bad_cell(
                    path, reader.line_num, f"{len(cells)} cells instead of {len(names)}"
                )
            rows.append(_typed_row(path, reader.line_num, names, cells, types))
    except csv.Error as error:
        raise _bad_cell(path, reader.line_num, str(error)) from None
    return rows


def read_xml(
    path: str | os.PathLike[str], *, max_bytes: int | None = DEFAULT_MAX_BYTES
) -> ET.Element:
    """Read an XML file; the root element comes back.

    Document types and entities are refused: they can expand without bound or name other files.

    Raises:
        UnreadableRawFileError: If it is no well-formed XML (the message has line and column), or
            declares a document type.
    """
    data = sniff.read_bytes(path, max_bytes=max_bytes)

    def refuse(*_: object) -> None:
        raise UnreadableRawFileError(
            "the XML declares a document type",
            where=path,
            rule="the entities of a document type can expand without bound or name other files",
            fix="remove the declaration if you trust the file",
        )

    tree = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: tree.start(
        _qualified(name), {_qualified(key): value for key, value in attributes.items()}
    )
    parser.EndElementHandler = lambda name: tree.end(_qualified(name))
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UnreadableRawFileError(
            f"this is no well-formed XML: {error}", where=path, fix="fetch the file again"
        ) from None
    return tree.close()


def _qualified(name: str) -> str:
    """A name with its namespace as ElementTree writes it: ``{uri}name``."""
    return f"{{{name}" if "}" in name else name


def _check_heading(
    path: str | os.PathLike[str], names: Sequence[str], types: Iterable[str]
) -> None:
    if len(set(names)) != len(names):
        raise _bad_cell(path, 1, "a column name occurs twice in the heading")
    for name in types:
        if name not in names:
            raise sniff.no_such_part("column", name, names, where=path)


def _typed_row(
    path: str | os.PathLike[str],
    line: int,
    names: Sequence[str],
    cells: Sequence[str],
    types: Mapping[str, Callable[[str], Any]],
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            row[name] = types[name](cell.strip()) if name in types else cell
        except (ValueError, KeyError, ArithmeticError) as error:
            raise _bad_cell(path, line, f"{cell!r} in column {name!r}: {error}") from None
    return row


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _bad_cell(path: str | os.PathLike[str], line: int, what: str) -> UnreadableRawFileError:
    return UnreadableRawFileError(
        f"line {line}: {what}", where=path, fix="fetch the file again, or correct the line"
    )
