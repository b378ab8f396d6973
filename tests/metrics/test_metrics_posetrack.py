import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from posepile_torch.errors import MetricError
from posepile_torch.metrics.assignment import minimum_cost_assignment
from posepile_torch.metrics.posetrack import (
    POSETRACK_JOINTS,
    FramePersons,
    PoseTrackEvaluator,
    PoseTrackFrame,
    match_frame,
    posetrack18_joints,
    strictly_inside,
)
from posepile_torch.metrics.tracking import PoseTrackTrackingEvaluator

HEAD = 10.0
NOBODY = FramePersons(joints=np.zeros((0, 15, 2)))


def pose(x, y=0.0):
    """15 joints in a column, 100 px apart, at x."""
    return np.stack([np.full(15, float(x)), y + 100.0 * np.arange(15)], axis=-1)


def truth(*poses, track=None):
    return FramePersons(joints=np.stack(poses), head_size=np.full(len(poses), HEAD), track=track)


def guess(*poses, scores=None, track=None):
    score = np.full((len(poses), 15), 0.5)
    if scores is not None:
        score = np.repeat(np.array(scores, dtype=float)[:, None], 15, axis=1)
    return FramePersons(joints=np.stack(poses), score=score, track=track)


def evaluated(*frames, **options):
    evaluator = PoseTrackEvaluator()
    for number, frame in enumerate(frames):
        evaluator.update(number, frame)
    return evaluator.compute(**options)


def tracked(*frames, **options):
    evaluator = PoseTrackTrackingEvaluator(**options)
    evaluator.update("a", frames)
    return evaluator.compute()


def random_sequence(seed, n_frames=6):
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        ids = random.permutation(6)[: random.integers(0, 5)]
        joints = np.array([pose(40 * i) for i in ids]).reshape(-1, 15, 2)
        seen = joints + random.normal(size=joints.shape) * 3
        joints[random.random(joints.shape[:2]) < 0.2] = np.nan
        seen[random.random(joints.shape[:2]) < 0.2] = np.nan
        tracks = np.where(random.random(len(ids)) < 0.2, ids + 10, ids)
        frames.append(
            PoseTrackFrame(
                persons=FramePersons(joints=joints, head_size=np.full(len(ids), HEAD), track=ids),
                predictions=FramePersons(
                    joints=seen, score=random.random((len(ids), 15)), track=tracks
                ),
            )
        )
    return frames


def test_capability_row_94_two_people_three_predictions_and_an_ignore_polygon_by_hand():
    # Predictions: 1 hits person A, 2 hits person B in its first five joints only, 3 hits nobody.
    # The last joint of everybody at x > 900 lies in the ignore region.
    a, b = pose(0), pose(1000)
    second = pose(1000) + np.where(np.arange(15) < 5, 0.0, 50.0)[:, None]
    frame = PoseTrackFrame(
        persons=truth(a, b),
        predictions=guess(a + 3.0, second, pose(500), scores=[0.9, 0.8, 0.85]),
        ignore=[np.array([[900, 1390], [1100, 1390], [1100, 1500], [900, 1500]], dtype=float)],
    )
    result = evaluated(frame)
    # Joints 0..4, by score: hit (0.9), miss (0.85), hit (0.8) -> 1/2 * 1 + 1/2 * 2/3
    np.testing.assert_allclose(result.ap[:5], 100 * (0.5 + 0.5 * 2 / 3))
    np.testing.assert_allclose(result.precision[:5], 100 * 2 / 3)
    np.testing.assert_allclose(result.recall[:5], 100)
    # Joints 5..13: hit, miss, miss; one of two persons found.
    np.testing.assert_allclose(result.ap[5:14], 50)
    # Joint 14: person B's is ignored, and so is the prediction of it.
    assert result.ap[14] == 100
    assert result.n_annotated.tolist() == [2] * 14 + [1]
    assert result.n_predicted.tolist() == [3] * 14 + [2]
    # One frame is enough for MOTA: per joint type, misses + false positives over objects.
    with_tracks = PoseTrackFrame(
        persons=truth(a, b, track=[0, 1]),
        predictions=guess(a + 3.0, second, pose(500), track=[0, 1, 2]),
        ignore=frame.ignore,
    )
    tracking = tracked(with_tracks)
    np.testing.assert_allclose(tracking.mota[:5], 100 * (1 - 1 / 2))
    np.testing.assert_allclose(tracking.mota[5:14], 100 * (1 - 3 / 2))
    np.testing.assert_allclose(tracking.mota[14], 100 * (1 - 1 / 1))
    np.testing.assert_allclose(tracking.motp[5:], 100 * (1 - np.hypot(3, 3) / HEAD))


