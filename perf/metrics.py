"""What metrics cost, beside the usual ways of computing them.

    python perf/metrics.py [--poses 100000] [--loop-poses 4000] [--rounds 5]

PA-MPJPE of 17-joint poses in NumPy arrays, for which every evaluation script has a loop with one
singular value decomposition per pose. Everything runs in this process; the candidates take turns,
and the ratios are medians over paired rounds, of process CPU time and of wall time. The loop runs
on ``--loop-poses`` of the poses and its time is scaled up: it is linear in their number.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from posepile_torch.metrics import pa_mpjpe

Poses = NDArray[np.float64]

# A standing person, mm: pelvis, right and left leg, spine, neck, head, left and right arm.
STANDING = np.array(
    [
        (0, 0, 0), (-130, 0, -20), (-140, 20, -450), (-145, 0, -880), (130, 0, -20),
        (140, 20, -450), (145, 0, -880), (0, -10, 230), (0, 0, 480), (0, 50, 560), (0, 30, 680),
        (150, 0, 450), (230, 20, 180), (250, 100, -40), (-150, 0, 450), (-230, 20, 180),
        (-250, 100, -40),
    ],
    dtype=float,
)  # fmt: skip


def make_poses(count: int) -> tuple[Poses, Poses]:
    """Make people who stand, lean and stretch, and predictions some 50 mm off."""
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(count, 3, 3)))[0]
    moved = STANDING + random.normal(size=(count, 17, 3)) * random.uniform(10, 200, (count, 1, 1))
    truth = moved @ axes + random.normal(size=(count, 1, 3)) * 2000
    return truth + random.normal(size=truth.shape) * 35, truth


def one_svd_per_pose(pred: Poses, truth: Poses) -> float:
    """Average the errors of poses that are aligned one by one, as evaluation scripts do."""
    errors = []
    for source, target in zip(pred, truth, strict=True):
        source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
        p, g = source - source_mean, target - target_mean
        U, values, Vt = np.linalg.svd(p.T @ g)
        sign = np.eye(3)
        sign[-1, -1] = np.sign(np.linalg.det(U @ Vt))
        rotation = Vt.T @ sign @ U.T
        scale = (values * np.diag(sign)).sum() / (p**2).sum()
        aligned = scale * source @ rotation.T + (target_mean - scale * rotation @ source_mean)
        errors.append(np.sqrt(((aligned - target) ** 2).sum(axis=1)).mean())
    return float(np.mean(errors))


def timed(run: Callable[[], float]) -> tuple[float, float]:
    """Return the CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def procrustes(count: int, loop_count: int, rounds: int) -> None:
    """Measure PA-MPJPE and print it beside the loop."""
    pred, truth = make_poses(count)
    few = min(loop_count, count)
    difference = pa_mpjpe(pred[:few], truth[:few]) - one_svd_per_pose(pred[:few], truth[:few])
    loop, ours = [], []
    for _ in range(rounds):
        cpu, wall = timed(lambda: one_svd_per_pose(pred[:few], truth[:few]))
        loop.append((cpu * count / few, wall * count / few))
        ours.append(timed(lambda: float(pa_mpjpe(pred, truth))))
    print(f"PA-MPJPE of {count} poses of 17 joints, loop timed on {few}; {difference:+.1e} mm")
    print(f"{'':24s}{'CPU s':>9s}{'wall s':>9s}")
    for name, times in (("one SVD per pose", loop), ("posepile_torch", ours)):
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:24s}{cpu:9.3f}{wall:9.3f}")
    ratios = [
        statistics.median(a[k] / b[k] for a, b in zip(loop, ours, strict=True)) for k in (0, 1)
    ]
    print(f"{'times faster':24s}{ratios[0]:9.1f}{ratios[1]:9.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", type=int, default=100_000)
    parser.add_argument("--loop-poses", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    procrustes(options.poses, options.loop_poses, options.rounds)


if __name__ == "__main__":
    main()
