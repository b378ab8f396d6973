"""Standard skeletons of 3D datasets (motion capture, multi-view fits, synthetic scenes)."""

from __future__ import annotations

from posepile_torch.skeletons import StandardSkeleton

_LIMBS = "rsho-relb-rwri,rhip-rkne-rank"
_H36M17_EDGES = "pelv-spin-neck-head-htop,neck-rsho-relb-rwri,pelv-rhip-rkne-rank"
_H36M17_ALIASES = {"tors": "spin", "head_top": "htop", "thorax": "neck", "nose": "head"}
_H36M25_EDGES = (
    "htop-head-neck-spin-pelv,pelv-rhip-rkne-rank-rfoo-rtoe,neck-rsho-relb-rwri,"
    "rwri-rthu,rwri-rfin"
)
_3DHP17_EDGES = "htop-head-neck-rsho-relb-rwri,neck-spin-pelv-rhip-rkne-rank"
_3DHP28_EDGES = (
    "htop-head-neck-rcla-rsho-relb-rwri-rhan,"
    "neck-spi4-thor-spi2-spin-pelv-rhip-rkne-rank-rfoo-rtoe"
)
_3DHP17 = "htop neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank pelv spin head"
_3DHP28 = (
    "thor spi4 spi2 spin pelv neck head htop lcla lsho lelb lwri lhan rcla rsho relb rwri rhan "
    "lhip lkne lank lfoo ltoe rhip rkne rank rfoo rtoe"
)
_LSP14_HEAD = "rank rkne rhip lhip lkne lank rwri relb rsho lsho lelb lwri neck head"
_BML_SIDED = (
    "fronthead backhead back shom upperarm elbm forearm writhumbside wripinkieside asis psis "
    "frontthigh thigh knem ankm fifthmetatarsal cheek breast elbinner waist thumb "
    "frontinnerthigh innerknee shin firstmetatarsal fourthtoe scapula bum"
)
_BML_BLOCK = (
    "{s}fronthead {s}backhead {s}back {s}shom {s}upperarm {s}elbm {s}forearm {s}writhumbside "
    "{s}wripinkieside {s}fin {s}asis {s}psis {s}frontthigh {s}thigh {s}knem {s}ankm {s}hee "
    "{s}fifthmetatarsal {s}toe {s}cheek {s}breast {s}elbinner {s}waist {s}thumb "
    "{s}frontinnerthigh {s}innerknee {s}shin {s}firstmetatarsal {s}fourthtoe {s}scapula {s}bum"
)
_BML87 = (
    "backneck upperback clavicle sternum umbilicus "
    f"{_BML_BLOCK.format(s='l')} {_BML_BLOCK.format(s='r')} "
    "head mhip pelv thor lank lelb lhip lhan lkne lsho lwri lfoo "
    "rank relb rhip rhan rkne rsho rwri rfoo"
)
_GHUM_ARM63 = (
    "{s}cla {s}sho {s}elb {s}wri {s}index1 {s}index2 {s}index3 {s}middle1 {s}middle2 {s}middle3 "
    "{s}ring1 {s}ring2 {s}ring3 {s}pinkie1 {s}pinkie2 {s}pinkie3 {s}thu1 {s}thu2 {s}thu"
)
_GHUM_LEG = "{s}hip {s}kne {s}ank {s}hee {s}foo {s}toe"
_GHUM63 = (
    "pelv spin1 spin2 spin3 neck head head2 lbrow1 lbrow2 rbrow1 rbrow2 lbrow3 rbrow3 "
    f"{_GHUM_ARM63.format(s='l')} {_GHUM_ARM63.format(s='r')} "
    f"{_GHUM_LEG.format(s='l')} {_GHUM_LEG.format(s='r')}"
)
_GHUM_ARM35 = "{s}cla {s}sho {s}elb {s}wri {s}middle1 {s}middle3 {s}thu"
_GHUM35 = (
    "pelv spin1 spin2 spin3 neck head head2 lbrow1 rbrow1 "
    f"{_GHUM_ARM35.format(s='l')} {_GHUM_ARM35.format(s='r')} "
    f"{_GHUM_LEG.format(s='l')} {_GHUM_LEG.format(s='r')}"
)
_GHUM_EDGES = (
    "rthu-rwri-relb-rsho-rcla-spin3,head-neck-spin3-spin2-spin1-pelv-rhip-rkne-rank-rhee-rfoo-rtoe"
)

