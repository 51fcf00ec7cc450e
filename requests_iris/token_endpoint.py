"""Asks the token endpoint for tokens (RFC 6749 sections 4.3, 5 and 6) and reads its answers.

oauthlib's client writes the request. The answer is read here: oauthlib's reader takes a scope that
differs for an error, and loses status and body of a reply that is no JSON.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import sys
from base64 import b64encode
from collections.abc import Callable
from html.entities import codepoint2name
from io import BytesIO
from traceback import clear_frames
from typing import Any
from urllib.parse import quote_plus

from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error
from oauthlib.oauth2.rfc6749.errors import raise_from_error
from requests import PreparedRequest, RequestException, Response
from requests.utils import default_user_agent
from urllib3.exceptions import HTTPError

from .clock import Clock
from .credentials import Credentials
from .errors import (
    InvalidClientError,
    InvalidGrantError,
    TokenError,
    TokenRefusedError,
    TokenResponseError,
    TokenUnreachableError,
)
from .retry import retry_after
from .secret import Secret
from .token import Token

log = logging.getLogger("requests_iris")

#: Seconds of the pauses before a call that failed on its way is repeated.
PAUSES = (0.5, 1.5)
#: Bytes of a reply that are read; a token takes a twentieth of it.
REPLY_AT_MOST = 64 * 1024

#: Sends a request as it is, once, with a timeout in seconds; the reply's body is left unread.
Send = Callable[[PreparedRequest, float], Response]


class TokenEndpoint:
    """The token endpoint at `url`. It has no state, so threads may share it."""

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self.url = url
        self._clock = clock or Clock()
        self._client = LegacyApplicationClient(client_id=None)

    def password_grant(
        self, credentials: Credentials, scope: tuple[str, ...], send: Send, deadline: float
    ) -> Token:
        """A token for username and password (RFC 6749 section 4.3).

        :param deadline: when to give up, on the monotonic clock.
        :raises MissingSettingError: if a credential is missing; nothing has been sent.
        :raises TokenError: if the endpoint gave none.
        """
        username, password = credentials.user
        # oauthlib leaves out what is empty
        named = (("username", username), ("password", password))
        empty = "&".join(f"{name}=" for name, value in named if not value)
        body = Secret(
            self._client.prepare_request_body(username, password, body=empty, scope=list(scope))
        )
        exchange = _Exchange(self.url, credentials, body, secret=password)
        return self._ask(exchange, send, deadline, Token("", scope=scope))

    def refresh_grant(
        self, credentials: Credentials, token: Token, send: Send, deadline: float
    ) -> Token:
        """A token for a refresh token (RFC 6749 section 6), with the scope it was issued for.

        :param deadline: when to give up, on the monotonic clock.
        :raises MissingSettingError: if a credential is missing; nothing has been sent.
        :raises TokenError: if the endpoint gave none.
        """
        refresh_token = Secret(token.refresh_token or "")
        body = Secret(self._client.prepare_refresh_body(refresh_token=refresh_token))
        exchange = _Exchange(self.url, credentials, body, secret=refresh_token)
        return self._ask(exchange, send, deadline, token)

    def _ask(self, exchange: _Exchange, send: Send, deadline: float, known: Token) -> Token:
        """Sends, and sends again after a pause while it is the way or the server that fails.

        :param known: has the scope and the refresh token that hold if the reply names none.
        """
        for pause in (*PAUSES, math.inf):
            asked_at = self._clock.time()
            try:
                return _token_of(self._once(exchange, send, deadline), asked_at, known)
            except TokenError as error:
                wait = _pause_before_retry(error, pause)
                if self._clock.monotonic() + wait >= deadline:
                    raise
                log.warning("%s; trying again in %.1f s", error, wait)
                self._clock.sleep(wait)
        raise AssertionError("the last pause is beyond every deadline")

    def _once(self, exchange: _Exchange, send: Send, deadline: float) -> _Reply:
        outer = sys.exc_info()[1]  # one that a caller handles is not ours
        try:
            response = send(exchange.request(), max(deadline - self._clock.monotonic(), 0.1))
            return _Reply(exchange, response, self._read(response, deadline))
        except (RequestException, HTTPError, OSError) as error:
            if isinstance(error, RequestException):
                error.request = None  # it holds the secrets
            _forget_locals(error, outer)
            raise TokenUnreachableError(
                f"the token endpoint {self.url} could not be reached ({_told(error)}): "
                "check the network, token_url, proxies, and verify or REQUESTS_CA_BUNDLE",
                retryable=not _cannot_be_right(error),
            ) from error

    def _read(self, response: Response, deadline: float) -> bytes:
        """The body, as far as it comes before the deadline.

        Byte by byte, as each of them renews the socket's timeout, and a longer read waits for all.
        """
        content = BytesIO()  # its repr shows no token
        with response:
            for byte in response.iter_content(1):
                content.write(byte)
                if content.tell() >= REPLY_AT_MOST:
                    break
                if self._clock.monotonic() >= deadline:
                    raise TimeoutError("the reply did not end in time")
        return content.getvalue()


class _Exchange:
    """One token request: how to make it, and how to tell of it without its secrets."""

    def __init__(self, url: str, credentials: Credentials, body: Secret, *, secret: Secret) -> None:
        client_id, client_secret = credentials.client
        # IRIS wants the plain values, not the form-encoded ones of RFC 6749 section 2.3.1. In
        # UTF-8 (RFC 7617 section 2.1); requests would write latin-1, and fail beyond it.
        basic = Secret(b64encode(f"{client_id}:{client_secret}".encode()).decode())
        self._url, self._body, self._authorization = url, body, Secret(f"Basic {basic}")
        named = (secret, client_secret, Secret(basic.rstrip("=")))
        self._secrets = [text for text in named if text]
        self.hint = credentials.hint()

    def request(self) -> PreparedRequest:
        """A new one each time: it belongs to no session, and takes nothing from one."""
        request = PreparedRequest()
        request.prepare(
            method="POST",
            url=self._url,
            headers={
                "Authorization": self._authorization,
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
                "User-Agent": default_user_agent("requests-iris python-requests"),
            },
            data=self._body,
        )
        return request

    def cleaned(self, text: str) -> str:
        """`text` without what it repeats of the secrets; "" if they could not be found in it."""
        if _MISREAD.search(text):
            return ""
        for secret in self._secrets:
            text = re.sub(_in_any_spelling(secret), "[secret]", text, flags=re.IGNORECASE)
        return text


#: What a text holds that is in another charset than the one it was read in, such as GB18030.
_MISREAD = re.compile(r"[\x00-\x08\x0e-\x1f\ufffd]")
#: A run of them, of any length, since some double each; said so, it can be read in one way only.
_BACKSLASHES = r"(?:\\|\\u005c|%5c|&#x5c;|&#92;)+"


def _in_any_spelling(secret: str) -> str:
    """A pattern of `secret` as it is, and as URLs, JSON, HTML and Python write it.

    Character by character, since each escapes what it likes.
    """
    return "".join(
        _BACKSLASHES if each == "\\" else f"(?:{'|'.join(map(re.escape, _spellings(each)))})"
        for each in re.sub(r"\\+", r"\\", secret)
    )


def _spellings(character: str) -> list[str]:
    """The longest first: of an escape nothing is to stay behind."""
    code = ord(character)
    spellings = {
        *(character, quote_plus(character), f"\\{character}"),
        *(f"\\x{code:02x}", f"\\u{code:04x}", json.dumps(character)[1:-1]),
        *(f"&#x{code:x};", f"&#{code};", f"&{codepoint2name.get(code, f'#{code}')};"),
        *("".join(f"{mark}{byte:02x}" for byte in character.encode()) for mark in ("%", "\\x")),
    }
    return sorted(spellings, key=len, reverse=True)


class _Reply:
    """What the token endpoint answered."""

    def __init__(self, exchange: _Exchange, response: Response, content: bytes) -> None:
        self.exchange = exchange
        self.response = response
        # in whatever charset it is, the secrets are to be found in it
        self.text = content.decode(json.detect_encoding(content), "replace")
        self.status = response.status_code
        try:
            members = json.loads(self.text)
        except (ValueError, RecursionError):  # a ValueError also for a number of 5,000 digits
            members = None
        self.members: dict[str, Any] = members if isinstance(members, dict) else {}

    @property
    def asks_for_patience(self) -> bool:
        return self.status in (408, 429) or self.status >= 500

    @property
    def refuses(self) -> bool:
        error = self.members.get("error")
        return isinstance(error, str) and error != "" and not self.asks_for_patience

    def for_everybody(self) -> Response:
        """What may be told of the response, as a new one that can hang on an error.

        A body that may hold a token, which none of our secrets would find, is left out whole.
        """
        holds_token = self.status < 300 or re.search(r"(access|refresh)_token\W", self.text)
        told = Response()
        told.request = PreparedRequest()
        told.status_code, told.url = self.status, self.response.url
        told.elapsed = self.response.elapsed
        told.reason = self._cleaned(self.response.reason or "")
        for name, value in self.response.headers.items():
            told.headers[self._cleaned(name)] = self._cleaned(value)
        told.encoding = "utf-8"
        told._content = b"" if holds_token else self.exchange.cleaned(self.text).encode()
        told._content_consumed = True
        return told

    def _cleaned(self, line: str) -> str:
        """A line of the reply's head, which http.client reads as latin-1, whatever it is in."""
        as_sent = line.encode("latin-1", "xmlcharrefreplace")  # a mock's may be beyond latin-1
        return self.exchange.cleaned(as_sent.decode("utf-8", "replace"))


