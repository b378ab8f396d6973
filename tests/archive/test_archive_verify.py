import contextlib
import json

import archive_toys as toys
import numpy as np
import pytest
import typer
from raw import posepile as legacy_toys
from typer.testing import CliRunner

from posepile_torch.archive import open_archive
from posepile_torch.archive import writer as writer_module
from posepile_torch.archive.report import MAX_LINES_PER_KIND, Findings
from posepile_torch.archive.semantics import semantic_findings
from posepile_torch.archive.verify import verify_archive
from posepile_torch.camera import Camera, Lens
from posepile_torch.cli import verify as verify_cli
from posepile_torch.errors import (
    ArchiveIncompleteError,
    ArchiveNotFoundError,
    ArchivePathError,
    UnknownNameError,
)
from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.record import DensePosePoints, encode_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toys.build(tmp_path_factory.mktemp("archives"), 40)


@pytest.mark.parametrize("level", ["quick", "crc", "decode", "semantic"])
def test_a_sound_archive_passes_every_level(folder, level):
    report = verify_archive(folder, level)
    assert report.ok, report.lines()
    assert report.errors == 0
    assert (report.records, report.images, report.level) == (36, 36, level)
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


def test_progress_is_reported(folder):
    seen = []
    verify_archive(folder, "decode", on_progress=lambda *args: seen.append(args))
    assert {what for what, _, _ in seen} >= {
        "hashing files", "checking images.barecat", "decoding annotations.barecat"
    }  # fmt: skip
    assert all(0 <= done <= total for _, done, total in seen)


def test_what_cannot_be_verified_is_an_exception(tmp_path, folder):
    with pytest.raises(ArchiveNotFoundError):
        verify_archive(tmp_path / "nothing")
    with pytest.raises(ArchivePathError):
        verify_archive(tmp_path / "a#b")
    with pytest.raises(UnknownNameError, match="semantic"):
        verify_archive(folder, "sematic")
    with toys.open_writer(tmp_path) as writer:
        toys.write_items(writer, 3)
    with pytest.raises(ArchiveIncompleteError):
        verify_archive(tmp_path / "toy")


# ---- findings of the decode level, which no checksum can have ----


