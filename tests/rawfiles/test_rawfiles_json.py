"""JSON: strict, with the place of every fault, whole or streamed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import PosepileError, RawFileTooLargeError, UnreadableRawFileError
from posepile_torch.rawfiles import (
    iter_json_array,
    iter_json_arrays,
    iter_json_object,
    parse_json,
    read_json,
)

BOM = b"\xef\xbb\xbf"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip

# document, text of the error, byte offset, line, column, path
BROKEN = {
    "cut in a string": (b'{"a": 1, "b": [1, "x', "ends too early", 18, 1, 19, "$.b[0]"),
    "cut in an array": (b'{"a": [1, 2', "ends too early", 11, 1, 12, "$.a[1]"),
    "cut in a character": ('["\u00e9'.encode()[:-1], "inside the character", 2, None, None, None),
    "empty": (b" \n ", "ends too early", 3, 2, 2, "$"),
    "NaN": (BOM + b'[1,\n{"n": NaN}]', "NaN is not JSON", 3 + 10, 2, 7, "$[1].n"),
    "infinity": (b"[-Infinity]", "-Infinity is not JSON", 1, 1, 2, "$[0]"),
    "overflow": (b'{"a": 1e400}', "too large for a float", 6, 1, 7, "$.a"),
    "long overflow": (b"[1" + b"0" * 400 + b".5]", "too large for a float", 1, 1, 2, "$[0]"),
    "duplicate key": (b'{"a": {"k": 1, "k": 2}}', "'k' occurs twice", 15, 1, 16, "$.a.k"),
    "escaped duplicate": (b'[{"k": 1, "\\u006b": 2}]', "'k' occurs twice", 10, 1, 11, "$[0].k"),
    "odd duplicate": (b'{"a b": 1, "a b": 2}', "occurs twice", 11, 1, 12, '$["a b"]'),
    "wide characters before": (
        '["\u00e9\u00e9\U0001f600", x]'.encode(),
        "not JSON",
        13,
        1,
        9,
        "$[0]",
    ),
    "trailing comma": (b"[1, 2,]", "not JSON", None, None, None, None),  # Pythons differ
    "two documents": (b'{"a": 1}\n{"a": 2}', "extra data", 9, 2, 1, "$"),
    "bad number": (b"[" + b"9" * 5000 + b"]", "bad number", None, None, None, None),
    "too deep": (b"[" * 100_000, "nested too deeply", None, None, None, None),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-16", None, None, None, None),
    "latin1": (b'{"a": "\xe9t\xe9"}', "byte 7 (0xe9) is not UTF-8", None, None, None, None),
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: f"fault-29 {kind}")
def test_fault_is_named_with_its_place(tmp_path, kind):
    data, what, byte, line, column, path = BROKEN[kind]
    file = tmp_path / "a.json"
    file.write_bytes(data)
    with pytest.raises(UnreadableRawFileError) as caught:
        read_json(file)
    message = caught.value.what
    assert what in message
    assert caught.value.where == str(file)
    if line is not None:
        assert f"(at {path}, byte {byte}, line {line}, column {column})" in message
        assert "<-- here -->" in message
    elif byte is not None:
        assert f"byte {byte}" in message


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: f"fault-29 streamed {kind}")
@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
def test_streaming_refuses_the_same(tmp_path, kind, chunk_bytes):
    data = BROKEN[kind][0].removeprefix(BOM)
    file = tmp_path / "a.json"
    if kind.startswith("cut"):
        data = b'{"rows": [' + data
    elif kind not in ("empty", "two documents", "UTF-16"):
        data = b'{"rows": [' + data + b'], "end": 1}'
    file.write_bytes(data)
    with pytest.raises(UnreadableRawFileError):
        list(iter_json_array(file, "rows", chunk_bytes=chunk_bytes))


def test_what_is_accepted_on_request():
    assert parse_json(BOM + b'{"a": [1]}') == {"a": [1]}
    found = parse_json(b"[NaN, Infinity, -Infinity]", allow_nan=True)
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]
    text = b'{"a": [1, 2,\n], "s": "keep,] this", "e": "\\",}",\n}'
    assert parse_json(text, allow_trailing_commas=True) == {
        "a": [1, 2], "s": "keep,] this", "e": '",}',
    }  # fmt: skip
    with pytest.raises(UnreadableRawFileError, match="byte 12"):
        parse_json(b'{"a": [1,], ?', allow_trailing_commas=True)
    with pytest.raises(UnreadableRawFileError, match="too large"):
        parse_json(b"[1e999]", allow_nan=True)


@settings(deadline=None, max_examples=80)
@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_same_values_as_the_standard_reader(value, indent, ascii_only):
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert parse_json(data) == json.loads(data)


@settings(deadline=None, max_examples=60)
@given(st.lists(VALUES, max_size=5), VALUES, st.integers(1, 40), st.booleans())
def test_streaming_gives_the_elements(tmp_path_factory, rows, other, chunk_bytes, ascii_only):
    file = tmp_path_factory.mktemp("json") / "a.json"
    document = {"before": other, "data": {"x": other, "rows": rows}, "after": other}
    file.write_text(json.dumps(document, ensure_ascii=ascii_only, indent=1), encoding="utf-8")
    got = list(iter_json_array(file, ("data", "rows"), chunk_bytes=chunk_bytes))
    assert got == json.loads(json.dumps(rows))
    assert list(iter_json_object(file, chunk_bytes=chunk_bytes)) == list(
        json.loads(file.read_text("utf-8")).items()
    )


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=30), st.integers(1, 10))
def test_random_bytes_end_in_a_named_error(tmp_path_factory, data, chunk_bytes):
    file = tmp_path_factory.mktemp("json") / "a.json"
    file.write_bytes(b'{"rows": [' + data)
    with pytest.raises(PosepileError):
        read_json(file)
    with pytest.raises(PosepileError):
        list(iter_json_array(file, "rows", chunk_bytes=chunk_bytes))


@settings(deadline=None, max_examples=40)
@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4), VALUES, st.integers(1, 40))
def test_several_arrays_come_in_one_pass(tmp_path_factory, first, second, other, chunk_bytes):
    file = tmp_path_factory.mktemp("json") / "a.json"
    document = {"x": other, "first": first, "y": other, "second": second, "z": [other]}
    file.write_text(json.dumps(document))
    got = list(iter_json_arrays(file, ("second", "first"), chunk_bytes=chunk_bytes))
    expected = json.loads(json.dumps(document))
    assert got == [(key, row) for key in ("first", "second") for row in expected[key]]


def test_every_one_of_several_arrays_must_be_there(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"images": [1], "info": {"year": 2020}}')
    with pytest.raises(UnreadableRawFileError, match="no key 'annotations'") as caught:
        list(iter_json_arrays(file, ("images", "annotations")))
    assert "'images', 'info'" in caught.value.fix
    with pytest.raises(UnreadableRawFileError, match=r"expected an array at \$\.info"):
        list(iter_json_arrays(file, ("images", "info")))
    file.write_text('{"images": [1]} and more')
    with pytest.raises(UnreadableRawFileError, match="text follows the end"):
        list(iter_json_arrays(file, ("images",)))
    file.write_text("[1]")
    with pytest.raises(UnreadableRawFileError, match="expected an object"):
        list(iter_json_arrays(file, ("images",)))


def test_streaming_says_what_is_there(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"images": [1], "info": {"year": 2020}}')
    with pytest.raises(UnreadableRawFileError, match="'annotations'") as caught:
        list(iter_json_array(file, "annotations"))
    assert "'images', 'info'" in caught.value.fix
    with pytest.raises(UnreadableRawFileError, match=r"expected an array at \$\.info"):
        list(iter_json_array(file, "info"))
    with pytest.raises(UnreadableRawFileError, match="expected an object"):
        list(iter_json_array(file, ("images", "x")))
    assert dict(iter_json_object(file, "info")) == {"year": 2020}


def test_streaming_checks_what_follows_the_array(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"rows": [1, 2], "tail": [1, 2')
    rows = iter_json_array(file, "rows")
    assert [next(rows), next(rows)] == [1, 2]
    with pytest.raises(UnreadableRawFileError, match="ends too early"):
        next(rows)
    file.write_text('{"rows": [1], "rows": [2]}')
    with pytest.raises(UnreadableRawFileError, match="'rows' occurs twice"):
        list(iter_json_array(file, "rows"))


@pytest.mark.parametrize("limit", [pytest.param(1000, id="fault-30 size limit")])
def test_size_limits(tmp_path, limit):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"rows": list(range(1000)), "one": "x" * 5000}))
    with pytest.raises(RawFileTooLargeError, match="max_bytes") as caught:
        read_json(file, max_bytes=limit)
    assert f"{limit:,} bytes" in caught.value.rule
    rows = iter_json_array(file, "rows", max_item_bytes=limit, chunk_bytes=100)
    assert [next(rows) for _ in range(1000)] == list(range(1000))
    with pytest.raises(RawFileTooLargeError, match=r"one element .* \$\.one"):
        next(rows)


RLIMIT_SCRIPT = """
    import resource, sys
    from posepile_torch.errors import RawFileTooLargeError
    from posepile_torch.rawfiles import iter_json_array, read_json, read_pickle
    page = resource.getpagesize()
    used = int(open("/proc/self/statm").read().split()[0]) * page
    resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20),) * 2)
    try:
        (read_json if sys.argv[1].endswith("json") else read_pickle)(sys.argv[1])
    except RawFileTooLargeError as error:
        print("refused:", error.what, error.fix)
    if sys.argv[1].endswith("json"):
        print("streamed:", sum(1 for _ in iter_json_array(sys.argv[1], chunk_bytes=1 << 16)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")
@pytest.mark.parametrize("kind", ["json", "pkl"], ids=lambda kind: f"fault-30 RLIMIT_AS {kind}")
def test_too_little_memory_is_a_clear_error(tmp_path, kind):
    file = tmp_path / f"huge.{kind}"
    if kind == "json":  # 3 MB of text, some 60 MB of objects
        file.write_text("[" + ",".join(['{"a":0}'] * 400_000) + "]")
    else:  # a million dictionaries in a megabyte
        file.write_bytes(b"\x80\x02](" + b"}" * 1_000_000 + b"e.")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RLIMIT_SCRIPT), str(file)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "refused: the memory does not suffice" in done.stdout
    assert "streaming" in done.stdout
    if kind == "json":
        assert "streamed: 400000" in done.stdout
