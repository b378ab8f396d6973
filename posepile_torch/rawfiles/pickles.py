"""Reading pickles as data, under a named list of what they may contain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from posepile_torch.errors import UnknownNameError, UnreadableRawFileError
from posepile_torch.rawfiles import sniff
from posepile_torch.rawfiles.pickle_finish import finish
from posepile_torch.rawfiles.pickle_machine import Allowed, Machine, Shell, ShellType
from posepile_torch.rawfiles.pickle_opcodes import OPCODES
from posepile_torch.rawfiles.pickle_pandas import PANDAS_NAMES
from posepile_torch.rawfiles.pickle_smpl import SMPL_NAMES
from posepile_torch.rawfiles.pickle_torch import TORCH_NAMES
from posepile_torch.rawfiles.pickle_values import NUMPY_NAMES, STATE_SETTERS


@dataclass(frozen=True)
class PickleProfile:
    """An exact list of the classes and functions that a pickle may name.

    The ready ones are ``PICKLE_PROFILES``; :meth:`extended` makes new ones. A profile cannot make
    a pickle run code: what it lists is either built by this library, value by value, or kept as
    an inert :class:`Shell`.
    """

    name: str
    names: Mapping[tuple[str, str], Allowed | ShellType] = field(repr=False)

    def extended(
        self,
        name: str,
        classes: Mapping[tuple[str, str], Callable[[Shell], object] | None],
    ) -> PickleProfile:
        """A profile that also accepts instances of further classes, as inert shells.

        Args:
            name: The name of the new profile, for messages.
            classes: For each exact ``(module, class or function)`` a function from the finished
                :class:`Shell` to the value that the caller gets, or ``None`` to get the shell.
                The functions run after the whole pickle was read, innermost first. The classes
                are never imported.
        """
        shells = {key: ShellType(*key, finish) for key, finish in classes.items()}
        return PickleProfile(name, {**self.names, **shells})


_NUMPY = PickleProfile("numpy", NUMPY_NAMES)

#: The ready profiles by name: numpy, smpl, pandas and torch.
PICKLE_PROFILES: Mapping[str, PickleProfile] = {
    "numpy": _NUMPY,
    "smpl": PickleProfile("smpl", {**NUMPY_NAMES, **SMPL_NAMES}),
    "pandas": PickleProfile("pandas", {**NUMPY_NAMES, **PANDAS_NAMES}),
    "torch": PickleProfile("torch", {**NUMPY_NAMES, **TORCH_NAMES}),
}


def read_pickle(
    path: str | os.PathLike[str],
    profile: str | PickleProfile = "numpy",
    *,
    encoding: str = "latin1",
    max_bytes: int | None = sniff.DEFAULT_MAX_BYTES,
) -> Any:
    """Read a pickle without running any code that it asks for.

    Protocols 0 to 5 are read, those of Python 2 included.

    Args:
        path: The file.
        profile: ``"numpy"`` (built-in containers, numpy arrays and scalars), ``"smpl"`` (also
            chumpy variables and scipy sparse matrices, as dense arrays), ``"pandas"`` (also
            frames and series, as :class:`ColumnTable`), ``"torch"`` (also tensors, as arrays), or
            a :class:`PickleProfile` of your own.
        encoding: How text written by Python 2 is decoded; ``"bytes"`` leaves it undecoded.
        max_bytes: Refuse larger files; ``None`` lifts the limit.

    Raises:
        UnsafePickleError: If the pickle names anything outside the profile, refers to objects
            outside of itself, or unfolds into far more data than it holds.
        UnreadableRawFileError: If it is cut off, damaged, or followed by further data.
        RawFileTooLargeError: If it exceeds ``max_bytes`` or the memory at hand.
    """
    data = sniff.read_bytes(path, max_bytes=max_bytes)
    with sniff.memory_guard(path, len(data)):
        return parse_pickle(data, profile, encoding=encoding, where=path)


def iter_pickles(
    path: str | os.PathLike[str],
    profile: str | PickleProfile = "numpy",
    *,
    encoding: str = "latin1",
    max_bytes: int | None = sniff.DEFAULT_MAX_BYTES,
) -> Iterator[Any]:
    """Yield the values of a file into which several pickles were written one after another.

    Arguments and errors are those of :func:`read_pickle`.
    """
    data = sniff.read_bytes(path, max_bytes=max_bytes)
    at = 0
    while at < len(data):
        with sniff.memory_guard(path, len(data)):
            value, at = _parse_one(data, profile, encoding=encoding, where=path, start=at)
        yield value


def parse_pickle(
    data: bytes,
    profile: str | PickleProfile = "numpy",
    *,
    encoding: str = "latin1",
    where: object = None,
) -> Any:
    """Parse the bytes of one pickle by the rules of :func:`read_pickle`."""
    value, end = _parse_one(data, profile, encoding=encoding, where=where, start=0)
    if end != len(data):
        raise UnreadableRawFileError(
            f"{len(data) - end:,} bytes follow the end of the pickle (byte {end})",
            where=where,
            fix="read files of several pickles with iter_pickles, or fetch the file again",
        )
    return value


def _parse_one(
    data: bytes, profile: str | PickleProfile, *, encoding: str, where: object, start: int
) -> tuple[Any, int]:
    if isinstance(profile, str):
        if profile not in PICKLE_PROFILES:
            raise UnknownNameError.among("pickle profile", profile, PICKLE_PROFILES)
        profile = PICKLE_PROFILES[profile]
    kind = sniff.looks_like(data[start : start + 512])
    if not kind.startswith("unknown") and kind != "a pickle":
        raise UnreadableRawFileError(
            f"this is no pickle but {kind}",
            where=where,
            fix="use the reader of that format; torch.save writes zip archives, which "
            "torch.load(path, weights_only=True) reads",
        )
    machine = Machine(
        data,
        profile.names,
        STATE_SETTERS,
        profile=profile.name,
        encoding=encoding,
        where=where,
        start=start,
    )
    value, end = machine.run(OPCODES)
    return (finish(value, where=where) if machine.has_shells else value), end
