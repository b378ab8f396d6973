"""The table of standard skeletons against the index tables of the datasets' own descriptions."""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from posepile_torch import skeletons
from posepile_torch.errors import UnknownNameError
from posepile_torch.jointmap import JointMap
from posepile_torch.skeleton import Skeleton, union

ALL = skeletons.names()


def copied(source: str, target: str) -> list[int]:
    joint_map = JointMap.between(skeletons.get(source), skeletons.get(target), approximate=False)
    return joint_map.copied_from.tolist()


def flip_pairs(name: str) -> set[tuple[int, int]]:
    mirror = skeletons.get(name).mirror
    return {(i, partner) for i, partner in enumerate(mirror) if i < partner}


@pytest.mark.parametrize("name", ALL)
def test_every_entry_is_complete_and_consistent(name):
    entry = skeletons.about(name)
    skeleton = entry.skeleton
    assert skeleton is skeletons.get(name)
    counts = [int(word) for word in name.split("_") if word.isdigit()]
    assert counts == [len(skeleton)]
    assert entry.title
    assert entry.source
    assert entry.verified or entry.note
    assert skeleton.asymmetric_edges == ()
    mirror = np.array(skeleton.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(skeleton)))
    assert Skeleton.from_dict(skeleton.to_dict()) == skeleton
    # The sides agree with what the landmarks say, where a landmark has a side at all.
    for i, partner in enumerate(skeleton.mirror):
        convention, code = skeleton.landmarks[i].split(":")
        if partner != i and code[0] in "lr":
            other = {"l": "r", "r": "l"}[code[0]] + code[1:]
            assert skeleton.landmarks[partner] == f"{convention}:{other}"
            assert i in skeleton.groups["left" if code[0] == "l" else "right"]


def test_names_are_unique_and_unknown_ones_get_a_hint():
    assert len(ALL) == len(set(ALL)) >= 60
    with pytest.raises(UnknownNameError, match=r"did you mean .*h36m_17"):
        skeletons.get("h36m17")


def test_what_is_not_confirmed_says_so():
    unverified = {name for name in ALL if not skeletons.about(name).verified}
    assert unverified == {"fdassoc_21", "kinect_25_mirrored"}


def test_only_one_order_is_listed_twice():
    by_digest: dict[str, list[str]] = {}
    for name in ALL:
        by_digest.setdefault(skeletons.get(name).digest, []).append(name)
    same = [group for group in by_digest.values() if len(group) > 1]
    assert same == [["3dhp_17", "mupots_17"]]


def test_h36m_17_of_32():
    keep = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert copied("h36m_32", "h36m_17") == keep
    skeleton = skeletons.get("h36m_17")
    assert skeleton.parents("pelv") == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert skeleton.groups["left"] == (4, 5, 6, 11, 12, 13)
    assert skeleton.groups["right"] == (1, 2, 3, 14, 15, 16)
    assert flip_pairs("h36m_17") == {(1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)}


def test_h36m_32_has_the_tree_of_the_files():
    # fmt: off
    assert skeletons.get("h36m_32").parents("pelv") == (
        -1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14, 12,
        16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27, 28, 27, 30,
    )
    # fmt: on


def test_h36m_orders():
    assert copied("h36m_32", "h36m_17_root_last") == [
        1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27, 0,
    ]  # fmt: skip
    assert copied("h36m_32", "h36m_25") == [
        *range(1, 11), *range(12, 16), *range(17, 20), 21, 22, *range(25, 28), 29, 30, 0,
    ]  # fmt: skip
    assert copied("h36m_25", "h36m_17") == [
        24, 0, 1, 2, 5, 6, 7, *range(10, 17), 19, 20, 21,
    ]  # fmt: skip
    assert sorted(copied("imar_25", "h36m_25")) == list(range(25))


def test_3dhp_orders():
    assert copied("3dhp_28", "3dhp_17") == [
        7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6,
    ]  # fmt: skip
    assert copied("3dhp_28", "3dhp_17_root_last") == [
        7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 3, 6, 4,
    ]  # fmt: skip
    assert copied("3dhp_17", "3dhp_17_root_last") == [*range(14), 15, 16, 14]
    assert copied("mupots_17", "3dhp_17_root_last") == [*range(14), 15, 16, 14]
    assert copied("3dhp_28", "3dhp_28_root_last") == [
        0, 1, 2, 8, 12, 13, 17, 21, 22, 26, 27, 7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25,
        18, 19, 20, 3, 6, 4,
    ]  # fmt: skip
    skeleton = skeletons.get("3dhp_17")
    assert skeleton.groups["left"] == (5, 6, 7, 11, 12, 13)
    assert skeleton.groups["right"] == (2, 3, 4, 8, 9, 10)
    assert skeleton.index("pelvis") == 14
    assert skeletons.get("muco_21").joints[:17] == skeleton.joints
    assert copied("3dhp_28", "muco_21")[17:] == [17, 12, 27, 22]


