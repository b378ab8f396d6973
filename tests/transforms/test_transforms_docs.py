"""The page about transforms: its examples run, and it speaks of everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posepile_torch.transforms import flip, heatmaps, recipes, targets

PAGE = (Path(__file__).parents[2] / "docs" / "transforms.md").read_text(encoding="utf-8")


def test_the_examples_run_in_order(mannequin_archives, tmp_path, monkeypatch):
    (tmp_path / "archives").symlink_to(mannequin_archives)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/transforms.md", "exec"), names)
    assert names["depth"].mask.shape == (2, 17)
    assert names["result"].shape == (2, 17, 64, 64)
    assert (tmp_path / "mine.toml").is_file()


def test_the_short_file_of_the_page_is_a_recipe(tmp_path):
    (block,) = re.findall(r'```\n(base = "metrabs".*?)```', PAGE, re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(block)
    assert recipes.Recipe.read(path).background.bank == "banks/holidays"


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_has_its_column(name):
    assert f"| `{name}` |" in PAGE or f"`{name}` |" in PAGE


def test_numbers_of_the_page_are_those_of_the_recipes():
    metrabs, nlf, posewarper = recipes.metrabs(), recipes.nlf(), recipes.posewarper()
    back = metrabs.background
    shares = (back.probability, back.probability_realistic, back.probability_blank)
    for text in (
        f"disc of {metrabs.geometry.centre_shift:.0%}".replace("%", " %"),
        "{}x{}".format(*posewarper.image_size),
        "{}x{}, sigma {:.0f}".format(*posewarper.heatmaps.size, posewarper.heatmaps.sigma_px),
        "quality {} to {}".format(*nlf.artefacts.jpeg_quality),
        "{:.0%}; realistic {:.0%}, blank {:.0%}".format(*shares).replace("%", " %"),
        "{} to {} beyond covering".format(*back.zoom),
        f"{nlf.artefacts.marker_px:.0f} px",
        "{}x{}".format(*recipes.hg3d(data="coco").heatmaps.size),
    ):
        assert text in PAGE, text


def test_every_function_that_the_page_names_exists():
    for module, prefix in ((heatmaps, "heatmaps"), (targets, "targets"), (flip, "flip")):
        for name in re.findall(rf"`{prefix}\.(\w+)", PAGE):
            assert hasattr(module, name), name
