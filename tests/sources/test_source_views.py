"""Views of sources: exact keys, parts, sums; nothing is copied and no record is read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from archive.archive_toys import header, jpeg, record
from raw import posepile as raw_posepile

from posepile_torch.archive import ArchiveWriter, open_archive
from posepile_torch.errors import SelectionError, UnknownNameError
from posepile_torch.sources import Mannequin, PosePile3D
from posepile_torch.sources.views import matching_rows
from posepile_torch.transforms import RandomKey

COUNT = 60
ACTIVITIES = ("Sitting", "SittingDown", "Walking")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive whose names contain each other, and some of whose records have none."""
    root = tmp_path_factory.mktemp("views")
    with ArchiveWriter(root, "toy", header=header()) as writer:
        for i in range(COUNT):
            changes = {"activity": ACTIVITIES[i % 3] if i % 4 else None, "split": "train"}
            one = record(i, **changes)
            writer.add_image(one.image_key, jpeg(i))
            writer.add(one)
        writer.publish()
    return open_archive(root / "toy")


@pytest.fixture(scope="module")
def train(mannequin_archives):
    return Mannequin(mannequin_archives, split="train")


@pytest.fixture
def unreadable(monkeypatch):
    """Archives of which no record can be read."""
    from posepile_torch.archive import Archive

    def fail(*_):
        raise AssertionError("a record was read")

    monkeypatch.setattr(Archive, "record", fail)
    monkeypatch.setattr(Archive, "record_bytes", fail)


def chosen(archive, **keys):
    rows = np.arange(len(archive))
    return set(rows[matching_rows(archive, range(len(archive)), keys)].tolist())


def those(archive, condition):
    return {i for i in range(len(archive)) if condition(archive.record(i))}


def test_row69_names_are_exact_and_columns_agree_with_records(archive):
    sitting = chosen(archive, activity="Sitting")
    assert sitting == those(archive, lambda r: r.activity == "Sitting")
    assert sitting
    assert not sitting & chosen(archive, activity="SittingDown")
    assert chosen(archive, activity=["Sitting", "Walking"]) == those(
        archive, lambda r: r.activity in ("Sitting", "Walking")
    )
    assert chosen(archive, subject="S1", camera="cam1") == those(
        archive, lambda r: r.subject == "S1" and r.camera_name == "cam1"
    )
    assert chosen(archive, frame_step=7) == those(archive, lambda r: r.frame % 7 == 0)
    assert chosen(archive, has=["body", "joints3d"]) == those(
        archive, lambda r: r.body is not None
    )


def test_records_without_a_name_are_found_by_none_only(archive):
    unnamed = those(archive, lambda r: r.activity is None)
    assert unnamed
    assert chosen(archive, activity=None) == unnamed
    assert chosen(archive, activity=[None, "Walking"]) == unnamed | chosen(
        archive, activity="Walking"
    )
    assert not unnamed & chosen(archive, activity=list(ACTIVITIES))


def test_rows_as_array_and_as_range_give_the_same(archive):
    rows = np.array([5, 3, 40, 3])
    every = matching_rows(archive, range(len(archive)), {"activity": "Walking"})
    assert (matching_rows(archive, rows, {"activity": "Walking"}) == every[rows]).all()
    backwards = range(len(archive) - 1, -1, -2)
    assert (
        matching_rows(archive, backwards, {"activity": "Walking"}) == every[list(backwards)]
    ).all()


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"activity": "Siting"}, "Sitting"),
        ({"subject": "S11"}, "S1"),
        ({"split": "training"}, "train"),
        ({"has": "joints"}, "joints"),
    ],
)
def test_unknown_names_are_errors_with_near_misses(archive, keys, named):
    with pytest.raises(UnknownNameError, match=named):
        chosen(archive, **keys)


@pytest.mark.parametrize("step", [0, -1, 1.5, True])
def test_a_frame_step_is_a_positive_whole_number(archive, step):
    with pytest.raises(SelectionError, match="frame_step"):
        chosen(archive, frame_step=step)


