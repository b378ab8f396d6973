"""Recipes: published numbers, overriding, saving, hashing, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import RecipeError, UnknownNameError
from posepile_torch.hints import Hints
from posepile_torch.transforms import recipes
from posepile_torch.transforms.families import Background, Geometry, Pixels, Spread
from posepile_torch.transforms.recipes import Recipe

ALL = [
    *(recipes.named(name) for name in recipes.names()),
    recipes.hg3d(data="3d"),
    recipes.hg3d(data="coco", published=True),
    recipes.posewarper(published=True),
]


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_every_recipe_survives_saving(recipe, tmp_path):
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    for suffix in ("toml", "json"):
        path = tmp_path / f"recipe.{suffix}"
        recipe.write(path)
        assert Recipe.read(path) == recipe
        assert Recipe.read(path).digest == recipe.digest


def test_the_names_of_the_recipes():
    assert recipes.names() == ("evaluation", "metrabs", "nlf", "hg3d", "posewarper")
    with pytest.raises(UnknownNameError, match="metrabs"):
        recipes.named("metrab")
    with pytest.raises(UnknownNameError, match="kind of data"):
        recipes.hg3d(data="4d")


def test_numbers_of_metrabs_are_the_published_ones():
    recipe = recipes.metrabs(side=384)
    assert recipe.image_size == (384, 384)
    assert recipe.side_px == 384
    assert recipe.geometry.centre_shift == 0.1
    assert recipe.geometry.scale == Spread(width=0.25)
    assert math.degrees(recipe.geometry.roll.width) == pytest.approx(20)
    assert recipe.geometry.flip_probability == 0.5
    assert (recipe.colour.brightness, recipe.colour.contrast) == (0.125, (0.5, 1.5))
    assert math.degrees(recipe.colour.hue_rad) == pytest.approx(72)
    assert recipe.occlusion.object_count == (1, 6)
    assert recipe.labels.lowest_share == 0.95


def test_row_54_how_often_backgrounds_are_replaced_follows_from_hints():
    numbers = recipes.metrabs().background
    assert numbers.probability_for(Hints(), has_3d=True) == 0.7
    assert numbers.probability_for(Hints(realistic_background=True), has_3d=True) == 0.2
    assert numbers.probability_for(Hints(blank_background=True), has_3d=True) == 1.0
    assert recipes.nlf().background.probability_for(Hints(), has_3d=False) == 0.0
    assert recipes.metrabs().background.probability_for(Hints(), has_3d=False) == 0.7


def test_numbers_are_overridden_by_family_and_by_dotted_name():
    base = recipes.metrabs()
    one = base.replaced(name="mine", geometry={"roll": {"width": 0.1}, "flip_probability": 0})
    other = base.replaced({"geometry.roll.width": 0.1, "geometry.flip_probability": 0.0}).replaced(
        name="mine"
    )
    assert one == other
    assert one.digest == other.digest != base.digest
    assert one.geometry.scale == base.geometry.scale
    assert base.replaced(geometry=Geometry()).geometry == Geometry()
    assert base.replaced(image_size=[128, 96]).image_size == (128, 96)
    assert base == recipes.metrabs()


def test_the_digest_covers_numbers_only():
    base = recipes.metrabs()
    assert base.replaced(name="other").digest == base.digest
    assert base.replaced(colour={"brightness": 0.1}).digest != base.digest
    here = base.replaced(background={"bank": "/here/bank"})
    there = base.replaced(background={"bank": "/there/bank"})
    assert here.digest == there.digest != base.digest
    # A list or a whole number where the recipe has a tuple or a fraction is the same recipe.
    assert base.replaced(background={"zoom": [1.2, 1.5]}).digest == base.digest
    assert Recipe.from_dict({**base.to_dict(), "image_size": (256, 256)}).digest == base.digest


def test_a_file_written_by_hand_may_be_short(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "nlf"\nname = "mine"\nimage_size = [384, 384]\n\n[partial]\nprobability = 0.5\n'
    )
    recipe = Recipe.read(path)
    expected = recipes.nlf(side=384).replaced(name="mine", partial={"probability": 0.5})
    assert recipe == expected
    path.write_text("[colour]\nprobability = 1\nbrightness = 0.1\n")
    assert Recipe.read(path).colour.brightness == 0.1
    assert Recipe.read(path).geometry == Geometry()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('bas = "nlf"', "number of a recipe 'bas'"),
        ('base = "nlv"', "nlf"),
        ("[geometry]\nrol = 1", "roll"),
        ("schema = 2", "schema"),
        ("[colour]\nbrightness = true", "expected float"),
        ('[colour]\nbrightness = "a lot"', "finite number"),
        ("[colour]\nbrightness = nan", "finite number"),
        ("[colour]\ncontrast = [0.5]", "list of 2"),
        ("[colour]\ncontrast = [1.5, 0.5]", "ascending"),
        ("[artefacts]\njpeg_quality = [0, 50]", "1..100"),
        ("[artefacts]\njpeg_quality = [1.5, 50]", "expected int"),
        ("geometry = 3", "expected Geometry"),
        ("image_size = [256, 4]", "image_size"),
        ("name = ''", "has a name"),
        ("[colour", "cannot be parsed"),
    ],
)
def test_files_with_mistakes_name_them(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises((RecipeError, UnknownNameError), match=message):
        Recipe.read(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"\.toml or \.json"):
        recipes.metrabs().write(tmp_path / "recipe.yaml")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(RecipeError, match="no table"):
        Recipe.read(tmp_path / "list.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"geometry": {"flip_probability": 1.1}},
        {"geometry": {"scale": {"width": 0.96}}},
        {"geometry": {"scale": {"kind": "gaussian", "width": 0.5, "limit": 1.0}}},
        {"geometry": {"scale_of": "person"}},
        {"framing": {"mode": "perspective"}},
        {"sampling": {"supersample": 5}},
        {"half_body": {"least_joints": 1}},
        {"background": {"zoom": (0.5, 1.0)}},
        {"occlusion": {"object_count": (0, 3)}},
        {"labels": {"noise_px": -1.0}},
        {"heatmaps": {"sigma_px": 0.0}},
        {"heatmaps": {"size": (0, 64)}},
        {"heatmaps": {"place": "up"}},
        {"pixels": {"std": (1.0, 0.0, 1.0)}},
        {"colour": {"method": "lab"}},
        {"partial": {"least_side": 0.9}},
        {"name": ""},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(changes):
    with pytest.raises(RecipeError, match="rule"):
        recipes.metrabs().replaced(**changes)


def test_errors_name_family_and_field():
    with pytest.raises(RecipeError, match=r"shift is 2\.0") as caught:
        Background(shift=2.0)
    assert caught.value.where == "Background"
    with pytest.raises(RecipeError, match="one number for each channel"):
        Pixels(mean=(0.5, 0.5))
    with pytest.raises(UnknownNameError, match="flip_probability"):
        recipes.metrabs().replaced({"geometry.flip_probabilty": 0.1})


@settings(deadline=None, max_examples=60)
@given(
    side=st.integers(8, 1024),
    shift=st.floats(0, 1),
    width=st.floats(0, 0.9),
    quality=st.tuples(st.integers(1, 50), st.integers(50, 100)),
    name=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
)
def test_any_numbers_survive_toml(side, shift, width, quality, name):
    recipe = recipes.nlf(side=side).replaced(
        name=name,
        geometry={"centre_shift": shift, "scale": {"width": width}},
        artefacts={"jpeg_quality": quality},
    )
    import tomllib

    assert Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe


def test_a_spread_is_neutral_where_it_does_not_apply():
    assert Spread(width=1.0, probability=0.25).deviation(0.25, 0.9, 0.1) == 0
    assert Spread(width=1.0, probability=0.25).deviation(0.2, 0.75, 0.1) == pytest.approx(0.5)
    gaussian = Spread(kind="gaussian", width=2.0, limit=1.0)
    assert gaussian.deviation(0.0, 0.0, 0.3) == 0  # the radius is zero
    assert gaussian.deviation(0.0, 0.99, 0.0) == 1.0
    assert gaussian.deviation(0.0, 0.99, 0.5) == -1.0
