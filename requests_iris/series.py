"""AEMP series (ISO 15143-3): one machine, one data point, and any length of time.

IRIS serves at most 14 days at once. So a series is read in windows, each window is a list with
pages, and all windows together are one walk.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial, wraps
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from requests import Response

from .call import Call
from .clock import given_up
from .document import changed
from .during import During
from .edges import Edges, Sifted, digest_of, sifted, time_of
from .errors import ListError, QuotaExceededError, SettingError
from .known_styles import first_call
from .options import Options, current_options
from .page_errors import failed_page
from .pagination import Page, Request, begin
from .resume import PagePoints, Point
from .text import one_line
from .timespans import Window, in_utc, span, text_of_time
from .walk import Portion, Walk
from .workers import check_process, result_of, workers

if TYPE_CHECKING:
    from .types import ResumePoint

#: The account in the path, unless the caller names a different account.
ACCOUNT = "15143/-3"
#: The longest time from start to end of a request.
LONGEST = timedelta(days=14)
_LAST_SECOND = datetime.max.replace(microsecond=0, tzinfo=UTC)

_Value = TypeVar("_Value")


def series(
    request: Request,
    pin: str,
    data_point: str,
    since: datetime,
    until: datetime,
    *,
    account: str | None = None,
    lookback: timedelta | None = None,
    max_workers: int = 1,
    resume: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any],
    session_params: Mapping[str, Any] = MappingProxyType({}),
    afford: Callable[[Iterable[str]], None] | None = None,
) -> Walk[Any]:
    """The items of a series. The arguments are checked now, the series is read lazily.

    :param arguments: all remaining arguments of `request`, for every page.
    :param session_params: parameters that `request` adds to every URL.
    :param afford: called before the first request of a new series, with the URLs of all windows.
    :raises SettingError: for a wrong argument.
    :raises TypeError: for an argument that `request` does not have.
    """
    path = _path(pin, data_point, ACCOUNT if account is None else account)
    whole = _span(since, until, lookback)
    call = first_call("GET", _url(path, whole), arguments, session_params)
    begin(request, call.url, call.arguments, max_workers=max_workers)  # checks the arguments
    found = _Series(call, path, *whole)
    place = _Place(0) if resume is None else found.place_at(resume)
    reading = _Reading(found, request, max_workers, afford)
    return Walk.over(reading.portions(place), None if resume is None else found.resume_at(place))


def _path(pin: str, data_point: str, account: str) -> str:
    """The path of a series without the time.

    :raises SettingError: for a text that would vanish from the path, or change the path.
    """
    parts = account.split("/") if isinstance(account, str) else [account]
    if len(parts) != 2:
        raise SettingError(
            f"account must be two parts with a slash between, not {account!r}. Pass {ACCOUNT!r}",
            setting="account",
        )
    owner = "/".join(_segment("account", part) for part in parts)
    machine, point = _segment("pin", pin), _segment("data_point", data_point)
    return f"/public/api/aemp/v2/{owner}/Fleet/Equipment/ID/{machine}/{point}"


def _segment(setting: str, text: Any) -> str:
    """A quoted segment of the path."""
    if not isinstance(text, str):
        raise SettingError(f"{setting} must be text, not {text!r}. Pass a str", setting=setting)
    if text in ("", ".", ".."):
        raise SettingError(
            f"{setting} is {text!r}, which would vanish from the path. Pass the whole {setting}",
            setting=setting,
        )
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise SettingError(
            f"{setting} is no Unicode text: {text!r}. Pass the {setting} as IRIS shows it",
            setting=setting,
        ) from None


def _span(since: Any, until: Any, lookback: Any) -> Window:
    """The time in whole seconds, as in all examples of IRIS: rounded down and up."""
    start = _checked("since", in_utc, "since", since)
    end = _checked("until", in_utc, "until", until)
    start, _ = _checked("lookback", span, start, end, lookback)
    if start >= end:
        return start, end  # Rounding could make a second of an empty time.
    second = end.replace(microsecond=0)
    is_whole = end == second or second == _LAST_SECOND
    return start.replace(microsecond=0), second if is_whole else second + timedelta(seconds=1)


def _checked(setting: str, check: Callable[..., _Value], *values: Any) -> _Value:
    try:
        return check(*values)
    except (TypeError, ValueError) as error:
        raise SettingError(str(error), setting=setting) from None


def _url(path: str, window: Window) -> str:
    start, end = (quote(text_of_time(time), safe="") for time in window)
    return f"{path}/{start}/{end}/1"


def _afford_pages(*_: object) -> None:
    """Accepts the pages of a window: the quota has accepted the windows already."""


@dataclass(frozen=True)
class _Place:
    """Where a reading stands: in or before a window.

    :ivar window: the number of the window, from 0; after the last window, the series is finished.
    :ivar page: the resume point in the window; None for the start of the window.
    :ivar edges: what is known of the items at the edges of the window.
    :ivar last: inside a page, the digest of the last item that was read. Late data moves the items
        of a window, often without a change of the number of pages. So a point after a page is the
        end of this page, and not the start of the next page: only the item before the point shows
        whether items were moved.
    """

    window: int
    page: Mapping[str, Any] | None = None
    edges: Edges = field(default_factory=Edges)
    last: str | None = None


@dataclass(frozen=True)
class _Series:
    """A series and its windows.

    :ivar call: the request for the whole series, which is never sent: the series' identity.
    """

    call: Call
    path: str
    start: datetime
    end: datetime

    @cached_property
    def windows(self) -> int:
        """The number of windows."""
        return max(-((self.start - self.end) // LONGEST), 0)

    def window(self, number: int) -> Window:
        start = self.start + number * LONGEST
        return start, self.end if self.end - start <= LONGEST else start + LONGEST

    def url(self, number: int) -> str:
        """The URL of the first page of a window, with the caller's query."""
        return self.call.with_path(_url(self.path, self.window(number))).url

    def resume_at(self, place: _Place) -> dict[str, Any] | None:
        """The resume point at a place, as a new dict; None at the beginning."""
        if place == _Place(0) and self.windows:
            return None
        members: dict[str, Any] = {
            "since": text_of_time(self.start),
            "until": text_of_time(self.end),
        }
        if place.window >= self.windows:
            members["finished"] = True
        else:
            members["window"] = place.window
            members |= {"page": dict(place.page)} if place.page else {}
            members |= {"seen": list(place.edges.seen)} if place.edges.seen else {}
            members |= {"end": list(place.edges.end)} if place.edges.end else {}
            members |= {"last": place.last} if place.last else {}
        return {**members, "list": self._mark(members)}

    @cached_property
    def _identity(self) -> str:
        return str(Point(self.call, {}).at()["list"])

    def _mark(self, members: Mapping[str, Any]) -> str:
        """A hash of the series and of all other members of a resume point."""
        told = json.dumps([self._identity, members], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def place_at(self, resume: Any) -> _Place:
        """:raises SettingError: for any value but a resume point of the same series."""
        members = dict(resume) if isinstance(resume, Mapping) else {}
        mark = members.pop("list", None)
        try:
            is_ours = mark == self._mark(members)
        except (TypeError, ValueError, RecursionError):  # no JSON
            is_ours = False
        if not is_ours:
            raise SettingError(self._why_refused(members), setting="resume")
        if "finished" in members:
            return _Place(self.windows)
        edges = Edges(tuple(members.get("seen", ())), tuple(members.get("end", ())))
        page = members.get("page")
        page = None if page is None else dict(page)
        return _Place(members["window"], page, edges, members.get("last"))

    def _why_refused(self, members: Mapping[str, Any]) -> str:
        ours = text_of_time(self.start), text_of_time(self.end)
        theirs = members.get("since"), members.get("until")
        if theirs != ours and all(time_of({"datetime": time}) for time in theirs):
            return (
                "resume is for the time from {} to {}, and this call reads from {} to {}. Pass "
                "the same since, until and lookback as in the first run".format(
                    *map(one_line, theirs), *ours
                )
            )
        return (
            "resume must be a resume point of the same series() call, with the same pin, data "
            "point, account, time and parameters: the resume of a walk or of a ListError"
        )


class _Reading:
    """One reading of a series. Only one thread at a time runs the generator `portions`."""

    def __init__(
        self,
        found: _Series,
        request: Request,
        max_workers: int,
        afford: Callable[[Iterable[str]], None] | None,
    ) -> None:
        self._series = found
        self._afford = afford
        self._request = request
        self._workers = max_workers
        self._pages = 0
        self._items = 0

    def portions(self, place: _Place) -> Generator[Portion, None, None]:
        """The pages of all windows from a place on."""
        is_later = place != _Place(0)
        if not self._series.windows:
            yield Portion([], 0, None, partial(self._resume, lambda _: place), pages=0)
        later = range(place.window + 1, self._series.windows)
        self._check_quota(place)
        with workers(self._workers) as pool:
            ahead = _Ahead(self._request, self._workers, pool)
            fill = partial(ahead.begin, map(self._series.url, later), self._series.call.arguments)
            while place.window < self._series.windows:
                with closing(self._begin(ahead, place, is_later)) as pages:
                    place = yield from self._window(pages, place, fill)
                is_later = True

    def _check_quota(self, place: _Place) -> None:
        """Refuses a reading that cannot come further within the quota, before the first request.

        The windows share slots, so a new series needs a slot for each window, and more if windows
        have several pages. A continued series comes further if the quota has a slot for the page
        before the resume point, which is read again, and a slot for the next page.

        :raises QuotaExceededError: for a continued series a ListError too, with the resume point.
        """
        if self._afford is None:
            return
        if place == _Place(0):
            if self._series.windows > 1:
                self._afford(map(self._series.url, range(self._series.windows)))
        elif place.page is not None:
            try:
                self._afford([self._series.url(place.window)] * 2)
            except QuotaExceededError as error:
                failed = failed_page(error)
                self._note(failed, place, begun=False)
                raise failed from error

    def _begin(self, ahead: _Ahead, place: _Place, is_later: bool) -> Generator[Page, None, None]:
        @wraps(self._request)
        def request(method: str, url: str, **arguments: Any) -> Response:
            return ahead.send(method, url, **arguments)

        url = self._series.url(place.window)
        return begin(
            request,
            url,
            self._series.call.arguments,
            max_workers=self._workers,
            resume=place.page,
            is_later=is_later,
            afford=None if self._afford is None else _afford_pages,
        ).pages()

    def _window(
        self, pages: Iterator[Page], place: _Place, fill: Callable[[], None]
    ) -> Generator[Portion, None, _Place]:
        """The pages of a window; returns the place after the window.

        :param fill: called after each page, to request the next windows early.
        """
        begun = place.page is not None
        window = self._series.window(place.window)
        is_last = place.window + 1 == self._series.windows
        try:
            for page in pages:
                fill()
                begun = True
                _check_before(page, place)
                items, facts = sifted(page.items, window, place.edges, is_last=is_last)
                kept = [items]
                last = digest_of(page.items[-1]) if page.items else place.last
                after = partial(_place_after, place, page.points, facts, kept, last)
                del page  # A page is not kept during the next request.
                count = len(items)
                self._pages += 1
                self._items += count
                yield Portion(items, count, None, partial(self._resume, after))
                del items
                kept.clear()
                place = after(count)
        except ListError as error:
            self._note(error, place, begun)
            raise
        return place

    def _resume(self, after: Callable[[int], _Place], done: int) -> dict[str, Any] | None:
        return self._series.resume_at(after(done))

    def _note(self, error: ListError, place: _Place, begun: bool) -> None:
        """Turns the facts of an error about a window into facts about the series."""
        start, end = map(text_of_time, self._series.window(place.window))
        told = f"window {place.window + 1} of {self._series.windows}, from {start} to {end}"
        if error.resume is None and begun:
            # A part of this window was handed out, and the rest of the window does not fit.
            told += f" (the series can be read again from here on, with since={start})"
            resume = None
        else:
            resume = self._series.resume_at(place)
        error.args = (f"{told}: {error}",)
        error.pages_read, error.items_read = self._pages, self._items
        error.resume = cast("ResumePoint | None", resume)


def _check_before(page: Page, place: _Place) -> None:
    """:raises IncompleteListError: if a different item is now before the resume point."""
    if place.last and page.before and digest_of(page.before[0]) != place.last:
        raise changed(
            "the window has changed since the resume point: late data came, or an item was "
            "changed. Continuing would repeat or miss items"
        )


def _place_after(
    place: _Place,
    points: PagePoints,
    facts: Sifted,
    kept: list[list[Any]],
    last: str | None,
    done: int,
) -> _Place:
    """The place after `done` of the items that a page adds.

    :param place: the place before the page.
    :param points: the resume points in the window.
    :param kept: the list of the items, and after the last item nothing.
    :param last: the digest of the last item of the page.
    """
    if done == 0 and facts.kept:
        return place
    read = facts.read_after(done)
    page, edges = points.after(read), facts.edges_after(read)
    if "finished" in page:
        return _Place(place.window + 1, edges=edges.next_window())
    if read < facts.size:
        last = digest_of(kept[0][done - 1]) if kept else None
    elif "items" not in page:
        page = points.end()
    return _Place(place.window, page, edges, last)


class _Ahead:
    """Sends requests, and the requests for the first pages of later windows early.

    A semaphore limits the requests at the same time. Threads may call `send`, which removes a
    future from the dict in one step; only the thread of the reading adds futures.
    """

    def __init__(self, request: Request, workers: int, pool: ThreadPoolExecutor) -> None:
        self._request = request
        self._pool = pool
        self._most = workers - 1
        self._free = threading.BoundedSemaphore(workers)
        self._begun: dict[str, Future[Response]] = {}
        self._process = os.getpid()

    def begin(self, urls: Iterator[str], arguments: Mapping[str, Any]) -> None:
        """Begins requests for the next URLs, as far as there are free workers."""
        for url in islice(urls, self._most - len(self._begun)):
            self._begun[url] = self._pool.submit(self._send_early, "GET", url, **arguments)

    def send(self, method: str, url: str, **arguments: Any) -> Response:
        begun = self._begun.pop(url, None)
        if begun is not None:
            return result_of(begun, self._process)
        if self._most:
            check_process(self._process)  # a copy of the semaphore may be locked for ever
        return self._send_now(method, url, **arguments)

    def _send_early(self, method: str, url: str, **arguments: Any) -> Response:
        # in a thread of the pool, which begins with the defaults of context variables
        with During(current_options, Options(in_walk=True)):
            return self._send_now(method, url, **arguments)

    def _send_now(self, method: str, url: str, **arguments: Any) -> Response:
        with self._free:
            over = given_up.get()
            if over is not None and over.is_set():
                raise CancelledError("The walk was closed.")
            return self._request(method, url, **arguments)
