"""How the text of a skeleton definition is read, and the rules every skeleton must keep.

Private to :mod:`posepile_torch.skeleton`, which is the place to use.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from posepile_torch.errors import SkeletonError, UnknownNameError
from posepile_torch.joint_names import SIDED_STEMS, bare_stem, region

if TYPE_CHECKING:
    from posepile_torch.skeleton import Skeleton


def words(text: str | Iterable[str]) -> tuple[str, ...]:
    """Return the words of a blank-separated text, or the given sequence of them."""
    return tuple(text.split()) if isinstance(text, str) else tuple(text)


def lookup(index: Mapping[str, int], joint: str, where: str) -> int:
    """Return the index of a listed joint; anything else is an error that names near misses."""
    if joint not in index:
        raise UnknownNameError.among("joint", joint, index, where=where)
    return index[joint]


def derived_pairs(joints: Sequence[str], extra_stems: Sequence[str], where: str) -> dict[str, str]:
    """Return ``{left: right}`` for all joints whose stems are declared to come in pairs."""
    stems = {*SIDED_STEMS, *extra_stems}
    present = set(joints)
    pairs: dict[str, str] = {}
    for joint in joints:
        if joint[:1] not in ("l", "r"):
            continue
        partner = ("r" if joint[0] == "l" else "l") + joint[1:]
        declared = bare_stem(joint)[1:] in stems
        if declared and partner in present:
            left, right = sorted((joint, partner))
            pairs[left] = right
        elif declared or partner in present:
            raise SkeletonError(
                f"joint {joint!r} has no partner {partner!r}"
                if declared
                else f"joints {joint!r} and {partner!r} look like a pair that nobody declared",
                where=where,
                rule="what mirrors to what is stated when a skeleton is defined",
                fix=f"add {partner!r}, or give mirror={{left: right, ...}}"
                if declared
                else f"give sided={bare_stem(joint)[1:]!r} if they are, else mirror={{...}}",
            )
    return pairs


def resolve_pairs(
    pairs: Mapping[str, str], index: Mapping[str, int], where: str
) -> tuple[list[int], list[int]]:
    """Return the left joints of all pairs, and the whole mirror map."""
    mirror = list(range(len(index)))
    left: list[int] = []
    for a_name, b_name in pairs.items():
        a, b = lookup(index, a_name, where), lookup(index, b_name, where)
        if mirror[a] == b and mirror[b] == a:
            continue  # the same pair, given in the other direction as well
        if mirror[a] != a or mirror[b] != b:
            raise SkeletonError(
                f"the pair {a_name!r}, {b_name!r} contradicts another pair",
                where=where,
                rule="every joint has one mirror partner",
                fix="name every pair once",
            )
        mirror[a], mirror[b] = b, a
        left.append(a)
    return sorted(left), mirror


def parse_edges(
    text: str, index: Mapping[str, int], mirror: Sequence[int] | None, where: str
) -> list[tuple[int, int]]:
    """Return the edges of dash paths, each followed by its mirror image if ``mirror`` is given."""
    edges: dict[frozenset[int], tuple[int, int]] = {}
    for path in filter(None, (part.strip() for part in text.split(","))):
        chain = [lookup(index, joint.strip(), f"{where}, edges") for joint in path.split("-")]
        if len(chain) == 1:
            raise SkeletonError(
                f"the path {path!r} has a single joint",
                where=f"{where}, edges",
                rule="a path joins two or more joints by dashes; paths are separated by commas",
                fix="complete the path or leave it out",
            )
        for a, b in itertools.pairwise(chain):
            edges.setdefault(frozenset((a, b)), (a, b))
            if mirror is not None:
                edges.setdefault(frozenset((mirror[a], mirror[b])), (mirror[a], mirror[b]))
    return list(edges.values())


def regions(joints: Sequence[str], sides: Mapping[int, str]) -> dict[str, list[int]]:
    """Group the joints with known stems by body region."""
    groups: dict[str, list[int]] = {}
    for i, joint in enumerate(joints):
        found = region(joint, sides.get(i))
        if found is not None:
            groups.setdefault(found, []).append(i)
    return groups


def check_unique(names: Sequence[str], where: str) -> None:
    """Refuse a joint that is named twice."""
    twice = sorted(joint for joint, count in Counter(names).items() if count > 1)
    if twice:
        raise SkeletonError(
            f"joints named more than once: {', '.join(twice)}",
            where=where,
            rule="joint names are unique",
            fix="rename or remove the repeated ones",
        )


def check_names(skeleton: Skeleton) -> None:
    """Check the skeleton's name, joints, landmarks and aliases."""
    where = f"skeleton {skeleton.name!r}"
    if not isinstance(skeleton.name, str) or not skeleton.name:
        raise SkeletonError("a skeleton needs a name", rule="the name is a non-empty text")
    for joint in skeleton.joints:
        if not isinstance(joint, str) or not joint or set(joint) & set(" \t\n,-"):
            raise SkeletonError(
                f"bad joint name {joint!r}",
                where=where,
                rule="a joint name is a text without blanks, commas and dashes",
                fix="use short codes such as 'rhip'",
            )
    check_unique(skeleton.joints, where)
    if len(skeleton.landmarks) != len(skeleton.joints) or not all(
        isinstance(landmark, str) and all(landmark.partition(":")[::2])
        for landmark in skeleton.landmarks
    ):
        raise SkeletonError(
            "landmarks do not fit the joints",
            where=where,
            rule="every joint has one landmark of the form '<convention>:<code>'",
            fix="leave landmarks empty to make the skeleton its own convention",
        )
    own = set(skeleton.joints)
    for spelling, joint in skeleton.aliases.items():
        if joint not in own:
            raise UnknownNameError.among("joint", joint, own, where=f"{where}, alias {spelling!r}")
        if spelling in own and spelling != joint:
            raise SkeletonError(
                f"alias {spelling!r} of {joint!r} is itself a joint",
                where=where,
                rule="an alias is another spelling, never another joint",
                fix="remove the alias",
            )


