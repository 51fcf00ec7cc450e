"""Reads lists to their end, or raises: pages and elements over any session's ``request``.

What the forms of lists have in common is here: one call after the other, or some of them ahead;
what each page is checked for, and which call comes next, is in ``forms.py``; a call in ``call.py``.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from requests import RequestException, Response

from .call import Call, Place
from .clock import Clock, given_up
from .errors import GraphQLError, IncompleteListError, ListError, SettingError
from .forms import Form, form_of, graphql_errors
from .hints import Document, links_to_next
from .problems import problem_of

if TYPE_CHECKING:
    from .types import ResumePoint

log = logging.getLogger("requests_iris")

#: Seconds that a walk waits at most when GraphQL says that its points are used up.
LONGEST_WAIT = 120.0
#: How often it waits for one page.
WAITS = 5

#: What may be private in the text of an error, which often has a URL: its query, and its user.
_PRIVATE = re.compile(r"\?\S+|(?<=//)[^/\s]*@")

#: ``Session.request``.
Request = Callable[..., Response]
#: A call that is on its way, or waits its turn.
_Begun = tuple[Call, Future[tuple[Response, Document]]]
#: Is told the number of elements read so far, and how many there will be, or None.
Progress = Callable[[int, "int | None"], object]


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :ivar total: elements that the walk will find in all, or None if nobody knows.
    """

    response: Response
    elements: list[Any]
    total: int | None


def pages(
    request: Request,
    url: Any,
    arguments: Mapping[str, Any] = MappingProxyType({}),
    *,
    method: str = "GET",
    items_path: str | None = None,
    max_workers: int = 1,
    resume: Mapping[str, Any] | None = None,
    sleep: Callable[[float], object] = Clock.sleep,
) -> Generator[Page, None, None]:
    """Every page of a list, in order. The arguments are checked at once, the list is read lazily.

    :param arguments: further ones of `request`, for every page.
    :raises SettingError: for an argument that cannot be right.
    :raises TypeError: for one that `request` does not have.
    :raises ListError: on the way, for a list that is not read whole.
    """
    if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise SettingError(
            f"max_workers must be 1 or more, not {max_workers!r}", setting="max_workers"
        )
    if not (items_path is None or isinstance(items_path, str)):
        raise SettingError(
            f"items_path must be text, or None, not {items_path!r}", setting="items_path"
        )
    call = Call.first(method, url, arguments)
    signature(request).bind(call.method, call.url, **call.arguments)
    if resume is not None:
        call = call.resumed(resume)
    walk = _Walk(request, items_path, sleep)
    return walk.ahead(call, max_workers) if max_workers > 1 else walk.one_by_one(call)


def responses(found: Generator[Page, None, None]) -> Iterator[Response]:
    """The responses of the pages. Closing it ends the walk."""
    with closing(found):
        for page in found:
            yield page.response
            del page  # not kept while the next one is read


def items(
    found: Generator[Page, None, None], progress: AbstractContextManager[Progress | None]
) -> Iterator[Any]:
    """Every element of the pages, of which one is kept at a time. Closing it ends the walk.

    :param progress: entered when the walk begins, and left when it ends, in whatever way.
    """
    done = 0
    with progress as tell, closing(found):
        for page in found:
            done += len(page.elements)
            if tell is not None:
                tell(done, page.total)
            yield from page.elements
            del page


def progress_of(setting: bool | Progress) -> AbstractContextManager[Progress | None]:
    """What is told of a walk's progress: for True a bar, for False nothing, else the callable.

    :raises SettingError: for anything else, and if tqdm is not installed.
    """
    if setting is True:
        return _bar(_tqdm())
    if setting is False or setting is None:
        return nullcontext()
    if callable(setting):
        return nullcontext(setting)
    raise SettingError(
        f"progress must be True, False or a callable, not {setting!r}", setting="progress"
    )


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        raise SettingError(
            'progress=True needs tqdm: pip install "requests-iris[progress]"', setting="progress"
        ) from None
    return tqdm


@contextmanager
def _bar(tqdm: Any) -> Iterator[Progress]:
    """A bar on standard error, if that is a terminal."""
    with tqdm(disable=None, unit=" elements") as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


