"""Which samples a batch is made of: a pure function of the seed and the number of the batch.

Nothing is shuffled and nothing remembered. The order of a pass through a source is a keyed
permutation that is computed place by place, so the first batch of a billion samples costs as much
as any other, and a run continues anywhere, with any number of workers and ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MixtureError
from posepile_torch.mixture import Mixture
from posepile_torch.transforms.streams import RandomKey

_ROUNDS = 8
_U64 = np.uint64
_SCHEMA = 1


class Draw(NamedTuple):
    """One place of a batch.

    Attributes:
        member: Number of the member in the mixture.
        example: Index of the sample in the member's source.
        step: Number of the batch.
        slot: Place in the batch of all ranks together.
    """

    member: int
    example: int
    step: int
    slot: int


@dataclass(frozen=True, eq=False)
class Draws:
    """The places of a batch that one rank fills; iterating gives each as a :class:`Draw`.

    Attributes:
        members: ``[b]`` numbers of members.
        indices: ``[b]`` indices into their sources.
        slots: ``[b]`` places in the batch of all ranks together.
        step: Number of the batch.
    """

    members: NDArray[np.int64]
    indices: NDArray[np.int64]
    slots: NDArray[np.int64]
    step: int

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Draw]:
        columns = (self.members.tolist(), self.indices.tolist(), self.slots.tolist())
        return (Draw(m, i, self.step, s) for m, i, s in zip(*columns, strict=True))


class Sampler:
    """The batches of a mixture, in order.

    Give it to a ``DataLoader`` as ``batch_sampler``, or let
    :func:`~posepile_torch.loader.make_loader` do so. Iterating begins at :attr:`step` and leaves
    it as it is, because a DataLoader asks for batches long before they are used; whoever uses
    them sets it.

    Attributes:
        step: Number of the next batch.

    Args:
        mixture: What is mixed.
        rank: Number of this process.
        world_size: How many processes share each batch; rank ``r`` has every ``world_size``-th
            place from the ``r``-th on.
        steps: Batches per pass; None for an endless one.

    Raises:
        MixtureError: If the batch cannot be shared evenly.
    """

    def __init__(
        self, mixture: Mixture, *, rank: int = 0, world_size: int = 1, steps: int | None = None
    ) -> None:
        if world_size < 1 or not 0 <= rank < world_size:
            raise MixtureError(
                f"rank {rank} of {world_size}", rule="ranks are numbered from 0 to world_size - 1"
            )
        if world_size > len(mixture):
            raise MixtureError(
                f"{world_size} ranks for {len(mixture)} samples",
                rule="there are no more ranks than samples",
            )
        if mixture.batch_size % world_size:
            raise MixtureError(
                f"{mixture.batch_size} samples per batch for {world_size} ranks",
                rule="the batch size, of all ranks together, is a multiple of the ranks",
                fix="change the batch size or the number of ranks",
            )
        if steps is not None and steps < 1:
            raise MixtureError(f"steps={steps}", rule="a pass has at least one batch")
        self.mixture, self.rank, self.world_size, self.steps = mixture, rank, world_size, steps
        self.step = 0
        self._order = mixture.order
        self._counts = mixture.counts
        self._before = _occurrences(self._order)
        self._sizes = np.array([len(m.source) for m in mixture.members], np.int64)
        names = [m.name for m in mixture.members]
        self._keys = np.array([_key(mixture.seed, name) for name in names], _U64)
        self._cumulative = {
            number: np.cumsum(mixture.example_weights[name])
            for number, name in enumerate(names)
            if name in mixture.example_weights
        }

    def batch(self, step: int) -> Draws:
        """Return the places of batch ``step`` that this rank fills."""
        period, row = divmod(step, len(self._order))
        slots = np.arange(self.rank, self.mixture.batch_size, self.world_size, dtype=np.int64)
        members = self._order[row, slots]
        place = period * self._counts[members] + self._before[row, slots]
        sizes = self._sizes[members]
        passes = place // sizes
        keys = _mixed(self._keys[members] ^ _mixed(passes.astype(_U64)))
        indices = permuted(place % sizes, sizes, keys)
        for number, cumulative in self._cumulative.items():
            mine = members == number
            if mine.any():
                indices[mine] = _weighted(cumulative, self.mixture.seed, step, slots[mine])
        return Draws(members, indices, slots, step)

    def __iter__(self) -> Iterator[Draws]:
        step, left = self.step, self.steps
        while left is None or left > 0:
            yield self.batch(step)
            step += 1
            left = None if left is None else left - 1

    def __len__(self) -> int:
        if self.steps is None:
            raise TypeError("an endless sampler has no length; give it steps=")
        return self.steps

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is: a few numbers, the same for every rank."""
        return {
            "schema": _SCHEMA,
            "step": self.step,
            "seed": self.mixture.seed,
            "fingerprint": self.mixture.fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any], *, allow_changed: bool = False) -> None:
        """Go on where :meth:`state_dict` was taken, with any number of ranks.

        Args:
            state: From another sampler of the same mixture.
            allow_changed: Whether archives, views, shares, batch size or seed may have changed;
                the stream is then another one from here on.

        Raises:
            MixtureError: If they have, or if it is no such state.
        """
        if state.get("schema") != _SCHEMA or not isinstance(state.get("step"), int):
            raise MixtureError(f"this is no state of a sampler: {str(dict(state))[:80]}")
        own = (self.mixture.seed, self.mixture.fingerprint)
        if (state.get("seed"), state.get("fingerprint")) != own and not allow_changed:
            raise MixtureError(
                "the state is of another mixture",
                rule="a run continues with the archives, rows, shares, batch size and seed that "
                "it began with",
                fix="restore them, or pass allow_changed=True to go on with another stream",
            )
        self.step = state["step"]


