"""Reads lists to their end, or raises: pages and items over any session's ``request``.

This module has the common part of all pagination styles: sending calls one by one or ahead,
checking pages, and adding the resume point to errors. The meaning of a page is in ``styles.py`` and
``graphql.py``.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from inspect import signature
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from requests import HTTPError, RequestException, Response

from .call import Call, Position
from .clock import Clock
from .decoding import json_of
from .document import Document, changed
from .during import During
from .errors import IncompleteListError, ListError, QuotaExceededError, SettingError
from .hints import headers_leading_on
from .known_styles import first_call, style_asked, style_of
from .options import Options, current_options
from .page_errors import caused_by, failed_page, may_come_later, page_of
from .progress import Progress, progress_of
from .resume import PagePoints, Point, Start, end_of, resumed
from .retry import DEFAULT_RETRY, handled_by_caller
from .styles import Again, PaginationStyle
from .text import one_line
from .walk import Portion, Walk
from .workers import result_of, workers

__all__ = ["Page", "Progress", "Reading", "Waits", "begin", "items", "progress_of", "responses"]

if TYPE_CHECKING:
    from .types import ResumePoint

log = logging.getLogger("requests_iris")

#: How often one page waits for points.
WAITS = 5

#: ``Session.request``.
Request = Callable[..., Response]
#: Called with the response of the first page, and the URLs of all pages after the first.
Afford = Callable[[Response, Iterable[str]], None]
#: A call, and the page that the call brought.
_Fetched = tuple[Call, Response, Document]
#: A call under way, or waiting for a worker.
_Begun = tuple[Call, Future[_Fetched]]


class Waits(NamedTuple):
    """How a walk waits until GraphQL has points again.

    :ivar sleep: waits so many seconds, on the clock of the session.
    :ivar longest: the longest wait in seconds.
    :ivar on_rate_limited: called with the seconds until the server has points again, before the
        wait or the error, and perhaps in a worker thread.
    """

    sleep: Callable[[float], object] = Clock.sleep
    longest: float = DEFAULT_RETRY.backoff_max
    on_rate_limited: Callable[[float], object] | None = None

    def before(self, again: Again, left: int) -> bool:
        """Waits before the same page is sent again; False if the page must not be sent again.

        :param left: how many waits are left for the page.
        """
        if self.on_rate_limited is not None:
            self.on_rate_limited(again.wait)
        if not left or again.wait > self.longest:
            return False
        log.warning("%s: the same page is sent again in %.1f s", again.reason, again.wait)
        self.sleep(again.wait)
        return True


#: Waits on the clock of the system, as long as the default retries.
DEFAULT_WAITS = Waits()


class Page(NamedTuple):
    """One page of a list.

    :ivar items: the items that no earlier run has handed out.
    :ivar total: number of items to hand out from the first page on, or None if the server does not
        say.
    :ivar whole_total: number of items of the whole list, or None if the server does not say.
    :ivar points: the resume points after so many of the items.
    :ivar before: the last item of the page that an earlier run has handed out, or nothing.
    """

    response: Response
    items: list[Any]
    total: int | None
    whole_total: int | None
    points: PagePoints
    before: Sequence[Any] = ()


def begin(
    request: Request,
    url: Any,
    arguments: Mapping[str, Any] = MappingProxyType({}),
    *,
    method: str = "GET",
    items_path: str | None = None,
    max_workers: int = 1,
    resume: Mapping[str, Any] | None = None,
    whole_pages: bool = False,
    is_later: bool = False,
    session_params: Mapping[str, Any] = MappingProxyType({}),
    waits: Waits = DEFAULT_WAITS,
    afford: Afford | None = None,
) -> Reading:
    """Begins to read a list. The arguments are checked now, the list is read lazily.

    :param arguments: all remaining arguments of `request`, for every page.
    :param whole_pages: whether to refuse a resume point inside a page.
    :param is_later: whether the list continues an earlier list. A failure of the first request is a
        ListError then.
    :param session_params: parameters that `request` adds to every URL.
    :param afford: called once if the first page shows which pages follow.
    :raises SettingError: for a wrong argument.
    :raises TypeError: for an argument that `request` does not have.
    """
    _check_arguments(max_workers, items_path)
    call = first_call(method, url, arguments, session_params).changed(items_path=items_path)
    signature(request).bind(call.method, call.url, **call.arguments)
    start = Start(call) if resume is None else resumed(call, resume)
    if whole_pages and start.items:
        raise SettingError(
            "resume is inside a page, so pages() would repeat items. Continue with items()",
            setting="resume",
        )
    return Reading(request, call, start, max_workers, waits, is_later=is_later, afford=afford)


def _check_arguments(max_workers: Any, items_path: Any) -> None:
    """:raises SettingError: for a wrong argument."""
    if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise SettingError(
            f"max_workers must be 1 or more, not {max_workers!r}", setting="max_workers"
        )
    if not (items_path is None or isinstance(items_path, str)):
        raise SettingError(
            f"items_path must be text or None, not {items_path!r}", setting="items_path"
        )


def responses(reading: Reading) -> Walk[Response]:
    """The responses of the pages. Closing the walk ends the reading."""
    return _walk(reading, _portions_of_responses(reading.pages()))


def items(reading: Reading, progress: AbstractContextManager[Progress | None]) -> Walk[Any]:
    """Every item of the pages. One page is kept at a time. Closing the walk ends the reading.

    :param progress: entered when the reading begins, and left when the reading ends in any way.
    """
    return _walk(reading, _portions_of_items(reading.pages(), progress))


def _walk(reading: Reading, portions: Generator[Portion, None, None]) -> Walk[Any]:
    return Walk.over(portions, reading.start.resume, reading.start.total)


def _portions_of_responses(
    found: Generator[Page, None, None],
) -> Generator[Portion, None, None]:
    with closing(found):
        for page in found:
            yield Portion(
                [page.response],
                len(page.items),
                page.whole_total,
                partial(_after_page, page.points.after, len(page.items)),
            )
            del page  # A page is not kept during the next request.


def _after_page(resume: Callable[[int], dict[str, Any]], items: int, pages: int) -> dict[str, Any]:
    """The resume point before a page, or after the page."""
    return resume(items if pages else 0)


def _portions_of_items(
    found: Generator[Page, None, None], progress: AbstractContextManager[Progress | None]
) -> Generator[Portion, None, None]:
    done = 0
    with progress as tell, closing(found):
        for page in found:
            done += len(page.items)
            if tell is not None:
                tell(done, page.total)
            yield Portion(page.items, len(page.items), page.whole_total, page.points.after)
            del page


class Reading:
    """One reading of a list, from :func:`begin`. Workers share `read` only, which changes nothing.

    :ivar start: where the reading begins.
    """

    def __init__(
        self,
        request: Request,
        call: Call,
        start: Start,
        max_workers: int,
        waits: Waits,
        *,
        is_later: bool,
        afford: Afford | None,
    ) -> None:
        self._request = request if afford is None else partial(self._marked, request)
        self._afford = afford
        self._call = call  # of the caller, also after a resume point
        self.start = start
        self._max_workers = max_workers
        self._skipped = start.items
        self._waits = waits
        self._is_later = is_later or bool(start.resume)
        self._style: PaginationStyle | None = None
        self._pages = 0
        self._items = 0

    def pages(self) -> Generator[Page, None, None]:
        """The pages in order.

        :raises ListError: if the list cannot be read whole.
        """
        if self.start.is_finished:
            return
        read = self._ahead if self._max_workers > 1 else self._one_by_one
        yield from read(self.start.call)

    def _one_by_one(self, call: Call) -> Generator[Page, None, None]:
        while True:
            page, following = self._next(call, partial(self.read, call))
            refusal = self._refusal(call, page) if following and self._pages == 1 else None
            yield page
            del page  # A page is not kept during the next request.
            if following is None:
                return
            self._refuse(following, refusal)
            call = following

    def _ahead(self, call: Call) -> Generator[Page, None, None]:
        """The first page shows the style; then the workers read as many pages at once.

        If each page names only the next page, the next page is read while the caller uses the page
        before.
        """
        page, following = self._next(call, partial(self.read, call))
        calls = self._calls_ahead(call) if following else None
        if following and (refusal := self._refusal(call, page)):
            yield page
            self._refuse(following, refusal)
        process = os.getpid()
        with workers(self._max_workers) as pool:
            if calls is not None:
                begun = ((each, pool.submit(self.read, each)) for each in calls)
                # Two calls per worker: a worker never waits while the caller uses a page. All are
                # submitted before the caller uses the first page, which may take long.
                pending = deque(islice(begun, 2 * self._max_workers))
                yield page
                del page
                yield from self._in_order(pending, begun, process)
                return
            while following is not None:
                future = pool.submit(self.read, following)
                yield page
                page, following = self._next(following, partial(result_of, future, process))
            yield page

    def _calls_ahead(self, call: Call) -> Iterator[Call] | None:
        style = self._style
        positions = style.ahead(call) if style else None
        return (
            None
            if style is None or positions is None
            else (style.moved(call, each) for each in positions)
        )

    def _marked(self, request: Request, *call: Any, **arguments: Any) -> Response:
        # in the worker's thread: a new thread begins with the defaults of context variables
        options = Options(in_walk=bool(self._pages or self._is_later))
        with During(current_options, options):
            return request(*call, **arguments)

    def _refusal(self, call: Call, page: Page) -> QuotaExceededError | None:
        """The error if the quota cannot afford the known pages after the first page, or None."""
        calls = self._calls_ahead(call)
        if self._afford is None or calls is None:
            return None
        try:
            self._afford(page.response, (each.url for each in calls))
        except QuotaExceededError as error:
            error.retryable = True  # the next run reads a page more
            return error
        return None

    def _refuse(self, following: Call, refusal: QuotaExceededError | None) -> None:
        """Raises the error of :meth:`_refusal`, with the resume point of the next page."""
        if refusal is not None:
            with self._noting(following):
                raise refusal

    def _in_order(
        self, pending: deque[_Begun], begun: Iterator[_Begun], process: int
    ) -> Iterator[Page]:
        """The pages of the pending calls, and of all later calls."""
        while pending:
            call, future = pending.popleft()
            page, _ = self._next(call, partial(result_of, future, process))
            del future
            pending.extend(islice(begun, 1))
            yield page
            del page

    def read(self, call: Call) -> _Fetched:
        """A page, with the call that brought the page: the page may be smaller than in `call`."""
        call, response, document, fault = self._sent(call)
        try:
            style_asked(call).check_errors(call, document, response)
            return call, response, page_of(response, document, fault)
        except ListError as error:
            error.retryable = error.retryable or may_come_later(response)
            cause = fault if response.ok else HTTPError()
            if cause is None:
                raise
            raise caused_by(error, cause) from None

    def _sent(self, call: Call) -> tuple[Call, Response, Any, Exception | None]:
        """Sends a call, and again if the response asks for a wait or for a smaller page."""
        if call.pause:
            log.info("the next page is read in %.1f s, because few points are left", call.pause)
            self._waits.sleep(call.pause)
        waits_left, style = WAITS, style_asked(call)
        while True:
            response = self._requested(call, style)
            document, fault = _json_of(response)
            again = style.again(call, document)
            if again is None:
                break
            if again.call is not call:
                log.info("%s: pages have half the items from now on", again.reason)
                call = again.call
            elif self._waits.before(again, waits_left):
                # A server that says "now" is believed once.
                waits_left = waits_left - 1 if again.wait else 0
            else:
                break
        return call, response, document, fault

    def _requested(self, call: Call, style: type[PaginationStyle]) -> Response:
        """The response to a call, without a retry if the walk knows better when to send again."""
        if not style.asks_again:
            return self._request(call.method, call.url, **call.arguments)
        with During(handled_by_caller, partial(_asks_again, call, style)):
            return self._request(call.method, call.url, **call.arguments)

    def _next(self, call: Call, fetch: Callable[[], _Fetched]) -> tuple[Page, Call | None]:
        """The next page in order, checked, and the call for the following page."""
        with self._noting(call):
            call, response, document = fetch()
        # A page that does not fit may fit later, so the error keeps the resume point before the
        # page. Only after a change of the list, or in a circle of pages, continuing would not help.
        with self._noting(call, response):
            call = call.changed(asked=(response.history or [response])[0].url)
            style = self._style or style_of(call, document, self._call.items_path)
            self._style = style
            found = style.items(document)
            position = style.following(call, document, found)
            self._check_skipped(call, found, position)
            if position is None and response.status_code == 206:
                raise IncompleteListError("the last page has status 206 (Partial Content)")
            names = headers_leading_on(response.headers, call.asked) if position is None else []
            if names:
                raise IncompleteListError(
                    f"the last page has a {one_line(names[0])} header to a next page"
                )
        points = self._points(style, call, len(found), position)
        left = found[self._skipped :] if self._skipped else found
        total = None if style.total is None else style.total - self.start.items
        before = found[self._skipped - 1 : self._skipped] if self._skipped else ()
        page = Page(response, left, total, style.whole_total, points, before)
        self._pages += 1
        self._items += len(left)
        self._skipped = max(self._skipped - len(found), 0)
        if position is None:
            return page, None
        pause = min(style.pause(document), self._waits.longest)
        following = style.moved(call, position)
        return page, following.changed(pause=pause) if pause != following.pause else following

    def _points(
        self, style: PaginationStyle, call: Call, items: int, position: Position | None
    ) -> PagePoints:
        """The resume points inside a page, and after the page."""
        here = Point(self._call, {**style.first(call), **call.position})
        if position is None:
            following = end_of(self._call, style.whole_total)
        else:
            following = Point(self._call, position)
        return PagePoints(here, following, self._skipped, items)

    def _check_skipped(self, call: Call, items: list[Any], following: Position | None) -> None:
        """:raises IncompleteListError: if the page of a resume point has lost items."""
        if len(items) >= self._skipped:
            return
        style = cast("PaginationStyle", self._style)
        if following is None or not style.is_full(call, items):
            raise changed(
                f"the list has changed since the resume point: {self._skipped} items of the page "
                f"were handed out, and the page has {len(items)} items now. Read the list from "
                "the beginning"
            )

    @contextmanager
    def _noting(self, call: Call, response: Response | None = None) -> Iterator[None]:
        """Adds to an error: the page, the counts of earlier pages, and the resume point."""
        try:
            yield
        except ListError as error:
            if error.response is None:  # the response of an HTTP error is false, but not None
                error.response = response
            self._note(error, call)
            raise
        except RequestException as error:
            is_first = not (self._pages or self._is_later)
            if is_first or response is not None:
                raise  # as with plain requests, or for a resume point of a different style
            failed = failed_page(error)
            self._note(failed, call)
            raise failed from error
        except RecursionError:
            if response is None:
                raise
            deep = IncompleteListError("the JSON is nested too deeply", response=response)
            self._note(deep, call)
            raise deep from None

    def _resume_before(self, call: Call) -> dict[str, Any] | None:
        """The resume point before a page: the beginning, the passed point, or the position."""
        if not self._pages:
            return self.start.resume
        return Point(self._call, call.position).at(self._skipped)

    def _note(self, error: ListError, call: Call) -> None:
        where = "after the resume point" if self.start.resume else "of the list"
        error.args = (f"page {self._pages + 1} {where}, {call}: {error}",)
        error.pages_read, error.items_read = self._pages, self._items
        resume = None if error._must_restart else self._resume_before(call)
        error.resume = cast("ResumePoint | None", resume and dict(resume))


def _asks_again(call: Call, style: type[PaginationStyle], response: Response) -> bool:
    """Whether a response says when, or with which size, the same page can be sent again."""
    return style.again(call, _json_of(response)[0]) is not None


def _json_of(response: Response) -> tuple[Any, Exception | None]:
    """The JSON of a response, or None and the error."""
    try:
        return json_of(response), None
    except (ValueError, RecursionError) as error:
        return None, error
