"""An interpreter of pickle byte code that can only build data.

Python's own unpickler imports and calls whatever a pickle names, so a pickle is a program. This
interpreter looks each ``(module, name)`` up in a dictionary, and what it finds there are inert
descriptions: :class:`Allowed` (a constructor written in this package, for values such as numpy
arrays) or :class:`ShellType` (a class that is *not* imported; its instances become
:class:`Shell` objects which only remember what they were given). Nothing is imported by name,
no attribute is looked up by name, no ``__setstate__`` or ``__reduce__`` of a foreign class runs.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from posepile_torch.errors import UnreadableRawFileError, UnsafePickleError

_MAX_MARKS = 2000  # open lists, dicts and tuples within one another
_MAX_KEY_DEPTH = 20  # the hash of nested tuples recurses in C without a guard
_BUDGET_FACTOR, _BUDGET_FLOOR = 8, 1 << 26


@dataclass(frozen=True, slots=True)
class Allowed:
    """A name that a pickle may use; ``call`` builds the value, ``None`` if it is only passed on.

    ``call(machine, args)`` must check its arguments: they come from the pickle.
    """

    name: str
    call: Callable[[Machine, tuple[Any, ...]], object] | None = None


@dataclass(frozen=True, slots=True)
class ShellType:
    """A class or function that is known by name only.

    After the whole pickle was read, ``finish(shell)`` turns each of its instances into what the
    caller gets; ``None`` leaves the :class:`Shell`.
    """

    module: str
    name: str
    finish: Callable[[Shell], object] | None = None


@dataclass(eq=False, slots=True)
class Shell:
    """What a pickle said about one instance of a class, without that class.

    ``state`` is what the class's ``__setstate__`` would have got (for classes with slots, both
    halves merged into one dictionary), ``args`` and ``kwargs`` what its constructor would have
    got, ``items`` and ``mapping`` the content of subclasses of ``list`` and ``dict``.
    """

    type: ShellType
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    items: list[Any] = field(default_factory=list)
    mapping: dict[Any, Any] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """Dotted name, for example ``"chumpy.ch.Ch"``."""
        return f"{self.type.module}.{self.type.name}"

    def __getitem__(self, attribute: str) -> Any:
        """The value of an attribute in ``state``; ``KeyError`` if it has none."""
        if not isinstance(self.state, dict):
            raise KeyError(attribute)
        return self.state[attribute]

    def get(self, attribute: str, default: Any = None) -> Any:
        """The value of an attribute in ``state``, or ``default``."""
        return self.state.get(attribute, default) if isinstance(self.state, dict) else default


@dataclass(eq=False, slots=True)
class PendingDtype:
    """A numpy dtype between the opcode that names it and the one that completes it."""

    base: np.dtype[Any]
    memo_slots: list[int] = field(default_factory=list)


class StopSignal(Exception):  # noqa: N818 - a signal, not an error
    """Raised by the opcode that ends a pickle; never leaves this package."""


class Machine:
    """Runs one pickle; :meth:`run` returns the value and where the pickle ended."""

    def __init__(
        self,
        data: bytes,
        names: Mapping[tuple[str, str], Allowed | ShellType],
        state_setters: Mapping[type, Callable[[Machine, Any, Any], None]],
        *,
        profile: str,
        encoding: str,
        where: object,
        start: int = 0,
    ) -> None:
        self.data = data
        self.names = names
        self.state_setters = state_setters
        self.profile = profile
        self.encoding = encoding
        self.where = where
        self.at = start
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.has_shells = False
        self.unbuilt: dict[int, Any] = {}
        self.object_depth: dict[int, int] = {}
        self.budget = max(_BUDGET_FACTOR * len(data), _BUDGET_FLOOR)

    def run(self, opcodes: Mapping[int, Callable[[Machine], None]]) -> tuple[Any, int]:
        """Interpret up to the STOP opcode.

        Raises:
            UnsafePickleError: If it asks for anything that is not on the list.
            UnreadableRawFileError: If it is cut off or damaged.
        """
        try:
            while True:
                code = self.data[self.at]
                self.at += 1
                handler = opcodes.get(code)
                if handler is None:
                    self.at -= 1
                    self.damaged(f"0x{code:02x} is no pickle opcode")
                handler(self)
        except StopSignal:
            if len(self.stack) != 1 or self.marks:
                self.damaged("the pickle stops with unfinished values")
            return self.stack[0], self.at
        except UnreadableRawFileError:
            raise
        except (
            IndexError, KeyError, struct.error, ValueError, TypeError, OverflowError
        ) as error:  # fmt: skip
            if self.at >= len(self.data) or isinstance(error, struct.error):
                self.damaged("it ends too early")
            kind = "a value is missing" if isinstance(error, IndexError) else type(error).__name__
            self.damaged(f"{kind}: {error}")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes of the pickle."""
        end = self.at + count
        if count < 0 or end > len(self.data):
            self.at = len(self.data)
            self.damaged("it ends too early")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def line(self) -> bytes:
        """The next line of the pickle, without its end."""
        end = self.data.index(b"\n", self.at)
        piece = self.data[self.at : end]
        self.at = end + 1
        return piece

    def pop_mark(self) -> list[Any]:
        """Everything on the stack since the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def call(self, function: object, args: object, kwargs: object = None) -> Any:
        """Apply what the pickle named to its arguments: the only way to build a value."""
        if type(args) is not tuple:
            self.damaged("the arguments of a call are no tuple")
        if type(function) is ShellType:
            if kwargs is not None and type(kwargs) is not dict:
                self.damaged("the keyword arguments of a call are no dictionary")
            return self.shell(function, args, kwargs or {})
        if type(function) is not Allowed or function.call is None or kwargs:
            named = function.name if type(function) is Allowed else type(function).__name__
            self.unsafe(f"it calls {named}, which cannot be called here")
        return function.call(self, args)

    def shell(self, kind: ShellType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Shell:
        """A new, empty instance of a class that is known by name only."""
        self.has_shells = True
        return Shell(kind, args, kwargs)

    def charge(self, size_bytes: int) -> None:
        """Count memory that a call is about to copy; copies of copies would exhaust it."""
        self.budget -= size_bytes
        if self.budget < 0:
            self.unsafe("it unfolds into far more data than the file holds")

    def check_key(self, key: object, depth: int = 0) -> None:
        """Refuse dictionary keys whose hash could run foreign code or overflow the stack."""
        kind = type(key)
        if kind in _PLAIN_KEYS or kind is Shell:
            return
        if kind is tuple or kind is frozenset:
            if depth >= _MAX_KEY_DEPTH:
                self.unsafe(f"a dictionary key is nested deeper than {_MAX_KEY_DEPTH} tuples")
            for part in key:  # type: ignore[attr-defined]
                self.check_key(part, depth + 1)
        elif not (isinstance(key, np.generic) and kind is not np.void):
            self.damaged(f"a {kind.__name__} is used as a dictionary key")

    def damaged(self, what: str) -> NoReturn:
        """Raise the error for a pickle that makes no sense."""
        raise UnreadableRawFileError(
            f"this is no intact pickle (byte {self.at} of {len(self.data)}): {what}",
            where=self.where,
            fix="fetch the file again; if others open it, it may be of another kind than a pickle",
        )

    def unsafe(self, what: str) -> NoReturn:
        """Raise the error for a pickle that asks for more than data."""
        raise UnsafePickleError(
            f"the pickle was refused (byte {self.at}): {what}",
            where=self.where,
            rule="pickles are read as data; nothing of this one was executed",
            fix="do not open the file by other means; fetch it again from its original source",
        )

    def unlisted(self, module: str, name: str) -> NoReturn:
        """Raise the error for a class or function that the profile does not list."""
        raise UnsafePickleError(
            f"the pickle needs {module}.{name}, which the profile {self.profile!r} does not allow",
            where=self.where,
            rule="only listed classes and functions may occur; nothing of this one was executed",
            fix="if the file comes from a source you trust: load it in a throw-away environment "
            "with the package that wrote it and save its arrays as .npz or JSON; or name the "
            "class as inert data with PickleProfile.extended(...)",
        )

    # ---- what the opcodes do -------------------------------------------------------------

    def push_global(self, module: object, name: object) -> None:
        """GLOBAL and its relatives: an exact dictionary look-up."""
        if type(module) is not str or type(name) is not str:
            self.damaged("a class is not named by text")
        entry = self.names.get((module, name))
        if entry is None:
            self.unlisted(module, name)
        self.stack.append(entry)

    def remember(self, slot: int) -> None:
        """PUT and its relatives."""
        value = self.stack[-1]
        if type(value) is PendingDtype:
            value.memo_slots.append(slot)
        self.memo[slot] = value

    def mark(self) -> None:
        """MARK: begin a list of values."""
        if len(self.marks) >= _MAX_MARKS:
            self.unsafe(f"its values are nested deeper than {_MAX_MARKS} levels")
        self.marks.append(self.stack)
        self.stack = []

    def extend(self, items: list[Any]) -> None:
        """APPEND(S)."""
        target = self.stack[-1]
        if type(target) is Shell:
            target.items.extend(items)
        elif type(target) is list:
            target.extend(items)
        else:
            self.damaged(f"items are appended to a {type(target).__name__}")

    def update(self, flat: list[Any]) -> None:
        """SETITEM(S): keys and values in turn."""
        target = self.stack[-1]
        if type(target) is Shell:
            target = target.mapping
        elif type(target) is not dict and type(target) is not OrderedDict:
            self.damaged(f"items are set on a {type(target).__name__}")
        if len(flat) % 2:
            self.damaged("a key has no value")
        for i in range(0, len(flat), 2):
            key = flat[i]
            if type(key) is not str:
                self.check_key(key)
            target[key] = flat[i + 1]

    def build(self) -> None:
        """BUILD: give an object its state."""
        state = self.stack.pop()
        target = self.stack[-1]
        setter = self.state_setters.get(type(target))
        if setter is not None:
            setter(self, target, state)
        elif type(target) is Shell:
            _set_shell_state(target, state)
        else:
            named = target.name if type(target) is Allowed else type(target).__name__
            self.unsafe(f"it sets the state of {named}")

    def replace(self, pending: PendingDtype, done: object) -> None:
        """Put a completed value where its unfinished form lies: on the stack and in the memo."""
        self.stack[-1] = done
        for slot in pending.memo_slots:
            self.memo[slot] = done

    def text(self, raw: bytes) -> Any:
        """A string of Python 2 by the chosen encoding."""
        return raw if self.encoding == "bytes" else raw.decode(self.encoding)


def _set_shell_state(shell: Shell, state: Any) -> None:
    if state is shell:
        return  # dictionary subclasses that name themselves as their state; it adds nothing
    halves = state if type(state) is tuple and len(state) == 2 else (state,)
    if all(half is None or type(half) in (dict, OrderedDict) for half in halves):
        merged: dict[Any, Any] = dict(shell.state) if isinstance(shell.state, dict) else {}
        for half in halves:
            merged.update(half or {})
        shell.state = merged
    else:
        shell.state = state


_PLAIN_KEYS = frozenset({str, bytes, int, float, bool, complex, type(None)})
