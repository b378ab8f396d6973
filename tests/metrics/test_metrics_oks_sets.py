import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posepile_torch.errors import MetricError, UnknownNameError
from posepile_torch.metrics.coco_ap import KeypointDetections, KeypointPersons, coco_keypoint_ap
from posepile_torch.metrics.keypoint_tables import keypoint_extent
from posepile_torch.metrics.oks_sets import (
    OKS_RULES,
    WHOLEBODY_PARTS,
    CrowdPoseEvaluator,
    WholeBodyEvaluator,
    crowd_level,
    oks_rules,
)
from posepile_torch.metrics.rescoring import detection_scores

IMAGES = 9
CROWD_INDEX = {i: i / 8 for i in range(IMAGES)}


def data_set(seed, sigmas, *, num_keypoints_from=1):
    random = np.random.default_rng(seed)
    sigmas = np.array(sigmas)
    annotations, results = [], []
    for image in [i for i in range(IMAGES) for _ in range(random.integers(0, 5))]:
        size = 10 ** random.uniform(1.3, 2.5, size=2)
        corner = random.uniform(0, 300, 2)
        points = corner + random.uniform(0, 1, (len(sigmas), 2)) * size
        labels = random.choice([0, 1, 2], size=len(sigmas), p=[0.3, 0.2, 0.5])
        labels[random.random(len(sigmas)) < random.choice([0, 0, 0, 1])] = 0
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": 1,
                "keypoints": np.c_[points, labels].ravel().tolist(),
                "num_keypoints": int((labels >= num_keypoints_from).sum()),
                "area": float(size.prod() * random.uniform(0.3, 0.9)),
                "bbox": [*corner.tolist(), *size.tolist()],
                "iscrowd": 0,
            }
        )
        for _ in range(random.integers(0, 5)):
            noise = random.normal(size=points.shape) * 1.4 * sigmas[:, None]
            moved = points + noise * np.sqrt(size.prod()) * random.choice([0, 0.4, 0.8, 3])
            results.append(
                {
                    "image_id": image,
                    "category_id": 1,
                    "keypoints": np.c_[moved, np.ones(len(sigmas))].ravel().tolist(),
                    "score": float(random.random()),
                }
            )
    return annotations, results


