"""Torch tensors inside ordinary pickles, as numpy arrays on the CPU.

The fits of some datasets were pickled with tensors in them, even CUDA ones. Each storage lies in
the pickle as the bytes of a ``torch.save``; torch's own ``weights_only`` reader opens these.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.rawfiles.pickle_machine import Allowed, Machine


def _storage(m: Machine, args: tuple[Any, ...]) -> NDArray[Any]:
    import pickle

    import torch

    if len(args) != 1 or type(args[0]) is not bytes:
        m.unsafe("it loads a tensor from something else than bytes")
    m.charge(2 * len(args[0]))
    try:
        storage = torch.load(io.BytesIO(args[0]), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        m.unsafe(f"torch refuses the bytes of a tensor ({str(error).splitlines()[0]})")
    if not isinstance(storage, torch.storage.TypedStorage):
        m.damaged(f"a {type(storage).__name__} stands where the storage of a tensor belongs")
    values = torch.tensor([], dtype=storage.dtype).set_(storage)
    if values.dtype is torch.bfloat16:  # numpy has no such type; float32 holds it exactly
        values = values.float()
    array: NDArray[Any] = values.numpy()
    return array


def _tensor(m: Machine, args: tuple[Any, ...]) -> NDArray[Any]:
    storage, offset, shape, strides = args[:4]
    if type(storage) is not np.ndarray or storage.ndim != 1:
        m.damaged("a tensor has no storage")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in numbers):
        m.damaged("a tensor has a bad shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 in shape:
        return np.empty(shape, storage.dtype)
    if last >= len(storage):
        m.unsafe("a tensor reaches beyond its storage")
    size = int(np.prod([float(n) for n in shape])) * storage.itemsize
    m.charge(size)  # an expanded tensor repeats its storage
    byte_strides = tuple(step * storage.itemsize for step in strides)
    view = np.lib.stride_tricks.as_strided(storage[offset:], tuple(shape), byte_strides)
    return view.copy()


def _parameter(m: Machine, args: tuple[Any, ...]) -> Any:
    if type(args[0]) is not np.ndarray:
        m.damaged("a parameter holds no tensor")
    return args[0]


def _size(m: Machine, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(args) != 1 or type(args[0]) not in (list, tuple):
        m.damaged("a torch.Size is built from something else than a list")
    return tuple(args[0])


TORCH_NAMES = {
    ("torch._utils", "_rebuild_tensor_v2"): Allowed("torch._utils._rebuild_tensor_v2", _tensor),
    ("torch._utils", "_rebuild_tensor"): Allowed("torch._utils._rebuild_tensor", _tensor),
    ("torch._utils", "_rebuild_parameter"): Allowed("torch._utils._rebuild_parameter", _parameter),
    ("torch.storage", "_load_from_bytes"): Allowed("torch.storage._load_from_bytes", _storage),
    ("torch", "Size"): Allowed("torch.Size", _size),
}
