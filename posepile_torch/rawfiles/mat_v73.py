"""MATLAB v7.3 files: HDF5 in the layout that MATLAB gives it.

MATLAB's arrays lie transposed in the file, because HDF5 counts axes the other way round; cells
and struct arrays are datasets of references into the group ``#refs#``; attributes name the
MATLAB class and mark empty arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import UnreadableRawFileError, require
from posepile_torch.rawfiles import sniff
from posepile_torch.rawfiles.hdf5 import Hdf5File
from posepile_torch.rawfiles.mat_v5 import (
    MatVariable,
    char_rows,
    sparse_matrix,
    subscript,
    too_large,
    unsupported_object,
)

_INTERNAL = ("#refs#", "#subsystem#")
_SUPPORTED = frozenset({
    "double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "logical", "char", "cell", "struct",
})  # fmt: skip
_NUMPY_NAMES = {"logical": "bool", "double": "float64", "single": "float32"}
_MAX_RANK = 32
_MAX_DEPTH = 64  # references can form a circle


def read(path: Path, names: list[str], *, max_bytes: int) -> dict[str, Any]:
    """The values of variables, by name."""
    with _MatFile(path, max_bytes) as file, file.reading():
        return {name: file.value(file.item(name), f"{path}: {name}") for name in names}


def list_variables(path: Path) -> list[MatVariable]:
    """The variables of a file, sorted by name."""
    with _MatFile(path, 0) as file, file.reading():
        return [file.describe(name) for name in file.names() if name not in _INTERNAL]


def iter_cells(path: Path, variable: str, *, max_bytes: int) -> Iterator[Any]:
    """Yield the elements of a cell variable, one in memory at a time."""
    with _MatFile(path, max_bytes) as file:
        with file.reading():
            references = file.references(file.item(variable)).ravel(order="F")
        for number, reference in enumerate(references):
            file.left_bytes = max_bytes
            with file.reading():
                value = file.follow(reference, f"{path}: {variable}{{{number + 1}}}", 1)
            yield value


class _MatFile(Hdf5File):
    """An HDF5 file read as MATLAB wrote it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path, max_bytes=max_bytes)
        self.left_bytes = max_bytes

    def __enter__(self) -> _MatFile:
        super().__enter__()
        return self

    def describe(self, name: str) -> MatVariable:
        """MATLAB shape and class of a variable, without reading its data."""
        item = self.item(name)
        matlab_class = self._class(item)
        return MatVariable(
            name, self._shape(item), matlab_class, is_object=matlab_class not in _SUPPORTED
        )

    def value(self, item: Any, where: str, depth: int = 0) -> Any:
        """The Python value of a group or dataset."""
        h5py = require("h5py", extra="convert")
        if depth > _MAX_DEPTH:
            raise UnreadableRawFileError("values are nested too deeply", where=where)
        self.refuse_external(item, where)
        kind = self._class(item)
        if kind not in _SUPPORTED:
            raise unsupported_object(where, kind)
        if isinstance(item, h5py.Group):
            is_sparse = "MATLAB_sparse" in item.attrs
            return self._sparse(item, where) if is_sparse else self._struct(item, where, depth)
        if "MATLAB_empty" in item.attrs:
            return self._empty(item, kind)
        if kind == "cell":
            return self._cells(item, where, depth)
        return self._numbers(item, kind, where)

    def references(self, item: Any) -> NDArray[Any]:
        """The references of a cell array or struct field, with MATLAB's shape."""
        if "MATLAB_empty" in item.attrs:
            return np.empty(self._shape(item), object)
        return self._load(item, str(item.name)).T

    def _load(self, item: Any, where: str) -> NDArray[Any]:
        """The stored array, as long as the limit on memory allows."""
        self.left_bytes -= item.nbytes
        if self.left_bytes < 0:
            raise too_large(where, self.max_bytes)
        with sniff.memory_guard(where, item.nbytes):
            return np.asarray(item[()])

    def follow(self, reference: Any, where: str, depth: int) -> Any:
        """The value that a reference points to."""
        if not reference:
            raise UnreadableRawFileError("a reference leads nowhere", where=where)
        return self.value(self.root[reference], where, depth)

    def _cells(self, item: Any, where: str, depth: int) -> NDArray[Any]:
        references = self.references(item)
        cells = np.empty(references.shape, object)
        for at in np.ndindex(references.shape):
            place = f"{where}{{{subscript(at)}}}"
            cells[at] = self.follow(references[at], place, depth + 1)
        return cells

    def _struct(self, group: Any, where: str, depth: int) -> Any:
        parts = {name: self.member(group, name) for name in self._field_names(group)}
        if parts and all(self._is_reference_array(part) for part in parts.values()):
            return self._struct_array(parts, where, depth)
        return {
            name: self.value(part, f"{where}.{name}", depth + 1) for name, part in parts.items()
        }

    def _struct_array(self, parts: dict[str, Any], where: str, depth: int) -> NDArray[Any]:
        fields = {name: self.references(part) for name, part in parts.items()}
        shapes = {references.shape for references in fields.values()}
        if len(shapes) != 1:
            raise UnreadableRawFileError(
                "the fields of a struct array differ in shape", where=where
            )
        structs = np.empty(shapes.pop(), object)
        for at in np.ndindex(structs.shape):
            place = f"{where}({subscript(at)})"
            structs[at] = {
                name: self.follow(references[at], f"{place}.{name}", depth + 1)
                for name, references in fields.items()
            }
        return structs

    def _numbers(self, item: Any, kind: str, where: str) -> Any:
        array = self._load(item, where)
        if array.dtype.names == ("real", "imag"):
            array = array["real"] + 1j * array["imag"]
        array = array.T if array.ndim >= 2 else array.reshape(-1, 1)
        if kind == "logical":
            return array.astype(bool)
        if kind == "char":
            rows = np.ascontiguousarray(array, "<u2").reshape(len(array), -1)
            return char_rows([row.tobytes().decode("utf-16-le", "replace") for row in rows])
        if array.dtype.kind not in "biufc":
            raise ValueError(f"values of type {array.dtype} are no numbers")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def _empty(self, item: Any, kind: str) -> Any:
        shape = self._shape(item)
        if kind == "char":
            return ""
        if kind in ("cell", "struct"):
            return np.empty(shape, object)
        return np.empty(shape, _NUMPY_NAMES.get(kind, kind))

    def _sparse(self, group: Any, where: str) -> Any:
        parts = {name: self._load(self.member(group, name), where) for name in group}
        starts = parts["jc"].astype(np.int64)
        data = parts.get("data", np.zeros(0))
        if data.dtype.names == ("real", "imag"):
            data = data["real"] + 1j * data["imag"]
        if self._class(group) == "logical":
            data = data.astype(bool)
        rows = parts.get("ir", np.zeros(0)).astype(np.int64)
        shape = (int(group.attrs["MATLAB_sparse"]), len(starts) - 1)
        return sparse_matrix(data, rows, starts, shape)

    def _shape(self, item: Any) -> tuple[int, ...]:
        h5py = require("h5py", extra="convert")
        if isinstance(item, h5py.Group):
            if "MATLAB_sparse" in item.attrs:
                return (int(item.attrs["MATLAB_sparse"]), len(item["jc"]) - 1)
            parts = [self.member(item, name) for name in item]
            is_array = parts and all(self._is_reference_array(part) for part in parts)
            return tuple(parts[0].shape[::-1]) if is_array else (1, 1)
        if "MATLAB_empty" in item.attrs:
            shape = tuple(int(n) for n in item[()].ravel()) if item.size <= _MAX_RANK else ()
            if 0 not in shape:
                raise ValueError(f"an empty array has the shape {shape}")
            return shape
        return tuple(item.shape[::-1]) if len(item.shape) >= 2 else (item.size, 1)

    def _class(self, item: Any) -> str:
        name = item.attrs.get("MATLAB_class")
        if name is not None:
            return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        if "MATLAB_object_decode" in item.attrs:
            return "unknown"
        h5py = require("h5py", extra="convert")
        if isinstance(item, h5py.Group):
            return "struct"
        return "cell" if self._is_reference(item) else "double"

    def _field_names(self, group: Any) -> list[str]:
        """Field names in MATLAB's order where it is stored, else sorted."""
        ordered = group.attrs.get("MATLAB_fields")
        names = sorted(group)
        if ordered is not None:
            listed = ["".join(c.decode() if isinstance(c, bytes) else str(c) for c in field)
                      for field in ordered]  # fmt: skip
            if sorted(listed) == names:
                return listed
        return names

    def _is_reference_array(self, item: Any) -> bool:
        """Whether this is one field of a struct array: references, but not a cell."""
        return self._is_reference(item) and "MATLAB_class" not in item.attrs

    def _is_reference(self, item: Any) -> bool:
        h5py = require("h5py", extra="convert")
        return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None
