"""Protocols: everything that turns predictions into a published kind of number, in one object.

Two papers that both say "MPJPE on Human3.6M" may differ in joints, root, frames, alignment and
the order of averaging. A :class:`Protocol` states each of these by name, says where the choice
comes from, and has a name and a version that are printed beside every number.

**How to write one.** Write a module-level constant in ``benchmarks/<benchmark>.py`` and register
it in the table of protocols of ``posepile_torch/registry.py`` as
``"<benchmark>/<variant>": "module:CONSTANT"``::

    WALK14 = Protocol(
        name="mybench/walk14",  # lower case; never an unqualified "p1"
        version=1,  # raise it whenever a number could change
        title="My benchmark, walking, 14 joints",
        benchmark="mybench",  # name of the source whose archive holds the truth
        skeleton="h36m_17",  # a standard skeleton's name, or a Skeleton
        joints="rhip rkne rank lhip lkne lank ...",  # what is evaluated, by name
        root=("lhip", "rhip"),  # one joint, a midpoint, "centroid", or None
        frames=Frames(splits=("test",), step=5),
        metrics=(
            MetricSpec("MPJPE", "mpjpe", unit="mm"),
            MetricSpec("PA-MPJPE", "pa_mpjpe", unit="mm"),
            MetricSpec(
                "PCK@150", "pck", {"threshold": 150.0, "strict": True},
                unit="%", higher_is_better=True,
            ),
        ),
        breakdowns=("activity", "joint"),
        choices=(Choice("root", "midpoint of the hips", "the official script, line ..."),),
        comparable=(Published("Somebody 2020", {"MPJPE": 51.3}, "their table 2"),),
        not_comparable=("numbers of the lifting protocol: they use every frame",),
    )
    \"\"\"One line for the reference; every public constant has one.\"\"\"

``function`` of a metric names a function of :mod:`posepile_torch.metrics`, which documents the
formula and its arguments; those functions of distances that have no alignment of their own (PCK,
AUC, CPS) take it from ``MetricSpec.align``. A metric may replace joints and root of its protocol.

Where a benchmark needs more than one prediction per annotated person (matching, detection
scores, tracks), ``evaluator`` names a function ``"module:attribute"`` that computes all metrics:
``(protocol, predictions, truth, on_missing) -> Result``.
:func:`posepile_torch.evaluate.engine.evaluate` calls it with
:class:`~posepile_torch.evaluate.predictions.Predictions` in the protocol's skeleton and unit, and
adds names, ground truth and notes of the inputs to the
:class:`~posepile_torch.evaluate.results.Result` that it returns.

Where the truth is not in an archive, ``raw_truth`` names a function
``(protocol, path, body_models) -> GroundTruth`` that reads the benchmark's own files;
``body_models`` is the user's folder of body models, or None.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.skeleton import Skeleton

Align = Literal["none", "scale", "rigid", "similarity"]
"""What is fitted after the root translation, see :data:`posepile_torch.metrics.Align`."""

OnMissing = Literal["error", "skip", "count_as_wrong"]
"""What happens to a person or joint without a usable prediction.

``"error"``: nothing is computed. ``"skip"``: it is left out. ``"count_as_wrong"``: it counts as
wrong in PCK, AUC and CPS; means of errors leave it out. It is counted in the coverage each time.
"""

Order = Literal["pooled", "sample_mean", "joint_mean", "group_mean"]
"""Order of averaging, see :data:`posepile_torch.metrics.Reduce`."""

Breakdown = Literal["activity", "sequence", "subject", "camera", "scene", "joint"]
"""A table beside the headline. ``"activity"`` is what papers call action."""

Target = Literal["joints3d", "joints3d_univ", "joints2d", "vertices", "rotations"]
"""What is compared: metric or height-normalised joints in mm, pixels, mesh vertices in mm."""

Space = Literal["world", "camera", "image"]
"""Frame of reference of predictions and truth, see :class:`Protocol`."""

RootSpec = str | tuple[str, ...] | None
"""A joint's name, a tuple of names (their midpoint), ``"centroid"``, or None for no root."""

GROUPS: tuple[str, ...] = ("activity", "sequence", "subject", "camera", "scene")
"""Breakdowns that divide samples, as opposed to joints."""

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*(?:/[a-z0-9]+(?:[-_.][a-z0-9]+)*)?")
_AMBIGUOUS = frozenset({"p1", "p2", "p3", "protocol1", "protocol2", "protocol-1", "protocol-2"})


