"""The Dataset classes that all sources share."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.archive import Archive, open_archive
from posepile_torch.cards import Card
from posepile_torch.errors import ArchiveError, UnknownNameError
from posepile_torch.hints import Hints
from posepile_torch.record import SPLITS, Record
from posepile_torch.sample import Sample, Sample2D, Sample3D
from posepile_torch.skeleton import JointMap, Skeleton
from posepile_torch.sources.views import View, as_array, matching_rows
from posepile_torch.transforms import (
    PreparedImage,
    RandomKey,
    Recipe,
    apply_recipe,
    evaluation,
)

S = TypeVar("S", bound=Sample, covariant=True)


TRAINVAL = "trainval"
"""Name for the splits ``train`` and ``val`` together."""


class Source(View[S]):
    """One split of one converted source, as a map-style Dataset.

    Parts of it are taken with :meth:`~posepile_torch.sources.views.View.where`, ``take``,
    ``fraction``, slices and ``+``; they share the archive and copy nothing.

    Subclasses set :attr:`card` and :attr:`native`. Instances are picklable and open their archive
    lazily in each process, so they go through DataLoader workers of any start method; use
    :func:`posepile_torch.collate` as ``collate_fn``.

    Attributes:
        card: What is true of the source.
        native: Skeleton in which the source stores its joints.
        epoch: Counts the passes over the data; set it to get other random numbers in each. A
            DataLoader with persistent workers does not pass it on.

    Args:
        root: Folder that holds the archives, or the archive's own folder.
        split: ``"train"``, ``"val"`` or ``"test"``, or ``"trainval"`` for the first two.
        skeleton: Target skeleton, by value or by name; joints are mapped by name and what the
            source does not have is unknown. None keeps the native skeleton.
        recipe: How a record becomes an image; plain evaluation crops by default.
        seed: Together with :attr:`epoch` and the index it decides what a recipe draws by chance.
    """

    card: ClassVar[Card]
    native: ClassVar[Skeleton]

    def __init__(
        self,
        root: Path | str,
        *,
        split: str = "train",
        skeleton: Skeleton | str | None = None,
        recipe: Recipe | None = None,
        seed: int = 0,
    ) -> None:
        if split not in (*SPLITS, TRAINVAL):
            raise UnknownNameError.among("split", split, (*SPLITS, TRAINVAL), where=self.card.name)
        self.split = split
        self.recipe = recipe or evaluation()
        self.archive = self._open(Path(root))
        self._set_skeleton(skeleton or self.native)
        self.hints = Hints.from_dict(self.archive.manifest.hints)
        self.seed, self.epoch, self.steps = seed, 0, ()
        names = ("train", "val") if split == TRAINVAL else (split,)
        ranges = [self.archive.split_range(name) for name in names]
        # Splits follow each other in the order of SPLITS.
        self._rows = range(ranges[0].start, ranges[-1].stop)

    def _set_skeleton(self, skeleton: Skeleton | str) -> None:
        given = skeletons.get(skeleton) if isinstance(skeleton, str) else skeleton
        self.skeleton = given
        self._joint_map = JointMap.between(self.native, given)

    def with_skeleton(self, skeleton: Skeleton | str) -> Self:
        """Return the same samples with their joints in another target skeleton."""
        other = copy(self)
        other._set_skeleton(skeleton)
        return other

    def with_recipe(self, recipe: Recipe) -> Self:
        """Return the same samples, made by another recipe."""
        other = copy(self)
        other.recipe = recipe
        return other

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the archive behind the samples, in their order."""
        return as_array(self._rows)

    def _matching(self, keys: Mapping[str, Any]) -> NDArray[np.bool_]:
        return matching_rows(self.archive, self._rows, keys)

    def _open(self, root: Path) -> Archive:
        own = root / self.card.name
        archive = open_archive(own if own.exists() else root)
        if archive.manifest.source != self.card.name:
            raise ArchiveError(
                f"this archive holds {archive.manifest.source!r}, not {self.card.name!r}",
                where=archive.path,
                fix=f"convert it with `posepile convert {self.card.name}`, or use the Dataset "
                f"class of {archive.manifest.source!r}",
            )
        if archive.skeleton.joints != self.native.joints:
            raise ArchiveError(
                f"joints {archive.skeleton.joints} differ from {self.native.joints}",
                where=archive.path,
                rule=f"an archive of {self.card.name} has the skeleton that its class declares",
                fix="convert the source again with this version of the library",
            )
        return archive

    def sample(self, index: int, key: RandomKey | None = None) -> S:
        """Return sample ``index``, augmented by the random numbers of ``key``, or not at all."""
        return self._sample(int(self._rows[index]), key)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.split}: {len(self)} samples, "
            f"{len(self.skeleton)} joints of {self.skeleton.name}, {self.recipe.name} "
            f"{self.recipe.side_px} px)"
        )

    def record(self, index: int) -> Record:
        """Return the stored record behind sample ``index``."""
        return self.archive.record(int(self._rows[index]))

    def _sample(self, row: int, key: RandomKey | None) -> S:
        raise NotImplementedError

    def _prepared(self, row: int, record: Record, key: RandomKey | None) -> PreparedImage:
        return apply_recipe(
            self.archive.image_bytes(row),
            record,
            self.recipe,
            key,
            hints=self.hints,
            skeleton=self.native,
        )

    def _shared_fields(
        self, row: int, record: Record, prepared: PreparedImage, points: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Fill the fields that all samples share; ``points`` are in the target skeleton."""
        known = _all_finite(points)
        points = np.where(known[:, None], points, 0.0)
        return {
            "image": prepared.image,
            "joints2d": prepared.observed_points(points).astype(np.float32),
            "known": known,
            "visible": self._visibility(record, prepared, known),
            "in_view": prepared.camera.is_in_view(points) & known,
            "box": prepared.box.astype(np.float32),
            "has_camera": record.camera is not None,
            "camera": prepared.camera,
            "source": self.card.name,
            "row": row,
            "id": record.id,
        }

    def _labelled_points(self, record: Record, prepared: PreparedImage) -> NDArray[np.float64]:
        """2D labels of ``record`` in the sample's image and skeleton; NaN where there are none."""
        if record.joints2d is None:
            return np.full((len(self.skeleton), 2), np.nan)
        points = self._joint_map.apply(prepared.labelled_points(record.joints2d))
        return prepared.view.mirrored(points, self.skeleton)

    def _visibility(
        self, record: Record, prepared: PreparedImage, known: NDArray[np.bool_]
    ) -> NDArray[np.int8]:
        """Visibility in the target skeleton; -1 where the source says nothing."""
        if record.visible is None:
            return np.full(len(known), -1, np.int8)
        mapped = self._joint_map.apply_visibility(record.visible)
        mapped = prepared.view.mirrored(mapped, self.skeleton)
        return np.where(known, mapped, np.int8(-1)).astype(np.int8)


class Source2D(Source[Sample2D]):
    """A source with 2D labels only."""

    def _sample(self, row: int, key: RandomKey | None) -> Sample2D:
        record = self.archive.record(row)
        prepared = self._prepared(row, record, key)
        points = self._labelled_points(record, prepared)
        return Sample2D(**self._shared_fields(row, record, prepared, points))


class Source3D(Source[Sample3D]):
    """A source with metric 3D joints and calibrated cameras."""

    def _sample(self, row: int, key: RandomKey | None) -> Sample3D:
        record = self.archive.record(row)
        prepared = self._prepared(row, record, key)
        joints = np.full((len(self.native), 3), np.nan)
        if record.joints3d is not None:
            # In float64, and relative to the camera: world coordinates may be kilometres.
            joints = prepared.camera.to_camera(record.joints3d)
        joints = prepared.view.mirrored(self._joint_map.apply(joints), self.skeleton)
        projected = prepared.camera.project_camera(joints)
        labelled = self._labelled_points(record, prepared)
        points = np.where(np.isfinite(projected), projected, labelled)
        known3d = _all_finite(joints)
        return Sample3D(
            joints3d=np.where(known3d[:, None], joints, 0.0).astype(np.float32),
            known3d=known3d,
            **self._shared_fields(row, record, prepared, points),
        )


def _all_finite(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(points).all(axis=-1), np.bool_)


__all__ = ["SPLITS", "Source", "Source2D", "Source3D"]
