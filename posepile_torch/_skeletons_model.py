"""Standard skeletons of body models and of whole-body (face and hands) annotation.

Joint codes of hands are ``thu index middle ring pinky`` with 1-3 from the base and 4 for the tip;
codes of face landmarks are those of the 68-point iBUG order with left and right written out.
"""

from __future__ import annotations

from posepile_torch.skeletons import StandardSkeleton

FINGERS = ("thu", "index", "middle", "ring", "pinky")
HAND_STEMS = "index middle ring pinky"

SMPL24 = (
    "pelv lhip rhip bell lkne rkne spin lank rank thor ltoe rtoe neck lcla rcla head "
    "lsho rsho lelb relb lwri rwri lhan rhan"
)
SMPL_ROOT_LAST = " ".join([*SMPL24.split()[1:], "pelv"])
SMPL_BODY22 = SMPL24.removesuffix(" lhan rhan")
SMPL_EDGES = "head-neck-thor-spin-bell-pelv-rhip-rkne-rank-rtoe,thor-rcla-rsho-relb-rwri-rhan"
SMPL_BODY_EDGES = SMPL_EDGES.removesuffix("-rhan")
SMPL_ALIASES = {
    "spine1": "bell",
    "spine2": "spin",
    "spine3": "thor",
    "left_foot": "ltoe",
    "right_foot": "rtoe",
    "left_collar": "lcla",
    "right_collar": "rcla",
}
COCO17 = "nose leye reye lear rear lsho rsho lelb relb lwri rwri lhip rhip lkne rkne lank rank"
COCO_EDGES = "nose-reye-rear,rsho-relb-rwri,rhip-rkne-rank"
BODY25 = (
    "nose neck rsho relb rwri lsho lelb lwri pelv rhip rkne rank lhip lkne lank "
    "reye leye rear lear lfoo ltoe lhee rfoo rtoe rhee"
)
BODY25_EDGES = (
    "nose-neck-pelv-rhip-rkne-rank-rfoo-rtoe,rank-rhee,nose-reye-rear,neck-rsho-relb-rwri"
)


def _sides(stems: str, numbers: range) -> str:
    return " ".join(f"{stem}{i}" for stem in stems.split() for i in numbers)


FACE_CONTOUR = f"{_sides('rface', range(1, 9))} chin {_sides('lface', range(8, 0, -1))}"
FACE_INNER = (
    f"{_sides('rface', range(9, 14))} {_sides('lface', range(13, 8, -1))} "
    f"nose1 nose2 nose3 nose4 rface14 rface15 nose5 lface15 lface14 "
    f"{_sides('reye', range(1, 7))} leye4 leye3 leye2 leye1 leye6 leye5 "
    "rmouth1 rmouth2 rmouth3 mouth1 lmouth3 lmouth2 lmouth1 lmouth4 lmouth5 mouth2 rmouth5 "
    "rmouth4 rmouth6 rmouth7 mouth3 lmouth7 lmouth6 lmouth8 mouth4 rmouth8"
)
FACE68 = f"{FACE_CONTOUR} {FACE_INNER}"
FACE_EDGES = (
    "rface1-rface2-rface3-rface4-rface5-rface6-rface7-rface8-chin,"
    "rface9-rface10-rface11-rface12-rface13,nose1-nose2-nose3-nose4,rface14-rface15-nose5,"
    "reye1-reye2-reye3-reye4-reye5-reye6-reye1,"
    "mouth2-rmouth5-rmouth4-rmouth1-rmouth2-rmouth3-mouth1,"
    "mouth4-rmouth8-rmouth6-rmouth7-mouth3"
)
HANDS21 = f"{_sides('lhan', range(1, 22))} {_sides('rhan', range(1, 22))}"
HAND21_EDGES = ",".join(
    "-".join(["rhan1", *(f"rhan{i}" for i in range(first, first + 4))])
    for first in (2, 6, 10, 14, 18)
)


def face_landmarks(convention: str) -> dict[str, str]:
    """Return the landmarks of the 68 face points under another convention's name."""
    return {joint: f"{convention}:{joint}" for joint in FACE68.split()}


def hand21_landmarks(convention: str = "hand21", *, first: int = 1) -> dict[str, str]:
    """Return what ``lhan1 ... rhan21`` mean: the wrist, then five fingers of four points each.

    Args:
        convention: Convention of the points.
        first: 1 if number 1 is the wrist, 0 if numbering starts at the base of the thumb.
    """
    codes = (["wri"] if first else []) + [f"{f}{i}" for f in FINGERS for i in range(1, 5)]
    return {
        f"{side}han{number}": f"{convention}:{side}{code}"
        for side in "lr"
        for number, code in enumerate(codes, start=1)
    }


