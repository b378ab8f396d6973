"""What holds for every source that has a converter: one walk over the registry.

A source is covered as soon as it is registered and ``tests/raw/<module>.py`` fabricates its raw
files, where ``<module>`` is the module of its converter. That file has

- ``write_raw(root)``: writes a tiny raw copy with the real file names and formats, with people in
  all labelled splits, and marks drawn on their joints;
- ``marks(image, skeleton, near)``: finds the marks near ``near``, ``[P, J, 2]``, the person in
  question first. It may be left out if the marks are those of the mannequin, by joint name.
"""

from __future__ import annotations

import importlib
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from posepile_torch import registry
from posepile_torch.archive import verify_archive
from posepile_torch.citations import citation_of
from posepile_torch.convert.rawcheck import check_raw
from posepile_torch.convert.run import convert
from posepile_torch.errors import PosepileError
from posepile_torch.licences import UNKNOWN_ID
from posepile_torch.mannequin import MARK_COLOURS, find_marks
from posepile_torch.sample import Sample3D, collate
from posepile_torch.transforms import Recipe, evaluation
from posepile_torch.transforms.recipes import Geometry
from posepile_torch.view.draw import draw_sample
from posepile_torch.view.report import sample_sheet

SIDE = 256
# Plugins that happen to be installed have tests of their own.
NAMES = [
    name
    for name in registry.converter_names()
    if registry.source_entry(name).distribution == registry.DISTRIBUTION
]


@dataclass(frozen=True)
class Case:
    """One source: its raw files, and the folder of archives with what became of them."""

    name: str
    fixture: ModuleType
    root: Path
    archives: Path
    report: Any

    @property
    def source_class(self):
        return registry.load_source(self.name)

    @property
    def card(self):
        return self.source_class.card

    def sources(self, recipe=None):
        """One source per labelled split."""
        recipe = recipe or evaluation(side=SIDE)
        splits = [split.name for split in self.card.splits if split.labelled]
        return [self.source_class(self.archives, split=split, recipe=recipe) for split in splits]


@pytest.fixture(scope="module", params=NAMES)
def case(request, tmp_path_factory):
    converter = registry.load_converter(request.param)
    fixture = importlib.import_module(f"raw.{converter.__module__.rpartition('.')[2]}")
    folder = tmp_path_factory.mktemp("contract")
    root = fixture.write_raw(folder / "raw")
    report = convert(converter(root), folder / "archives")
    return Case(request.param, fixture, root, folder / "archives", report)


def test_the_card_is_complete(case):
    card = case.card
    assert registry.load_converter(case.name).source is case.source_class
    assert card.name == case.name
    assert citation_of(card).authors
    assert card.licence.evidence
    assert card.licence.url or card.licence.id != UNKNOWN_ID
    assert card.download_steps
    assert len(card.description) > 80
    assert all(quirk.source for quirk in card.quirks)


def test_joints_mirror_onto_joints(case):
    native = case.source_class.native
    mirror = np.array(native.mirror)
    assert np.array_equal(mirror[mirror], np.arange(len(native)))
    assert native.edges


def test_the_raw_files_are_those_of_the_card(case):
    """Sources that share a raw folder may ignore each other's files."""
    files = [p.relative_to(case.root).as_posix() for p in case.root.rglob("*") if p.is_file()]
    for pattern in case.card.layout:
        if pattern.required:
            assert any(pattern.match(file) is not None for file in files), pattern.pattern
    family = [registry.load_source(name).card for name in _same_fixture(case)]
    patterns = [pattern for card in family for pattern in card.layout]
    for file in files:
        assert any(pattern.match(file) is not None for pattern in patterns), file


def test_the_check_finds_everything_and_can_estimate(case):
    result = check_raw(registry.load_converter(case.name)(case.root))
    assert result.is_fine, result
    assert result.estimate.units == case.report.units
    assert result.estimate.records > 0
    if len(_same_fixture(case)) == 1:
        assert not result.unexpected, result.first_unexpected


def test_whatever_is_missing_is_found_before_and_noticed_during_the_work(case, tmp_path):
    """Each kind of required file in turn, all of them: converters may list units by files."""
    for number, pattern in enumerate(case.card.layout):
        if not pattern.required:
            continue
        root = shutil.copytree(case.root, tmp_path / f"raw{number}")
        for path in [path for path in root.rglob("*") if path.is_file()]:
            if pattern.match(path.relative_to(root).as_posix()) is not None:
                path.unlink()
        converter = registry.load_converter(case.name)(root)
        checked = {check.pattern: check for check in check_raw(converter).patterns}
        assert not checked[pattern.pattern].is_fine
        try:
            report = convert(converter, tmp_path / f"out{number}")
        except PosepileError:
            continue  # nothing was published
        missing = [reason for reason in report.skipped if "MissingRawFile" in reason]
        assert report.failed or missing, pattern.pattern