def test_views_share_the_archive_and_read_nothing(train, unreadable):
    view = train.where(activity="walking").where(frame_step=1).fraction(0.5)[1:].take(2)
    assert len(view) == 2
    assert view.archive is train.archive
    assert len(train) == 8
    assert [name for name, _ in view.steps] == ["where", "where", "fraction", "slice", "take"]


def test_a_view_gives_the_samples_of_its_rows(train):
    key = RandomKey(1, 2, 3)
    camera = train.where(camera="c1")
    assert {camera.record(i).camera_name for i in range(len(camera))} == {"c1"}
    backwards = camera[::-1]
    assert backwards.sample(0, key).id == camera.sample(len(camera) - 1, key).id
    assert [sample.id for sample in backwards] == [s.id for s in camera][::-1]
    assert camera[-1].id == backwards[0].id
    with pytest.raises(IndexError):
        camera[len(camera)]


def test_a_fraction_is_stable_and_nested(train):
    half, most = train.fraction(0.5), train.fraction(0.75)
    assert len(half) == 4
    assert set(half.rows) < set(most.rows)
    assert (half.rows == train.fraction(0.5).rows).all()
    assert len(train.fraction(0)) == 0
    assert len(train.fraction(1)) == 8
    assert {tuple(train.fraction(0.5, seed=s).rows) for s in range(8)} != {tuple(half.rows)}
    with pytest.raises(SelectionError):
        train.fraction(1.5)


def test_action_is_another_word_for_activity(train):
    assert (train.where(action="walking").rows == train.where(activity="walking").rows).all()
    with pytest.raises(SelectionError, match="two words"):
        train.where(action="walking", activity="walking")


def test_steps_repeat_a_view(train):
    view = train.where(subject=["s01", "s02"], camera="c1").fraction(0.6, seed=4)[::2].take(3)
    assert (train.again(view.steps).rows == view.rows).all()
    with pytest.raises(SelectionError, match="unknown step"):
        train.again([("shuffle", 1)])
    with pytest.raises(UnknownNameError, match="subject"):
        train.again([("where", {"subjects": "s01"})])


def test_joined_views_stand_one_behind_the_other(mannequin_archives, train):
    val = Mannequin(mannequin_archives, split="val")
    both = train + val + train.take(1)
    assert len(both) == 17
    assert len(both.parts) == 3
    assert [both.record(i).id for i in (0, 8, 16)] == [
        train.record(0).id,
        val.record(0).id,
        train.record(0).id,
    ]
    seen = both.where(activity="reaching", split="val")
    assert {seen.record(i).split for i in range(len(seen))} == {"val"}
    assert both[4:12:3].record(2).id == val.record(2).id
    assert both[-1].id == train[0].id


def test_joined_views_need_one_skeleton(mannequin_archives, train):
    other = Mannequin(mannequin_archives, skeleton="coco_17")
    with pytest.raises(SelectionError, match="coco_17"):
        train + other
    assert (train.with_skeleton("coco_17") + other)[0].known.shape == (17,)


def test_row68_trainval_is_train_and_val(mannequin_archives):
    parts = [Mannequin(mannequin_archives, split=s) for s in ("train", "val", "trainval", "test")]
    train, val, trainval, test = (set(part.rows.tolist()) for part in parts)
    assert trainval == train | val
    assert not train & val
    assert not trainval & test
    assert len(parts[2].where(split="val")) == len(val)


def test_views_survive_pickling(train):
    view = train.where(camera="c1")[1:]
    again = pickle.loads(pickle.dumps(view))
    assert (again.rows == view.rows).all()
    assert again.steps == view.steps
    assert again[0].id == view[0].id


def test_archives_of_schema_0_say_what_they_do_not_hold(tmp_path):
    source = PosePile3D(raw_posepile.write_legacy(tmp_path, 8))
    assert len(source[::2].take(2)) == 2
    for keys in ({"subject": "S1"}, {"has": "joints3d"}):
        with pytest.raises(SelectionError, match="schema 0"):
            source.where(**keys)
    with pytest.raises(SelectionError, match="no frame number"):
        source.where(frame_step=2)


def test_a_view_shows_how_it_was_made(train):
    assert "where" in train.where(camera="c1")._repr_html_()
