"""Batches do not depend on workers, passes or ranks, and a loader goes on where it stopped."""

from __future__ import annotations

import itertools

import pytest
import torch

from posepile_torch.errors import ArchiveCorruptError
from posepile_torch.loader import make_loader
from posepile_torch.mixture import Mixture
from posepile_torch.sources import Mannequin
from posepile_torch.transforms import recipes


@pytest.fixture(scope="module")
def mixture(mannequin_archives):
    recipe = recipes.metrabs(side=64)
    parts = [Mannequin(mannequin_archives, split=s, recipe=recipe) for s in ("train", "val")]
    return Mixture(dict(zip(parts, (1, 2.5), strict=True)), batch_size=4, seed=3)


def first(loader, count):
    return list(itertools.islice(loader, count))


def same(a, b):
    return len(a) == len(b) and all(
        x.id == y.id and torch.equal(x.image, y.image) and torch.equal(x.joints3d, y.joints3d)
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker:UserWarning")
@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_gives_the_same_batches(mixture, workers):
    expected = first(make_loader(mixture, steps=4), 4)
    assert same(first(make_loader(mixture, steps=4, num_workers=workers), 4), expected)


def test_row66_a_loader_goes_on_where_another_stopped(mixture):
    whole = first(make_loader(mixture), 6)
    begun = make_loader(mixture, num_workers=1, steps=3)
    assert same(list(begun), whole[:3])
    resumed = make_loader(mixture)
    resumed.load_state_dict(begun.state_dict())
    assert same(first(resumed, 3), whole[3:])
    assert same(list(begun), whole[3:])


@pytest.mark.parametrize("workers", [0, 1])
def test_fault57_a_damaged_record_raises_its_own_error(mixture, monkeypatch, workers):
    def damaged(*_):
        raise ArchiveCorruptError("flipped", archive="a", key="k", shard="s", offset=3)

    monkeypatch.setattr(Mannequin, "sample", damaged)
    with pytest.raises(ArchiveCorruptError, match="flipped") as caught:
        next(iter(make_loader(mixture, num_workers=workers, steps=1)))
    assert (caught.value.key, caught.value.offset) == ("k", 3)
