import multiprocessing
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision_stub
from torchmetrics import MetricCollection

from posepile_torch.errors import JointCountError, MetricError
from posepile_torch.metrics import (
    auc_31,
    auc_199,
    auc_real,
    joint_distances,
    mpjpe,
    n_mpjpe,
    pa_mpjpe,
)
from posepile_torch.metrics import cps as cps_value
from posepile_torch.metrics import pck as pck_value
from posepile_torch.metrics.coco_ap import KeypointDetections, KeypointPersons, coco_keypoint_ap
from posepile_torch.metrics.modules import (
    AMPJPE,
    AUC3D,
    CPS,
    MPJPE,
    NMPJPE,
    PAMPJPE,
    PCK3D,
    OksAP,
)
from posepile_torch.skeleton import Skeleton

SKELETON = Skeleton.parse("six", "pelv rhip rkne lhip lkne neck", "pelv-rhip-rkne,pelv-neck")


def poses(seed=0, count=23):
    generator = torch.Generator().manual_seed(seed)
    gt = torch.randn((count, 6, 3), generator=generator, dtype=torch.float64) * 300
    pred = gt + torch.randn((count, 6, 3), generator=generator, dtype=torch.float64) * 60
    mask = torch.rand((count, 6), generator=generator) > 0.1
    mask[:, :3] = True
    return pred, gt, mask


def filled(metric, pred, gt, mask=None, size=5, **per_sample):
    for start in range(0, len(gt), size):
        part = slice(start, start + size)
        metric.update(pred[part], gt[part], None if mask is None else mask[part],
                      **{k: v[part] for k, v in per_sample.items()})  # fmt: skip
    return metric


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (lambda: MPJPE(SKELETON, root="pelv"), partial(mpjpe, root=0)),
        (lambda: MPJPE(SKELETON, root=("rhip", "lhip")), partial(mpjpe, root=(1, 3))),
        (lambda: MPJPE(SKELETON, root="centroid"), partial(mpjpe, root="centroid")),
        (lambda: AMPJPE(SKELETON), partial(mpjpe, root=None)),
        (lambda: PAMPJPE(SKELETON), pa_mpjpe),
        (lambda: NMPJPE(SKELETON, root="pelv"), partial(n_mpjpe, root=0)),
    ],
)
def test_means_equal_the_functions(metric, expected):
    pred, gt, mask = poses()
    if getattr(expected, "keywords", {}).get("root") == (1, 3):
        mask[:, 3] = True
    value = filled(metric(), pred, gt, mask).compute()
    assert value.shape == ()
    assert float(value) == pytest.approx(float(expected(pred, gt, mask=mask)), rel=1e-13)


def test_percentages_equal_the_functions():
    pred, gt, mask = poses()
    d = joint_distances(pred, gt, align="none", root=0, mask=mask)
    chosen = {"root": "pelv"}
    for metric, expected in (
        (PCK3D(SKELETON, threshold_mm=100, strict=True, **chosen),
         pck_value(d, 100, strict=True)),
        (AUC3D(SKELETON, kind="31", **chosen), auc_31(d)),
        (AUC3D(SKELETON, kind="199", **chosen), auc_199(d)),
        (AUC3D(SKELETON, kind="real", limit_mm=120, **chosen), auc_real(d, 120)),
        (CPS(SKELETON, threshold_mm=150, strict=True, align="none", **chosen),
         cps_value(d, 150, strict=True)),
    ):  # fmt: skip
        value = filled(metric, pred, gt, mask).compute()
        assert float(value) == pytest.approx(float(expected), rel=1e-12)
        assert 5 < float(value) < 95


def test_a_joint_at_the_threshold_counts_as_chosen():
    gt = torch.zeros((1, 6, 3), dtype=torch.float64)
    pred = gt.clone()
    pred[..., 0] = 150.0
    for strict, percent in ((True, 0), (False, 100)):
        metric = PCK3D(SKELETON, threshold_mm=150, strict=strict)
        metric.update(pred, gt)
        assert metric.compute() == percent


def test_joints_groups_and_samples_are_told_apart():
    pred, gt, mask = poses()
    labels = ["walk" if i % 3 else "sit" for i in range(len(gt))]
    metric = MPJPE(
        SKELETON, root="pelv", per_joint=True, joint_groups={"knees": ("rkne", "lkne")},
        sample_groups=("walk", "sit", "run"),
    )  # fmt: skip
    found = filled(metric, pred, gt, mask, groups=labels).compute()
    d = joint_distances(pred, gt, align="none", root=0, mask=mask)
    for number, joint in enumerate(SKELETON.joints):
        assert float(found[f"mpjpe_mm/joint/{joint}"]) == pytest.approx(
            float(d[:, number].nanmean())
        )
    assert float(found["mpjpe_mm/group/knees"]) == pytest.approx(float(d[:, [2, 4]].nanmean()))
    walk = torch.tensor([label == "walk" for label in labels])
    means = [float(d[walk].nanmean()), float(d[~walk].nanmean())]
    assert float(found["mpjpe_mm/samples/walk"]) == pytest.approx(means[0])
    assert float(found["mpjpe_mm/samples_mean"]) == pytest.approx(np.mean(means))
    assert torch.isnan(found["mpjpe_mm/samples/run"])
    assert float(found["mpjpe_mm"]) == pytest.approx(float(d.nanmean()))
    assert int(found["mpjpe_mm/n_evaluated"]) == int(mask.sum())
    assert int(found["mpjpe_mm/n_missing"]) == 0


