import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posepile_torch.errors import MetricError
from posepile_torch.metrics import TDHP17_BONES, bone_lengths, rescale_to_limb_sum
from posepile_torch.metrics.coco_ap import (
    COCO_RULES,
    KeypointDetections,
    KeypointPersons,
    OksEvaluator,
    coco_keypoint_ap,
)
from posepile_torch.metrics.image2d import heatmap_pck, pckh
from posepile_torch.metrics.oks import OKS_SIGMAS
from posepile_torch.metrics.oks_matching import OksRules

NAMES = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
SIGMAS = np.array(OKS_SIGMAS["coco_17"])


def data_set(seed, n_images=12, *, ties=False, boxes=True):
    """Annotations and results with crowds, bare boxes, missing persons, strays and twins."""
    random = np.random.default_rng(seed)
    annotations, results = [], []
    images = [image for image in range(n_images) for _ in range(random.integers(0, 6))]
    for image in images:
        size = 10 ** random.uniform(1.2, 2.5, size=2)
        box = [*random.uniform(0, 300, 2), *size]
        points = np.array(box[:2]) + random.uniform(0, 1, (17, 2)) * size
        labels = random.choice([0, 1, 2], size=17, p=[0.3, 0.2, 0.5])
        if random.random() < 0.15:
            labels[:] = 0
        area = float(size.prod() * random.uniform(0.3, 0.9))
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": image * 7 % 13,
                "category_id": 1,
                "keypoints": np.where(labels[:, None] > 0, np.c_[points, labels], 0)
                .ravel()
                .tolist(),
                "num_keypoints": int((labels > 0).sum()),
                "area": area,
                "bbox": [float(x) for x in box],
                "iscrowd": int(random.random() < 0.1),
            }
        )
        for _ in range(random.integers(0, 8)):
            noise = random.normal(size=(17, 2)) * 2 * SIGMAS[:, None] * np.sqrt(area)
            moved = points + noise * random.choice([0, 0.3, 0.7, 1.5])
            result = {
                "image_id": image * 7 % 13,
                "category_id": 1,
                "keypoints": np.c_[moved, np.ones(17)].ravel().tolist(),
                "score": float(random.integers(0, 4) if ties else random.random()),
            }
            if boxes:
                result["bbox"] = [float(x) for x in box]
            results.append(result)
            if random.random() < 0.1:
                results.append(dict(result))
    return annotations, results


def oracle(annotations, results):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(13)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}],
            "info": {},
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def tables(annotations, results):
    return (
        KeypointPersons.from_coco(annotations, count=17),
        KeypointDetections.from_coco(results, count=17),
    )


def as_tuple(result):
    return tuple(result.stats.values())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("boxes", [False, True])
def test_all_ten_stats_equal_pycocotools(seed, ties, boxes):
    annotations, results = data_set(seed, ties=ties, boxes=boxes)
    expected = oracle(annotations, results)
    ours = coco_keypoint_ap(*tables(annotations, results))
    assert tuple(ours.stats) == NAMES
    np.testing.assert_allclose(as_tuple(ours), expected.stats, rtol=0, atol=1e-12)
    theirs = np.moveaxis(expected.eval["precision"][:, :, 0, :, 0], -1, 0)
    np.testing.assert_allclose(ours.precision, theirs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        ours.recall, expected.eval["recall"][:, 0, :, 0].T, rtol=0, atol=1e-12
    )


def test_the_oracle_cases_are_not_trivial():
    annotations, results = data_set(4)
    stats = coco_keypoint_ap(*tables(annotations, results)).stats
    assert all(0.05 < value < 0.97 for value in stats.values()), stats
    assert any(a["iscrowd"] for a in annotations)
    assert any(a["num_keypoints"] == 0 for a in annotations)


def test_capability_row_93_pckh_heatmaps_coco_ap_and_oks():
    # A point at exactly half the head size is right for the MATLAB rule and wrong for mmpose's.
    points, truth = np.zeros((1, 1, 2)), np.array([[[15.0, 0.0]]])
    head = np.array([[0.0, 0.0, 30.0, 40.0]])  # size 0.6 * 50 = 30
    for strict, expected in ((False, 100.0), (True, 0.0)):
        assert pckh(points, truth, head, strict=strict) == expected
    maps = np.zeros((1, 2, 64, 48))
    maps[0, 0, 20, 10] = maps[0, 1, 30, 40] = 1
    assert heatmap_pck(maps, maps, reduce="pooled") == 100.0
    pose = np.random.default_rng(0).normal(size=(17, 3))
    scaled = rescale_to_limb_sum(pose, TDHP17_BONES)
    assert bone_lengths(scaled, TDHP17_BONES).sum() == pytest.approx(4000.0)
    annotations, _ = data_set(3)
    perfect = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in annotations
        if a["num_keypoints"] and not a["iscrowd"]
    ]
    assert set(coco_keypoint_ap(*tables(annotations, perfect)).stats.values()) == {1.0}