@dataclass(frozen=True)
class MetricSpec:
    """One number of a protocol.

    Args:
        name: How papers write it; unique in its protocol ("PA-MPJPE", "PCK@150").
        function: A function of :mod:`posepile_torch.metrics`; for protocols with an evaluator of
            their own, whatever that evaluator calls it.
        arguments: Its arguments beyond arrays, root, joints, mask and averaging: thresholds,
            ``strict``, ``rule``, ``fps``, ``limit``...
        unit: "mm", "%", "deg", "mm/frame", "mm/frame²", "m/s²", "10 m/s³", "px" or "" for a
            fraction.
        higher_is_better: Whether a larger number is the better one.
        order: Order of averaging of the headline.
        over: Which groups ``order="group_mean"`` averages: a breakdown that divides samples.
        also: Further orders to print beside the headline where the field confuses them.
        align: Alignment of the distances that functions such as ``pck`` take; functions that
            name their own alignment (``pa_mpjpe``) ignore it.
        joints: Evaluated joints by name, where they differ from the protocol's.
        root: Root, where it differs from the protocol's; ``"protocol"`` means it does not.
        fit: Joints to which rigid and similarity alignment are fitted, where these are not all
            joints of the protocol.
        about: One sentence or formula for ``posepile eval explain``.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "mm"
    higher_is_better: bool = False
    order: Order = "pooled"
    over: Breakdown = "activity"
    also: tuple[Order, ...] = ()
    align: Align = "none"
    joints: tuple[str, ...] | str | None = None
    root: RootSpec = "protocol"
    fit: tuple[str, ...] | str | None = None
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))
        for name in ("joints", "fit"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _words(getattr(self, name)))
        where = f"metric {self.name!r}"
        _check(self.align, Align, "align", where)
        for order in (self.order, *self.also):
            _check(order, Order, "order", where)
        if self.over not in GROUPS:
            raise ProtocolError(
                f"over={self.over!r}",
                where=where,
                rule="group means are taken over groups of samples",
                fix=f"choose one of {', '.join(GROUPS)}",
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # a mapping proxy cannot be pickled
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return _rebuilt, (type(self), values | {"arguments": dict(self.arguments)})


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Which annotated persons of an archive are evaluated.

    Args:
        splits: Splits of the archive.
        step: Of every video, frames whose number is ``offset`` modulo ``step``.
        offset: Number of the first frame; 0 for frames counted from zero.
        subjects: Only these subjects; empty for all.
        cameras: Only these cameras; empty for all.
        activities: Only these activities; empty for all.
        exclude_sequences: Sequences that are left out, by name.
        valid: In words, the flags that the annotation sets and the converter has applied
            ("valid_frame == 1").
        expected: Number of samples that the published evaluation has, if known. Another number
            is said in the result.
    """

    splits: tuple[str, ...] = ("test",)
    step: int = 1
    offset: int = 0
    subjects: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    exclude_sequences: tuple[str, ...] = ()
    valid: str = ""
    expected: int | None = None

    def __post_init__(self) -> None:
        if self.step < 1 or not 0 <= self.offset < self.step:
            raise ProtocolError(
                f"step={self.step}, offset={self.offset}",
                where="Frames",
                rule="step is at least 1 and offset lies in 0..step-1",
            )


@dataclass(frozen=True)
class Choice:
    """One decision of a protocol, and where it comes from.

    Args:
        topic: What is decided: "root", "joints", "frames", "missing predictions".
        value: The decision, in words.
        source: Paper, script or file that decides so; "this library" where nobody does.
    """

    topic: str
    value: str
    source: str