def test_only_named_joints_are_evaluated():
    pred, gt, _ = poses()
    metric = filled(
        MPJPE(SKELETON, root="pelv", joints=("neck", "rkne"), per_joint=True), pred, gt
    )
    found = metric.compute()
    d = joint_distances(pred, gt, align="none", root=0, joints=[5, 2])
    assert float(found["mpjpe_mm"]) == pytest.approx(float(d.mean()))
    assert float(found["mpjpe_mm/joint/neck"]) == pytest.approx(float(d[:, 0].mean()))
    assert "mpjpe_mm/joint/pelv" not in found


def test_the_result_does_not_depend_on_batches_or_order():
    pred, gt, mask = poses(count=101)
    whole = filled(MPJPE(SKELETON, root="pelv"), pred, gt, mask, size=101).compute()
    order = torch.randperm(101, generator=torch.Generator().manual_seed(1))
    for size in (1, 7, 50):
        again = filled(
            MPJPE(SKELETON, root="pelv"), pred[order], gt[order], mask[order], size
        ).compute()
        assert float(again) == float(whole)  # to the last bit


def test_missing_predictions_are_counted_under_every_policy():
    pred, gt, mask = poses()
    pred[2, 4], mask[2, 4] = torch.nan, True
    with pytest.raises(MetricError, match="no finite prediction"):
        filled(MPJPE(SKELETON, root="pelv"), pred, gt, mask)
    plain = float(pck_value(joint_distances(
        pred.nan_to_num(1e6), gt, align="none", root=0, mask=mask), 100, strict=True))  # fmt: skip
    wrong = filled(
        PCK3D(SKELETON, threshold_mm=100, strict=True, root="pelv", per_joint=True), pred, gt, mask
    ).compute()
    assert float(wrong["pck_100"]) == pytest.approx(plain)
    assert int(wrong["pck_100/n_missing"]) == 1
    for policy in ("skip", "count_as_wrong"):
        found = filled(
            MPJPE(SKELETON, root="pelv", on_missing=policy, per_joint=True), pred, gt, mask
        ).compute()
        assert int(found["mpjpe_mm/n_missing"]) == 1
        assert int(found["mpjpe_mm/n_evaluated"]) == int(mask.sum()) - 1


def test_skipped_joints_of_a_sample_without_root_count_as_missing():
    pred, gt, _ = poses()
    pred[3, 0] = torch.nan
    metric = MPJPE(SKELETON, root="pelv", on_missing="skip", per_joint=True)
    found = filled(metric, pred, gt).compute()
    kept = torch.arange(len(gt)) != 3
    assert float(found["mpjpe_mm"]) == pytest.approx(float(mpjpe(pred[kept], gt[kept], root=0)))
    assert int(found["mpjpe_mm/n_missing"]) == 6


def test_metrics_that_agree_at_first_do_not_share_states_in_a_collection():
    pred, gt, _ = poses()
    collection = MetricCollection(
        {
            str(mm): PCK3D(SKELETON, threshold_mm=mm, strict=True, root="pelv")
            for mm in (50, 100, 150)
        }
    )
    collection.update(gt + torch.randn(gt.shape, dtype=torch.float64) * 1e5, gt)  # all wrong
    collection.update(pred, gt)
    found = {name: float(value) for name, value in collection.compute().items()}
    assert found["50"] < found["100"] < found["150"]


def test_reset_forward_and_nothing_seen():
    pred, gt, _ = poses()
    metric = MPJPE(SKELETON, root="pelv")
    batch = metric(pred[:5], gt[:5])
    assert float(batch) == pytest.approx(float(mpjpe(pred[:5], gt[:5], root=0)))
    metric(pred[5:], gt[5:])
    assert float(metric.compute()) == pytest.approx(float(mpjpe(pred, gt, root=0)))
    metric.reset()
    metric.update(pred[:0], gt[:0])
    assert torch.isnan(metric.compute())