def _mano_hand(side: str) -> str:
    """Name the 15 joints of a MANO hand in model order (the thumb comes last)."""
    return _sides(
        " ".join(side + f for f in ("index", "middle", "pinky", "ring", "thu")), range(1, 4)
    )


_MANO_EDGES = ",".join(f"rwri-r{f}1-r{f}2-r{f}3" for f in FINGERS)
_MANO_HANDS = f"{_mano_hand('l')} {_mano_hand('r')}"
_SMPLX_SOURCE = "smplx package, joint_names.py"
_FOOT_LANDMARKS = {
    f"{side}{joint}": f"smplx:{side}{code}"
    for side in "lr"
    for joint, code in (("to2", "bigtoe"), ("to3", "smalltoe"))
}
_SMPLX_EXTRA = "nose reye leye rear lear lto2 lto3 lhee rto2 rto3 rhee"
_TIPS = "lthu lindex lmiddle lring lpinky rthu rindex rmiddle rring rpinky"
_TIP_LANDMARKS = {tip: f"smplx:{tip}4" for tip in _TIPS.split()}
_SMPLX_FACE51 = (
    f"{_sides('reyebrow', range(1, 6))} {_sides('leyebrow', range(5, 0, -1))} "
    "nose1 nose2 nose3 nose4 rnose2 rnose1 nosemiddle lnose1 lnose2 "
    f"{_sides('reye', range(1, 7))} leye4 leye3 leye2 leye1 leye6 leye5 "
    "rmouth1 rmouth2 rmouth3 mouthtop lmouth3 lmouth2 lmouth1 lmouth5 lmouth4 mouthbottom "
    "rmouth4 rmouth5 rlip1 rlip2 toplip llip2 llip1 llip3 bottomlip rlip3"
)
_SMPLX_CONTOUR = (
    f"{_sides('rcontour', range(1, 9))} contourmiddle {_sides('lcontour', range(8, 0, -1))}"
)
_SMPLX_LANDMARKS = (
    _FOOT_LANDMARKS
    | _TIP_LANDMARKS
    | {
        joint: f"smplx:{code}"
        for joint, code in zip(
            f"{_SMPLX_FACE51} {_SMPLX_CONTOUR}".split(),
            f"{FACE_INNER} {FACE_CONTOUR}".split(),
            strict=True,
        )
    }
)
_SMPLX_SIDED = f"{HAND_STEMS} eyehf to eyebrow nose mouth lip contour"
_SMPLX55 = f"{SMPL_BODY22} jaw leyehf reyehf {_MANO_HANDS}"
_SMPLX127 = f"{_SMPLX55} {_SMPLX_EXTRA} {_TIPS} {_SMPLX_FACE51}"
_SMPLX42 = (
    f"{SMPL_BODY22} jaw leyehf reyehf lmiddle1 rmiddle1 {_SMPLX_EXTRA} lthu lmiddle rthu rmiddle"
)
# The body chain of SMPL-X runs through the jaw to nose, eyes and ears.
_SMPLX_EDGES = (
    "rwri-relb-rsho-rcla-thor,rank-rhee,rto2-rtoe-rto3,"
    "rear-reye-nose-head-jaw-neck-thor-spin-bell-pelv-rhip-rkne-rank-rtoe"
)


def suffixed(text: str, suffix: str) -> str:
    """Return joint or edge text with ``_<suffix>`` behind every name."""
    separators = {" ", "-", ","}
    words, word = [], ""
    for character in text + " ":
        if character in separators:
            words.append(f"{word}_{suffix}{character}")
            word = ""
        else:
            word += character
    return "".join(words).rstrip()


_BODY25_FEET = {
    f"{side}{joint}": f"coco:{side}{code}"
    for side in "lr"
    for joint, code in (("foo", "bigtoe"), ("toe", "smalltoe"))
}
_COCO_IN_49 = " ".join([*BODY25.split()[:8], *BODY25.split()[9:], "pelv"])
_WHOLEBODY_LANDMARKS = (
    {
        f"{side}{joint}": f"coco:{side}{code}"
        for side in "lr"
        for joint, code in (("toe", "bigtoe"), ("toe2", "smalltoe"))
    }
    | face_landmarks("ibug")
    | hand21_landmarks()
)
_DNA_HAND = " ".join(
    f"{{side}}han{i}" for i in (5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3)
)
_DNA_TIPS = "{side}han4 {side}han8 {side}han12 {side}han16 {side}han20"
_DNA131 = (
    "lhip rhip lkne rkne lank rank lsho rsho lelb relb lwri rwri "
    f"{_DNA_HAND.format(side='l')} {_DNA_HAND.format(side='r')} nose reye leye rear lear "
    "ltoe ltoe2 lhee rtoe rtoe2 rhee "
    f"{_DNA_TIPS.format(side='l')} {_DNA_TIPS.format(side='r')} {FACE_INNER} {FACE_CONTOUR}"
)

