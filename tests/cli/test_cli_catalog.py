"""``posepile list`` and ``posepile info`` over toy sources, with and without archives."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from posepile_torch import card_formats, registry
from posepile_torch.archive import ArchiveHeader, ArchiveWriter
from posepile_torch.cards import (
    Access,
    Card,
    Hints,
    LengthUnit,
    Licence,
    PhotometricFix,
    Quirk,
    RawFilePattern,
    RawKind,
    Sizes,
    Split,
    Task,
    Visibility,
)
from posepile_torch.citations import parse_bibtex
from posepile_torch.cli import main
from posepile_torch.images import encode_jpeg
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton

SKELETON = Skeleton.parse("toy", joints="pelv rhip lhip", edges="pelv-rhip,pelv-lhip")
GARDEN = Card(
    name="garden",
    title="Garden | People",
    description="Two people in a garden, [bold] and filmed by three cameras.",
    tasks=(Task.POSE_3D, Task.VIDEO),
    licence=Licence.spdx("CC-BY-NC-4.0", evidence="README of the download, 2026-01-05"),
    access=Access.FORM,
    citation="doe2020garden",
    homepage="https://example.org/garden",
    paper="https://example.org/garden.pdf",
    release="2.1",
    download_steps=("Sign the form.", "Unpack labels.zip and videos.zip side by side."),
    layout=(
        RawFilePattern("labels.json", RawKind.ANNOTATION, origin="labels.zip"),
        RawFilePattern("{fold:train|val}/videos/{clip}.mp4", RawKind.VIDEO, note="50 Hz"),
        RawFilePattern("{fold:train|val}/masks/**/{i:06d}.png", RawKind.MASK, required=False),
    ),
    splits=(
        Split("train", images=1000, people=1530),
        Split("val", people=20, note="official validation"),
        Split("test", labelled=False),
    ),
    units=LengthUnit.METRE,
    world_up=(0.0, -1.0, 0.0),
    visibility=Visibility.ANNOTATED,
    visibility_note="0 is occluded",
    quirks=(Quirk("clip 3 is upside down", "videos/3.mp4", "https://example.org/3"),),
    hints=Hints(has_mask=True, photometric=(PhotometricFix(0.67, (110.0, 145.0), ("3",)),)),
    sizes=Sizes(raw_bytes=2_400_000_000, subjects=2),
    bibtex=(
        "@article{doe2020garden, author={Doe, Jane and {Garden Group}}, title={Garden}, "
        "journal={Journal of Gardens}, year={2020}}"
    ),
)
STREET = dataclasses.replace(
    GARDEN,
    name="street",
    title="Street",
    tasks=(Task.POSE_2D,),
    licence=Licence.unknown(evidence="nothing on the site"),
    access=Access.OPEN,
    paper=None,
    release="",
    download_steps=(),
    layout=(RawFilePattern("labels.json", RawKind.ANNOTATION),),
    splits=(Split("train"),),
    units=LengthUnit.PIXEL,
    world_up=None,
    visibility_note="",
    quirks=(),
    hints=Hints(),
    sizes=Sizes(),
)
ROOM = dataclasses.replace(
    STREET,
    name="room",
    title="Room",
    tasks=(Task.POSE_3D,),
    licence=Licence.spdx("MIT", evidence="LICENSE"),
    access=Access.SYNTHETIC,
    units=LengthUnit.MILLIMETRE,
    world_up=(0.0, 0.0, 1.0),
)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("toy_sources")
    targets = {}
    for card in (GARDEN, STREET, ROOM):
        setattr(module, card.name, type(card.title, (), {"card": card, "native": SKELETON}))
        targets[card.name] = f"toy_sources:{card.name}"
    monkeypatch.setitem(sys.modules, "toy_sources", module)
    monkeypatch.setattr(
        registry, "_SOURCE", dataclasses.replace(registry._SOURCE, builtin=targets)
    )


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archives")
    header = ArchiveHeader(
        source="garden", skeleton=SKELETON, card_digest=GARDEN.digest, converter_version="3"
    )
    size = (16, 8)
    with ArchiveWriter(root, "garden", header=header) as writer:
        writer.add_image("0.jpg", encode_jpeg(np.zeros((*size[::-1], 3), np.uint8)))
        for person in range(2):
            record = Record(
                id=f"0_{person}",
                split="train",
                image_key="0.jpg",
                image_size=size,
                box=np.array([0.0, 0, 4, 4]),
                joints2d=np.ones((3, 2)),
            )
            writer.add(record)
        writer.skip("too small", "person 3")
        writer.publish()
    (root / "street").mkdir()
    return root


@pytest.fixture
def root(archives: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(archives, tmp_path / "archives"))


def posepile(*arguments: object) -> Any:
    return CliRunner().invoke(main.build_app(), [str(argument) for argument in arguments])


def listed(*arguments: object) -> list[str]:
    result = posepile(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return [source["name"] for source in json.loads(result.stdout)["sources"]]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["garden", "room", "street"]),
        (["--task", "3d"], ["garden", "room"]),
        (["--task", "3d", "--task", "video"], ["garden"]),
        (["--task", "dense"], []),
        (["--access", "open"], ["street"]),
        (["--access", "open", "--access", "form"], ["garden", "street"]),
        (["--licence", "commercial"], ["room"]),
        (["--licence", "redistribution"], ["garden", "room"]),
        (["--licence", "unknown"], ["street"]),
        (["--licence", "MIT"], ["room"]),
        (["--licence", "CC-*"], ["garden"]),
        (["--licence", "CC-*", "--licence", "commercial"], []),
        (["--licence", "LicenseRef-Unknown"], ["street"]),
        (["--converted"], ["garden"]),
        (["--not-converted"], ["room", "street"]),
        (["--task", "3d", "--not-converted"], ["room"]),
    ],
)
def test_list_filters(root: Path, filters: list[str], names: list[str]) -> None:
    assert listed("--root", root, "list", *filters) == names


def test_list_is_a_table_with_one_line_a_source(root: Path) -> None:
    result = posepile("--root", root, "list")
    assert result.stderr == ""
    header, garden, room, street = (line.split() for line in result.stdout.splitlines())
    assert header[:5] == ["Name", "Tasks", "Access", "Licence", "Commercial"]
    assert garden == ["garden", "3d,", "video", "form", "CC-BY-NC-4.0", "no", "yes", "3"] + [
        "1,550",
        "2.4",
        "GB",
    ]
    assert room[:6] == ["room", "3d", "synthetic", "MIT", "yes", "no"]
    assert street[3:6] == ["LicenseRef-Unknown", "unknown", "no"]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["list", "--licence", "comercial"], "did you mean commercial"),
        (["list", "--task", "4d"], "4d"),
        (["info", "gardn"], "did you mean garden"),
        (["info", "garden", "--json", "--bibtex"], "--json, --bibtex"),
    ],
)
def test_slips_on_the_command_line_are_usage_errors(arguments: list[str], hint: str) -> None:
    result = posepile(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert hint in result.stderr


def test_a_broken_plugin_does_not_hide_the_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "garden", "other:Garden"

        class dist:
            name = "garden-fork"

    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [Point])
    result = posepile("list", "--json")
    assert result.exit_code == 0
    written = json.loads(result.stdout)
    assert [source["name"] for source in written["sources"]] == ["room", "street"]
    assert "garden-fork" in written["problems"][0]
    assert "warning: the source 'garden' is declared more than once" in result.stderr
    assert posepile("info", "garden").exit_code == 1
    assert posepile("info", "room").exit_code == 0


def test_info_says_everything(root: Path) -> None:
    result = posepile("--root", root, "info", "garden")
    assert result.exit_code == 0, result.stderr
    for text in [
        "Garden | People  (garden)",
        "[bold] and filmed by three cameras.",
        "CC-BY-NC-4.0",
        "README of the download, 2026-01-05",
        "https://spdx.org/licenses/CC-BY-NC-4.0.html",
        "Sign the form.",
        "{clip}.mp4  video; 50 Hz",
        "{i:06d}.png  mask, optional",
        "1,000 images; 1,530 people",
        "labels withheld",
        "annotated: 0 is occluded",
        "gamma 0.67, white balance [110.0, 145.0]; to be applied by the loader",
        "clip 3 is upside down",
        "Jane Doe, Garden Group: Garden. Journal of Gardens, 2020.",
        "2 (train 2, val 0, test 0)",
        "too small 1",
        "the one shown here",
    ]:
        assert text in result.stdout, text
    assert result.stdout.count("{fold:train|val}/") == 1, "a folder stands in the tree once"
    assert "Archive\n" not in posepile("--root", root, "info", "room").stdout


def test_info_as_json(root: Path) -> None:
    written = json.loads(posepile("--root", root, "info", "garden", "--json").stdout)
    assert written["digest"] == GARDEN.digest
    assert written["licence"]["commercial"] is False
    assert written["joints"] == 3
    assert written["archive"]["records"] == 2
    assert written["archive"]["images"] == 1
    assert written["archive"]["skipped"] == {"too small": 1}
    assert written["archive"]["card_is_current"] is True
    assert json.loads(posepile("info", "room", "--json").stdout)["archive"] is None


def test_info_says_when_the_card_has_changed_since(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = dataclasses.replace(GARDEN, release="3.0")
    monkeypatch.setattr(sys.modules["toy_sources"].garden, "card", changed)
    assert "another version of this card" in posepile("--root", root, "info", "garden").stdout


def test_info_reports_an_edited_manifest_and_still_shows_the_card(root: Path) -> None:
    path = root / "garden" / "manifest.json"
    path.write_text(path.read_text().replace('"too small"', '"too tall"'))
    result = posepile("--root", root, "info", "garden")
    assert result.exit_code == 1
    assert "Sign the form." in result.stdout
    assert "was edited" in result.stderr
    written = json.loads(posepile("--root", root, "info", "garden", "--json").stdout)
    assert written["archive"] is None
    assert "was edited" in written["archive_problem"]


def test_info_as_bibtex_and_markdown() -> None:
    written = posepile("info", "garden", "--bibtex").stdout
    assert list(parse_bibtex(written, where="stdout")) == ["doe2020garden"]
    page = posepile("info", "garden", "--markdown").stdout
    assert page.startswith("# Garden | People\n\nTwo people")
    assert written in page
    for heading in ("Licence", "How to get it", "Raw files", "Splits", "Quirks", "Citation"):
        assert f"\n## {heading}\n" in page
    assert "1. Sign the form.\n2. Unpack" in page
    assert "- `{fold:train|val}/videos/{clip}.mp4` (video): 50 Hz\n" in page
    assert "None known." in posepile("info", "street", "--markdown").stdout


def test_info_as_croissant() -> None:
    written: dict[str, Any] = json.loads(posepile("info", "garden", "--croissant").stdout)
    # What the specification requires of every dataset, and its recommended context.
    assert written["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert written["@context"]["conformsTo"] == "dct:conformsTo"
    assert written["@context"]["@vocab"] == "https://schema.org/"
    assert written["@context"]["recordSet"] == "cr:recordSet"
    assert written["@type"] == "sc:Dataset"
    assert written["name"] == "Garden | People"
    assert written["description"] == GARDEN.description
    assert written["license"] == "https://spdx.org/licenses/CC-BY-NC-4.0.html"
    assert written["url"] == "https://example.org/garden"
    assert written["datePublished"] == "2020"
    assert written["creator"] == [
        {"@type": "sc:Person", "name": "Jane Doe"},
        {"@type": "sc:Organization", "name": "Garden Group"},
    ]
    assert written["version"] == "2.1"
    assert list(parse_bibtex(written["citeAs"], where="citeAs")) == ["doe2020garden"]
    files = written["distribution"]
    assert [file["@type"] for file in files] == ["cr:FileSet"] * 3
    assert [file["includes"] for file in files] == [
        "labels.json",
        "*/videos/*.mp4",
        "*/masks/**/*.png",
    ]
    assert [file["encodingFormat"] for file in files] == [
        "application/json",
        "video/mp4",
        "image/png",
    ]
    (splits,) = written["recordSet"]
    assert splits["dataType"] == "cr:Split"
    fields = {field["@id"] for field in splits["field"]}
    assert splits["key"]["@id"] in fields
    assert all(set(row) == fields for row in splits["data"])
    assert [row["splits/url"] for row in splits["data"]] == [
        "cr:TrainingSplit",
        "cr:ValidationSplit",
        "cr:TestSplit",
    ]
    identifiers = [written["@id"], *(part["@id"] for part in [*files, splits]), *fields]
    assert len(set(identifiers)) == len(identifiers)


def test_croissant_of_unknown_terms_makes_no_address_up() -> None:
    described = card_formats.croissant(STREET)
    assert described["license"]["@type"] == "sc:CreativeWork"
    assert described["license"]["name"] == "LicenseRef-Unknown"
    assert {"version", "subjectOf"}.isdisjoint(described)


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [
        (None, "", "unknown"),
        (0, "", "0"),
        (1530, "", "1,530"),
        (999, "B", "999 B"),
        (1000, "B", "1 kB"),
        (2_400_000_000, "B", "2.4 GB"),
        (5 * 10**15, "B", "5 PB"),
    ],
)
def test_sizes_for_people(count: int | None, unit: str, text: str) -> None:
    assert card_formats.size_text(count, unit) == text
