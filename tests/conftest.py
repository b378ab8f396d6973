"""Fixtures that many tests share: the mannequin, raw and converted."""

from __future__ import annotations

import pytest
from raw import mannequin as raw_mannequin

from posepile_torch.convert.run import convert
from posepile_torch.registry import load_converter


@pytest.fixture(scope="session")
def mannequin_raw(tmp_path_factory):
    """A tiny raw copy of the mannequin with every joint marked: one take per split."""
    return raw_mannequin.write_raw(tmp_path_factory.mktemp("mannequin") / "raw")


@pytest.fixture(scope="session")
def mannequin_archives(mannequin_raw, tmp_path_factory):
    """A folder of archives that holds the converted mannequin."""
    out = tmp_path_factory.mktemp("archives")
    report = convert(load_converter("mannequin")(mannequin_raw), out)
    assert report.archive is not None
    return out
