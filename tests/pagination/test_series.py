"""AEMP series: windows of at most 14 days as one walk, each item once, from any point on."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests import Response

from requests_iris import IncompleteListError, IrisSession, SettingError
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.sandbox.fleet import measurement, measurement_times
from requests_iris.series import series

from ..support.depth import examples
from ..support.paths import ASSETS
from ..support.waiting import HUNG
from .lists import walkers
from .rewriting import rewritten

UTC = UTC
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: The first item of every series in the sandbox.
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
PIN, POINT = "SN00000001", "CumulativeOperatingHours"
#: Three windows: no item, six items, and eight items. The item at 05:00 is in two windows.
SINCE, UNTIL = EPOCH + 5 * HOUR - 28 * DAY, EPOCH + 12 * HOUR
SERIES = "/public/api/aemp/v2/15143/-3/Fleet/Equipment/ID"


def expected(since: datetime = SINCE, until: datetime = UNTIL, point: str = POINT) -> list[dict]:
    """The items of the sandbox's first machine."""
    return [measurement(0, point, time) for time in measurement_times(since, until)]


def passed_on(resume: Any) -> Any:
    """A resume point that another process reads from JSON."""
    return json.loads(json.dumps(resume, sort_keys=True))


def asked(sandbox: Sandbox) -> list[tuple[str, str, str]]:
    """Start, end and page of each request."""
    return [tuple(seen.path.split("/")[-3:]) for seen in sandbox.seen if seen.server == "api"]


@pytest.fixture
def small(sandbox):
    """A sandbox with three items per page."""
    sandbox.aemp.page_size = 3
    return sandbox


class TestWhole:
    @pytest.mark.parametrize("workers", [1, 4])
    def test_a_long_series_is_read_in_windows_of_14_days_with_all_pages(
        self, sandbox, iris, workers
    ):
        until = EPOCH + 60 * DAY
        walk = iris.series(PIN, POINT, EPOCH, until, max_workers=workers)
        assert (walk.resume, walk.total, walk.finished, sandbox.seen) == (None, None, False, ())
        assert list(walk) == expected(EPOCH, until)
        assert (walk.finished, walk.total) == (True, None)
        assert (walk.items_read, walk.pages_read) == (60 * 24 + 1, 17)
        assert len(asked(sandbox)) == len(set(asked(sandbox))) == 17
        starts = sorted({start for start, _, _ in asked(sandbox)})
        assert starts == [f"{EPOCH + n * 14 * DAY:%Y-%m-%d}T00:00:00Z" for n in range(5)]
        assert {seen.headers["Accept"] for seen in sandbox.seen} == {"application/json"}
        assert {seen.query for seen in sandbox.seen} == {""}

    @pytest.mark.parametrize(
        ("since", "until", "lookback", "windows"),
        [
            (EPOCH, EPOCH + 14 * DAY, None, 1),
            (EPOCH, EPOCH + 14 * DAY + HOUR, None, 2),
            (EPOCH + 14 * DAY, EPOCH + 15 * DAY, 14 * DAY, 2),
            (EPOCH, EPOCH, None, 0),
            (EPOCH + DAY, EPOCH, None, 0),
            (EPOCH + DAY, EPOCH + DAY, 2 * HOUR, 1),
        ],
    )
    def test_lookback_moves_since_and_the_last_window_is_cut(
        self, sandbox, iris, since, until, lookback, windows
    ):
        walk = iris.series(PIN, POINT, since, until, lookback=lookback)
        since -= lookback or timedelta(0)
        assert list(walk) == (expected(since, until) if windows else [])
        assert walk.finished
        assert len({start for start, _, _ in asked(sandbox)}) == windows

    def test_the_requests_have_whole_seconds_around_the_time(self, sandbox, iris):
        half = timedelta(seconds=0.5)
        list(iris.series(PIN, POINT, EPOCH + half, EPOCH + half, lookback=3 * half))
        list(iris.series(PIN, POINT, EPOCH + half, EPOCH + HOUR))
        last = datetime.max.replace(tzinfo=UTC)
        list(iris.series(PIN, POINT, last - half, last))
        assert [page[:2] for page in asked(sandbox)] == [
            ("2024-12-31T23:59:59Z", "2025-01-01T00:00:01Z"),
            ("2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z"),
        ]

    def test_an_empty_time_sends_nothing_and_is_finished(self, sandbox, iris):
        """Half a second must not be rounded to a whole second."""
        half = timedelta(seconds=0.5)
        for since, until, lookback in [
            (EPOCH, EPOCH, None),
            (EPOCH + DAY, EPOCH, HOUR),
            (EPOCH + half, EPOCH + half, None),
            (EPOCH + half, EPOCH + half / 2, None),
        ]:
            call = (PIN, POINT, since, until)
            walk = iris.series(*call, lookback=lookback)
            assert (walk.resume, list(walk), walk.finished) == (None, [], True)
            assert (walk.resume["finished"], walk.pages_read) == (True, 0)
            again = iris.series(*call, lookback=lookback, resume=passed_on(walk.resume))
            assert (list(again), again.finished, again.resume) == ([], True, walk.resume)
        assert sandbox.seen == ()

    def test_local_times_become_utc_and_14_local_days_in_autumn_are_two_windows(
        self, sandbox, iris
    ):
        zone = ZoneInfo("Europe/Copenhagen")
        since, until = datetime(2025, 10, 20, tzinfo=zone), datetime(2025, 11, 3, tzinfo=zone)
        assert list(iris.series(PIN, POINT, since, until)) == expected(
            since.astimezone(UTC), until.astimezone(UTC)
        )
        assert [page[:2] for page in asked(sandbox)][-1] == (
            "2025-11-02T22:00:00Z",
            "2025-11-02T23:00:00Z",
        )

    def test_a_series_of_a_different_account_is_read_with_the_arguments_of_the_caller(
        self, sandbox, iris
    ):
        arguments = {"account": "123/-1", "params": {"addMetadata": "true"}, "headers": {"X": "1"}}
        assert list(iris.series(PIN, POINT, SINCE, UNTIL, **arguments)) == expected()
        assert {seen.query for seen in sandbox.seen} == {"addMetadata=true"}
        assert {seen.headers["X"] for seen in sandbox.seen} == {"1"}
        assert all("/aemp/v2/123/-1/Fleet/" in seen.path for seen in sandbox.seen)

    def test_late_data_comes_with_the_next_run(self, iris, sandbox):
        point = "LateHours"
        assert len(list(iris.series(PIN, point, EPOCH, UNTIL))) == 13
        sandbox.add_late_data(PIN, point, [EPOCH + HOUR / 2])
        late = list(iris.series(PIN, point, EPOCH + 2 * HOUR, UNTIL, lookback=2 * HOUR))
        assert late[1] == measurement(0, point, EPOCH + HOUR / 2)
        assert len(late) == 14