def check_mirror(skeleton: Skeleton) -> None:
    """Check that the mirror map is an involution of all joints."""
    mirror, count = skeleton.mirror, len(skeleton.joints)
    if len(mirror) != count or any(
        not 0 <= partner < count or mirror[partner] != i for i, partner in enumerate(mirror)
    ):
        raise SkeletonError(
            f"the mirror map {list(mirror)} is not an involution of {count} joints",
            where=f"skeleton {skeleton.name!r}",
            rule="mirror[mirror[i]] == i for every joint",
            fix="list the partner's index for sided joints and the own index for central ones",
        )


def check_edges(skeleton: Skeleton) -> None:
    """Check that edges join two different joints, each pair once."""
    count = len(skeleton.joints)
    seen: set[frozenset[int]] = set()
    for a, b in skeleton.edges:
        if not (0 <= a < count and 0 <= b < count) or a == b or frozenset((a, b)) in seen:
            raise SkeletonError(
                f"bad edge ({a}, {b})",
                where=f"skeleton {skeleton.name!r}",
                rule=f"edges join two different joints among 0..{count - 1}, each pair once",
                fix="check for 1-based indices and repeated edges",
            )
        seen.add(frozenset((a, b)))


def check_groups(skeleton: Skeleton) -> None:
    """Check that groups hold joints, and that the two sides fit the mirror map."""
    where = f"skeleton {skeleton.name!r}"
    for name, members in skeleton.groups.items():
        if any(not 0 <= i < len(skeleton.joints) for i in members) or len(set(members)) != len(
            members
        ):
            raise SkeletonError(
                f"group {name!r} is {list(members)}",
                where=where,
                rule="a group lists joint indices, each once",
                fix="check the indices",
            )
    left, right = skeleton.groups.get("left", ()), skeleton.groups.get("right", ())
    paired = {i for i, partner in enumerate(skeleton.mirror) if partner != i}
    if (left or right) and (
        {skeleton.mirror[i] for i in left} != set(right) or {*left, *right} != paired
    ):
        raise SkeletonError(
            "the groups 'left' and 'right' contradict the mirror map",
            where=where,
            rule="together they hold every paired joint, and mirror into each other",
            fix="leave them out of groups; parse() adds them",
        )
