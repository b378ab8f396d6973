"""What importing costs: no optional package, no heavy one where none is needed."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import posepile_torch

# Import names of everything that only an extra brings.
OPTIONAL = (
    "PIL", "av", "cdflib", "dask", "distributed", "ezc3d", "h5py", "lightning", "matplotlib",
    "pandas", "pooch", "pyarrow", "pycocotools", "rerun", "scipy", "smplx", "submitit",
    "threadpoolctl", "torchmetrics", "torchvision",
)  # fmt: skip

# Modules that derive classes from those of an optional package, and are imported by name only.
HOMES_OF_AN_EXTRA = {"posepile_torch.metrics.modules"}


def in_a_fresh_interpreter(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy():
    loaded = in_a_fresh_interpreter(
        "import sys, posepile_torch; print(*{m.partition('.')[0] for m in sys.modules})"
    ).split()
    assert not {"torch", "numpy", "cv2", "barecat", *OPTIONAL} & set(loaded)


def test_every_public_name_resolves():
    for name in posepile_torch.__all__:
        assert getattr(posepile_torch, name) is not None
    assert set(posepile_torch.__all__) <= set(dir(posepile_torch))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        posepile_torch.nothing  # noqa: B018


def test_no_module_needs_an_optional_package_to_be_imported():
    """Every module can be imported while all optional packages are hidden."""
    names = [
        module.name
        for module in pkgutil.walk_packages(posepile_torch.__path__, "posepile_torch.")
        if module.name not in HOMES_OF_AN_EXTRA
    ]
    assert len(names) > 100
    code = f"""
import importlib, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f'{{name}} is hidden', name=name)
sys.meta_path.insert(0, Hidden())
# torch itself looks for some of them; it copes without.
for name in {names!r}:
    importlib.import_module(name)
print(len(sys.modules))
"""
    assert int(in_a_fresh_interpreter(code)) > len(names)


def test_a_missing_package_names_the_extra_that_brings_it():
    from posepile_torch.errors import MissingDependencyError, require

    with pytest.raises(MissingDependencyError, match=r"posepile-torch\[convert\]"):
        require("no_such_package_at_all.part", extra="convert")


def test_every_required_extra_exists():
    """What `require(..., extra=...)` tells people to install can be installed."""
    declared = set(metadata.metadata("posepile-torch").get_all("Provides-Extra") or ())
    named = set()
    for module in pkgutil.walk_packages(posepile_torch.__path__, "posepile_torch."):
        spec = module.module_finder.find_spec(module.name, None)
        source = Path(spec.origin).read_text(encoding="utf-8")
        named |= set(re.findall(r"""require\(\s*"[\w.]+",\s*(?:extra=)?"([\w-]+)"\s*\)""", source))
    assert named
    assert named <= declared
