"""The values that every pickle profile may contain: built-in ones and numpy's.

Each constructor checks what the pickle hands it and then builds the value by ordinary means. The
dtype and the byte count of an array must agree before numpy sees them: ``ndarray.__setstate__``
trusts the flags of a dtype, and a forged one would make it take numbers for pointers.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.rawfiles.pickle_machine import (
    Allowed,
    Machine,
    PendingDtype,
    Shell,
    ShellType,
)

_TYPE_CODE = re.compile(r"[|<>=]?(?:[biufc?]\d{0,2}|[SUV]\d{0,9}|O[48]?|[Mm]8?)")
_TIME_UNITS = frozenset({"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"})
_ENCODINGS = frozenset({"latin1", "latin-1", "iso-8859-1", "utf8", "utf-8", "ascii"})
_MAX_DIMENSIONS = 32
_MAX_OBJECT_DEPTH = 20  # arrays within arrays of objects; freeing them recurses in C


def _array_stub(m: Machine, args: tuple[Any, ...]) -> NDArray[Any]:
    if len(args) != 3 or args[1] != (0,) or args[2] not in (b"b", "b"):
        m.unsafe(f"it calls _reconstruct with {_short(args[1:])} instead of ((0,), 'b')")
    if args[0] not in _ARRAY_TYPES:
        m.unsafe("it calls _reconstruct for something that is no array type")
    stub = np.empty((0,), np.int8)
    m.unbuilt[id(stub)] = stub
    return stub


def set_array_state(m: Machine, stub: NDArray[Any], state: Any) -> None:
    """Fill an array that ``_reconstruct`` made: ``(1, shape, dtype, fortran order, data)``."""
    if m.unbuilt.pop(id(stub), None) is None:
        m.unsafe("it changes an array that is complete already")
    if type(state) is not tuple or len(state) not in (4, 5):
        m.damaged("the state of an array is incomplete")
    shape, dtype, fortran, data = state[-4:]
    shape, dtype = _shape(m, shape), as_dtype(m, dtype)
    if dtype.hasobject:
        _check_objects(m, stub, shape, dtype, data)
    else:
        m.object_depth.pop(id(stub), None)  # an array that was freed may have had this id
        # numpy keeps, and lets its user write to, the very bytes it gets: never shared ones.
        data = bytes(memoryview(_data_for(m, shape, dtype, data)))
    stub.__setstate__((1, shape, dtype, bool(fortran), data))  # type: ignore[arg-type]


def _check_objects(
    m: Machine, stub: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], data: Any
) -> None:
    if dtype != np.dtype(object):
        m.damaged("records with Python objects in them are not supported")
    if type(data) is not list or len(data) != math.prod(shape):
        m.damaged(f"an array of shape {shape} comes with another number of objects")
    depth = 0
    for item in data:
        if type(item) is np.ndarray:
            if id(item) in m.unbuilt:
                m.damaged("an array contains an array that is not complete")
            depth = max(depth, m.object_depth.get(id(item), 0) + 1)
    if depth > _MAX_OBJECT_DEPTH:
        m.unsafe(f"arrays are nested deeper than {_MAX_OBJECT_DEPTH} levels")
    m.object_depth[id(stub)] = depth


def _data_for(
    m: Machine, shape: tuple[int, ...], dtype: np.dtype[Any], data: Any
) -> bytes | bytearray:
    if type(data) is str:  # Python 2 kept bytes in strings
        data = data.encode("latin1")
    if type(data) not in (bytes, bytearray):
        m.damaged(f"a {type(data).__name__} stands where the bytes of an array belong")
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        m.damaged(
            f"an array of shape {shape} and type {dtype} comes with {len(data):,} bytes, "
            f"not {wanted:,}"
        )
    m.charge(wanted)
    return data  # type: ignore[no-any-return]


def _from_buffer(m: Machine, args: tuple[Any, ...]) -> NDArray[Any]:
    buffer, dtype, shape, order = args
    dtype, shape = as_dtype(m, dtype), _shape(m, shape)
    if order not in ("C", "F") or dtype.hasobject:
        m.damaged(f"an array has order {_short(order)} and type {dtype}")
    return np.ndarray(shape, dtype, bytearray(_data_for(m, shape, dtype, buffer)), order=order)


def _scalar(m: Machine, args: tuple[Any, ...]) -> Any:
    dtype = as_dtype(m, args[0])
    if dtype.hasobject or len(args) != 2:
        m.damaged("a numpy scalar holds a Python object")
    raw = _data_for(m, (), dtype, args[1])
    return (np.ndarray((), dtype, bytearray(raw)) if raw else np.zeros((), dtype))[()]


def _dtype(m: Machine, args: tuple[Any, ...]) -> PendingDtype:
    code = args[0]
    if code in _RECORD_TYPES:
        code = "V"
    if type(code) is bytes:
        code = code.decode("ascii")
    if type(code) is not str or not _TYPE_CODE.fullmatch(code):
        m.damaged(f"{_short(code)} names no numpy type")
    return PendingDtype(np.dtype(object if code.lstrip("|<>=")[:1] == "O" else code))


def set_dtype_state(m: Machine, pending: PendingDtype, state: Any) -> None:
    """Complete a dtype: byte order, fields, sub-array, time unit; its flags are not believed."""
    if type(state) is not tuple or len(state) not in (8, 9) or state[0] not in (3, 4):
        m.damaged("the state of a numpy type is of an unknown version")
    _, order, subarray, names, fields, size, _, _ = state[:8]
    order = order.decode("ascii") if type(order) is bytes else order
    if order not in ("<", ">", "=", "|"):  # "<" and "=" are the same on every machine in use
        m.damaged(f"{_short(order)} is no byte order")
    done = pending.base
    if done.kind == "O":
        pass
    elif subarray is not None:
        element, shape = subarray
        shape = _shape(m, (shape,) if type(shape) is int else shape)
        done = np.dtype((as_dtype(m, element), shape))
    elif names is not None:
        done = _structure(m, names, fields, size)
    else:
        done = _time_dtype(m, done, state) if done.kind in "Mm" else done
        done = done.newbyteorder(">") if order == ">" else done
    m.replace(pending, done)


def _structure(m: Machine, names: Any, fields: Any, size: Any) -> np.dtype[Any]:
    if type(names) is not tuple or type(fields) is not dict or type(size) is not int:
        m.damaged("a record type has no fields")
    types = [as_dtype(m, fields[name][0]) for name in names]
    if any(t.hasobject for t in types):
        m.damaged("records with Python objects in them are not supported")
    text = [name.decode("latin1") if type(name) is bytes else str(name) for name in names]
    offsets = [int(fields[name][1]) for name in names]
    return np.dtype({"names": text, "formats": types, "offsets": offsets, "itemsize": size})


def _time_dtype(m: Machine, base: np.dtype[Any], state: tuple[Any, ...]) -> np.dtype[Any]:
    if len(state) == 8:
        return base
    unit, count = state[8][1][:2]
    unit = unit.decode("ascii") if type(unit) is bytes else unit
    if unit == "generic":
        return base
    if unit not in _TIME_UNITS or type(count) is not int or not 0 < count < 1_000_000:
        m.damaged(f"{_short(unit)} is no unit of time")
    return np.dtype(f"{base.kind}8[{count}{unit}]")


def as_dtype(m: Machine, value: Any) -> np.dtype[Any]:
    """The dtype that an opcode argument stands for."""
    if type(value) is PendingDtype:
        return value.base
    if not isinstance(value, np.dtype):
        m.damaged(f"a {type(value).__name__} stands where a numpy type belongs")
    return value


def _shape(m: Machine, shape: Any) -> tuple[int, ...]:
    sound = type(shape) is tuple and len(shape) <= _MAX_DIMENSIONS
    if not sound or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        m.unsafe(f"an array claims the shape {_short(shape)}")
    return tuple(shape)


def _encode(m: Machine, args: tuple[Any, ...]) -> bytes:
    text, encoding = args if len(args) == 2 else (*args, "utf-8")
    if type(text) is not str or encoding not in _ENCODINGS:
        m.unsafe(f"it calls encode with the encoding {_short(encoding)}")
    m.charge(2 * len(text))
    return text.encode(encoding)


def _bytes(m: Machine, args: tuple[Any, ...]) -> bytes:
    if not args:
        return b""
    if type(args[0]) is str:
        return _encode(m, args)
    if len(args) != 1 or type(args[0]) not in (bytes, bytearray):
        m.unsafe("it builds bytes from something else than bytes")  # bytes(10**10) would allocate
    m.charge(len(args[0]))
    return bytes(args[0])


def _set(m: Machine, args: tuple[Any, ...]) -> set[Any]:
    items = _sequence(m, args)
    for item in items:
        m.check_key(item)
    return set(items)


def _ordered_dict(m: Machine, args: tuple[Any, ...]) -> OrderedDict[Any, Any]:
    result: OrderedDict[Any, Any] = OrderedDict()
    for pair in _sequence(m, args):
        key, value = pair
        m.check_key(key)
        result[key] = value
    return result


def _default_dict(m: Machine, args: tuple[Any, ...]) -> dict[Any, Any]:
    if len(args) > 1 or any(a is not None and type(a) is not Allowed for a in args):
        m.unsafe("it builds a defaultdict from something else than a type")
    return {}  # a plain one: reading a missing key must not create it


def _sequence(m: Machine, args: tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    if not args:
        return []
    if len(args) != 1 or type(args[0]) not in (list, tuple):
        m.damaged("a collection is built from something else than a list")
    m.charge(8 * len(args[0]))
    return args[0]  # type: ignore[no-any-return]


def _plain_numbers(m: Machine, args: tuple[Any, ...], kinds: tuple[type, ...]) -> None:
    if not 1 <= len(args) <= 3 or not all(a is None or type(a) in kinds for a in args):
        m.damaged(f"a range, slice or complex number is built from {_short(args)}")


def _slice(m: Machine, args: tuple[Any, ...]) -> slice:
    _plain_numbers(m, args, (int,))
    return slice(*args)


def _range(m: Machine, args: tuple[Any, ...]) -> range:
    _plain_numbers(m, args, (int,))
    return range(*args)


def _complex(m: Machine, args: tuple[Any, ...]) -> complex:
    _plain_numbers(m, args, (int, float))
    return complex(*args)


def _new_object(m: Machine, args: tuple[Any, ...]) -> Shell:
    if not args or type(args[0]) is not ShellType:
        m.unsafe("it creates an object of a class that is not plain data")
    return m.shell(args[0], args[1:], {})


def _new_object_ex(m: Machine, args: tuple[Any, ...]) -> Shell:
    kind, positional, named = args
    if type(kind) is not ShellType or type(positional) is not tuple or type(named) is not dict:
        m.unsafe("it creates an object of a class that is not plain data")
    return m.shell(kind, positional, named)


def _reconstructor(m: Machine, args: tuple[Any, ...]) -> Shell:
    kind, base, content = args
    if type(kind) is not ShellType or type(base) is not Allowed:
        m.unsafe("it creates an object of a class that is not plain data")
    shell = m.shell(kind, (), {})
    if type(content) is dict:
        shell.mapping.update(content)
    elif type(content) in (list, tuple):
        shell.items.extend(content)
    elif content is not None:
        shell.args = (content,)
    return shell


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, (str, bytes, int, float, tuple)) else str(type(value))
    return text if len(text) <= 60 else f"{text[:60]}..."


_NDARRAY = Allowed("numpy.ndarray")
_MATRIX = Allowed("numpy.matrix")
_MEMMAP = Allowed("numpy.memmap")
_RECARRAY = Allowed("numpy.recarray")
_RECORD = Allowed("numpy.record")
_ARRAY_TYPES = (_NDARRAY, _MATRIX, _MEMMAP, _RECARRAY)  # all become plain arrays
_RECORD_TYPES = (_RECORD,)


def _builtin_names() -> dict[tuple[str, str], Allowed]:
    builtin: dict[str, Any] = {
        "set": _set, "slice": _slice, "range": _range, "xrange": _range, "complex": _complex,
        "frozenset": lambda m, args: frozenset(_set(m, args)),
        "bytes": _bytes, "bytearray": lambda m, args: bytearray(_bytes(m, args)),
        **dict.fromkeys(("object", "dict", "list", "tuple", "int", "float", "str", "bool")),
    }  # fmt: skip
    names = {
        (module, name): Allowed(f"builtins.{name}", call)
        for module in ("builtins", "__builtin__")
        for name, call in builtin.items()
    }
    for module in ("copyreg", "copy_reg"):
        names[module, "_reconstructor"] = Allowed("copyreg._reconstructor", _reconstructor)
        names[module, "__newobj__"] = Allowed("copyreg.__newobj__", _new_object)
        names[module, "__newobj_ex__"] = Allowed("copyreg.__newobj_ex__", _new_object_ex)
    names["_codecs", "encode"] = Allowed("_codecs.encode", _encode)
    names["collections", "OrderedDict"] = Allowed("collections.OrderedDict", _ordered_dict)
    names["collections", "defaultdict"] = Allowed("collections.defaultdict", _default_dict)
    return names


def _numpy_names() -> dict[tuple[str, str], Allowed]:
    names = {
        ("numpy", "ndarray"): _NDARRAY,
        ("numpy", "matrix"): _MATRIX,
        ("numpy.matrixlib.defmatrix", "matrix"): _MATRIX,
        ("numpy", "memmap"): _MEMMAP,
        ("numpy", "recarray"): _RECARRAY,
        ("numpy.rec", "recarray"): _RECARRAY,
        ("numpy", "record"): _RECORD,
        ("numpy.rec", "record"): _RECORD,
        ("numpy", "dtype"): Allowed("numpy.dtype", _dtype),
    }
    for core in ("numpy.core", "numpy._core"):  # renamed in numpy 2
        multiarray, numeric = f"{core}.multiarray", f"{core}.numeric"
        names[multiarray, "_reconstruct"] = Allowed(f"{multiarray}._reconstruct", _array_stub)
        names[multiarray, "scalar"] = Allowed(f"{multiarray}.scalar", _scalar)
        names[numeric, "_frombuffer"] = Allowed(f"{numeric}._frombuffer", _from_buffer)
        names[f"{core}.memmap", "memmap"] = _MEMMAP
        names[f"{core}.records", "recarray"] = _RECARRAY
        names[f"{core}.records", "record"] = _RECORD
    return names


NUMPY_NAMES: dict[tuple[str, str], Allowed | ShellType] = {**_builtin_names(), **_numpy_names()}
STATE_SETTERS: dict[type, Callable[[Machine, Any, Any], None]] = {
    np.ndarray: set_array_state,
    PendingDtype: set_dtype_state,
}