def _token_of(reply: _Reply, asked_at: float, known: Token) -> Token:
    if reply.refuses:
        raise _refusal(reply)
    if not 200 <= reply.status < 300:
        raise _nonsense(reply)
    try:
        return Token.from_response(
            reply.members, asked_at=asked_at, refresh_token=known.refresh_token, scope=known.scope
        )
    except ValueError as error:
        why = str(error)
    # not in there: the frames behind that error show the reply's members
    raise _nonsense(reply, f" ({why})")


def _refusal(reply: _Reply) -> TokenRefusedError:
    """The error of RFC 6749 section 5.2, with oauthlib's own as its cause."""
    kind, advice = _REFUSALS.get(reply.members["error"], _OTHER_REFUSAL)
    code, description = (
        _one_line(reply.exchange.cleaned(str(reply.members.get(name) or "")))
        for name in ("error", "error_description")
    )
    refusal = kind(
        f"the token endpoint refused with {code}"
        + (f" ({description})" if description else "")
        + f": {advice}"
        + (f". {reply.exchange.hint}" if reply.exchange.hint else ""),
        error=code,
        description=description or None,
        response=reply.for_everybody(),
    )
    try:
        raise_from_error(code, {"error_description": description})
    except OAuth2Error as cause:
        refusal.__cause__ = cause
    return refusal