TABLE = (
    StandardSkeleton(
        name="smpl_24",
        title="SMPL body joints",
        joints=SMPL24,
        edges=SMPL_EDGES,
        convention="smpl",
        aliases=SMPL_ALIASES,
        source="SMPL model, kinematic order",
    ),
    StandardSkeleton(
        name="smpl_24_root_last",
        title="SMPL body joints with the pelvis last (SURREAL, 3DPW in PosePile)",
        joints=SMPL_ROOT_LAST,
        edges=SMPL_EDGES,
        convention="smpl",
        aliases=SMPL_ALIASES,
        source="PosePile order of SMPL joints",
    ),
    StandardSkeleton(
        name="smplh_52",
        title="SMPL-H body joints and 15 joints per hand",
        joints=f"{SMPL_BODY22} {_MANO_HANDS}",
        edges=f"{SMPL_BODY_EDGES},{_MANO_EDGES}",
        sided=HAND_STEMS,
        convention="smplh",
        aliases=SMPL_ALIASES,
        source=_SMPLX_SOURCE,
    ),
    StandardSkeleton(
        name="smplx_55",
        title="SMPL-X kinematic joints: body, jaw, eyeballs, 15 joints per hand",
        joints=_SMPLX55,
        edges=f"{SMPL_BODY_EDGES},head-jaw,head-reyehf,{_MANO_EDGES}",
        sided=f"{HAND_STEMS} eyehf",
        convention="smplx",
        aliases=SMPL_ALIASES,
        source=_SMPLX_SOURCE,
    ),
    StandardSkeleton(
        name="smplx_42",
        title="SMPL-X body subset of RICH and AGORA (indices 0-24 28 43 55-66 68 71 73 of 127)",
        joints=_SMPLX42,
        edges=_SMPLX_EDGES,
        sided=f"{HAND_STEMS} eyehf to",
        convention="smplx",
        landmarks={
            joint: landmark
            for joint, landmark in _SMPLX_LANDMARKS.items()
            if joint in _SMPLX42.split()
        },
        aliases=SMPL_ALIASES,
        source="PosePile, RICH and AGORA joints",
    ),
    StandardSkeleton(
        name="smplx_127",
        title="SMPL-X output joints: 55, feet, face, finger tips, 51 face landmarks",
        joints=_SMPLX127,
        edges=f"{_SMPLX_EDGES},{_MANO_EDGES},"
        + ",".join(f"r{finger}3-r{finger}" for finger in FINGERS),
        sided=_SMPLX_SIDED,
        convention="smplx",
        landmarks={
            joint: landmark
            for joint, landmark in _SMPLX_LANDMARKS.items()
            if joint in _SMPLX127.split()
        },
        aliases=SMPL_ALIASES,
        source=_SMPLX_SOURCE,
    ),
    StandardSkeleton(
        name="smplx_144",
        title="SMPL-X output joints with the face contour",
        joints=f"{_SMPLX127} {_SMPLX_CONTOUR}",
        edges=f"{_SMPLX_EDGES},{_MANO_EDGES},"
        + ",".join(f"r{finger}3-r{finger}" for finger in FINGERS),
        sided=_SMPLX_SIDED,
        convention="smplx",
        landmarks=_SMPLX_LANDMARKS,
        aliases=SMPL_ALIASES,
        source=_SMPLX_SOURCE + ", with use_face_contour",
    ),
    StandardSkeleton(
        name="smplb_49",
        title="SMPL joints and OpenPose BODY_25, both root last (BEHAVE, HUMBI)",
        joints=f"{SMPL_ROOT_LAST} {suffixed(_COCO_IN_49, 'coco')}",
        edges=f"{SMPL_EDGES},{suffixed(BODY25_EDGES, 'coco')}",
        convention="smpl",
        landmarks={
            f"{joint}_coco": _BODY25_FEET.get(joint, f"coco:{joint}") for joint in BODY25.split()
        },
        aliases=SMPL_ALIASES,
        source="PosePile, BEHAVE and HUMBI joints; the spine is connected for both here",
    ),
    StandardSkeleton(
        name="agora_66",
        title="AGORA: 24 SMPL joints and the 42 SMPL-X joints",
        joints=f"{SMPL24} {suffixed(_SMPLX42, 'smplx')}",
        edges=f"{SMPL_EDGES},{suffixed(_SMPLX_EDGES, 'smplx')}",
        sided=f"{HAND_STEMS} eyehf to",
        convention="smpl",
        landmarks={
            f"{joint}_smplx": _SMPLX_LANDMARKS.get(joint, f"smplx:{joint}")
            for joint in _SMPLX42.split()
        },
        aliases=SMPL_ALIASES,
        source="PosePile, AGORA joints",
    ),
    StandardSkeleton(
        name="coco_wholebody_133",
        title="COCO-WholeBody, H3WB and UBody: body, feet, face, hands",
        joints=f"{COCO17} ltoe ltoe2 lhee rtoe rtoe2 rhee {FACE68} {HANDS21}",
        edges=f"{COCO_EDGES},rank-rtoe,rank-rtoe2,rank-rhee,{FACE_EDGES},{HAND21_EDGES}",
        sided="face mouth",
        convention="coco",
        landmarks=_WHOLEBODY_LANDMARKS,
        aliases={
            "left_big_toe": "ltoe",
            "right_big_toe": "rtoe",
            "left_small_toe": "ltoe2",
            "right_small_toe": "rtoe2",
        },
        source="COCO-WholeBody annotation format: 17 body, 6 foot, 68 face, 2 x 21 hand points",
    ),
    StandardSkeleton(
        name="halpe_136",
        title="Halpe Full-Body: 26 body points, face, hands",
        joints=f"{COCO17} htop neck pelv ltoe rtoe ltoe2 rtoe2 lhee rhee {FACE68} {HANDS21}",
        edges="nose-reye-rear,rsho-neck,rsho-relb-rwri,htop-neck-pelv-rhip-rkne-rank,"
        f"rtoe-rhee-rtoe2,rank-rhee,{FACE_EDGES},{HAND21_EDGES}",
        sided="face mouth",
        convention="halpe",
        landmarks={joint: f"coco:{joint}" for joint in COCO17.split()}
        | {
            f"{side}{joint}": f"halpe:{side}{code}"
            for side in "lr"
            for joint, code in (("toe", "bigtoe"), ("toe2", "smalltoe"))
        }
        | face_landmarks("ibug")
        | hand21_landmarks(),
        aliases={"head": "htop", "hip": "pelv"},
        source="Halpe-FullBody format",
    ),
    StandardSkeleton(
        name="halpe_26",
        title="Halpe body and feet",
        joints=f"{COCO17} htop neck pelv ltoe rtoe ltoe2 rtoe2 lhee rhee",
        edges="nose-reye-rear,rsho-neck,rsho-relb-rwri,htop-neck-pelv-rhip-rkne-rank,"
        "rtoe-rhee-rtoe2,rank-rhee",
        convention="halpe",
        landmarks={joint: f"coco:{joint}" for joint in COCO17.split()}
        | {
            f"{side}{joint}": f"halpe:{side}{code}"
            for side in "lr"
            for joint, code in (("toe", "bigtoe"), ("toe2", "smalltoe"))
        },
        aliases={"head": "htop", "hip": "pelv"},
        source="Halpe-FullBody format, its first 26 points",
    ),
    StandardSkeleton(
        name="dna_131",
        title="DNA-Rendering: 131 of its 144 triangulated keypoints",
        joints=_DNA131,
        edges="rhip-rkne-rank-rhee,rank-rtoe,rank-rtoe2,nose-reye-rear,rsho-relb-rwri,"
        "rwri-rhan1-rhan2-rhan3-rhan4,rwri-rhan5-rhan6-rhan7-rhan8,"
        "rwri-rhan9-rhan10-rhan11-rhan12,rwri-rhan13-rhan14-rhan15-rhan16,"
        f"rwri-rhan17-rhan18-rhan19-rhan20,{FACE_EDGES},nose4-nose5",
        sided="face mouth",
        convention="dna",
        landmarks={
            f"{side}{joint}": f"dna:{side}{code}"
            for side in "lr"
            for joint, code in (("toe", "bigtoe"), ("toe2", "smalltoe"))
        }
        | face_landmarks("dna")
        | {
            joint: landmark
            for joint, landmark in hand21_landmarks("dna", first=0).items()
            if joint in _DNA131.split()
        },
        source="PosePile, DNA-Rendering joints",
        note="Triangulated keypoints in the SMPL-X order, not joints of a fitted body. Hand "
        "points are numbered from the base of the thumb (no wrist), one less than in the "
        "21-point hand of COCO-WholeBody and Halpe.",
    ),
    StandardSkeleton(
        name="egoexo4d_61",
        title="Ego-Exo4D: 19 body points and two 21-point hands",
        joints="neck nose pelv lsho lelb lwri lhip lkne lank rsho relb rwri rhip rkne rank "
        f"leye lear reye rear {HANDS21}",
        edges="nose-neck-pelv,rwri-relb-rsho-neck,rank-rkne-rhip-pelv,nose-reye-rear,"
        f"{HAND21_EDGES}",
        convention="coco",
        landmarks=hand21_landmarks(),
        source="PosePile, Ego-Exo4D joints",
        note="Neck and pelvis are not annotated and stay missing.",
    ),
)
