"""Random numbers that depend on what they are for, never on who draws them or when.

Every number is a pure function of ``(seed, step, slot, part)`` and the name of its *family*
("geometry", "colour", ...), made by a counter-based generator (Philox 4x64). Nothing is passed
from one sample to the next, so batches are the same for any number of workers, a run can be
resumed anywhere, and switching one family off leaves the numbers of all others as they were.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PosepileError

_WORD = 1 << 64


@dataclass(frozen=True)
class RandomKey:
    """Where in the space of random numbers a sample draws.

    Keys that differ in any field, and families of different names, give independent numbers.

    Attributes:
        seed: Of the whole run.
        step: Number of the batch, or of the epoch.
        slot: Place of the sample in its batch, or its index in the epoch.
        part: Tells repeated uses of one place apart: frames of a clip, attempts after a corrupt
            record. See :meth:`with_part`.
    """

    seed: int
    step: int = 0
    slot: int = 0
    part: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "step", "slot", "part"):
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and 0 <= value < _WORD):
                raise PosepileError(
                    f"random key with {name}={value!r}",
                    rule="seed, step, slot and part are whole numbers in 0 .. 2^64 - 1",
                    fix="pass a non-negative int",
                )

    def with_part(self, part: int) -> RandomKey:
        """Return the key of another part of the same place."""
        return replace(self, part=part)

    def uniforms(self, family: str, count: int) -> NDArray[np.float64]:
        """Return the first ``count`` numbers of a family, uniform in ``[0, 1)``.

        This is the cheap way, half the price of a generator: draw all numbers that a family may
        need at once, so that what one of them decides does not move the others. They are the
        numbers that ``generator(family).random(count)`` would give.
        """
        engine = _engine()
        engine.bit_generator.state = self._state(family)
        return engine.random(count)

    def generator(self, family: str) -> np.random.Generator:
        """Return a fresh generator for a family, for draws whose number is not known beforehand.

        It starts at the same place at every call: call it once per family and key.
        """
        bits = np.random.Philox(0)
        bits.state = self._state(family)
        return np.random.Generator(bits)

    def _state(self, family: str) -> Any:
        # The generator counts in the lowest word, so streams that differ elsewhere never meet.
        counter = np.array([0, self.slot, self.step, _code(family)], np.uint64)
        return {
            "bit_generator": "Philox",
            "state": {"counter": counter, "key": np.array([self.seed, self.part], np.uint64)},
            "buffer": _NO_BUFFER,
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }


_NO_BUFFER = np.zeros(4, np.uint64)
_local = threading.local()


def _engine() -> np.random.Generator:
    """Return this thread's generator, to be set to a state before every use."""
    engine: np.random.Generator | None = getattr(_local, "engine", None)
    if engine is None:
        engine = _local.engine = np.random.Generator(np.random.Philox(0))
    return engine


@functools.cache
def _code(family: str) -> int:
    """Number of a family: a hash of its name, so that new families do not renumber old ones."""
    return int.from_bytes(hashlib.blake2b(family.encode(), digest_size=8).digest(), "little")


def between(u: float, low: float, high: float) -> float:
    """Map a number from ``[0, 1)`` to ``[low, high)``."""
    return low + (high - low) * u


__all__ = ["RandomKey", "between"]
