"""Asks the token endpoint for tokens (RFC 6749 sections 4.3, 4.4, 5 and 6).

oauthlib's client writes the request. ``token_response.py`` reads the response.
"""

from __future__ import annotations

import logging
import math
import random
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from requests import PreparedRequest, RequestException, Response
from requests.exceptions import Timeout
from requests.utils import default_user_agent
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from .clock import Clock
from .credentials import Credentials
from .deadline import call_until
from .errors import IrisError, TokenError, TokenTimeoutError, TokenUnreachableError
from .secret import Secret, forget_all, forget_sent, redacted
from .text import one_line
from .token import Token
from .token_response import TokenResponse

log = logging.getLogger("requests_iris")

#: Seconds of the pauses before the first and the second retry of a failed token request.
PAUSES = (0.5, 1.5)
#: The session reads no more bytes of a response. A token takes a twentieth.
RESPONSE_AT_MOST = 64 * 1024
#: Bytes of one read.
CHUNK = 8192
#: The shortest time for a token request in seconds, even after the deadline.
A_MOMENT = 0.1

#: Sends a request once and unchanged, with a timeout in seconds. Does not read the response's body.
Send = Callable[[PreparedRequest, float], Response]


class TokenEndpoint:
    """The token endpoint at `url`. Threads may share a TokenEndpoint, which has no state."""

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self.url = url
        self._clock = clock or Clock()
        self._client = LegacyApplicationClient(client_id=None)

    def password_grant(
        self, credentials: Credentials, scope: tuple[str, ...], send: Send, deadline: float
    ) -> Token:
        """A token for username and password (RFC 6749 section 4.3).

        :param deadline: when the call ends at the latest, on the monotonic clock.
        :raises MissingSettingError: if a credential is missing; nothing has been sent.
        :raises TokenError: if the endpoint gave no token.
        """
        username, password = credentials.user
        # oauthlib omits empty values
        named = (("username", username), ("password", password))
        empty = "&".join(f"{name}=" for name, value in named if not value)
        body = Secret(
            self._client.prepare_request_body(username, password, body=empty, scope=list(scope))
        )
        exchange = _Exchange(self.url, credentials, body, secret=password, scope=scope)
        return self._ask(exchange, send, deadline, Token("", scope=scope))

    def client_credentials_grant(
        self, credentials: Credentials, scope: tuple[str, ...], send: Send, deadline: float
    ) -> Token:
        """A token for an API key (RFC 6749 section 4.4). Id and secret travel in the body.

        A refresh token in the response is ignored: the next token comes from the API key.

        :param deadline: when the call ends at the latest, on the monotonic clock.
        :raises MissingSettingError: if id, secret or scope is missing; nothing has been sent.
        :raises TokenError: if the endpoint gave no token.
        """
        client_id, client_secret = credentials.key(scope)
        client = BackendApplicationClient(client_id)
        body = Secret(
            client.prepare_request_body(
                scope=list(scope), include_client_id=True, client_secret=client_secret
            )
        )
        exchange = _Exchange(
            self.url, credentials, body, secret=client_secret, scope=scope, is_key=True
        )
        token = self._ask(exchange, send, deadline, Token("", scope=scope))
        return replace(token, refresh_token=None)

    def refresh_grant(
        self, credentials: Credentials, token: Token, send: Send, deadline: float
    ) -> Token:
        """A token for a refresh token (RFC 6749 section 6), with the same scope.

        :param token: the token with the refresh token.
        :param deadline: when the call ends at the latest, on the monotonic clock.
        :raises MissingSettingError: if a credential is missing; nothing has been sent.
        :raises TokenError: if the endpoint gave no token.
        """
        refresh_token = Secret(token.refresh_token or "")
        body = Secret(self._client.prepare_refresh_body(refresh_token=refresh_token))
        exchange = _Exchange(self.url, credentials, body, secret=refresh_token)
        return self._ask(exchange, send, deadline, token)

    def _ask(self, exchange: _Exchange, send: Send, deadline: float, known: Token) -> Token:
        """Sends the request, and retries after a pause if the network or the server fails.

        :param known: the scope and the refresh token for a response without scope or refresh token.
        """
        for pause in (*PAUSES, math.inf):
            asked_at = self._clock.time()
            try:
                return self._once(exchange, send, deadline).token(asked_at=asked_at, known=known)
            except TokenError as error:
                wait = _pause_before_retry(error, pause)
                if self._clock.monotonic() + wait >= deadline:
                    raise
                log.warning("%s Retrying in %.1f s.", error, wait)
                self._clock.sleep(wait)
        raise AssertionError("the last pause is beyond every deadline")

    def _once(self, exchange: _Exchange, send: Send, deadline: float) -> TokenResponse:
        left = max(deadline - self._clock.monotonic(), A_MOMENT)

        def call() -> TokenResponse | Exception:
            # An error is returned here, because raising in the caller's thread keeps the context.
            try:
                response = send(exchange.request(), left)
                return exchange.read(response)
            except IrisError:
                raise  # no fault of the network: the token request would need a token itself
            except (RequestException, HTTPError, OSError) as error:
                return error
            except BaseException as error:
                forget_sent(error)  # the error of an adapter, for example of a test tool
                raise

        answer = call_until(self._clock.monotonic() + left, call, self._clock)
        if isinstance(answer, TokenResponse):
            return answer
        error = answer or TimeoutError("the response did not end in time")
        if isinstance(error, RequestException):
            error.request = None  # the request holds the secrets
        forget_all(error)
        raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> TokenUnreachableError:
        kind = TokenTimeoutError if _is_timeout(error) else TokenUnreachableError
        return kind(
            f"The token endpoint {one_line(self.url)} could not be reached ({_reason_of(error)}). "
            "Check the network, token_url, proxies, and verify or REQUESTS_CA_BUNDLE.",
            retryable=not _is_wrong_setting(error),
        )


