"""Turning the shells of a pickle into what their profile makes of them, innermost first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from posepile_torch.errors import PosepileError, UnreadableRawFileError
from posepile_torch.rawfiles.pickle_machine import Shell

_Done = dict[int, tuple[Any, Any]]  # id -> (original, kept so that its id stays taken; result)


def finish(root: Any, *, where: object) -> Any:
    """Replace every shell below ``root`` by the result of its type's ``finish`` function.

    The functions run after the whole pickle was read, on shells whose content is finished. Lists,
    dictionaries and arrays keep their identity; tuples and sets are rebuilt. Dictionary keys stay
    as they are.

    Raises:
        UnreadableRawFileError: If a shell contains itself, or lacks what its function expects.
    """
    done: _Done = {}
    open_ids: set[int] = set()
    tasks: list[tuple[Any, bool]] = [(root, False)]
    while tasks:
        value, has_finished_children = tasks.pop()
        if not _is_container(value):
            continue
        if has_finished_children:
            open_ids.discard(id(value))
            done[id(value)] = (value, _finished(value, done, where))
        elif id(value) in open_ids:
            if type(value) not in (list, dict, OrderedDict):
                raise UnreadableRawFileError(
                    f"a {_name(value)} in the pickle contains itself", where=where
                )
        elif id(value) not in done:
            open_ids.add(id(value))
            tasks.append((value, True))
            tasks.extend((child, False) for child in _children(value))
    return _result(root, done)


def _is_container(value: Any) -> bool:
    kind = type(value)
    if kind is np.ndarray:
        return bool(value.dtype == object)
    return kind in _CONTAINERS


def _children(value: Any) -> list[Any]:
    if type(value) is Shell:
        return [value.args, value.kwargs, value.state, value.items, value.mapping]
    if type(value) in (dict, OrderedDict):
        return list(value.values())
    return list(value.flat) if type(value) is np.ndarray else list(value)


def _finished(value: Any, done: _Done, where: object) -> Any:
    kind = type(value)
    if kind is Shell:
        return _finished_shell(value, done, where)
    if kind in (tuple, set, frozenset):
        parts = [_result(part, done) for part in value]
        changed = any(new is not old for new, old in zip(parts, value, strict=True))
        return kind(parts) if changed else value
    if kind is np.ndarray:
        for i, part in enumerate(value.flat):
            value.flat[i] = _result(part, done)
    elif kind is list:
        value[:] = [_result(part, done) for part in value]
    else:
        for key, part in value.items():
            value[key] = _result(part, done)
    return value


def _finished_shell(shell: Shell, done: _Done, where: object) -> Any:
    shell.args = _result(shell.args, done)
    shell.state = _result(shell.state, done)
    if shell.type.finish is None:
        return shell
    try:
        return shell.type.finish(shell)
    except PosepileError as error:  # the function does not know the file
        raise type(error)(error.what, where=where, rule=error.rule, fix=error.fix) from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnreadableRawFileError(
            f"a {_name(shell)} in the pickle is not built as expected "
            f"({type(error).__name__}: {error})",
            where=where,
            rule="its content is read without the package that wrote it",
            fix="fetch the file again; if it is right, report the version of that package",
        ) from error


def _result(value: Any, done: _Done) -> Any:
    entry = done.get(id(value))
    return value if entry is None else entry[1]


def _name(value: Any) -> str:
    return value.class_name if type(value) is Shell else type(value).__name__


_CONTAINERS = frozenset({list, dict, OrderedDict, tuple, set, frozenset, Shell})
