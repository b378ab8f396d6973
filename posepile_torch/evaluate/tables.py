"""One table of named columns in three file formats: npz, JSON, and Parquet or Arrow.

A table is a dictionary of arrays that share their first axis, and a dictionary of plain facts
about them. The file's ending decides on the format: ``.npz``, ``.json``, ``.parquet``, or
``.arrow`` and ``.feather`` (Arrow IPC). The same table gives the same arrays back from each of
them. Missing numbers are NaN; JSON has no such word and holds ``null`` instead.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError, require
from posepile_torch.rawfiles import list_npz, read_json, read_npz

Columns = dict[str, NDArray[Any]]
"""Arrays by name that share their first axis."""

ENDINGS = (".npz", ".json", ".parquet", ".arrow", ".feather")
"""Endings of files that hold a table."""

_META = "meta"


def read_table(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Columns]:
    """Read the facts and the columns of a file.

    Raises:
        PredictionError: If the file is of another format, or its columns differ in length.
        MissingDependencyError: If a Parquet or Arrow file is read without pyarrow.
        UnreadableRawFileError: If the file is damaged.
    """
    path = Path(path)
    ending = _ending(path)
    if not path.is_file():
        raise PredictionError("no such file", where=path, fix="check the path")
    if ending == ".npz":
        meta, columns = _read_npz(path)
    elif ending == ".json":
        meta, columns = _read_json(path)
    else:
        meta, columns = _read_arrow(path)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise PredictionError(
            f"columns of different lengths: {lengths}",
            where=path,
            rule="all columns have one row per person",
        )
    return meta, columns


def is_table(path: str | os.PathLike[str]) -> bool:
    """Return whether a file was written as a table, without reading it whole.

    Benchmarks ship ``.json`` and ``.npz`` files of their own; ours begin with facts.
    """
    path = Path(path)
    if path.suffix not in ENDINGS or not path.is_file():
        return False
    if path.suffix == ".npz":
        return _META in list_npz(path)
    if path.suffix == ".json":
        with path.open("rb") as file:
            return re.match(rb'\s*\{\s*"meta"', file.read(4096)) is not None
    return True


def write_table(path: str | os.PathLike[str], meta: Mapping[str, Any], columns: Columns) -> Path:
    """Write facts and columns; the file appears when it is whole.

    Args:
        path: Where to; the ending decides on the format.
        meta: Plain JSON data.
        columns: Arrays of one length: texts, or numbers of any further shape.
    """
    path = Path(path)
    ending = _ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    try:
        if ending == ".npz":
            with half.open("wb") as file:
                arrays: dict[str, Any] = {_META: np.array(json.dumps(dict(meta))), **columns}
                np.savez_compressed(file, **arrays)
        elif ending == ".json":
            data = {_META: dict(meta)} | {k: _nulls(v.tolist()) for k, v in columns.items()}
            half.write_text(json.dumps(data, allow_nan=False), encoding="utf-8")
        else:
            _write_arrow(half, ending, meta, columns)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return path


def _ending(path: Path) -> str:
    if path.suffix not in ENDINGS:
        raise PredictionError(
            f"the ending {path.suffix!r}",
            where=path,
            rule=f"a table ends in {', '.join(ENDINGS)}",
            fix="convert it with Predictions(...).write('predictions.npz')",
        )
    return path.suffix


def _read_npz(path: Path) -> tuple[dict[str, Any], Columns]:
    arrays = read_npz(path)
    return _parsed_meta(arrays.pop(_META, None), path), arrays


def _parsed_meta(stored: object, path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(str(stored)) if stored is not None else None
    except ValueError:
        meta = None
    if not isinstance(meta, dict):
        raise PredictionError(
            f"no facts about the columns: {_META} is {'absent' if stored is None else 'no JSON'}",
            where=path,
            rule=f"{_META} is a JSON text with skeleton, unit and space",
            fix="write the file with posepile_torch.evaluate.Predictions",
        )
    return meta


def _read_json(path: Path) -> tuple[dict[str, Any], Columns]:
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get(_META), dict):
        raise PredictionError(
            f"no object with the key {_META!r}",
            where=path,
            rule=f"{_META} holds skeleton, unit and space; every other key is a column",
        )
    columns = {}
    for name, values in data.items():
        if name == _META:
            continue
        try:
            is_text = isinstance(values[0], str) if values else False
            columns[name] = np.array(values, dtype=str if is_text else np.float64)
        except (TypeError, ValueError, KeyError) as error:
            raise PredictionError(
                f"column {name!r} is no regular array: {error}",
                where=path,
                rule="a column is a list with one equally shaped entry per row; null is missing",
            ) from error
    return data[_META], columns


def _nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_nulls(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _read_arrow(path: Path) -> tuple[dict[str, Any], Columns]:
    pyarrow = require("pyarrow", extra="arrow")
    try:
        if path.suffix == ".parquet":
            table = require("pyarrow.parquet", extra="arrow").read_table(path)
        else:
            table = require("pyarrow.feather", extra="arrow").read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise PredictionError(
            f"cannot be read: {error}", where=path, fix="write the file again"
        ) from error
    stored = (table.schema.metadata or {}).get(b"posepile")
    meta = _parsed_meta(None if stored is None else stored.decode(), path)
    shapes = meta.pop("shapes", {})
    columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
            columns[name] = np.array(column.to_pylist(), dtype=str)
        elif pyarrow.types.is_nested(column.type):
            flat = np.array(column.flatten().to_numpy(zero_copy_only=False))
            columns[name] = flat.reshape(len(column), *shapes.get(name, (-1,)))
        else:
            columns[name] = np.array(column.to_numpy(zero_copy_only=False))
    return meta, columns


def _write_arrow(path: Path, ending: str, meta: Mapping[str, Any], columns: Columns) -> None:
    pyarrow = require("pyarrow", extra="arrow")
    shapes = {name: list(array.shape[1:]) for name, array in columns.items() if array.ndim > 1}
    arrays = {}
    for name, array in columns.items():
        if array.ndim == 1:
            arrays[name] = pyarrow.array(array.tolist() if array.dtype.kind == "U" else array)
        else:
            flat = pyarrow.array(np.ascontiguousarray(array).reshape(-1))
            size = int(np.prod(array.shape[1:]))
            arrays[name] = pyarrow.FixedSizeListArray.from_arrays(flat, size)
    table = pyarrow.table(arrays).replace_schema_metadata(
        {"posepile": json.dumps(dict(meta) | {"shapes": shapes})}
    )
    if ending == ".parquet":
        require("pyarrow.parquet", extra="arrow").write_table(table, path)
    else:
        require("pyarrow.feather", extra="arrow").write_feather(table, str(path))


__all__ = ["ENDINGS", "Columns", "is_table", "read_table", "write_table"]
