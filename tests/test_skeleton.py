import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import JointCountError, SkeletonError, UnknownNameError
from posepile_torch.joint_names import common_spellings
from posepile_torch.skeleton import Skeleton, union

WALKER = Skeleton.parse(
    "walker",
    joints="root pelv lhip rhip lkne rkne lumbar neck lsho rsho",
    edges="root-pelv-rhip-rkne,pelv-lumbar-neck-rsho",
    aliases={"head_bottom": "neck"},
)


def bones(skeleton: Skeleton) -> set[frozenset[str]]:
    return {frozenset(bone) for bone in skeleton.bones}


def test_parse_mirrors_edges_of_one_side():
    assert bones(WALKER) == {
        frozenset({"root", "pelv"}),
        frozenset({"pelv", "rhip"}),
        frozenset({"rhip", "rkne"}),
        frozenset({"pelv", "lhip"}),
        frozenset({"lhip", "lkne"}),
        frozenset({"pelv", "lumbar"}),
        frozenset({"lumbar", "neck"}),
        frozenset({"neck", "rsho"}),
        frozenset({"neck", "lsho"}),
    }
    assert WALKER.asymmetric_edges == ()


def test_central_joints_that_start_with_l_or_r_stay_central():
    partner = {joint: WALKER.joints[WALKER.mirror[i]] for i, joint in enumerate(WALKER.joints)}
    assert partner["root"] == "root"
    assert partner["lumbar"] == "lumbar"
    assert partner["lkne"] == "rkne"
    assert partner["rsho"] == "lsho"
    left = [WALKER.joints[i] for i in WALKER.groups["left"]]
    assert left == ["lhip", "lkne", "lsho"]


def test_explicit_mirror_wins_over_names():
    # A rib cage model whose 'lib' and 'rib' are no pair, and whose sides have other names.
    skeleton = Skeleton.parse("odd", "lib rib port starboard", mirror={"port": "starboard"})
    assert skeleton.mirror == (0, 1, 3, 2)
    assert skeleton.groups["left"] == (2,)
    both_ways = Skeleton.parse("odd", "a b", mirror={"a": "b", "b": "a"})
    assert both_ways.mirror == (1, 0)


@pytest.mark.parametrize(
    ("joints", "options", "message"),
    [
        ("lhip pelv", {}, "no partner 'rhip'"),
        ("lpaw rpaw", {}, "nobody declared"),
        ("a a", {}, "more than once: a"),
        ("a b", {"edges": "a"}, "single joint"),
        ("a b c", {"mirror": {"a": "b", "c": "b"}}, "contradicts"),
        ("a b", {"groups": {"left": "a"}, "mirror": {}}, "contradict the mirror map"),
        ("a b", {"aliases": {"a": "b"}}, "itself a joint"),
        ("a b", {"landmarks": {"a": "nocolon"}}, "landmarks do not fit"),
    ],
)
def test_contradictory_definitions_are_refused(joints, options, message):
    with pytest.raises(SkeletonError, match=message):
        Skeleton.parse("bad", joints, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"edges": "a-c"},
        {"groups": {"g": "c"}},
        {"mirror": {"a": "c"}},
        {"aliases": {"x": "c"}},
        {"landmarks": {"c": "x:c"}},
    ],
)
def test_unknown_joints_in_a_definition_are_named(options):
    with pytest.raises(UnknownNameError, match="unknown joint 'c'"):
        Skeleton.parse("bad", "a b", **options)


