"""Pandas frames as columns of plain arrays, read without pandas.

What a frame looks like inside a pickle differs between pandas versions, and pandas itself opens
only some of them. Here the frame, its block manager, blocks and indexes are shells, and only
their arrays are taken out. Layouts checked against files of pandas 0.24, 1.0, 1.5, 2.2 and 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import UnknownNameError, UnreadableRawFileError
from posepile_torch.rawfiles.pickle_machine import Shell, ShellType


@dataclass(frozen=True, eq=False)
class ColumnTable(Mapping[str, NDArray[Any]]):
    """A table as a read-only mapping from column name to a 1-D array, one entry per row.

    Numbers and booleans keep their type; everything else (text, lists, arrays in cells) is an
    object array. ``index`` holds the row labels.
    """

    columns: Mapping[str, NDArray[Any]]
    index: NDArray[Any]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The column ``name``."""
        try:
            return self.columns[name]
        except KeyError:
            raise UnknownNameError.among("column", name, map(str, self.columns)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        """The number of columns, as of any mapping; see :attr:`num_rows`."""
        return len(self.columns)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self.index)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dictionary, in order."""
        for i in range(self.num_rows):
            yield {name: column[i] for name, column in self.columns.items()}


def _table_of_frame(frame: Shell) -> ColumnTable:
    manager = _manager(frame)
    labels, index = (_index_values(axis) for axis in _axes(manager))
    if len(set(labels.tolist())) != len(labels):
        raise UnreadableRawFileError("the frame has two columns of the same name")
    columns: list[NDArray[Any] | None] = [None] * len(labels)
    for values, places in _blocks(manager):
        block = _block_values(values)
        positions = np.arange(len(labels))[places]
        if block.ndim == 1:  # an extension array fills a single column
            block = block[np.newaxis]
        for position, column in zip(positions, block, strict=True):
            if len(column) != len(index):
                raise UnreadableRawFileError("a column of the frame has another length")
            columns[position] = column
    named = dict(zip(labels.tolist(), columns, strict=True))
    missing = [name for name, column in named.items() if column is None]
    if missing:
        raise UnreadableRawFileError(f"the columns {missing} of the frame have no values")
    return ColumnTable({k: v for k, v in named.items() if v is not None}, index)


def _table_of_series(series: Shell) -> ColumnTable:
    manager = _manager(series)
    (axis,) = _axes(manager)
    ((values, _),) = _blocks(manager)
    name = series.get("_name", series.get("name"))
    column = _block_values(values).reshape(-1)
    return ColumnTable({"" if name is None else name: column}, _index_values(axis))


def _manager(shell: Shell) -> Shell:
    manager = shell.get("_mgr", shell.get("_data"))
    if not isinstance(manager, Shell):
        raise UnreadableRawFileError(f"a {shell.class_name} has no block manager")
    return manager


def _axes(manager: Shell) -> list[Any]:
    if manager.args:  # pandas >= 1.3: (blocks, axes)
        return list(manager.args[1])
    return list(manager.state[3]["0.14.1"]["axes"])


def _blocks(manager: Shell) -> list[tuple[Any, Any]]:
    if manager.args:
        found = manager.args[0]
        found = found if isinstance(found, (tuple, list)) else (found,)
        return [(block.args[0], block.args[1]) for block in found]
    return [(b["values"], b["mgr_locs"]) for b in manager.state[3]["0.14.1"]["blocks"]]


def _index_values(index: Any) -> NDArray[Any]:
    if not isinstance(index, Shell) or not index.args:
        raise UnreadableRawFileError("an axis of the frame is no index")
    kind, content = index.args[0].name, index.args[1]
    if kind == "RangeIndex":
        return np.arange(content["start"], content["stop"], content["step"])
    if kind == "MultiIndex":
        raise UnreadableRawFileError(
            "the frame has a hierarchical index, which is not supported",
            fix="write it again after frame.reset_index()",
        )
    return _block_values(content["data"])


def _block_values(values: Any) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    if not isinstance(values, Shell):
        raise UnreadableRawFileError("a column of the frame has no array")
    kind = values.args[0].name if values.type.name.startswith("__pyx") else values.type.name
    state = values.state.values() if isinstance(values.state, dict) else values.state
    arrays = [part for part in state if isinstance(part, np.ndarray)]
    if kind == "Categorical":
        (dtype,) = (part for part in state if isinstance(part, Shell))
        categories = _index_values(dtype["categories"]).astype(object)
        return np.append(categories, [None])[arrays[0]].astype(object)  # code -1 is "missing"
    if kind in ("StringArray", "PandasArray", "NumpyExtensionArray", "ObjectStringArray"):
        return arrays[0].astype(object)
    if kind == "DatetimeArray" and arrays[0].dtype.kind == "M":
        return arrays[0]
    raise UnreadableRawFileError(
        f"the frame has a column of the type {kind}, which is not supported",
        rule="numbers, booleans, objects, text, categories and dates without zone are read",
        fix="convert the column with astype(object) and write the frame again",
    )


def _pandas_names() -> dict[tuple[str, str], ShellType]:
    modules = {
        "pandas": ("Index", "RangeIndex", "MultiIndex", "DatetimeIndex", "CategoricalIndex",
                   "CategoricalDtype", "Categorical", "StringDtype"),
        "pandas.arrays": ("StringArray", "DatetimeArray", "NumpyExtensionArray"),
        "pandas.core.indexes.base": ("_new_Index", "Index"),
        "pandas.core.indexes.range": ("RangeIndex",),
        "pandas.core.indexes.multi": ("MultiIndex",),
        "pandas.core.indexes.numeric": ("Int64Index", "UInt64Index", "Float64Index"),
        "pandas.core.indexes.datetimes": ("DatetimeIndex", "_new_DatetimeIndex"),
        "pandas.core.internals.managers": ("BlockManager", "SingleBlockManager"),
        "pandas._libs.internals": ("_unpickle_block",),
        "pandas._libs.arrays": ("__pyx_unpickle_NDArrayBacked",),
        "pandas.core.arrays.categorical": ("Categorical",),
        "pandas.core.arrays.datetimes": ("DatetimeArray",),
        "pandas.core.arrays.string_": ("StringArray", "StringDtype"),
        "pandas.core.dtypes.dtypes": ("CategoricalDtype",),
    }  # fmt: skip
    names = {(m, n): ShellType(m, n) for m, listed in modules.items() for n in listed}
    for module, name, finish in (
        ("pandas", "DataFrame", _table_of_frame),
        ("pandas.core.frame", "DataFrame", _table_of_frame),
        ("pandas", "Series", _table_of_series),
        ("pandas.core.series", "Series", _table_of_series),
    ):
        names[module, name] = ShellType(module, name, finish)
    return names


PANDAS_NAMES = _pandas_names()
