"""Names in body-model files, reduced to arrays: chumpy's variables and scipy's sparse matrices.

chumpy is not needed (it does not run on current Pythons), nor is scipy. Fields as listed by the
SMPL papers' files: a ``Ch`` holds its value under ``x``; a ``Select`` picks entries of ``a``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.rawfiles.pickle_machine import Shell, ShellType

_MAX_DENSE_ELEMENTS = 1 << 27


def _value(shell: Shell) -> NDArray[Any]:
    return np.asarray(shell["x"])


def _selection(shell: Shell) -> NDArray[Any]:
    picked = np.asarray(shell["a"]).ravel()[np.asarray(shell["idxs"])]
    shape = shell.get("preferred_shape")
    result: NDArray[Any] = picked if shape is None else picked.reshape([int(n) for n in shape])
    return result


def _dense(shell: Shell) -> NDArray[Any]:
    """A compressed sparse matrix as a dense array, with every index checked."""
    by_column = "csc" in shell.type.name
    shape = tuple(int(n) for n in shell.get("_shape", shell.get("shape")))
    if len(shape) != 2 or min(shape) < 0 or math.prod(shape) > _MAX_DENSE_ELEMENTS:
        raise UnreadableRawFileError(f"a sparse matrix claims the shape {shape}")
    outer, inner = shape[::-1] if by_column else shape
    data, indices, starts = (np.asarray(shell[name]) for name in ("data", "indices", "indptr"))
    starts, indices = starts.astype(np.int64), indices.astype(np.int64)
    count = int(starts[-1])
    if len(starts) != outer + 1 or starts[0] != 0 or np.any(np.diff(starts) < 0):
        raise UnreadableRawFileError("the rows of a sparse matrix are not in order")
    if count > min(len(data), len(indices)):
        raise UnreadableRawFileError("a sparse matrix has fewer values than it claims")
    data, indices = data[:count], indices[:count]
    if np.any((indices < 0) | (indices >= inner)):
        raise UnreadableRawFileError("a sparse matrix has an index outside of its shape")
    dense = np.zeros((outer, inner), data.dtype)
    np.add.at(dense, (np.repeat(np.arange(outer), np.diff(starts)), indices), data)
    return dense.T.copy() if by_column else dense


def _smpl_names() -> dict[tuple[str, str], ShellType]:
    names = {
        ("chumpy.ch", "Ch"): ShellType("chumpy.ch", "Ch", _value),
        ("chumpy.reordering", "Select"): ShellType("chumpy.reordering", "Select", _selection),
    }
    for module in ("scipy.sparse.csc", "scipy.sparse._csc", "scipy.sparse"):
        names[module, "csc_matrix"] = ShellType(module, "csc_matrix", _dense)
    for module in ("scipy.sparse.csr", "scipy.sparse._csr", "scipy.sparse"):
        names[module, "csr_matrix"] = ShellType(module, "csr_matrix", _dense)
    return names


SMPL_NAMES = _smpl_names()