class TestBoundary:
    """The item at 05:00 is at the end of a window and at the start of the next window."""

    def test_an_item_at_the_end_of_a_window_and_the_start_of_the_next_comes_once(
        self, sandbox, iris
    ):
        assert list(iris.series(PIN, POINT, SINCE, UNTIL)) == expected()
        assert len(asked(sandbox)) == 3

    def test_an_item_that_is_twice_at_the_end_of_a_window_comes_twice(self, small, iris):
        point = "TwiceHours"
        small.add_late_data(PIN, point, [EPOCH + 5 * HOUR])
        twice = measurement(0, point, EPOCH + 5 * HOUR)
        found = list(iris.series(PIN, point, SINCE, UNTIL))
        assert (len(found), found.count(twice)) == (14, 2)

    @pytest.mark.parametrize("name", ["datetime", "Datetime", "@dateTime", "timestamp"])
    @pytest.mark.parametrize(
        "spelled",
        ["2025-01-01T05:00:00Z", "2025-01-01T06:00:00.0000000+01:00", "2025-01-01 05:00:00,0"],
    )
    def test_a_time_is_understood_in_other_spellings(self, iris, name, spelled):
        def change(document):
            for item in document["cumulativeOperatingHours"]:
                time = item.pop("datetime")
                item[name] = spelled if time == "2025-01-01T05:00:00Z" else time

        arguments = rewritten({}, change)
        assert len(list(iris.series(PIN, POINT, SINCE, UNTIL, **arguments))) == 13

    @pytest.mark.parametrize(
        ("change", "count"),
        [
            (lambda number, item: item.update(hour=number), 14),
            (lambda number, item: item.update(datetime=f"2025-01-01T05:00:00.00{number}Z"), 14),
            (lambda number, item: item.update(datetime="2025-02-30T05:00:00Z"), 14),
            (lambda number, item: item.update(datetime=1735707600), 14),
            (lambda number, item: item.pop("datetime"), 14),
            (lambda number, item: item.update(note={"b": [1], "a": None}), 13),
        ],
        ids=["content", "time", "no-date", "number", "no-time", "the-same"],
    )
    def test_two_different_items_at_the_edge_of_windows_both_come(self, iris, change, count):
        pages = iter(range(10))

        def rewrite(document):
            number = next(pages)
            for item in document["cumulativeOperatingHours"]:
                if item["datetime"] == "2025-01-01T05:00:00Z":
                    change(number, item)

        found = list(iris.series(PIN, POINT, SINCE, UNTIL, **rewritten({}, rewrite)))
        assert len(found) == count

    def test_the_same_item_again_inside_of_a_window_comes_again(self, iris):
        def repeat(document):
            items = document["cumulativeOperatingHours"]
            items += [item for item in items if "T09:00" in item["datetime"]]

        found = list(iris.series(PIN, POINT, SINCE, UNTIL, **rewritten({}, repeat)))
        assert len(found) == 14

    def test_items_that_are_no_objects_are_handed_out(self, iris):
        change = rewritten({}, lambda document: {**document, "cumulativeOperatingHours": [1, 1]})
        assert list(iris.series(PIN, POINT, SINCE, UNTIL, **change)) == [1, 1] * 3


