"""Maps between skeletons against the published index tables and hand-computed values."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch import joint_rules, skeletons
from posepile_torch.errors import JointCountError, SkeletonError, UnknownNameError
from posepile_torch.joint_rules import JointRule
from posepile_torch.jointmap import JointMap
from posepile_torch.skeleton import JointMap as ReExported
from posepile_torch.skeleton import Skeleton, union


def between(source: str, target: str, rules: str = "", **options) -> JointMap:
    return JointMap.between(skeletons.get(source), skeletons.get(target), rules or (), **options)


def ramp(count: int, axes: int = 2) -> np.ndarray:
    """Joint j lies at (j, 100 + j, ...), so that results show which joints went in."""
    return np.arange(count)[:, None] + 100.0 * np.arange(axes)


def test_the_map_is_offered_beside_the_skeleton():
    assert ReExported is JointMap


# Published index tables, reproduced by named rules -------------------------------------------

H36M_TO_MPII = [3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13]
TABLES = [
    ("h36m_17", "mpii_16", "h36m-mpii/fusion", H36M_TO_MPII),
    (
        "mpii_16",
        "h36m_17",
        "mpii-h36m/fusion",
        [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 9, 13, 14, 15, 12, 11, 10],
    ),
    (
        "3dhp_28",
        "mpii_16",
        "3dhp-mpii/fusion",
        [25, 24, 23, 18, 19, 20, 4, 3, 5, 7, 16, 15, 14, 9, 10, 11],
    ),
    (
        "3dhp_17",
        "mpii_16",
        "3dhp-mpii/fusion",
        [10, 9, 8, 11, 12, 13, 14, 15, 1, 0, 4, 3, 2, 5, 6, 7],
    ),
    # The H36M regressor of SMPL has the left leg first.
    (
        "h36m_regressor_17",
        "mpii_16",
        "h36m-mpii/fusion",
        [6, 5, 4, 1, 2, 3, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13],
    ),
    ("h36m_regressor_17", "lsp_14", "", [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]),
    # FLIC's list of 1-based ids, minus one.
    (
        "flic_29",
        "mpii_16",
        "flic-mpii/midpoints",
        [11, 10, 9, 6, 7, 8, 18, 20, 17, 16, 5, 4, 3, 0, 1, 2],
    ),
]


@pytest.mark.parametrize(("source", "target", "rules", "table"), TABLES)
def test_published_index_tables(source, target, rules, table):
    joint_map = between(source, target, rules)
    assert joint_map.copied_from.tolist() == table
    np.testing.assert_array_equal(
        joint_map.apply(ramp(len(joint_map.source), 3)), ramp(len(joint_map.source), 3)[table]
    )


def test_without_rules_different_points_of_the_trunk_stay_missing():
    # MPII labels an upper neck and a thorax; Human3.6M has a neck base and a mid-spine.
    joint_map = between("h36m_17", "mpii_16")
    assert [row.target for row in joint_map.with_status("missing")] == ["thor", "neck"]
    assert not joint_map.with_status("exact")
    values = joint_map.apply(ramp(17, 3))
    assert np.isnan(values[[7, 8]]).all()
    assert np.isfinite(np.delete(values, [7, 8], axis=0)).all()


def test_coco_to_h36m_midpoints():
    joint_map = between("coco_17", "h36m_17", "coco-h36m/midpoints")
    values = joint_map.apply(ramp(17))[:, 0]
    np.testing.assert_allclose(values[[0, 8, 7, 9, 10]], [11.5, 5.5, 8.5, 2.75, 1.5])
    np.testing.assert_array_equal(values[1:7], [12, 14, 16, 11, 13, 15])
    np.testing.assert_array_equal(values[11:], [5, 7, 9, 6, 8, 10])
    # This rule treats confidences like coordinates.
    np.testing.assert_allclose(joint_map.apply_confidence(np.arange(17.0)), values)


def test_coco_to_h36m_gast_net_against_its_steps():
    rng = np.random.default_rng(0)
    coco = rng.uniform(0, 500, (5, 17, 2))
    shoulders, hips, nose = coco[:, 5:7].mean(1), coco[:, 11:13].mean(1), coco[:, 0]
    thorax = shoulders + (nose - shoulders) / 3
    spine = (shoulders + hips) / 2
    spine[:, 0] += 2 * (spine[:, 0] - (hips[:, 0] + thorax[:, 0]) / 2)
    thorax[:, 1] -= 2 / 3 * (coco[:, 1:3, 1].mean(1) - nose[:, 1])
    top = np.stack([coco[:, 1:5, 0].mean(1), coco[:, 1:3, 1].sum(1) - nose[:, 1]], axis=-1)
    joint_map = between("coco_17", "h36m_17", "coco-h36m/gast-net")
    values = joint_map.apply(coco)
    expected = {0: hips, 7: spine, 8: thorax, 9: nose - (nose - shoulders) / 4, 10: top}
    for joint, points in expected.items():
        np.testing.assert_allclose(values[:, joint], points)
    np.testing.assert_array_equal(values[:, 14], coco[:, 6])
    with pytest.raises(SkeletonError, match="image coordinates"):
        joint_map.apply(np.zeros((17, 3)))
    with pytest.raises(SkeletonError, match="different weights"):
        joint_map.matrix()


def test_mpii_to_h36m_as_evaluated():
    values = between("mpii_16", "h36m_17", "mpii-h36m/fusion-evaluation").apply(ramp(16))[:, 0]
    assert values[7] == (6 + 8) / 2
    assert values[9] == (8 + 9) / 2


def test_occlusion_person_keeps_the_head_top_missing():
    joint_map = between("occlusion_person_15", "mpii_16", "occlusion-person-mpii/midpoints")
    values = joint_map.apply(ramp(15))[:, 0]
    assert np.isnan(values[9])
    expected = [3, 2, 1, 4, 5, 6, 0, (9 + 12) / 2, 8, np.nan, 14, 13, 12, 9, 10, 11]
    np.testing.assert_array_equal(values, expected)


def test_lsp_midpoints_multiply_visibilities():
    joint_map = between("lsp_14", "mpii_16", "lsp-mpii/midpoints")
    values = joint_map.apply(ramp(14))[:, 0]
    assert values[6] == 2.5
    assert values[7] == 8.5
    assert values[9] == 13
    confidence = np.full(14, 0.5)
    assert joint_map.apply_confidence(confidence)[6] == 0.25
    assert joint_map.apply_confidence(confidence)[0] == 0.5


def test_poseval_neck_as_exported_and_as_labelled():
    labelled = between("posetrack_17", "posetrack_15")
    assert len(labelled.with_status("exact")) == 15
    assert labelled.apply(ramp(17))[12, 0] == 1
    exported = between("posetrack_17", "posetrack_15", "posetrack/mid-shoulder-neck")
    assert exported.apply(ramp(17))[12, 0] == 5.5
    assert [row.target for row in exported.with_status("approximate")] == ["neck"]


def test_definitions_as_rules_are_exact():
    for target in ("aist_19", "panoptic_19", "body_25"):
        joint_map = between("coco_17", target, "coco/midpoints")
        assert not joint_map.with_status("approximate")
        values = joint_map.apply(ramp(17))[:, 0]
        assert values[joint_map.target.index("pelv")] == 11.5
        assert values[joint_map.target.index("neck")] == 5.5


@pytest.mark.parametrize("name", joint_rules.names())
def test_every_rule_set_fits_the_skeletons_it_names(name):
    rules = joint_rules.get(name)
    joint_map = between(rules.source, rules.target, name)
    derived = {row.target: row for row in joint_map.rows}
    for rule in rules.rules:
        row = derived[rule.target]
        assert row.why
        assert row.status == ("exact" if rule.exact else "approximate")
    assert rules.citation
    assert rules.title


def test_unknown_rule_set():
    with pytest.raises(UnknownNameError, match="did you mean coco-h36m/midpoints"):
        joint_rules.get("coco-h36m/midpoint")


# The mechanism --------------------------------------------------------------------------------

A = Skeleton.parse("a", "pelv lhip rhip nose", convention="x")
B = Skeleton.parse("b", "nose rhip lhip pelv htop", convention="x")
C = Skeleton.parse("c", "pelv lhip rhip htop", convention="y")


def test_same_convention_is_exact_and_order_free():
    joint_map = JointMap.between(A, B)
    assert joint_map.copied_from.tolist() == [3, 2, 1, 0, -1]
    assert [row.status for row in joint_map.rows] == ["exact"] * 4 + ["missing"]
    assert pickle.loads(pickle.dumps(joint_map)) == joint_map
    identity = JointMap.between(A, A)
    np.testing.assert_array_equal(identity.matrix(), np.eye(4))


def test_same_name_of_another_convention_is_approximate_and_can_be_refused():
    joint_map = JointMap.between(A, C)
    assert [row.status for row in joint_map.rows] == ["approximate"] * 3 + ["missing"]
    assert "x and y mean different points" in joint_map.rows[0].why
    assert joint_map.unused == ("nose",)
    strict = JointMap.between(A, C, approximate=False)
    assert [row.status for row in strict.rows] == ["missing"] * 4
    # Two skeletons without a stated convention share none, even with equal names.
    d, e = Skeleton.parse("d", "pelv"), Skeleton.parse("e", "pelv")
    assert JointMap.between(d, e).rows[0].status == "approximate"
    assert JointMap.between(d, d).rows[0].status == "exact"


def test_a_joint_with_an_exact_counterpart_is_not_used_for_others():
    both = union({"x": A, "y": C})
    joint_map = JointMap.between(A, both)
    assert {row.target for row in joint_map.rows if row.rule} == set(A.renamed("x").joints)
    only_other = union({"y": C, "z": Skeleton.parse("z", "pelv")})
    assert JointMap.between(A, only_other).rows[0].status == "approximate"


def test_the_first_of_several_candidates_is_taken_and_named():
    twice = Skeleton.parse(
        "t", "pelv_p pelv_q", landmarks={"pelv_p": "p:pelv", "pelv_q": "q:pelv"}
    )
    row = JointMap.between(twice, Skeleton.parse("u", "pelv")).rows[0]
    assert row.rule.sources == ("pelv_p",)
    assert "the first of pelv_p, pelv_q" in row.why


def test_rules_win_and_may_use_aliases():
    rule = JointRule.midpoint("head_top", "left_hip", "RHip", why="test")
    joint_map = JointMap.between(A, B, [rule])
    row = joint_map.rows[4]
    assert row.target == "htop"
    assert row.rule.sources == ("lhip", "rhip")
    replaced = JointMap.between(A, B, [JointRule.copy("nose", "pelv", why="test")])
    assert replaced.rows[0].status == "approximate"
    same = JointMap.between(A, B, [JointRule.copy("nose", "nose")])
    assert same.rows[0].status == "exact"


def test_bad_rules_are_refused():
    with pytest.raises(UnknownNameError, match="unknown joint 'tail'"):
        JointMap.between(A, B, [JointRule.copy("htop", "tail")])
    with pytest.raises(UnknownNameError, match="unknown joint 'tail'"):
        JointMap.between(A, B, [JointRule.copy("tail", "nose")])
    twice = [JointRule.copy("htop", "nose"), JointRule.copy("head_top", "pelv")]
    with pytest.raises(SkeletonError, match="two rules"):
        JointMap.between(A, B, twice)
    with pytest.raises(SkeletonError, match="summing to 1"):
        JointRule.affine("htop", {"nose": 1, "pelv": 1})
    with pytest.raises(SkeletonError, match="bad weights"):
        JointRule.mean("htop", "")
    with pytest.raises(SkeletonError, match="named twice"):
        JointRule.midpoint("htop", "nose", "nose")
    with pytest.raises(SkeletonError, match="no axes"):
        JointRule.affine("htop", {"nose": 1}, {"pelv": 1}, confidence="weighted")


def test_missing_sources_make_missing_targets():
    rule = JointRule.mean("htop", "lhip rhip nose")
    joint_map = JointMap.between(A, B, [rule])
    coords = ramp(4, 3)
    coords[1] = np.nan
    values = joint_map.apply(coords)
    np.testing.assert_array_equal(np.isnan(values[:, 0]), [False, False, True, False, True])
    known = np.array([[True, False, True, True], [True, True, True, True]])
    np.testing.assert_array_equal(
        joint_map.apply_mask(known), [[True, True, False, True, False], [True] * 5]
    )
    nothing = JointMap.between(A, C, approximate=False)
    assert not nothing.apply_mask(known).any()
    assert np.isnan(nothing.apply(coords)).all()
    np.testing.assert_array_equal(nothing.apply_confidence([1, 1, 1, 1]), np.zeros(4))
    np.testing.assert_array_equal(nothing.apply_visibility([1, 1, 1, 1]), [-1] * 4)


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [("min", 0.2), ("product", 0.2 * 0.5), ("mean", 0.35), ("weighted", 0.25 * 0.2 + 0.75 * 0.5)],
)
def test_confidence_rules(confidence, expected):
    rule = JointRule.affine("htop", {"lhip": 0.25, "rhip": 0.75}, confidence=confidence)
    values = JointMap.between(A, B, [rule]).apply_confidence([[0.9, 0.2, 0.5, 0.7]])
    np.testing.assert_allclose(values, [[0.7, 0.5, 0.2, 0.9, expected]])


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(1, 1, 1), (1, 0, 0), (0, -1, 0), (1, -1, -1), (-1, -1, -1)],
)
def test_visibility_of_a_derived_joint(left, right, expected):
    joint_map = JointMap.between(A, B, [JointRule.midpoint("htop", "lhip", "rhip")])
    visible = joint_map.apply_visibility([0, left, right, 1])
    assert visible.dtype == np.int8
    np.testing.assert_array_equal(visible, [1, right, left, 0, expected])


def test_dtypes_and_leading_axes_are_kept():
    joint_map = JointMap.between(A, B, [JointRule.midpoint("htop", "lhip", "rhip")])
    for dtype in (np.float32, np.float64):
        values = joint_map.apply(np.zeros((2, 0, 4, 3), dtype))
        assert values.dtype == dtype
        assert values.shape == (2, 0, 5, 3)
    assert joint_map.apply(np.zeros((4, 2), dtype=int)).dtype == np.float64
    original = ramp(4)
    joint_map.apply(original)[:] = 7
    np.testing.assert_array_equal(original, ramp(4))


def test_wrong_joint_counts_are_refused():
    joint_map = JointMap.between(A, B)
    with pytest.raises(JointCountError, match="skeleton 'a'"):
        joint_map.apply(np.zeros((5, 3)))
    with pytest.raises(JointCountError, match="mask"):
        joint_map.apply_mask(np.zeros((4, 3), dtype=bool))
    with pytest.raises(JointCountError):
        joint_map.apply_confidence(np.zeros(5))
    with pytest.raises(JointCountError):
        joint_map.apply_visibility(np.zeros(3))


def test_report_says_what_mapped_how():
    joint_map = between("occlusion_person_15", "mpii_16", "occlusion-person-mpii/midpoints")
    text = joint_map.report()
    first, *rest = text.splitlines()
    assert first == (
        "occlusion_person_15 -> mpii_16: 0 exact, 15 approximate, 1 missing of 16 joints"
    )
    assert "  thor = 1/2 lsho + 1/2 rsho  (midpoint of the shoulders; MPII" in text
    assert "missing: htop" in rest
    assert "unused in occlusion_person_15: bell" in rest
    exact = JointMap.between(A, B).report()
    assert "  nose, rhip, lhip, pelv  (same landmark)" in exact


def test_report_as_data():
    joint_map = JointMap.between(A, C, [JointRule.midpoint("htop", "lhip", "rhip", why="odd")])
    data = json.loads(json.dumps(joint_map.to_dict()))
    assert data["joints"][3] == {
        "target": "htop",
        "status": "approximate",
        "sources": ["lhip", "rhip"],
        "weights": [[0.5, 0.5]],
        "confidence": "min",
        "why": "odd",
    }
    assert data["unused"] == ["nose"]


@pytest.mark.parametrize(
    ("rule", "formula"),
    [
        (JointRule.copy("t", "a"), "a"),
        (JointRule.affine("t", {"a": 2, "b": -1}), "2 a - b"),
        (JointRule.affine("t", {"a": -0.5, "b": 1.5}), "- 1/2 a + 3/2 b"),
        (JointRule.affine("t", {"a": 0.123456, "b": 0.876544}), "0.1235 a + 0.8765 b"),
        (JointRule.affine("t", {"a": 1}, {"b": 1}), "x: a; y: b"),
    ],
)
def test_formulas_are_readable(rule, formula):
    assert rule.formula == formula


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_maps_are_affine_and_match_their_matrix(data):
    names = ("coco-h36m/midpoints", "mpii-h36m/fusion-evaluation", "lsp-mpii/midpoints")
    rules = joint_rules.get(data.draw(st.sampled_from(names)))
    joint_map = between(rules.source, rules.target, rules.name)
    finite = st.floats(-5000, 5000, width=32)
    count = len(joint_map.source)
    coords = np.array(data.draw(st.lists(finite, min_size=3 * count, max_size=3 * count)))
    coords = coords.reshape(count, 3)
    shift = np.array(data.draw(st.tuples(finite, finite, finite)))
    values = joint_map.apply(coords)
    np.testing.assert_allclose(joint_map.apply(coords + shift), values + shift, atol=1e-8)
    np.testing.assert_allclose(joint_map.matrix() @ coords, values, atol=1e-8)


@pytest.mark.parametrize("source", skeletons.names())
def test_every_standard_skeleton_maps_to_itself_and_commutes_with_the_mirror(source):
    skeleton = skeletons.get(source)
    assert JointMap.between(skeleton, skeleton).copied_from.tolist() == list(range(len(skeleton)))
    for target_name in ("h36m_17", "smpl_24", "coco_wholebody_133", "smplx_127"):
        target = skeletons.get(target_name)
        copied = JointMap.between(skeleton, target).copied_from
        for joint, found in enumerate(copied):
            other = copied[target.mirror[joint]]
            assert other == (skeleton.mirror[found] if found >= 0 else -1)
