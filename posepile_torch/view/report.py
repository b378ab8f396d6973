"""One page about an archive: what is in it, what was left out, and what it looks like."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.sample import Sample
from posepile_torch.sources.base import Source
from posepile_torch.view.draw import contact_sheet, draw_sample
from posepile_torch.view.html import Page


def spread_rows(length: int, count: int) -> NDArray[np.int64]:
    """Return ``count`` positions spread evenly over ``length`` items, without repetition."""
    count = min(count, length)
    return np.linspace(0, length - 1, count).round().astype(np.int64)


def sample_sheet(
    source: Source[Any], *, count: int = 24, columns: int = 6, enlarge: int = 1
) -> NDArray[np.uint8]:
    """Return a contact sheet of samples spread over a split, with their skeletons drawn."""
    samples: list[Sample] = [source[int(i)] for i in spread_rows(len(source), count)]
    pictures = [draw_sample(sample, source.skeleton, enlarge=enlarge) for sample in samples]
    return contact_sheet(pictures, columns=columns)


def add_archive(page: Page, source: Source[Any]) -> None:
    """Add the facts of a source's archive to a page."""
    manifest, card = source.archive.manifest, source.card
    page.section("Archive")
    page.table(
        {
            "source": f"{card.name}: {card.title}",
            "licence": card.licence.id,
            "records": manifest.totals.records,
            "images": manifest.totals.images,
            **{f"records in {name}": count for name, count in manifest.totals.splits.items()},
            "units": len(manifest.units),
            "joints": f"{len(manifest.skeleton)} ({' '.join(manifest.skeleton.joints)})",
            "plan": manifest.plan_digest[:16],
            "fingerprint": manifest.fingerprint[:16],
        }
    )
    if manifest.skipped:
        page.grid(
            ("left out because", "count", "first items"),
            [
                (reason, entry.count, ", ".join(entry.items[:3]))
                for reason, entry in manifest.skipped.items()
            ],
        )
    lengths = manifest.mean_bone_lengths_mm.get("trainval", ())
    joints = manifest.skeleton.joints
    bones = {
        f"{joints[a]}-{joints[b]}": length
        for (a, b), length in zip(manifest.skeleton.edges, lengths, strict=False)
        if length is not None
    }
    if bones:
        page.bars(bones, "Mean bone lengths over train and val", unit="mm")


def archive_report(source: Source[Any]) -> Page:
    """Return a page about one split of an archive: facts, bone lengths, a contact sheet."""
    page = Page(f"{source.card.title}: {source.split}")
    add_archive(page, source)
    page.section("Samples")
    if len(source):
        page.picture(
            sample_sheet(source),
            "Samples spread over the split. Left limbs are blue, right limbs orange.",
        )
    else:
        page.text(f"The archive has no records in {source.split}.")
    return page
