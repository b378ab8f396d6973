"""Skeletons: which joints an array has, in which order, how they connect and how they mirror.

Everything about left and right is data that was written down when the skeleton was defined and
checked then. Nothing in the library looks at the first letter of a joint's name afterwards.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from posepile_torch import _skeleton_definition as definition
from posepile_torch.errors import JointCountError, PosepileError, SkeletonError, UnknownNameError
from posepile_torch.joint_names import common_spellings

if TYPE_CHECKING:
    from posepile_torch.jointmap import JointMap as JointMap

__all__ = ["JointMap", "Skeleton", "union"]


class _HasShape(Protocol):
    @property
    def shape(self) -> Any: ...


_ArrayT = TypeVar("_ArrayT", bound=_HasShape)


@dataclass(frozen=True)
class Skeleton:
    """An ordered list of named joints with edges, an explicit mirror map and named groups.

    Joint ``i`` of the skeleton is row ``i`` of every array that follows it. The mirror map is an
    involution: ``mirror[mirror[i]] == i``, and ``mirror[i] == i`` for a joint on the midline.
    Edges are index pairs in drawing order (parent first where that makes sense).

    A joint's *name* is a label; its *landmark*, ``"<convention>:<code>"``, says which point of the
    body is meant. The hip of Human3.6M and the hip of SMPL are different points: they share the
    code ``rhip`` and differ in their convention. Without a stated convention a skeleton is its
    own convention.

    Args:
        name: What users type, for example ``"h36m_17"``.
        joints: Unique joint names.
        edges: Pairs of joint indices, each undirected edge once.
        mirror: For every joint the index of its mirror partner.
        groups: Named joint subsets such as ``"left_arm"``; ``"left"`` and ``"right"`` name the
            two sides.
        landmarks: One ``"<convention>:<code>"`` per joint; empty means ``"<name>:<joint>"``.
        aliases: Further exact spellings of joints in this skeleton, for example
            ``{"head_bottom": "neck"}``.

    Raises:
        SkeletonError: If the parts contradict each other.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    landmarks: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        landmarks = self.landmarks or tuple(f"{self.name}:{joint}" for joint in self.joints)
        groups = {name: tuple(members) for name, members in self.groups.items()}
        object.__setattr__(self, "joints", tuple(self.joints))
        object.__setattr__(self, "edges", tuple((int(a), int(b)) for a, b in self.edges))
        object.__setattr__(self, "mirror", tuple(int(i) for i in self.mirror))
        object.__setattr__(self, "landmarks", tuple(landmarks))
        object.__setattr__(self, "groups", MappingProxyType(groups))
        object.__setattr__(self, "aliases", MappingProxyType(dict(self.aliases)))
        definition.check_names(self)
        definition.check_mirror(self)
        definition.check_edges(self)
        definition.check_groups(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Read-only mappings cannot be pickled; the dictionary form can.
        return Skeleton.from_dict, (self.to_dict(),)

    @classmethod
    def parse(
        cls,
        name: str,
        joints: str | Sequence[str],
        edges: str = "",
        mirror: Mapping[str, str] | None = None,
        groups: Mapping[str, str | Sequence[str]] | None = None,
        *,
        sided: str | Sequence[str] = (),
        convention: str | None = None,
        landmarks: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        mirror_edges: bool = True,
    ) -> Skeleton:
        """Define a skeleton from a few words of text.

        Edges are written as comma-separated paths of dash-joined joint names,
        ``"pelv-rhip-rkne-rank,pelv-spin"``. The mirrored edge of every edge is added, so one side
        is enough. A name that is not a joint is an error.

        Args:
            name: Name of the skeleton.
            joints: Joint names, separated by blanks or as a sequence.
            edges: The edge text.
            mirror: ``{left joint: right joint}`` for all pairs; all other joints are on the
                midline. None derives the pairs once, here, from stems that are declared to come
                in pairs: the standard ones (``hip kne ank sho elb wri ...``, see
                ``joint_names.SIDED_STEMS``) and those in ``sided``. A central joint called
                ``root`` or ``lumbar`` is therefore safe. A declared stem of which only one side
                is listed, or an ``l...``/``r...`` pair whose stem is not declared, is an error.
            groups: Named subsets by joint names; None groups the known stems by body region.
                ``"left"`` and ``"right"`` are always added from the mirror pairs.
            sided: More stems that come in pairs, numbers and suffixes left out
                (``"brow pinkie"`` covers ``lbrow1`` and ``rpinkie``).
            convention: Which body-landmark convention the joints follow; default ``name``.
            landmarks: Exceptions from it, ``{joint: "<convention>:<code>"}``.
            aliases: Further exact spellings, ``{spelling: joint}``.
            mirror_edges: Whether to add mirrored edges.

        Raises:
            SkeletonError: If the definition contradicts itself.
            UnknownNameError: If edges, groups, mirror or aliases name a joint that is not listed.
        """
        names = definition.words(joints)
        where = f"skeleton {name!r}"
        definition.check_unique(names, where)
        index = {joint: i for i, joint in enumerate(names)}
        pairs = (
            definition.derived_pairs(names, definition.words(sided), where)
            if mirror is None
            else mirror
        )
        left, mirror_map = definition.resolve_pairs(pairs, index, where)
        pairs_of_indices = definition.parse_edges(
            edges, index, mirror_map if mirror_edges else None, where
        )
        sides = dict.fromkeys(left, "left") | {mirror_map[i]: "right" for i in left}
        given = (
            definition.regions(names, sides)
            if groups is None
            else {
                key: [
                    definition.lookup(index, joint, where) for joint in definition.words(members)
                ]
                for key, members in groups.items()
            }
        )
        if left:
            given = {"left": left, "right": [mirror_map[i] for i in left]} | given
        meanings = {joint: f"{convention or name}:{joint}" for joint in names}
        for joint, landmark in (landmarks or {}).items():
            meanings[names[definition.lookup(index, joint, where)]] = landmark
        return cls(
            name=name,
            joints=names,
            edges=tuple(pairs_of_indices),
            mirror=tuple(mirror_map),
            groups={key: tuple(members) for key, members in given.items()},
            landmarks=tuple(meanings.values()),
            aliases=dict(aliases or {}),
        )

    def __repr__(self) -> str:
        return f"Skeleton({self.name!r}, {len(self.joints)} joints, {len(self.edges)} edges)"

    def __len__(self) -> int:
        return len(self.joints)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        own = {joint: i for i, joint in enumerate(self.joints)}
        return {spelling: own[joint] for spelling, joint in self.aliases.items()} | own

    def _find(self, name: str) -> int | None:
        found = self._index.get(name)
        if found is None:
            found = self._index.get(common_spellings().get(name, ""))
        return found

    def index(self, name: str) -> int:
        """Return the position of a joint, by its name, an alias, or a common long spelling.

        The match is exact: the joint names are tried first, then this skeleton's own aliases,
        then the spellings of :func:`posepile_torch.joint_names.common_spellings`.

        Raises:
            UnknownNameError: If there is no such joint.
        """
        found = self._find(name)
        if found is None:
            raise UnknownNameError.among(
                "joint", name, self.joints, where=f"skeleton {self.name!r}"
            )
        return found

    def indices(self, names: str | Iterable[str]) -> NDArray[np.intp]:
        """Return the positions of several joints, in the order given.

        Args:
            names: Joint names as a blank-separated text or an iterable, or a group's name.
        """
        if isinstance(names, str) and names in self.groups:
            return np.array(self.groups[names], dtype=np.intp)
        return np.array([self.index(joint) for joint in definition.words(names)], dtype=np.intp)

    @property
    def bones(self) -> tuple[tuple[str, str], ...]:
        """The edges as pairs of joint names."""
        return tuple((self.joints[a], self.joints[b]) for a, b in self.edges)

    @property
    def conventions(self) -> tuple[str, ...]:
        """The body-landmark conventions that occur, in order of first appearance."""
        return tuple(dict.fromkeys(landmark.split(":", 1)[0] for landmark in self.landmarks))

    @property
    def asymmetric_edges(self) -> tuple[tuple[str, str], ...]:
        """Edges whose mirrored edge is absent, as joint names; empty for a symmetric skeleton."""
        present = {frozenset(edge) for edge in self.edges}
        return tuple(
            (self.joints[a], self.joints[b])
            for a, b in self.edges
            if frozenset((self.mirror[a], self.mirror[b])) not in present
        )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of joints, edges, mirror map and landmarks.

        Two skeletons with one digest describe the same arrays. Groups and aliases are
        conveniences and do not enter; the name does only where it serves as the convention.
        """
        content = [self.joints, self.edges, self.mirror, self.landmarks]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def parents(self, root: str) -> tuple[int, ...]:
        """Return each joint's parent index when the edges are followed outward from ``root``.

        The root's parent is -1.

        Raises:
            SkeletonError: If the edges contain a cycle or do not reach every joint.
        """
        neighbours: list[list[int]] = [[] for _ in self.joints]
        for a, b in self.edges:
            neighbours[a].append(b)
            neighbours[b].append(a)
        start = self.index(root)
        parents = {start: -1}
        queue = [start]
        for joint in queue:
            fresh = [other for other in neighbours[joint] if other not in parents]
            parents.update(dict.fromkeys(fresh, joint))
            queue.extend(fresh)
        unreached = [name for i, name in enumerate(self.joints) if i not in parents]
        if unreached or len(self.edges) != len(self.joints) - 1:
            raise SkeletonError(
                f"the edges form no tree from {root!r}"
                + (
                    f"; not reached: {', '.join(unreached)}"
                    if unreached
                    else "; they have a cycle"
                ),
                where=f"skeleton {self.name!r}",
                rule="parents exist only where every joint is reached by exactly one path",
                fix="select the joints that are connected, or define other edges",
            )
        return tuple(parents[i] for i in range(len(self.joints)))

    def select(self, names: str | Iterable[str], *, name: str | None = None) -> Skeleton:
        """Return the skeleton of some of the joints, in the order given.

        Edges stay where both ends stay. A joint whose mirror partner is left out cannot be kept.

        Args:
            names: Joint names (or aliases), blank-separated or as an iterable.
            name: Name of the result; default ``"<name>[<number of joints>]"``.

        Raises:
            SkeletonError: If a joint is named twice, or kept without its mirror partner.
        """
        kept = [int(i) for i in self.indices(names)]
        new = {old: i for i, old in enumerate(kept)}
        where = f"selection from skeleton {self.name!r}"
        definition.check_unique([self.joints[i] for i in kept], where)
        lonely = [self.joints[i] for i in kept if self.mirror[i] not in new]
        if lonely:
            raise SkeletonError(
                f"selected without their mirror partners: {', '.join(lonely)}",
                where=where,
                rule="a skeleton can be mirrored, so both joints of a pair stay or go together",
                fix="select the partners too, or index the arrays with skeleton.indices(...)",
            )
        kept_names = {self.joints[i] for i in kept}
        groups = {
            key: tuple(new[i] for i in members if i in new) for key, members in self.groups.items()
        }
        return Skeleton(
            name=name or f"{self.name}[{len(kept)}]",
            joints=tuple(self.joints[i] for i in kept),
            edges=tuple((new[a], new[b]) for a, b in self.edges if a in new and b in new),
            mirror=tuple(new[self.mirror[i]] for i in kept),
            groups={key: members for key, members in groups.items() if members},
            landmarks=tuple(self.landmarks[i] for i in kept),
            aliases={key: joint for key, joint in self.aliases.items() if joint in kept_names},
        )

    def renamed(self, suffix: str) -> Skeleton:
        """Return the skeleton with ``_<suffix>`` behind every joint name.

        Landmarks stay as they are: a renamed joint is still the same point of the body. An empty
        suffix changes nothing.
        """
        if not suffix:
            return self
        return replace(
            self,
            joints=tuple(f"{joint}_{suffix}" for joint in self.joints),
            aliases={key: f"{joint}_{suffix}" for key, joint in self.aliases.items()},
        )

    def checked(self, array: _ArrayT, *, where: object, axis: int = -2) -> _ArrayT:
        """Return ``array`` unchanged if its joint axis has the length of this skeleton.

        Args:
            array: Anything with a ``shape``: a NumPy array or a tensor.
            where: What the array is, for the error message.
            axis: The joint axis; -2 suits coordinates ``[..., J, D]``, -1 masks ``[..., J]``.

        Raises:
            JointCountError: If the axis does not exist or has another length.
        """
        shape = tuple(array.shape)
        has_axis = -len(shape) <= axis < len(shape)
        if not has_axis or shape[axis] != len(self):
            got = shape[axis] if has_axis else f"an array of shape {shape}"
            raise JointCountError.of(len(self), got, where=f"{where} (skeleton {self.name!r})")
        return array

    def to_dict(self) -> dict[str, Any]:
        """Return the skeleton as plain lists and texts, ready for JSON or msgpack."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "edges": [list(edge) for edge in self.edges],
            "mirror": list(self.mirror),
            "groups": {key: list(members) for key, members in self.groups.items()},
            "landmarks": list(self.landmarks),
            "aliases": dict(self.aliases),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: object = None) -> Skeleton:
        """Rebuild a skeleton from :meth:`to_dict`; everything is checked again.

        Raises:
            SkeletonError: If a field is absent, of the wrong type, or inconsistent.
        """
        try:
            return cls(
                name=data["name"],
                joints=tuple(data["joints"]),
                edges=tuple((a, b) for a, b in data["edges"]),
                mirror=tuple(data["mirror"]),
                groups={key: tuple(members) for key, members in data.get("groups", {}).items()},
                landmarks=tuple(data.get("landmarks", ())),
                aliases=data.get("aliases", {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, PosepileError):
                raise
            raise SkeletonError(
                f"not the dictionary form of a skeleton ({type(error).__name__}: {error})",
                where=where,
                rule="name, joints, edges and mirror are required; edges are index pairs",
                fix="write it with Skeleton.to_dict()",
            ) from error


def union(parts: Mapping[str, Skeleton | Sequence[Skeleton]], *, name: str = "union") -> Skeleton:
    """Merge skeletons into one that has every joint of each, told apart by suffixes.

    The joints of ``parts[suffix]`` are renamed ``<joint>_<suffix>`` (``""`` leaves them alone).
    One full name is one joint, so skeletons that share a suffix, or that already carry one,
    share joints. Joints stand in order of first appearance; edges are united and each undirected
    edge is kept once. Where a shared joint has different landmarks, the first one counts, and a
    map from the other skeleton will report it as an approximation.

    Args:
        parts: ``{suffix: skeleton}`` or ``{suffix: [skeleton, skeleton, ...]}``.
        name: Name of the result.

    Raises:
        SkeletonError: If two parts pair a shared joint with different mirror partners.
    """
    members = [
        skeleton.renamed(suffix)
        for suffix, value in parts.items()
        for skeleton in ([value] if isinstance(value, Skeleton) else value)
    ]
    landmarks: dict[str, str] = {}
    partner: dict[str, str] = {}
    edges: dict[frozenset[str], tuple[str, str]] = {}
    groups: dict[str, dict[str, None]] = {}
    for skeleton in members:
        joints = skeleton.joints
        for i, joint in enumerate(joints):
            landmarks.setdefault(joint, skeleton.landmarks[i])
            other = joints[skeleton.mirror[i]]
            if partner.setdefault(joint, other) != other:
                raise SkeletonError(
                    f"joint {joint!r} mirrors to {partner[joint]!r} in one part and to {other!r} "
                    f"in skeleton {skeleton.name!r}",
                    where=f"union {name!r}",
                    rule="joints of one full name are one joint",
                    fix="give the parts different suffixes",
                )
        for bone in skeleton.bones:
            edges.setdefault(frozenset(bone), bone)
        for key, indices in skeleton.groups.items():
            groups.setdefault(key, {}).update(dict.fromkeys(joints[i] for i in indices))
    index = {joint: i for i, joint in enumerate(landmarks)}
    return Skeleton(
        name=name,
        joints=tuple(landmarks),
        edges=tuple((index[a], index[b]) for a, b in edges.values()),
        mirror=tuple(index[partner[joint]] for joint in landmarks),
        groups={key: tuple(index[joint] for joint in found) for key, found in groups.items()},
        landmarks=tuple(landmarks.values()),
    )


def __getattr__(name: str) -> Any:
    # JointMap lives in its own file, which imports this one; it is offered here lazily.
    if name == "JointMap":
        from posepile_torch.jointmap import JointMap

        return JointMap
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