_REFUSALS = {
    "invalid_client": (InvalidClientError, "check client_id and client_secret"),
    "invalid_grant": (
        InvalidGrantError,
        "check username and password, or the refresh token",
    ),
    "invalid_scope": (TokenRefusedError, "check scope"),
}
_OTHER_REFUSAL = (TokenRefusedError, "check the API User and its client")


def _nonsense(reply: _Reply, what: str = "") -> TokenResponseError:
    if reply.asks_for_patience:
        advice = "try again later"
    elif reply.response.is_redirect:
        advice = "redirects are not followed, check token_url"
    else:
        advice = "check token_url"
    return TokenResponseError(
        f"the token endpoint answered {reply.status} without a token{what}: {advice}",
        retryable=reply.asks_for_patience,
        retry_after=retry_after(reply.response),
        response=reply.for_everybody(),
    )


def _pause_before_retry(error: TokenError, pause: float) -> float:
    """Seconds to wait before one more try; infinitely many where another one would not help."""
    if not error.retryable:
        return math.inf
    # jitter keeps processes that failed together from coming back together
    wait = pause * random.uniform(0.8, 1.2)  # noqa: S311
    return max(wait, getattr(error, "retry_after", None) or 0)


def _cannot_be_right(error: Exception) -> bool:
    """Whether it is requests' word for a URL, a proxy, a header or a file that will not do."""
    return isinstance(error, ValueError) or (type(error) is OSError and error.errno is None)


def _forget_locals(error: BaseException | None, outer: BaseException | None) -> None:
    """Those of http.client hold what was sent in bytes of its own, and tools show them."""
    while error is not None and error is not outer:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _told(error: BaseException) -> str:
    """What sort of error, and the system's word for it; others' words may repeat what was sent."""
    name, cause = type(error).__name__, error
    while not isinstance(cause, OSError) or isinstance(cause, RequestException):
        deeper = cause.__cause__ or cause.__context__
        if deeper is None:
            return name
        cause = deeper
    return f"{name}: {cause}"


def _one_line(text: str) -> str:
    """A server's words, fit for a message: short, and of RFC 6749 appendix A.7's characters."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:200].strip()
