"""Every block of code in the documentation does what the page says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ..support.iris_hosts import iris_hosts
from ..support.pages import ROOT, TYPED, Reader, blocks, pages

#: The number of blocks on each page that cannot be run. The page gives the reason for each block.
NOT_RUN = {
    "docs/howto/pipelines.rst": 2,
    "docs/howto/quotas.rst": 1,
    "docs/index.rst": 1,
    "docs/tutorial/index.rst": 1,
}
#: The languages of blocks that are neither typed nor run.
READ_ONLY = {"text", "yaml", "ini", "json", "docker", "hidden"}

#: The characters of a line of code that a page shows on a screen of 1280 pixels.
WIDTH = 88

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
WITH_CODE = [
    name
    for name, page in PAGES.items()
    if any(block.is_typed or block.language == "hidden" for block in blocks(page))
]


@pytest.mark.parametrize("name", WITH_CODE)
def test_every_block_of_the_page_works(name: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with iris_hosts(monkeypatch) as sandbox, Reader(PAGES[name], sandbox) as reader:
        reader.read()


def test_blocks_that_cannot_be_run_are_marked_and_counted() -> None:
    marked = (name for name, page in PAGES.items() for block in blocks(page) if block.not_run)
    assert Counter(marked) == NOT_RUN


@pytest.mark.parametrize("name", PAGES)
def test_every_block_on_the_page_is_found_and_has_a_known_language(name: str) -> None:
    text, found = PAGES[name].read_text("utf-8"), blocks(PAGES[name])
    assert text.count("code-block::") == sum(block.language != "hidden" for block in found)
    assert text.count(".. not run") == sum(block.not_run is not None for block in found)
    assert {block.language for block in found} <= TYPED | READ_ONLY


@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_code_is_cut_off_on_a_desktop(name: str) -> None:
    code = (block for block in blocks(PAGES[name]) if block.language == "python")
    lines = (line for block in code for line in block.text.splitlines())
    assert [line for line in lines if len(line) > WIDTH] == []