def test_prediction_equal_to_truth_is_100():
    frames = []
    for frame in random_sequence(1):
        people = frame.persons
        copy = FramePersons(
            joints=people.joints, score=np.ones((len(people), 15)), track=people.track
        )
        frames.append(PoseTrackFrame(persons=people, predictions=copy))
    result = evaluated(*frames)
    assert (result.ap == 100).all()
    assert result.mean_ap == 100
    assert set(result.groups().values()) == {100.0}
    tracking = tracked(*frames)
    assert (tracking.mota == 100).all()
    assert (tracking.motp == 100).all()
    assert tracking.totals() == {"mota": 100, "motp": 100, "precision": 100, "recall": 100}


def test_frames_without_annotated_people_are_dropped_with_their_predictions():
    empty = PoseTrackFrame(persons=NOBODY, predictions=guess(pose(0)))
    full = PoseTrackFrame(persons=truth(pose(0)), predictions=guess(pose(0)))
    result = evaluated(empty, full)
    assert result.mean_ap == 100
    assert (result.n_frames, result.n_dropped_frames) == (1, 1)
    # People all of whose joints are ignored do not drop the frame: what is predicted is false.
    region = [np.array([[-50, -50], [50, -50], [50, 2000], [-50, 2000]], dtype=float)]
    gone = PoseTrackFrame(
        persons=truth(pose(0)), predictions=guess(pose(0), pose(500), scores=[1, 1]), ignore=region
    )
    result = evaluated(gone, full)
    assert result.n_predicted.tolist() == [2] * 15
    np.testing.assert_allclose(result.precision, 50)


def test_ties_are_ordered_by_frame_and_row_whatever_the_order_of_updates():
    right = PoseTrackFrame(persons=truth(pose(0)), predictions=guess(pose(0)))
    wrong = PoseTrackFrame(persons=truth(pose(0)), predictions=guess(pose(500)))
    first, second = PoseTrackEvaluator(), PoseTrackEvaluator()
    first.update(("a", 1), right)
    first.update(("a", 2), wrong)
    second.update(("a", 2), wrong)
    other = PoseTrackEvaluator()
    other.update(("a", 1), right)
    second.merge(other)
    np.testing.assert_array_equal(first.compute().ap, second.compute().ap)
    assert first.compute().mean_ap == 50
    swapped = PoseTrackEvaluator()
    swapped.update(("a", 1), wrong)
    swapped.update(("a", 2), right)
    assert swapped.compute().mean_ap == 25


def test_a_joint_type_without_annotations_is_left_out():
    holes = pose(0)
    holes[13] = np.nan
    without = PoseTrackFrame(persons=truth(holes), predictions=guess(holes))
    assert np.isnan(evaluated(without).ap[13])
    assert evaluated(without).mean_ap == 100
    parity = evaluated(without, empty_types_as_zero=True)
    assert parity.ap[13] == 0
    assert parity.mean_ap == pytest.approx(100 * 14 / 15)
    # Predicted but never annotated: NaN in the reference, too.
    predicted = PoseTrackFrame(persons=truth(holes), predictions=guess(pose(0)))
    assert np.isnan(evaluated(predicted, empty_types_as_zero=True).ap[13])
    # Annotated but never predicted: nothing found.
    missed = PoseTrackFrame(persons=truth(pose(0)), predictions=guess(holes))
    assert evaluated(missed).ap[13] == 0


def test_missing_scores_come_last_and_slots_of_2018_find_their_joints():
    with_score, without = np.full(15, 0.1), np.full(15, np.nan)
    people = FramePersons(
        joints=np.stack([pose(500), pose(0)]), score=np.stack([without, with_score])
    )
    frame = PoseTrackFrame(persons=truth(pose(0)), predictions=people)
    assert evaluated(frame).mean_ap == 100
    slots = np.arange(17.0)[None, :, None].repeat(2, axis=-1)
    seen = np.ones((1, 17), dtype=int)
    seen[0, 16] = 0  # right ankle
    joints = posetrack18_joints(slots, seen)[0, :, 0]
    assert np.isnan(joints[POSETRACK_JOINTS.index("rank")])
    slot_names = ["nose", "neck", "htop", "lear", "rear"] + [
        side + joint for joint in ("sho", "elb", "wri", "hip", "kne", "ank") for side in "lr"
    ]
    for number, joint in enumerate(POSETRACK_JOINTS[1:], start=1):
        assert slot_names[int(joints[number])] == joint
    with pytest.raises(MetricError, match="17 slots"):
        posetrack18_joints(np.zeros((1, 15, 2)), np.ones((1, 15)))


