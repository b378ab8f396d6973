"""The opcodes of pickle protocols 0 to 5, as Python documents them in ``pickletools``.

Each handler takes what it needs from the pickle and the stack of the machine; whatever builds a
value goes through the machine, which decides whether it may.
"""

from __future__ import annotations

import codecs
import struct
import warnings
from collections.abc import Callable
from typing import Any

from posepile_torch.rawfiles.pickle_machine import Machine, StopSignal

_HIGHEST_PROTOCOL = 5

#: What each byte code does.
OPCODES: dict[int, Callable[[Machine], None]] = {}


def _op(code: bytes) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def register(handler: Callable[[Machine], None]) -> Callable[[Machine], None]:
        OPCODES[code[0]] = handler
        return handler

    return register


def _constant(code: bytes, make: Callable[[], Any]) -> None:
    OPCODES[code[0]] = lambda m: m.stack.append(make())


def _number(code: bytes, layout: str) -> None:
    unpack, size = struct.Struct(layout).unpack_from, struct.calcsize(layout)

    def handler(m: Machine) -> None:
        m.stack.append(unpack(m.data, m.at)[0])
        m.at += size

    OPCODES[code[0]] = handler


def _sized(code: bytes, layout: str, convert: Callable[[Machine, bytes], Any]) -> None:
    unpack, size = struct.Struct(layout).unpack_from, struct.calcsize(layout)

    def handler(m: Machine) -> None:
        length = unpack(m.data, m.at)[0]
        m.at += size
        m.stack.append(convert(m, m.take(length)))

    OPCODES[code[0]] = handler


def _memo(code: bytes, layout: str, *, put: bool) -> None:
    unpack, size = struct.Struct(layout).unpack_from, struct.calcsize(layout)

    def handler(m: Machine) -> None:
        slot = unpack(m.data, m.at)[0]
        m.at += size
        if put:
            m.remember(slot)
        else:
            m.stack.append(m.memo[slot])

    OPCODES[code[0]] = handler


def _refused(code: bytes, what: str) -> None:
    OPCODES[code[0]] = lambda m: m.unsafe(what)


