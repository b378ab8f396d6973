"""Fault 27: garbage run lengths raise MaskError and never harm the process."""

import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest

from posepile_torch import runlengths
from posepile_torch.errors import MaskError
from posepile_torch.masks import Mask

GOOD = Mask.from_array(np.eye(5, dtype=np.uint8))


@pytest.mark.parametrize(
    "counts",
    [
        "",
        b"",
        "P",  # a number that promises to go on and does not
        "0P",
        "o" * 40 + "0",  # far more groups than any count needs
        "iPPPPP0",  # 25 in seven groups, one more than the largest count needs
        "0150000000\x00",
        "01 50",
        "p",
        "\u00e9",
        "0150000001",  # adds up to one pixel too many
        "0",
        "O9",  # a negative run
        [],
        [25, -1, 1],
        [24],
        [26],
        [2**40],
        [2**64],
        [12.5, 12.5],
        ["25"],
        [[25]],
        [[1], [2, 3]],
        [True, False],
        25,
        None,
        {"a": 1},
    ],
)
def test_bad_counts(counts):
    with pytest.raises(MaskError, match="ann 27"):
        Mask.from_coco({"size": [5, 5], "counts": counts}, where="ann 27")


@pytest.mark.parametrize(
    "size",
    [
        None,
        5,
        "55",
        [5],
        [5, 5, 1],
        [0, 5],
        [-5, -5],
        [5.0, 5.0],
        [True, 25],
        [1 << 20, 1 << 20],
        [2**70, 1],
        ["5", "5"],
    ],
)
def test_bad_sizes(size):
    with pytest.raises(MaskError, match="mask size"):
        Mask.from_coco({"size": size, "counts": "0150000000"})


@pytest.mark.parametrize("record", [{}, {"size": [5, 5]}, {"counts": "0"}])
def test_missing_fields(record):
    with pytest.raises(MaskError, match="lacks"):
        Mask.from_coco(record)


def test_sizes_may_be_numpy_integers_and_arrays():
    record = {"size": np.array([5, 5]), "counts": GOOD.to_coco()["counts"]}
    assert Mask.from_coco(record) == GOOD
    assert Mask.from_coco({"size": (np.int16(5), 5), "counts": record["counts"]}) == GOOD


def test_a_stored_mask_that_is_damaged():
    stored = GOOD.to_record()
    assert stored["size"] == [5, 5]
    for damaged in (
        {},
        {"size": [5, 5]},
        {"size": [5, 6], "zcounts": stored["zcounts"]},
        {"size": [5, 5], "zcounts": stored["zcounts"][:-3]},
        {"size": [5, 5], "zcounts": b"\x00" * 20},
        {"size": [5, 5], "zcounts": "text"},
        {"size": [5, 5], "zcounts": zlib.compress(b"\xff\xfe")},
        [1, 2],
    ):
        with pytest.raises(MaskError, match="rec 1"):
            Mask.from_record(damaged, where="rec 1")


def test_a_compressed_bomb_is_not_inflated():
    bomb = zlib.compress(b"0" * 200_000_000, 9)
    assert len(bomb) < 400_000
    with pytest.raises(MaskError, match="without end"):
        Mask.from_record({"size": [50, 50], "zcounts": bomb})


def test_largest_counts_of_the_format_are_read():
    # One run over the largest image; its number takes six groups of five bits.
    text = Mask.empty((1 << 14, 1 << 14)).to_coco()["counts"]
    assert len(text) == 6
    full = runlengths.parse_counts(text, 1 << 14, 1 << 14)
    assert full.counts.tolist() == [1 << 28]


FUZZ = """
    import random, sys
    import numpy as np
    from posepile_torch.errors import MaskError
    from posepile_torch.masks import Mask

    rng = random.Random(int(sys.argv[1]))
    sound = Mask.from_array(np.random.default_rng(0).integers(0, 2, (23, 31)).astype("uint8"))
    text = sound.to_coco()["counts"].encode()
    outcome = {"read": 0, "refused": 0}
    for trial in range(1000):
        kind = trial % 4
        if kind == 0:  # any bytes
            counts = rng.randbytes(rng.randrange(60))
        elif kind == 1:  # the right alphabet
            counts = bytes(rng.randrange(48, 112) for _ in range(rng.randrange(1, 60)))
        elif kind == 2:  # a sound string with a few changed bytes
            changed = bytearray(text)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(48, 112)
            counts = bytes(changed)
        else:  # cut, doubled, or a list of wild numbers
            cut = text[: rng.randrange(len(text))]
            wild = [rng.randrange(-5, 2**33) for _ in range(rng.randrange(20))]
            counts = rng.choice([cut, text + cut, wild, text])
        size = rng.choice([[23, 31], [23, 31], [31, 23], [1, 1], [713, 1]])
        try:
            mask = Mask.from_coco({"size": size, "counts": counts})
        except MaskError:
            outcome["refused"] += 1
            continue
        outcome["read"] += 1
        # Whatever was let in must be a mask in every respect.
        dense = mask.to_array()
        assert dense.shape == tuple(size) and dense.sum() == mask.area
        assert mask.rle.is_valid_rle()
        assert Mask.from_record(mask.to_record()) == mask
        mask.largest_component(), mask.warped(np.diag([2.0, 2, 1]), (40, 40)), mask.box
    print(outcome["read"], outcome["refused"])
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_a_thousand_hostile_strings_in_a_process_of_their_own(seed):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FUZZ), str(seed)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read, refused = map(int, done.stdout.split())
    assert read + refused == 1000
    assert refused > 900
    assert read > 10
