"""A walk knows at any moment how much was read, and where the next run continues."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count, islice
from types import FrameType

import pytest

from requests_iris import IncompleteListError, SettingError, Walk
from requests_iris.clock import given_up
from requests_iris.sandbox import Fault
from requests_iris.walk import Portion

from ..support.paths import ASSETS, EVENTS, OPERATORS, PLANS, QUERY
from ..support.waiting import HUNG
from .lists import LISTS, answers, ids, the_whole, walkers

#: The lists of all pagination styles, and a cursor list that is read backwards.
ALL = [*LISTS, "backwards", "single"]
#: The arguments for pages of three items.
THREE = {
    "pages": {"params": {"size": 3}},
    "post": {"params": {"size": 3}},
    "cursor": {"params": {"limit": 3}},
    "aemp": {},
    "graphql": {"json": {"query": QUERY, "variables": {"first": 3}}},
}


@pytest.fixture
def call(sandbox, iris):
    """The arguments and the items of a list by name, in pages of three, three and two items."""
    sandbox.machines = 8
    sandbox.aemp.page_size = 3

    def of(name: str) -> tuple[dict, list]:
        if name == "backwards":
            url, _, _ = LISTS["cursor"]
            newest = list(iris.pages(url, params={"limit": 3}))[-2].json()["before"]
            arguments = {"url": url, "params": {"limit": 2, "before": newest}}
        elif name == "single":
            arguments = {"url": PLANS}
        else:
            url, arguments, _ = LISTS[name]
            arguments = {"url": url, **arguments, **THREE[name]}
        return arguments, list(iris.items(**arguments))

    return of


def passed_on(resume):
    """A resume point, after a way to a different process as JSON."""
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


def ends(resume) -> dict:
    """A resume point without its mark."""
    return {name: value for name, value in resume.items() if name != "list"}


class TestAttributes:
    """The attributes of a walk before, during and after the reading."""

    def test_a_walk_that_has_not_begun_has_read_nothing(self, sandbox, iris) -> None:
        walk = iris.items(ASSETS)
        assert isinstance(walk, Walk)
        assert isinstance(walk, Iterator)
        assert iter(walk) is walk
        facts = (walk.resume, walk.total, walk.pages_read, walk.items_read, walk.finished)
        assert facts == (None, None, 0, 0, False)
        assert sandbox.seen == ()

    def test_a_page_counts_as_read_when_its_last_item_was_handed_out(self, iris, call) -> None:
        walk = iris.items(**call("pages")[0])
        counts = [(walk.pages_read, walk.items_read) for _ in walk]
        assert counts == [(number // 3, number) for number in range(1, 8)] + [(3, 8)]
        pages = iris.pages(**call("pages")[0])
        assert [(pages.pages_read, pages.items_read) for _ in pages] == [(1, 3), (2, 6), (3, 8)]

    @pytest.mark.parametrize("name", ALL)
    def test_the_total_is_the_total_of_the_whole_list(self, iris, call, name) -> None:
        arguments, whole = call(name)
        walk = iris.items(**arguments)
        resume = [walk.resume for _ in walk][len(whole) // 2]
        known = None if name in ("cursor", "backwards", "aemp", "graphql") else len(whole)
        rest = iris.items(**arguments, resume=resume)
        assert (walk.total, rest.total) == (known, known)
        next(rest)
        end = iris.items(**arguments, resume=walk.resume)
        assert (rest.total, end.total, list(end), end.total) == (known, known, [], known)

    def test_a_total_of_graphql_is_the_total_of_the_whole_list(self, sandbox, iris) -> None:
        nodes = [{"node": number} for number in range(3)]
        connection = {"totalCount": 3, "edges": nodes, "pageInfo": {"hasNextPage": False}}
        url = answers(sandbox, *[{"data": {"assets": connection}}] * 2)
        arguments = {"url": url, "method": "POST", "json": {"query": QUERY}}
        walk = iris.items(**arguments)
        next(walk)
        assert walk.total == 3
        rest = iris.items(**arguments, resume=walk.resume)
        assert (list(rest), rest.total) == ([1, 2], 3)

    @pytest.mark.parametrize("kind", ["pages", "items"])
    def test_a_walk_is_finished_after_its_end_only(self, iris, kind) -> None:
        walk = getattr(iris, kind)(ASSETS, params={"size": 125})
        for _ in range(2 if kind == "pages" else 250):
            next(walk)
        assert (walk.finished, walk.items_read) == (False, 250)
        assert walk.resume["finished"] is True
        assert next(walk, None) is None
        assert walk.finished
        walk.close()
        assert (walk.finished, walk.items_read, next(walk, None)) == (True, 250, None)

    def test_each_resume_point_is_a_new_dict(self, iris) -> None:
        walk = iris.items(ASSETS)
        next(walk)
        expected = dict(walk.resume)
        walk.resume.clear()
        assert walk.resume == expected
        rest = iris.items(ASSETS, resume=expected)
        rest.resume.clear()
        assert rest.resume == expected

    @pytest.mark.parametrize("workers", [1, 3])
    def test_a_closed_walk_hands_out_nothing_and_keeps_its_attributes(
        self, iris, call, workers
    ) -> None:
        arguments, _ = call("pages")
        for taken in (0, 1, 3, 4, 8):
            with iris.items(**arguments, max_workers=workers) as walk:
                assert len(list(islice(walk, taken))) == taken
                before = (walk.resume, walk.total, walk.pages_read, walk.items_read)
            for _ in range(2):
                assert next(walk, None) is None
                assert (walk.resume, walk.total, walk.pages_read, walk.items_read) == before
                assert not walk.finished
                walk.close()
        assert walkers() == []

    def test_a_walk_is_neither_copied_nor_pickled_nor_created_by_hand(self, iris) -> None:
        walk = iris.items(ASSETS)
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"Save walk.resume instead"):
                duplicate(walk)
        with pytest.raises(TypeError, match=r"IrisSession.items"):
            Walk([1])
        next(walk)
        assert repr(walk) == "<Walk: 1 items in 0 pages read>"

    def test_progress_of_a_continued_walk_ends_at_its_total(self, iris) -> None:
        walk = iris.items(ASSETS, params={"size": 100})
        list(islice(walk, 130))
        told: list[tuple[int, int | None]] = []
        arguments = {"params": {"size": 100}, "progress": lambda *n: told.append(n)}
        assert len(list(iris.items(ASSETS, resume=walk.resume, **arguments))) == 120
        assert told == [(70, 120), (120, 120)]


class TestAnEndInTheMiddle:
    """Whatever ends a walk, the resume point stays, and leads to the rest of the list."""

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize("name", LISTS)
    def test_the_resume_point_after_an_error_is_the_resume_point_of_the_error(
        self, sandbox, iris, call, name, workers
    ) -> None:
        arguments, whole = call(name)
        for kind in ("items", "pages"):
            walk = getattr(iris, kind)(**arguments, max_workers=workers)
            sandbox.inject(Fault(), on="api")
            sandbox.inject(Fault(status=400), on="api", times=1000)
            with pytest.raises(IncompleteListError) as caught:
                list(walk)
            sandbox.clear_faults()
            error = caught.value
            assert error.resume == walk.resume
            assert (error.items_read, error.pages_read) == (walk.items_read, walk.pages_read)
            assert (walk.items_read, walk.pages_read, walk.finished) == (3, 1, False)
            error.resume.clear()
            assert list(iris.items(**arguments, resume=walk.resume)) == whole[3:]

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize("name", LISTS)
    def test_the_resume_point_after_ctrl_c_in_a_request_is_the_next_page(
        self, iris, call, name, workers
    ) -> None:
        arguments, whole = call(name)
        seen = count()

        def interrupt(response, **_) -> None:
            if next(seen):
                raise KeyboardInterrupt

        walk = iris.items(**arguments, max_workers=workers, hooks={"response": interrupt})
        with pytest.raises(KeyboardInterrupt):
            list(walk)
        assert (walk.items_read, walk.finished, next(walk, None)) == (3, False, None)
        assert list(iris.items(**arguments, resume=passed_on(walk.resume))) == whole[3:]

    def test_an_error_in_the_loop_of_the_caller_keeps_the_resume_point(self, iris, call) -> None:
        arguments, whole = call("cursor")
        walk = iris.items(**arguments)
        with pytest.raises(ZeroDivisionError):
            sum(1 / (5 - walk.items_read) for _ in walk)
        assert list(iris.items(**arguments, resume=walk.resume)) == whole[5:]

    def test_a_resumed_walk_that_fails_at_once_keeps_the_passed_resume_point(
        self, sandbox, iris, call
    ) -> None:
        for name in ALL:
            arguments, _ = call(name)
            with iris.items(**arguments) as walk:
                next(walk)
            again = iris.items(**arguments, resume=walk.resume)
            sandbox.inject(Fault(status=400), on="api")
            with pytest.raises(IncompleteListError) as caught:
                next(again)
            assert caught.value.resume == again.resume == walk.resume
            sandbox.inject(Fault(drop="before"), on="api", times=20)
            with pytest.raises(IncompleteListError) as caught:
                next(iris.items(**arguments, resume=walk.resume))
            assert caught.value.resume == walk.resume
            sandbox.clear_faults()

    def test_an_error_of_the_progress_keeps_the_page_that_was_not_handed_out(self, iris) -> None:
        def tell(done: int, total: int | None) -> None:
            if done > 10:
                raise LookupError

        walk = iris.items(ASSETS, params={"size": 10}, progress=tell)
        with pytest.raises(LookupError):
            list(walk)
        assert (ends(walk.resume)["page"], walk.items_read) == (1, 10)


def nine_items() -> Generator[Portion, None, None]:
    """The numbers from 0 to 8, in pages of three."""
    for first in (0, 3, 6):
        page = [first, first + 1, first + 2]
        yield Portion(page, 3, 9, lambda done, first=first: {"after": first + done})


def test_ctrl_c_at_any_moment_keeps_the_counts_and_the_resume_point() -> None:
    """Python looks for signals at calls, so Ctrl-C comes at each call in turn."""
    for moment in count(1):
        walk: Walk[int] = Walk.over(nine_items())
        found: list[int] = []
        with suppress(KeyboardInterrupt), interrupted_at(moment):
            for item in walk:
                found.append(item)
        assert found == list(range(len(found)))
        assert walk.items_read - len(found) in (0, 1)  # Ctrl-C may come before append()
        assert walk.resume == ({"after": walk.items_read} if walk.items_read else None)
        walk.close()
        assert next(walk, None) is None
        assert given_up.get() is None  # otherwise no request of this thread could wait any more
        if walk.finished:
            break
    assert moment > 30


@contextmanager
def interrupted_at(moment: int) -> Iterator[None]:
    """A KeyboardInterrupt in one of the calls in the block, where Python looks for signals."""
    calls = iter(range(1, moment + 1))

    def interrupt(frame: FrameType, event: str, argument: object) -> None:
        is_moment = event in ("call", "c_return") and argument is not sys.setprofile
        if is_moment and next(calls, None) == moment:
            raise KeyboardInterrupt  # which also ends the profile

    sys.setprofile(interrupt)
    yield
    sys.setprofile(None)


class TestThreads:
    @pytest.mark.parametrize("kind", [IncompleteListError, KeyboardInterrupt])
    def test_an_error_in_one_thread_is_an_error_in_each_thread_that_waits_for_the_page(
        self, iris, kind
    ) -> None:
        """A quiet end would be half a list."""
        reading, waiting, number = threading.Event(), threading.Event(), count()

        def fail(response, **_) -> None:
            if next(number) == 1:
                reading.set()
                assert waiting.wait(HUNG)
                raise kind("the page is broken")

        def rest_of_a_waiting_thread() -> list:
            assert reading.wait(HUNG)
            # The first call in this thread is the call that asks the walk for a page.
            sys.setprofile(lambda _, event, __: event == "call" and waiting.set())
            try:
                return list(walk)
            finally:
                sys.setprofile(None)

        walk = iris.items(ASSETS, params={"size": 100}, hooks={"response": fail})
        found = list(islice(walk, 100))
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.submit(list, walk), pool.submit(rest_of_a_waiting_thread)
            assert isinstance(first.exception(), kind)
            error = second.exception()
        assert isinstance(error, IncompleteListError)
        assert "in a different thread" in str(error)
        assert (error.items_read, error.pages_read, error.resume) == (100, 1, walk.resume)
        assert not walk.finished
        resumed = iris.items(ASSETS, params={"size": 100}, resume=walk.resume)
        assert found + list(resumed) == list(iris.items(ASSETS))

    def test_a_walk_that_a_thread_closes_during_a_request_continues_from_its_resume_point(
        self, iris
    ) -> None:
        def close(response, **_) -> None:
            if len(found) == 100:
                pool.submit(walk.close).result(HUNG)

        found = []
        walk = iris.items(ASSETS, params={"size": 100}, hooks={"response": close})
        with ThreadPoolExecutor(1) as pool:
            found.extend(islice(walk, 100))
            with pytest.raises(CancelledError):
                found.extend(walk)
        assert (len(found), walk.items_read, walk.finished) == (100, 100, False)
        assert not list(walk)
        resumed = iris.items(ASSETS, params={"size": 100}, resume=walk.resume)
        assert ids(found + list(resumed)) == ids(the_whole("assets"))

    def test_threads_that_share_a_walk_get_each_item_once(self, iris) -> None:
        for workers in (1, 3):
            walk = iris.items(ASSETS, params={"size": 10}, max_workers=workers)
            with ThreadPoolExecutor(4) as pool:
                found = [each for part in pool.map(list, [walk] * 4) for each in part]
            assert sorted(ids(found)) == sorted(ids(the_whole("assets")))
            assert (walk.items_read, walk.pages_read, walk.finished) == (250, 25, True)

    def test_a_hook_that_reads_its_own_walk_is_an_error_and_never_half_a_list(self, iris) -> None:
        walks = []

        def read(response, **_) -> None:
            with suppress(ValueError):
                next(walks[0])

        walks.append(iris.items(ASSETS, params={"size": 100}, hooks={"response": read}))
        with pytest.raises(ValueError, match="hook"):
            list(walks[0])
        assert not walks[0].finished

    def test_a_hook_cannot_close_the_walk_of_its_own_request(self, iris) -> None:
        walks = []

        def close(response, **_) -> None:
            walks[0].close()

        walks.append(iris.items(ASSETS, params={"size": 100}, hooks={"response": close}))
        with pytest.raises(ValueError, match="cannot be closed now"):
            list(walks[0])


class TestOddLists:
    @pytest.mark.parametrize("odd", [None, [], [1, 2], {}, 0, "x", False])
    def test_items_of_any_kind_are_handed_out_and_counted(self, sandbox, iris, odd) -> None:
        body = {"content": [odd] * 3, "number": 0, "size": 3, "totalElements": 3}
        url = answers(sandbox, body, body)
        walk = iris.items(url)
        assert [next(walk), walk.items_read] == [odd, 1]
        assert list(iris.items(url, resume=walk.resume)) == [odd] * 2

    def test_an_empty_page_in_the_middle_is_passed_over(self, sandbox, iris) -> None:
        def page(nodes: list[int], cursor: str | None) -> dict:
            info = {"hasNextPage": cursor is not None, "endCursor": cursor}
            edges = [{"node": node} for node in nodes]
            return {"data": {"assets": {"edges": edges, "pageInfo": info}}}

        bodies = [page([], "a"), page([1], "b"), page([], "c"), page([2, 3], None)]
        url = answers(sandbox, *bodies, bodies[-1])
        arguments = {"url": url, "method": "POST", "json": {"query": QUERY}}
        walk = iris.items(**arguments)
        assert (list(islice(walk, 2)), walk.pages_read) == ([1, 2], 3)
        assert list(iris.items(**arguments, resume=passed_on(walk.resume))) == [3]

    @pytest.mark.parametrize("name", LISTS)
    @pytest.mark.parametrize("kind", ["items", "pages"])
    def test_a_list_without_items_is_finished(self, sandbox, iris, name, kind) -> None:
        sandbox.machines = 0
        url, arguments, _ = LISTS[name]
        walk = getattr(iris, kind)(url, **arguments)
        assert len(list(walk)) == (kind == "pages")
        assert (walk.finished, walk.items_read, walk.pages_read) == (True, 0, 1)
        sandbox.forget()
        for again in (iris.items, iris.pages):
            assert list(again(url, resume=walk.resume, **arguments)) == []
        assert sandbox.seen == ()


class TestPointsOfPages:
    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize("name", ALL)
    def test_pages_and_items_continue_each_other_between_pages(
        self, iris, call, name, workers
    ) -> None:
        arguments, whole = call(name)
        pages = iris.pages(**arguments, max_workers=workers)
        for _ in pages:
            items = iris.items(**arguments, resume=passed_on(pages.resume))
            assert list(items) == whole[pages.items_read :]
        items = iris.items(**arguments, max_workers=workers)
        for read, _ in enumerate(items, 1):
            if "items" not in items.resume:
                rest = iris.pages(**arguments, resume=passed_on(items.resume))
                assert all(page.ok for page in rest)
                assert rest.items_read == len(whole) - read

    @pytest.mark.parametrize("name", ALL)
    def test_pages_refuses_a_resume_point_inside_a_page(self, sandbox, iris, call, name) -> None:
        arguments, _ = call(name)
        walk = iris.items(**arguments)
        next(walk)
        sandbox.forget()
        with pytest.raises(SettingError, match=r"inside a page.*items\(\)") as caught:
            iris.pages(**arguments, resume=walk.resume)
        assert caught.value.setting == "resume"
        assert sandbox.seen == ()


class TestRefusals:
    """Only an unchanged resume point of the same unchanged list is accepted."""

    #: Wrong values for each member of a resume point.
    WRONG = (
        *(None, True, False, -1, 0, 1, 1.0, 2.5, float("nan"), float("inf"), 10**5000, -(10**5000)),
        *("", "1", "\ud800", b"x", [], {}, object()),
    )
    #: Members of resume points of other styles, and an unknown member.
    MORE = ("items", "finished", "total", "page", "after", "number", "endCursor", "read", "unknown")

    @pytest.mark.parametrize("name", ALL)
    def test_a_resume_point_with_any_other_value_is_refused(
        self, sandbox, iris, call, name
    ) -> None:
        arguments, _ = call(name)
        walk = iris.items(**arguments)
        inside, *_, last = [walk.resume for _ in walk]
        sandbox.forget()
        for point in (inside, last):
            assert iris.items(**arguments, resume=point).resume == point
            for changed in (
                *({**point, member: wrong} for member in point for wrong in self.WRONG),
                *({**point, each: 1} for each in self.MORE if each not in point),
                *({k: v for k, v in point.items() if k != gone} for gone in point),
                *(list(point.items()), list(point), json.dumps(point), {"a": point}),
            ):
                if changed == point and repr(changed) == repr(point):
                    continue
                with pytest.raises(SettingError) as caught:
                    iris.items(**arguments, resume=changed)
                assert caught.value.setting == "resume"
        assert sandbox.seen == ()

    def test_a_finished_list_is_finished_for_the_same_call_only(self, sandbox, iris) -> None:
        walk = iris.items(ASSETS, params={"brand": "Acme", "size": 100})
        list(walk)
        assert list(iris.items(f"{ASSETS}?size=100&brand=Acme", resume=walk.resume)) == []
        for other in ({"url": EVENTS}, {"params": {"brand": "Hitch", "size": 100}}):
            with pytest.raises(SettingError, match="the same call"):
                iris.items(**{"url": ASSETS, "resume": walk.resume, **other})

    def test_a_page_that_lost_items_since_the_resume_point_is_an_error(self, sandbox, iris) -> None:
        """A list of cursors has no total that would show the change."""
        sandbox.machines = 8
        walk = iris.items(OPERATORS)
        list(islice(walk, 6))
        sandbox.machines = 5
        again = iris.items(OPERATORS, resume=walk.resume)
        with pytest.raises(IncompleteListError, match="6 items .* has 5 items now") as caught:
            next(again)
        assert (caught.value.resume, again.resume) == (None, None)
        sandbox.machines = 6
        assert list(iris.items(OPERATORS, resume=walk.resume)) == []

    @pytest.mark.parametrize("name", ["pages", "post", "aemp"])
    def test_a_list_with_another_total_than_its_resume_point_is_an_error(
        self, sandbox, iris, call, name
    ) -> None:
        arguments, _ = call(name)
        walk = iris.items(**arguments)
        points = [walk.resume for _ in walk]
        sandbox.machines = 11
        for point in (points[0], points[2], points[3]):
            with pytest.raises(IncompleteListError, match="changed since the resume point"):
                next(iris.items(**arguments, resume=point))

    def test_a_single_response_with_another_total_is_an_error(self, sandbox, iris) -> None:
        url = answers(sandbox, {"plans": [1, 2]}, {"plans": [1, 2, 3]})
        walk = iris.items(url)
        next(walk)
        with pytest.raises(IncompleteListError, match="total was 2, and is 3 now"):
            next(iris.items(url, resume=walk.resume))

    def test_another_size_of_the_pages_since_the_resume_point_is_an_error(
        self, sandbox, iris
    ) -> None:
        """The server may allow larger pages now: page 1 would then begin with a different item."""
        page = {"content": [1, 2], "number": 0, "size": 2, "totalElements": 6}
        larger = {"content": [5, 6], "number": 1, "size": 4, "totalElements": 6}
        url = answers(sandbox, page, larger)
        walk = iris.items(url, params={"size": 4})
        list(islice(walk, 2))
        with pytest.raises(IncompleteListError, match="before the page was 2, and is 4 now"):
            next(iris.items(url, params={"size": 4}, resume=walk.resume))

    def test_a_resumed_list_is_checked_by_the_total_of_the_whole_list(self, sandbox, iris) -> None:
        """Without the number of items before the resume point, the list would pass for whole."""
        first, last = {"content": [1, 2], "after": "a"}, {"content": [3], "total": 4}
        url = answers(sandbox, first, last, last, {**last, "total": 3})
        walk = iris.items(url)
        assert list(islice(walk, 2)) == [1, 2]
        for _ in range(2):
            with pytest.raises(IncompleteListError, match="total"):
                list(iris.items(url, resume=walk.resume))
        assert list(iris.items(url, resume=walk.resume)) == [3]

    def test_a_walk_that_goes_in_a_circle_has_no_resume_point(self, sandbox, iris) -> None:
        pages = [{"content": [number], "after": cursor} for number, cursor in enumerate("aba")]
        walk = iris.items(answers(sandbox, *pages))
        with pytest.raises(IncompleteListError, match="second time") as caught:
            list(walk)
        assert (caught.value.resume, walk.resume, walk.items_read) == (None, None, 2)
