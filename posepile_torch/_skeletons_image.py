"""Standard skeletons of image datasets and of 2D keypoint detectors."""

from __future__ import annotations

from posepile_torch._skeletons_model import BODY25, BODY25_EDGES, COCO17, COCO_EDGES
from posepile_torch.skeletons import StandardSkeleton

_LIMBS = "rsho-relb-rwri,rhip-rkne-rank"
_BIG_TOES = {
    f"{side}{joint}": f"coco:{side}{code}"
    for side in "lr"
    for joint, code in (("foo", "bigtoe"), ("toe", "smalltoe"))
}
_LSP14 = "rank rkne rhip lhip lkne lank rwri relb rsho lsho lelb lwri neck htop"
_MPII16 = "rank rkne rhip lhip lkne lank pelv thor neck htop rwri relb rsho lsho lelb lwri"
_FLIC29 = (
    "lsho lelb lwri rsho relb rwri lhip lkne lank rhip rkne rank leye reye lear rear nose "
    "msho mhip mear mtorso mluarm mruarm mllarm mrlarm mluleg mruleg mllleg mrlleg"
)
_FLIC11 = "lsho lelb lwri rsho relb rwri lhip rhip leye reye nose"
_FLIC_MIRROR = {
    f"l{part}": f"r{part}" for part in ("sho", "elb", "wri", "hip", "kne", "ank", "eye", "ear")
} | {f"ml{part}": f"mr{part}" for part in ("uarm", "larm", "uleg", "lleg")}