class _Exchange:
    """One token request: makes the request, and reads the response.

    :param secret: the secret of the body.
    :param scope: the words of the scope in the body.
    :param is_key: whether the body identifies the client. Otherwise HTTP Basic does.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        body: Secret,
        *,
        secret: Secret,
        scope: tuple[str, ...] = (),
        is_key: bool = False,
    ) -> None:
        client_id, client_secret = credentials.client
        # IRIS wants the plain values, and not form-encoded values (RFC 6749 section 2.3.1). The
        # charset is UTF-8 (RFC 7617 section 2.1). requests would fail beyond latin-1.
        basic = Secret(b64encode(f"{client_id}:{client_secret}".encode()).decode())
        self._url, self._body, self._scope, self._is_key = url, body, scope, is_key
        self._authorization = None if is_key else Secret(f"Basic {basic}")
        # Also a password that is not in this request: the server knows the password.
        named = (secret, client_secret, Secret(basic.rstrip("=")), credentials.password)
        self._secrets = [text for text in named if text]
        self._hint = credentials.hint()

    def request(self) -> PreparedRequest:
        """A new request for each attempt. No session adds headers, cookies or authentication."""
        headers: dict[str, str | bytes] = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": default_user_agent("requests-iris python-requests"),
        }
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        request = PreparedRequest()
        request.prepare(method="POST", url=self._url, headers=headers, data=self._body)
        return request

    def read(self, response: Response) -> TokenResponse:
        return TokenResponse(
            response,
            _body_of(response),
            self._redact,
            self._hint,
            scope=self._scope,
            is_key=self._is_key,
        )

    def _redact(self, text: str) -> str:
        return redacted(text, self._secrets)


def _body_of(response: Response) -> bytes:
    content = BytesIO()  # the repr of a BytesIO shows no token
    with response:
        for chunk in response.iter_content(CHUNK):
            content.write(chunk)
            if content.tell() >= RESPONSE_AT_MOST:
                break
    return content.getvalue()[:RESPONSE_AT_MOST]


def _pause_before_retry(error: TokenError, pause: float) -> float:
    """Seconds to wait before a retry; infinity if a retry would not help."""
    if not error.retryable:
        return math.inf
    # Jitter: processes that failed at the same time retry at different times.
    wait = pause * random.uniform(0.8, 1.2)  # noqa: S311
    return max(wait, getattr(error, "retry_after", None) or 0)


def _is_wrong_setting(error: Exception) -> bool:
    """Whether requests refused a URL, a proxy, a header or a file. A retry cannot help."""
    return isinstance(error, ValueError) or (type(error) is OSError and error.errno is None)


def _is_timeout(error: BaseException | None) -> bool:
    while error is not None:
        # urllib3 counts every failed connection as a timeout
        if isinstance(error, _TIMEOUTS) and not isinstance(error, NewConnectionError):
            return True
        error = error.__cause__ or error.__context__
    return False


_TIMEOUTS = (Timeout, TimeoutError, Urllib3TimeoutError)


def _reason_of(error: BaseException) -> str:
    """The kind of an error, and the operating system's message for an error of the system.

    Messages of other errors are omitted, because such a message may quote the request.
    """
    name, cause = type(error).__name__, error
    while not isinstance(cause, OSError) or isinstance(cause, RequestException):
        deeper = cause.__cause__ or cause.__context__
        if deeper is None:
            return name
        cause = deeper
    return f"{name}: {one_line(cause)}"
