"""The memory of the process that runs a conversion does not grow with the number of records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = """
import json, resource, sys
from pathlib import Path
import conversion_toys as toys
from posepile_torch.convert.run import convert

raw, out, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def rss():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()

seen = []

def look(state):
    seen.append((state.stage, state.done, rss()))

converter = toys.ToyConverter(raw, note="tiny")
plan = converter.plan.replaced(full_frame=True)
report = convert(converter, out, plan=plan, executor=kind, jobs=2, progress=look)
print(json.dumps({"records": report.records, "seen": seen}))
"""


def watched(raw, out, kind):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(raw), str(out), kind], cwd=HERE, capture_output=True,
        text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_memory_stays_flat_over_twenty_thousand_records(tmp_path):
    sys.path.insert(0, str(HERE))
    import conversion_toys as toys

    raw = toys.write_raw(tmp_path / "raw", units=200, frames=100)
    result = watched(raw, tmp_path / "out", "inline")
    assert result["records"] == 20_000
    for stage in ("units", "archive"):
        sizes = [(done, size) for name, done, size in result["seen"] if name == stage]
        early = max(size for done, size in sizes if done <= 40)
        late = max(size for done, size in sizes if done >= 160)
        assert late - early < 24e6, (stage, early, late)