class _Walk:
    """One reading of a list. `read` is the part that threads share, and it changes nothing."""

    def __init__(
        self, request: Request, items_path: str | None, sleep: Callable[[float], object]
    ) -> None:
        self._request = request
        self._key = items_path
        self._sleep = sleep
        self._form: Form | None = None
        self._pages = 0
        self._elements = 0

    def one_by_one(self, call: Call) -> Generator[Page, None, None]:
        while True:
            page, place = self._next(call, partial(self.read, call))
            yield page
            del page  # not kept while the next one is read
            if place is None:
                return
            call = call.moved(place)

    def ahead(self, call: Call, max_workers: int) -> Generator[Page, None, None]:
        """The first page tells the form; then as many calls are on their way as there are workers.

        Where a page tells of the next one only, that one is read while this one is used. When the
        walk ends early, calls that have not begun are dropped, and those that have are waited for;
        but none is repeated then, and no pause before a repetition is waited out.
        """
        page, place = self._next(call, partial(self.read, call))
        places = self._form.ahead(call) if self._form and place else None
        over = threading.Event()
        pool = ThreadPoolExecutor(
            max_workers, "iris-pages", initializer=given_up.set, initargs=(over,)
        )
        try:
            if places is not None:
                begun = ((each, pool.submit(self.read, each)) for each in map(call.moved, places))
                # as many again wait their turn, so that a worker need not wait for the one who uses
                # pages; all of that before the first is used, which may take long
                pending = deque(islice(begun, 2 * max_workers))
                yield page
                del page
                yield from self._in_order(pending, begun)
                return
            while place is not None:
                call = call.moved(place)
                future = pool.submit(self.read, call)
                yield page
                page, place = self._next(call, future.result)
            yield page
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # first: none may begin after this
            over.set()
            # a walk may be collected by one of its own threads, which cannot wait for itself
            with suppress(RuntimeError):
                pool.shutdown()

    def _in_order(self, pending: deque[_Begun], begun: Iterator[_Begun]) -> Iterator[Page]:
        """The pages of the calls that are pending, and of those that can be begun after them."""
        while pending:
            call, future = pending.popleft()
            page, _ = self._next(call, future.result)
            del future
            pending.extend(islice(begun, 1))
            yield page
            del page

    def read(self, call: Call) -> tuple[Response, Document]:
        """Sends a call, and waits where GraphQL asks for it."""
        for waits_left in range(WAITS, -1, -1):
            response = self._request(call.method, call.url, **call.arguments)
            document = _json_of(response)
            errors = graphql_errors(document) if call.query is not None else ()
            wait = _wait_of(errors)
            if wait is None or wait > LONGEST_WAIT or not waits_left:
                break
            log.warning("GraphQL has no points left: going on in %.1f s", wait)
            self._sleep(wait)
        if errors:
            raise _graphql_error(errors, response)
        return response, _checked(document, response)

    def _next(
        self, call: Call, fetch: Callable[[], tuple[Response, Document]]
    ) -> tuple[Page, Place | None]:
        """The next page of the order, checked, and the place of the one after it."""
        with self._noting(call, call.place):
            response, document = fetch()
        # a page that does not fit will not fit the next time: there is no place to go on
        with self._noting(call, {}, response):
            call = replace(call, asked=(response.history or [response])[0].url)
            if self._form is None:
                self._form = form_of(call, document, self._key)
            elements = self._form.elements(document)
            place = self._form.following(call, document)
            if place is None and links_to_next(response.headers.get("Link", "")):
                raise IncompleteListError("it is the last one, but its Link header has a next one")
        self._pages += 1
        self._elements += len(elements)
        return Page(response, elements, self._form.total), place

    @contextmanager
    def _noting(self, call: Call, place: Place, response: Response | None = None) -> Iterator[None]:
        """Notes on an error which page it is about, what was read before, and where to go on."""
        try:
            yield
        except ListError as error:
            if error.response is None:  # one of an error is false
                error.response = response
            self._note(error, call, place)
            raise
        except RequestException as error:
            if not (self._pages or place):
                raise  # nothing was read: it is the caller's first request that fails
            incomplete = IncompleteListError(
                f"it could not be read ({type(error).__name__}: {_PRIVATE.sub('', str(error))})",
                retryable=getattr(error, "retryable", _may_come_later(error.response)),
                response=error.response,
            )
            self._note(incomplete, call, place)
            raise incomplete from error

    def _note(self, error: ListError, call: Call, place: Place) -> None:
        error.args = (f"page {self._pages + 1} of the walk, {call}: {error}",)
        error.pages_read, error.items_read = self._pages, self._elements
        error.resume = cast("ResumePoint", call.resume_at(place)) if place else None


def _json_of(response: Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _checked(document: Any, response: Response) -> Document:
    """:raises IncompleteListError: if this is no page."""
    if not response.ok:
        told = problem_of(response) or response.reason
        raise IncompleteListError(
            f"it was answered with {response.status_code} {told}",
            retryable=_may_come_later(response),
            response=response,
        )
    if not isinstance(document, dict):
        kind = response.headers.get("Content-Type", "no type")
        raise IncompleteListError(
            f"it is no JSON object, but {kind}", retryable=True, response=response
        )
    return document


def _may_come_later(response: Response | None) -> bool:
    """Whether the same request may have a page for an answer later on."""
    return response is None or response.status_code in (408, 429) or response.status_code >= 500


def _graphql_error(errors: tuple[dict[str, Any], ...], response: Response) -> GraphQLError:
    codes = ", ".join(str(_code_of(each) or each.get("message")) for each in errors)
    return GraphQLError(
        f"GraphQL answered with errors: {codes}",
        errors=errors,
        retryable="RATE_LIMITED" in map(_code_of, errors) or _may_come_later(response),
        response=response,
    )


def _wait_of(errors: tuple[dict[str, Any], ...]) -> float | None:
    """Seconds after which GraphQL has points again, if it has said that there are none."""
    waits = [
        each["extensions"].get("resetIn") for each in errors if _code_of(each) == "RATE_LIMITED"
    ]
    milliseconds = [wait for wait in waits if isinstance(wait, (int, float))]
    # an int of hundreds of digits is no float
    return min(max(0, *milliseconds), sys.maxsize) / 1000 if milliseconds else None


def _code_of(error: dict[str, Any]) -> Any:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, dict) else None
