"""Human3.6M: actors in a motion-capture studio, filmed by four calibrated cameras."""

from __future__ import annotations

from typing import ClassVar, Literal

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
from posepile_torch.joint_rules import JointRule
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources.base import Source3D

Activity = Literal[
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Photo",
    "Waiting",
    "Walking",
    "WalkDog",
    "WalkTogether",
]
"""What is being acted, in the order of published tables and in one spelling for all actors."""

SKELETON = skeletons.get("h36m_25")

COINCIDENT_ROWS = tuple(
    JointRule.copy(joint, original, exact=True, why="the same point in the files")
    for joint, original in (
        ("pelv2", "pelv"),
        ("lcla", "neck"),
        ("rcla", "neck"),
        ("lwri2", "lwri"),
        ("rwri2", "rwri"),
        ("lfin2", "lfin"),
        ("rfin2", "rfin"),
    )
)
"""Rules that give back all 32 rows of the files from the 25 distinct ones:
``JointMap.between(Human36M.native, skeletons.get("h36m_32"), COINCIDENT_ROWS)``."""

_SITE = "http://vision.imar.ro/human3.6m/"
_POSEPILE = "PosePile, module h36m (https://github.com/isarandi/PosePile)"
_VIDEOPOSE3D = "VideoPose3D, data preparation (https://github.com/facebookresearch/VideoPose3D)"
_POSES = "S*/MyPoseFeatures/D3_Positions/*.cdf"

CARD = Card(
    name="h36m",
    title="Human3.6M",
    description=(
        "Eleven actors perform fifteen everyday activities, twice each, in a motion-capture "
        "studio, filmed at 50 Hz by four calibrated cameras. The poses of seven of them are "
        "public: 32 points, of which 25 are distinct, from optical markers. Background "
        "subtraction masks come with it."
    ),
    tasks=(Task.POSE_3D, Task.SEGMENTATION, Task.VIDEO),
    licence=Licence(
        "LicenseRef-Human3.6M",
        commercial=False,
        redistribution=False,
        derivatives=None,
        evidence="the licence agreement shown at registration restricts the data to academic use "
        "and forbids passing it on; read it there before use",
        url=f"{_SITE}eula.php",
    ),
    access=Access.ACCOUNT,
    citation="ionescu2014human36m",
    homepage=_SITE,
    paper="https://doi.org/10.1109/TPAMI.2013.248",
    release="code version 1.2 (metadata.xml)",
    download_steps=(
        f"register at {_SITE} and wait for the approval",
        "download for S1, S5, S6, S7, S8, S9 and S11: Videos, Poses_D3_Positions, "
        "Segments_mat_gt_bb and Segments_mat_gt_bs, and once the code with Release-v1.2",
        "unpack all into one folder, so that it holds S1/Videos, S1/MyPoseFeatures/D3_Positions, "
        "S1/MySegmentsMat and Release-v1.2/metadata.xml",
    ),
    layout=(
        RawFilePattern("Release-v1.2/metadata.xml", RawKind.CALIBRATION, note="all cameras"),
        RawFilePattern(
            "S{subject:d}/MyPoseFeatures/D3_Positions/{recording}.cdf",
            RawKind.ANNOTATION,
            note="32 points in world millimetres",
        ),
        RawFilePattern(
            "data_3d_h36m.npz",
            RawKind.ANNOTATION,
            required=False,
            note="takes the place of the CDF files with the converter's option poses=npz: all 32 "
            "points in metres, as VideoPose3D prepares them from the CDF files",
        ),
        RawFilePattern(
            "S{subject:d}/Videos/{recording}.{camera:54138969|55011271|58860488|60457274}.mp4",
            RawKind.VIDEO,
        ),
        RawFilePattern(
            "S{subject:d}/MySegmentsMat/ground_truth_bb/{recording}.{camera:d}.mat",
            RawKind.ANNOTATION,
            required=False,
            note="boxes, as filled masks; without them boxes are made from the joints",
        ),
        RawFilePattern(
            "S{subject:d}/MySegmentsMat/ground_truth_bs/{recording}.{camera:d}.mat",
            RawKind.MASK,
            required=False,
            note="masks by background subtraction; without them records have none",
        ),
    ),
    splits=(
        Split("train", note="S1, S5, S6, S7 and S8, every 5th frame"),
        Split("test", note="S9 and S11, every 64th frame"),
    ),
    units=LengthUnit.MILLIMETRE,
    world_up=(0.0, 0.0, 1.0),
    visibility=Visibility.NONE,
    quirks=(
        Quirk(
            "the motion capture of three recordings of S9 is displaced by +200 mm along world x "
            "against the images; joints and boxes are moved back, unless the converter's option "
            "correct_s9 is false",
            where="S9: Greeting, SittingDown 1, Waiting 1",
            source=_POSEPILE,
        ),
        Quirk(
            "the video is corrupt in some releases; the option s11_directions leaves out this "
            "video (skip-camera, the default), the whole recording (skip), or nothing (keep)",
            where="S11/Videos/Directions.54138969.mp4",
            source=f"{_POSEPILE}; {_VIDEOPOSE3D}",
        ),
        Quirk(
            "an activity is the name before the first blank; TakingPhoto and WalkingDog are Photo "
            "and WalkDog of the other actors. The numbers of recordings differ between actors",
            where=_POSES,
            source=_VIDEOPOSE3D,
        ),
        Quirk(
            "poses are metres, recordings have the common spelling while videos keep their own, "
            "S11 Directions is absent, and S9 is displaced as in the CDF files",
            where="data_3d_h36m.npz",
            source=_VIDEOPOSE3D,
        ),
        Quirk(
            "names with an underscore (_ALL) are no recordings and are left out",
            where=_POSES,
            source=_POSEPILE,
        ),
        Quirk(
            "of the 32 rows, 7 repeat others; the 25 distinct ones are stored, and "
            "COINCIDENT_ROWS gives back all 32",
            where=f"{_POSES}, variable Pose",
            source=_POSEPILE,
        ),
        Quirk(
            "the lens is that of the dataset's own toolbox, whose tangential cross term has no "
            "factor 2; read as OpenCV's, joints are off by up to 0.5 px. The file stores p1, p2",
            where="Release-v1.2/metadata.xml, node w0",
            source="3d-pose-baseline's port of the toolbox; docs/conventions.md",
        ),
        Quirk(
            "frames are every option train_step-th and test_step-th, counted from 0 in every "
            "video; 5 and 64 are what published image-based numbers use",
            where="S*/Videos",
            source=_POSEPILE,
        ),
    ),
    hints=Hints(single_person=True, has_mask=True),
    sizes=Sizes(subjects=7, sequences=210, cameras=4),
)


class Human36M(Source3D):
    """Actors in a motion-capture studio; see :data:`CARD`.

    All 25 distinct joints are stored; ``skeleton="h36m_17"`` gives the usual 17, pelvis first.

    Keys: ``subject`` (``"S1"``), ``sequence`` (subject and recording, ``"S9/Waiting 1"``),
    ``activity`` (one of :data:`Activity`) and ``camera_name`` (``"54138969"``, ...).
    """

    card: ClassVar[Card] = CARD
    native: ClassVar[Skeleton] = SKELETON