def _utf8(m: Machine, raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _raw(m: Machine, raw: bytes) -> bytes:
    return raw


_constant(b"N", lambda: None)
_constant(b"\x88", lambda: True)
_constant(b"\x89", lambda: False)
_constant(b"]", list)
_constant(b")", tuple)
_constant(b"}", dict)
_constant(b"\x8f", set)
_number(b"J", "<i")
_number(b"K", "<B")
_number(b"M", "<H")
_number(b"G", ">d")
_sized(b"U", "<B", Machine.text)
_sized(b"T", "<i", Machine.text)
_sized(b"\x8c", "<B", _utf8)
_sized(b"X", "<I", _utf8)
_sized(b"\x8d", "<Q", _utf8)
_sized(b"C", "<B", _raw)
_sized(b"B", "<I", _raw)
_sized(b"\x8e", "<Q", _raw)
_sized(b"\x96", "<Q", lambda m, raw: bytearray(raw))
_sized(b"\x8a", "<B", lambda m, raw: int.from_bytes(raw, "little", signed=True))
_sized(b"\x8b", "<i", lambda m, raw: int.from_bytes(raw, "little", signed=True))
_memo(b"q", "<B", put=True)
_memo(b"r", "<I", put=True)
_memo(b"h", "<B", put=False)
_memo(b"j", "<I", put=False)
_refused(b"P", "it refers to objects outside of itself (persistent id)")
_refused(b"Q", "it refers to objects outside of itself (persistent id)")
_refused(b"\x82", "it uses the extension registry")
_refused(b"\x83", "it uses the extension registry")
_refused(b"\x84", "it uses the extension registry")
_refused(b"\x97", "it refers to buffers outside of itself")
_refused(b"\x98", "it refers to buffers outside of itself")


@_op(b"\x80")
def _proto(m: Machine) -> None:
    if (version := m.take(1)[0]) > _HIGHEST_PROTOCOL:
        m.damaged(f"protocol {version} is unknown")


@_op(b"\x95")
def _frame(m: Machine) -> None:
    m.take(8)  # frames only help buffered reading; the whole pickle is in memory here


@_op(b".")
def _stop(m: Machine) -> None:
    raise StopSignal


@_op(b"(")
def _mark(m: Machine) -> None:
    m.mark()


@_op(b"0")
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


@_op(b"1")
def _pop_mark(m: Machine) -> None:
    m.pop_mark()


@_op(b"2")
def _dup(m: Machine) -> None:
    m.stack.append(m.stack[-1])


@_op(b"I")
def _int(m: Machine) -> None:
    raw = m.line()
    m.stack.append({b"00": False, b"01": True}[raw] if raw in (b"00", b"01") else int(raw))


@_op(b"L")
def _long(m: Machine) -> None:
    m.stack.append(int(m.line().removesuffix(b"L")))


@_op(b"F")
def _float(m: Machine) -> None:
    m.stack.append(float(m.line()))


@_op(b"S")
def _string(m: Machine) -> None:
    quoted = m.line().strip()
    if len(quoted) < 2 or quoted[0] != quoted[-1] or quoted[:1] not in (b'"', b"'"):
        m.damaged("a string has no quotes")
    raw = quoted[1:-1]
    if b"\\" in raw:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown escapes stay as they are
            raw = bytes(codecs.escape_decode(raw)[0])
    m.stack.append(m.text(raw))


@_op(b"V")
def _unicode(m: Machine) -> None:
    m.stack.append(m.line().decode("raw-unicode-escape"))


@_op(b"p")
def _put(m: Machine) -> None:
    m.remember(int(m.line()))


@_op(b"\x94")
def _memoize(m: Machine) -> None:
    m.remember(len(m.memo))


@_op(b"g")
def _get(m: Machine) -> None:
    m.stack.append(m.memo[int(m.line())])


@_op(b"t")
def _tuple(m: Machine) -> None:
    items = tuple(m.pop_mark())
    m.stack.append(items)


@_op(b"\x85")
def _tuple1(m: Machine) -> None:
    m.stack[-1] = (m.stack[-1],)


@_op(b"\x86")
def _tuple2(m: Machine) -> None:
    m.stack[-2:] = [(m.stack[-2], m.stack[-1])]


@_op(b"\x87")
def _tuple3(m: Machine) -> None:
    m.stack[-3:] = [(m.stack[-3], m.stack[-2], m.stack[-1])]


@_op(b"l")
def _list(m: Machine) -> None:
    items = m.pop_mark()
    m.stack.append(items)


@_op(b"d")
def _dict(m: Machine) -> None:
    flat = m.pop_mark()
    m.stack.append({})
    m.update(flat)


@_op(b"a")
def _append(m: Machine) -> None:
    item = m.stack.pop()
    m.extend([item])


@_op(b"e")
def _appends(m: Machine) -> None:
    items = m.pop_mark()
    m.extend(items)


@_op(b"s")
def _setitem(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.update([key, value])


@_op(b"u")
def _setitems(m: Machine) -> None:
    flat = m.pop_mark()
    m.update(flat)


@_op(b"\x90")
def _additems(m: Machine) -> None:
    items = m.pop_mark()
    target = m.stack[-1]
    if type(target) is not set:
        m.damaged(f"items are added to a {type(target).__name__}")
    for item in items:
        m.check_key(item)
        target.add(item)


@_op(b"\x91")
def _frozenset(m: Machine) -> None:
    items = m.pop_mark()
    for item in items:
        m.check_key(item)
    m.stack.append(frozenset(items))


@_op(b"c")
def _global(m: Machine) -> None:
    module = m.line().decode("utf-8")
    m.push_global(module, m.line().decode("utf-8"))


@_op(b"\x93")
def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.push_global(module, name)


@_op(b"R")
def _reduce(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


@_op(b"\x81")
def _newobj(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


@_op(b"\x92")
def _newobj_ex(m: Machine) -> None:
    kwargs, args = m.stack.pop(), m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args, kwargs)


@_op(b"i")
def _inst(m: Machine) -> None:
    module, name = m.line().decode("utf-8"), m.line().decode("utf-8")
    args = tuple(m.pop_mark())
    m.push_global(module, name)
    m.stack[-1] = m.call(m.stack[-1], args)


@_op(b"o")
def _obj(m: Machine) -> None:
    kind, *args = m.pop_mark()
    m.stack.append(m.call(kind, tuple(args)))


@_op(b"b")
def _build(m: Machine) -> None:
    m.build()
