"""Whole lists: every style, at every size, is read to its end."""

from __future__ import annotations

import pytest

from requests_iris.sandbox import Fault

from .lists import ids, the_whole, walkers


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("machines", [0, 1, 10, 20, 215])
def test_every_style_is_read_to_its_end_in_order(sandbox, iris, style, machines, workers) -> None:
    url, arguments, name = style
    sandbox.machines = machines
    found = ids(iris.items(url, max_workers=workers, **arguments))
    assert found == ids(the_whole(name, machines))
    assert walkers() == []


def test_nothing_is_sent_before_the_first_item_is_asked_for(sandbox, iris, style) -> None:
    url, arguments, _ = style
    walk = iris.items(url, max_workers=8, progress=True, **arguments)
    assert sandbox.seen == ()
    next(walk)
    assert sandbox.count("api") > 0


def test_a_list_is_read_whole_although_its_token_expires_meanwhile(sandbox, iris, style) -> None:
    url, arguments, name = style
    walk = iris.items(url, **arguments)
    found = [next(walk)]
    sandbox.revoke_access_tokens()
    assert ids([*found, *walk]) == ids(the_whole(name))


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("of_session", [False, True])
def test_a_page_is_not_streamed(sandbox, iris, style, workers, of_session) -> None:
    """It is read whole: a page that breaks off is requested again, and a streamed page would not
    be."""
    url, arguments, name = style
    iris.stream = of_session
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(truncate=20), on="api")
    if not of_session:
        arguments = {**arguments, "stream": True}
    assert ids(iris.items(url, max_workers=workers, **arguments)) == ids(the_whole(name))
    assert all(page.json() for page in iris.pages(url, max_workers=workers, **arguments))
