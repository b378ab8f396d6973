"""Predictions: one documented form, keyed by image and person, joints named by a skeleton.

A file of predictions is a table (see :mod:`posepile_torch.evaluate.tables`) with one row per
predicted person:

==============  ==================  ==========================================================
column          shape               meaning
==============  ==================  ==========================================================
``image``       text                id of the image; required
``person``      text                id of the person in it; may be absent where every image has
                                    one annotated person
``joints``      ``[J, 3 or 2]``     joints in ``unit``; NaN where not predicted; required
``confidence``  ``[J]``             optional
``score``       number              of the detection, for average precision; optional
``vertices``    ``[V, 3]``          mesh in ``unit``; optional
``rotations``   ``[K, 3, 3]``       global joint rotations; optional
others          any                 passed on to the protocol by name (``track``, ``box``, ...)
==============  ==================  ==========================================================

and the facts ``skeleton`` (a standard skeleton's name, or the dictionary of
``Skeleton.to_dict()``), ``unit`` (``"mm"``, ``"cm"``, ``"m"`` or ``"px"``), ``space``
(``"world"``, ``"camera"`` or ``"image"``), ``format`` (``"posepile-predictions"``) and
``version`` (1). For our own archives the ids are those of :func:`keys_of_ids`. The order of rows
means nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch import skeletons
from posepile_torch.errors import PredictionError
from posepile_torch.evaluate.protocol import Space
from posepile_torch.evaluate.tables import Columns, read_table, write_table
from posepile_torch.joint_rules import JointRule, RuleSet
from posepile_torch.jointmap import JointMap
from posepile_torch.sample import Batch
from posepile_torch.skeleton import Skeleton

FORMAT = "posepile-predictions"
"""What files of predictions call themselves."""

FORMAT_VERSION = 1
"""Version of the form of files of predictions."""

MM_PER_UNIT = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "px": 1.0}
"""Factor from a unit to mm; pixels stay pixels."""

Rules = str | RuleSet | Iterable[JointRule]
"""Rules for mapping particular joints, see :class:`~posepile_torch.jointmap.JointMap`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Predicted people. Lengths are mm in memory, whatever the file says; pixels for 2D.

    Args:
        image: ``[N]`` ids of images.
        person: ``[N]`` ids of people; None if every image has one annotated person.
        joints: ``[N, J, 3]`` mm or ``[N, J, 2]`` pixels; not finite where not predicted.
        skeleton: Names of the joints.
        space: ``"world"``, ``"camera"`` or ``"image"``.
        extras: Further columns by name: ``score``, ``confidence``, ``vertices`` (mm),
            ``rotations``, ``track``, ...
        name: Method or seed, for tables.
        where: File that they came from.
        approximations: What a conversion of joints could only approximate, in words.
    """

    image: NDArray[np.str_]
    person: NDArray[np.str_] | None = None
    joints: NDArray[np.float64]
    skeleton: Skeleton
    space: Space
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    name: str = ""
    where: str = "predictions"
    approximations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", _texts(self.image))
        if self.person is not None:
            object.__setattr__(self, "person", _texts(self.person))
        object.__setattr__(self, "joints", np.asarray(self.joints, np.float64))
        if self.space not in get_args(Space):
            raise PredictionError(
                f"space={self.space!r}",
                where=self.where,
                fix=f"choose one of {', '.join(get_args(Space))}",
            )
        axes = 2 if self.space == "image" else 3
        if self.joints.ndim != 3 or self.joints.shape[2] != axes:
            raise PredictionError(
                f"joints of shape {list(self.joints.shape)} in {self.space} space",
                where=self.where,
                rule=f"joints are [N, J, {axes}]",
            )
        self.skeleton.checked(self.joints, where=f"joints of {self.where}")
        lengths = {name: len(column) for name, column in self._columns().items()}
        if len(set(lengths.values())) > 1:
            raise PredictionError(
                f"columns of different lengths: {lengths}",
                where=self.where,
                rule="all columns have one row per predicted person",
            )

    def __len__(self) -> int:
        return len(self.image)

    def _columns(self) -> Columns:
        columns: Columns = {"image": self.image, "joints": self.joints, **self.extras}
        if self.person is not None:
            columns["person"] = self.person
        return columns

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Predictions:
        """Read a file of predictions; lengths become mm.

        Raises:
            PredictionError: If a required column or fact is absent or of the wrong form.
        """
        meta, columns = read_table(path)
        where = str(path)
        skeleton, factor, space = read_facts(meta, where=where)
        absent = {"image", "joints"} - columns.keys()
        if absent:
            raise PredictionError(
                f"no column {', '.join(sorted(absent))}",
                where=where,
                rule="predictions have the columns image and joints",
                fix=f"it has {', '.join(columns)}",
            )
        joints = np.asarray(columns.pop("joints"), np.float64) * factor
        if "vertices" in columns:
            columns["vertices"] = columns["vertices"] * columns["vertices"].dtype.type(factor)
        return cls(
            image=columns.pop("image"),
            person=columns.pop("person", None),
            joints=joints,
            skeleton=skeleton,
            space=space,
            extras=columns,
            name=str(meta.get("name") or Path(path).stem),
            where=where,
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write to ``.npz``, ``.json``, ``.parquet``, ``.arrow`` or ``.feather``."""
        meta = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "skeleton": self.skeleton.to_dict(),
            "unit": "px" if self.space == "image" else "mm",
            "space": self.space,
            "name": self.name,
        }
        return write_table(path, meta, self._columns())

    def in_skeleton(self, target: Skeleton, rules: Rules = ()) -> Predictions:
        """Return the predictions with the joints of another skeleton.

        Joints are mapped by name and landmark (:class:`~posepile_torch.jointmap.JointMap`); what
        is approximated or missing is kept in :attr:`approximations` and printed with results.

        Args:
            target: Skeleton that is wanted.
            rules: Rules for particular joints.
        """
        if self.skeleton.digest == target.digest and not rules:
            return self
        mapping = JointMap.between(self.skeleton, target, rules)
        extras = dict(self.extras)
        if "confidence" in extras:
            extras["confidence"] = mapping.apply_confidence(extras["confidence"])
        told = [f"{row.target}: {row.why}" for row in mapping.with_status("approximate")]
        told += [f"{row.target}: missing" for row in mapping.with_status("missing")]
        return Predictions(
            image=self.image,
            person=self.person,
            joints=mapping.apply(self.joints),
            skeleton=target,
            space=self.space,
            extras=extras,
            name=self.name,
            where=self.where,
            approximations=(*self.approximations, *((mapping.summary, *told) if told else ())),
        )


