"""Protocols: complete, sourced, frozen objects, and their explanation."""

import dataclasses
import pickle

import evaluation_toys as toys
import pytest

from posepile_torch import metrics, registry
from posepile_torch.errors import ProtocolError, UnknownNameError
from posepile_torch.evaluate import Choice, Frames, MetricSpec, Protocol, Published, Switch
from posepile_torch.evaluate.report import explanation
from posepile_torch.evaluate.scoring import KNOWN


@pytest.mark.parametrize("name", registry.protocol_names())
def test_every_registered_protocol_is_whole(name):
    protocol = registry.load_protocol(name)
    assert isinstance(protocol, Protocol)
    assert protocol.name == name
    assert protocol.version >= 1
    assert protocol.choices, "every choice is stated with its source"
    assert pickle.loads(pickle.dumps(protocol)) == protocol
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol.version = 2
    told = explanation(protocol)
    for choice in protocol.choices:
        assert choice.value in told
        assert choice.source in told
    for text in protocol.not_comparable:
        assert text in told
    for published in protocol.comparable:
        assert published.source in told
    for metric in protocol.metrics:
        assert metric.name in told
        if protocol.evaluator is None:
            assert metric.function in KNOWN


def test_functions_that_protocols_may_name_exist():
    for name in KNOWN:
        assert callable(getattr(metrics, name))


@pytest.mark.parametrize("name", ["toy/p1", "toy/protocol-2", "P1", "toy/", "Toy/x", "p2", ""])
def test_ambiguous_and_malformed_names_are_refused(name):
    with pytest.raises(ProtocolError, match="a protocol named"):
        toys.protocol(name=name)
    assert toys.protocol(name="toy/lifting-p1").id == "toy/lifting-p1@3"


def test_contradictions_are_refused():
    one = MetricSpec("MPJPE", "mpjpe")
    with pytest.raises(UnknownNameError, match="unknown joint 'tail'"):
        toys.protocol(joints="pelv tail")
    with pytest.raises(UnknownNameError, match="unknown joint 'tail'"):
        toys.protocol(root=("lhip", "tail"))
    with pytest.raises(UnknownNameError, match="unknown joint 'tail'"):
        toys.protocol(MetricSpec("m", "mpjpe", fit="tail"))
    with pytest.raises(ProtocolError, match="names are unique"):
        toys.protocol(one, one)
    with pytest.raises(ProtocolError, match="choices without a source: root"):
        toys.protocol(choices=(Choice("root", "pelvis", " "),))
    with pytest.raises(ProtocolError, match="no metric 'PCK'"):
        toys.protocol(one, comparable=(Published("A", {"PCK": 3.0}, "table 1"),))
    with pytest.raises(ProtocolError, match="breakdowns='hour'"):
        toys.protocol(breakdowns=("hour",))
    with pytest.raises(ProtocolError, match="align='affine'"):
        MetricSpec("m", "pck", align="affine")
    with pytest.raises(ProtocolError, match="over='joint'"):
        MetricSpec("m", "pck", over="joint")
    with pytest.raises(ProtocolError, match="step=0"):
        Frames(step=0)


def test_an_explanation_prints_every_choice_its_source_and_what_it_is_comparable_with():
    protocol = toys.protocol(
        MetricSpec("MPJPE", "mpjpe", order="group_mean", also=("pooled",), about="root-relative"),
        MetricSpec("hips", "pck", {"threshold": 50.0, "strict": False}, unit="%", align="rigid",
                   joints="lhip rhip", fit="pelv neck head", root=("lhip", "rhip")),
        frames=Frames(splits=("val", "test"), step=5, subjects=("S9",), exclude_sequences=("x",)),
        fps=25.0,
        switches=(Switch("toy_corrected", True, "moves everybody by 200 mm"),),
        choices=(Choice("root", "the pelvis joint", "their script, line 12"),),
        comparable=(Published("Somebody 2020", {"MPJPE": 51.3}, "their table 2"),),
        not_comparable=("numbers with 14 joints",),
        notes=("be careful",),
    )  # fmt: skip
    told = explanation(protocol)
    for words in (
        "toy/pelvis@3: Toy",
        "joints       7 of toy_7: pelv lhip",
        "root         pelv",
        "split val and test; frame number = 0 modulo 5; subjects S9; without x",
        "MPJPE [mm] = mpjpe(); mean of means per activity, also pooled; lower is better",
        "hips [%] = pck(threshold=50.0, strict=False); pooled; lower is better",
        "alignment fitted to: pelv neck head",
        "root: midpoint of lhip and rhip",
        "toy_corrected=True: moves everybody by 200 mm",
        "root: the pelvis joint  [their script, line 12]",
        "Somebody 2020: MPJPE 51.3  [their table 2]",
        "numbers with 14 joints",
        "be careful",
        "25 per second",
    ):
        assert words in told
