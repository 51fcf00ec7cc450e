"""The committed pictures are what `tox -e pictures` draws."""

from __future__ import annotations

import re
from html import unescape

import pytest

from docs.pictures.draw import FOLDER, PICTURES, demo_lines


@pytest.mark.parametrize("name", sorted(PICTURES.keys() - {"demo.svg"}))
def test_the_committed_picture_is_the_drawn_picture(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PICTURES[name]()


def test_the_recorded_demo_has_the_lines_that_the_demo_prints() -> None:
    recorded = unescape(re.sub(r"<[^>]+>", " ", (FOLDER / "demo.svg").read_text("utf-8")))
    lines = list(demo_lines(lambda _, sandbox: sandbox.expire_access_tokens()))
    for line in lines:
        if not line.startswith("Token calls"):  # the session sees this end by a 401 only
            assert words(line) in words(recorded)


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_demo_is_recorded_twice_with_the_same_lines() -> None:
    first, second = (
        list(demo_lines(lambda _, sandbox: sandbox.expire_access_tokens())) for _ in range(2)
    )
    assert first == second
