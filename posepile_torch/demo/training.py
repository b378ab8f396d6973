"""A network small enough for a minute of CPU, to show that the data teach something."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from posepile_torch.metrics import mpjpe
from posepile_torch.sample import Batch, collate
from posepile_torch.sources.base import Source3D


class SmallPoseNet(nn.Module):
    """Strided convolutions and one linear layer: image in, root-relative joints out.

    Output is ``[B, J, 3]`` in millimetres, in the frame of the image's camera, relative to the
    joint ``root``.
    """

    def __init__(self, n_joints: int, root: int, mean_pose: Tensor) -> None:
        super().__init__()
        self.root = root
        self.mean_pose = nn.Buffer(mean_pose)
        widths = (3, 32, 64, 96, 128)
        blocks: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            # A coarse first layer: three quarters of the work would be in the finest maps.
            size, stride = (7, 4) if before == 3 else (3, 2)
            blocks += [
                nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*blocks)
        last = nn.Linear(256, 3 * n_joints)
        nn.init.zeros_(last.weight)  # so that training begins at the mean pose
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, 256), nn.ReLU(), last)

    def forward(self, image: Tensor) -> Tensor:
        """Predict joints from ``[B, 3, 128, 128]`` uint8 images."""
        pixels = image.float() / 127.5 - 1
        offsets: Tensor = self.head(self.features(pixels)).unflatten(1, (-1, 3))
        joints = self.mean_pose + 100 * offsets  # in steps of 100 mm, so that outputs are near 1
        return joints - joints[:, self.root : self.root + 1]


@dataclass(frozen=True)
class TrainingLog:
    """What happened while training.

    Attributes:
        losses: ``(step, training error in mm)``, averaged over the steps since the last entry.
        steps: Optimiser steps.
        samples: Samples seen.
        seconds: Duration.
    """

    losses: list[tuple[float, float]]
    steps: int
    samples: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions and truth over a whole split, root-relative millimetres.

    Attributes:
        predicted: ``[N, J, 3]``.
        truth: ``[N, J, 3]``.
        known: ``[N, J]``.
    """

    predicted: Tensor
    truth: Tensor
    known: Tensor

    def mpjpe_mm(self, root: int) -> float:
        """Mean per-joint position error after aligning the joint ``root``."""
        return float(mpjpe(self.predicted, self.truth, mask=self.known, root=root))


def mean_pose(dataset: Source3D, root: int) -> Tensor:
    """Average root-relative pose over a split: what a network that learns nothing predicts."""
    total = torch.zeros(len(dataset.skeleton), 3, dtype=torch.float64)
    count = torch.zeros(len(dataset.skeleton), 1, dtype=torch.float64)
    for sample in dataset:
        joints = torch.from_numpy(sample.joints3d).double()
        known = torch.from_numpy(sample.known3d & sample.known3d[root]).unsqueeze(-1)
        total += torch.where(known, joints - joints[root], 0)
        count += known
    return (total / count.clamp(min=1)).float()


def train(
    dataset: Source3D,
    *,
    root: int,
    seconds: float,
    max_epochs: int,
    workers: int,
    progress: Callable[[float, float], None],
    seed: int = 0,
) -> tuple[SmallPoseNet, TrainingLog]:
    """Train until the time or the epochs are used up.

    Args:
        dataset: Training split.
        root: Index of the joint to which poses are relative.
        seconds: Time budget; the learning rate falls to zero over it.
        max_epochs: Passes over the data, at most.
        workers: DataLoader processes.
        progress: Called with the fraction done and the running error in mm.
        seed: Of initialisation and order.
    """
    torch.manual_seed(seed)
    network = SmallPoseNet(len(dataset.skeleton), root, mean_pose(dataset, root))
    loader: DataLoader[Batch] = DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=48,
        shuffle=True,
        drop_last=len(dataset) >= 48,
        collate_fn=collate,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    begin, step, samples, recent = time.perf_counter(), 0, 0, 0.0
    losses: list[tuple[float, float]] = []
    total_steps = max_epochs * len(loader)
    network.train()
    for epoch in itertools.count():
        if _fraction(begin, seconds, step, total_steps) >= 1:
            break
        dataset.epoch = epoch  # other augmentations in each pass
        for batch in loader:
            done = _fraction(begin, seconds, step, total_steps)
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * max(0.02, 1 - done)
            loss = _loss(network, batch)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            step, samples = step + 1, samples + len(batch)
            error_mm = loss.item()
            recent = error_mm if step == 1 else 0.95 * recent + 0.05 * error_mm
            if step % 10 == 0 or step == 1:
                losses.append((float(step), recent))
                progress(min(done, 1.0), recent)
            if done >= 1:
                break
    return network, TrainingLog(losses, step, samples, time.perf_counter() - begin)


def _fraction(begin: float, seconds: float, step: int, total_steps: int) -> float:
    return max((time.perf_counter() - begin) / seconds, step / total_steps)


def _loss(network: SmallPoseNet, batch: Batch) -> Tensor:
    predicted, truth, known = _relative(network, batch)
    distance: Tensor = torch.linalg.vector_norm(predicted - truth, dim=-1)
    return (distance * known).sum() / known.sum().clamp(min=1)


def _relative(network: SmallPoseNet, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    root = network.root
    truth = batch.joints3d - batch.joints3d[:, root : root + 1]
    known = batch.known3d & batch.known3d[:, root : root + 1]
    return network(batch.image), truth, known


@torch.no_grad()
def evaluate(network: SmallPoseNet, dataset: Source3D) -> Evaluation:
    """Predict a whole split, in order."""
    network.eval()
    loader: DataLoader[Batch] = DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=64,
        collate_fn=collate,
    )
    parts = [_relative(network, batch) for batch in loader]
    predicted, truth, known = (torch.cat(column) for column in zip(*parts, strict=True))
    return Evaluation(predicted, truth, known)
