"""Mannequin: people that the library renders itself, with exact labels."""

from __future__ import annotations

from typing import ClassVar, Literal

from posepile_torch.cards import (
    Access,
    Card,
    Hints,
    LengthUnit,
    Licence,
    Quirk,
    RawFilePattern,
    RawKind,
    Split,
    Task,
    Visibility,
)
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources.base import Source3D

Activity = Literal["walking", "waving", "sitting", "reaching", "turning", "exercising"]
"""What everybody in a take does."""

SKELETON = Skeleton.parse(
    "mannequin_19",
    joints="pelv spin neck head htop lsho lelb lwri rsho relb rwri lhip lkne lank ltoe rhip rkne "
    "rank rtoe",
    edges="pelv-spin-neck-head-htop,neck-lsho-lelb-lwri,pelv-lhip-lkne-lank-ltoe",
)

_DOCS = "docs/mannequin.md"

CARD = Card(
    name="mannequin",
    title="Mannequin",
    description=(
        "Synthetic people in furnished rooms, rendered by the library itself from a seed: "
        "articulated, shaded bodies of different proportions and clothes, several per take, that "
        "walk, wave, sit down, reach, turn and exercise, seen by several cameras with and without "
        "lens distortion, as video and as still images. Joints, cameras, masks and occlusion are "
        "exact. It is the data of the demo and the oracle of the tests, not a benchmark."
    ),
    tasks=(Task.POSE_3D, Task.SEGMENTATION, Task.MULTI_PERSON, Task.VIDEO),
    licence=Licence.spdx(
        "CC0-1.0",
        evidence=f"{_DOCS}: rendered on your machine, no third-party data goes into it, and the "
        "developers claim no rights in the output",
    ),
    access=Access.SYNTHETIC,
    citation="posepile_torch",
    homepage="https://posepile-torch.readthedocs.io",
    download_steps=("posepile mannequin --out raw/mannequin --seed 0",),
    layout=(
        RawFilePattern("mannequin.json", RawKind.INDEX, note="takes, splits, order of joints"),
        RawFilePattern("takes/{take}/cameras.json", RawKind.CALIBRATION),
        RawFilePattern(
            "takes/{take}/people.json", RawKind.ANNOTATION, note="label, subject, body"
        ),
        RawFilePattern("takes/{take}/joints.npz", RawKind.ANNOTATION, note="joints, visibility"),
        RawFilePattern("takes/{take}/masks/{camera}/{frame:06d}.png", RawKind.MASK),
        RawFilePattern(
            "takes/{take}/videos/{camera}.mkv",
            RawKind.VIDEO,
            required=False,
            note="of takes that are stored as video",
        ),
        RawFilePattern(
            "takes/{take}/stills/{camera}/{frame:06d}.jpg",
            RawKind.IMAGE,
            required=False,
            note="of takes that are stored as still images",
        ),
    ),
    splits=(
        Split("train", note="about five takes of seven"),
        Split("val", note="about one take of seven, other subjects"),
        Split("test", note="about one take of seven, other subjects"),
    ),
    units=LengthUnit.METRE,
    world_up=(0.0, 1.0, 0.0),
    visibility=Visibility.EXACT,
    visibility_note=(
        "By rays: a joint is visible if the ray through it meets the flesh around that joint "
        "before it meets anything else, whether or not the image reaches that far."
    ),
    quirks=(
        Quirk(
            "the joints of the raw files run from the head down, left before right; the converter "
            "reorders them by name",
            where="takes/*/joints.npz",
            source=_DOCS,
        ),
        Quirk(
            "cameras are stored as x_cam = R X + t in metres, with R as a rotation vector; the "
            "converter computes the optical centre in millimetres",
            where="takes/*/cameras.json",
            source=_DOCS,
        ),
        Quirk(
            "files of frames are counted from 1, rows of arrays from 0",
            where="takes/*/masks, takes/*/stills",
            source=_DOCS,
        ),
        Quirk(
            "boxes are whole pixels and include what is hidden; a person who is out of view has a "
            "box of zeros, and the converter passes no box for it",
            where="takes/*/joints.npz, array blocks",
            source=_DOCS,
        ),
    ),
    hints=Hints(has_mask=True),
)


class Mannequin(Source3D):
    """People that the library renders itself; see :data:`CARD`.

    Keys: ``subject`` (``"s01"``, never in two splits), ``sequence`` (the take), ``activity`` (one
    of :data:`Activity`), ``camera_name`` (``"c1"``, ...) and ``track`` (the label in the masks).
    """

    card: ClassVar[Card] = CARD
    native: ClassVar[Skeleton] = SKELETON
