"""What body models cost, beside smplx.

    python perf/body.py [--bodies 256] [--memory-bodies 4096] [--rounds 7]

SMPL with fabricated numbers of the true shapes, float32, no gradients, two threads. The candidates
take turns in one process; ratios are medians over paired rounds. Peak memory is measured in one
fresh process for each, imports and result included.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "body"))
import body_toys

from posepile_torch.body import BodyModel, load_body_model

BACKENDS = ("smplx", "own")


def run(model: BodyModel, backend: str, count: int) -> None:
    """Compute the vertices of ``count`` bodies; smplx in one batch, as it is used."""
    random = torch.Generator().manual_seed(0)
    pose, betas = (torch.randn(count, n, generator=random) * 0.3 for n in (72, 10))
    with torch.no_grad():
        if backend == "own":
            model.vertices(pose, betas)
        else:
            model._module(
                global_orient=pose[:, :3],
                body_pose=pose[:, 3:],
                betas=betas,
                transl=torch.zeros(count, 3),
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=256)
    parser.add_argument("--memory-bodies", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--child", nargs=2, metavar=("BACKEND", "FILE"))
    options = parser.parse_args()
    torch.set_num_threads(2)
    if options.child:
        backend, path = options.child
        run(load_body_model("smpl", path=path, backend=backend), backend, options.memory_bodies)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = body_toys.write(Path(folder) / "SMPL_NEUTRAL.pkl")
        models = {name: load_body_model("smpl", path=path, backend=name) for name in BACKENDS}
        times: dict[str, list[float]] = {name: [] for name in BACKENDS}
        for _ in range(options.rounds + 1):
            for name in BACKENDS:
                start = time.perf_counter()
                run(models[name], name, options.bodies)
                times[name].append(time.perf_counter() - start)
        for name in BACKENDS:
            print(f"{name:6s} {statistics.median(times[name][1:]) * 1000:8.1f} ms")
        pairs = zip(times["smplx"][1:], times["own"][1:], strict=True)
        print(f"own is {statistics.median(a / b for a, b in pairs):.2f} times as fast")
        command = [sys.executable, __file__, "--memory-bodies", str(options.memory_bodies)]
        peaks = {
            name: float(
                subprocess.check_output([*command, "--child", name, str(path)]).split()[-1]
            )  # smplx prints warnings before it
            for name in BACKENDS
        }
        print(*(f"{name} {mib:.0f} MiB;" for name, mib in peaks.items()))
        print(f"memory: {peaks['own'] / peaks['smplx']:.2f} of smplx")


if __name__ == "__main__":
    main()
