"""MATLAB v5 to v7 files, in the library's convention.

Written from MathWorks' published description ("MAT-File Format", level 5). A reader of our own,
because the well-known native one crashes the process on damaged files, forgets the names of
variables that hold objects of MATLAB classes, and either loses MATLAB's number types or the
imaginary parts.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import RawFileTooLargeError, UnreadableRawFileError, require
from posepile_torch.rawfiles import sniff

_HEADER_BYTES, _VERSION_AT = 128, 124
_MATRIX, _COMPRESSED = 14, 15
_OPAQUE, _LOGICAL_FLAG, _COMPLEX_FLAG = 17, 0x0200, 0x0800
_STORED_TYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXT_ENCODINGS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CLASSES = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single",
    8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64",
    15: "uint64", 16: "function_handle",
}  # fmt: skip
_NUMPY_NAMES = {"double": "float64", "single": "float32", "logical": "bool"}
_PEEK_BYTES, _PEEK_PACKED_BYTES = 2048, 8192
_MAX_DEPTH = 64
_LEAST_ELEMENT_BYTES = 8


@dataclass(frozen=True)
class MatVariable:
    """What a ``.mat`` file says about one variable: its name, MATLAB shape and class.

    ``is_object`` is true for values that only MATLAB can read: objects of classes and functions.
    """

    name: str
    shape: tuple[int, ...]
    matlab_class: str
    is_object: bool = False


def check(checked: sniff.CheckedFile) -> None:
    """Refuse files that are not of version 5 to 7."""
    head = checked.head
    mark = head[_VERSION_AT : _VERSION_AT + 4]
    if {b"IM": mark[1:2], b"MI": mark[0:1]}.get(mark[2:4]) == b"\x01":
        return
    found = "but one of version 4" if _is_v4(head) else f"but {sniff.looks_like(head)}"
    raise UnreadableRawFileError(
        f"this is no MATLAB file of version 5 to 7.3, {found}",
        where=checked.path,
        fix="fetch the file again; write old ones again in MATLAB with save -v7",
    )


def list_variables(path: Path) -> list[MatVariable]:
    """The variables of a file, in its order.

    Raises:
        UnreadableRawFileError: If a variable reaches beyond the end of the file, makes no sense,
            or has the name of an earlier one.
    """
    return [element.variable for element in _elements(path)]


def read(path: Path, names: list[str], *, max_bytes: int) -> dict[str, Any]:
    """The values of variables, by name."""
    by_name = {element.variable.name: element for element in _elements(path)}
    values = {}
    with path.open("rb") as file, sniff.memory_guard(path, path.stat().st_size):
        for name in names:
            element, where = by_name[name], f"{path}: {name}"
            try:
                content = _content(file, element, max_bytes, where)
                parser = _Parser(content, element.order, max_bytes)
                values[name] = parser.matrix(0, len(content), where, 0)
            except (ValueError, struct.error, zlib.error, IndexError, KeyError) as error:
                if isinstance(error, UnreadableRawFileError):
                    raise
                raise _damaged(where, error) from None
    return values


def char_rows(rows: list[str]) -> str | list[str]:
    """The value of a char array with these rows."""
    if len(rows) <= 1:
        return rows[0] if rows else ""
    return rows


def subscript(at: tuple[int, ...]) -> str:
    """A position as MATLAB writes it, from 1."""
    return ",".join(str(i + 1) for i in at)


def sparse_matrix(data: Any, rows: Any, starts: Any, shape: tuple[int, int]) -> Any:
    """A checked ``scipy.sparse.csc_array``."""
    sparse = require("scipy.sparse", extra="convert")
    matrix = sparse.csc_array((data, rows, starts), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def unsupported_object(where: object, matlab_class: str) -> UnreadableRawFileError:
    """The error for an object of a MATLAB class."""
    return UnreadableRawFileError(
        f"a value is an object of the MATLAB class {matlab_class!r}, which is not supported",
        where=where,
        rule="such objects are stored in an undocumented form; plain arrays, structs and cells "
        "are read",
        fix="ask only for the variables that are needed, or convert it in MATLAB: "
        "s = struct(x); save('plain.mat', 's', '-v7')",
    )


def too_large(where: object, max_bytes: int) -> RawFileTooLargeError:
    """The error for variables that exceed the limit."""
    return RawFileTooLargeError(
        f"the variable takes more than {max_bytes:,} bytes",
        where=where,
        fix="ask for fewer variables, use iter_mat_cells, or pass a larger max_bytes",
    )


def _is_v4(head: bytes) -> bool:
    """Version 4 begins with a number whose decimal digits are codes: order, 0, type, kind."""
    for code in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        thousands, rest = divmod(code, 1000)
        if thousands <= 4 and rest // 10 <= 5 and rest % 10 <= 2 and len(head) >= 20:
            return True
    return False


@dataclass(frozen=True)
class _TopElement:
    variable: MatVariable
    at: int  # of its content in the file
    length: int
    is_compressed: bool
    order: str


def _elements(path: Path) -> list[_TopElement]:
    found: dict[str, _TopElement] = {}
    try:
        with path.open("rb") as file:
            for element in _walk(file, path.stat().st_size):
                name = element.variable.name
                if name in found:
                    raise ValueError(f"the variable {name!r} occurs twice")
                if name:  # MATLAB's own data have no name
                    found[name] = element
    except (ValueError, struct.error, zlib.error, IndexError, KeyError) as error:
        raise _damaged(path, error) from None
    return list(found.values())


def _walk(file: BinaryIO, file_bytes: int) -> Iterator[_TopElement]:
    header = file.read(_HEADER_BYTES)
    order = "<" if header[_VERSION_AT + 2 : _VERSION_AT + 4] == b"IM" else ">"
    at = _HEADER_BYTES
    while at < file_bytes:
        file.seek(at)
        kind, length = struct.unpack(f"{order}II", file.read(8))
        end = at + 8 + length
        if kind not in (_MATRIX, _COMPRESSED):
            raise ValueError(f"an element of the unknown kind {kind} at byte {at}")
        if end > file_bytes:
            raise ValueError(f"the file ends {end - file_bytes:,} bytes too early")
        is_compressed = kind == _COMPRESSED
        if is_compressed:
            packed = file.read(min(length, _PEEK_PACKED_BYTES))
            start = zlib.decompressobj().decompress(packed, _PEEK_BYTES)[8:]
        else:
            start = file.read(min(length, _PEEK_BYTES))
        variable = _Parser(start, order, 0).describe()
        yield _TopElement(variable, at + 8, length, is_compressed, order)
        at = end


def _content(file: BinaryIO, element: _TopElement, max_bytes: int, where: str) -> bytes:
    """The bytes of a variable without its outermost tag, unpacked and checked."""
    file.seek(element.at)
    content = file.read(element.length)
    if len(content) != element.length:
        raise ValueError("the file ends too early")
    if not element.is_compressed:
        return content
    unpacker = zlib.decompressobj()
    tag = unpacker.decompress(content, 8)
    kind, length = struct.unpack(f"{element.order}II", tag)
    if kind != _MATRIX:
        raise ValueError(f"a compressed element of the unknown kind {kind}")
    if length > max_bytes:
        raise too_large(where, max_bytes)
    unpacked = unpacker.decompress(unpacker.unconsumed_tail, max(length, 1))
    rest = unpacker.decompress(unpacker.unconsumed_tail, 1)
    if len(unpacked) != length or rest or not unpacker.eof:  # eof: the checksum was right
        raise ValueError("a compressed variable has another size than it says")
    return unpacked


class _Parser:
    """Reads the sub-elements of one variable."""

    def __init__(self, data: bytes, order: str, max_bytes: int) -> None:
        self.data = data
        self.order = order
        self.max_bytes = max_bytes
        self.left_bytes = max_bytes
        self.pair = struct.Struct(f"{order}II")

    def describe(self) -> MatVariable:
        """Name, shape and class of the variable; its values may be missing."""
        flags, shape, name, at = self.header(0, len(self.data))
        matlab_class = _class_name(flags)
        is_object = flags & 0xFF in (3, 16, _OPAQUE)
        if flags & 0xFF == _OPAQUE:
            matlab_class = self.opaque_class(at, len(self.data))
        elif matlab_class == "object":
            matlab_class = self.text(at, len(self.data))[0]
        return MatVariable(name, shape, matlab_class, is_object)

    def header(self, at: int, end: int) -> tuple[int, tuple[int, ...], str, int]:
        """Flags, shape and name of a matrix, and where its content begins."""
        kind, start, length, at = self.element(at, end)
        if kind != 6 or length < 4:
            raise ValueError("a value has no flags")
        (flags,) = struct.unpack_from(f"{self.order}I", self.data, start)
        shape: tuple[int, ...] = (1, 1)
        if flags & 0xFF != _OPAQUE:
            kind, start, length, at = self.element(at, end)
            shape = struct.unpack_from(f"{self.order}{length // 4}i", self.data, start)
            if kind not in (5, 6) or len(shape) < 2 or min(shape) < 0 or len(shape) > 32:
                raise ValueError(f"a value has the shape {shape}")
        name, at = self.text(at, end)
        return flags, shape, name, at

    def element(self, at: int, end: int) -> tuple[int, int, int, int]:
        """Kind, start and length of the sub-element at a position, and where the next begins."""
        kind, length = self.pair.unpack_from(self.data, at)
        if kind >> 16:  # up to four bytes are stored inside the tag
            kind, length, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if length > 4:
                raise ValueError("a short element has more than four bytes")
        else:
            start = at + 8
            after = start + length + -length % 8
        if start + length > end:
            raise ValueError("a value reaches beyond the variable that it belongs to")
        return kind, start, length, after

    def text(self, at: int, end: int) -> tuple[str, int]:
        """A name, and where the next sub-element begins."""
        _, start, length, at = self.element(at, end)
        return self.data[start : start + length].rstrip(b"\0").decode("utf-8", "replace"), at

    def opaque_class(self, at: int, end: int) -> str:
        """The class of an object in MATLAB's newer form: behind its type system."""
        _, at = self.text(at, end)
        return self.text(at, end)[0]

    def matrix(self, at: int, end: int, where: str, depth: int) -> Any:
        """The value whose content lies between two positions."""
        if at == end:  # how an empty field or cell is abbreviated
            return np.empty((0, 0))
        if depth > _MAX_DEPTH:
            raise ValueError("values are nested too deeply")
        flags, shape, _, at = self.header(at, end)
        matlab_class = _class_name(flags)
        if matlab_class == "opaque":
            raise unsupported_object(where, self.opaque_class(at, end))
        if matlab_class == "object":
            raise unsupported_object(where, self.text(at, end)[0])
        if matlab_class == "function_handle":
            raise unsupported_object(where, matlab_class)
        if matlab_class == "cell":
            return self.cells(shape, at, end, where, depth)
        if matlab_class == "struct":
            return self.structs(shape, at, end, where, depth)
        if matlab_class == "char":
            return self.chars(shape, at, end)
        if matlab_class == "sparse":
            return self.sparse(flags, shape, at, end)
        return self.dense(flags, matlab_class, shape, at, end, where)

    def dense(
        self, flags: int, matlab_class: str, shape: tuple[int, ...], at: int, end: int, where: str
    ) -> NDArray[Any]:
        """An array of numbers in MATLAB's type."""
        dtype = np.dtype(_NUMPY_NAMES.get(matlab_class, matlab_class))
        self.left_bytes -= math.prod(shape) * dtype.itemsize
        if self.left_bytes < 0:
            raise too_large(where, self.max_bytes)
        real, at = self.numbers(at, end, math.prod(shape))
        with np.errstate(invalid="ignore", over="ignore"):
            values: NDArray[Any] = real.astype(dtype)
            if flags & _COMPLEX_FLAG:
                imaginary, at = self.numbers(at, end, math.prod(shape))
                values = values + 1j * imaginary.astype(dtype)
        return values.reshape(shape, order="F")

    def numbers(self, at: int, end: int, count: int | None) -> tuple[NDArray[Any], int]:
        """The numbers of a sub-element as they are stored."""
        kind, start, length, after = self.element(at, end)
        dtype = np.dtype(self.order + _STORED_TYPES[kind])
        stored = length // dtype.itemsize
        if count is not None and stored != count:
            raise ValueError(f"{stored} numbers are stored instead of {count}")
        return np.frombuffer(self.data, dtype, stored, start), after

    def chars(self, shape: tuple[int, ...], at: int, end: int) -> str | list[str]:
        """A char array: one string for each of its rows."""
        if 0 in shape:
            return ""
        kind, start, length, _ = self.element(at, end)
        encoding = _TEXT_ENCODINGS[kind]
        if kind != 16 and encoding != "latin1":
            encoding += "-le" if self.order == "<" else "-be"
        text = self.data[start : start + length].decode(encoding, "replace")
        if shape[0] == 1:
            return text
        units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
        rows = units.reshape(shape, order="F").reshape(shape[0], -1)
        return char_rows([row.tobytes().decode("utf-16-le", "replace") for row in rows])

    def cells(
        self, shape: tuple[int, ...], at: int, end: int, where: str, depth: int
    ) -> NDArray[Any]:
        """A cell array."""
        self.check_count(math.prod(shape), at, end)
        cells = np.empty(shape, object)
        for place in _column_major(shape):
            inner = f"{where}{{{subscript(place)}}}"
            cells[place], at = self.nested(at, end, inner, depth)
        return cells

    def structs(self, shape: tuple[int, ...], at: int, end: int, where: str, depth: int) -> Any:
        """A struct or an array of structs."""
        widths, at = self.numbers(at, end, 1)
        width = int(widths[0])
        _, start, length, at = self.element(at, end)
        if width <= 0 or length % width:
            raise ValueError("the names of a struct's fields are cut off")
        raw = self.data[start : start + length]
        names = [
            raw[i : i + width].split(b"\0")[0].decode("utf-8", "replace")
            for i in range(0, length, width)
        ]
        if len(set(names)) != len(names):
            raise ValueError("a struct has two fields of the same name")
        self.check_count(math.prod(shape) * max(len(names), 1), at, end + 8 * _MAX_DEPTH)
        structs = np.empty(shape, object)
        for place in _column_major(shape):
            inner = where if math.prod(shape) == 1 else f"{where}({subscript(place)})"
            structs[place] = fields = {}
            for name in names:
                fields[name], at = self.nested(at, end, f"{inner}.{name}", depth)
        return structs[0, 0] if shape == (1, 1) else structs

    def nested(self, at: int, end: int, where: str, depth: int) -> tuple[Any, int]:
        """A value inside a cell or struct, and where the next one begins."""
        kind, start, length, after = self.element(at, end)
        if kind != _MATRIX:
            raise ValueError(f"a value of the unknown kind {kind}")
        return self.matrix(start, start + length, where, depth + 1), after

    def check_count(self, count: int, at: int, end: int) -> None:
        """Refuse more values than the bytes that are left can hold."""
        if count * _LEAST_ELEMENT_BYTES > max(end - at, 0):
            raise ValueError(f"{count} values are announced, which do not fit")

    def sparse(self, flags: int, shape: tuple[int, ...], at: int, end: int) -> Any:
        """A sparse matrix: logical, double or complex."""
        rows, at = self.numbers(at, end, None)
        starts, at = self.numbers(at, end, shape[1] + 1)
        _, start, length, _ = self.element(at, end)
        real, at = self.numbers(at, end, None)
        count = int(starts[-1])
        if flags & _LOGICAL_FLAG and length == count:  # MATLAB calls these bytes doubles
            real = np.frombuffer(self.data, "u1", count, start)
        data = real[:count].astype(bool if flags & _LOGICAL_FLAG else np.float64)
        if flags & _COMPLEX_FLAG:
            data = data + 1j * self.numbers(at, end, None)[0][:count].astype(np.float64)
        return sparse_matrix(
            data, rows[:count].astype(np.int64), starts.astype(np.int64), (shape[0], shape[1])
        )


def _class_name(flags: int) -> str:
    if flags & 0xFF == _OPAQUE:
        return "opaque"
    name = _CLASSES[flags & 0xFF]
    is_number = name not in ("cell", "struct", "object", "char", "sparse", "function_handle")
    return "logical" if is_number and flags & _LOGICAL_FLAG else name


def _column_major(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for reversed_place in np.ndindex(*shape[::-1]):
        yield reversed_place[::-1]


def _damaged(where: object, error: Exception) -> UnreadableRawFileError:
    what = f"the code {error} is unknown" if isinstance(error, KeyError) else str(error)
    return UnreadableRawFileError(
        f"the MATLAB file is cut off or damaged: {what}", where=where, fix="fetch the file again"
    )