def test_half_a_head_is_a_hit_and_a_little_more_is_not():
    for distance, ap in ((5.0, 100), (np.nextafter(5.0, 6), 0)):
        frame = PoseTrackFrame(
            persons=truth(pose(0)), predictions=guess(pose(0) + np.array([distance, 0]))
        )
        assert evaluated(frame).mean_ap == ap


def test_each_prediction_stands_for_its_best_person_and_ties_take_the_first():
    def hits(table):
        return np.arange(15) < np.array(table)[..., None]

    full = np.full(2, 15)
    assert match_frame(hits([[5, 3], [4, 4]]), full).tolist() == [0, -1]
    assert match_frame(hits([[5, 3], [4, 6]]), full).tolist() == [0, 1]
    assert match_frame(hits([[5, 5], [5, 5]]), full).tolist() == [0, -1]
    assert match_frame(hits([[0, 0]]), full).tolist() == [-1, -1]
    # The share of the person's own joints decides, not the number of hits.
    assert match_frame(hits([[5, 4]]), np.array([15, 4])).tolist() == [-1, 0]
    assert match_frame(np.zeros((0, 2, 15), bool), full).tolist() == [-1, -1]


def test_points_on_a_border_are_not_inside():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=float)
    points = np.array([[2, 2], [0, 2], [4, 4], [2, 0], [5, 2], [-1, 0], [np.nan, 2]])
    assert strictly_inside(points, square).tolist() == [True] + [False] * 6
    notched = np.array([[0, 0], [4, 0], [2, 2], [4, 4], [0, 4]], dtype=float)
    where = np.array([[3.5, 2], [1, 2], [2, 2], [3, 0.5], [2.5, 3]])
    for corners in (notched, notched[::-1], np.roll(notched, 2, axis=0)):
        assert strictly_inside(where, corners).tolist() == [False, True, False, True, True]
    with pytest.raises(MetricError, match="three corners"):
        strictly_inside(where, square[:2])


def test_a_switch_of_tracks_costs_one_and_the_last_match_is_kept_as_long_as_possible():
    def frame(tracks, x=(0, 500)):
        return PoseTrackFrame(
            persons=truth(pose(0), pose(500), track=[1, 2]),
            predictions=guess(*(pose(v) for v in x), track=tracks),
        )

    result = tracked(frame([7, 8]), frame([7, 8]), frame([8, 7]))
    assert (result.switches == 2).all()
    assert (result.misses == 0).all()
    np.testing.assert_allclose(result.mota, 100 * (1 - 2 / 6))
    # A nearer newcomer does not displace the track that was matched before.
    near = PoseTrackFrame(
        persons=truth(pose(0), track=[1]), predictions=guess(pose(4), pose(1), track=[7, 9])
    )
    start = PoseTrackFrame(
        persons=truth(pose(0), track=[1]), predictions=guess(pose(0), track=[7])
    )
    result = tracked(start, near)
    assert (result.switches == 0).all()
    assert (result.false_positives == 1).all()
    np.testing.assert_allclose(result.motp, 100 * (1 - 0.4 / 2))


def test_tracking_is_per_sequence_and_merges():
    start = PoseTrackFrame(
        persons=truth(pose(0), track=[1]), predictions=guess(pose(0), track=[7])
    )
    other = PoseTrackFrame(
        persons=truth(pose(0), track=[1]), predictions=guess(pose(0), track=[8])
    )
    assert (tracked(start, other).switches == 1).all()
    whole, part = PoseTrackTrackingEvaluator(), PoseTrackTrackingEvaluator()
    whole.update("a", [start])
    whole.update("b", [other])
    part.update("b", [other])
    first = PoseTrackTrackingEvaluator()
    first.update("a", [start])
    part.merge(first)
    for result in (whole.compute(), part.compute()):
        assert (result.switches == 0).all()
        assert result.n_sequences == 2
    with pytest.raises(MetricError, match="given twice"):
        whole.merge(part)
    with pytest.raises(MetricError, match="poseval_quirks"):
        part.merge(PoseTrackTrackingEvaluator(poseval_quirks=True))


