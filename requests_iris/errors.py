"""The errors of this library. requests raises further errors of its own.

::

    requests.RequestException
    └── IrisError
        ├── SettingError                      a setting was refused
        │   └── MissingSettingError           a token is needed, and a credential is missing
        ├── ListError                         a list could not be read to its end
        │   ├── NotAListError                 the response contains no list
        │   ├── IncompleteListError           a page failed or contradicts the pages before
        │   └── GraphQLError                  the GraphQL response contains errors
        └── TokenError                        a request needs a token, and there is no token
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

All errors pickle and copy, with their attributes and their ``__cause__``. No error contains a
secret: the request of a token error has no body and no ``Authorization`` header, and each secret is
removed from the body of the response.
"""

from __future__ import annotations

import pickle
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
    :ivar response: the :class:`requests.Response` with the error, or None.
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
        """For pickling: all attributes and the cause, as far as they can be pickled themselves.

        A worker process loses an error if any part cannot be pickled, such as a hook or a
        generator on a request. The pickle omits such parts.
        """
        state = {name: _portable(value) for name, value in vars(self).items()}
        return _restored, (type(self), self.args, state, _portable(self.__cause__))

    def __copy__(self) -> IrisError:
        return _restored(type(self), self.args, vars(self), self.__cause__)


class SettingError(IrisError, ValueError):
    """A setting was refused before any request, except for a ``resume``: after one page at most.

    :ivar setting: the name of the setting, as :class:`IrisSession` spells it.
    :ivar variable: the environment variable with the refused value, or None.
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


class TokenError(IrisError):
    """A request needs a token, and the session has no usable token.

    :ivar status_code: the HTTP status of the token endpoint's response, or None without a response.
    """

    def __init__(self, message: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.status_code: int | None = getattr(self.response, "status_code", None)


class TokenRefusedError(TokenError, requests.HTTPError):
    """The token endpoint refused the request (RFC 6749 section 5.2).

    :ivar error: the error code in the response, such as ``unauthorized_client``, or None.
    :ivar description: the server's explanation, or None.
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
        # oauthlib's classes name their code as a class attribute
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

    ``retryable`` is true, except for an unusable setting, such as the URL of a proxy.
    """

    def __init__(self, message: str = "", *, retryable: bool = True, **context: Any) -> None:
        super().__init__(message, retryable=retryable, **context)


class TokenTimeoutError(TokenUnreachableError, requests.Timeout):
    """The token endpoint did not respond within ``token_timeout``."""


class TokenResponseError(TokenError, requests.HTTPError):
    """The token endpoint's response is neither a token nor a refusal.

    ``retryable`` is true for a temporary fault: 408, 425, 429, 5xx, or an ``error`` such as
    ``temporarily_unavailable``.

    :ivar retry_after: the ``Retry-After`` of the response in seconds, or None.
    """

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


class ListError(IrisError):
    """A list could not be read to its end. Everything that was handed out before is correct.

    If a page failed, the error is also an instance of the exception that plain requests would have
    raised: a page that could not be fetched also of ``requests.ConnectionError``,
    ``requests.Timeout`` and so on, a page with status 400 or higher also of ``requests.HTTPError``,
    a page that is no JSON also of ``requests.JSONDecodeError``, and a page without a token also of
    that :class:`TokenError`. Such a class is called ``IncompleteListError[ConnectionError]``. So
    ``except`` clauses written for requests keep working around a loop over a list.

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
    """The response holds no list, or a list that its GraphQL query cannot continue.

    :ivar keys: the names of the response's top-level members.
    """

    def __init__(self, message: str = "", *, keys: tuple[str, ...] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.keys = keys


class IncompleteListError(ListError):
    """A page failed, does not fit the other pages, or tells of more pages in an unknown way.

    Examples: a total that changes, a cursor that repeats, a ``hasMore`` on the last page.
    ``retryable`` is true if the page may be there later.
    """


class GraphQLError(ListError):
    """GraphQL answered with errors, perhaps beside a part of the data.

    :ivar errors: the objects in the response's ``errors``, as the server sent them.
    """

    def __init__(
        self, message: str = "", *, errors: tuple[dict[str, Any], ...] = (), **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.errors = errors


def _restored(
    kind: type[_Kind],
    args: tuple[Any, ...],
    state: dict[str, Any],
    cause: BaseException | None,
) -> _Kind:
    """An error as it was, without calling ``__init__``, whose signature differs for each class."""
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    if cause is not None:
        error.__cause__ = cause
    return error


def _portable(value: Any) -> Any:
    """`value` if a pickle of `value` can be loaded, else a reduced `value`."""
    if isinstance(value, IrisError):  # pickles by the same rule
        return value
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own pickle, made here
    except Exception:  # pickling calls unknown code, so any exception is possible
        return _plain(value)
    return value


def _plain(value: Any) -> Any:
    """A request without body and hooks, or a response with a reduced request, or None."""
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
