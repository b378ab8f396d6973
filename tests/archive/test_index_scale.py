import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "index_scale.py"


@pytest.mark.slow
def test_a_million_rows_add_no_private_memory_to_workers(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--rows", "1000000", "--peer-rows", "50000",
         "--scratch", str(tmp_path), "--json"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["index"]["rows"] == 1_000_000
    assert results["index"]["private_mb_per_worker"] < 30
    assert [peer["way"] for peer in results["peers"]] == ["path list", "sqlite"]
    for peer in results["peers"]:
        assert peer["rows"] == results["index at peer rows"]["rows"] == 50_000
        assert results["ratios"][peer["way"]]["us_per_row"] > 0
    path_list = results["peers"][0]
    assert path_list["private_mb_per_worker"] > 1  # the measurement does see copied pages
    table = runpy.run_path(str(SCRIPT))["report"](results)
    assert "sqlite / index, same rows" in table
    assert "1,000,000" in table
