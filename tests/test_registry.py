"""The registry with real, installed-looking plugins in a temporary folder."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from posepile_torch import registry
from posepile_torch.errors import MissingDependencyError, PluginError, UnknownNameError

SOURCE = """
    from types import SimpleNamespace
    from posepile_torch.cards import *

    class Garden:
        native = SimpleNamespace(joints=("pelv",))
        card = Card(
            name="garden", title="Garden", description="People in a garden.",
            tasks=(Task.POSE_2D,), licence=Licence.spdx("MIT", evidence="LICENSE"),
            access=Access.OPEN, citation="garden2026", homepage="https://example.org",
            layout=(RawFilePattern("a.json", RawKind.ANNOTATION),), splits=(Split("train"),),
            units=LengthUnit.PIXEL, world_up=None, visibility=Visibility.NONE,
            bibtex="@misc{garden2026, author={A}, title={Garden}, year={2026}}",
        )

    class GardenConverter:
        source = Garden
        def units(self): ...
        def frames(self, unit): ...

    class PROTOCOL:
        name = "garden/pck"
"""


class Plugins:
    """Writes distributions as an installer leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, code: str, entry_points: str) -> None:
        module = distribution.replace("-", "_")
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Plugins(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("garden_"):
            del sys.modules[name]


def test_builtin_sources_and_converters_belong_together() -> None:
    assert "mannequin" in registry.source_names()
    assert set(registry.converter_names()) <= set(registry.source_names())
    for name in registry.source_names():
        assert registry.source_entry(name).distribution == registry.DISTRIBUTION
        assert registry.load_source(name).card.name == name
    for name in registry.converter_names():
        assert registry.load_converter(name).source is registry.load_source(name)


def test_a_plugin_adds_a_source_a_converter_and_a_protocol(plugins: Plugins) -> None:
    plugins.install(
        "garden-data",
        SOURCE,
        """
        [posepile_torch.sources]
        garden = garden_data:Garden
        [posepile_torch.converters]
        garden = garden_data:GardenConverter
        [posepile_torch.benchmarks]
        garden/pck = garden_data:PROTOCOL
        """,
    )
    assert {"garden", "mannequin"} <= set(registry.source_names())
    assert "garden" in registry.converter_names()
    assert "garden/pck" in registry.protocol_names()
    assert "garden_data" not in sys.modules, "listing must not import"
    assert registry.source_entry("garden") == registry.Entry(
        "garden", "garden_data:Garden", "garden-data"
    )
    assert registry.load_source("garden").card.title == "Garden"
    assert registry.load_converter("garden").source is registry.load_source("garden")
    assert registry.load_protocol("garden/pck").name == "garden/pck"


def test_a_name_claimed_twice_names_both_distributions(plugins: Plugins) -> None:
    points = "[posepile_torch.sources]\ngarden = {0}:Garden\nmannequin = {0}:Garden\n"
    plugins.install("garden-one", SOURCE, points.format("garden_one"))
    plugins.install("garden-two", SOURCE, points.format("garden_two"))
    with pytest.raises(PluginError, match=r"'garden' is declared more than once") as caught:
        registry.load_source("garden")
    assert "garden-one" in str(caught.value)
    assert "garden-two" in str(caught.value)
    with pytest.raises(PluginError, match=r"posepile-torch .*garden-one .*garden-two"):
        registry.load_source("mannequin")
    assert registry.source_names().count("garden") == 1


@pytest.mark.parametrize(
    ("code", "target", "reason"),
    [
        ("1 / 0", ":Garden", "ZeroDivisionError: division by zero"),
        ("import not_there_at_all", ":Garden", "not_there_at_all"),
        ("class Other: pass", ":Garden", "AttributeError"),
        ("class Garden: pass", ":Garden", "no Dataset class with a card"),
        (SOURCE + "\n    del Garden.native", ":Garden", "no native skeleton"),
        (SOURCE.replace('name="garden"', 'name="gardens"'), ":Garden", "named 'gardens'"),
        (SOURCE.replace("units=LengthUnit", "units_=LengthUnit"), ":Garden", "TypeError"),
        (SOURCE.replace('name="garden"', 'name="Garden"'), ":Garden", "CardError"),
        (SOURCE, "", "no Dataset class with a card"),
    ],
)
def test_a_broken_plugin_is_named_and_the_rest_works(
    plugins: Plugins, code: str, target: str, reason: str
) -> None:
    points = f"[posepile_torch.sources]\ngarden = garden_broken{target}\n"
    plugins.install("garden-broken", code, points)
    good = SOURCE.replace('name="garden"', 'name="park"')
    plugins.install("garden-good", good, "[posepile_torch.sources]\npark = garden_good:Garden\n")
    with pytest.raises(PluginError) as caught:
        registry.load_source("garden")
    assert "distribution 'garden-broken'" in str(caught.value)
    assert reason in caught.value.what
    assert {"garden", "mannequin", "park"} <= set(registry.source_names())
    assert registry.load_source("park").card.name == "park"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def GardenConverter(root): ...", "no class with the methods"),
        (SOURCE.replace("source = Garden", "source = None"), "its source does not fit"),
        (SOURCE.replace("def frames", "def frame"), "no class with the methods"),
    ],
)
def test_a_broken_converter_is_named(plugins: Plugins, code: str, reason: str) -> None:
    points = "[posepile_torch.converters]\ngarden = garden_conv:GardenConverter\n"
    plugins.install("garden-conv", code, points)
    with pytest.raises(PluginError, match=reason):
        registry.load_converter("garden")


def test_a_protocol_bears_its_name(plugins: Plugins) -> None:
    points = "[posepile_torch.benchmarks]\ngarden/auc = garden_bench:PROTOCOL\n"
    plugins.install("garden-bench", SOURCE, points)
    with pytest.raises(PluginError, match="it is named 'garden/pck'"):
        registry.load_protocol("garden/auc")


def test_a_missing_extra_of_a_plugin_speaks_for_itself(plugins: Plugins) -> None:
    code = """
    from posepile_torch.errors import require
    require("not_there_at_all", extra="convert")
    """
    plugins.install("garden-lazy", code, "[posepile_torch.converters]\ngarden = garden_lazy:X\n")
    with pytest.raises(MissingDependencyError, match=r"posepile-torch\[convert\]"):
        registry.load_converter("garden")


@pytest.mark.parametrize(
    "load", [registry.load_source, registry.load_converter, registry.source_entry]
)
def test_near_misses_are_listed(load: object) -> None:
    with pytest.raises(UnknownNameError, match="did you mean mannequin"):
        load("manequin")  # type: ignore[operator]
    with pytest.raises(UnknownNameError, match="unknown protocol"):
        registry.load_protocol("nothing")


def test_names_are_known_without_importing_anything_heavy() -> None:
    code = """
    import sys
    from posepile_torch import registry
    assert registry.source_names() and registry.converter_names()
    heavy = {"torch", "numpy", "cv2", "posepile_torch.sources", "posepile_torch.converters"}
    sys.exit(", ".join(sorted(heavy & set(sys.modules))) or None)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_the_code_of_the_documentation_runs() -> None:
    page = Path(__file__).parent.parent / "docs" / "cards.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/cards.md", "exec"), {})