def test_prediction_equal_to_truth_is_perfect():
    _, gt, mask = poses()
    for metric, perfect in (
        (MPJPE(SKELETON, root="pelv"), 0),
        (PCK3D(SKELETON, threshold_mm=50, strict=True), 100),
        (AUC3D(SKELETON, kind="real"), 100),
        (CPS(SKELETON, threshold_mm=1, strict=True, align="none"), 100),
    ):
        assert float(filled(metric, gt, gt, mask).compute()) == perfect
    assert float(filled(PAMPJPE(SKELETON), gt, gt).compute()) == pytest.approx(0, abs=1e-9)
    auc = filled(AUC3D(SKELETON, kind="31"), gt, gt).compute()
    assert float(auc) == pytest.approx(100 * 30 / 31)


def people(images):
    random = np.random.default_rng(5)
    points = {i: random.uniform(0, 200, (2, 17, 2)) for i in range(12)}
    noise = {i: random.normal(size=(2, 17, 2)) * 10 for i in range(12)}
    score = {i: random.random(2) for i in range(12)}
    images = list(images)
    persons = KeypointPersons(
        image=np.repeat(images, 2),
        keypoints=np.concatenate([points[i] for i in images]),
        labelled=np.ones((2 * len(images), 17), dtype=bool),
        area=np.full(2 * len(images), 8000.0),
    )
    detections = KeypointDetections(
        image=np.repeat(images, 2),
        keypoints=np.concatenate([points[i] + noise[i] for i in images]),
        score=np.concatenate([score[i] for i in images]),
    )
    return persons, detections


def test_oks_ap_equals_the_evaluator_and_counts_repeated_images_once():
    metric = OksAP()
    metric.update(*people(range(6, 12)))
    metric.update(*people(range(6)))
    expected = coco_keypoint_ap(*people(range(12))).stats
    assert {k: float(v) for k, v in metric.compute().items()} == expected
    assert 0.1 < expected["AP"] < 0.9
    metric.update(*people([3, 4]))  # padding of a distributed sampler
    assert {k: float(v) for k, v in metric.compute().items()} == expected
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert float(metric.compute()["AP"]) == -1


def test_bad_input_is_named():
    pred, gt, _ = poses()
    with pytest.raises(JointCountError, match="expected 6 joints, got 5"):
        MPJPE(SKELETON, root="pelv").update(pred[:, :5], gt[:, :5])
    with pytest.raises(MetricError, match="not evaluated"):
        MPJPE(SKELETON, root="pelv", joints=("neck",), joint_groups={"k": ("rkne",)})
    with pytest.raises(MetricError, match="unknown ones: \\['run'\\]"):
        MPJPE(SKELETON, root="pelv", sample_groups=("walk",)).update(pred, gt, groups=["run"] * 23)
    with pytest.raises(MetricError, match="none were named"):
        MPJPE(SKELETON, root="pelv").update(pred, gt, groups=["run"] * 23)
    with pytest.raises(MetricError, match="as a whole"):
        CPS(SKELETON, threshold_mm=1, strict=True, align="none", per_joint=True)
    with pytest.raises(MetricError, match="31"):
        AUC3D(SKELETON, kind="30")
    persons, detections = people([1])
    named = KeypointPersons(**{**persons.__dict__, "image": np.array(["a", "a"])})
    other = KeypointDetections(**{**detections.__dict__, "image": np.array(["a", "a"])})
    with pytest.raises(MetricError, match="integers here"):
        OksAP().update(named, other)


def test_torchmetrics_is_needed_by_this_module_only():
    script = (
        "import sys; sys.modules['torchmetrics'] = None\n"
        "import posepile_torch.metrics\n"
        "from posepile_torch.errors import MissingDependencyError\n"
        "try:\n"
        "    import posepile_torch.metrics.modules\n"
        "except MissingDependencyError as error:\n"
        "    print('metrics]' in str(error))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "True"


def on_rank(rank, folder):
    """One process of a group: evaluate a share of the data, write what all of them compute."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    pred, gt, mask = poses()
    error = MPJPE(SKELETON, root="pelv", per_joint=True)
    filled(error, pred[rank::2], gt[rank::2], mask[rank::2])
    ap = OksAP()
    ap.update(*people(range(12)[rank::2]))
    if rank:
        ap.update(*people([0]))  # padding: rank 0 has this image, too
    torch.save({**error.compute(), **ap.compute()}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_agree_with_one_process_to_the_last_bit(tmp_path, monkeypatch):
    # Children inherit the path; torchmetrics would import the torchvision that other tests use.
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(torchvision_stub.FOLDER)])
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=on_rank, args=(rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    pred, gt, mask = poses()
    error = filled(MPJPE(SKELETON, root="pelv", per_joint=True), pred, gt, mask)
    ap = OksAP()
    ap.update(*people(range(12)))
    expected = {**error.compute(), **ap.compute()}
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert {k: float(v) for k, v in found.items()} == {
            k: float(v) for k, v in expected.items()
        }


def test_the_examples_of_the_docs_run():
    page = Path(__file__).parents[2] / "docs" / "evaluators.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, str(page), "exec"), {})