def test_one_true_and_one_false_detection_by_hand():
    person = np.array([[[float(i), 0.0] for i in range(17)]])
    persons = KeypointPersons(
        image=[1], keypoints=person, labelled=np.ones((1, 17), bool), area=[5000.0]
    )
    found = np.concatenate([person + 1e4, person])
    area = [5000.0, 5000.0]
    worse_first = KeypointDetections(image=[1, 1], keypoints=found, score=[0.9, 0.5], area=area)
    better_first = KeypointDetections(image=[1, 1], keypoints=found, score=[0.5, 0.9], area=area)
    first, second = (coco_keypoint_ap(persons, d) for d in (worse_first, better_first))
    assert first["AP"] == pytest.approx(0.5)  # precision 1/2 when the person is found
    assert second["AP"] == 1.0
    assert first["AR"] == second["AR"] == 1.0
    assert first["AP_L"] == -1
    assert first["AP_M"] == pytest.approx(0.5)
    assert first.n_persons == {"all": 1, "medium": 1, "large": 0}


def test_no_detections_give_zero_where_pycocotools_refuses():
    annotations, _ = data_set(1)
    with pytest.raises(IndexError):
        oracle(annotations, [])
    result = coco_keypoint_ap(*tables(annotations, []))
    assert set(result.stats.values()) == {0.0}
    assert result.n_detections == 0


def test_nothing_to_find_gives_minus_one():
    _, results = data_set(1)
    assert set(coco_keypoint_ap(*tables([], results)).stats.values()) == {-1.0}
    assert coco_keypoint_ap(*tables([], []))["AP"] == -1.0


def test_annotation_id_zero_is_matched_here_and_lost_in_pycocotools():
    annotations, _ = data_set(4)
    annotation = next(a for a in annotations if a["num_keypoints"] and not a["iscrowd"])
    result = {key: annotation[key] for key in ("image_id", "category_id", "keypoints")}
    one = [dict(annotation, id=0)]
    reference = oracle(one, [dict(result, score=0.5)])
    assert reference.stats[0] == 0.0
    assert coco_keypoint_ap(*tables(one, [dict(result, score=0.5)]))["AP"] == 1.0


def test_only_the_best_twenty_detections_of_an_image_count():
    person = np.random.default_rng(0).uniform(0, 100, (1, 17, 2))
    persons = KeypointPersons(
        image=[5], keypoints=person, labelled=np.ones((1, 17), bool), area=[5000.0]
    )
    strays = np.repeat(person + 1e4, 20, axis=0)
    late = KeypointDetections(
        image=[5] * 21, keypoints=np.r_[strays, person], score=[0.9] * 20 + [0.1]
    )
    result = coco_keypoint_ap(persons, late)
    assert (result["AP"], result.n_over_limit, result.n_detections) == (0, 1, 20)
    tied = KeypointDetections(image=[5] * 21, keypoints=np.r_[strays, person], score=[0.9] * 21)
    assert coco_keypoint_ap(persons, tied)["AR"] == 0  # array order breaks ties
    first = KeypointDetections(image=[5] * 21, keypoints=np.r_[person, strays], score=[0.9] * 21)
    assert coco_keypoint_ap(persons, first)["AP"] == 1


def test_bounds_of_size_ranges_are_inclusive_at_both_ends():
    person = np.random.default_rng(0).uniform(0, 100, (1, 17, 2))
    shown = np.ones((1, 17), bool)
    for area, medium, large in ((32.0**2, 1, 0), (96.0**2, 1, 1), (96.0**2 + 1e-6, 0, 1)):
        persons = KeypointPersons(image=[1], keypoints=person, labelled=shown, area=[area])
        found = KeypointDetections(image=[1], keypoints=person, score=[1.0])
        n = coco_keypoint_ap(persons, found).n_persons
        assert (n["medium"], n["large"]) == (medium, large)


def test_a_crowd_takes_any_number_of_detections_and_a_person_only_one():
    person = np.random.default_rng(0).uniform(0, 100, (17, 2))
    persons = KeypointPersons(
        image=[1, 1],
        keypoints=np.stack([person, person + 1000]),
        labelled=np.ones((2, 17), bool),
        area=[5000.0, 5000.0],
        crowd=np.array([False, True]),
    )
    in_crowd = np.stack([person + 1000] * 3 + [person])
    result = coco_keypoint_ap(
        persons, KeypointDetections(image=[1] * 4, keypoints=in_crowd, score=[4, 3, 2, 1.0])
    )
    assert result["AP"] == 1.0
    twins = np.stack([person + 1000] + [person] * 2)
    result = coco_keypoint_ap(
        persons, KeypointDetections(image=[1] * 3, keypoints=twins, score=[1, 3, 2.0])
    )
    assert (result["AR"], result.n_persons["all"]) == (1.0, 1)


