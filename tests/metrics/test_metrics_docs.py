"""The page about metrics: its examples run, and it names what is there."""

import re
from pathlib import Path

import pytest

from posepile_torch import metrics

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_examples_run():
    variables: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "metrics.md", "exec"), variables)
    assert len(variables["variants"]) == 14
    counted = variables["counted"]
    assert counted.n_missing == 1
    assert counted.fraction == 1699 / 1700


MODULES = [
    *("aggregation", "alignment", "bones", "image2d", "joints", "oks", "orientation"),
    *("silhouettes", "smoothing", "streaming", "temporal", "thresholds", "units"),
    *("vertices", "world"),
]


@pytest.mark.parametrize("module", MODULES)
def test_every_function_is_on_the_page(module):
    home = f"posepile_torch.metrics.{module}"
    names = [n for n in metrics.__all__ if getattr(getattr(metrics, n), "__module__", "") == home]
    assert names
    for name in names:
        assert re.search(rf"\b{name}\b", PAGE), name
