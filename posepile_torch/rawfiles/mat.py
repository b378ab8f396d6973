"""Reading MATLAB files of both generations with one convention.

=============  ================================================================================
MATLAB         Python
=============  ================================================================================
numbers        array with MATLAB's shape, at least 2-D, axes in MATLAB's order, MATLAB's type
logical        the same, bool
char           ``str``; a matrix of several rows gives a list of ``str``
struct 1x1     ``dict`` from field name to value
struct array   object array of ``dict`` with MATLAB's shape
cell           object array with MATLAB's shape
sparse         ``scipy.sparse.csc_array``
empty          the same kinds with an empty shape; ``""`` for char
=============  ================================================================================

:func:`mat_list` makes a plain list of a cell, a struct array or a single struct. Objects of
MATLAB classes (tables, strings, camera parameters) are stored in an undocumented form; reading a
variable that holds one is an error that says how to convert it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.rawfiles import mat_v5, mat_v73, sniff
from posepile_torch.rawfiles.hdf5 import is_hdf5
from posepile_torch.rawfiles.mat_v5 import MatVariable


def read_mat(
    path: str | os.PathLike[str],
    variables: Iterable[str] | None = None,
    *,
    max_bytes: int = sniff.DEFAULT_MAX_BYTES,
) -> dict[str, Any]:
    """Read variables of a MATLAB file (v5 to v7, and v7.3), by name.

    Values are as in the table of this module: shapes and axes as in MATLAB in both formats.

    Args:
        path: The file.
        variables: Which ones; only these are read. ``None`` for all.
        max_bytes: How much memory the numbers may take.

    Raises:
        UnreadableRawFileError: If the file is cut off, damaged, of another format (v4 included),
            lacks one of ``variables``, or if one of them holds objects of a MATLAB class.
        RawFileTooLargeError: If the variables exceed ``max_bytes`` or the memory at hand.
        MissingDependencyError: If h5py (for v7.3) or scipy (for sparse matrices) is missing.
    """
    checked = sniff.check_file(path, max_bytes=None, may_start_with_zeros=True)
    known = {variable.name: variable for variable in list_mat(path)}
    wanted = list(known if variables is None else variables)
    for name in wanted:
        if name not in known:
            raise sniff.no_such_part("variable", name, known, where=path)
        if known[name].is_object:
            raise mat_v5.unsupported_object(f"{path}: {name}", known[name].matlab_class)
    if is_hdf5(checked):
        return mat_v73.read(checked.path, wanted, max_bytes=max_bytes)
    return mat_v5.read(checked.path, wanted, max_bytes=max_bytes)


def list_mat(path: str | os.PathLike[str]) -> tuple[MatVariable, ...]:
    """The variables of a MATLAB file with their shapes and classes, without reading them."""
    checked = sniff.check_file(path, max_bytes=None, may_start_with_zeros=True)
    if is_hdf5(checked):
        return tuple(mat_v73.list_variables(checked.path))
    mat_v5.check(checked)
    return tuple(mat_v5.list_variables(checked.path))


def mat_list(value: Any) -> list[Any]:
    """The elements of a cell, a struct array or a single struct, in MATLAB's linear order.

    Fields that hold several structs in one file and a single one in another read the same way.
    Anything that is neither a cell nor a struct is taken as the only element.
    """
    if isinstance(value, np.ndarray) and value.dtype == object:
        return list(value.ravel(order="F"))
    return [value]


def iter_mat_cells(
    path: str | os.PathLike[str], variable: str, *, max_bytes: int = sniff.DEFAULT_MAX_BYTES
) -> Iterator[Any]:
    """Yield the elements of one cell variable in MATLAB's linear order.

    In v7.3 files one element is in memory at a time; v5 variables cannot be read in parts (and
    cannot exceed 2 GiB). Values and errors are those of :func:`read_mat`.
    """
    checked = sniff.check_file(path, max_bytes=None, may_start_with_zeros=True)
    known = {entry.name: entry for entry in list_mat(path)}
    if variable not in known:
        raise sniff.no_such_part("variable", variable, known, where=path)
    if known[variable].matlab_class != "cell":
        raise UnreadableRawFileError(
            f"the variable {variable!r} is no cell array but {known[variable].matlab_class}",
            where=path,
        )
    if is_hdf5(checked):
        yield from mat_v73.iter_cells(checked.path, variable, max_bytes=max_bytes)
    else:
        yield from mat_list(read_mat(path, [variable], max_bytes=max_bytes)[variable])