class TestResume:
    def test_a_series_continues_after_any_item_without_gap_and_without_repetition(
        self, small, iris
    ):
        whole, call = expected(), (PIN, POINT, SINCE, UNTIL)
        for read in range(len(whole) + 1):
            workers = 1 + read % 2 * 2
            walk = iris.series(*call, max_workers=workers)
            found = list(islice(walk, read))
            assert walk.items_read == read
            walk.close()
            resume = passed_on(walk.resume)
            assert len(json.dumps(resume)) < 400
            rest = iris.series(*call, resume=resume, max_workers=4 - workers)
            assert rest.resume == resume
            assert found + list(rest) == whole
            assert (rest.items_read, rest.finished) == (len(whole) - read, True)
        assert walkers() == []

    def test_one_item_for_each_run_reads_the_series_once(self, small, iris):
        found, resume = [], None
        while len(found) < 13:
            with iris.series(PIN, POINT, SINCE, UNTIL, resume=resume) as walk:
                found.append(next(walk))
                resume = passed_on(walk.resume)
        assert found == expected()
        last = iris.series(PIN, POINT, SINCE, UNTIL, resume=resume)
        assert (list(last), last.finished) == ([], True)
        resume = passed_on(last.resume)
        small.forget()
        walk = iris.series(PIN, POINT, SINCE, UNTIL, resume=resume)
        assert (list(walk), walk.finished, walk.items_read, walk.resume) == ([], True, 0, resume)
        assert small.seen == ()

    def test_twins_at_the_edge_come_twice_also_with_a_run_for_each_item(self, sandbox, iris):
        sandbox.aemp.page_size, point = 1, "Twins"
        sandbox.add_late_data(PIN, point, [EPOCH + 5 * HOUR] * 2)
        found, resume = [], None
        while not (resume or {}).get("finished"):
            walk = iris.series(PIN, point, SINCE, UNTIL, resume=resume)
            found += list(islice(walk, 1))
            resume = passed_on(walk.resume)
        assert found == list(iris.series(PIN, point, SINCE, UNTIL))
        assert found.count(measurement(0, point, EPOCH + 5 * HOUR)) == 3

    @pytest.mark.parametrize("read", [7, 8, 9, 10, 11])
    def test_late_data_between_two_runs_never_repeats_an_item(self, small, iris, read):
        """Late data before the resume point moves all later items to the right.

        A page has three items, so some of the points are between two pages.
        """
        for hours, is_moved in [(5.5, True), (11.5, False)]:
            call = (PIN, f"Late{read}x{hours * 2:.0f}", SINCE, UNTIL)
            walk = iris.series(*call)
            found = list(islice(walk, read))
            small.add_late_data(*call[:2], [EPOCH + hours * HOUR])
            rest = iris.series(*call, resume=passed_on(walk.resume))
            if is_moved:
                with pytest.raises(IncompleteListError, match="late data came") as caught:
                    next(rest)
                assert "again from here on, with since=2025-01-01T05:00:00Z" in str(caught.value)
                assert caught.value.resume is rest.resume is None
            else:
                assert [*found, *rest] == list(iris.series(*call))

    def test_a_resume_point_is_a_new_dict_at_each_read(self, small, iris):
        walk = iris.series(PIN, POINT, SINCE, UNTIL)
        next(walk)
        walk.resume.clear()
        resume = walk.resume
        resume["page"].clear()
        assert walk.resume["page"]
        passed = passed_on(walk.resume)
        rest = iris.series(PIN, POINT, SINCE, UNTIL, resume=passed)
        passed["page"].clear()
        assert len(list(rest)) == 12

    def test_a_resume_point_for_a_different_series_is_refused_before_any_request(self, small, iris):
        call = {"pin": PIN, "data_point": POINT, "since": SINCE, "until": UNTIL}
        walk = iris.series(**call)
        next(walk)
        begun = passed_on(walk.resume)
        list(walk)
        done = passed_on(walk.resume)
        small.forget()
        for change in [
            {"pin": "SN00000002"},
            {"data_point": "Distance"},
            {"since": SINCE + HOUR},
            {"until": UNTIL + HOUR},
            {"until": UNTIL - HOUR},
            {"lookback": HOUR},
            {"account": "123/-1"},
            {"params": {"addMetadata": "true"}},
        ]:
            for resume in (begun, done):
                with pytest.raises(SettingError, match="resume") as caught:
                    iris.series(**{**call, **change}, resume=resume)
                assert caught.value.setting == "resume"
        with pytest.raises(SettingError, match="from 2024-12-04T05:00:00Z to 2025-01-01T12:00"):
            iris.series(PIN, POINT, SINCE, UNTIL + DAY, resume=begun)
        same = {"since": SINCE.astimezone(ZoneInfo("Asia/Tokyo")) + HOUR, "lookback": HOUR}
        iris.series(**{**call, **same}, resume=begun, max_workers=5, headers={"X": "1"})
        assert small.seen == ()

    def test_a_malformed_resume_point_is_refused_before_any_request(self, small, iris):
        walk = iris.series(PIN, POINT, SINCE, UNTIL)
        list(islice(walk, 7))
        good = passed_on(walk.resume)
        assert good["window"] == 2
        small.forget()
        deep: list = []
        for _ in range(100_000):
            deep = [deep]
        changes: list[dict[str, Any]] = [
            *({"window": value} for value in (0, 1, 3, -1, True, 2.0, "2", None, 10**5000)),
            *({"page": value} for value in ({}, None, "x", [], {**good["page"], "items": 5})),
            *({"seen": value} for value in ([], ["x"], None, "x", deep, [float("nan")])),
            *({"end": ["x"]}, {"finished": True}, {"list": "x"}, {"list": None}, {"more": 1}),
            *({"since": "2024-01-01T00:00:00Z"}, {"until": 7}, {"until": b"x"}, {1: 2}),
        ]
        bad: list[Any] = [{**good, **change} for change in changes]
        bad += [{name: good[name] for name in good if name != left} for left in good]
        plain = iris.items(ASSETS, params={"size": 10})
        next(plain)
        small.forget()
        for resume in [*bad, {}, [], "x", 7, True, json.dumps(good), good["page"], plain.resume]:
            if resume == good:
                continue
            with pytest.raises(SettingError) as caught:
                iris.series(PIN, POINT, SINCE, UNTIL, resume=resume)
            assert caught.value.setting == "resume"
        with pytest.raises(SettingError):
            iris.items(f"{SERIES}/{PIN}/{POINT}/2025-01-01T00:00:00Z/x/1", resume=good)
        assert small.seen == ()


