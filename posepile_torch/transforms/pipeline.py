"""The whole way from a stored crop to the image of a sample, by the numbers of a recipe.

Geometry is planned first, on cameras alone (:func:`plan_view`); then the crop is decoded once at
the smallest sufficient scale and warped once, and only then its look is changed
(:func:`drawn_image`). :func:`apply_recipe` does both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera
from posepile_torch.hints import Hints
from posepile_torch.masks import Mask
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton
from posepile_torch.transforms import artefacts, occluders
from posepile_torch.transforms.backgrounds import composited, open_backgrounds
from posepile_torch.transforms.colour import drawn_colour, recoloured
from posepile_torch.transforms.recipes import Recipe
from posepile_torch.transforms.render import render_by
from posepile_torch.transforms.streams import RandomKey
from posepile_torch.transforms.targets import noisy_points
from posepile_torch.transforms.views import NO_HINTS, View, plan_view

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedImage:
    """What :func:`apply_recipe` makes of a record.

    Attributes:
        image: ``[H, W, 3]`` uint8 RGB.
        view: Where it looks.
        box: ``[x, y, w, h]`` of the person, in its pixels.
        alpha: ``[H, W]`` uint8, the share of each pixel that the person covers, 255 for all;
            None unless asked for, or without a mask. Occluders leave it as it is.
        recipe: By whose numbers it was made.
        key: With which random numbers; None without augmentation.
        has_3d: Whether the record has 3D labels.
    """

    image: Image
    view: View
    box: Floats
    alpha: NDArray[np.uint8] | None
    recipe: Recipe
    key: RandomKey | None
    has_3d: bool

    @property
    def camera(self) -> Camera:
        """Camera of the image."""
        return self.view.camera

    @property
    def is_flipped(self) -> bool:
        """Whether the image is mirrored."""
        return self.view.is_flipped

    def labelled_points(self, joints2d: Floats) -> Floats:
        """Map 2D labels of the stored crop to the image.

        Args:
            joints2d: ``[J, 2]``, NaN where unknown.

        Returns:
            ``[J, 2]`` pixels of the image. NaN where the label is unknown, beyond the horizon,
            or not to be trusted by the recipe's rules for 2D labels.
        """
        placed = self.view.points(joints2d)
        rules = self.recipe.labels
        if self.has_3d:
            return placed
        width, height = self.view.stored.size
        with np.errstate(invalid="ignore"):
            if rules.lowest_share < 1:
                placed[joints2d[:, 1] > rules.lowest_share * height] = np.nan
            if rules.drops_outside:
                is_inside = (joints2d >= -0.5) & (joints2d < np.array([width, height]) - 0.5)
                placed[~is_inside.all(axis=1)] = np.nan
        return placed

    def observed_points(self, points: Floats) -> Floats:
        """Return 2D joints with the noise that the recipe adds to them.

        Args:
            points: ``[J, 2]`` pixels of the image.
        """
        noise_px = self.recipe.labels.noise_px
        if self.key is None or not noise_px:
            return points
        return noisy_points(points, noise_px, self.key.generator("points"))


def apply_recipe(
    jpeg: bytes,
    record: Record,
    recipe: Recipe,
    key: RandomKey | None = None,
    *,
    hints: Hints = NO_HINTS,
    skeleton: Skeleton | None = None,
    with_alpha: bool = False,
) -> PreparedImage:
    """Make the image of a sample.

    Args:
        jpeg: The stored crop.
        record: What is known about it.
        recipe: The numbers.
        key: Decides what is random; None for no augmentation, as in evaluation.
        hints: What is known about the source.
        skeleton: Skeleton of the record's joints; half bodies need it.
        with_alpha: Whether to warp the person's mask, too.
    """
    view = plan_view(record, recipe, key, hints=hints, skeleton=skeleton)
    return prepared_image(jpeg, record, recipe, key, view, hints=hints, with_alpha=with_alpha)


def prepared_image(
    jpeg: bytes,
    record: Record,
    recipe: Recipe,
    key: RandomKey | None,
    view: View,
    *,
    hints: Hints = NO_HINTS,
    with_alpha: bool = False,
    noise_key: RandomKey | None = None,
) -> PreparedImage:
    """Make the image of a sample, looking where it was planned to look.

    Args:
        jpeg: The stored crop.
        record: What is known about it.
        recipe: The numbers.
        key: Decides what is random; None for no augmentation.
        view: The geometry, from :func:`~posepile_torch.transforms.views.plan_view`.
        hints: What is known about the source.
        with_alpha: Whether to warp the person's mask, too.
        noise_key: Key of the sensor noise alone, where frames of a clip differ.
    """
    image = drawn_image(jpeg, record, recipe, key, view, hints=hints, noise_key=noise_key)
    alpha = None
    if with_alpha and record.person_mask is not None:
        alpha = record.person_mask.to_alpha(view.homography, view.camera.size)
    return PreparedImage(
        image=image,
        view=view,
        box=view.box(record.box),
        alpha=alpha,
        recipe=recipe,
        key=key,
        has_3d=_has_3d(record),
    )


def _has_3d(record: Record) -> bool:
    return record.joints3d is not None or record.body is not None


def drawn_image(
    jpeg: bytes,
    record: Record,
    recipe: Recipe,
    key: RandomKey | None,
    view: View,
    *,
    hints: Hints = NO_HINTS,
    noise_key: RandomKey | None = None,
) -> Image:
    """Decode, warp and change the look: every pixel of a sample is made here.

    The order is: warp, background, border, pasted objects, colour, erased rectangle, marker,
    JPEG artefacts, noise.

    Args:
        jpeg: The stored crop.
        record: Its masks are used.
        recipe: The numbers.
        key: Decides what is random; None for the plain image.
        view: The geometry, from :func:`plan_view`.
        hints: What is known about the source.
        noise_key: Key of the sensor noise alone, where frames of a clip differ.
    """
    image = render_by(
        jpeg,
        view.homography,
        view.camera.size,
        stored_size=view.stored.size,
        sampling=recipe.sampling,
        where=record.id,
    )
    if key is not None:
        image = _with_background(image, record, recipe, key, view, hints)
        image = _with_accidents(image, recipe, key, has_3d=_has_3d(record))
    if recipe.artefacts.marker_px and not _has_3d(record):
        middle = view.points(boxes.centre(record.box))
        artefacts.marked(image, middle, recipe.artefacts.marker_px)
    if key is not None:
        if recipe.artefacts.jpeg_probability:
            image = artefacts.poorly_stored(image, recipe.artefacts, key)
        if recipe.artefacts.noise_probability:
            image = artefacts.noisy(image, recipe.artefacts, noise_key or key)
    return image


def _with_background(
    image: Image, record: Record, recipe: Recipe, key: RandomKey, view: View, hints: Hints
) -> Image:
    """Replace what lies outside the mask of everything worth keeping, with some probability."""
    mask: Mask | None = record.scene_mask or record.person_mask
    numbers = recipe.background
    probability = numbers.probability_for(hints, has_3d=_has_3d(record))
    if mask is None or not probability:
        return image
    u = key.uniforms("background", 5).tolist()
    if u[0] >= probability:
        return image
    alpha = mask.to_alpha(view.homography, view.camera.size)
    if not alpha.any():
        return image  # nobody is in view: a background alone would teach nothing
    back = open_backgrounds(numbers.bank).picture(
        numbers, view.camera.size, (u[1], u[2], u[3], u[4])
    )
    return composited(image, alpha, back)


def _with_accidents(image: Image, recipe: Recipe, key: RandomKey, *, has_3d: bool) -> Image:
    """Borders, occluders and colours: objects before the colours change, erasing after."""
    if recipe.artefacts.border_probability:
        artefacts.bordered(image, recipe.artefacts, key)
    hiding = recipe.occlusion
    probability = hiding.probability if has_3d else hiding.probability_2d
    is_hidden, is_object = False, False
    if probability:
        u = key.uniforms("occlusion", 2 + occluders.draws_needed(hiding))
        is_hidden, is_object = bool(u[0] < probability), bool(u[1] < hiding.object_share)
        if is_hidden and is_object:
            occluders.open_occluders(hiding.bank).paste(image, hiding, u[2:])
    if recipe.colour.probability:
        change = drawn_colour(recipe.colour, key)
        if change is not None:
            image = recoloured(image, change, recipe.colour.method)
    if is_hidden and not is_object:
        artefacts.erased(image, hiding, key)
    return image


__all__ = [
    "PreparedImage",
    "apply_recipe",
    "drawn_image",
    "prepared_image",
]
