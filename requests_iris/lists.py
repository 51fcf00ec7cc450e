"""How a session reads lists: ``pages()``, ``items()`` and ``series()``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from requests import Response

from .auth import Signer
from .clock import Clock
from .during import During
from .options import current_options
from .pagination import Progress, Reading, Waits, begin, items, progress_of, responses
from .parameters import Argument, refuse_former
from .permission import authorization_of
from .quota import Quota
from .retry import retry_of
from .series import series
from .source import TokenSource
from .walk import Walk

if TYPE_CHECKING:
    from typing import Unpack

    from requests import Session as _Session
    from requests import _types as _t
    from urllib3.util import Retry

    from .types import RequestArguments
else:
    _Session = object


class ListInterface(_Session):
    """The part of IrisSession for lists."""

    retry: Argument[Retry | int]
    clock: Argument[Clock]
    _source: TokenSource
    _quota: Quota | None

    @property
    def _signer(self) -> Signer:
        raise NotImplementedError

    def _counted(self, url: str) -> str | None:
        raise NotImplementedError

    def pages(
        self,
        url: _t.UriType,
        *,
        method: str | None = "GET",
        items_path: str | None = None,
        max_workers: int | None = 1,
        resume: Mapping[str, Any] | None = None,
        **request_arguments: Unpack[RequestArguments],
    ) -> Walk[Response]:
        """Reads a list page by page: a :class:`Walk` yields each page as a response, in order.

        If the list cannot be read to the end, the walk raises an exception. The walk never just
        ends early. :attr:`Walk.resume` says at any moment where the next run continues.

        The first response shows the pagination style: page numbers, a cursor, AEMP links, a GraphQL
        connection, or a single response. Pages are as large as the API allows, unless `url` or
        ``params`` name a size. If `url` or ``params`` name a page, the list begins at that page.

        :param url: the list; joined to `base_url` if `url` begins with one slash.
        :param method: "POST" for a list with a filter in the body, and for GraphQL. A GraphQL query
            must declare ``$after``. If the query declares ``$first``, pages can become smaller.
        :param items_path: the path to the items in an unusual response: names with dots between the
            names, such as ``"data.assets"``. In GraphQL, the path of the connection to read.
        :param max_workers: the number of pages to read at the same time. With cursors and GraphQL,
            more than 1 means: the next page is read ahead. Closing the walk early waits for the
            requests on the way. Failed requests are not retried then.
        :param resume: a resume point: :attr:`Walk.resume`, or :attr:`ListError.resume`, of a call
            with the same path, method, parameters, body and `items_path`, from this process or
            another process. `max_workers` may differ.
            A resume point inside a page, which :meth:`items` may have, is refused.
        :param request_arguments: arguments of :meth:`request` for every page: ``params``, ``json``,
            ``data``, ``headers``, ``cookies``, ``auth``, ``timeout``, ``allow_redirects``,
            ``proxies``, ``hooks``, ``verify``, ``cert``, ``withhold_token``.
        :raises SettingError: at once, for an unusable argument; after one page, for a `resume` of a
            list in a different pagination style.
        :raises TypeError: at once, for an unknown argument.
        :raises ListError: during iteration, if the list cannot be read to the end. If a page
            failed, the error is also the exception that plain requests would have raised, such as a
            ConnectionError. If the first request fails, you get the exception of :meth:`request`.
        :raises RateLimitedError: if GraphQL has no points left for longer than ``backoff_max`` of
            `retry`, by default 120 seconds. A shorter time is waited for.
        :raises QueryComplexityError: if a GraphQL query costs too many points, and a page cannot be
            smaller.
        """
        return responses(
            self._begin(url, method, items_path, max_workers, resume, True, request_arguments)
        )

    def items(
        self,
        url: _t.UriType,
        *,
        method: str | None = "GET",
        items_path: str | None = None,
        max_workers: int | None = 1,
        resume: Mapping[str, Any] | None = None,
        progress: bool | Progress | None = False,
        **request_arguments: Unpack[RequestArguments],
    ) -> Walk[Any]:
        """Reads a list item by item: a :class:`Walk` yields each item, in order.

        If the list cannot be read to the end, the walk raises an exception. The walk never just
        ends early. :attr:`Walk.resume` says after each item where the next run continues.

        :param url: the list; joined to `base_url` if `url` begins with one slash.
        :param method: "POST" for a list with a filter in the body, and for GraphQL.
        :param items_path: the path to the items in an unusual response, such as ``"data.assets"``.
        :param max_workers: the number of pages to read at the same time.
        :param resume: a resume point (:attr:`Walk.resume`, :attr:`ListError.resume`) of the same
            call.
        :param progress: True for a bar on the terminal (tqdm, the extra ``progress``); or a
            callable. The callable is called after each page with the number of items read by this
            walk, and the number of items that this walk will read, which is None if unknown.
        :param request_arguments: arguments of :meth:`request` for every page: ``params``, ``json``,
            ``data``, ``headers``, ``cookies``, ``auth``, ``timeout``, ``allow_redirects``,
            ``proxies``, ``hooks``, ``verify``, ``cert``, ``withhold_token``.

        :meth:`pages` describes the arguments in full, and the exceptions.
        """
        told = progress_of(False if progress is None else progress)
        return items(
            self._begin(url, method, items_path, max_workers, resume, False, request_arguments),
            told,
        )

    def series(
        self,
        pin: str,
        data_point: str,
        since: datetime,
        until: datetime,
        *,
        account: str | None = "15143/-3",
        lookback: timedelta | None = None,
        max_workers: int | None = 1,
        resume: Mapping[str, Any] | None = None,
        **request_arguments: Unpack[RequestArguments],
    ) -> Walk[Any]:
        """Reads an AEMP series (ISO 15143-3) item by item: one data point of one machine.

        IRIS serves at most 14 days at once. The walk reads the series in windows of 14 days, with
        all pages of each window. An item at the end of a window and at the start of the next window
        comes once. IRIS decides whether items exactly at `since` and `until` belong to the series.
        The times in the requests are whole seconds: `since` is rounded down, and `until` is rounded
        up. Pass whole seconds for exactly 14 days: rounding would add a second window, and so a
        request.

        :param pin: the machine, as IRIS names the machine. A PIN may have any character.
        :param data_point: such as ``"CumulativeOperatingHours"`` or ``"Distance"``.
        :param since: the beginning, a datetime with a time zone.
        :param until: the end, a datetime with a time zone.
        :param account: the account in the path.
        :param lookback: moves the beginning back, to read late data again. Default: not at all.
        :param max_workers: the number of pages to read at the same time, also of later windows.
        :param resume: a resume point (:attr:`Walk.resume`) of the same call, with the same `since`,
            `until` and `lookback`. If late data has moved the items of the window since then, the
            walk raises an :class:`IncompleteListError`, which names the time to read again from.
        :param request_arguments: arguments of :meth:`request` for every page: ``params``,
            ``headers``, ``timeout`` and so on.
        :raises SettingError: at once, for an unusable argument, such as a datetime without a time
            zone.
        :raises TypeError: at once, for an unknown argument.
        :raises ListError: during iteration, if the series cannot be read to the end. A 404 is an
            :class:`IncompleteListError`. If the first request fails, you get the exception of
            :meth:`request`.
        """
        refuse_former(request_arguments, workers="max_workers")
        return series(
            self._page_request(),
            pin,
            data_point,
            since,
            until,
            account=account,
            lookback=lookback,
            max_workers=1 if max_workers is None else max_workers,
            resume=resume,
            arguments=request_arguments,
            session_params=self.params if isinstance(self.params, Mapping) else {},
            afford=partial(self._afford_first, request_arguments) if self._quota else None,
        )

    def _begin(
        self,
        url: _t.UriType,
        method: str | None,
        items_path: str | None,
        max_workers: int | None,
        resume: Mapping[str, Any] | None,
        whole_pages: bool,
        arguments: Mapping[str, Any],
    ) -> Reading:
        refuse_former(arguments, key="items_path", workers="max_workers")
        return begin(
            self._page_request(),
            url,
            arguments,
            method="GET" if method is None else method,
            items_path=items_path,
            max_workers=1 if max_workers is None else max_workers,
            resume=resume,
            whole_pages=whole_pages,
            session_params=self.params if isinstance(self.params, Mapping) else {},
            waits=Waits(
                self.clock.sleep,
                self._longest_wait,
                partial(self._out_of_points, method, url) if self._quota else None,
            ),
            afford=self._afford if self._quota else None,
        )

    def _page_request(self) -> Callable[..., Response]:
        """:meth:`request` for the pages of a list, also of a list that is read by POST."""

        @wraps(self.request)
        def read(method: str, url: _t.UriType, **passed: Any) -> Response:
            # not by idempotent=True: a class of the caller before ours may not know the argument
            options = current_options.get()._replace(page=method)
            with During(current_options, options):
                return self.request(method, url, **passed)

        return read

    @property
    def _longest_wait(self) -> float:
        """Seconds that a walk waits at most if GraphQL has no points left."""
        return retry_of(self.retry).backoff_max if self._quota is None else self._quota.max_wait

    def _out_of_points(self, method: str | None, url: Any, seconds: float) -> None:
        """Notes that GraphQL has no points, for rules of the user that limit GraphQL."""
        whole = self._counted(url)
        if self._quota is not None and whole is not None:
            owner, method = self._source.owner, method or "GET"
            self._quota.blocked(owner, method, whole, retry_after=seconds, clock=self.clock)

    def _afford(self, first: Response, urls: Iterable[str]) -> None:
        """Checks before a long walk whether the quota can afford all pages after the first page.

        :raises QuotaExceededError: with the time from which the pages are affordable.
        """
        if self._quota is not None and self._signer.has_signed(first.request):
            self._check_quota(first.request.method or "GET", urls)

    def _afford_first(self, arguments: Mapping[str, Any], urls: Iterable[str]) -> None:
        """As :meth:`_afford`, before the first request.

        :param arguments: of the request. The quota does not count the caller's authentication.
        """
        own = arguments.get("auth") or arguments.get("withhold_token") or self.auth
        if not own and not authorization_of({**self.headers, **(arguments.get("headers") or {})}):
            self._check_quota("GET", urls)

    def _check_quota(self, method: str, urls: Iterable[str]) -> None:
        if self._quota is not None:
            pages = [each for each in map(self._counted, urls) if each is not None]
            self._quota.check(self._source.owner, method, pages, clock=self.clock)
