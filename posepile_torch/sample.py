"""What a training loop sees: one :class:`Sample`, and the :class:`Batch` made of many.

A sample is a record decoded into one square image, with everything in the frame of the camera
that took that image: x right, y down, z forward, millimetres; pixel centres at integers. Arrays
are NumPy in a sample and torch in a batch. Numbers are always finite: what a source does not know
is zero *and* masked, never zero alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import PosepileError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """One person in one image, ready for training; what every source can give.

    Attributes:
        image: ``[S, S, 3]`` RGB uint8.
        joints2d: ``[J, 2]`` float32 pixels; zero where not :attr:`known`.
        known: ``[J]`` bool: the 2D position is labelled.
        visible: ``[J]`` int8: -1 unknown, 0 occluded, 1 visible.
        in_view: ``[J]`` bool: known and inside the image.
        box: ``[x, y, w, h]`` of the person, float32 pixels of this image.
        has_camera: Whether :attr:`camera` is a real calibration or a stand-in.
        camera: Camera of this image: square pinhole, ``projects joints3d onto joints2d``.
        source: Name of the source.
        row: Row in the source's archive.
        id: Id of the record, which leads back to the raw file.
    """

    image: NDArray[np.uint8]
    joints2d: NDArray[np.float32]
    known: NDArray[np.bool_]
    visible: NDArray[np.int8]
    in_view: NDArray[np.bool_]
    box: NDArray[np.float32]
    has_camera: bool
    camera: Camera
    source: str
    row: int
    id: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample2D(Sample):
    """A sample of a source with 2D labels only."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample3D(Sample):
    """A sample with metric 3D joints.

    Attributes:
        joints3d: ``[J, 3]`` float32 millimetres in the frame of the image's camera, absolute;
            zero where not :attr:`known3d`.
        known3d: ``[J]`` bool: the 3D position is labelled.
    """

    joints3d: NDArray[np.float32]
    known3d: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Many samples of one image size and one skeleton, as torch tensors.

    Attributes:
        image: ``[B, 3, S, S]`` uint8 RGB.
        joints2d: ``[B, J, 2]`` float32 pixels.
        joints3d: ``[B, J, 3]`` float32 millimetres in the image's camera frame; zero, and masked
            by :attr:`known3d`, for samples without 3D labels.
        known: ``[B, J]`` bool.
        known3d: ``[B, J]`` bool.
        visible: ``[B, J]`` int8: -1 unknown, 0 occluded, 1 visible.
        in_view: ``[B, J]`` bool.
        box: ``[B, 4]`` float32.
        K: ``[B, 3, 3]`` float32 intrinsic matrices.
        rotation_to_world: ``[B, 3, 3]`` float32: turns camera-frame vectors into world axes.
        camera_position: ``[B, 3]`` float64 optical centres in world millimetres. World
            coordinates can be kilometres: ``world = rotation_to_world @ joint + camera_position``
            is exact only in float64.
        has_camera: ``[B]`` bool.
        source: Names of the sources, one per sample.
        row: ``[B]`` int64 rows in the sources' archives.
        id: Ids of the records.
    """

    image: torch.Tensor
    joints2d: torch.Tensor
    joints3d: torch.Tensor
    known: torch.Tensor
    known3d: torch.Tensor
    visible: torch.Tensor
    in_view: torch.Tensor
    box: torch.Tensor
    K: torch.Tensor
    rotation_to_world: torch.Tensor
    camera_position: torch.Tensor
    has_camera: torch.Tensor
    source: tuple[str, ...]
    row: torch.Tensor
    id: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.id)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch with all tensors on ``device``."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory; DataLoader calls this by itself."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, change: Any) -> Self:
        changed = {
            field.name: change(value)
            for field in dataclasses.fields(self)
            if not isinstance(value := getattr(self, field.name), tuple)
        }
        return dataclasses.replace(self, **changed)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch; pass it to DataLoader as ``collate_fn``.

    Samples with and without 3D labels may be mixed; what a sample lacks is masked. All must share
    image size and number of joints.
    """
    import torch

    if not samples:
        raise PosepileError("no samples to collate", fix="pass at least one sample")
    first = samples[0]
    for sample in samples:
        if sample.image.shape != first.image.shape or sample.known.shape != first.known.shape:
            raise PosepileError(
                f"samples differ in shape: image {sample.image.shape} with {len(sample.known)} "
                f"joints beside image {first.image.shape} with {len(first.known)} joints",
                where=f"{sample.source} row {sample.row}, {first.source} row {first.row}",
                rule="a batch has one image size and one skeleton",
                fix="give all sources the same skeleton= and the same recipe side",
            )

    def stacked(arrays: list[NDArray[Any]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays))

    joints = len(first.known)
    no_joints3d = np.zeros((joints, 3), np.float32)
    unknown = np.zeros(joints, np.bool_)
    images = np.stack([sample.image for sample in samples]).transpose(0, 3, 1, 2)
    return Batch(
        image=torch.from_numpy(np.ascontiguousarray(images)),
        joints2d=stacked([s.joints2d for s in samples]),
        joints3d=stacked([getattr(s, "joints3d", no_joints3d) for s in samples]),
        known=stacked([s.known for s in samples]),
        known3d=stacked([getattr(s, "known3d", unknown) for s in samples]),
        visible=stacked([s.visible for s in samples]),
        in_view=stacked([s.in_view for s in samples]),
        box=stacked([s.box for s in samples]),
        K=stacked([s.camera.K.astype(np.float32) for s in samples]),
        rotation_to_world=stacked([s.camera.R.T.astype(np.float32) for s in samples]),
        camera_position=stacked([s.camera.t for s in samples]),
        has_camera=torch.tensor([s.has_camera for s in samples]),
        source=tuple(s.source for s in samples),
        row=torch.tensor([s.row for s in samples], dtype=torch.int64),
        id=tuple(s.id for s in samples),
    )
