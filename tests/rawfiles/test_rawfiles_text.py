"""Text, tables and XML: typed, with the place of every fault."""

from __future__ import annotations

import numpy as np
import pytest

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.rawfiles import read_csv, read_numbers, read_text, read_xml


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.txt"


def test_text(file):
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(file) == "one\ntwo\nthree\n"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(UnreadableRawFileError, match="byte 3") as caught:
        read_text(file)
    assert "latin1" in caught.value.fix
    assert read_text(file, encoding="latin1") == "caf\u00e9"


def test_numbers(file):
    file.write_text("# heading\n1 2\t3\n\n-4e2  5 nan\n")
    found = read_numbers(file, skip_lines=1)
    np.testing.assert_array_equal(found, [[1, 2, 3], [-400, 5, np.nan]], strict=True)
    file.write_text("1,2\n3,4\n")
    np.testing.assert_array_equal(read_numbers(file, delimiter=","), [[1, 2], [3, 4]])
    file.write_text("\n")
    assert read_numbers(file, columns=4).shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "options", "what"),
    [
        ("1 2\n3 x\n", {}, "line 2: 'x' in column 2 is no number"),
        ("1 2\n3\n", {}, "line 2: 1 numbers instead of 2"),
        ("1 2\n", {"columns": 3}, "line 1: 2 numbers instead of 3"),
        ("h\n1,\n", {"delimiter": ",", "skip_lines": 1}, "line 2: '' in column 2"),
    ],
)
def test_bad_numbers(file, text, options, what):
    file.write_text(text)
    with pytest.raises(UnreadableRawFileError, match=what):
        read_numbers(file, **options)


def test_csv(file):
    file.write_text('subject, clip,split\n1e28,0017,"train, or not"\n\nabcd,3,val\n')
    assert read_csv(file, {"clip": int}) == [
        {"subject": "1e28", "clip": 17, "split": "train, or not"},
        {"subject": "abcd", "clip": 3, "split": "val"},
    ]
    file.write_text("1;2\n3;4\n")
    assert read_csv(file, {"a": float}, names=["a", "b"], delimiter=";") == [
        {"a": 1.0, "b": "2"}, {"a": 3.0, "b": "4"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n1,x\n", "line 2: 'x' in column 'b'"),
        ("a,b\n1\n", "line 2: 1 cells instead of 2"),
        ("a,a\n1,2\n", "line 1: a column name occurs twice"),
        ("a,c\n1,2\n", "no column 'b'"),
        ('a,b\n1,"2\n', "line 2: "),
    ],
)
def test_bad_csv(file, text, what):
    file.write_text(text)
    with pytest.raises(UnreadableRawFileError, match=what):
        read_csv(file, {"b": int})


def test_xml(file):
    file.write_text('<?xml version="1.0"?><a xmlns:n="urn:x"><b k="1">t&lt;&#233;</b><n:c/>z</a>')
    root = read_xml(file)
    assert root.tag == "a"
    assert root.find("b").text == "t<\u00e9"
    assert root.find("b").get("k") == "1"
    assert root.find("{urn:x}c").tail == "z"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a [<!ENTITY x "boom">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_document_types_are_refused(file, doctype, encoding):
    file.write_bytes(
        f"<?xml version='1.0' encoding='{encoding}'?>{doctype}<a>b</a>".encode(encoding)
    )
    with pytest.raises(UnreadableRawFileError, match="document type"):
        read_xml(file)


def test_bad_xml(file):
    file.write_text("<a>\n<b></a>")
    with pytest.raises(UnreadableRawFileError, match="line 2"):
        read_xml(file)
    file.write_text("<a><b>")
    with pytest.raises(UnreadableRawFileError, match="no element found"):
        read_xml(file)