def test_units_are_stable_and_travel(case):
    converter = registry.load_converter(case.name)(case.root)
    units = list(converter.units())
    assert units == list(pickle.loads(pickle.dumps(converter)).units())
    assert pickle.loads(pickle.dumps(units)) == units
    assert len({unit.name for unit in units}) == len(units)
    assert {unit.split for unit in units} <= {split.name for split in case.card.splits}


def test_nothing_goes_wrong_while_converting(case):
    assert case.report.archive is not None
    assert not case.report.failed
    assert not [reason for reason in case.report.skipped if reason.startswith(("error", "image"))]
    assert case.report.records > 0


def test_the_archive_passes_every_check(case):
    report = verify_archive(case.report.archive, "semantic")
    assert report.ok, report


def test_every_split_has_samples_that_keep_their_promises(case):
    for source in case.sources():
        assert len(source) > 0, source.split
        batch = collate([source[index] for index in range(len(source))])
        assert batch.image.shape == (len(source), 3, SIDE, SIDE)
        for index, sample in enumerate(source):
            known = sample.known
            assert known.any()
            assert np.isfinite(sample.joints2d).all()
            assert (sample.joints2d[~known] == 0).all()
            assert set(np.unique(sample.visible)) <= {-1, 0, 1}
            assert (sample.visible[~known] == -1).all()
            assert not sample.in_view[~known].any()
            assert sample.has_camera == source.hints.has_camera
            record = source.record(index)
            assert record.split == source.split
            assert (case.root / record.raw["file"]).is_file()
            for mask in (record.person_mask, record.scene_mask):
                assert mask is None or mask.size == record.image_size
            if isinstance(sample, Sample3D):
                assert np.isfinite(sample.joints3d).all()
                assert (sample.joints3d[~sample.known3d] == 0).all()
                projected = sample.camera.project_camera(sample.joints3d[sample.known3d])
                np.testing.assert_allclose(projected, sample.joints2d[sample.known3d], atol=1e-2)


def test_masks_are_there_where_the_card_says_so(case):
    for source in case.sources():
        masks = [source.record(index).person_mask for index in range(len(source))]
        assert any(mask is not None and mask.area for mask in masks) == source.hints.has_mask


def test_joints_lie_on_their_marks(case):
    for source in case.sources():
        errors = []
        for index, sample in enumerate(source):
            near = _everybody(source, index, sample)
            found = _marks(case, sample.image, source.skeleton, near)[0]
            away = np.linalg.norm(found - sample.joints2d, axis=-1)
            errors.append(np.where(sample.in_view, away, np.nan))
        seen = np.isfinite(errors)
        # Marks that others cover, that the border cuts, or that became too small are not found.
        assert seen.mean() > 0.1, source.split
        assert seen.any(axis=0).sum() >= 8, source.split
        assert np.nanmax(errors) < 0.5, source.split


def test_a_flipped_sample_shows_the_other_side_and_flipping_back_restores_it(case):
    flip = Recipe(name="flip", image_size=(SIDE, SIDE), geometry=Geometry(flip_probability=1.0))
    for plain, flipped in zip(case.sources(), case.sources(flip), strict=True):
        mirror = list(plain.skeleton.mirror)
        for one, other in zip(plain, flipped, strict=True):
            assert np.array_equal(other.known[mirror], one.known)
            assert np.array_equal(other.visible[mirror], one.visible)
            back = other.joints2d[mirror] * (-1, 1) + (SIDE - 1, 0)
            np.testing.assert_allclose(back[one.known], one.joints2d[one.known], atol=2e-3)
            away = np.abs(other.image[:, ::-1].astype(int) - one.image)
            assert away.mean() < 1


def test_the_contact_sheet_shows_skeletons(case):
    for source in case.sources():
        sheet = sample_sheet(source, count=4, columns=2)
        assert sheet.dtype == np.uint8
        assert sheet.shape[0] >= SIDE
        sample = source[0]
        assert (draw_sample(sample, source.skeleton) != sample.image).any()


def _same_fixture(case):
    """Names of all sources whose converters live in the same module."""
    module = registry.load_converter(case.name).__module__
    return [name for name in NAMES if registry.load_converter(name).__module__ == module]


def _marks(case, image, skeleton, near):
    own = getattr(case.fixture, "marks", None)
    if own is not None:
        return own(image, skeleton, near)
    names = [name if name in MARK_COLOURS else "pelv" for name in skeleton.joints]
    unmarked = [name not in MARK_COLOURS for name in skeleton.joints]
    near = near.copy()
    near[:, unmarked] = np.nan
    return find_marks(image, names, near=near)


def _everybody(source, index, sample):
    """Joints of the sample and, where a camera tells them, of the others in its picture."""
    near = [np.where(sample.known[:, None], sample.joints2d, np.nan)]
    record = source.record(index)
    for other in map(source.record, range(len(source))):
        if other.id != record.id and other.raw == record.raw and other.joints3d is not None:
            near.append(sample.camera.project(other.joints3d))
    return np.array(near, np.float64)