TABLE = (
    StandardSkeleton(
        name="h36m_17",
        title="Human3.6M, 17 joints, pelvis first",
        joints="pelv rhip rkne rank lhip lkne lank spin neck head htop "
        "lsho lelb lwri rsho relb rwri",
        edges=_H36M17_EDGES,
        convention="h36m",
        aliases=_H36M17_ALIASES,
        source="rows 0 1 2 3 6 7 8 12 13 14 15 17 18 19 25 26 27 of the 32 (VideoPose3D order)",
        note="neck is the neck base (called thorax elsewhere), head the nose or neck point.",
    ),
    StandardSkeleton(
        name="h36m_17_root_last",
        title="Human3.6M, 17 joints, pelvis last (PosePile)",
        joints="rhip rkne rank lhip lkne lank spin neck head htop lsho lelb lwri "
        "rsho relb rwri pelv",
        edges=_H36M17_EDGES,
        convention="h36m",
        aliases=_H36M17_ALIASES,
        source="PosePile, Human3.6M joints (spin is called tors there)",
    ),
    StandardSkeleton(
        name="h36m_25",
        title="Human3.6M, 25 distinct joints, pelvis last (PosePile)",
        joints="rhip rkne rank rfoo rtoe lhip lkne lank lfoo ltoe spin neck head htop "
        "lsho lelb lwri lthu lfin rsho relb rwri rthu rfin pelv",
        edges=_H36M25_EDGES,
        convention="h36m",
        aliases=_H36M17_ALIASES,
        source="rows 1-10 12-15 17-19 21 22 25-27 29 30 0 of the 32 (PosePile)",
    ),
    StandardSkeleton(
        name="h36m_32",
        title="Human3.6M, all 32 rows of D3_Positions",
        joints="pelv rhip rkne rank rfoo rtoe lhip lkne lank lfoo ltoe pelv2 spin neck head "
        "htop lcla lsho lelb lwri lwri2 lthu lfin lfin2 rcla rsho relb rwri rwri2 rthu rfin "
        "rfin2",
        edges="pelv-rhip-rkne-rank-rfoo-rtoe,pelv-pelv2-spin-neck-head-htop,"
        "spin-rcla-rsho-relb-rwri-rwri2-rthu,rwri-rfin-rfin2",
        convention="h36m",
        aliases=_H36M17_ALIASES,
        source="skeleton tree of the Human3.6M metadata",
        note="Rows coincide: pelv2 = pelv, lcla = rcla = neck, lwri2 = lwri, lfin2 = lfin and "
        "likewise on the right. The clavicles hang on spin in the file's tree.",
    ),
    StandardSkeleton(
        name="h36m_regressor_17",
        title="Output rows of J_regressor_h36m.npy (SMPL vertices to Human3.6M joints)",
        joints="pelv lhip lkne lank rhip rkne rank spin neck head htop "
        "lsho lelb lwri rsho relb rwri",
        edges=_H36M17_EDGES,
        convention="h36m_regressor",
        source="mmhuman3d keypoint conventions; SPIN index tables",
        note="Left leg first, unlike the Human3.6M files themselves.",
    ),
    StandardSkeleton(
        name="imar_25",
        title="Fit3D, CHI3D, HumanSC3D (joints3d_25)",
        joints="pelv lhip lkne lank rhip rkne rank spin neck head htop lsho lelb lwri "
        "rsho relb rwri lfoo ltoe rfoo rtoe lthu lfin rthu rfin",
        edges=_H36M25_EDGES,
        convention="h36m",
        source="PosePile, IMAR joints; same capture pipeline and joints as Human3.6M",
    ),
    StandardSkeleton(
        name="3dhp_17",
        title="MPI-INF-3DHP test set and MuPoTS-3D, file order",
        joints=_3DHP17,
        edges=_3DHP17_EDGES,
        convention="3dhp",
        source="MPI-INF-3DHP test annotations, root index 14",
    ),
    StandardSkeleton(
        name="3dhp_17_root_last",
        title="MPI-INF-3DHP, 17 joints, pelvis last (PosePile)",
        joints="htop neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank "
        "spin head pelv",
        edges=_3DHP17_EDGES,
        convention="3dhp",
        source="rows 7 5 14 15 16 9 10 11 23 24 25 18 19 20 3 6 4 of the 28 (PosePile)",
    ),
    StandardSkeleton(
        name="3dhp_28",
        title="MPI-INF-3DHP, all 28 joints, file order",
        joints=_3DHP28,
        edges=_3DHP28_EDGES,
        convention="3dhp",
        aliases={"spine3": "thor", "spine4": "spi4", "spine2": "spi2"},
        source="MPI-INF-3DHP annot.mat",
    ),
    StandardSkeleton(
        name="3dhp_28_root_last",
        title="MPI-INF-3DHP and MuCo-3DHP, 28 joints, pelvis last (PosePile)",
        joints="thor spi4 spi2 lcla lhan rcla rhan lfoo ltoe rfoo rtoe htop neck rsho relb rwri "
        "lsho lelb lwri rhip rkne rank lhip lkne lank spin head pelv",
        edges=_3DHP28_EDGES,
        convention="3dhp",
        source="rows 0 1 2 8 12 13 17 21 22 26 27 7 5 14-16 9-11 23-25 18-20 3 6 4 of the 28",
    ),
    StandardSkeleton(
        name="mupots_17",
        title="MuPoTS-3D, file order",
        joints=_3DHP17,
        edges=_3DHP17_EDGES,
        convention="3dhp",
        source="MuPoTS-3D annot.mat; the order of the MPI-INF-3DHP test set",
    ),
    StandardSkeleton(
        name="muco_21",
        title="MuCo-3DHP json of 3DMPPE",
        joints=f"{_3DHP17} rhan lhan rtoe ltoe",
        edges=f"{_3DHP17_EDGES},rwri-rhan,rank-rtoe",
        convention="3dhp",
        source="3DMPPE_POSENET, MuCo joint names",
        note="Its names call the neck thorax.",
        aliases={"thorax": "neck"},
    ),
    StandardSkeleton(
        name="gpa_34",
        title="Geometric Pose Affordance",
        joints="pelv spin spi1 spi2 spi3 neck head htop rcla rsho relb rwri rhan rfin rthu rthu2 "
        "lcla lsho lelb lwri lhan lfin lthu lthu2 rhip rkne rank rfoo rtoe lhip lkne lank lfoo "
        "ltoe",
        edges="rtoe-rfoo-rank-rkne-rhip-pelv-spin-spi1-spi2-spi3-neck-head-htop,"
        "spi3-rcla-rsho-relb-rwri-rhan-rfin,rwri-rthu-rthu2",
        convention="gpa",
        source="PosePile, GPA joints",
    ),
    StandardSkeleton(
        name="aspset_17",
        title="ASPset-510",
        joints="rank rkne rhip rwri relb rsho lank lkne lhip lwri lelb lsho htop head neck spin "
        "pelv",
        edges="htop-head-neck-rsho-relb-rwri,neck-spin-pelv-rhip-rkne-rank",
        convention="aspset",
        source="aspset510 toolkit, skeleton aspset_17j",
    ),
    StandardSkeleton(
        name="sailvos_26",
        title="SAIL-VOS, averages of groups of raw rows",
        joints="htop neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank spin head "
        "pelv rtoe ltoe nose reye leye rear lear rhan lhan",
        edges="htop-head-neck-spin-pelv-rhip-rkne-rank-rtoe,neck-rsho-relb-rwri-rhan,"
        "nose-reye-rear",
        convention="sailvos",
        source="PosePile, SAIL-VOS joints",
    ),
    StandardSkeleton(
        name="3doh_14",
        title="3DOH50K (lsp_joints_3d)",
        joints=_LSP14_HEAD,
        edges=f"{_LIMBS},neck-head",
        convention="3doh",
        landmarks={"head": "3doh:htop"},
        source="3DOH50K annots.json; the LSP order",
    ),
    StandardSkeleton(
        name="3dpeople_29",
        title="3DPeople, 29 of its 67 rows",
        joints="pelv spin spi1 spi2 neck head reye leye htop lcla lsho lelb lwri lhan "
        "rcla rsho relb rwri rhan lhip lkne lank lfoo ltoe rhip rkne rank rfoo rtoe",
        edges="pelv-spin-spi1-spi2-neck-head-htop,pelv-rhip-rkne-rank-rfoo-rtoe,"
        "spi2-rcla-rsho-relb-rwri-rhan,leye-reye",
        convention="3dpeople",
        source="PosePile, rows 0-13 33-36 53 57-66",
    ),
    StandardSkeleton(
        name="bmlmovi_87",
        title="BML-MoVi: 67 markers and 20 virtual markers",
        joints=_BML87,
        edges="head-thor-pelv-mhip,thor-rsho-relb-rwri-rhan,mhip-rhip-rkne-rank-rfoo",
        sided=_BML_SIDED,
        convention="bmlmovi",
        source="PosePile, MoVi joints; edges join virtual markers only",
    ),
    StandardSkeleton(
        name="mads_19",
        title="MADS",
        joints="neck pelv lhip lkne lank ltoe rhip rkne rank rtoe lsho lelb lwri lhan "
        "rsho relb rwri rhan head",
        edges="head-neck-pelv-rhip-rkne-rank-rtoe,neck-rsho-relb-rwri-rhan",
        convention="mads",
        source="PosePile, MADS joints",
    ),
    StandardSkeleton(
        name="mads_15",
        title="MADS, the sequences without hands and toes",
        joints="neck pelv lhip lkne lank rhip rkne rank lsho lelb lwri rsho relb rwri head",
        edges="head-neck-pelv-rhip-rkne-rank,neck-rsho-relb-rwri",
        convention="mads",
        source="PosePile, MADS joints",
    ),
    StandardSkeleton(
        name="umpm_15",
        title="UMPM virtual markers",
        joints="pelv neck head rsho relb rwri lsho lelb lwri rhip lhip rkne lkne rank lank",
        edges="rank-rkne-rhip-pelv-neck-head,rwri-relb-rsho-neck",
        convention="umpm",
        source="PosePile, UMPM joints",
    ),
    StandardSkeleton(
        name="bmhad_43",
        title="Berkeley MHAD optical markers",
        joints="head lhead rhead rback backl backt lback lside bell chest rside lsho1 lsho2 larm "
        "lelb lwri lhan1 lhan2 lhan3 rsho1 rsho2 rarm relb rwri rhan1 rhan2 rhan3 lhipb lhipf "
        "lhipl lleg lkne lank lhee lfoo rhipb rhipf rhipl rleg rkne rank rhee rfoo",
        edges="head-rhead,lsho1-rsho1-rsho2-rarm-relb-rwri-rhan3,rhan1-rwri-rhan2,"
        "rhipb-rhipl-rhipf-rleg-rkne-rank-rhee-rfoo,lhipb-rhipb,bell-rside-rhipf,backl-backt,"
        "rback-rhipb,bell-chest,backl-rback",
        sided="head back side sho arm hipb hipf hipl leg",
        convention="bmhad",
        source="PosePile, MHAD markers; two edges it lost through a missing comma are back",
    ),
    StandardSkeleton(
        name="totcap_21",
        title="TotalCapture",
        joints="pelv spin spin1 spin2 spin3 neck head rcla rsho relb rwri lcla lsho lelb lwri "
        "rhip rkne rank lhip lkne lank",
        edges="pelv-spin-spin1-spin2-spin3-neck-head,neck-rcla-rsho-relb-rwri,pelv-rhip-rkne-rank",
        convention="totcap",
        source="PosePile, TotalCapture joints",
        note="The column order is stated by the header of gt_skel_gbl_pos.txt; compare on read.",
    ),
    StandardSkeleton(
        name="jta_22",
        title="Joint Track Auto",
        joints="htop head neck rcla rsho relb rwri lcla lsho lelb lwri spin0 spin1 spin2 spin3 "
        "pelv rhip rkne rank lhip lkne lank",
        edges="rank-rkne-rhip-pelv-spin3-spin2-spin1-spin0-neck-head-htop,"
        "neck-rcla-rsho-relb-rwri",
        convention="jta",
        aliases={"spine4": "pelv"},
        source="JTA annotation format, joint types 0-21",
    ),
    StandardSkeleton(
        name="human4d_32",
        title="HUMAN4D, 32 of its 33 rows (row 15 left out)",
        joints="pelv spin0 spin1 spin2 spin3 neck neck2 head htop neck3 rsho relb rwri rpinkie "
        "rthu lsho lelb lwri lpinkie lthu rhip rkne rank rfoo rtoe rtoe2 lhip lkne lank lfoo "
        "ltoe ltoe2",
        edges="rthu-rpinkie-rwri-relb-rsho-neck3-spin3-neck-neck2-head-htop,"
        "spin3-spin2-spin1-spin0-pelv-rhip-rkne-rank-rfoo-rtoe-rtoe2",
        sided="pinkie",
        convention="human4d",
        source="PosePile, HUMAN4D joints",
    ),
    StandardSkeleton(
        name="ghum_35",
        title="HSPACE, 35 of the 63 GHUM joints",
        joints=_GHUM35,
        edges=_GHUM_EDGES,
        sided="brow middle",
        convention="ghum",
        source="PosePile, rows 0-7 9 13-16 20 22 31-35 39 41 50-62 of the 63",
    ),
    StandardSkeleton(
        name="ghum_63",
        title="HSPACE, all GHUM joints",
        joints=_GHUM63,
        edges=f"{_GHUM_EDGES},rwri-rindex1-rindex2-rindex3,rwri-rmiddle1-rmiddle2-rmiddle3,"
        "rwri-rring1-rring2-rring3,rwri-rpinkie1-rpinkie2-rpinkie3",
        sided="brow index middle ring pinkie",
        convention="ghum",
        source="PosePile, HSPACE joints; finger edges added here",
    ),
    StandardSkeleton(
        name="occlusion_person_15",
        title="Occlusion-Person (AdaFuse)",
        joints="pelv rhip rkne rank lhip lkne lank bell neck lsho lelb lwri rsho relb rwri",
        edges="pelv-rhip-rkne-rank,pelv-bell-neck-rsho-relb-rwri",
        convention="occlusion_person",
        aliases={
            "hip": "pelv",
            "rknee": "rkne",
            "lknee": "lkne",
            "rankle": "rank",
            "lankle": "lank",
        },
        source="AdaFuse, Occlusion-Person joints",
    ),
    StandardSkeleton(
        name="kinect_25",
        title="Kinect v2 body tracking (NTU RGB+D, PKU-MMD, You2Me)",
        joints="pelv spin neck head lsho lelb lwri lhan rsho relb rwri rhan lhip lkne lank lfoo "
        "rhip rkne rank rfoo thor lfin lthu rfin rthu",
        edges="pelv-spin-thor-neck-head,thor-rsho-relb-rwri-rhan-rfin,rwri-rthu,"
        "pelv-rhip-rkne-rank-rfoo",
        convention="kinect",
        aliases={
            "SpineBase": "pelv",
            "SpineMid": "spin",
            "SpineShoulder": "thor",
            "ShoulderLeft": "lsho",
            "ShoulderRight": "rsho",
            "HandTipLeft": "lfin",
            "HandTipRight": "rfin",
        },
        source="Kinect for Windows SDK 2.0, JointType enumeration",
        note="Left and right are the sensor's; colour frames of NTU and PKU may be mirrored.",
    ),
    StandardSkeleton(
        name="kinect_25_mirrored",
        title="Kinect v2 as PosePile labels it for NTU and PKU (left chains named right)",
        joints="pelv bell head htop rsho relb rwri rthu lsho lelb lwri lthu rhip rkne rank rtoe "
        "lhip lkne lank ltoe neck rhan1 rhan2 lhan1 lhan2",
        edges="pelv-bell-neck-head-htop,neck-rsho-relb-rwri-rthu-rhan1,rwri-rhan2,"
        "pelv-rhip-rkne-rank-rtoe",
        convention="kinect_mirrored",
        landmarks={
            f"{side}{joint}": f"kinect_mirrored:{side}{code}"
            for side in "lr"
            for joint, code in (("thu", "han"), ("han1", "fin"), ("han2", "thu"))
        },
        source="PosePile, NTU and PKU joints",
        note="Assumes mirrored colour frames; check on one frame before use. By the sensor's own "
        "names rthu is the hand, rhan1 the hand tip and rhan2 the thumb.",
        verified=False,
    ),
    StandardSkeleton(
        name="humaneva_15",
        title="HumanEva-I",
        joints="pelv thor lsho lelb lwri rsho relb rwri lhip lkne lank rhip rkne rank head",
        edges="head-thor-pelv,thor-rsho-relb-rwri,pelv-rhip-rkne-rank",
        convention="humaneva",
        source="PosePile, HumanEva joints",
    ),
    StandardSkeleton(
        name="chico_15",
        title="CHICO",
        joints="pelv rhip rkne rank lhip lkne lank nose neck rsho relb rwri lsho lelb lwri",
        edges="pelv-rhip-rkne-rank,pelv-neck-nose,neck-rsho-relb-rwri",
        convention="chico",
        source="PosePile, CHICO joints",
    ),
    StandardSkeleton(
        name="fdassoc_21",
        title="4D Association",
        joints="pelv bell chest neck head lsho lelb lwri lhan rsho relb rwri rhan lhip lkne lank "
        "rhip rkne rank ltoe rtoe",
        edges="pelv-bell-chest-neck-head,chest-rsho-relb-rwri-rhan,pelv-rhip-rkne-rank-rtoe",
        convention="fdassoc",
        source="order inferred from the edges of the dataset's own code",
        note="The order is inferred from edges, not stated by the authors; check on real data.",
        verified=False,
    ),
)
