"""A walk knows at any moment how much was read, and where the next run continues."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from ..support.paths import PLANS
from .lists import LISTS, walkers

#: The lists of all pagination styles, and a cursor list that is read backwards.
ALL = [*LISTS, "backwards", "single"]
MACHINES = 24


@pytest.fixture
def call(sandbox, iris):
    """The arguments and the items of a list by name, with pages of at most ten."""
    sandbox.machines = MACHINES
    sandbox.aemp.page_size = 10

    def of(name: str) -> tuple[dict, list]:
        if name == "backwards":
            url, _, _ = LISTS["cursor"]
            newest = list(iris.pages(url, params={"limit": 10}))[-2].json()["before"]
            arguments = {"url": url, "params": {"limit": 6, "before": newest}}
        elif name == "single":
            arguments = {"url": PLANS}
        else:
            arguments = {"url": LISTS[name][0], **LISTS[name][1]}
        return arguments, list(iris.items(**arguments))

    return of


def passed_on(resume):
    """A resume point that another process reads from JSON."""
    return json.loads(json.dumps(resume, sort_keys=True))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", ALL)
def test_a_list_continues_after_any_item_without_gap_and_without_repetition(
    iris, call, name, workers
) -> None:
    arguments, whole = call(name)
    for read in range(len(whole) + 1):
        walk = iris.items(**arguments, max_workers=workers)
        found = list(islice(walk, read))
        assert walk.items_read == read
        walk.close()
        resume = passed_on(walk.resume)
        rest = iris.items(**arguments, resume=resume, max_workers=4 - workers)
        assert rest.resume == resume
        assert found + list(rest) == whole
        assert (rest.items_read, rest.finished) == (len(whole) - read, True)
    assert walkers() == []


@pytest.mark.parametrize("name", ALL)
def test_one_item_for_each_run_reads_the_list_once(sandbox, iris, call, name) -> None:
    arguments, whole = call(name)
    found, resume = [], None
    while len(found) < len(whole):
        with iris.items(**arguments, resume=resume) as walk:
            found.append(next(walk))
            resume = passed_on(walk.resume)
    assert found == whole
    last = iris.items(**arguments, resume=resume)
    assert (list(last), last.finished) == ([], True)
    resume = passed_on(last.resume)
    sandbox.forget()
    walk = iris.items(**arguments, resume=resume)
    assert (list(walk), walk.finished, walk.items_read) == ([], True, 0)
    assert sandbox.seen == ()
