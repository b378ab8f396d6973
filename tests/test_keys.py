import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import ArchivePathError
from posepile_torch.keys import (
    check_archive_name,
    check_archive_path,
    check_key,
    is_absolute_path,
    is_key,
)

GOOD = ["a", "train/a.msgpack", "S1/Walking 1.54138969/000001_00", "字/é.jpg", "a#?%[]*b", "..."]
BAD = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\\b", "a\nb", "a\0b",
    "e\u0301", "a\ud800", "x" * 256, "字" * 86, "a/" * 600 + "a", "a\x7f", None, 3, b"a",
]  # fmt: skip


@pytest.mark.parametrize("key", GOOD)
def test_good_keys(key):
    assert check_key(key) == key


@pytest.mark.parametrize("key", BAD)
def test_bad_keys(key):
    assert not is_key(key)
    with pytest.raises(ArchivePathError) as caught:
        check_key(key, where="here")
    assert caught.value.rule
    assert caught.value.fix
    assert "here" in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab./\\é\u0301\0\n~字"), max_size=12))
def test_a_key_can_never_leave_a_folder(tmp_path_factory, text):
    if not is_key(text):
        return
    folder = tmp_path_factory.getbasetemp()
    assert (folder / text).resolve().is_relative_to(folder.resolve())
    assert (folder / text).resolve() != folder.resolve()
    assert unicodedata.normalize("NFC", text) == text


@pytest.mark.parametrize("character", list("#?%[]*") + ["\n"])
def test_paths_that_barecat_misreads_are_refused(tmp_path, character):
    with pytest.raises(ArchivePathError, match="BareCat"):
        check_archive_path(tmp_path / f"a{character}b" / "3dpw")
    with pytest.raises(ArchivePathError):
        check_archive_name(f"a{character}b")


def test_ordinary_paths_and_names(tmp_path):
    odd = tmp_path / "with space 'quote' ünï"
    assert check_archive_path(odd) == odd
    assert check_archive_path("relative").is_absolute()
    assert check_archive_name("3dpw-test_v1.0") == "3dpw-test_v1.0"
    for name in ("a/b", ".hidden", "", ".."):
        with pytest.raises(ArchivePathError):
            check_archive_name(name)


def test_absolute_paths_are_recognised():
    for text in ("/data/x", "C:\\x", "C:/x", "\\\\server\\x", "~/x", "~user/x"):
        assert is_absolute_path(text), text
    for text in ("data/x", "x", "S1:a", "a~b", ""):
        assert not is_absolute_path(text), text