TABLE = (
    StandardSkeleton(
        name="coco_17",
        title="COCO keypoints",
        joints=COCO17,
        edges=COCO_EDGES,
        convention="coco",
        source="COCO person_keypoints annotations",
    ),
    StandardSkeleton(
        name="body_25",
        title="OpenPose BODY_25",
        joints=BODY25,
        edges=BODY25_EDGES,
        convention="coco",
        landmarks=_BIG_TOES,
        aliases={
            "mid_hip": "pelv",
            "MidHip": "pelv",
            "LBigToe": "lfoo",
            "RBigToe": "rfoo",
            "LSmallToe": "ltoe",
            "RSmallToe": "rtoe",
        },
        source="OpenPose output format; foo is the big toe, toe the small toe",
    ),
    StandardSkeleton(
        name="openpose_18",
        title="OpenPose COCO-18 (poses2d of 3DPW)",
        joints="nose neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank "
        "reye leye rear lear",
        edges="nose-neck-rsho-relb-rwri,neck-rhip-rkne-rank,nose-reye-rear",
        convention="coco",
        source="OpenPose output format; used by 3DPW, not the COCO-17 order",
    ),
    StandardSkeleton(
        name="mpii_16",
        title="MPII Human Pose",
        joints=_MPII16,
        edges=f"{_LIMBS},rhip-pelv-thor-neck-htop,thor-rsho",
        convention="mpii",
        landmarks={"neck": "mpii:upper_neck"},
        aliases={"upper_neck": "neck", "head": "htop"},
        source="MPII annotation ids 0-15",
        note="neck is the upper neck; thor is between the shoulders.",
    ),
    StandardSkeleton(
        name="lsp_14",
        title="Leeds Sports Pose and LSPET",
        joints=_LSP14,
        edges=f"{_LIMBS},neck-htop,neck-rsho,rhip-lhip",
        convention="lsp",
        aliases={"head": "htop"},
        source="LSP joints.mat, person-centric order",
    ),
    StandardSkeleton(
        name="flic_29",
        title="FLIC-full coordinate table",
        joints=_FLIC29,
        edges="lsho-lelb-lwri,lhip-lkne-lank,msho-mtorso-mhip,leye-nose",
        mirror=_FLIC_MIRROR,
        convention="flic",
        source="MODEC lookupPart list; 0-based here",
        note="Only 11 points are annotated (0-6 9 12 13 16), see flic_11; the rest is NaN.",
    ),
    StandardSkeleton(
        name="flic_11",
        title="FLIC, the annotated points",
        joints=_FLIC11,
        edges="lsho-lelb-lwri,leye-nose",
        convention="flic",
        source="MODEC lookupPart list, rows 0-6 9 12 13 16",
    ),
    StandardSkeleton(
        name="aic_14",
        title="AI Challenger keypoints",
        joints="rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank htop neck",
        edges="rwri-relb-rsho-neck,rank-rkne-rhip-lhip,neck-htop,rhip-rsho",
        convention="aic",
        aliases={"head": "htop"},
        source="AI Challenger 2017 keypoint annotations",
    ),
    StandardSkeleton(
        name="crowdpose_14",
        title="CrowdPose",
        joints="lsho rsho lelb relb lwri rwri lhip rhip lkne rkne lank rank htop neck",
        edges=f"{_LIMBS},htop-neck-rsho,neck-rhip",
        convention="crowdpose",
        aliases={"top_head": "htop"},
        source="CrowdPose annotation format",
    ),
    StandardSkeleton(
        name="jhmdb_15",
        title="Sub-JHMDB",
        joints="neck bell head rsho lsho rhip lhip relb lelb rkne lkne rwri lwri rank lank",
        edges=f"{_LIMBS},head-neck-bell,neck-rsho,bell-rhip",
        convention="jhmdb",
        aliases={"face": "head"},
        source="Sub-JHMDB as read by public evaluation code; the puppet files say face, not head",
    ),
    StandardSkeleton(
        name="posetrack_17",
        title="PoseTrack18 slots (PoseWarper, COCO-like files)",
        joints="nose neck htop lear rear lsho rsho lelb relb lwri rwri "
        "lhip rhip lkne rkne lank rank",
        edges=f"{_LIMBS},neck-htop,nose-rear",
        convention="posetrack",
        landmarks={"neck": "posetrack:upper_neck"},
        aliases={"head_bottom": "neck", "upper_neck": "neck"},
        source="PoseTrack18 annotation format",
        note="The ears are never labelled; neck is the head bottom.",
    ),
    StandardSkeleton(
        name="posetrack_15",
        title="PoseTrack, the 15 joints of poseval",
        joints="rank rkne rhip lhip lkne lank rwri relb rsho lsho lelb lwri neck nose htop",
        edges=f"{_LIMBS},neck-htop,neck-nose",
        convention="posetrack",
        landmarks={"neck": "posetrack:upper_neck"},
        aliases={"head_bottom": "neck", "upper_neck": "neck"},
        source="poseval joint ids 0-14",
    ),
    StandardSkeleton(
        name="jrdb_17",
        title="JRDB-Pose",
        joints="htop reye leye rsho neck lsho relb lelb pelv rwri rhip lhip lwri rkne lkne "
        "rank lank",
        edges="neck-rsho-relb-rwri,htop-neck-pelv-rhip-rkne-rank,htop-reye",
        convention="jrdb",
        aliases={
            "head": "htop",
            "center shoulder": "neck",
            "center hip": "pelv",
            "right foot": "rank",
            "left foot": "lank",
        },
        source="JRDB-Pose annotation format",
    ),
    StandardSkeleton(
        name="aist_19",
        title="AIST++: COCO keypoints with neck and pelvis as midpoints",
        joints=f"{COCO17} neck pelv",
        edges="nose-neck-pelv,pelv-rhip-rkne-rank,rwri-relb-rsho-neck,lear-leye-reye-rear",
        convention="coco",
        source="PosePile, AIST++ joints",
    ),
    StandardSkeleton(
        name="ikea_17",
        title="IKEA ASM: triangulated COCO keypoints, a convention of their own",
        joints=COCO17,
        edges="rank-rkne-rhip-lhip,rhip-rsho-relb-rwri,rsho-lsho,rear-reye-nose",
        convention="ikea",
        source="PosePile, IKEA ASM joints; kept apart from COCO in the merged training sets",
    ),
    StandardSkeleton(
        name="panoptic_19",
        title="CMU Panoptic coco19, file order",
        joints="neck nose pelv lsho lelb lwri lhip lkne lank rsho relb rwri rhip rkne rank "
        "leye lear reye rear",
        edges="nose-neck-pelv,rwri-relb-rsho-neck,rank-rkne-rhip-pelv,nose-reye-rear",
        convention="coco",
        aliases={"body_center": "pelv", "BodyCenter": "pelv"},
        source="Panoptic Toolbox, hdPose3d_stage1_coco19",
    ),
    StandardSkeleton(
        name="panoptic_19_root_last",
        title="CMU Panoptic coco19 with the pelvis last (PosePile)",
        joints="neck nose lsho lelb lwri lhip lkne lank rsho relb rwri rhip rkne rank "
        "leye lear reye rear pelv",
        edges="nose-neck-pelv,rwri-relb-rsho-neck,rank-rkne-rhip-pelv,nose-reye-rear",
        convention="coco",
        source="PosePile, Panoptic joints",
    ),
    StandardSkeleton(
        name="campus_14",
        title="Campus, Shelf and Store (crossview release)",
        joints=_LSP14,
        edges=f"{_LIMBS},rhip-lhip,neck-htop,neck-rsho",
        convention="campus",
        landmarks={"neck": "campus:upper_neck"},
        aliases={"head_bottom": "neck"},
        source="crossview tracking release, annotation_3d.json",
    ),
)