def build_with(root, *records, image=None, patches=()):
    """Write records as if a buggy version of the library had not checked them."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, replacement in patches:
            patch.setattr(writer_module, name, replacement)
        writer = stack.enter_context(toys.open_writer(root))
        for i, record in enumerate(records):
            writer.add_image(record.image_key, image or toys.jpeg(i))
            writer.add(record)
        return writer.publish()


def test_an_image_that_does_not_decode_is_found(tmp_path):
    whole = toys.jpeg(0)
    for damaged in (whole[:-300] + b"\xff\xd9", whole[:-20] + b"\xff\xd9"):
        folder = build_with(tmp_path / str(len(damaged)), toys.record(0), image=damaged)
        assert verify_archive(folder, "crc").ok
        report = verify_archive(folder, "decode")
        assert not report.ok
        assert any("[image]" in line and "00000.jpg" in line for line in report.lines())


def test_a_record_that_disagrees_with_its_image_is_found(tmp_path):
    folder = build_with(
        tmp_path, toys.record(0), image=toys.jpeg(0),
        patches=[("jpeg_size", lambda data, where: (toys.WIDTH, toys.HEIGHT))],
    )  # fmt: skip
    assert verify_archive(folder, "decode").ok
    wrong = encode_jpeg(np.zeros((10, 10, 3), np.uint8))
    folder = build_with(
        tmp_path / "wrong", toys.record(0), image=wrong,
        patches=[("jpeg_size", lambda data, where: (toys.WIDTH, toys.HEIGHT))],
    )  # fmt: skip
    report = verify_archive(folder, "decode")
    assert any("(10, 10)" in line and "[record]" in line for line in report.lines())


def test_a_wrong_index_row_is_found_although_all_hashes_agree(tmp_path):
    real = writer_module.flags_of
    folder = build_with(
        tmp_path, toys.record(0), toys.record(3), patches=[("flags_of", lambda r: real(r) ^ 32)]
    )
    assert verify_archive(folder, "crc").ok
    report = verify_archive(folder, "decode")
    assert any("2 rows differ" in line for line in report.lines()), report.lines()
    assert any("totals" in line for line in report.lines())


def test_a_record_with_another_joint_count_is_found(tmp_path):
    folder = build_with(
        tmp_path, toys.record(0, joints3d=np.zeros((4, 3)), joints2d=None, visible=None,
                              confidence=None),
        patches=[("encode_record", lambda record, *args, **kwargs: encode_record(record)),
                 ("BoneSums", lambda skeleton: NoBones())],
    )  # fmt: skip
    report = verify_archive(folder, "decode")
    assert any("expected 5 joints, got 4" in line for line in report.lines()), report.lines()


class NoBones:
    def add(self, record):
        pass

    def means_mm(self):
        return {"train": (None,) * 4, "trainval": (None,) * 4}

    def to_json(self):
        return {}


# ---- findings of the semantic level ----


def kinds(record, means=(130.0, 130.0, 500.0, 200.0), **changes):
    found = semantic_findings(record.with_changes(**changes), toys.SKELETON, means)
    return {(kind, "warning" if is_warning else "error") for kind, _, is_warning in found}


def test_a_sensible_record_has_no_findings():
    for i in (0, 1, 2, 4):
        record = toys.record(i)
        visible = np.isfinite(record.joints3d).all(axis=1).astype(np.int8)
        mask = np.ones((toys.HEIGHT, toys.WIDTH), np.uint8)
        assert kinds(record, visible=visible, person_mask=Mask.from_array(mask)) == set()


def test_contradictions_are_errors():
    record = toys.record(4, visible=None, person_mask=None)
    K, size = record.camera.K, record.image_size
    t, R = record.camera.t, record.camera.R

    def camera(**changes):
        return Camera(**{"R": R, "t": t, "K": K, "size": size, **changes})

    assert ("box", "error") in kinds(record, box=np.array([100.0, 100, 5, 5]))
    assert ("box", "error") in kinds(record, box=np.array([0.0, 0, 1, 1]))
    assert ("camera", "error") in kinds(record, camera=camera(R=2 * np.eye(3)))
    assert ("camera", "error") in kinds(record, camera=camera(K=np.diag([0.0, 1, 1])))
    lens = Lens("brown-conrady", (0.1, 0, 0, 0, 0))
    assert ("camera", "error") in kinds(record, camera=camera(lens=lens))
    assert ("depth", "error") in kinds(record, camera=camera(t=[0, 0, 9000.0]))
    assert ("depth", "warning") in kinds(record, camera=camera(t=record.joints3d[0]))
    shifted = record.joints2d + [9.0, 0]
    assert ("projection", "error") in kinds(record, joints2d=shifted)
    barycentrics = np.array([[0.5, 0.5, 0.5]])
    densepose = DensePosePoints(points=[[1, 1]], faces=[0], barycentrics=barycentrics)
    assert ("densepose", "error") in kinds(record, densepose=densepose)
    # metres instead of millimetres: the camera in mm sees a person the size of a pin
    assert ("size", "warning") in kinds(record, joints3d=record.joints3d / 1000)


def test_a_mirrored_camera_is_legal():
    record = toys.record(4, visible=None, person_mask=None)
    mirrored = record.camera.flipped()
    joints2d = mirrored.project(record.joints3d)
    low, high = np.nanmin(joints2d, 0), np.nanmax(joints2d, 0)
    assert kinds(record, camera=mirrored, joints2d=joints2d, box=[*low, *(high - low)]) == set()


def test_implausible_things_are_warnings():
    record = toys.record(4, visible=None, person_mask=None)
    stretched = record.joints3d.copy()
    stretched[1] += [-1500.0, 0, 0]
    assert ("bone", "warning") in kinds(record, joints3d=stretched, joints2d=None)
    assert ("bone", "warning") not in kinds(
        record, means=(None,) * 4, joints3d=stretched, joints2d=None
    )
    empty = Mask.from_array(np.zeros((toys.HEIGHT, toys.WIDTH), np.uint8))
    assert ("mask", "warning") in kinds(record, person_mask=empty)
    assert ("label", "warning") in kinds(toys.record(7), visible=np.ones(5, np.int8))


def test_semantic_findings_reach_the_report(tmp_path):
    record = toys.record(4, visible=None, person_mask=None)
    shifted = record.with_changes(joints2d=record.joints2d + [9.0, 0])
    folder = build_with(tmp_path, shifted)
    assert verify_archive(folder, "decode").ok
    report = verify_archive(folder, "semantic")
    assert not report.ok
    assert any(record.key in line and "miss the 2D joints" in line for line in report.lines())


def test_2d_records_without_camera_are_fine(tmp_path):
    record = toys.record(4, camera=None, joints3d=None, visible=None, person_mask=None)
    assert kinds(record) == set()
    assert verify_archive(build_with(tmp_path, record), "semantic").ok


# ---- the report and the command ----


def test_a_report_has_at_most_20_lines_of_a_kind():
    findings = Findings()
    for i in range(50):
        findings.add("depth", f"warning {i}\nsecond line", is_warning=True)
    for i in range(30):
        findings.add("depth", f"error {i}")
    findings.add("crc", "one")
    report = findings.report("a", "crc", 1, 1)
    lines = report.lines()
    assert len(lines) == 2 * (MAX_LINES_PER_KIND + 1) + 1
    assert lines[0] == "error [depth] error 0"
    assert "error [depth] ... and 10 more" in lines
    assert "warning [depth] ... and 30 more" in lines
    assert lines[-2] == "warning [depth] warning 19; second line"
    assert (report.errors, report.warnings, report.ok) == (31, 50, False)
    assert report.counts == {"depth": 80, "crc": 1}


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    verify_cli.register(app)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_reports_by_exit_code(folder, tmp_path):
    result = run("verify", folder)
    assert result.exit_code == 0
    assert "sound at level crc: 36 records, 36 images, 0 errors" in result.stdout
    result = run("verify", folder, "--level", "semantic", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["level"] == "semantic"
    assert run("verify", tmp_path / "nothing").exit_code == 2
    assert run("verify", folder, "--level", "sloppy").exit_code == 2

    damaged = toys.build(tmp_path, 40, shard_limit_bytes=10**6)
    shard = damaged / "images.barecat-shard-00000"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert run("verify", damaged, "--level", "quick").exit_code == 0
    result = run("verify", damaged)
    assert result.exit_code == 1
    assert "DAMAGED" in result.stdout
    assert "CRC32C mismatch" in result.stdout
    report = json.loads(run("verify", damaged, "--json").stdout)
    assert report["ok"] is False
    assert report["counts"] == {"files": 1, "crc": 1}
    (damaged / "manifest.json").unlink()
    assert run("verify", damaged).exit_code == 1


def test_the_index_command_rebuilds(tmp_path):
    folder = toys.build(tmp_path, 20)
    (folder / "index.npy").unlink()
    result = run("index", "rebuild", folder)
    assert result.exit_code == 0
    assert "rebuilt" in result.stdout
    with open_archive(folder) as archive:
        assert len(archive) == 18


def test_tidy_lists_and_removes(tmp_path, monkeypatch):
    toys.build(tmp_path, 10)
    toys.build(tmp_path, 20)
    with toys.open_writer(tmp_path, "other") as writer:
        toys.write_items(writer, 3)
    monkeypatch.setattr(verify_cli.output, "archives_root", lambda ctx: tmp_path)
    listed = json.loads(run("tidy", "--json").stdout)
    assert sorted(entry["kind"] for entry in listed) == ["superseded", "unfinished"]
    assert "unfinished" in run("tidy").stdout
    assert run("tidy", "--remove").exit_code == 0
    assert json.loads(run("tidy", "--json").stdout) == []
    assert verify_archive(tmp_path / "toy").ok


# ---- PosePile archives ----


def test_schema_0_is_verified_row_by_row(tmp_path):
    path = legacy_toys.write_legacy(tmp_path, 12)
    for level in ("quick", "crc", "decode", "semantic"):
        report = verify_archive(path, level)
        assert report.ok, report.lines()
        assert (report.records, report.level) == (12, level)
    assert run("verify", path, "--level", "semantic").exit_code == 0
    shard = sorted(path.parent.glob("*image*-shard-00000"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert verify_archive(path, "quick").ok
    report = verify_archive(path, "crc")
    assert report.counts == {"record": 1}
    assert run("verify", path).exit_code == 1
