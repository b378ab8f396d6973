"""The demo from end to end: render, convert, verify, train, evaluate, draw."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.verify import verify_archive
from posepile_torch.convert.run import convert
from posepile_torch.demo.training import Evaluation, TrainingLog, evaluate, train
from posepile_torch.errors import PosepileError
from posepile_torch.mannequin import MannequinOptions, write_raw
from posepile_torch.registry import load_converter
from posepile_torch.sources import Mannequin, Source3D
from posepile_torch.transforms import evaluation
from posepile_torch.view.draw import contact_sheet, draw_skeleton, write_png
from posepile_torch.view.html import Page
from posepile_torch.view.report import add_archive, sample_sheet, spread_rows

ROOT_JOINT = "pelv"
SIDE_PX = 128
# Little data and a minute of training: enough variety that clothes and sides are not learnt by
# heart, and no more, since everything else would have to be learnt as well.
TRAINING = evaluation(side=SIDE_PX).replaced(
    name="demo",
    geometry={"flip_probability": 0.5, "centre_shift": 0.05},
    colour={
        "probability": 1.0,
        "brightness": 0.125,
        "contrast": (0.6, 1.4),
        "saturation": (0.3, 1.5),
        "hue_rad": 0.3,
    },
)
# Many short takes: frames of one take look alike.
DATA = MannequinOptions(takes=60, frames=5, cameras=2)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tour:
    """What the demo produced.

    Attributes:
        baseline_mm: Error of the mean pose on the test split, root-relative.
        mpjpe_mm: Error of the network on the test split, root-relative.
        sheet: Contact sheet of training samples (PNG).
        report: Self-contained page (HTML).
        archive: The converted archive.
    """

    baseline_mm: float
    mpjpe_mm: float
    sheet: Path
    report: Path
    archive: Path


def run_tour(
    out: Path,
    *,
    seconds: float,
    options: MannequinOptions,
    say: Say,
    progress: Callable[[float, float], None],
) -> Tour:
    """Run the demo.

    Args:
        out: Folder for everything it writes.
        seconds: Time budget of the training.
        options: What to render.
        say: Called with one line after each step.
        progress: Called during training with the fraction done and the running error in mm.
    """
    clock = time.perf_counter()

    def tell(text: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        say(f"{text}  ({now - clock:.1f} s)")
        clock = now

    raw, archives = out / "raw", out / "archives"
    if (raw / "mannequin.json").exists():
        shutil.rmtree(raw)  # of an earlier run; anything else that lies there is refused
    write_raw(raw, options)
    tell(f"rendered a raw dataset into {raw}")
    report = convert(load_converter("mannequin")(raw), archives, restart=True)
    if report.archive is None:
        unit, error = next(iter(report.failed.items()))
        raise PosepileError(
            f"the conversion failed for {len(report.failed)} units, first {unit}: {error}",
            where=raw,
        )
    tell(f"converted {report.frames} frames into {report.records} records: {report.archive}")
    checked = verify_archive(report.archive, level="semantic")
    if not checked.ok:
        raise PosepileError("the archive did not pass verification", where=report.archive)
    tell("verified every checksum, image and joint of it")
    datasets = _splits(archives)
    sheet = out / "samples.png"
    picture = sample_sheet(datasets["train"], count=18, columns=6, enlarge=2)
    write_png(sheet, picture)
    root = datasets["train"].skeleton.index(ROOT_JOINT)
    network, log = train(
        datasets["train"],
        root=root,
        seconds=seconds,
        max_epochs=40,
        workers=2,
        progress=progress,
    )
    tell(f"trained a small network for {log.steps} steps on {log.samples} samples")
    test = evaluate(network, datasets["test"])
    mpjpe_mm = test.mpjpe_mm(root)
    baseline_mm = Evaluation(
        network.mean_pose.expand_as(test.truth), test.truth, test.known
    ).mpjpe_mm(root)
    tell(
        f"MPJPE on the test split, relative to the pelvis: {mpjpe_mm:.1f} mm; "
        f"the mean pose: {baseline_mm:.1f} mm"
    )
    page = _page(datasets, picture, log, test, mpjpe_mm, baseline_mm)
    path = out / "report.html"
    path.write_text(page.render(), encoding="utf-8")
    tell(f"wrote {sheet} and {path}")
    return Tour(baseline_mm, mpjpe_mm, sheet, path, report.archive)


def _splits(archives: Path) -> dict[str, Source3D]:
    return {
        "train": Mannequin(archives, split="train", recipe=TRAINING),
        "test": Mannequin(archives, split="test", recipe=evaluation(side=SIDE_PX)),
    }


def _page(
    datasets: dict[str, Source3D],
    picture: NDArray[np.uint8],
    log: TrainingLog,
    test: Evaluation,
    mpjpe_mm: float,
    baseline_mm: float,
) -> Page:
    page = Page("posepile_torch: from raw files to a number")
    page.text(
        "A synthetic dataset was rendered, converted into an archive, verified, and used to "
        "train a small network on the CPU. People of the test split were never seen in training."
    )
    page.section("Result")
    page.grid(
        ("MPJPE relative to the pelvis, test split", "mm"),
        [("small network", round(mpjpe_mm, 1)), ("mean training pose", round(baseline_mm, 1))],
    )
    page.curve(
        {"training error": log.losses},
        f"Error while training, over {log.steps} steps",
        unit="mm",
    )
    page.picture(
        _predictions(datasets["test"], test),
        "Test samples: the truth in colour, the prediction in white, placed at the true pelvis.",
    )
    page.section("Training samples")
    page.picture(picture, "Left limbs are blue, right limbs orange, the middle yellow.")
    add_archive(page, datasets["train"])
    return page


def _predictions(dataset: Source3D, test: Evaluation) -> NDArray[np.uint8]:
    root = dataset.skeleton.index(ROOT_JOINT)
    pictures = []
    for index in spread_rows(len(dataset), 12):
        sample = dataset[int(index)]
        predicted = test.predicted[index].numpy() + sample.joints3d[root]
        points = sample.camera.project_camera(predicted)
        known = sample.known & np.isfinite(points).all(axis=-1)
        drawn = draw_skeleton(
            sample.image, sample.joints2d, sample.known, dataset.skeleton, enlarge=2
        )
        # Drawn at twice the size, so its pixels are those of the enlarged picture.
        drawn = draw_skeleton(
            drawn, 2 * points + 0.5, known, dataset.skeleton, colour=(255, 255, 255)
        )
        pictures.append(drawn)
    return contact_sheet(pictures, columns=4)
