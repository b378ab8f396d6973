"""Drawings: lines where the joints are, pages without outside references."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from posepile_torch.errors import PosepileError
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources import Mannequin
from posepile_torch.view.draw import CENTRE, LEFT, RIGHT, contact_sheet, draw_skeleton, write_png
from posepile_torch.view.html import Page
from posepile_torch.view.report import archive_report, sample_sheet, spread_rows

SKELETON = Skeleton.parse("toy", "pelv lhip rhip", edges="pelv-lhip", groups={})


def test_joints_are_drawn_in_the_colours_of_their_sides():
    image = np.full((100, 100, 3), 128, np.uint8)
    points = np.array([[50.0, 20.0], [80.0, 70.0], [20.0, 70.0]])
    drawn = draw_skeleton(image, points, np.ones(3, bool), SKELETON)
    assert (image == 128).all()
    for (x, y), colour in zip(points.astype(int), (CENTRE, LEFT, RIGHT), strict=True):
        assert np.abs(drawn[y, x].astype(int) - colour).max() <= 2
    on_the_bone = drawn[45, 65].astype(int)
    assert np.abs(on_the_bone - LEFT).max() < 60


def test_unknown_joints_and_their_bones_are_left_out():
    image = np.zeros((60, 60, 3), np.uint8)
    points = np.array([[np.nan, np.nan], [40.0, 40.0], [20.0, 40.0]])
    drawn = draw_skeleton(image, points, np.array([False, False, False]), SKELETON)
    assert (drawn == 0).all()


@pytest.mark.parametrize("enlarge", [1, 2, 3])
def test_enlarging_keeps_pixel_centres(enlarge):
    image = np.zeros((40, 40, 3), np.uint8)
    points = np.array([[13.0, 22.0], [0, 0], [0, 0]])
    known = np.array([True, False, False])
    drawn = draw_skeleton(image, points, known, SKELETON, enlarge=enlarge, colour=(255, 255, 255))
    bright = drawn[..., 0].astype(float)
    ys, xs = np.mgrid[: bright.shape[0], : bright.shape[1]]
    centre = np.array([(bright * xs).sum(), (bright * ys).sum()]) / bright.sum()
    np.testing.assert_allclose(centre, enlarge * points[0] + (enlarge - 1) / 2, atol=0.1)


def test_a_contact_sheet_places_every_image():
    images = [np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(images, columns=2, gap_px=4)
    assert sheet.shape == (2 * 14 + 4, 2 * 24 + 4, 3)
    assert (sheet[4:14, 4:24] == 10).all()
    assert (sheet[4:14, 28:48] == 20).all()
    assert (sheet[18:28, 4:24] == 30).all()
    assert (sheet[18:28, 28:48] == 250).all()
    with pytest.raises(PosepileError, match="no images"):
        contact_sheet([], columns=2)


def test_png_files_hold_rgb(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 200
    write_png(tmp_path / "a.png", image)
    read = cv2.imread(str(tmp_path / "a.png"))
    assert (read[..., 2] == 200).all()
    assert (read[..., 0] == 0).all()


def test_rows_are_spread_without_repetition():
    assert spread_rows(5, 10).tolist() == [0, 1, 2, 3, 4]
    spread = spread_rows(1000, 24)
    assert spread[0] == 0
    assert spread[-1] == 999
    assert len(set(spread.tolist())) == 24


def test_a_page_is_self_contained_and_escapes_text():
    page = Page("A <title>")
    page.section("S & T")
    page.grid(("name", "value"), [("<b>", 1234.5)])
    page.bars({"bone": 400.0, "other": 0.0}, "Bones", unit="mm")
    page.curve({"loss": [(0.0, 10.0), (1.0, 5.0)]}, "Loss", unit="mm")
    page.picture(np.zeros((4, 4, 3), np.uint8), "black")
    text = page.render()
    assert "<title>A &lt;title&gt;</title>" in text
    assert "&lt;b&gt;" in text
    assert "1,234.5" in text
    references = re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    assert references
    assert all(reference.startswith("data:") for reference in references)


def test_the_report_of_an_archive_shows_counts_bones_and_samples(mannequin_archives):
    source = Mannequin(mannequin_archives, split="train")
    text = archive_report(source).render()
    assert f"{source.archive.manifest.totals.records}" in text
    assert "lkne-lank" in text
    assert "data:image/png;base64," in text
    assert source.archive.fingerprint[:16] in text
    sheet = sample_sheet(source, count=4, columns=2)
    assert sheet.shape == (2 * 260 + 4, 2 * 260 + 4, 3)