@given(seed=st.integers(0, 200), parts=st.integers(1, 4), shuffle=st.randoms())
@settings(max_examples=25, deadline=None)
def test_any_split_and_order_gives_the_same_bits(seed, parts, shuffle):
    annotations, results = data_set(seed, ties=True)
    whole = coco_keypoint_ap(*tables(annotations, results), images=range(13))
    images = list(range(13))
    shuffle.shuffle(images)
    evaluators = []
    for part in range(parts):
        chosen = images[part::parts]
        evaluator = OksEvaluator()
        for group in (chosen[:2], chosen[2:]):
            mine = [[r for r in rows if r["image_id"] in group] for rows in (annotations, results)]
            evaluator.update(*tables(*mine), images=group)
        evaluators.append(evaluator)
    shuffle.shuffle(evaluators)
    first, *others = evaluators
    for other in others:
        first.merge(other)
    merged = first.compute()
    assert as_tuple(merged) == as_tuple(whole)
    np.testing.assert_array_equal(merged.precision, whole.precision)
    assert merged.n_images == whole.n_images == 13


@given(seed=st.integers(0, 200))
@settings(max_examples=10, deadline=None)
def test_only_the_order_of_scores_matters(seed):
    annotations, results = data_set(seed)
    other = [dict(r, score=float(np.exp(5 * r["score"]) - 3)) for r in results]
    first, second = (coco_keypoint_ap(*tables(annotations, r)) for r in (results, other))
    assert as_tuple(first) == as_tuple(second)


def test_string_ids_work_and_are_ordered():
    annotations, results = data_set(2, ties=True)
    renamed = [
        [dict(row, image_id=f"{row['image_id']:02d}.jpg") for row in rows]
        for rows in (annotations, results)
    ]
    assert as_tuple(coco_keypoint_ap(*tables(*renamed))) == as_tuple(
        coco_keypoint_ap(*tables(annotations, results))
    )


def test_images_can_be_selected():
    annotations, results = data_set(5)
    evaluator = OksEvaluator()
    evaluator.update(*tables(annotations, results), images=range(13))
    some = [0, 3, 7, 9]
    mine = [[r for r in rows if r["image_id"] in some] for rows in (annotations, results)]
    assert as_tuple(evaluator.compute(some)) == as_tuple(coco_keypoint_ap(*tables(*mine)))
    assert evaluator.compute([])["AP"] == -1
    with pytest.raises(MetricError, match="never given"):
        evaluator.compute([99])


def test_missing_keypoints_raise_or_count_as_wrong():
    person = np.random.default_rng(0).uniform(0, 100, (1, 17, 2))
    persons = KeypointPersons(
        image=[1], keypoints=person, labelled=np.ones((1, 17), bool), area=[5000.0]
    )
    holes = person.copy()
    holes[0, :8] = np.nan
    found = KeypointDetections(image=[1], keypoints=holes, score=[1.0])
    with pytest.raises(MetricError, match="no finite prediction"):
        coco_keypoint_ap(persons, found)
    rules = OksRules(sigmas=COCO_RULES.sigmas, on_missing="count_as_wrong")
    result = coco_keypoint_ap(persons, found, rules=rules)
    assert (result["AP50"], result["AP75"]) == (1, 0)  # 9 of 17 keypoints: OKS 0.529


def test_bad_input_is_named():
    annotations, results = data_set(0)
    persons, found = tables(annotations, results)
    evaluator = OksEvaluator()
    evaluator.update(persons, found)
    with pytest.raises(MetricError, match="given twice"):
        evaluator.update(persons, found)
    other = OksEvaluator()
    other.update(persons, found)
    with pytest.raises(MetricError, match="given twice"):
        evaluator.merge(other)
    with pytest.raises(MetricError, match="different rules"):
        evaluator.merge(OksEvaluator(OksRules(sigmas=COCO_RULES.sigmas, max_detections=5)))
    with pytest.raises(MetricError, match="belongs to image"):
        coco_keypoint_ap(persons, found, images=[0, 1])
    with pytest.raises(MetricError, match="integers in one table"):
        coco_keypoint_ap(*tables(annotations, [dict(r, image_id="a") for r in results]))
    with pytest.raises(MetricError, match="scores are not finite"):
        tables(annotations, [dict(r, score=float("nan")) for r in results])
    with pytest.raises(MetricError, match="17 sigmas"):
        coco_keypoint_ap(persons, found.columns(slice(0, 5)))
    with pytest.raises(MetricError, match="have no areas"):
        coco_keypoint_ap(
            KeypointPersons(
                image=[1], keypoints=np.zeros((1, 17, 2)), labelled=np.ones((1, 17), bool)
            ),
            found,
        )
    with pytest.raises(MetricError, match="how many keypoints"):
        KeypointDetections.from_coco([])
    with pytest.raises(MetricError, match="have no 'bbox'"):
        KeypointDetections.from_coco([results[0], {**results[1], "bbox": None}])
