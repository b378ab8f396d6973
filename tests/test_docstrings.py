"""Every public name says what it is. Sources are parsed, so no extra has to be installed."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "posepile_torch": ROOT / "posepile_torch",
    "posepile_torch.converters": ROOT / "converters",
    "posepile_torch.benchmarks": ROOT / "benchmarks",
}
OPTIONAL = {"av", "cdflib", "ezc3d", "h5py", "matplotlib", "PIL", "pooch", "scipy", "torchmetrics"}
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def module_files() -> dict[str, Path]:
    """All modules by dotted name, private ones left out."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                found[".".join((package, *parts))] = path
    return found


MODULES = module_files()


def public_definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    """Classes, functions and methods that a user can call, with their dotted names."""
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if decorators & {"overload", "typing.overload", f"{node.name}.setter", "override"}:
            continue
        yield f"{prefix}.{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, f"{prefix}.{node.name}")


def exported_names(tree: ast.Module) -> set[str]:
    """What a module lists in ``__all__``."""
    lists = [
        [item.value for item in ast.walk(node.value) if isinstance(item, ast.Constant)]
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {name for names in lists for name in names}


# A constant is for users if its own module, or a package above it, offers it by name.
OFFERED = set().union(*(exported_names(ast.parse(path.read_text())) for path in MODULES.values()))


def undocumented_constants(tree: ast.Module, lines: list[str]) -> Iterator[str]:
    """Values bound at module level with no text below and no comment above or behind.

    Names for types (``Floats = NDArray[np.float64]``) say what they are by themselves.
    """
    for node, after in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if not names or isinstance(node.value, ast.Subscript | ast.BinOp):
            continue
        below = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        above = lines[node.lineno - 2].startswith("#")
        behind = "  # " in lines[node.lineno - 1] or "  # " in lines[node.end_lineno - 1]
        if not below and not above and not behind:
            yield from names


def test_all_modules_are_found() -> None:
    expected = {"posepile_torch", "posepile_torch.cli.main", "posepile_torch.converters"}
    assert expected <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_of_a_module_is_documented(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    tree = ast.parse(text)
    wrong = []
    if not (ast.get_docstring(tree) or "").strip():
        wrong.append(f"{module} has no docstring")
    for name, node in public_definitions(tree.body, module):
        first = (ast.get_docstring(node) or "").split("\n")[0]
        # A first line that goes on in the second is cut in every listing.
        if not re.fullmatch(r"\S.*[.:?!]", first):
            wrong.append(f"{name} begins with {first!r}, not with one full sentence")
    wrong += [
        f"{module}.{name} has no text below it and no comment"
        for name in undocumented_constants(tree, text.split("\n"))
        if name in OFFERED
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", [m for m, path in MODULES.items() if path.stem == "__init__"])
def test_every_exported_name_exists_and_is_documented(package: str) -> None:
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"{package}.{name}"


def test_the_check_itself_finds_what_is_missing() -> None:
    text = '''
"""A module."""
GOOD = 1
"""Documented."""
#: Documented as well.
ALSO_GOOD: int = 2
Alias = dict[str, int] | None
BEHIND = 3  # documented
BAD = 3
__all__ = ["GOOD"]

def bare(): ...
def cut():
    """This line goes
    on."""
class Full:
    """A class."""
    def method(self): ...
    def _hidden(self): ...
    @property
    def field(self):
        """A field."""
'''
    tree = ast.parse(text)
    assert list(undocumented_constants(tree, text.split("\n"))) == ["BAD", "__all__"]
    assert exported_names(tree) == {"GOOD"}
    found = dict(public_definitions(tree.body, "m"))
    assert list(found) == ["m.bare", "m.cut", "m.Full", "m.Full.method", "m.Full.field"]