class TestErrors:
    def test_a_failure_in_a_later_window_has_a_resume_point_there(self, sandbox, iris):
        until = EPOCH + 100 * DAY
        window = f"{SERIES}/{PIN}/{POINT}/2025-03-26T00:00:00Z/"
        sandbox.inject(Fault(status=403), on="api", path=window, after=2)
        walk, found = iris.series(PIN, POINT, EPOCH, until), []
        with pytest.raises(IncompleteListError, match="window 7 of 8, from 2025-03-26") as caught:
            found.extend(walk)
        error = caught.value
        assert "page 3 of the list" in str(error)
        assert isinstance(error, requests.HTTPError)
        assert (error.pages_read, error.items_read) == (walk.pages_read, walk.items_read)
        assert (error.pages_read, error.items_read) == (26, 6 * 336 + 200)
        assert error.resume == walk.resume
        assert not walk.finished
        sandbox.forget()
        rest = iris.series(PIN, POINT, EPOCH, until, resume=passed_on(error.resume))
        assert [*walk, *rest] == expected(EPOCH, until)[error.items_read :]
        # the page before the point is read again, to see whether late data came
        assert asked(sandbox)[0] == ("2025-03-26T00:00:00Z", "2025-04-09T00:00:00Z", "2")

    @pytest.mark.parametrize("workers", [1, 3])
    def test_a_failure_of_the_first_page_of_a_window_loses_no_window(self, small, iris, workers):
        for after, number, read in [(1, 2, 0), (3, 3, 6)]:
            small.clear_faults()
            if workers == 3 and after == 3:
                continue  # the workers send the requests in no fixed order
            small.inject(Fault(status=400), on="api", after=after, times=9)
            with pytest.raises(IncompleteListError, match=f"window {number} of 3") as caught:
                list(iris.series(PIN, POINT, SINCE, UNTIL, max_workers=workers))
            assert caught.value.items_read == read
            resume = passed_on(caught.value.resume)
            assert resume["window"] == number - 1
            small.clear_faults()
            rest = list(iris.series(PIN, POINT, SINCE, UNTIL, resume=resume))
            assert rest == expected()[read:]

    @pytest.mark.parametrize("workers", [1, 3])
    def test_a_network_fault_in_a_later_window_is_a_list_error(self, small, iris, workers):
        small.inject(Fault(drop="before"), on="api", after=1, times=90)
        with pytest.raises(IncompleteListError) as caught:
            list(iris.series(PIN, POINT, SINCE, UNTIL, max_workers=workers))
        assert isinstance(caught.value, requests.ConnectionError)
        assert caught.value.resume["window"] == 1
        small.clear_faults()
        assert len(list(iris.series(PIN, POINT, SINCE, UNTIL, resume=caught.value.resume))) == 13

    def test_a_failure_of_the_first_request_is_raised_as_by_get(self, sandbox, iris):
        sandbox.inject(Fault(drop="before"), on="api", times=90)
        with pytest.raises(requests.ConnectionError) as caught:
            list(iris.series(PIN, POINT, SINCE, UNTIL))
        assert not isinstance(caught.value, IncompleteListError)

    def test_an_unknown_machine_is_an_error_and_no_empty_series(self, iris):
        walk = iris.series("nobody", POINT, SINCE, UNTIL)
        with pytest.raises(IncompleteListError, match="404") as caught:
            next(walk)
        assert (caught.value.response.status_code, caught.value.resume) == (404, None)
        assert isinstance(caught.value, requests.HTTPError)

    def test_a_window_that_changes_while_it_is_read_has_no_resume_point(self, sandbox, iris):
        point = "ChangedHours"
        walk = iris.series(PIN, point, EPOCH - 14 * DAY, EPOCH + 13 * DAY)
        list(islice(walk, 2))
        many = [EPOCH + n * timedelta(minutes=1) for n in range(1, 100)]
        sandbox.add_late_data(PIN, point, many)
        with pytest.raises(IncompleteListError, match="changed") as caught:
            list(walk)
        assert "since=2025-01-01T00:00:00Z" in str(caught.value)
        assert caught.value.resume is walk.resume is None

    def test_the_loop_of_the_caller_may_fail_at_any_item(self, small, iris):
        walk, found = iris.series(PIN, POINT, SINCE, UNTIL), []
        with suppress(KeyboardInterrupt):
            for item in walk:
                found.append(item)
                if len(found) == 8:
                    raise KeyboardInterrupt
        rest = iris.series(PIN, POINT, SINCE, UNTIL, resume=passed_on(walk.resume))
        assert found + list(rest) == expected()

    def test_a_page_with_a_sign_of_more_items_is_an_error(self, iris):
        change = rewritten({}, lambda document: {**document, "hasMore": True})
        with pytest.raises(IncompleteListError, match="hasMore"):
            list(iris.series(PIN, POINT, SINCE, UNTIL, **change))


