"""``posepile skeleton list|show|diff``."""

import json

import pytest
import typer
from typer.testing import CliRunner

from posepile_torch import joint_rules, skeletons
from posepile_torch.cli.skeleton import complete_rules, complete_skeleton, register
from posepile_torch.errors import SkeletonError, UnknownNameError
from posepile_torch.skeleton import Skeleton


def run(*arguments):
    root = typer.Typer()
    root.command("other")(lambda: None)
    register(root)
    return CliRunner().invoke(root, ["skeleton", *map(str, arguments)])


def succeed(*arguments) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_names_every_skeleton_and_rule_set():
    text = succeed("list")
    for name in (*skeletons.names(), *joint_rules.names()):
        assert name in text
    assert text.count("not verified") == 2


def test_list_as_json():
    data = json.loads(succeed("list", "--json"))
    by_name = {entry["name"]: entry for entry in data["skeletons"]}
    assert by_name["h36m_17"]["joints"] == 17
    assert by_name["fdassoc_21"]["verified"] is False
    assert {rules["name"] for rules in data["rules"]} == set(joint_rules.names())


def test_show_prints_order_meaning_and_source():
    text = succeed("show", "mpii_16")
    assert "mpii:upper_neck" in text
    assert "neck is the upper neck" in text
    assert "rhip-rkne" in text
    assert "not verified" not in text
    assert "not verified" in succeed("show", "kinect_25_mirrored")


def test_show_as_json_is_a_skeleton(tmp_path):
    text = succeed("show", "coco_17", "--json")
    skeleton = Skeleton.from_dict(json.loads(text))
    assert skeleton == skeletons.get("coco_17")
    path = tmp_path / "mine.json"
    path.write_text(text)
    assert "coco:nose" in succeed("show", path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"skeleton": skeleton.to_dict()}))
    assert "Both describe the same arrays." in succeed("diff", manifest, "coco_17")


def test_show_reports_edges_without_their_mirror_image(tmp_path):
    skeleton = Skeleton.parse("odd[1]", "p lhip rhip", edges="p-lhip", mirror_edges=False)
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(skeleton.to_dict()))
    text = succeed("show", path)
    assert "odd[1]" in text
    assert "edges without their mirror image: p-lhip" in text


def test_diff_shows_every_joint_of_the_target():
    text = succeed("diff", "h36m_17", "mpii_16")
    assert "0 exact, 14 approximate, 2 missing of 16 joints" in text
    with_rules = succeed("diff", "h36m_17", "mpii_16", "--rules", "h36m-mpii/fusion")
    assert "mid-spine put where MPII has the thorax" in with_rules
    assert "unused in h36m_17: head" in with_rules
    exact = json.loads(succeed("diff", "h36m_17", "mpii_16", "--exact-only", "--json"))
    assert {joint["status"] for joint in exact["joints"]} == {"missing"}
    assert exact["identical"] is False


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("show", "nothing"), UnknownNameError),
        (("diff", "coco_17", "nothing"), UnknownNameError),
        (("diff", "coco_17", "h36m_17", "--rules", "nothing"), UnknownNameError),
        (("show", "absent.json"), SkeletonError),
    ],
)
def test_bad_names_are_the_librarys_own_errors(arguments, error):
    assert isinstance(run(*arguments).exception, error)


def test_a_file_without_a_skeleton_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[1, 2]")
    error = run("show", path).exception
    assert isinstance(error, SkeletonError)
    assert str(path) in str(error)


def test_completion():
    assert complete_skeleton("3dhp_17") == ["3dhp_17", "3dhp_17_root_last"]
    assert complete_rules("coco-h36m/") == ["coco-h36m/gast-net", "coco-h36m/midpoints"]
