"""Batches of a mixture, from any number of worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from posepile_torch.errors import ArchiveCorruptError, ImageError, MixtureError, RecordError
from posepile_torch.mixture import Mixture
from posepile_torch.sample import Batch, Sample, collate
from posepile_torch.sampler import Draws, Sampler
from posepile_torch.transforms.backgrounds import open_backgrounds
from posepile_torch.transforms.streams import RandomKey

_DAMAGE = (ArchiveCorruptError, ImageError, RecordError)


@dataclass(frozen=True, eq=False)
class _Delivery:
    """What a worker hands over: a batch, or the error that a record raised."""

    batch: Batch | None
    error: ArchiveCorruptError | ImageError | RecordError | None = None

    def pin_memory(self) -> _Delivery:
        return self if self.batch is None else _Delivery(self.batch.pin_memory())


class _Samples(Dataset[Sample]):
    def __init__(self, mixture: Mixture) -> None:
        self._sources = [member.source for member in mixture.members]
        self._seed = mixture.seed

    def __getitems__(self, draws: Draws) -> list[_Delivery]:
        try:
            samples = [
                self._sources[d.member].sample(d.example, RandomKey(self._seed, d.step, d.slot))
                for d in draws
            ]
        except _DAMAGE as error:
            return [_Delivery(None, error)]
        return [_Delivery(collate(samples))]


class Loader:
    """The batches of a mixture; make one with :func:`make_loader`.

    Iterating goes on where the last pass ended, or where :meth:`load_state_dict` put it.

    Attributes:
        sampler: Decides what each batch is made of; its ``step`` is that of the next batch.
    """

    def __init__(self, sampler: Sampler, batches: DataLoader[Any]) -> None:
        self.sampler = sampler
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        for delivery in self._batches:
            if delivery.error is not None:
                raise delivery.error
            self.sampler.step += 1
            yield delivery.batch

    def __len__(self) -> int:
        return len(self.sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is, counting batches that were handed out, not prefetched."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any], *, allow_changed: bool = False) -> None:
        """Go on at a saved place, with any number of workers and ranks; before iterating.

        Raises:
            MixtureError: If the state is of another mixture.
        """
        self.sampler.load_state_dict(state, allow_changed=allow_changed)


def make_loader(
    mixture: Mixture,
    *,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    steps: int | None = None,
    pin_memory: bool = False,
    start_method: str | None = None,
) -> Loader:
    """Return a loader whose batches are the same for any number of workers.

    Workers live as long as the loader and compute with one thread each. A damaged record raises
    its own error in this process.

    Args:
        mixture: What to load.
        num_workers: Worker processes; 0 loads in this process.
        rank: Number of this process among those that train.
        world_size: How many processes train together.
        steps: Batches per pass; None for an endless one.
        pin_memory: Whether batches are put in page-locked memory.
        start_method: ``"fork"``, ``"forkserver"`` or ``"spawn"``; None for Python's own default.

    Raises:
        MixtureError: If the batch cannot be shared among the ranks.
    """
    if num_workers < 0:
        raise MixtureError(f"num_workers={num_workers}", rule="a count is not negative")
    _open_banks(mixture)
    sampler = Sampler(mixture, rank=rank, world_size=world_size, steps=steps)
    batches: DataLoader[Any] = DataLoader(
        _Samples(mixture),
        batch_sampler=sampler,  # type: ignore[arg-type]  # indices travel as one Draws
        collate_fn=_only,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_use_one_thread,
        multiprocessing_context=start_method if num_workers else None,
    )
    return Loader(sampler, batches)


def _open_banks(mixture: Mixture) -> None:
    """Open what recipes draw from here, so that forked workers share it."""
    for member in mixture.members:
        parts: tuple[Any, ...] = getattr(member.source, "parts", (member.source,))
        for part in parts:
            numbers = part.recipe.background
            if numbers.probability or numbers.probability_realistic or numbers.probability_blank:
                open_backgrounds(numbers.bank)


def _only(deliveries: list[_Delivery]) -> _Delivery:
    return deliveries[0]


def _use_one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


__all__ = ["Loader", "make_loader"]
