import dataclasses
import hashlib
import json

import archive_toys as toys
import pytest

from posepile_torch.archive import Manifest
from posepile_torch.archive.manifest import (
    Skipped,
    StoredFile,
    Totals,
    UnitSummary,
    digest_of,
    is_as_written,
    plain_json,
    read_manifest,
)
from posepile_torch.errors import ArchiveError, ManifestError
from posepile_torch.record import Precision


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    header = toys.header(
        hints={"realistic_background": True, "colour": None},
        card_digest="c0ffee",
        converter_version="3",
        raw_files={"videos/ünï.mp4": {"bytes": 12}},
        precision=Precision(joints3d_mm=0.5),
    )
    return toys.build(tmp_path_factory.mktemp("archives"), 30, header=header)


def test_a_manifest_comes_back_as_it_was_written(folder):
    content = (folder / "manifest.json").read_bytes()
    manifest = read_manifest(folder)
    assert manifest.to_bytes() == content
    assert is_as_written(content)
    assert manifest.skeleton == toys.SKELETON
    assert manifest.hints == {"realistic_background": True, "colour": None}
    assert manifest.precision.joints3d_mm == 0.5
    assert manifest.schema_version == (1, 0)
    assert manifest.plan_digest == digest_of({"step_mm": 100})
    assert "ünï" in content.decode()
    again = Manifest.from_bytes(content)
    assert again == manifest


def test_it_can_be_checked_with_json_and_sha256_alone(folder):
    data = json.loads((folder / "manifest.json").read_bytes())
    stated = data.pop("fingerprint")
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == stated
    assert folder.resolve().name == f".toy-{stated[:16]}"
    for entry in data["files"]:
        content = (folder / entry["name"]).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert data["conventions"]["missing_joint"] == "NaN"


def test_the_content_digest_can_be_checked_with_plain_barecat(folder):
    import barecat
    import crc32c

    data = json.loads((folder / "manifest.json").read_bytes())
    for name in ("annotations.barecat", "images.barecat"):
        digest = hashlib.sha256()
        with barecat.Barecat(str(folder / name)) as container:
            for key in sorted(container, key=str.encode):
                value = container[key]
                digest.update(f"{key}\0{len(value)}\0{crc32c.crc32c(value)}\n".encode())
        assert digest.hexdigest() == data["content_digests"][name]


CHANGES = {
    "source": "other",
    "card_digest": "x",
    "converter_version": "4",
    "library_version": "9",
    "hints": {},
    "raw_files": {},
    "plan": {"step_mm": 101},
    "plan_digest": "x",
    "precision": Precision(),
    "units": {"a": UnitSummary(records=1, images=1, skipped=0, digest="")},
    "skipped": {"a": Skipped(count=1, items=("x",))},
    "totals": Totals(records=0, images=0, splits={}, having={}),
    "mean_bone_lengths_mm": {"train": (1.0,) * 4, "trainval": (None,) * 4},
    "vocabularies": {},
    "shard_limit_bytes": 1,
    "content_digests": {},
    "files": {"x": StoredFile(bytes=1, sha256="", ends_crc32c=0)},
    "schema_version": (1, 1),
    "skeleton": toys.SKELETON.renamed("x"),
}


def test_every_field_enters_the_fingerprint(folder):
    manifest = read_manifest(folder)
    fields = {f.name for f in dataclasses.fields(Manifest)} - {"fingerprint"}
    assert fields == set(CHANGES)
    for name, value in CHANGES.items():
        changed = dataclasses.replace(manifest, fingerprint="", **{name: value})
        assert changed.fingerprint != manifest.fingerprint, name


def test_floats_and_order_survive(tmp_path):
    units = {f"unit {i}": "" for i in (3, 1, 2)}
    header = toys.header(units=units, plan={"a": 0.1, "b": 1e-300, "c": [1, 2.0]})
    with toys.open_writer(tmp_path, header=header) as writer:
        toys.write_items(writer, 3)
        for name in units:
            writer.end_unit(name)
        manifest = read_manifest(writer.publish())
    assert manifest.plan == {"a": 0.1, "b": 1e-300, "c": [1, 2.0]}
    assert list(manifest.units) == list(units)


def test_only_json_data_is_stored():
    assert plain_json({"a": (1, 2), 3: None}, where="x") == {"a": [1, 2], "3": None}
    for value in (float("inf"), {1, 2}, object(), b"x"):
        with pytest.raises(ArchiveError, match="JSON"):
            plain_json({"a": value}, where="x")


def test_a_folder_without_manifest_says_so(tmp_path):
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ManifestError, match="cannot read"):
        read_manifest(tmp_path)