def oracle(annotations, results, sigmas, *, images=range(IMAGES), detection_areas=None):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(IMAGES)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}],
            "info": {},
        }
        coco.createIndex()
        found = coco.loadRes([dict(r) for r in results])
        for number, area in enumerate([] if detection_areas is None else detection_areas, 1):
            found.anns[number]["area"] = area
        evaluation = COCOeval(coco, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.params.imgIds = list(images)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def with_box_areas(annotations):
    return [dict(a, area=0.53 * a["bbox"][2] * a["bbox"][3]) for a in annotations]


def tables(annotations, results, count):
    return (
        KeypointPersons.from_coco(annotations, count=count),
        KeypointDetections.from_coco(results, count=count),
    )


@pytest.mark.parametrize("seed", range(4))
def test_crowdpose_equals_the_coco_tool_with_its_areas_and_subsets(seed):
    sigmas = OKS_RULES["crowdpose"].sigmas
    annotations, results = data_set(seed, sigmas, num_keypoints_from=2)
    evaluator = CrowdPoseEvaluator(CROWD_INDEX)
    evaluator.update(*tables(annotations, results, 14), images=range(IMAGES))
    stats = evaluator.compute().stats
    expected = oracle(with_box_areas(annotations), results, sigmas)
    names = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
    np.testing.assert_allclose(
        [stats[n] for n in names], expected[[0, 1, 2, 5, 6, 7]], rtol=0, atol=1e-12
    )
    assert tuple(stats) == (*names, "AP_easy", "AP_medium", "AP_hard")
    for level, images in (("easy", [0, 1]), ("medium", [2, 3, 4, 5, 6]), ("hard", [7, 8])):
        subset = oracle(with_box_areas(annotations), results, sigmas, images=images)[0]
        assert stats[f"AP_{level}"] == pytest.approx(subset, rel=0, abs=1e-12)


def test_crowdpose_rounds_subsets_only_on_request_and_names_empty_ones():
    sigmas = OKS_RULES["crowdpose"].sigmas
    annotations, results = data_set(1, sigmas)
    easy = [[r for r in rows if r["image_id"] < 2] for rows in (annotations, results)]
    evaluator = CrowdPoseEvaluator(CROWD_INDEX)
    evaluator.update(*tables(*easy, 14))
    exact, rounded = evaluator.compute(), evaluator.compute(rounded=True)
    assert exact["AP_easy"] == exact["AP"] != rounded["AP_easy"]
    assert rounded["AP_easy"] == round(exact["AP"], 4)
    assert exact["AP_hard"] == exact["AP_medium"] == -1
    assert rounded["AP"] == exact["AP"]


def test_crowd_levels_are_those_of_the_tool():
    assert [crowd_level(x) for x in (0, 0.19, 0.2, 0.79, 0.8, 1)] == [
        "easy", "easy", "medium", "medium", "hard", "hard",
    ]  # fmt: skip
    with pytest.raises(MetricError, match="crowd index"):
        crowd_level(1.5)


def test_crowdpose_merges_with_its_crowd_indices():
    annotations, results = data_set(2, OKS_RULES["crowdpose"].sigmas)
    whole = CrowdPoseEvaluator(CROWD_INDEX)
    whole.update(*tables(annotations, results, 14))
    parts = []
    for odd in (1, 0):
        mine = [[r for r in rows if r["image_id"] % 2 == odd] for rows in (annotations, results)]
        indices = {i: x for i, x in CROWD_INDEX.items() if i % 2 == odd}
        parts.append(CrowdPoseEvaluator(indices))
        parts[-1].update(*tables(*mine, 14))
    parts[0].merge(parts[1])
    assert parts[0].compute().stats == whole.compute().stats
    lacking = CrowdPoseEvaluator({})
    lacking.update(*tables(annotations, results, 14))
    with pytest.raises(MetricError, match="no crowd index"):
        lacking.compute()


def test_a_person_with_hidden_keypoints_only_is_ignored_in_crowdpose():
    annotations, results = data_set(0, OKS_RULES["crowdpose"].sigmas)
    hidden = [
        dict(a, keypoints=[1.0 if i % 3 == 2 else x for i, x in enumerate(a["keypoints"])],
             num_keypoints=0)
        for a in annotations
    ]  # fmt: skip
    assert coco_keypoint_ap(*tables(hidden, results, 14), rules=oks_rules("crowdpose"))["AP"] == -1


def test_aic_takes_areas_from_boxes_and_has_all_ten_stats():
    rules = oks_rules("aic")
    annotations, results = data_set(3, rules.sigmas)
    ours = coco_keypoint_ap(*tables(annotations, results, 14), rules=rules)
    expected = oracle(with_box_areas(annotations), results, rules.sigmas)
    np.testing.assert_allclose(list(ours.stats.values()), expected, rtol=0, atol=1e-12)
    wrong = oracle(annotations, results, rules.sigmas)
    assert abs(wrong[0] - ours["AP"]) > 1e-3  # annotated areas give another number


@pytest.mark.parametrize("name", ["halpe", "halpe_26", "ochuman", "human_art"])
def test_sets_with_annotated_areas_equal_the_coco_tool(name):
    rules = oks_rules(name)
    annotations, results = data_set(4, rules.sigmas)
    ours = coco_keypoint_ap(*tables(annotations, results, len(rules.sigmas)), rules=rules)
    np.testing.assert_allclose(
        list(ours.stats.values()), oracle(annotations, results, rules.sigmas), atol=1e-12
    )


def test_unknown_sets_are_named():
    with pytest.raises(UnknownNameError, match="crowdpose"):
        oks_rules("crowdpos")


def test_wholebody_runs_its_six_parts():
    sigmas = np.array(OKS_RULES["coco_wholebody"].sigmas)
    annotations, results = data_set(5, sigmas)
    persons, detections = tables(annotations, results, 133)
    face = np.linspace(0, 1, len(results)) if results else np.zeros(0)
    evaluator = WholeBodyEvaluator()
    evaluator.update(persons, detections, part_scores={"face": face})
    found = evaluator.compute()
    body = keypoint_extent(detections.keypoints[:, :17])
    assert [len(range(133)[part]) for part in WHOLEBODY_PARTS.values()] == [17, 6, 68, 21, 21, 133]
    for name, part in WHOLEBODY_PARTS.items():
        columns = slice(3 * part.start, 3 * part.stop)
        mine = [
            dict(
                a,
                keypoints=a["keypoints"][columns],
                num_keypoints=sum(v > 0 for v in a["keypoints"][columns][2::3]),
            )
            for a in annotations
        ]
        theirs = [
            dict(r, keypoints=r["keypoints"][columns], score=s if name == "face" else r["score"])
            for r, s in zip(results, face.tolist(), strict=True)
        ]
        expected = oracle(mine, theirs, sigmas[part], detection_areas=body)
        np.testing.assert_allclose(
            list(found[name].stats.values()), expected, rtol=0, atol=1e-12, err_msg=name
        )
    assert len({r["AP"] for r in found.values()}) == 6


def test_wholebody_merges_and_refuses_other_skeletons():
    sigmas = OKS_RULES["coco_wholebody"].sigmas
    annotations, results = data_set(6, sigmas)
    whole, first, second = (WholeBodyEvaluator() for _ in range(3))
    whole.update(*tables(annotations, results, 133))
    for evaluator, images in ((first, range(4)), (second, range(4, IMAGES))):
        mine = [[r for r in rows if r["image_id"] in images] for rows in (annotations, results)]
        evaluator.update(*tables(*mine, 133))
    second.merge(first)
    for name, result in whole.compute().items():
        assert second.compute()[name].stats == result.stats
    with pytest.raises(MetricError, match="133 keypoints"):
        whole.update(*(t.columns(slice(0, 17)) for t in tables(annotations, results, 133)))
    with pytest.raises(UnknownNameError, match="left_hand"):
        whole.update(*tables(annotations, results, 133), part_scores={"lefthand": np.zeros(1)})


def test_prediction_equal_to_truth_is_perfect_everywhere():
    for name, rules in OKS_RULES.items():
        annotations, _ = data_set(7, rules.sigmas)
        perfect = [
            {"image_id": a["image_id"], "keypoints": a["keypoints"], "score": 1.0}
            for a in annotations
            if a["num_keypoints"]
        ]
        result = coco_keypoint_ap(*tables(annotations, perfect, len(rules.sigmas)), rules=rules)
        assert result["AP"] == result["AR"] == 1.0, name


def test_scores_of_detections_by_hand():
    box, points = np.array([0.5, 0.8]), np.array([[0.1, 0.3, 0.8], [0.1, 0.2, 0.0]])
    assert detection_scores("bbox", box=box).tolist() == [0.5, 0.8]
    np.testing.assert_allclose(detection_scores("keypoint", keypoint=points), [0.4, 0.1])
    both = {"box": box, "keypoint": points}
    np.testing.assert_allclose(detection_scores("bbox_keypoint", **both), [0.275, 0.0])
    np.testing.assert_allclose(detection_scores("bbox_rle", **both), [1.7, 1.1])
    with pytest.raises(MetricError, match="not a way"):
        detection_scores("mean", **both)
    with pytest.raises(MetricError, match="no keypoint scores"):
        detection_scores("bbox_rle", box=box)
    with pytest.raises(MetricError, match="one box per detection"):
        detection_scores("bbox_rle", box=box[:1], keypoint=points)
