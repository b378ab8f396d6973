"""Sphinx configuration: Markdown pages, and pages generated from docstrings and from cards.

The pages below ``docs/api`` are written anew at every build, one for each public module and one
for each source, so that nothing can be forgotten. The build needs no network.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
API = HERE / "api"
ROOT = HERE.parent
PACKAGES = {
    "posepile_torch": ROOT / "posepile_torch",
    "posepile_torch.converters": ROOT / "converters",
    "posepile_torch.benchmarks": ROOT / "benchmarks",
}

project = "posepile_torch"
author = "The posepile_torch developers"
project_copyright = author
release = version = metadata.version("posepile-torch")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"posepile_torch {release}"
myst_heading_anchors = 3
# Annotations name types without their module, and two modules may have a type of one name; such a
# name is then printed without being unambiguous as a link, which is no fault of the text.
suppress_warnings = ["ref.python"]

default_role = "code"  # single backticks in a docstring are code, as they are in Markdown
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "show-inheritance": True,
    # A name is documented where it is defined; packages list what they re-export (see below).
    "ignore-module-all": True,
}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of dataclasses are described once, in their class


def setup(app: Sphinx) -> None:
    """Connect the generated pages to the build."""
    app.connect("builder-inited", write_generated_pages)
    app.connect("autodoc-process-docstring", list_exported_names)


def write_generated_pages(app: Sphinx) -> None:
    """Write one page for each public module and each source, below ``docs/api``."""
    from posepile_torch import card_formats, registry

    shutil.rmtree(API, ignore_errors=True)
    (API / "sources").mkdir(parents=True)
    for module in public_modules():
        lines = [module, "=" * len(module), "", f".. automodule:: {module}", ""]
        (API / f"{module}.rst").write_text("\n".join(lines), encoding="utf-8")
    for name in registry.source_names():
        if registry.source_entry(name).distribution == registry.DISTRIBUTION:
            page = card_formats.markdown(registry.load_source(name).card)
            (API / "sources" / f"{name}.md").write_text(page, encoding="utf-8")


def public_modules() -> list[str]:
    """Return the dotted names of all modules that do not begin with an underscore, sorted."""
    found = set()
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                found.add(".".join((package, *parts)))
    return sorted(found)


def list_exported_names(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Append to a package's docstring where its public names are documented."""
    if not isinstance(obj, ModuleType) or not hasattr(obj, "__path__"):
        return
    links = []
    for exported in getattr(obj, "__all__", ()):
        value = getattr(obj, exported)
        home = str(getattr(value, "__module__", ""))
        if isinstance(value, ModuleType):
            links.append(f"- :py:mod:`{exported} <{value.__name__}>`")
        elif home.startswith("posepile_torch") and home != name:
            links.append(f"- :py:obj:`{exported} <{home}.{exported}>`")
    if links:
        lines += ["", "Names to import from here:", "", *links, ""]
