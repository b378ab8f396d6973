"""Mixtures and their order: exact counts, whole passes, ranks and resuming."""

from __future__ import annotations

import numpy as np
import pytest

from posepile_torch.apportion import schedule, whole_counts
from posepile_torch.errors import MixtureError
from posepile_torch.mixture import Mixture
from posepile_torch.sampler import Sampler, permuted
from posepile_torch.sources import Mannequin


@pytest.fixture(scope="module")
def parts(mannequin_archives):
    train = Mannequin(mannequin_archives)
    return train[:3], train[3:], Mannequin(mannequin_archives, split="val")


def draws(sampler, steps):
    return [(d.member, d.example, d.slot) for step in range(steps) for d in sampler.batch(step)]


def test_row60_every_batch_has_its_counts(parts):
    sampler = Sampler(Mixture(per_batch=dict(zip(parts, (4, 1, 3), strict=True))))
    for step in range(50):
        assert np.bincount(sampler.batch(step).members).tolist() == [4, 1, 3]


@pytest.mark.parametrize("weights", [(3, 1, 7.3), (1, 1, 1), (0.2, 0.05, 9)])
def test_row61_shares_stay_within_one_sample(weights):
    counts, period = whole_counts(np.array(weights, float), 32, 64)
    order = schedule(counts)
    assert counts.sum() == 32 * period
    assert (np.bincount(order) == counts).all()
    given = np.cumsum(order[:, None] == np.arange(3), axis=0)
    exact = np.outer(np.arange(1, len(order) + 1), counts / counts.sum())
    assert np.abs(given - exact).max() < 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 1000, 70_000])
def test_orders_are_permutations(size):
    keys = np.full(size, 12345, np.uint64)
    found = permuted(np.arange(size), np.full(size, size), keys)
    assert (np.sort(found) == np.arange(size)).all()


def test_every_pass_has_each_sample_once_in_another_order(parts):
    sampler = Sampler(Mixture({parts[2]: 1}, batch_size=4))
    passes = np.array([d[1] for d in draws(sampler, 20)]).reshape(-1, 8)
    assert (np.sort(passes, axis=1) == np.arange(8)).all()
    assert len({tuple(order) for order in passes}) > 1


def test_row67_ranks_together_are_one_rank(parts):
    mixture = Mixture({parts[0]: 1, parts[2]: 2.5}, batch_size=12)
    whole = sorted(draws(Sampler(mixture), 9))
    for world in (2, 3):
        split = [draws(Sampler(mixture, rank=r, world_size=world), 9) for r in range(world)]
        assert sorted(one for rank in split for one in rank) == whole


def test_row66_fault65_resuming_goes_on_with_other_ranks(parts):
    mixture = Mixture({parts[0]: 1, parts[2]: 2.5}, batch_size=12)
    first = Sampler(mixture, world_size=3)
    first.step = 7
    second = Sampler(Mixture({parts[0]: 1, parts[2]: 2.5}, batch_size=12), steps=2)
    second.load_state_dict(first.state_dict())
    resumed = [(d.member, d.example, d.slot) for batch in second for d in batch]
    assert resumed == draws(Sampler(mixture), 9)[7 * 12 :]


def test_fault66_another_mixture_is_refused(parts):
    state = Sampler(Mixture({parts[0]: 1}, batch_size=2)).state_dict()
    other = Sampler(Mixture({parts[1]: 1}, batch_size=2))
    with pytest.raises(MixtureError, match="another mixture"):
        other.load_state_dict(state)
    other.load_state_dict(state, allow_changed=True)
    with pytest.raises(MixtureError, match="no state"):
        other.load_state_dict({})


def test_row61_examples_are_drawn_by_their_weights(parts):
    weights = [0, 1, 3, 0, 0, 4, 0, 0]
    mixture = Mixture({parts[2]: 1}, batch_size=500, example_weights={parts[2]: weights})
    counts = np.bincount([d[1] for d in draws(Sampler(mixture), 20)], minlength=8)
    assert (counts[np.array(weights) == 0] == 0).all()
    np.testing.assert_allclose(counts / 10_000, np.array(weights) / 8, atol=0.02)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "1", True])
def test_fault62_bad_weights_are_named(parts, weight):
    with pytest.raises(MixtureError, match="mannequin-2="):
        Mixture({parts[0]: 1, parts[1]: weight}, batch_size=4)


def test_fault61_empty_sources_are_named(parts):
    with pytest.raises(MixtureError, match="no samples in mannequin"):
        Mixture({parts[0].take(0): 1}, batch_size=4)


def test_fault64_more_ranks_than_samples_is_an_error(parts):
    with pytest.raises(MixtureError, match="8 ranks for 3 samples"):
        Sampler(Mixture({parts[0]: 1}, batch_size=8), world_size=8)
    with pytest.raises(MixtureError, match="multiple"):
        Sampler(Mixture({parts[2]: 1}, batch_size=5), world_size=2)


def test_different_skeletons_need_a_decision(parts):
    other = parts[0].with_skeleton("coco_17")
    with pytest.raises(MixtureError, match="one skeleton"):
        Mixture({parts[2]: 1, other: 1}, batch_size=2)
    mixture = Mixture({parts[2]: 1, other: 1}, batch_size=2, skeleton="union")
    assert {m.source.skeleton.name for m in mixture.members} == {"mannequin_19"}
