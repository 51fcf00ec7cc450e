"""The errors of this library. requests raises further errors of its own.

::

    requests.RequestException
    └── IrisError
        ├── SettingError                      a setting was refused
        │   └── MissingSettingError           a token is needed, and a credential is missing
        ├── QuotaExceededError                a rate limit of IRIS allows no request now
        ├── ListError                         a list could not be read to its end
        │   ├── NotAListError                 the response contains no list
        │   ├── IncompleteListError           a page failed or contradicts the pages before
        │   └── GraphQLError                  the GraphQL response contains errors
        │       ├── RateLimitedError          the points of the window are used up
        │       └── QueryComplexityError      the query costs more points than a query may cost
        └── TokenError                        a request needs a token, and the session has no token
            ├── TokenRefusedError             the token endpoint refused
            │   ├── InvalidClientError        ... client_id and client_secret
            │   ├── InvalidGrantError         ... username and password, or a refresh token
            │   └── InvalidScopeError         ... the scope
            ├── TokenUnreachableError         the token endpoint could not be reached
            │   └── TokenTimeoutError         the token endpoint did not respond in time
            └── TokenResponseError            the response is neither a token nor a refusal

``except`` clauses written for requests or OAuth2Session catch these errors too:

* a SettingError is also a ``ValueError``;
* a TokenUnreachableError is also a ``requests.ConnectionError``;
* a TokenTimeoutError is also a ``requests.Timeout``;
* a TokenRefusedError and a TokenResponseError are also a ``requests.HTTPError``;
* InvalidClientError, InvalidGrantError and InvalidScopeError are also the errors of the same name
  in ``oauthlib.oauth2``.

All errors pickle and copy, with attributes and ``__cause__``. No error contains a
secret: the request of a token error has no body and no ``Authorization`` header, and each secret is
removed from the body of the response.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from oauthlib.oauth2.rfc6749 import errors as oauthlib
from requests import PreparedRequest, RequestException, Response

if TYPE_CHECKING:
    from .types import ResumePoint

_Kind = TypeVar("_Kind", bound=BaseException)


class IrisError(RequestException):
    """The base of all errors of this library.

    :ivar retryable: whether the same call may succeed later, with nothing changed.
    :ivar response: the :class:`requests.Response` with the error. None without a response.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retryable: bool = False,
        request: PreparedRequest | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(message, request=request, response=response)
        self.retryable = retryable

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling: all attributes and the cause.

        If a part cannot be pickled, for example a hook or a generator of a request, the pickle
        omits the part. Otherwise a worker process would lose the whole error.
        """
        state = {name: _portable(value) for name, value in vars(self).items()}
        return _restored, (type(self), self.args, state, _portable(self.__cause__))

    def __copy__(self) -> IrisError:
        return _restored(type(self), self.args, vars(self), self.__cause__)


class SettingError(IrisError, ValueError):
    """A setting was refused before any request, except for a ``resume``: after one page at most.

    :ivar setting: the name of the setting, as :class:`IrisSession` spells it.
    :ivar variable: the environment variable, if the refused value comes from the environment.
    """

    def __init__(
        self, message: str = "", *, setting: str | None = None, variable: str | None = None
    ) -> None:
        super().__init__(message)
        self.setting = setting
        self.variable = variable


class MissingSettingError(SettingError):
    """A request needs a token, and a credential was not set when the session was created.

    If several credentials are missing, the message names all of them.

    :ivar setting: the name of the first missing credential.
    :ivar variable: the environment variable for the first missing credential.
    """


class QuotaExceededError(IrisError):
    """A rate limit of IRIS allows no request now, and the wait is longer than ``max_wait``.

    The request was not sent. ``retryable`` is true if the same call succeeds after `retry_after`,
    and false for a new series that needs more slots than the rate limit ever has.

    :ivar retry_after: seconds until the next request, without the pool.
    :ivar reset_at: the same as an aware datetime in UTC.
    :ivar limit: the requests in a window of the rule.
    :ivar remaining: the requests that the window allows now.
    :ivar pool_remaining: the requests that the pool of the rule allows now; 0 without a pool.
    :ivar rule: the name of the rule.
    :ivar key: an opaque text. Requests with the same `key` share slots.
    :ivar response: the response before a resend or retry that got no slot, such as a 401, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float = 0.0,
        reset_at: datetime | None = None,
        limit: int = 0,
        remaining: int = 0,
        pool_remaining: int = 0,
        rule: str = "",
        key: str = "",
        **context: Any,
    ) -> None:
        super().__init__(message, **{"retryable": True, **context})
        self.retry_after = retry_after
        self.reset_at = reset_at or datetime.now(UTC) + timedelta(seconds=retry_after)
        self.limit = limit
        self.remaining = remaining
        self.pool_remaining = pool_remaining
        self.rule = rule
        self.key = key