def test_smpl_order():
    long_names = (
        "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle "
        "spine3 left_foot right_foot neck left_collar right_collar head left_shoulder "
        "right_shoulder left_elbow right_elbow left_wrist right_wrist left_hand right_hand"
    )
    np.testing.assert_array_equal(skeletons.get("smpl_24").indices(long_names), np.arange(24))
    assert skeletons.get("smpl_24").parents("pelv") == (
        -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
    )  # fmt: skip
    assert copied("smpl_24", "smpl_24_root_last") == [*range(1, 24), 0]
    assert skeletons.get("smplh_52").joints[:22] == skeletons.get("smpl_24").joints[:22]


def test_smplx_index_map():
    wide = skeletons.get("smplx_127")
    assert wide.joints[:55] == skeletons.get("smplx_55").joints
    for first, names in (
        (22, "jaw leyehf reyehf lindex1"),
        (37, "lthu1 lthu2 lthu3 rindex1"),
        (52, "rthu1 rthu2 rthu3 nose reye leye rear lear lto2 lto3 lhee rto2 rto3 rhee"),
        (66, "lthu lindex lmiddle lring lpinky rthu rindex rmiddle rring rpinky reyebrow1"),
    ):
        words = names.split()
        assert list(wide.joints[first : first + len(words)]) == words
    assert copied("smplx_127", "smplx_42") == [
        *range(25), 28, 43, *range(55, 67), 68, 71, 73,
    ]  # fmt: skip
    assert skeletons.get("smplx_144").joints[:127] == wide.joints
    assert len(skeletons.get("smplx_42").edges) == 33
    # A kinematic tree: 21 body joints, jaw, eyes and 30 hand joints under the pelvis.
    parents = skeletons.get("smplx_55").parents("pelv")
    assert parents[:25] == (
        -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    )  # fmt: skip
    assert parents[25:31] == (20, 25, 26, 20, 28, 29)


def test_dna_takes_131_of_the_144_smplx_points():
    rows = [1, 2, 4, 5, 7, 8, *range(16, 22), *range(25, 144)]
    wide = skeletons.get("smplx_144")
    codes = [wide.landmarks[i].split(":")[1] for i in rows]
    assert [code.split(":")[1] for code in skeletons.get("dna_131").landmarks] == codes


def test_hand_numbers_of_wholebody_and_dna_differ_by_one():
    hands = JointMap.between(skeletons.get("dna_131"), skeletons.get("coco_wholebody_133"))
    row = {row.target: row for row in hands.rows}
    assert row["lhan2"].rule.sources == ("lhan1",)
    assert row["rhan21"].rule.sources == ("rhan20",)


def test_coco_family_is_exact():
    coco = skeletons.get("coco_17").joints
    assert skeletons.get("coco_wholebody_133").joints[:17] == coco
    assert skeletons.get("halpe_136").joints[:17] == coco
    assert copied("coco_17", "halpe_26")[:17] == list(range(17))
    assert copied("body_25", "openpose_18") == [
        0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
    ]  # fmt: skip
    assert copied("panoptic_19", "panoptic_19_root_last") == [0, 1, *range(3, 19), 2]
    assert copied("body_25", "smplb_49")[24:] == [*range(8), *range(9, 25), 8]
    assert copied("smpl_24", "smplb_49")[:24] == [*range(1, 24), 0]
    # Big and small toes have different codes in the two formats, and still meet.
    feet = skeletons.get("body_25").indices("lfoo ltoe lhee rfoo rtoe rhee")
    assert np.array(copied("coco_wholebody_133", "body_25"))[feet].tolist() == [
        17, 18, 19, 20, 21, 22,
    ]  # fmt: skip
    faces = copied("coco_wholebody_133", "halpe_136")
    assert faces[26:136] == list(range(23, 133))


def test_flip_pairs_of_image_sets():
    assert flip_pairs("mpii_16") == {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}
    assert flip_pairs("posetrack_17") == {(i, i + 1) for i in range(3, 17, 2)}
    assert flip_pairs("coco_17") == {(i, i + 1) for i in range(1, 17, 2)}
    assert flip_pairs("crowdpose_14") == {(i, i + 1) for i in range(0, 12, 2)}
    assert flip_pairs("lsp_14") == {(0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)}
    assert flip_pairs("flic_29") >= {(0, 3), (12, 13), (21, 22), (27, 28)}