@dataclass(frozen=True)
class Switch:
    """A setting of the ground truth that must be the same on both sides.

    Args:
        name: Name in the plan or the options of the conversion, for example ``"correct_s9"``.
        value: What the protocol asks for.
        why: What it changes.
        also: Further values under which the protocol finds what it needs.
        required: Whether an archive with another value is refused; otherwise that is said.
    """

    name: str
    value: bool | int | float | str
    why: str
    also: tuple[bool | int | float | str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Published:
    """Published numbers that were made by this protocol.

    Args:
        system: Method and, if needed, its training data.
        numbers: Metric name of the protocol → value in the unit of that metric.
        source: Where they are printed.
    """

    system: str
    numbers: Mapping[str, float]
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", MappingProxyType(dict(self.numbers)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.system, dict(self.numbers), self.source)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A named, versioned definition of how a benchmark is evaluated.

    Args:
        name: ``"<benchmark>/<variant>"``, or ``"<benchmark>"`` where there is but one.
        version: Raised whenever a number could change.
        title: One line for lists.
        benchmark: Name of the source whose archives hold the ground truth.
        skeleton: Skeleton in which joints are named; predictions in other skeletons are mapped.
        joints: Evaluated joints by name, blank-separated or a tuple; None for all. Roots may be
            other joints of the skeleton.
        root: The point that is subtracted, see :data:`RootSpec`.
        target: What is compared.
        space: Frame of reference in which the benchmark is defined. Distances are the same in
            world and camera space, so predictions may be in either if the truth can follow;
            temporal metrics are the same only under static cameras.
        metrics: The numbers, headline first.
        frames: Which samples are evaluated.
        breakdowns: Tables beside the headline.
        on_missing: Policy for missing predictions, unless the user chooses another.
        min_valid_joints: Samples with fewer valid joints are excluded and counted; None for what
            the alignment needs.
        fps: Frames per second of the evaluated sequences, for temporal metrics.
        switches: Settings that the archive must have been converted with.
        choices: Every decision with its source.
        comparable: Published numbers that this protocol reproduces.
        not_comparable: What these numbers must not be set beside, and why.
        groups: Named groups of joints for the table per joint.
        evaluator: ``"module:attribute"``, see the head of this module; None for metrics of one
            prediction per annotated person.
        raw_truth: ``"module:attribute"`` of the reader of the benchmark's own files.
        notes: What else a user should know.
    """

    name: str
    version: int
    title: str
    benchmark: str
    skeleton: Skeleton | str
    metrics: tuple[MetricSpec, ...]
    joints: tuple[str, ...] | str | None = None
    root: RootSpec = None
    target: Target = "joints3d"
    space: Space = "camera"
    frames: Frames = field(default_factory=Frames)
    breakdowns: tuple[Breakdown, ...] = ()
    on_missing: OnMissing = "error"
    min_valid_joints: int | None = None
    fps: float | None = None
    switches: tuple[Switch, ...] = ()
    choices: tuple[Choice, ...] = ()
    comparable: tuple[Published, ...] = ()
    not_comparable: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    evaluator: str | None = None
    raw_truth: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.skeleton, str):
            object.__setattr__(self, "skeleton", skeletons.get(self.skeleton))
        chosen = self.named_skeleton.joints if self.joints is None else self.joints
        object.__setattr__(self, "joints", _words(chosen))
        groups = {name: _words(members) for name, members in self.groups.items()}
        object.__setattr__(self, "groups", MappingProxyType(groups))
        self._check_words()
        self._check_names()

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return _rebuilt, (type(self), values | {"groups": dict(self.groups)})

    @property
    def id(self) -> str:
        """Name and version as printed beside every number, ``"mannequin/mpjpe@1"``."""
        return f"{self.name}@{self.version}"

    @property
    def named_skeleton(self) -> Skeleton:
        """The skeleton in which joints and roots are named."""
        if isinstance(self.skeleton, str):
            return skeletons.get(self.skeleton)
        return self.skeleton

    def joints_of(self, metric: MetricSpec) -> tuple[str, ...]:
        """Return the names of the joints that a metric evaluates."""
        return _words(metric.joints if metric.joints is not None else self.joints or ())

    def fit_of(self, metric: MetricSpec) -> tuple[str, ...]:
        """Return the names of the joints to which rigid and similarity alignment are fitted."""
        return _words(metric.fit if metric.fit is not None else self.joints or ())

    def root_of(self, metric: MetricSpec) -> RootSpec:
        """Return the root of a metric: its own, or the protocol's."""
        return self.root if metric.root == "protocol" else metric.root

    def metric(self, name: str) -> MetricSpec:
        """Return the metric of this exact name.

        Raises:
            ProtocolError: If the protocol has none of that name.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ProtocolError(
            f"no metric {name!r}",
            where=f"protocol {self.name}",
            fix=f"it has {', '.join(metric.name for metric in self.metrics)}",
        )

    def _check_words(self) -> None:
        where = f"protocol {self.name!r}"
        _check(self.target, Target, "target", where)
        _check(self.space, Space, "space", where)
        _check(self.on_missing, OnMissing, "on_missing", where)
        for breakdown in self.breakdowns:
            _check(breakdown, Breakdown, "breakdowns", where)
        variant = self.name.rsplit("/", 1)[-1]
        if not _NAME.fullmatch(self.name) or variant in _AMBIGUOUS:
            raise ProtocolError(
                f"a protocol named {self.name!r}",
                rule="a name is <benchmark>/<variant> in lower case, and the variant says which "
                'of the protocols called "1" or "2" is meant',
                fix='for example "h36m/lifting-p1"',
            )
        names = [metric.name for metric in self.metrics]
        if not names or len(set(names)) != len(names):
            raise ProtocolError(
                f"metrics {names}", where=where, rule="there is a metric, and names are unique"
            )
        unsaid = [choice.topic for choice in self.choices if not choice.source.strip()]
        if unsaid:
            raise ProtocolError(
                f"choices without a source: {', '.join(unsaid)}",
                where=where,
                rule="every choice says where it comes from",
            )

    def _check_names(self) -> None:
        skeleton = self.named_skeleton
        asked = [self.joints or (), *(members for members in self.groups.values())]
        asked += [self.joints_of(metric) for metric in self.metrics]
        asked += [self.fit_of(metric) for metric in self.metrics]
        asked += [root_joints(self.root_of(metric)) for metric in self.metrics]
        asked.append(root_joints(self.root))
        for names in asked:
            skeleton.indices(list(names))  # names the joint that is unknown
        for published in self.comparable:
            for name in published.numbers:
                self.metric(name)


def root_joints(root: RootSpec) -> tuple[str, ...]:
    """Return the names of the joints that a root is made of; none for a centroid or no root."""
    if root is None or root == "centroid":
        return ()
    return (root,) if isinstance(root, str) else root


def _words(names: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(names.split()) if isinstance(names, str) else tuple(names)


def _rebuilt(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**values)


def _check(value: object, allowed: Any, name: str, where: str) -> None:
    words = get_args(allowed)
    if value not in words:
        raise ProtocolError(
            f"{name}={value!r} is none of the choices",
            where=where,
            fix=f"choose one of {', '.join(words)}",
        )
