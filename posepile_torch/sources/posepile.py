"""PosePile and MeTRAbs archives as training data, read as they are or imported.

Which dataset such an archive was made from, and under which licence, is not stored in it. Its
joints are; the native skeleton of these classes is therefore that of the archive.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from posepile_torch import skeletons
from posepile_torch.archive import Archive, open_archive
from posepile_torch.archive.legacy import LEGACY_SOURCE, LegacyArchive
from posepile_torch.archive.legacy_skeleton import agreed
from posepile_torch.cards import (
    Access,
    Card,
    LengthUnit,
    Licence,
    RawFilePattern,
    RawKind,
    Split,
    Task,
    Visibility,
)
from posepile_torch.errors import ArchiveError
from posepile_torch.sample import Sample2D, Sample3D
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources.base import S, Source, Source2D, Source3D

CARD = Card(
    name=LEGACY_SOURCE,
    title="PosePile archive",
    description=(
        "Any dataset that was converted with PosePile, the data preparation of MeTRAbs and NLF: "
        "person-centred crops with 3D or 2D joints in the skeleton of that dataset, or body-model "
        "parameters, or DensePose points."
    ),
    tasks=(Task.POSE_3D, Task.POSE_2D, Task.BODY_MODEL, Task.DENSE),
    licence=Licence.unknown(
        evidence="docs/interop.md: an archive does not say which dataset it holds; the terms are "
        "those of that dataset"
    ),
    access=Access.OPEN,
    citation="sarandi2023dozens",
    homepage="https://github.com/isarandi/PosePile",
    paper="https://arxiv.org/abs/2212.14474",
    download_steps=("convert the dataset with PosePile, or use an archive that you have",),
    layout=(
        RawFilePattern("{name}.barecat", RawKind.ANNOTATION, note="index of the annotations"),
        RawFilePattern("{name}.barecat-shard-00000", RawKind.ANNOTATION, note="and further ones"),
        RawFilePattern("images.barecat", RawKind.IMAGE, required=False, note="or loose files"),
    ),
    splits=(Split("train"), Split("val"), Split("test")),
    units=LengthUnit.MILLIMETRE,
    world_up=(0.0, 0.0, 1.0),
    visibility=Visibility.NONE,
)


class _PosePile(Source[S]):
    """What the two classes share: the archive brings its own skeleton.

    Args:
        root: A PosePile archive (its annotation container, or the folder), or an archive that
            ``posepile import-legacy`` made.
        images: Image container or folder of images of a PosePile archive that is read as it is;
            by default what lies beside the annotations.
        native: What the stored joints are, if that is known better than by their names:
            ``"h36m_17"``, for example, for an archive with these joints.
        options: Those of :class:`~posepile_torch.sources.Source`: ``split``, ``skeleton``,
            ``recipe`` and so on.

    Raises:
        ArchiveError: If the archive was made from another source than PosePile.
        SkeletonError: If ``native`` has other joints than the archive.
    """

    card: ClassVar[Card] = CARD

    def __init__(
        self,
        root: Path | str,
        *,
        images: str | os.PathLike[str] | None = None,
        native: Skeleton | str | None = None,
        **options: Any,
    ) -> None:
        self._images = images
        self._given = skeletons.get(native) if isinstance(native, str) else native
        super().__init__(root, **options)

    def _open(self, root: Path) -> Archive:
        archive: Archive
        if self._images is not None:
            archive = LegacyArchive(root, images=self._images, skeleton=self._given)
        else:
            archive = open_archive(root)
        if archive.manifest.source != LEGACY_SOURCE:
            raise ArchiveError(
                f"this archive holds {archive.manifest.source!r}",
                where=archive.path,
                rule=f"{type(self).__name__} reads archives that PosePile wrote",
                fix=f"use the Dataset class of {archive.manifest.source!r}",
            )
        # Every other class knows its skeleton beforehand.
        self.native = agreed(archive.skeleton, self._given, where=archive.path)  # type: ignore[misc]
        return archive


class PosePile3D(_PosePile[Sample3D], Source3D):
    """A PosePile archive with cameras and 3D joints (or camera-less 2D joints, without any)."""


class PosePile2D(_PosePile[Sample2D], Source2D):
    """A PosePile archive with 2D joints."""
