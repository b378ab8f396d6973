"""The pages about protocols say what the code does."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from posepile_torch.evaluate.catalog import protocols_page

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def executed(page):
    """The page with what its examples print in place of the text blocks."""
    names: dict = {}
    printed = [""]

    def run(match):
        kind, body = match.groups()
        if kind == "text":
            return f"```text\n{printed[0]}```"
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(body, "two-mpjpe.md", "exec"), names)
        printed[0] = out.getvalue()
        return match.group(0)

    return _BLOCK.sub(run, page)


def test_every_number_on_the_page_about_mpjpe_is_the_output_of_its_example():
    page = (DOCS / "two-mpjpe.md").read_text(encoding="utf-8")
    assert executed(page) == page
    blocks = [kind for kind, _ in _BLOCK.findall(page)]
    assert blocks.count("text") == blocks.count("python") - 1  # the first one prints nothing
    prose = _BLOCK.sub("", page)
    assert not re.search(
        r"\d\.\d", prose.replace("Human3.6M", "")
    )  # measured numbers are in outputs only


def test_the_page_of_protocols_is_what_the_registry_holds():
    assert (DOCS / "protocols.md").read_text(encoding="utf-8") == protocols_page()
