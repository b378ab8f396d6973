"""Errors say what, where, which rule and how to fix it, and survive the way between processes."""

from __future__ import annotations

import pickle

import pytest

from posepile_torch import errors
from posepile_torch.errors import ImageError, JointCountError, PosepileError, UnknownNameError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PosepileError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_prints_its_parts_and_can_be_pickled(kind):
    error = kind("focal length is -3", where="a.json", rule="it is positive", fix="repair it")
    text = str(error)
    assert text.splitlines() == [
        "focal length is -3",
        "  where: a.json",
        "  rule: it is positive",
        "  fix: repair it",
    ]
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == text
    assert vars(copy) == vars(error)


def test_parts_that_are_not_known_are_left_out():
    assert str(PosepileError("only this")) == "only this"


def test_extra_facts_survive():
    error = ImageError("cut", reason="truncated", where="a.jpg")
    assert pickle.loads(pickle.dumps(error)).reason == "truncated"


def test_near_misses_come_first_and_few_names_are_listed():
    near = UnknownNameError.among("source", "coko", ["coco", "mpii", "h36m"])
    assert "did you mean coco?" in str(near)
    far = UnknownNameError.among("source", "zzz", [f"name{i:02d}" for i in range(40)])
    assert "name00" in str(far)
    assert str(far).count("name") < 16
    assert isinstance(near, KeyError)
    assert not str(near).startswith("'")


def test_joint_counts_name_both_numbers():
    text = str(JointCountError.of(17, 24, where="joints3d of take 1"))
    assert "17" in text
    assert "24" in text
    assert "take 1" in text