class TestArguments:
    GOOD: ClassVar = {"pin": PIN, "data_point": POINT, "since": SINCE, "until": UNTIL}

    def test_a_wrong_argument_is_a_setting_error_at_the_call(self, sandbox, iris):
        naive = datetime(2025, 1, 1)
        for name, values in {
            "pin": ["", ".", "..", None, 4711, b"x", "\ud800"],
            "data_point": ["", ".", "..", None, 7],
            "account": ["", "15143", "15143/", "/-3", "./-3", "15143/..", "1/2/3", 7, "a/\ud800"],
            "since": [naive, None, "2025-01-01T00:00:00Z", naive.date(), 0],
            "until": [naive, None, "2025-01-01T00:00:00Z", naive.date(), 0],
            "lookback": [-HOUR, 6, "6h", timedelta.max],
            "max_workers": [0, -1, True, "4", 1.5],
            "resume": ["", [], {}, 7],
            "params": [7],
        }.items():
            for value in values:
                with pytest.raises(SettingError) as caught:
                    iris.series(**{**self.GOOD, name: value})
                assert caught.value.setting == name
                assert name in str(caught.value)
                assert isinstance(caught.value, ValueError)
        assert sandbox.seen == ()

    def test_an_unknown_argument_is_a_type_error_at_the_call(self, sandbox, iris):
        for name in ("workers", "items_path", "method", "url", "progress", "step"):
            with pytest.raises(TypeError):
                iris.series(**self.GOOD, **{name: 1})
        assert sandbox.seen == ()

    def test_none_means_not_passed(self, iris):
        nothing = dict.fromkeys(("account", "lookback", "max_workers", "resume"))
        assert list(iris.series(**self.GOOD, **nothing)) == expected()

    def test_a_pin_with_any_character_arrives_unchanged(self, clock):
        pins = ["A/B", "A%2FB", "50%", "a b", "Ø7", "?x=1", "#1", "+&=;,", "..x", "...", "\\", "%"]
        pins += ["%2e%2e", "a\nb", "C/12/7", "'\"", "x:y@z", "ID", "~", "\u202e"]
        assets = [{"id": f"m{number}", "serialNumber": pin} for number, pin in enumerate(pins)]
        with Sandbox(assets=assets) as sandbox:
            sandbox.aemp.page_size = 3
            with IrisSession(**sandbox.settings, clock=clock) as iris:
                iris.verify = sandbox.ca_file
                for number, pin in enumerate(pins):
                    walk = iris.series(pin, "Distance", EPOCH, EPOCH + 3 * HOUR)
                    assert [item["odometer"] // 1000 for item in walk] == [number + 1] * 4

    def test_each_segment_of_the_path_is_quoted(self):
        urls: list[str] = []

        def request(method: str, url: str, **arguments: Any) -> Response:
            urls.append(url)
            raise requests.ConnectionError

        walk = series(
            request, "a/b", "Dis tance", EPOCH, UNTIL, account="1 2/%", arguments={"timeout": 1}
        )
        with pytest.raises(requests.ConnectionError):
            next(walk)
        segments = urlsplit(urls[0]).path.split("/")
        assert [unquote(each) for each in segments] == [
            *("", "public", "api", "aemp", "v2", "1 2", "%", "Fleet", "Equipment", "ID"),
            *("a/b", "Dis tance", "2025-01-01T00:00:00Z", "2025-01-01T12:00:00Z", "1"),
        ]


class TestWorkers:
    def call(self, iris, before, workers, windows=8):
        """A series with one page in each window; calls `before` before each request."""

        def request(method, url, **arguments):
            before(url)
            return iris.request(method, url, **arguments)

        since = EPOCH - windows * 14 * DAY
        return series(request, PIN, POINT, since, EPOCH, max_workers=workers, arguments={})

    def test_workers_read_the_first_pages_of_later_windows_ahead(self, iris):
        three, begun = threading.Barrier(3, timeout=10), []

        def before(url):
            begun.append(url)
            if len(begun) > 1 and len(begun) <= 4:
                three.wait()

        assert len(list(self.call(iris, before, 4))) == 1
        assert len(begun) == len(set(begun)) == 8

    def test_there_are_never_more_requests_than_workers_at_once(self, small, iris):
        lock, now, most, first = threading.Lock(), [0], [0], iter([True])
        together = threading.Event()

        def request(method, url, **arguments):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            if most[0] > 1:
                together.set()
            elif not next(first, False):
                together.wait(HUNG)  # on a fast machine, no two requests would meet by chance
            try:
                return iris.request(method, url, **arguments)
            finally:
                with lock:
                    now[0] -= 1

        walk = series(request, PIN, POINT, SINCE, UNTIL, max_workers=3, arguments={})
        assert list(walk) == expected()
        assert 1 < most[0] <= 3

    def test_one_worker_reads_nothing_ahead_in_the_thread_of_the_caller(self, sandbox, iris):
        threads = set()
        walk = self.call(iris, lambda _: threads.add(threading.current_thread()), 1)
        assert len(list(walk)) == 1
        assert threads == {threading.current_thread()}

    def test_no_window_is_requested_before_the_first_page_has_come(self, sandbox, iris):
        sandbox.inject(Fault(status=404), on="api")
        with pytest.raises(IncompleteListError):
            list(iris.series(PIN, POINT, SINCE, UNTIL, max_workers=4))
        assert len(asked(sandbox)) == 1

    def test_a_closed_walk_leaves_no_worker_and_sends_nothing_more(self, small, iris):
        walk = iris.series(PIN, POINT, SINCE, UNTIL, max_workers=4)
        next(walk)
        walk.close()
        assert walkers() == []
        count = len(small.seen)
        assert (list(walk), walk.finished, len(small.seen)) == ([], False, count)


class Made:
    """A made-up server: both ends of a window belong to the window, and pages have any size."""

    def __init__(self, items: list[dict], size: int, *, newest_first: bool = False) -> None:
        self.items, self.size, self.newest_first = items, size, newest_first

    def request(self, method: str, url: str, **arguments: Any) -> Response:
        start, end, number = unquote(urlsplit(url).path).split("/")[-3:]
        found = self.found(start, end)
        page, last = int(number), max(-(-len(found) // self.size), 1)
        links = [
            {"rel": "self", "href": url},
            {"rel": "last", "href": f"{url[: url.rfind('/')]}/{last}"},
        ]
        document = {"links": links, "location": found[(page - 1) * self.size : page * self.size]}
        response = Response()
        response.status_code, response.url = 200, url
        response._content = json.dumps(document).encode()  # of requests, which has no other way
        return response

    def found(self, start: str, end: str) -> list[dict]:
        found = [item for item in self.items if start <= item["datetime"] <= end]
        return found[::-1] if self.newest_first else found

    def series(self, until: datetime, resume: Any = None, workers: int = 1) -> Any:
        return series(
            self.request,
            *("x", "Locations", EPOCH, until),
            resume=resume,
            max_workers=workers,
            arguments={},
        )


def runs(made: Made, until: datetime, cuts: Iterator[int]) -> Iterator[dict]:
    """The items of many runs, each of which reads some items."""
    resume = None
    while not (resume or {}).get("finished"):
        walk = made.series(until, resume)
        yield from islice(walk, next(cuts))
        resume = passed_on(walk.resume) or resume


@settings(max_examples=examples(40))
@given(
    numbers=st.lists(
        st.tuples(st.sampled_from([0, 335, 336, 337, 672, 1008]), st.integers(0, 2)), max_size=8
    ),
    size=st.integers(1, 5),
    newest_first=st.booleans(),
    cuts=st.lists(st.integers(1, 6), min_size=1),
)
def test_any_series_comes_whole_whatever_the_pages_and_the_runs(
    numbers, size, newest_first, cuts
) -> None:
    items = [
        {"datetime": f"{EPOCH + hour * HOUR:%Y-%m-%dT%H:%M:%SZ}", "value": value}
        for hour, value in sorted(numbers)
    ]
    made = Made(items, size, newest_first=newest_first)
    until = EPOCH + 42 * DAY
    whole = list(made.series(until))
    assert sorted(whole, key=str) == sorted(items, key=str)
    assert newest_first or whole == items
    endless = (cut for _ in iter(int, 1) for cut in cuts)
    assert list(runs(made, until, endless)) == whole


def test_a_series_of_any_length_takes_the_same_memory() -> None:
    """The pages are large, so the caches of the standard library are small in comparison."""
    many = [{"datetime": "2020-01-01T00:00:00Z", "value": n} for n in range(200)]

    def peak(windows: int) -> int:
        made = Made([], 600)
        made.found = lambda start, end: [{"datetime": start}, *many, {"datetime": end}]
        walk = made.series(EPOCH + windows * 14 * DAY)
        tracemalloc.start()
        try:
            assert sum(1 for _ in walk) == windows * 201 + 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    assert peak(15) < 1.2 * peak(5)
