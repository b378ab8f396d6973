"""The named rule sets offered by :mod:`posepile_torch.joint_rules`."""

from __future__ import annotations

from posepile_torch.joint_rules import JointRule, RuleSet

_copy, _midpoint, _mean, _affine = (
    JointRule.copy,
    JointRule.midpoint,
    JointRule.mean,
    JointRule.affine,
)
_FUSION = "pytorch-pose-hg-3d and its ECE740 fork: index tables of the 2D+3D fusion datasets"


def _to_h36m() -> tuple[RuleSet, ...]:
    on_line = "made from surface keypoints; Human3.6M has a joint centre of its fitted skeleton"
    return (
        RuleSet(
            "coco-h36m/midpoints",
            (
                _midpoint("pelv", "lhip", "rhip", confidence="weighted", why=on_line),
                _midpoint("neck", "lsho", "rsho", confidence="weighted", why=on_line),
                _mean("spin", "lhip rhip lsho rsho", confidence="weighted", why=on_line),
                _affine(
                    "head",
                    {"nose": 1 / 2, "lsho": 1 / 4, "rsho": 1 / 4},
                    confidence="weighted",
                    why="halfway from the mid-shoulder point to the nose",
                ),
                _midpoint(
                    "htop",
                    "leye",
                    "reye",
                    confidence="weighted",
                    why="COCO has nothing above the eyes, so this point lies too low",
                ),
            ),
            "coco_17",
            "h36m_17",
            "Midpoints throughout; coordinates and confidences alike.",
            "2DEstimatorEvaluation (merging of Human3.6M 2D detections)",
        ),
        _gast_net(),
        RuleSet(
            "mpii-h36m/fusion",
            (
                _copy("spin", "thor", why="thorax put where Human3.6M has the mid-spine"),
                _copy("neck", "neck", why="upper neck put where Human3.6M has the neck base"),
                _copy("head", "htop", why="head top put in the nose slot as well"),
                _copy("htop", "htop", why="same name, other convention"),
            ),
            "mpii_16",
            "h36m_17",
            "Index table of 2D+3D fusion training; the head top is used twice.",
            _FUSION,
        ),
        RuleSet(
            "mpii-h36m/fusion-evaluation",
            (
                _midpoint("spin", "pelv", "neck", why="evaluation replaces the thorax copy"),
                _copy("neck", "neck", why="upper neck put where Human3.6M has the neck base"),
                _midpoint("head", "neck", "htop", why="evaluation replaces the head-top copy"),
                _copy("htop", "htop", why="same name, other convention"),
            ),
            "mpii_16",
            "h36m_17",
            "The fusion table with spine and nose as midpoints, as its 3D evaluation has them.",
            _FUSION,
        ),
    )


def _gast_net() -> RuleSet:
    shoulders = {"lsho": 1 / 2, "rsho": 1 / 2}
    thorax_x = {"lsho": 1 / 3, "rsho": 1 / 3, "nose": 1 / 3}
    quarter = {"lsho": 1 / 4, "rsho": 1 / 4, "lhip": 1 / 4, "rhip": 1 / 4}
    pelvis = {"lhip": 1 / 2, "rhip": 1 / 2}
    return RuleSet(
        "coco-h36m/gast-net",
        (
            _affine("pelv", pelvis, why="midpoint of the hips"),
            # x is pushed away from the middle of the final pelvis and thorax threefold.
            _affine(
                "spin",
                {
                    joint: 3 * quarter.get(joint, 0)
                    - pelvis.get(joint, 0)
                    - thorax_x.get(joint, 0)
                    for joint in ("lsho", "rsho", "lhip", "rhip", "nose")
                },
                quarter,
                why="mean of shoulders and hips, exaggerated sideways",
            ),
            # A third of the way to the nose, then up by two thirds of the nose-eye height.
            _affine(
                "neck",
                thorax_x,
                {"lsho": 1 / 3, "rsho": 1 / 3, "nose": 1, "leye": -1 / 3, "reye": -1 / 3},
                why="mid-shoulder point moved towards the face",
            ),
            _affine(
                "head",
                {"nose": 3 / 4} | {joint: weight / 4 for joint, weight in shoulders.items()},
                why="the nose moved a quarter of the way to the shoulders",
            ),
            _affine(
                "htop",
                {"leye": 1 / 4, "reye": 1 / 4, "lear": 1 / 4, "rear": 1 / 4},
                {"leye": 1, "reye": 1, "nose": -1},
                why="the nose mirrored upwards at the eye line",
            ),
        ),
        "coco_17",
        "h36m_17",
        "Hand-tuned rule of the GAST-Net, PoseFormer and MHFormer demos; image coordinates only.",
        "GAST-Net-3DPoseEstimation, tools/mpii_coco_h36m.py",
    )


