"""Named pipelines from record to sample: frozen numbers, nothing hidden.

A :class:`Recipe` is data. It is printed, saved, hashed and compared; what its numbers do is in
the other modules of this package. The named recipes carry the published numbers of the systems
that they are called after, and every number can be overridden::

    recipes.metrabs(side=384).replaced(geometry={"roll": {"width": 0.2}}, name="mine")
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from posepile_torch.errors import RecipeError, UnknownNameError
from posepile_torch.transforms import recipe_files
from posepile_torch.transforms.families import (
    BUILTIN_BANK,
    Artefacts,
    Background,
    Colour,
    Framing,
    Geometry,
    HalfBody,
    HeatmapNumbers,
    Labels,
    Occlusion,
    PartialView,
    Pixels,
    Sampling,
    Spread,
)
from posepile_torch.transforms.number_checks import is_size, require

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of RGB in 0..1 over ImageNet, as networks trained on it expect."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of RGB in 0..1 over ImageNet."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of a pipeline from record to sample.

    Attributes:
        name: What to call it in logs and reports.
        image_size: ``(width, height)`` of the samples.
        framing: How the box is put into the image.
        geometry: Random shift, scale, roll and flip.
        partial: Showing a random part of the person.
        half_body: Showing the upper or lower body.
        sampling: How pixels are taken.
        background: Replacing the background.
        occlusion: Pasted objects and erased rectangles.
        colour: Colour jitter.
        artefacts: JPEG artefacts, noise, borders, the person's marker.
        labels: What is done to 2D labels.
        heatmaps: How heatmap targets are drawn, for networks that learn them.
        pixels: How uint8 becomes the network's input, on the device.
    """

    name: str
    image_size: tuple[int, int]
    framing: Framing = field(default_factory=Framing)
    geometry: Geometry = field(default_factory=Geometry)
    partial: PartialView = field(default_factory=PartialView)
    half_body: HalfBody = field(default_factory=HalfBody)
    sampling: Sampling = field(default_factory=Sampling)
    background: Background = field(default_factory=Background)
    occlusion: Occlusion = field(default_factory=Occlusion)
    colour: Colour = field(default_factory=Colour)
    artefacts: Artefacts = field(default_factory=Artefacts)
    labels: Labels = field(default_factory=Labels)
    heatmaps: HeatmapNumbers = field(default_factory=HeatmapNumbers)
    pixels: Pixels = field(default_factory=Pixels)

    def __post_init__(self) -> None:
        require(
            is_size(self.image_size) and min(self.image_size) >= 8,
            self,
            "image_size",
            "it is (width, height), whole numbers in 8..8192",
        )
        require(bool(self.name), self, "name", "a recipe has a name")

    @property
    def side_px(self) -> int:
        """Longer side of the samples."""
        return max(self.image_size)

    def replaced(self, changes: Mapping[str, Any] | None = None, /, **families: Any) -> Recipe:
        """Return the recipe with some numbers replaced.

        Args:
            changes: Values by dotted name, for example ``{"geometry.roll.width": 0.2}``.
            **families: Fields of the recipe; a family is given as an instance, or as a
                dictionary of those of its numbers that change.

        Raises:
            UnknownNameError: If a name is not known.
            RecipeError: If a value has another type than before, or breaks its rule.
        """
        where = f"recipe {self.name}"
        changed = recipe_files.with_changes(self, families, where=where)
        nested = recipe_files.nested(changes or {})
        return recipe_files.with_changes(changed, nested, where=where)

    # ---- storage ----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return every number as plain JSON values."""
        return {"schema": recipe_files.SCHEMA, **recipe_files.to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a recipe from plain values.

        What is left out keeps the value of the recipe named by ``base`` (``"metrabs"``, ...), or
        without ``base`` stays switched off.

        Raises:
            UnknownNameError: If a name is not known.
            RecipeError: If a value has the wrong type, breaks its rule, or was written by a
                newer version.
        """
        rest = dict(values)
        schema, base = rest.pop("schema", recipe_files.SCHEMA), rest.pop("base", None)
        if schema != recipe_files.SCHEMA:
            raise RecipeError(
                f"the recipe has schema {schema!r}",
                rule=f"this version of the library reads schema {recipe_files.SCHEMA}",
                fix="upgrade posepile-torch",
            )
        start = named(base) if base is not None else Recipe(name="unnamed", image_size=(256, 256))
        full = cls(**{name: getattr(start, name) for name in cls.__dataclass_fields__})
        return recipe_files.with_changes(full, rest, where=f"recipe {rest.get('name', base)}")

    def write(self, path: Path | str) -> None:
        """Save the recipe as TOML, or as JSON if the file is called ``.json``."""
        path = Path(path)
        is_json = _is_json(path)
        text = json.dumps(self.to_dict(), indent=2) + "\n" if is_json else self.to_toml()
        path.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a recipe from a TOML or JSON file, saved by :meth:`write` or written by hand.

        Raises:
            RecipeError: If the file is not such a recipe.
        """
        path = Path(path)
        text = path.read_text(encoding="utf-8")
        try:
            values = json.loads(text) if _is_json(path) else tomllib.loads(text)
        except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(f"the file cannot be parsed: {error}", where=path) from None
        if not isinstance(values, dict):
            raise RecipeError("the file holds no table of numbers", where=path)
        return cls.from_dict(values)

    def to_toml(self) -> str:
        """Return the recipe as TOML text."""
        return recipe_files.to_toml(self.to_dict())

    @property
    def digest(self) -> str:
        """Hash of all numbers, 16 hexadecimal digits.

        The name is left out, and so are the folders of banks, which may lie elsewhere on another
        machine; whether a bank is built in is part of it.
        """
        values = self.to_dict()
        del values["name"]
        for family in ("background", "occlusion"):
            values[family]["bank"] = values[family]["bank"] == BUILTIN_BANK
        return hashlib.sha256(recipe_files.to_json(values).encode()).hexdigest()[:16]


def _is_json(path: Path) -> bool:
    if path.suffix not in (".toml", ".json"):
        raise RecipeError(
            f"a recipe cannot be kept in a {path.suffix or 'nameless'} file",
            where=path,
            rule="recipes are .toml or .json files",
        )
    return path.suffix == ".json"


# ---------------------------------------------------------------------- the named recipes


def evaluation(*, side: int = 256) -> Recipe:
    """Return the recipe without any augmentation: the person's box fills a square image."""
    return Recipe(name="evaluation", image_size=(side, side))


def metrabs(*, side: int = 256) -> Recipe:
    """Return the augmentations that MeTRAbs was trained with.

    Two differences: the colours are changed by one affine map instead of in HSV
    (``colour.method = "hsv"`` gives the published arithmetic), and masks have soft edges.
    """
    return Recipe(
        name="metrabs",
        image_size=(side, side),
        geometry=Geometry(
            centre_shift=0.1,
            scale=Spread(width=0.25),
            roll=Spread(width=math.radians(20)),
            flip_probability=0.5,
        ),
        background=Background(probability=0.7, probability_realistic=0.2, probability_blank=1.0),
        # The published loader declares 0.7 for 2D data without reading it; 0.7 is what was meant.
        occlusion=Occlusion(probability=0.5, probability_2d=0.7),
        colour=Colour(
            probability=1.0,
            brightness=0.125,
            contrast=(0.5, 1.5),
            saturation=(0.5, 1.5),
            hue_rad=math.radians(72),
        ),
        labels=Labels(lowest_share=0.95),
    )


def nlf(*, side: int = 256) -> Recipe:
    """Return the augmentations that NLF was trained with: MeTRAbs's, and some more.

    Full turns, parts of single people, JPEG artefacts; no flip of body models, no other
    background for 2D data, and a dot on the person in 2D data.
    """
    return metrabs(side=side).replaced(
        name="nlf",
        geometry={"full_turn_probability": 0.1, "flips_bodies": False},
        partial={"probability": 0.15},
        background={"with_2d": False},
        artefacts={"jpeg_probability": 0.25, "jpeg_quality": (15, 59), "marker_px": 14.0},
        labels={"drops_outside": True},
    )


def hg3d(*, data: Literal["2d", "3d", "coco"] = "2d", published: bool = False) -> Recipe:
    """Return the affine pipeline of pytorch-pose-hg-3d.

    Args:
        data: ``"2d"``: MPII and the like. ``"3d"``: 3D sets, which it never rolls. ``"coco"``:
            its numbers for COCO, with an image of 192 by 256.
        published: Keep its arithmetic where ours is exact: centres half a pixel off, heatmap
            points rounded down, BGR channels normalised by RGB statistics and 256.
    """
    is_coco = data == "coco"
    if data not in ("2d", "3d", "coco"):
        raise UnknownNameError.among("kind of data", data, ("2d", "3d", "coco"), where="hg3d")
    width, height = (192, 256) if is_coco else (256, 256)
    scale = 0.3 if is_coco else 0.25
    roll = Spread(
        kind="gaussian",
        width=0.0 if data == "3d" else math.radians(40 if is_coco else 30),
        limit=math.radians(80 if is_coco else 60),
        probability=0.6,
    )
    return Recipe(
        name="hg3d" if data == "2d" else f"hg3d_{data}",
        image_size=(width, height),
        framing=Framing(
            mode="affine",
            padding=1.0 if data == "3d" else 1.25,
            limit_to_image=True,
            centre="half" if published else "exact",
        ),
        geometry=Geometry(
            scale=Spread(kind="gaussian", width=scale, limit=scale),
            scale_of="box",
            roll=roll,
            flip_probability=0.5,
        ),
        heatmaps=HeatmapNumbers(
            size=(width // 4, height // 4),
            sigma_px=2.0,
            place="down" if published else "exact",
            grid="scaled" if published else "exact",
        ),
        pixels=Pixels(
            order="bgr" if published else "rgb",
            divisor=256.0 if published else 255.0,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
    )


def posewarper(*, published: bool = False) -> Recipe:
    """Return the affine pipeline of PoseWarper for PoseTrack: 288 by 384 pixels, half bodies.

    Args:
        published: Keep its arithmetic where ours is exact: centres half a pixel off, heatmaps
            drawn about the nearest pixel.
    """
    return Recipe(
        name="posewarper",
        image_size=(288, 384),
        framing=Framing(mode="affine", padding=1.25, centre="half" if published else "exact"),
        geometry=Geometry(
            scale=Spread(kind="gaussian", width=0.35, limit=0.35),
            scale_of="box",
            roll=Spread(
                kind="gaussian",
                width=math.radians(45),
                limit=math.radians(90),
                probability=0.6,
            ),
            flip_probability=0.5,
        ),
        # It takes the upper body when a standard normal number is below 0.5.
        half_body=HalfBody(probability=0.3, more_than=8, upper_share=0.6915, growth=1.5),
        heatmaps=HeatmapNumbers(
            size=(72, 96),
            sigma_px=3.0,
            blend="overwrite",
            place="nearest" if published else "exact",
            grid="scaled" if published else "exact",
            weight="in_window",
            needs_visible=True,
        ),
        pixels=Pixels(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    )


_NAMED: Mapping[str, Callable[[], Recipe]] = {
    "evaluation": evaluation,
    "metrabs": metrabs,
    "nlf": nlf,
    "hg3d": hg3d,
    "posewarper": posewarper,
}


def names() -> tuple[str, ...]:
    """Return the names of the recipes that the library brings."""
    return tuple(_NAMED)


def named(name: str) -> Recipe:
    """Return a recipe by its name, with its default arguments.

    Raises:
        UnknownNameError: If there is none of that name.
    """
    if name not in _NAMED:
        raise UnknownNameError.among("recipe", name, _NAMED)
    return _NAMED[name]()


__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Artefacts",
    "Background",
    "Colour",
    "Framing",
    "Geometry",
    "HalfBody",
    "HeatmapNumbers",
    "Labels",
    "Occlusion",
    "PartialView",
    "Pixels",
    "Recipe",
    "Sampling",
    "Spread",
    "evaluation",
    "hg3d",
    "metrabs",
    "named",
    "names",
    "nlf",
    "posewarper",
]
