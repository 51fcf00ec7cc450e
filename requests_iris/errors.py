"""What can go wrong between a caller and IRIS, over and above what requests raises itself.

::

    requests.RequestException
    └── IrisError
        ├── SettingError (also a ValueError)     a setting was refused
        │   └── MissingSettingError              a setting is needed now and was given nowhere
        ├── ListError                            a list could not be read to its end
        │   ├── NotAListError                    the response holds no list
        │   ├── IncompleteListError              a page failed, or does not fit the other pages
        │   └── GraphQLError                     GraphQL answered with errors
        └── TokenError                           no token could be had
            ├── TokenRefusedError                the token endpoint said no
            │   ├── InvalidClientError           ... to client_id and client_secret
            │   └── InvalidGrantError            ... to username and password, or a refresh token
            ├── TokenUnreachableError            the token endpoint could not be reached
            └── TokenResponseError                  the token endpoint answered, but not by RFC 6749

All of them pickle, and none carries a secret: a request that hangs on one has lost its body and
its ``Authorization`` header, a response's body what it repeated of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests import RequestException

if TYPE_CHECKING:
    from requests import PreparedRequest, Response


class IrisError(RequestException):
    """The base of all errors of this library.

    :ivar retryable: whether the same call may succeed later with nothing changed.
    :ivar response: the :class:`requests.Response` that told of the error, or None.
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


class SettingError(IrisError, ValueError):
    """A setting was refused; nothing has been sent, or for a ``resume`` one page at most.

    :ivar setting: the name of the setting, as :class:`IrisSession` calls it.
    """

    def __init__(self, message: str = "", *, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class MissingSettingError(SettingError):
    """A token is needed, and a setting without which there is none was given nowhere.

    Where several are missing, the message names all, and these the first.

    :ivar variable: the environment variable that can hold the setting.
    """

    def __init__(
        self, message: str = "", *, setting: str | None = None, variable: str | None = None
    ) -> None:
        super().__init__(message, setting=setting)
        self.variable = variable


class TokenError(IrisError):
    """No token could be had.

    :ivar status_code: the HTTP status of the token endpoint's reply, or None without one.
    """

    def __init__(self, message: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.status_code: int | None = getattr(self.response, "status_code", None)


class TokenRefusedError(TokenError):
    """The token endpoint refused, with an error of RFC 6749 section 5.2.

    :ivar error: the code, such as ``invalid_scope``.
    :ivar description: the server's own words, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        error: str | None = None,
        description: str | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.error = error
        self.description = description


class InvalidClientError(TokenRefusedError):
    """``client_id`` and ``client_secret`` were refused (``invalid_client``)."""


class InvalidGrantError(TokenRefusedError):
    """``username`` and ``password``, or a refresh token, were refused (``invalid_grant``)."""


class TokenUnreachableError(TokenError):
    """The token endpoint could not be reached, or gave no whole answer in time.

    ``retryable`` is true, but for a setting that cannot be right, such as a proxy's URL.
    """

    def __init__(self, message: str = "", *, retryable: bool = True, **context: Any) -> None:
        super().__init__(message, retryable=retryable, **context)


class TokenResponseError(TokenError):
    """The token endpoint answered with something that is neither a token nor a refusal.

    ``retryable`` is true for a reply that asks for patience: 408, 429 or 5xx.

    :ivar retry_after: seconds that the server asked to wait (``Retry-After``), or None.
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

    :ivar pages_read: number of pages that were handed out before the error.
    :ivar items_read: number of items in these pages.
    :ivar resume: the resume point, a dict that can be saved as JSON. The same call with
        ``resume=error.resume`` continues the list at the page that failed. None if the list must be
        read from the beginning.
    """

    def __init__(
        self,
        message: str = "",
        *,
        pages_read: int = 0,
        items_read: int = 0,
        resume: dict[str, Any] | None = None,
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
