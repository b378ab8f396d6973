"""3DPW: people outdoors and in buildings, filmed with a hand-held phone, with SMPL fits."""

from __future__ import annotations

from typing import ClassVar

from posepile_torch import skeletons
from posepile_torch.cards import (
    Access,
    Card,
    Hints,
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
from posepile_torch.skeleton import Skeleton, union
from posepile_torch.sources.base import Source3D

SKELETON = union(
    {"": skeletons.get("smpl_24"), "coco": skeletons.get("openpose_18")}, name="3dpw_42"
)

_SITE = "https://virtualhumans.mpi-inf.mpg.de/3DPW/"
_POSEPILE = "PosePile, module tdpw (https://github.com/isarandi/PosePile)"
_PICKLES = "sequenceFiles/*/*.pkl"

CARD = Card(
    name="3dpw",
    title="3D Poses in the Wild (3DPW)",
    description=(
        "Sixty sequences of one or two people who walk, climb stairs, take buses, play sports and "
        "talk, filmed at 30 Hz by a moving hand-held phone. Body-worn inertial sensors and the "
        "video together give SMPL poses and camera poses. Every frame comes with SMPL parameters "
        "(gendered), the 24 SMPL joints in the world, and the 18 key points that OpenPose found "
        "in the image."
    ),
    tasks=(Task.POSE_3D, Task.POSE_2D, Task.BODY_MODEL, Task.MULTI_PERSON, Task.VIDEO),
    licence=Licence(
        "LicenseRef-3DPW",
        commercial=False,
        redistribution=False,
        derivatives=None,
        evidence="the licence page linked from the dataset's site restricts it to non-commercial "
        "scientific research and forbids passing it on; read it there before use",
        url=f"{_SITE}license.html",
    ),
    access=Access.FORM,
    citation="vonmarcard2018recovering",
    homepage=_SITE,
    paper="https://doi.org/10.1007/978-3-030-01249-6_37",
    download_steps=(
        f"open {_SITE} and agree to the licence",
        "download imageFiles.zip and sequenceFiles.zip",
        "unpack both into one folder, so that it holds imageFiles/ and sequenceFiles/",
    ),
    layout=(
        RawFilePattern(
            "sequenceFiles/{fold:train|validation|test}/{sequence}.pkl",
            RawKind.ANNOTATION,
            note="a Python 2 pickle: poses, cameras and 2D key points of one sequence",
            origin="sequenceFiles.zip",
        ),
        RawFilePattern(
            "imageFiles/{sequence}/image_{frame:05d}.jpg",
            RawKind.IMAGE,
            note="counted from 0; some sequences are portrait, some landscape",
            origin="imageFiles.zip",
        ),
    ),
    splits=(
        Split("train", note="folder train, 24 sequences"),
        Split("val", note="folder validation, 12 sequences"),
        Split("test", note="folder test, 24 sequences"),
    ),
    units=LengthUnit.METRE,
    world_up=(0.0, -1.0, 0.0),
    visibility=Visibility.CONFIDENCE,
    visibility_note=(
        "Visibility is unknown throughout. The confidence of the 18 key points of OpenPose is "
        "theirs (0 where a point was not found, which then has no position); that of the SMPL "
        "joints is 1."
    ),
    quirks=(
        Quirk(
            "poses2d holds OpenPose's 18 points (nose, neck, right arm, left arm, right leg, left "
            "leg, eyes, ears) as [3, 18] of x, y, confidence; it is not the order of COCO. They "
            "are other points of the body than SMPL's joints of the same name, so they are stored "
            "beside them, as *_coco",
            where=f"{_PICKLES}, poses2d",
            source="https://github.com/mkocabas/VIBE/issues/110",
        ),
        Quirk(
            "campose_valid marks, per person, the frames whose camera pose fits; the others, and "
            "those without any 2D point, are skipped as people without joints",
            where=f"{_PICKLES}, campose_valid, poses2d",
            source=_POSEPILE,
        ),
        Quirk(
            "the camera pose is x_cam = R X + t in metres, for every frame anew, and the world's "
            "vertical is not reliable; crops are levelled to the camera's own vertical, and the "
            "up direction above is that of camera axes",
            where=f"{_PICKLES}, cam_poses",
            source=_POSEPILE,
        ),
        Quirk(
            "betas have 10 or more entries; the first 10 are meant",
            where=f"{_PICKLES}, betas",
            source=_POSEPILE,
        ),
        Quirk(
            "row i of the arrays belongs to image_{i:05d}.jpg; img_frame_ids counts the 60 Hz "
            "poses and is no number of an image",
            where=_PICKLES,
            source=_POSEPILE,
        ),
        Quirk(
            "the pickles were written by Python 2 with text in latin-1",
            where=_PICKLES,
            source=_POSEPILE,
        ),
    ),
    hints=Hints(realistic_background=True, surface_valid=True),
    sizes=Sizes(sequences=60, cameras=1),
)


class ThreeDPW(Source3D):
    """People in the wild with SMPL fits; see :data:`CARD`.

    The 24 SMPL joints have 3D positions. The 18 points of OpenPose, ``nose_coco`` to
    ``lear_coco``, have 2D positions only: ask for ``skeleton="smpl_24"`` to be without them, or
    for ``"coco_17"`` or ``"openpose_18"`` to have them alone.

    Keys: ``sequence`` (``"downtown_walking_00"``), ``scene`` (the first word of it) and ``track``
    (``"0"`` or ``"1"``, the place of the person in the sequence's file).
    """

    card: ClassVar[Card] = CARD
    native: ClassVar[Skeleton] = SKELETON
