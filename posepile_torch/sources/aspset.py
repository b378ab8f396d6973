"""ASPset-510: amateur sports outdoors, filmed by up to three cameras, with 17 joints."""

from __future__ import annotations

from typing import ClassVar

from posepile_torch import skeletons
from posepile_torch.cards import (
    Access,
    Card,
    LengthUnit,
    Licence,
    Quirk,
    RawFilePattern,
    RawKind,
    Sizes,
    Split,
    Task,
    Visibility,
)
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources.base import Source3D

SKELETON = skeletons.get("aspset_17")

_TOOLKIT = "https://github.com/anibali/aspset-510"
_ITEM = "https://archive.org/details/aspset510"
_POSEPILE = "PosePile, posepile/ds/aspset"

CARD = Card(
    name="aspset",
    title="ASPset-510",
    description=(
        "17 amateur athletes perform 30 clips of sports each on outdoor fields, filmed in 4K at "
        "50 frames per second by three fixed cameras, of which the test split shows one per clip. "
        "3D joints come without markers: labels by hand and an optimisation over the views."
    ),
    tasks=(Task.POSE_3D, Task.VIDEO),
    licence=Licence.spdx(
        "CC0-1.0",
        evidence="PosePile's README and users of the files call the data public domain, CC0; the "
        "item's page has the last word.",
        url=_ITEM,
    ),
    access=Access.OPEN,
    citation="nibali2021aspset",
    homepage=_TOOLKIT,
    paper="https://doi.org/10.1016/j.imavis.2021.104196",
    release="v1, with the test joints that were published in 2024",
    download_steps=(
        f"open {_ITEM} and download splits.csv and the archives "
        "aspset510_v1_{trainval,test}-{boxes,cameras,joints_3d,videos}.tar.gz",
        "unpack all archives into one folder: they bring a folder ASPset-510 with trainval and "
        "test in it",
        "see that splits.csv lies beside trainval and test, and pass their folder as --raw",
        "for training alone leave test out and convert with --option splits='train val'",
    ),
    layout=(
        RawFilePattern("splits.csv", RawKind.INDEX, note="subject, clip, split, view; no heading"),
        RawFilePattern(
            "{fold:trainval|test}/cameras/{subject}/{subject}-{view}.json",
            RawKind.CALIBRATION,
            origin="aspset510_v1_{fold}-cameras.tar.gz",
        ),
        RawFilePattern(
            "{fold:trainval|test}/boxes/{subject}/{subject}-{clip}-{view}.csv",
            RawKind.ANNOTATION,
            note="a heading, then left, top, right, bottom for each frame",
            origin="aspset510_v1_{fold}-boxes.tar.gz",
        ),
        RawFilePattern(
            "{fold:trainval|test}/videos/{subject}/{subject}-{clip}-{view}.mkv",
            RawKind.VIDEO,
            origin="aspset510_v1_{fold}-videos.tar.gz",
        ),
        RawFilePattern(
            "trainval/joints_3d/{subject}/{subject}-{clip}.c3d",
            RawKind.ANNOTATION,
            origin="aspset510_v1_trainval-joints_3d.tar.gz",
        ),
        RawFilePattern(
            "test/joints_3d/{subject}/{subject}-{clip}.c3d",
            RawKind.ANNOTATION,
            required=False,
            note="published later than the rest; without them the test split has no records",
            origin="aspset510_v1_test-joints_3d.tar.gz",
        ),
    ),
    splits=(
        Split("train", note="shares the folder trainval"),
        Split("val", note="shares the folder trainval"),
        Split("test", note="evaluated at 10 frames per second; one view per clip"),
    ),
    units=LengthUnit.MILLIMETRE,
    # y runs down in the world: the published poses have feet at larger y than heads.
    world_up=(0.0, -1.0, 0.0),
    visibility=Visibility.NONE,
    quirks=(
        Quirk(
            "the fourth column of a clip is 'all' or names the only view that belongs to it; the "
            "other views of such a clip are not part of the dataset",
            where="splits.csv",
            source=f"{_TOOLKIT}, src/aspset510/__init__.py",
        ),
        Quirk(
            "intrinsic matrices are 3x4 with a last column of zeros, extrinsic ones 4x4 from the "
            "world to the camera, x_cam = R X + T, in millimetres; there is no lens distortion",
            where="*/cameras",
            source=f"{_TOOLKIT}, src/aspset510/camera.py and tests/conftest.py",
        ),
        Quirk(
            "camera files do not state the image size; the converter takes it from the video",
            where="*/cameras",
            source=f"{_TOOLKIT}, src/aspset510/constants.py",
        ),
        Quirk(
            "boxes are tight; the converter grows them by a tenth, as PosePile does (option "
            "box_factor)",
            where="*/boxes",
            source=_POSEPILE,
        ),
        Quirk(
            "video, boxes and joints of a clip may differ in length; frames that lack one of them "
            "are counted as frames without people",
            where="all clips",
            source=_POSEPILE,
        ),
    ),
    sizes=Sizes(subjects=17, sequences=510, cameras=3),
)


class Aspset(Source3D):
    """ASPset-510; see :data:`CARD`.

    Keys: ``subject`` (``"04ac"``), ``sequence`` (subject and clip, ``"04ac-0001"``) and
    ``camera_name`` (``"left"``, ``"mid"`` or ``"right"``).
    """

    card: ClassVar[Card] = CARD
    native: ClassVar[Skeleton] = SKELETON
