"""Cards and their parts: what a valid one looks like, and every rule that refuses another."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from posepile_torch.citations import builtin_citations, citation_of, parse_bibtex
from posepile_torch.errors import CardError
from posepile_torch.licences import UNKNOWN_ID, spdx_permissions


def make_card(**changes: object) -> Card:
    values: dict[str, object] = {
        "name": "toy-set",
        "title": "Toy Set",
        "description": "Two people in a garden, filmed by three cameras.",
        "tasks": (Task.POSE_3D, Task.VIDEO),
        "licence": Licence.spdx("CC-BY-NC-4.0", evidence="README of the download, 2026-01-05"),
        "access": Access.OPEN,
        "citation": "posepile_torch",
        "homepage": "https://example.org/toy",
        "layout": (RawFilePattern("labels.json", RawKind.ANNOTATION),),
        "splits": (Split("train"), Split("test", labelled=False)),
        "units": LengthUnit.METRE,
        "world_up": (0.0, -1.0, 0.0),
        "visibility": Visibility.NONE,
    }
    return Card(**(values | changes))  # type: ignore[arg-type]


def test_a_card_is_frozen_picklable_and_json() -> None:
    card = make_card(
        quirks=(Quirk("clip 3 is upside down", "clips/3.mp4", "https://example.org/issues/3"),),
        hints=Hints(photometric=(PhotometricFix(0.67, (110.0, 145.0), ("TS1",)),)),
    )
    assert pickle.loads(pickle.dumps(card)) == card
    plain = json.loads(json.dumps(card.to_dict()))
    assert plain["tasks"] == ["3d", "video"]
    assert plain["licence"]["commercial"] is False
    assert plain["hints"]["photometric"][0]["white_balance_ab"] == [110.0, 145.0]
    assert list(plain) == [entry.name for entry in dataclasses.fields(Card)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Three people in a garden."},
        {"world_up": (0.0, 0.0, 1.0)},
        {"sizes": Sizes(subjects=2)},
        {"hints": Hints(has_mask=True)},
        {"splits": (Split("train", people=4), Split("test", labelled=False))},
    ],
)
def test_digest_follows_the_content(change: dict[str, object]) -> None:
    assert make_card().digest == make_card().digest
    assert len(make_card().digest) == 64
    assert make_card(**change).digest != make_card().digest


BROKEN: list[tuple[str, dict[str, object]]] = [
    ("access", {"access": "open"}),
    ("units", {"units": "m"}),
    ("visibility", {"visibility": None}),
    ("tasks", {"tasks": [Task.POSE_3D]}),
    ("tasks", {"tasks": ("4d",)}),
    ("splits", {"splits": Split("train")}),
    ("download_steps", {"download_steps": "Sign the form."}),
    ("name", {"name": "Toy"}),
    ("name", {"name": "toy__set"}),
    ("name", {"name": "toy#set"}),
    ("name", {"name": "t" * 65}),
    ("title", {"title": " "}),
    ("description", {"description": "two  blanks"}),
    ("description", {"description": "two\nlines"}),
    ("tasks", {"tasks": ()}),
    ("tasks", {"tasks": (Task.POSE_3D, Task.POSE_3D)}),
    ("citation", {"citation": "two words"}),
    ("homepage", {"homepage": "example.org"}),
    ("paper", {"paper": "doi:10.1/2"}),
    ("layout", {"layout": ()}),
    ("layout", {"layout": (RawFilePattern("a", RawKind.OTHER, required=False),)}),
    ("layout", {"layout": (RawFilePattern("a", RawKind.OTHER),) * 2}),
    ("layout[0].pattern", {"layout": (RawFilePattern("/abs", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("a/../b", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("a\\b", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("C:/b", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("e\u0301.png", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("{open", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("{x:abc}", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("{x}/{x:d}", RawKind.OTHER),)}),
    ("layout[0].pattern", {"layout": (RawFilePattern("a**/b", RawKind.OTHER),)}),
    ("splits", {"splits": ()}),
    ("splits", {"splits": (Split("train"), Split("train"))}),
    ("splits", {"splits": (Split("validation"),)}),
    ("splits", {"splits": (Split("train", images=-1),)}),
    ("sizes", {"sizes": Sizes(raw_bytes=-5)}),
    ("units", {"units": LengthUnit.PIXEL}),
    ("world_up", {"world_up": None}),
    ("world_up", {"world_up": (0.0, 2.0, 0.0)}),
    ("world_up", {"world_up": (0.0, math.nan, 0.0)}),
    ("world_up", {"world_up": (0.0, 1.0)}),
    ("download_steps", {"access": Access.FORM}),
    ("download_steps", {"access": Access.ACCOUNT}),
    ("download_steps", {"access": Access.REQUEST, "download_steps": (" ",)}),
    ("download_steps", {"access": Access.BROKEN}),
    ("quirks[0]", {"quirks": (Quirk("odd", "", "issue 3"),)}),
    ("hints.blank_background", {"hints": Hints(True, True)}),
    ("hints.photometric[0]", {"hints": Hints(photometric=(PhotometricFix(0.0),))}),
    ("hints.photometric[0]", {"hints": Hints(photometric=(PhotometricFix(math.nan),))}),
    ("hints.photometric[0]", {"hints": Hints(photometric=(PhotometricFix(1, (0, 256)),))}),
    ("licence.id", {"licence": Licence.spdx("CC-BY", evidence="site")}),
    ("licence.id", {"licence": Licence("MIT", False, True, True, "site")}),
    ("licence.id", {"licence": Licence(UNKNOWN_ID, None, True, None, "site")}),
    ("licence.evidence", {"licence": Licence.spdx("MIT", evidence=" ")}),
    ("licence.url", {"licence": Licence("LicenseRef-Toy", None, None, None, "PDF")}),
    ("licence.url", {"licence": Licence.spdx("MIT", evidence="site", url="ftp://x")}),
]


@pytest.mark.parametrize(("field", "change"), BROKEN)
def test_a_broken_rule_names_card_field_rule_and_fix(
    field: str, change: dict[str, object]
) -> None:
    with pytest.raises(CardError) as caught:
        make_card(**change)
    error = caught.value
    assert error.where == f"card {change.get('name', 'toy-set')!r}, field {field}"
    assert error.rule
    assert error.fix


def test_2d_data_need_neither_up_nor_a_unit_of_length() -> None:
    card = make_card(tasks=(Task.POSE_2D,), units=LengthUnit.PIXEL, world_up=None)
    assert math.isnan(card.units.in_mm)
    assert [LengthUnit(unit).in_mm for unit in ("mm", "cm", "m")] == [1, 10, 1000]


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("CC-BY-4.0", (True, True, True)),
        ("CC-BY-NC-4.0", (False, True, True)),
        ("CC-BY-NC-SA-3.0", (False, True, True)),
        ("CC-BY-ND-4.0", (True, True, False)),
        ("CC-BY-NC-ND-2.5", (False, True, False)),
        ("CC-BY-SA-3.0-IGO", (True, True, True)),
        ("CC0-1.0", (True, True, True)),
        ("MIT", (True, True, True)),
        ("CC-BY-SA-ND-4.0", None),
        ("CC-NC-4.0", None),
        ("mit", None),
    ],
)
def test_permissions_follow_the_spdx_identifier(
    identifier: str, expected: tuple[bool, ...] | None
) -> None:
    assert spdx_permissions(identifier) == expected


def test_where_a_licence_can_be_read() -> None:
    assert Licence.spdx("MIT", evidence="x").text_url == "https://spdx.org/licenses/MIT.html"
    own = Licence("LicenseRef-Toy", False, False, None, "PDF", url="https://example.org/t.pdf")
    assert own.text_url == "https://example.org/t.pdf"
    assert Licence.unknown(evidence="nothing on the site").text_url is None
    make_card(licence=own)
    make_card(licence=Licence.unknown(evidence="nothing on the site, 2026-01-05"))


def test_hints_travel_through_a_manifest() -> None:
    hints = Hints(
        single_person=True,
        surface_valid=True,
        photometric=(PhotometricFix(0.67, (110.0, 145.0), ("TS1", "TS2"), already_applied=True),),
    )
    assert Hints.from_dict(json.loads(json.dumps(hints.to_dict()))) == hints
    assert Hints.from_dict({}) == Hints()
    with pytest.raises(CardError, match="newer version"):
        Hints.from_dict({"weather": "rain"})
    with pytest.raises(CardError, match="weather"):
        Hints.from_dict({"photometric": [{"weather": 1}]})


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a.json", "a.json", {}),
        ("a.json", "aXjson", None),
        ("{subject}/{clip}.mp4", "s1/c2.mp4", {"subject": "s1", "clip": "c2"}),
        ("{subject}/{clip}.mp4", "s1/x/c2.mp4", None),
        ("{s}/{s}-{view}.json", "1e28/1e28-left.json", {"s": "1e28", "view": "left"}),
        ("{s}/{s}-{view}.json", "1e28/1e29-left.json", None),
        ("{fold:train|val}/x", "val/x", {"fold": "val"}),
        ("{fold:train|val}/x", "test/x", None),
        ("{i:06d}.jpg", "000012.jpg", {"i": "000012"}),
        ("{i:06d}.jpg", "12.jpg", None),
        ("{i:06d}.jpg", "1234567.jpg", {"i": "1234567"}),
        ("{i:d}.jpg", "7.jpg", {"i": "7"}),
        ("*/x?.png", "any/x1.png", {}),
        ("*/x?.png", "any/x12.png", None),
        ("**/x.png", "x.png", {}),
        ("**/x.png", "a/b/x.png", {}),
        ("a/**/x.png", "a/x.png", {}),
        ("a [1]+.png", "a [1]+.png", {}),
    ],
)
def test_patterns_match_paths(
    pattern: str, path: str, expected: dict[str, str] | None, tmp_path: Path
) -> None:
    raw = RawFilePattern(pattern, RawKind.OTHER)
    assert raw.match(path) == expected
    if expected is not None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
        assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.glob(raw.glob)] == [path]


WORD = st.text("abcXYZ019-_. é", min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(WORD, st.integers(0, 10**8), st.sampled_from(["train", "val"]))
def test_filling_and_matching_are_inverse(subject: str, frame: int, fold: str) -> None:
    raw = RawFilePattern("{fold:train|val}/{subject}/{subject}_{frame:06d}.jpg", RawKind.IMAGE)
    path = raw.fill(subject=subject, frame=frame, fold=fold)
    assert raw.placeholders == ("fold", "subject", "frame")
    assert raw.match(path) == {"subject": subject, "frame": f"{frame:06d}", "fold": fold}


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("{a}.txt", {}),
        ("{a}.txt", {"a": "x", "b": "y"}),
        ("{a}.txt", {"a": "x/y"}),
        ("{a:x|y}.txt", {"a": "z"}),
        ("{a:03d}.txt", {"a": "12"}),
        ("{a:03d}.txt", {"a": -1}),
        ("*/{a}.txt", {"a": "x"}),
    ],
)
def test_what_does_not_fit_is_not_filled_in(pattern: str, values: dict[str, object]) -> None:
    with pytest.raises(CardError):
        RawFilePattern(pattern, RawKind.OTHER).fill(**values)


PAPER = """
% a comment
@inproceedings{doe2020toys,
  author = {Doe, Jane and {The Toy and Game Group} and John {van der} Roe and M{ü}ller, Ann},
  title  = {Toys in {3D}},
  booktitle = {Conference on Toys},
  year = {2020}
}
"""


def test_bibtex_is_read_and_written() -> None:
    entry = parse_bibtex(PAPER, where="paper")["doe2020toys"]
    assert entry.kind == "inproceedings"
    assert entry.get("title") == "Toys in 3D"
    assert entry["title"] == "Toys in {3D}"
    assert entry.authors == (
        "Jane Doe",
        "The Toy and Game Group",
        "John van der Roe",
        "Ann Müller",
    )
    assert entry.to_text() == (
        "Jane Doe, The Toy and Game Group, John van der Roe, Ann Müller: Toys in 3D. "
        "Conference on Toys, 2020."
    )
    assert parse_bibtex(entry.to_bibtex(), where="again") == {"doe2020toys": entry}
    assert parse_bibtex("% nothing\n\n", where="empty") == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hello", 1),
        ("@Article{a, }", 1),
        ("\n\n@article{a,\n  year = 2020,\n}", 4),
        ("@article{a,\n  title = {never closed", 2),
        ("@article{a,\n  title = {closes too late,\n}", 3),
        ("@article{a,\n  title = {a} year = {2020}}", 2),
        ('@article{a,\n  title = "a"}', 2),
        ("@article{a, title={a}, title={b}}", 1),
        ("@article{a, author={x}, title={a}}", 1),
        ("@article{a, author={x}, title={a}, year={20}}", 1),
        ("@article{a, author={x}, title={G\\'erard}, year={2020}}", 1),
        ("@article{a, author={x}, title={a}, year={2020}}\n" * 2, 2),
    ],
)
def test_bibtex_outside_the_dialect_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(CardError) as caught:
        parse_bibtex(text, where="my.bib")
    assert caught.value.where == f"my.bib, line {line}"


def test_the_librarys_own_entries_survive_a_round_trip() -> None:
    entries = builtin_citations()
    assert "posepile_torch" in entries
    text = "\n\n".join(entry.to_bibtex() for entry in entries.values())
    assert parse_bibtex(text, where="again") == entries


def test_a_card_cites_the_file_or_brings_its_entry_along() -> None:
    assert citation_of(make_card()).key == "posepile_torch"
    assert citation_of(make_card(citation="doe2020toys", bibtex=PAPER)).get("year") == "2020"
    with pytest.raises(CardError, match="no entry 'nobody'"):
        citation_of(make_card(citation="nobody"))
    with pytest.raises(CardError, match="make the keys equal"):
        citation_of(make_card(citation="other", bibtex=PAPER))
    stolen = PAPER.replace("doe2020toys", "posepile_torch")
    with pytest.raises(CardError, match="another work"):
        citation_of(make_card(bibtex=stolen))


ROOT = Path(__file__).parent.parent


def test_the_library_cites_itself_alike_everywhere() -> None:
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    stated = dict(line.split(": ", 1) for line in lines if ": " in line and line[0] != " ")
    entry = builtin_citations()["posepile_torch"]
    assert stated["cff-version"] == "1.2.0"
    assert stated["version"] == metadata.version("posepile-torch")
    assert stated["title"] == f'"{entry.get("title")}"'
    assert stated["url"] == entry.get("url")
    assert f"  - name: {entry.authors[0]}" in lines
    assert stated["license"] == "MIT"