def test_declared_stems_make_pairs_and_numbers_and_suffixes_follow():
    skeleton = Skeleton.parse("paws", "lpaw2_x rpaw2_x lto", sided="paw", mirror=None)
    assert skeleton.mirror == (1, 0, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mirror": (1, 2, 0)}, "not an involution"),
        ({"mirror": (0, 1)}, "not an involution"),
        ({"mirror": (0, 1, 3)}, "not an involution"),
        ({"edges": ((0, 3),)}, "bad edge"),
        ({"edges": ((1, 1),)}, "bad edge"),
        ({"edges": ((0, 1), (1, 0))}, "bad edge"),
        ({"groups": {"g": (0, 0)}}, "group 'g'"),
        ({"groups": {"g": (3,)}}, "group 'g'"),
        ({"joints": ("a", "b", "c d")}, "bad joint name"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_constructor_checks_its_fields(fields, message):
    good = {"name": "s", "joints": ("a", "b", "c"), "edges": (), "mirror": (0, 1, 2)}
    Skeleton(**good)
    with pytest.raises(SkeletonError, match=message):
        Skeleton(**(good | fields))


def test_asymmetric_edges_are_reported_not_repaired():
    skeleton = Skeleton.parse("s", "pelv lhip rhip", edges="pelv-lhip", mirror_edges=False)
    assert skeleton.asymmetric_edges == (("pelv", "lhip"),)


def test_index_takes_names_aliases_and_common_spellings_only_exactly():
    assert WALKER.index("rhip") == 3
    for spelling in ("right_hip", "r_hip", "RHip", "R_Hip", "rightHip", "RIGHT_HIP", "right hip"):
        assert WALKER.index(spelling) == 3
    assert WALKER.index("head_bottom") == WALKER.index("neck")
    assert "head_bottom" in WALKER
    assert 3 not in WALKER
    for unknown in ("rhi", "rhip2", "r", "hip", "RHIP_", "right_elbow"):
        with pytest.raises(UnknownNameError, match="walker"):
            WALKER.index(unknown)


def test_common_spellings_are_unambiguous():
    table = common_spellings()
    assert table["left_shoulder"] == "lsho"
    assert table["HeadTop"] == "htop"
    assert "l" not in table
    assert "lhi" not in table


def test_indices_of_names_and_groups():
    np.testing.assert_array_equal(WALKER.indices("neck pelv"), [7, 1])
    np.testing.assert_array_equal(WALKER.indices("left_leg"), [2, 4])


def test_groups_by_region():
    names = {key: [WALKER.joints[i] for i in members] for key, members in WALKER.groups.items()}
    assert names == {
        "left": ["lhip", "lkne", "lsho"],
        "right": ["rhip", "rkne", "rsho"],
        "torso": ["pelv", "neck"],
        "left_leg": ["lhip", "lkne"],
        "right_leg": ["rhip", "rkne"],
        "left_arm": ["lsho"],
        "right_arm": ["rsho"],
    }


def test_parents_follow_the_tree_from_the_root():
    parents = WALKER.parents("pelv")
    named = {
        joint: WALKER.joints[parent] if parent >= 0 else None
        for joint, parent in zip(WALKER.joints, parents, strict=True)
    }
    assert named["pelv"] is None
    assert named["root"] == "pelv"
    assert named["rkne"] == "rhip"
    assert named["lsho"] == "neck"


@pytest.mark.parametrize(("edges", "message"), [("a-b", "not reached: c"), ("a-b-c-a", "cycle")])
def test_parents_need_a_tree(edges, message):
    with pytest.raises(SkeletonError, match=message):
        Skeleton.parse("s", "a b c", edges=edges).parents("a")


def test_select_keeps_order_edges_groups_and_landmarks():
    chosen = WALKER.select("rkne lkne rhip lhip", name="legs")
    assert chosen.joints == ("rkne", "lkne", "rhip", "lhip")
    assert bones(chosen) == {frozenset({"rhip", "rkne"}), frozenset({"lhip", "lkne"})}
    assert chosen.mirror == (1, 0, 3, 2)
    assert set(chosen.groups["left"]) == {1, 3}
    assert chosen.landmarks[0] == "walker:rkne"
    assert "left_arm" not in chosen.groups


def test_select_refuses_half_a_pair_and_repeats():
    with pytest.raises(SkeletonError, match="mirror partners: rkne"):
        WALKER.select("pelv rkne")
    with pytest.raises(SkeletonError, match="more than once"):
        WALKER.select("pelv pelv")


def test_renamed_keeps_the_meaning():
    renamed = WALKER.renamed("x")
    assert renamed.joints[3] == "rhip_x"
    assert renamed.landmarks == WALKER.landmarks
    assert renamed.index("head_bottom") == 7
    assert WALKER.renamed("") is WALKER


def test_digest_depends_on_what_the_arrays_mean():
    again = Skeleton.parse(
        "walker",
        joints=WALKER.joints,
        edges="root-pelv-rhip-rkne,pelv-lumbar-neck-rsho",
        groups={},
    )
    assert again.digest == WALKER.digest
    swapped = WALKER.select([*WALKER.joints[::-1]], name="walker")
    assert swapped.digest != WALKER.digest
    assert WALKER.renamed("x").digest != WALKER.digest


def test_round_trips():
    text = json.dumps(WALKER.to_dict())
    assert Skeleton.from_dict(json.loads(text)) == WALKER
    for other in (pickle.loads(pickle.dumps(WALKER)), copy.deepcopy(WALKER)):
        assert other == WALKER
        assert hash(other) == hash(WALKER)
    empty = Skeleton.parse("none", "")
    assert len(Skeleton.from_dict(empty.to_dict())) == 0


@pytest.mark.parametrize(
    "change",
    [{"joints": 3}, {"edges": [[0]]}, {"mirror": ["x"] * 10}, {"groups": 5}, {"aliases": 5}],
)
def test_from_dict_refuses_what_is_no_skeleton(change):
    with pytest.raises(SkeletonError, match="manifest"):
        Skeleton.from_dict(WALKER.to_dict() | change, where="manifest.json")
    with pytest.raises(SkeletonError, match="KeyError"):
        Skeleton.from_dict({"name": "x"})


def test_checked_compares_the_joint_axis():
    coords = np.zeros((4, 10, 3))
    assert WALKER.checked(coords, where="joints3d") is coords
    mask = np.zeros((4, 10), dtype=bool)
    assert WALKER.checked(mask, where="known", axis=-1) is mask
    with pytest.raises(JointCountError, match=r"expected 10 joints, got 9\n.*joints3d"):
        WALKER.checked(coords[:, :9], where="joints3d")
    with pytest.raises(JointCountError, match="shape"):
        WALKER.checked(np.zeros(10), where="joints3d")


def test_groups_and_aliases_cannot_be_changed():
    with pytest.raises(TypeError):
        WALKER.groups["left"] = ()  # type: ignore[index]


def test_union_shares_joints_of_one_full_name():
    legs = Skeleton.parse("legs", "pelv lhip rhip", edges="pelv-rhip")
    arms = Skeleton.parse("arms", "pelv neck", edges="pelv-neck")
    suffixed = Skeleton.parse("pre", "pelv_b nose_b", edges="pelv_b-nose_b")
    merged = union({"": legs, "a": [legs, arms], "b": arms, "ignored": []})
    assert " ".join(merged.joints) == "pelv lhip rhip pelv_a lhip_a rhip_a neck_a pelv_b neck_b"
    both = union({"b": arms, "": suffixed})
    assert both.joints == ("pelv_b", "neck_b", "nose_b")
    assert bones(both) == {frozenset({"pelv_b", "neck_b"}), frozenset({"pelv_b", "nose_b"})}
    assert both.landmarks[0] == "arms:pelv"


def test_union_edges_are_united_once():
    a = Skeleton.parse("a", "x y z", edges="x-y,y-z")
    b = Skeleton.parse("b", "y x z", edges="y-x,x-z")
    assert union({"": [a, b]}).bones == (("x", "y"), ("y", "z"), ("x", "z"))


def test_union_refuses_contradicting_mirrors():
    a = Skeleton.parse("a", "p q", mirror={"p": "q"})
    b = Skeleton.parse("b", "p q", mirror={})
    with pytest.raises(SkeletonError, match="mirrors to"):
        union({"": [a, b]})


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_random_skeletons_keep_their_invariants(data):
    pairs = data.draw(st.integers(0, 4))
    central = data.draw(st.integers(0, 4))
    names = [f"{side}p{i}" for i in range(pairs) for side in ("left_", "right_")]
    names += [f"r{i}" for i in range(central)]
    order = data.draw(st.permutations(names))
    edges = data.draw(
        st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=6)
        if names
        else st.just([])
    )
    skeleton = Skeleton.parse(
        "random",
        order,
        edges=",".join(f"{a}-{b}" for a, b in edges if a != b),
        mirror={f"left_p{i}": f"right_p{i}" for i in range(pairs)},
    )
    mirror = np.array(skeleton.mirror, dtype=int)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(skeleton)))
    assert skeleton.asymmetric_edges == ()
    assert Skeleton.from_dict(skeleton.to_dict()) == skeleton
    doubled = union({"a": skeleton, "b": skeleton, "c": [skeleton, skeleton]})
    assert len(doubled) == 3 * len(skeleton)
    assert len(doubled.edges) == 3 * len(skeleton.edges)