def test_edges_of_mpii_and_halpe_against_their_index_lists():
    def edges(name):
        return {frozenset(edge) for edge in skeletons.get(name).edges}

    def paths(*chains):
        return {frozenset(pair) for chain in chains for pair in itertools.pairwise(chain)}

    assert paths((0, 1, 2, 6, 3, 4, 5), (10, 11, 12), (13, 14, 15), (8, 9)) <= edges("mpii_16")
    body = paths((0, 1, 3), (0, 2, 4), (5, 18, 6), (5, 7, 9), (6, 8, 10), (17, 18, 19, 11))
    body |= paths((19, 12, 14, 16), (11, 13, 15), (20, 24, 22), (21, 25, 23), (15, 24), (16, 25))
    assert body == edges("halpe_26")
    assert body <= edges("halpe_136")
    hands = paths(*((94, *range(first, first + 4)) for first in range(95, 115, 4)))
    assert hands <= edges("halpe_136")


def test_orders_given_in_words():
    long_names = {
        "lsp_14": "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist "
        "right_elbow right_shoulder left_shoulder left_elbow left_wrist neck head_top",
        "mpii_16": "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax "
        "upper_neck head_top right_wrist right_elbow right_shoulder left_shoulder left_elbow "
        "left_wrist",
        "aspset_17": "right_ankle right_knee right_hip right_wrist right_elbow right_shoulder "
        "left_ankle left_knee left_hip left_wrist left_elbow left_shoulder head_top head neck "
        "spine pelvis",
        "jhmdb_15": "neck belly head right_shoulder left_shoulder right_hip left_hip right_elbow "
        "left_elbow right_knee left_knee right_wrist left_wrist right_ankle left_ankle",
        "crowdpose_14": "left_shoulder right_shoulder left_elbow right_elbow left_wrist "
        "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle top_head neck",
        "posetrack_17": "nose head_bottom head_top left_ear right_ear left_shoulder "
        "right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip "
        "left_knee right_knee left_ankle right_ankle",
        "aic_14": "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle head_top neck",
        "occlusion_person_15": "hip rhip rknee rankle lhip lknee lankle belly neck lsho lelb lwri "
        "rsho relb rwri",
        "posetrack_15": "right_ankle right_knee right_hip left_hip left_knee left_ankle "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist head_bottom "
        "nose head_top",
    }
    for name, words in long_names.items():
        skeleton = skeletons.get(name)
        np.testing.assert_array_equal(skeleton.indices(words), np.arange(len(skeleton)))


def test_flic_has_eleven_annotated_points():
    assert copied("flic_29", "flic_11") == [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]


def test_ghum_and_mads_subsets():
    assert copied("ghum_63", "ghum_35") == [
        *range(8), 9, *range(13, 17), 20, 22, *range(31, 36), 39, 41, *range(50, 63),
    ]  # fmt: skip
    kept = [0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18]
    assert copied("mads_19", "mads_15") == kept


def test_edge_counts_of_the_dataset_sheets():
    counts = {
        "smpl_24": 23, "coco_17": 12, "aic_14": 14, "aist_19": 17, "aspset_17": 16,
        "bmlmovi_87": 19, "egoexo4d_61": 58, "gpa_34": 33, "ghum_35": 27, "human4d_32": 31,
        "ikea_17": 16, "h36m_17": 16,
    }  # fmt: skip
    assert {name: len(skeletons.get(name).edges) for name in counts} == counts


# The joints of the 28 datasets that MeTRAbs merges, per suffix: centre | sided stems.
UNION_APPENDIX = """
: pelv bell spin thor neck head | ank cla elb han hip kne sho toe wri
h36m: spin neck head htop pelv | ank elb fin foo hip kne sho thu toe wri
sailvos: htop neck spin head pelv nose | ank ear elb eye han hip kne sho toe wri
coco: neck nose pelv | ank ear elb eye foo hee hip kne sho toe wri
3dhp: thor spi4 spi2 spin pelv neck head htop | ank cla elb foo han hip kne sho toe wri
gpa: pelv spin spi1 spi2 spi3 neck head htop | ank cla elb fin foo han hip kne sho thu thu2 toe wri
aspset: htop head neck spin pelv | ank elb hip kne sho wri
smplx: pelv bell spin thor neck head jaw nose | ank cla ear elb eye eyehf hee hip kne middle\
 middle1 sho thu to2 to3 toe wri
3doh: neck head | ank elb hip kne sho wri
3dpeople: pelv spin spi1 spi2 neck head htop | ank cla elb eye foo han hip kne sho toe wri
bmlmovi: backneck upperback clavicle sternum umbilicus head mhip pelv thor | ank ankm asis back\
 backhead breast bum cheek elb elbinner elbm fifthmetatarsal fin firstmetatarsal foo forearm\
 fourthtoe fronthead frontinnerthigh frontthigh han hee hip innerknee kne knem psis scapula shin\
 sho shom thigh thumb toe upperarm waist wri wripinkieside writhumbside
mads: neck pelv head | ank elb han hip kne sho toe wri
umpm: pelv neck head | ank elb hip kne sho wri
bmhad: head backl backt bell chest | ank arm back elb foo han1 han2 han3 head hee hipb hipf hipl\
 kne leg sho1 sho2 side wri
totcap: pelv spin spin1 spin2 spin3 neck head | ank cla elb hip kne sho wri
jta: htop head neck spin0 spin1 spin2 spin3 pelv | ank cla elb hip kne sho wri
ikea: nose | ank ear elb eye hip kne sho wri
human4d: pelv spin0 spin1 spin2 spin3 neck neck2 head htop neck3 | ank elb foo hip kne pinkie sho\
 thu toe toe2 wri
ghum: pelv spin1 spin2 spin3 neck head head2 | ank brow1 cla elb foo hee hip kne middle1 middle3\
 sho thu toe wri
"""
UNION_COUNTS = {
    "": 24, "h36m": 25, "sailvos": 26, "coco": 25, "3dhp": 28, "gpa": 34, "aspset": 17,
    "smplx": 42, "3doh": 14, "3dpeople": 29, "bmlmovi": 87, "mads": 19, "umpm": 15, "bmhad": 43,
    "totcap": 21, "jta": 22, "ikea": 17, "human4d": 32, "ghum": 35,
}  # fmt: skip