def permuted(
    places: NDArray[np.int64], sizes: NDArray[np.int64], keys: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return where keyed permutations send ``places``, each of its own size and key.

    A Feistel network permutes the next power of two; a result that is too large is sent through
    again until it fits ("cycle walking"), which keeps it a permutation.

    Args:
        places: ``[n]`` in ``0 .. sizes - 1``.
        sizes: ``[n]`` sizes of the permutations, at least 1.
        keys: ``[n]`` uint64.
    """
    bits = np.maximum(np.ceil(np.log2(sizes.astype(np.float64))).astype(np.int64), 2)
    low = (bits // 2).astype(_U64)
    low_mask = (_U64(1) << low) - _U64(1)
    high_mask = (_U64(1) << (bits.astype(_U64) - low)) - _U64(1)
    result = places.astype(_U64)
    limit = sizes.astype(_U64)
    open_ones = np.arange(len(places))
    while len(open_ones):
        part = open_ones
        a, b = result[part] >> low[part], result[part] & low_mask[part]
        for number in range(_ROUNDS):
            key = keys[part] + _U64(number)
            if number % 2:
                b = b ^ (_mixed(a ^ _mixed(key)) & low_mask[part])
            else:
                a = a ^ (_mixed(b ^ _mixed(key)) & high_mask[part])
        result[part] = (a << low[part]) | b
        open_ones = part[result[part] >= limit[part]]
    return result.astype(np.int64)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = x + _U64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _U64(27))) * _U64(0x94D049BB133111EB)
    return x ^ (x >> _U64(31))


def _key(seed: int, name: str) -> int:
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _occurrences(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each place of a period how often its member came before."""
    flat = order.ravel()
    result = np.empty_like(flat)
    for member in np.unique(flat):
        mine = flat == member
        result[mine] = np.arange(np.count_nonzero(mine))
    return result.reshape(order.shape)


def _weighted(
    cumulative: NDArray[np.float64], seed: int, step: int, slots: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Draw with replacement by cumulative weights; samples of weight 0 are never drawn."""
    u = RandomKey(seed, step).uniforms("example", int(slots.max()) + 1)[slots]
    found = np.searchsorted(cumulative, u * cumulative[-1], side="right")
    # u < 1, but the product may round up to the sum; the last sample of positive weight has it.
    last = np.searchsorted(cumulative, cumulative[-1], side="left")
    return np.asarray(np.minimum(found, last), np.int64)


__all__ = ["Draw", "Draws", "Sampler", "permuted"]
