"""The demo at a small size: every step, and the files that it promises."""

from __future__ import annotations

import numpy as np

from posepile_torch.demo.tour import run_tour
from posepile_torch.images import decode_image
from posepile_torch.mannequin import MannequinOptions

TINY = MannequinOptions(takes=4, frames=3, cameras=2, size=(200, 160), marks=False)


def test_the_whole_way_and_again(tmp_path):
    lines, progress = [], []
    for _ in range(2):
        tour = run_tour(
            tmp_path / "demo",
            seconds=1.5,
            options=TINY,
            say=lines.append,
            progress=lambda done, error_mm: progress.append((done, error_mm)),
        )
    assert np.isfinite([tour.mpjpe_mm, tour.baseline_mm]).all()
    assert 50 < tour.baseline_mm < 500
    sheet = decode_image(tour.sheet.read_bytes(), where=tour.sheet)
    assert sheet.std() > 20
    report = tour.report.read_text(encoding="utf-8")
    assert f"{tour.mpjpe_mm:.1f}" in report
    assert "data:image/png;base64," in report
    assert (tour.archive / "manifest.json").exists()
    assert any("rendered" in line for line in lines)
    assert any("MPJPE" in line for line in lines)
    assert progress
    assert all(0 <= done <= 1 and error_mm > 0 for done, error_mm in progress)
