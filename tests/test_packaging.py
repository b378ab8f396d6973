"""The wheel holds every package of the source tree, and the data files beside them."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "setuptools"
]


def test_every_package_is_listed():
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for init in (ROOT / "posepile_torch").rglob("__init__.py")
    }
    mapped = {name for name in SETTINGS["package-dir"] if "." in name}
    assert set(SETTINGS["packages"]) == found | mapped
    for name, folder in SETTINGS["package-dir"].items():
        assert (ROOT / folder / "__init__.py").is_file(), name


def test_every_data_file_is_taken_along():
    patterns = SETTINGS["package-data"]["posepile_torch"]
    others = [
        path.relative_to(ROOT / "posepile_torch")
        for path in (ROOT / "posepile_torch").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert others
    for path in others:
        assert any(path.match(pattern) for pattern in patterns), path
        assert len(path.parts) == 1, path
