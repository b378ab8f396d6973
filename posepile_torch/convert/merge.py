"""Several archives into one, as files.

A mixture views many archives without copying them and is nearly always the better way; a merged
archive is for handing on, or for a disk that is better at one file than at twenty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posepile_torch.archive import Archive, ArchiveHeader, ArchiveWriter, open_archive
from posepile_torch.errors import ArchiveError
from posepile_torch.hints import Hints
from posepile_torch.jointmap import JointMap
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton, union

_CHECKPOINT_ROWS = 200


@dataclass(frozen=True)
class Member:
    """One archive of a merge.

    Attributes:
        archive: The archive.
        name: Folder below which its records and images are stored.
        joint_map: From its skeleton to that of the merged archive.
    """

    archive: Archive
    name: str
    joint_map: JointMap


def merge_archives(
    paths: Sequence[Path | str],
    out: Path | str,
    name: str,
    *,
    suffixes: Mapping[str, str] | None = None,
    restart: bool = False,
    force_unlock: bool = False,
    is_stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path | None:
    """Copy all records and images of several archives into a new one.

    Archives with one skeleton keep it. Others get the union of their skeletons, in which each
    archive's joints carry its suffix: hips of different skeletons are different points, and only
    the same suffix says that they are not. Nothing is decoded or encoded again but the records;
    one record is held in memory at a time. An interrupted merge is resumed by the same call.

    Args:
        paths: The archives.
        out: Folder of archives.
        name: Name of the new one.
        suffixes: Suffix by archive name, for the union; by default the name of its skeleton.
        restart: Throw an unfinished merge away.
        force_unlock: Take over the lock of a merge that cannot be shown to be dead.
        is_stopped: Asked often; when it says so, a resumable state is left behind.
        progress: Called with the number of records that are done and in all.

    Returns:
        The archive; None if it was stopped.

    Raises:
        ArchiveError: If there are fewer than two archives, two of one name, or one of them is the
            target.
        SkeletonError: If the union contradicts itself.
    """
    archives = [open_archive(path) for path in paths]
    names = [Path(path).name for path in paths]
    _check(archives, names, Path(out) / name)
    members = _members(archives, names, suffixes or {}, name)
    total = sum(len(archive) for archive in archives)
    header = _header(members, name)
    with ArchiveWriter(
        out, name, header=header, restart=restart, force_unlock=force_unlock
    ) as writer:
        state = writer.resumed_state or {"member": 0, "row": 0}
        done = sum(len(archive) for archive in archives[: state["member"]]) + state["row"]
        for number in range(state["member"], len(members)):
            first = state["row"] if number == state["member"] else 0
            for row in range(first, len(members[number].archive)):
                if row % _CHECKPOINT_ROWS == 0:
                    writer.checkpoint({"member": number, "row": row})
                    progress(done, total)
                    if is_stopped():
                        writer.checkpoint({"member": number, "row": row}, durable=True)
                        return None
                _copy(writer, members[number], row)
                done += 1
            writer.end_unit(members[number].name)
            writer.checkpoint({"member": number + 1, "row": 0})
        progress(done, total)
        return writer.publish()


def _check(archives: Sequence[Archive], names: Sequence[str], target: Path) -> None:
    again = [name for name in names if names.count(name) > 1]
    if len(archives) < 2 or again:
        raise ArchiveError(
            f"two archives are named {again[0]!r}" if again else f"{len(archives)} archives",
            rule="two or more archives of different names are merged",
            fix="rename the folder of one of them",
        )
    if any(archive.path == target.resolve() for archive in archives):
        raise ArchiveError(
            "the merged archive would replace one of those that it is made of",
            where=target,
            fix="choose another name or folder",
        )


def _members(
    archives: Sequence[Archive], names: Sequence[str], suffixes: Mapping[str, str], name: str
) -> list[Member]:
    unknown = sorted(set(suffixes) - set(names))
    if unknown:
        raise ArchiveError(
            f"a suffix for {unknown[0]!r}, which is not merged",
            fix=f"the archives are {', '.join(names)}",
        )
    skeletons = [archive.skeleton for archive in archives]
    merged = skeletons[0]
    if suffixes or any(skeleton.digest != merged.digest for skeleton in skeletons):
        parts: dict[str, list[Skeleton]] = {}
        for member, skeleton in zip(names, skeletons, strict=True):
            parts.setdefault(suffixes.get(member, skeleton.name), []).append(skeleton)
        merged = union(parts, name=name)
    return [
        Member(archive, member, JointMap.between(archive.skeleton, merged))
        for archive, member in zip(archives, names, strict=True)
    ]


def _header(members: Sequence[Member], name: str) -> ArchiveHeader:
    return ArchiveHeader(
        source=name,
        skeleton=members[0].joint_map.target,
        plan={"merged": [_origin(member) for member in members]},
        hints=_shared_hints(members).to_dict(),
        units={member.name: member.archive.fingerprint for member in members},
    )


def _origin(member: Member) -> dict[str, Any]:
    """What the merged archive says about one that it was made of."""
    manifest = member.archive.manifest
    return {
        "name": member.name,
        "source": manifest.source,
        "fingerprint": manifest.fingerprint,
        "card_digest": manifest.card_digest,
        "converter_version": manifest.converter_version,
        "plan_digest": manifest.plan_digest,
        "hints": dict(manifest.hints),
    }


def _shared_hints(members: Sequence[Member]) -> Hints:
    """Hints that hold for all: what only some have cannot be relied on."""
    hints = [Hints.from_dict(member.archive.manifest.hints) for member in members]
    for member, hint in zip(members, hints, strict=True):
        if not all(fix.already_applied for fix in hint.photometric):
            raise ArchiveError(
                "the images of this archive still need a correction of their colours",
                where=member.archive.path,
                rule="a merged archive has one set of hints for all its images",
                fix="convert it with this version of the library, which corrects them",
            )
    flags: dict[str, Any] = {
        field.name: all(getattr(hint, field.name) for hint in hints)
        for field in dataclasses.fields(Hints)
        if field.name != "photometric"
    }
    return Hints(**flags)


def _copy(writer: ArchiveWriter, member: Member, row: int) -> None:
    record = member.archive.record(row)
    image_key = f"{member.name}/{record.image_key}"
    if not writer.has_image(image_key):
        writer.add_image(image_key, member.archive.image_bytes(row))
    writer.add(_mapped(record, member, image_key))


def _mapped(record: Record, member: Member, image_key: str) -> Record:
    to = member.joint_map
    arrays: dict[str, Any] = {
        name: to.apply(getattr(record, name))
        for name in ("joints3d", "joints2d", "joints3d_univ")
        if getattr(record, name) is not None
    }
    if record.visible is not None:
        arrays["visible"] = to.apply_visibility(record.visible)
    if record.confidence is not None:
        arrays["confidence"] = to.apply_confidence(record.confidence)
    names = {
        name: f"{member.name}/{value}"
        for name in ("subject", "sequence")
        if (value := getattr(record, name)) is not None
    }
    return record.with_changes(
        id=f"{member.name}/{record.id}", image_key=image_key, **arrays, **names
    )