def test_the_quirks_of_the_reference_are_a_switch():
    good = PoseTrackFrame(
        persons=truth(pose(0), pose(500), track=[1, 2]),
        predictions=guess(pose(0), pose(500), track=[1, 2]),
    )
    unseen = PoseTrackFrame(persons=truth(pose(0), pose(500), track=[1, 2]), predictions=NOBODY)
    ours = tracked(good, unseen, good)
    assert (ours.misses == 2).all()
    assert (ours.false_positives == 0).all()
    np.testing.assert_allclose(ours.mota, 100 * (1 - 2 / 6))
    theirs = tracked(good, unseen, good, poseval_quirks=True)
    # One miss and one false positive stand for the two missed persons; the last frame is gone.
    assert (theirs.objects == 3).all()
    assert (theirs.misses == 1).all()
    assert (theirs.false_positives == 1).all()
    np.testing.assert_allclose(theirs.mota, 100 * (1 - 2 / 3))


def test_motp_is_the_mean_over_matched_pairs_only():
    def frame(offset, track):
        return PoseTrackFrame(
            persons=truth(pose(0), track=[1]), predictions=guess(pose(offset), track=[track])
        )

    # The second frame is a switch; its distance counts once, like that of any match.
    result = tracked(frame(1, 7), frame(3, 8))
    np.testing.assert_allclose(result.motp, 100 * (1 - 0.2))


@given(seed=st.integers(0, 100), order=st.permutations(range(4)))
@settings(max_examples=15, deadline=None)
def test_order_of_frames_and_sequences_does_not_matter(seed, order):
    sequences = [random_sequence(seed + 1000 * n) for n in range(4)]
    results = []
    for numbers in (range(4), order):
        ap, tracking = PoseTrackEvaluator(), PoseTrackTrackingEvaluator()
        for n in numbers:
            tracking.update(n, sequences[n])
            for number, frame in enumerate(sequences[n]):
                ap.update((n, number), frame)
        results.append((ap.compute(), tracking.compute()))
    (ap, tracking), (other_ap, other_tracking) = results
    np.testing.assert_array_equal(ap.ap, other_ap.ap)
    np.testing.assert_array_equal(tracking.mota, other_tracking.mota)
    np.testing.assert_array_equal(tracking.motp, other_tracking.motp)
    assert 20 < ap.mean_ap < 100


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 7), st.integers(1, 7)),
        elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, np.nan]) | st.floats(0, 1),
    )
)
@settings(max_examples=150, deadline=None)
def test_assignments_cost_as_little_as_scipys(cost):
    columns = minimum_cost_assignment(cost)
    rows = np.flatnonzero(columns >= 0)
    assert len(set(columns[rows].tolist())) == len(rows)
    assert np.isfinite(cost[rows, columns[rows]]).all()
    filled = np.where(np.isnan(cost), 1000.0, cost)
    r, c = linear_sum_assignment(filled)
    possible = np.isfinite(cost[r, c])
    assert len(rows) == possible.sum()
    np.testing.assert_allclose(cost[rows, columns[rows]].sum(), cost[r, c][possible].sum())


def test_bad_input_is_named():
    with pytest.raises(MetricError, match="17 slots"):
        FramePersons(joints=np.zeros((1, 17, 2)))
    with pytest.raises(MetricError, match="head sizes"):
        truth(pose(0)).__class__(joints=pose(0)[None], head_size=np.zeros(1))
    with pytest.raises(MetricError, match="no head sizes"):
        evaluated(PoseTrackFrame(persons=guess(pose(0)), predictions=guess(pose(0))))
    frame = PoseTrackFrame(persons=truth(pose(0)), predictions=guess(pose(0)))
    evaluator = PoseTrackEvaluator()
    evaluator.update("b", frame)
    with pytest.raises(MetricError, match="given twice"):
        evaluator.update("b", frame)
    evaluator.update(3, frame)
    with pytest.raises(MetricError, match="no order"):
        evaluator.compute()
    with pytest.raises(MetricError, match="track ids None"):
        tracked(frame)
    double = PoseTrackFrame(
        persons=truth(pose(0), pose(500), track=[1, 1]), predictions=guess(pose(0), track=[1])
    )
    with pytest.raises(MetricError, match="unique inside its frame"):
        tracked(double)
    with pytest.raises(MetricError, match=r"0\.\.9999"):
        tracked(
            PoseTrackFrame(
                persons=truth(pose(0), track=[10_000]), predictions=guess(pose(0), track=[1])
            )
        )
    with pytest.raises(MetricError, match="one cost"):
        minimum_cost_assignment(np.zeros(3))