class TokenError(IrisError):
    """A request needs a token, and the session has no usable token.

    :ivar status_code: the HTTP status of the token endpoint's response. None without a response.
    """

    def __init__(self, message: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.status_code: int | None = getattr(self.response, "status_code", None)


class TokenRefusedError(TokenError, requests.HTTPError):
    """The token endpoint refused the request (RFC 6749 section 5.2).

    :ivar error: the error code of the response, for example ``unauthorized_client``. None without a
        code.
    :ivar description: the server's explanation. None without an explanation.
    """

    def __init__(
        self,
        message: str = "",
        *,
        error: str | None = None,
        description: str | None = None,
        **context: Any,
    ) -> None:
        if isinstance(self, oauthlib.OAuth2Error):
            # for `uri`, `state` and more; called first, because the code below sets `args` again
            oauthlib.OAuth2Error.__init__(self, description)
        super().__init__(message, **context)
        # in oauthlib's classes the code is a class attribute
        self.error: str | None = error or getattr(type(self), "error", None)
        self.description = description


class InvalidClientError(TokenRefusedError, oauthlib.InvalidClientError):
    """The token endpoint refused ``client_id`` and ``client_secret`` (``invalid_client``)."""


class InvalidGrantError(TokenRefusedError, oauthlib.InvalidGrantError):
    """The token endpoint refused ``username`` and ``password``, or a refresh token.

    The error code is ``invalid_grant``.
    """


class InvalidScopeError(TokenRefusedError, oauthlib.InvalidScopeError):
    """The token endpoint refused the scope (``invalid_scope``)."""


class TokenUnreachableError(TokenError, requests.ConnectionError):
    """The token endpoint could not be reached, or the response broke off.

    ``retryable`` is false for an unusable setting, for example the URL of a proxy.
    """

    def __init__(self, message: str = "", *, retryable: bool = True, **context: Any) -> None:
        super().__init__(message, retryable=retryable, **context)


class TokenTimeoutError(TokenUnreachableError, requests.Timeout):
    """The token endpoint did not respond within ``token_timeout``."""


class TokenResponseError(TokenError, requests.HTTPError):
    """The token endpoint's response is neither a token nor a refusal.

    ``retryable`` is true for a temporary fault: 408, 425, 429, 5xx, or an ``error`` like
    ``temporarily_unavailable``.

    :ivar retry_after: the ``Retry-After`` of the response in seconds. None without the header.
    """

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


class ListError(IrisError):
    """A list could not be read to the end. All items and pages before the error are correct.

    If a page failed, the error is also an instance of the exception that plain requests would have
    raised:

    * ``requests.ConnectionError``, ``requests.Timeout`` and so on, if the request failed;
    * ``requests.HTTPError``, if the status is 400 or higher;
    * ``requests.JSONDecodeError``, if the body is no JSON;
    * the :class:`TokenError`, if the session got no token.

    The name of the class shows both classes: ``IncompleteListError[ConnectionError]``. Around a
    loop over a list, ``except`` clauses written for requests keep working.

    :ivar pages_read: number of pages that were handed out before the error, as
        :attr:`Walk.pages_read`.
    :ivar items_read: number of items that were handed out before the error, as
        :attr:`Walk.items_read`.
    :ivar resume: the resume point, as :attr:`Walk.resume`: a dict for JSON. The same call with
        ``resume=error.resume`` continues the list at the page that failed. None: the list must be
        read from the beginning, because nothing was read, or because the list has changed.
    """

    #: Whether the error has no resume point, because a continued list could repeat or miss items.
    _must_restart = False

    def __init__(
        self,
        message: str = "",
        *,
        pages_read: int = 0,
        items_read: int = 0,
        resume: ResumePoint | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.pages_read = pages_read
        self.items_read = items_read
        self.resume = resume


class NotAListError(ListError):
    """The response holds no list, or the GraphQL query cannot ask for the next page of the list.

    :ivar keys: the names of the response's top-level members.
    """

    def __init__(self, message: str = "", *, keys: tuple[str, ...] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.keys = keys


class IncompleteListError(ListError):
    """A page failed, contradicts the pages before, or names a next page in an unknown way.

    Examples: the total changes, a cursor repeats, the last page has a ``hasMore``.
    ``retryable`` is true if the same call may succeed later.
    """


class GraphQLError(ListError):
    """The GraphQL response contains errors, perhaps beside a part of the data.

    :ivar errors: the objects in the response's ``errors``, as the server sent them.
    """

    def __init__(
        self, message: str = "", *, errors: tuple[dict[str, Any], ...] = (), **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.errors = errors


class RateLimitedError(GraphQLError):
    """GraphQL has no points left, for longer than the longest wait (``RATE_LIMITED``).

    ``retryable`` is true.

    :ivar retry_after: seconds until GraphQL has points again, or None if the response does not say.
    """

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


class QueryComplexityError(GraphQLError):
    """The query costs more points than a query may cost (``QUERY_COMPLEXITY_REACHED``).

    Pages of one item are too large, or the query does not declare ``$first``.

    :ivar complexity: the points that the query would cost, or None if the message does not say.
    :ivar limit: the most points that a query may cost, or None if the message does not say.
    """

    def __init__(
        self,
        message: str = "",
        *,
        complexity: int | None = None,
        limit: int | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.complexity = complexity
        self.limit = limit


def _restored(
    kind: type[_Kind],
    args: tuple[Any, ...],
    state: dict[str, Any],
    cause: BaseException | None,
) -> _Kind:
    """The same error again, without ``__init__``, because each class has a different signature."""
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    if cause is not None:
        error.__cause__ = cause
    return error


def _portable(value: Any) -> Any:
    """`value` if a pickle of `value` can be loaded, else a reduced `value`."""
    if isinstance(value, IrisError):  # has the same `__reduce__`
        return value
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own pickle
    except Exception:  # pickling calls unknown code, and any exception is possible
        return _plain(value)
    return value


def _plain(value: Any) -> Any:
    """A request without body and hooks, or a response with a reduced request. Otherwise None."""
    if isinstance(value, PreparedRequest):
        request = PreparedRequest()
        request.method, request.url, request.headers = value.method, value.url, value.headers
        return request
    if isinstance(value, Response):
        response = Response()
        vars(response).update({name: vars(value).get(name) for name in _PLAIN_FACTS})
        response._content = value._content or b""  # False before the body is read
        response._content_consumed = True
        response.request = _plain(value.request)
        return response
    return None


_PLAIN_FACTS = ("status_code", "url", "headers", "reason", "encoding", "elapsed")