class PredictionWriter:
    """Collects predictions in a training or validation loop, and writes them to one file.

    Args:
        skeleton: Names of the predicted joints.
        name: Method or seed, for tables.
    """

    def __init__(self, skeleton: Skeleton | str, *, name: str = "") -> None:
        self.skeleton = skeletons.get(skeleton) if isinstance(skeleton, str) else skeleton
        self.name = name
        self._ids: list[str] = []
        self._joints: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, batch: Batch, joints3d: Any) -> None:
        """Take in the predictions for a batch.

        They are stored in world coordinates, so that it does not matter into which virtual camera
        the recipe turned the image.

        Args:
            batch: The batch that was shown to the network.
            joints3d: ``[B, J, 3]`` mm in the frame of the batch's cameras; tensor or array. A
                root-relative network adds the root it assumes, or zero: root-relative metrics do
                not see it.
        """
        camera = _array(joints3d)
        if camera.shape != (len(batch), len(self.skeleton), 3):
            raise PredictionError(
                f"joints of shape {list(camera.shape)} for {len(batch)} samples",
                where="PredictionWriter.add",
                rule=f"joints are [B, {len(self.skeleton)}, 3] in {self.skeleton.name}",
            )
        turn, position = _array(batch.rotation_to_world), _array(batch.camera_position)
        self._ids.extend(batch.id)
        self._joints.append(np.einsum("bij,bkj->bki", turn, camera) + position[:, None])

    def predictions(self) -> Predictions:
        """Return everything that was taken in."""
        image, person = keys_of_ids(self._ids)
        empty = np.zeros((0, len(self.skeleton), 3))
        return Predictions(
            image=image,
            person=person,
            joints=np.concatenate([empty, *self._joints]),
            skeleton=self.skeleton,
            space="world",
            name=self.name,
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write everything that was taken in; the ending decides on the format."""
        return self.predictions().write(path)


def keys_of_ids(ids: Sequence[str]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Split ids of records or samples into ids of images and of people.

    A record of an archive is named ``<path of the frame>_<person>``: the image is what stands
    before the last underscore, the person what follows.
    """
    parts = [record_id.rpartition("_") for record_id in ids]
    images = [image if mark else person for image, mark, person in parts]
    return _texts(images), _texts([person if mark else "" for _, mark, person in parts])


def read_facts(meta: Mapping[str, Any], *, where: str) -> tuple[Skeleton, float, Space]:
    """Return skeleton, factor to mm and space from the facts of a table.

    Raises:
        PredictionError: If one of them is not stated, or contradicts another.
    """
    unstated = [name for name in ("skeleton", "unit", "space") if name not in meta]
    if unstated:
        raise PredictionError(
            f"not stated: {', '.join(unstated)}",
            where=where,
            rule="a table of poses states its skeleton, unit and space",
            fix='add them to its meta, for example {"skeleton": "h36m_17", "unit": "mm", '
            '"space": "camera"}',
        )
    unit, space, skeleton = meta["unit"], meta["space"], meta["skeleton"]
    if unit not in MM_PER_UNIT or (unit == "px") != (space == "image"):
        raise PredictionError(
            f"unit {unit!r} in {space!r} space",
            where=where,
            rule="world and camera space are in mm, cm or m, image space is in px",
        )
    if space not in get_args(Space):
        raise PredictionError(
            f"space {space!r}", where=where, fix=f"one of {', '.join(get_args(Space))}"
        )
    if isinstance(skeleton, str):
        return skeletons.get(skeleton), MM_PER_UNIT[unit], space
    return Skeleton.from_dict(skeleton, where=where), MM_PER_UNIT[unit], space


def _texts(values: ArrayLike) -> NDArray[np.str_]:
    array = np.asarray(values)
    # ids that are numbers are spelled as integers, never as 12.0
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.trunc(array)).all():
        array = array.astype(np.int64)
    return np.asarray(array, dtype=str).reshape(-1)


def _array(values: Any) -> NDArray[np.float64]:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, np.float64)


__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MM_PER_UNIT",
    "PredictionWriter",
    "Predictions",
    "Rules",
    "keys_of_ids",
    "read_facts",
]