def merged_training_sets() -> Skeleton:
    """The 28 sets; those of one suffix share joints, HUMBI's COCO half is suffixed already."""
    humbi = skeletons.get("smplb_49")
    humbi_coco = humbi.select([joint for joint in humbi.joints if joint.endswith("_coco")])
    parts = {
        "": ["smpl_24_root_last", "smpl_24"],
        "h36m": ["h36m_25", "imar_25"],
        "sailvos": ["sailvos_26"],
        "coco": ["panoptic_19_root_last", "aist_19"],
        "3dhp": ["3dhp_28_root_last", "3dhp_17_root_last", "mupots_17"],
        "gpa": ["gpa_34"],
        "aspset": ["aspset_17"],
        "smplx": ["smplx_42"],
        "3doh": ["3doh_14"],
        "3dpeople": ["3dpeople_29"],
        "bmlmovi": ["bmlmovi_87"],
        "mads": ["mads_19", "mads_15"],
        "umpm": ["umpm_15"],
        "bmhad": ["bmhad_43"],
        "totcap": ["totcap_21"],
        "jta": ["jta_22"],
        "ikea": ["ikea_17"],
        "human4d": ["human4d_32"],
        "ghum": ["ghum_35"],
    }
    merged = union({key: [skeletons.get(name) for name in names] for key, names in parts.items()})
    return union({"": [merged, humbi_coco]}, name="huge8")


def test_union_of_the_28_training_sets_has_exactly_555_joints():
    merged = merged_training_sets()
    assert len(merged) == 555
    expected = set()
    for line in UNION_APPENDIX.strip().splitlines():
        suffix, rest = line.split(":")
        centre, sided = (part.split() for part in rest.split("|"))
        names = {*centre, *(side + stem for side in "lr" for stem in sided)}
        assert len(names) == UNION_COUNTS[suffix]
        expected |= {f"{name}_{suffix}" if suffix else name for name in names}
    assert set(merged.joints) == expected
    assert sum(UNION_COUNTS.values()) == 555
    # First the 24 of SURREAL in its own order, then one block per suffix as listed.
    assert merged.joints[:24] == skeletons.get("smpl_24_root_last").joints
    assert merged.joints[24:49] == skeletons.get("h36m_25").renamed("h36m").joints
    assert merged.digest == merged_training_sets().digest
    assert len(merged.edges) == len({frozenset(edge) for edge in merged.edges})


def test_maps_into_the_union_fill_the_joints_of_their_own_set_only():
    merged = merged_training_sets()
    for name, suffix in (("coco_17", "coco"), ("h36m_17", "h36m"), ("3dhp_17", "3dhp")):
        joint_map = JointMap.between(skeletons.get(name), merged)
        filled = {row.target for row in joint_map.rows if row.status != "missing"}
        assert filled == {f"{joint}_{suffix}" for joint in skeletons.get(name).joints}
        assert not joint_map.with_status("approximate")
    agora = JointMap.between(skeletons.get("agora_66"), merged)
    assert len(agora.with_status("exact")) == 66


def test_the_examples_of_the_guide_run_and_give_what_they_say():
    guide = Path(__file__).parents[1] / "docs" / "skeletons.md"
    text = guide.read_text("utf-8")
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(block, scope)
        for code, value in re.findall(r"^(\S.*?) +# (.+)$", block, flags=re.MULTILINE):
            assert eval(code, scope) == ast.literal_eval(value), code
    assert scope["text"] in text
