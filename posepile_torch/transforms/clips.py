"""Clips: several frames through one view and one look."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from posepile_torch.errors import RecipeError
from posepile_torch.hints import Hints
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton
from posepile_torch.transforms.pipeline import PreparedImage, prepared_image
from posepile_torch.transforms.recipes import Recipe
from posepile_torch.transforms.streams import RandomKey
from posepile_torch.transforms.views import NO_HINTS, View, plan_view


def apply_recipe_to_clip(
    jpegs: Sequence[bytes],
    records: Sequence[Record],
    recipe: Recipe,
    key: RandomKey | None = None,
    *,
    key_frame: int = 0,
    hints: Hints = NO_HINTS,
    skeleton: Skeleton | None = None,
    with_alpha: bool = False,
) -> list[PreparedImage]:
    """Make the images of a clip: one view and one look for all frames.

    The view is planned for the key frame, and the other frames are seen by a camera of the same
    direction and intrinsics. Frames of one stored camera are therefore warped by one and the same
    matrix. Background, occluders and colours are those of the key frame, too; only sensor noise
    differs from frame to frame.

    Args:
        jpegs: The stored crops.
        records: What is known about each, in the same order.
        recipe: The numbers.
        key: Decides what is random; None for no augmentation.
        key_frame: Index of the frame for which the view is planned.
        hints: What is known about the source.
        skeleton: Skeleton of the records' joints; half bodies need it.
        with_alpha: Whether to warp the person's mask, too.

    Raises:
        RecipeError: If frames without a camera differ in size, so that they cannot share a view.
    """
    first = records[key_frame]
    for record in records:
        is_alike = (record.camera is None) == (first.camera is None)
        if not is_alike or (record.camera is None and record.image_size != first.image_size):
            raise RecipeError(
                f"frame {record.id!r} of size {record.image_size} cannot share the view of "
                f"{first.id!r} of size {first.image_size}",
                rule="frames of a clip all have cameras, or none has and their sizes are equal",
                fix="convert the frames of a clip with one common crop",
            )
    view = plan_view(first, recipe, key, hints=hints, skeleton=skeleton)
    prepared = []
    for number, (jpeg, record) in enumerate(zip(jpegs, records, strict=True)):
        own = _same_view(view, record)
        own_key = None if key is None else key.with_part(key.part + number)
        prepared.append(
            prepared_image(
                jpeg,
                record,
                recipe,
                key,
                own,
                hints=hints,
                with_alpha=with_alpha,
                noise_key=own_key,
            )
        )
    return prepared


def _same_view(view: View, record: Record) -> View:
    """View of another frame by a camera of the same direction and intrinsics."""
    stored = record.camera or view.stored
    if stored == view.stored:
        return view
    camera = dataclasses.replace(view.camera, t=stored.t)
    return View(
        stored=stored,
        camera=camera,
        homography=stored.homography_to(camera),
        is_flipped=view.is_flipped,
    )


__all__ = ["apply_recipe_to_clip"]
