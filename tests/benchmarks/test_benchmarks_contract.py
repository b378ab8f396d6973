"""What every registered protocol must have, and what each says about a perfect prediction."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_toys import body, predictions_of, truth_of
from posepile_torch.benchmarks import posetrack
from posepile_torch.benchmarks.aspset_scoring import knee_to_neck_mm

from posepile_torch import metrics, registry
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate import evaluate
from posepile_torch.evaluate.groundtruth import _check_switches, attribute
from posepile_torch.evaluate.scoring import KNOWN
from posepile_torch.metrics.posetrack import POSETRACK_GROUPS
from posepile_torch.registry import load_protocol, protocol_names

NAMES = protocol_names()
N = 6


def perfect(protocol):
    """Six frames of one video with every column that any protocol asks for."""
    start = body(protocol, 1)
    axes = start.shape[2]
    joints = start + (np.arange(N) * 3.0)[:, None, None] * np.eye(axes)[0]
    n_vertices = 6890 if protocol.name == "emdb2" else 40
    vertices = np.random.default_rng(3).normal(0, 300, (1, n_vertices, 3)).repeat(N, axis=0)
    inside = np.zeros((3, N, n_vertices), bool)
    for part in range(3):
        inside[part, :, 10 * part : 10 * part + 10] = True
    common = {
        "vertices": vertices,
        "rotations": np.broadcast_to(np.eye(3), (N, 24, 3, 3)),
        "silhouette": np.ones((N, 4, 4), np.int64),
        "face": vertices[:, :20],
        "box": np.tile([50.0, 50, 300, 400], (N, 1)),
    }
    if axes == 3:
        common["joints2d"] = joints[..., :2] / joints[..., 2:] * 1000 + 500
    truth = truth_of(
        protocol,
        joints,
        activity=["Walking"] * N,
        sequence=["S"] * N,
        subject=["A"] * N,
        camera=["0"] * N,
        scene=["studio"] * N,
        frame=np.arange(N),
        valid=np.ones(N, bool),
        area=np.full(N, 30000.0),
        crowd=np.zeros(N, bool),
        ignored=np.zeros(N, bool),
        crowd_index=np.array([0.1, 0.1, 0.5, 0.5, 0.9, 0.9]),
        head_box=np.tile([60.0, 60, 30, 40], (N, 1)),
        head_size=np.full(N, 30.0),
        track=np.full(N, "1"),
        in_left_hand=inside[0],
        in_right_hand=inside[1],
        in_face=inside[2],
        image=[str(1000 + i) for i in range(N)],
        space=protocol.space,
        **common,
    )
    if protocol.name == "aspset/universal-scale":  # the truth is scaled, so its ideal is too
        joints = joints * 910 / knee_to_neck_mm(protocol, truth)[:, None, None]
    given = predictions_of(truth, joints, score=np.linspace(1, 0.5, N), track=["7"] * N, **common)
    return truth, given


def ideal(metric):
    """The value of a perfect prediction."""
    known = {
        "auc_31": 100 * 30 / 31,
        "auc_199_coarse": 99.0,
        "auc_2d": 95.0,
        "silhouette_iou": 1.0,
        "oks_stat": 1.0,
        "agora_f1": 1.0,
        "agora_precision": 1.0,
        "agora_recall": 1.0,
    }
    if metric.function == "cps_area":
        return 299.0 if metric.arguments["rule"] == "trapezoid_1_300" else 300.0
    if metric.arguments.get("score") == "auc_31":
        return 100 * 30 / 31
    return known.get(metric.function, 100.0 if metric.higher_is_better else 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_gets_the_trivial_values(name):
    protocol = load_protocol(name)
    truth, given = perfect(protocol)
    result = evaluate(protocol, given, truth)
    assert result.protocol == f"{name}@{protocol.version}"
    for metric in protocol.metrics:
        value = result[metric.name].value
        if value == -1:  # nothing of that size to find
            assert metric.arguments["stat"] in ("AP_M", "AR_M", "AP_L", "AR_L")
            continue
        assert value == pytest.approx(ideal(metric), abs=1e-4), metric.name
        assert result[metric.name].unit == metric.unit


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_a_protocol_names_exists(name):
    protocol = load_protocol(name)
    own = ()
    if protocol.evaluator is not None:
        assert callable(attribute(protocol.evaluator))
        module = importlib.import_module(registry._PROTOCOLS[name].split(":")[0])
        own = getattr(module, "FUNCTIONS", ())
    for metric in protocol.metrics:
        assert metric.function in KNOWN or metric.function in own
        if metric.function in KNOWN:
            assert callable(getattr(metrics, metric.function))
    if protocol.raw_truth is not None:
        assert callable(attribute(protocol.raw_truth))
    skeleton = protocol.named_skeleton
    for metric in protocol.metrics:
        assert set(protocol.joints_of(metric)) <= set(skeleton.joints)
    for members in protocol.groups.values():
        assert set(members) <= set(skeleton.joints)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_has_a_source_and_every_protocol_says_what_it_is_not(name):
    protocol = load_protocol(name)
    assert protocol.not_comparable
    assert all(choice.source.strip() and choice.value.strip() for choice in protocol.choices)
    assert len({choice.topic for choice in protocol.choices}) == len(protocol.choices)
    for metric in protocol.metrics:
        if metric.function in ("pck", "pck_2d", "pckh", "cps"):
            assert isinstance(metric.arguments["strict"], bool)
    for published in protocol.comparable:
        assert published.source


def test_all_benchmarks_of_the_field_are_there():
    benchmarks = {load_protocol(name).benchmark for name in NAMES}
    assert benchmarks >= {
        "h36m", "3dhp", "mupots", "3dpw", "aspset", "3doh", "emdb", "rich", "agora", "ehf",
        "ssp3d", "mpii", "lsp", "flic", "jhmdb", "coco", "crowdpose", "coco-wholebody",
        "ochuman", "human-art", "aic", "halpe", "posetrack",
    }  # fmt: skip


def test_names_say_which_of_several_protocols_is_meant():
    for name in NAMES:
        assert name.rsplit("/", 1)[-1] not in ("p1", "p2", "p3", "protocol-1", "protocol-2")


def test_posetrack_groups_are_those_of_the_metric():
    groups = {name: tuple(joints.split()) for name, joints in posetrack.GROUPS.items()}
    assert groups == dict(POSETRACK_GROUPS)


def test_listing_and_explaining_protocols_needs_no_torch():
    code = (
        "import sys; from posepile_torch import registry\n"
        "for name in registry.protocol_names(): registry.load_protocol(name)\n"
        "print(sorted({'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class _Archive:
    """The part of an archive that says how it was converted."""

    path = "h36m.archive"

    def __init__(self, **plan):
        self.manifest = SimpleNamespace(hints={}, plan=plan)


def test_an_archive_with_the_other_s9_correction_is_refused_for_absolute_numbers():
    corrected = _Archive(options={"correct_s9": True, "test_step": 1, "s11_directions": "keep"})
    assert _check_switches(load_protocol("h36m/wacv23-s9-corrected"), corrected) == ()
    with pytest.raises(ProtocolError, match="correct_s9=True"):
        _check_switches(load_protocol("h36m/wacv23"), corrected)
    assert _check_switches(load_protocol("h36m/lifting-p1"), corrected) == ()
    notes = _check_switches(load_protocol("h36m/wacv23"), _Archive())
    assert all("does not say" in note for note in notes)


def test_an_archive_of_every_64th_frame_is_no_archive_of_every_frame():
    thinned = _Archive(options={"test_step": 64, "s11_directions": "skip-camera"})
    for name in ("lifting-p1", "mesh-p1", "cps-wehrbein"):
        with pytest.raises(ProtocolError, match="test_step=64"):
            _check_switches(load_protocol(f"h36m/{name}"), thinned)
    (note,) = _check_switches(load_protocol("h36m/image-p2-step64"), thinned)
    assert "s11_directions=skip-camera" in note  # said, not refused
    dense = _Archive(options={"test_step": 1, "s11_directions": "keep"})
    for name in ("lifting-p1", "mesh-p1", "image-p2-step64"):
        assert _check_switches(load_protocol(f"h36m/{name}"), dense) == ()