def _to_mpii() -> tuple[RuleSet, ...]:
    spine = "mid-spine put where MPII has the thorax"
    base = "neck base put where MPII has the upper neck"
    shoulders = "midpoint of the shoulders; MPII labels the thorax itself"
    return (
        RuleSet(
            "h36m-mpii/fusion",
            (_copy("thor", "spin", why=spine), _copy("neck", "neck", why=base)),
            "h36m_17",
            "mpii_16",
            "Index table of 2D+3D fusion training.",
            _FUSION,
        ),
        RuleSet(
            "3dhp-mpii/fusion",
            (_copy("thor", "spin", why=spine), _copy("neck", "neck", why=base)),
            "3dhp_28",
            "mpii_16",
            "Index tables of 2D+3D fusion training, for 28 and for 17 joints.",
            _FUSION,
        ),
        RuleSet(
            "lsp-mpii/midpoints",
            (
                _midpoint(
                    "pelv", "lhip", "rhip", confidence="product", why="midpoint of the hips"
                ),
                _midpoint("thor", "lsho", "rsho", confidence="product", why=shoulders),
                _copy("neck", "neck", why="LSP labels the neck lower than MPII"),
            ),
            "lsp_14",
            "mpii_16",
            "LSP to the MPII order; visibilities of the midpoints are multiplied.",
            _FUSION,
        ),
        RuleSet(
            "flic-mpii/midpoints",
            (
                _copy("pelv", "mhip", why="midpoint of the hips"),
                _copy("thor", "mtorso", why="middle of the torso put in the thorax slot"),
                _copy("neck", "msho", why="midpoint of the shoulders"),
                _copy("htop", "nose", why="FLIC has nothing above the eyes"),
            ),
            "flic_29",
            "mpii_16",
            "FLIC-full to the MPII order, by the names of its 29 points.",
            _FUSION + " (where its 1-based list was used 0-based; corrected here)",
        ),
        RuleSet(
            "occlusion-person-mpii/midpoints",
            (
                _midpoint("thor", "lsho", "rsho", why=shoulders),
                _copy("neck", "neck", why="neck joint of the rendered character"),
            ),
            "occlusion_person_15",
            "mpii_16",
            "Occlusion-Person to the MPII order; the head top stays missing.",
            _FUSION + " (which copied the neck into the head top; not done here)",
        ),
    )


def _others() -> tuple[RuleSet, ...]:
    return (
        RuleSet(
            "coco/midpoints",
            (
                _midpoint("neck", "lsho", "rsho", exact=True, why="this is its definition"),
                _midpoint("pelv", "lhip", "rhip", exact=True, why="this is its definition"),
            ),
            "coco_17",
            "aist_19",
            "Neck and pelvis of COCO-style skeletons, which are defined as midpoints.",
            "OpenPose output format; AIST++ and CMU Panoptic annotations",
        ),
        RuleSet(
            "posetrack/mid-shoulder-neck",
            (
                _midpoint(
                    "neck",
                    "lsho",
                    "rsho",
                    why="PoseWarper exports the mid-shoulder point although head_bottom is known",
                ),
            ),
            "posetrack_17",
            "posetrack_15",
            "The 15 joints of poseval with the neck as PoseWarper exports it.",
            "PoseWarper, PoseTrack evaluation export",
        ),
    )


RULE_SETS = (*_to_h36m(), *_to_mpii(), *_others())
