"""Reads a response of the token endpoint: a token, a refusal, or neither (RFC 6749 section 5).

oauthlib's reader is not used. For oauthlib, a different scope is an error, and a response without
JSON loses status and body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from oauthlib.oauth2 import OAuth2Error
from oauthlib.oauth2.rfc6749.errors import raise_from_error
from requests import PreparedRequest, Response

from .errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidScopeError,
    TokenRefusedError,
    TokenResponseError,
)
from .retry import retry_after
from .secret import Concealed, Secret
from .text import one_line
from .token import Token

#: Removes the secrets of a token request from a text.
Redact = Callable[[str], str]

#: 4xx about the network, the URL or the moment, and not about the grant.
NOT_ABOUT_THE_GRANT = {404, 405, 407, 408, 410, 421, 425, 429}
#: Statuses after which the same request can succeed later.
PATIENCE = {408, 425, 429}
#: Values of ``error`` that RFC 6749 section 4.1.2.1 and RFC 8628 section 3.5 call temporary.
TEMPORARY = {"temporarily_unavailable", "server_error", "slow_down"}


class TokenResponse:
    """A response of the token endpoint.

    :param content: the body, or the beginning of a long body.
    :param redact: removes the secrets of the request from a text of the response.
    :param hint: a likely reason for a refusal, as a sentence, or "".
    :param scope: the words of the scope in the request.
    :param is_key: true if an API key signs in, false if an API User signs in.
    """

    def __init__(
        self,
        response: Response,
        content: bytes,
        redact: Redact,
        hint: str = "",
        *,
        scope: tuple[str, ...] = (),
        is_key: bool = False,
    ) -> None:
        self.response = response
        self.redact = redact
        self.hint = hint
        self.scope = scope
        self.is_key = is_key
        self.status = response.status_code
        # secrets can be found only in the right charset
        self.text = Secret(content.decode(json.detect_encoding(content), "replace"))
        try:
            members = json.loads(self.text)
        except (ValueError, RecursionError):  # a ValueError also for a number of 5,000 digits
            members = None
        self._members = Concealed(members if isinstance(members, dict) else {})

    @property
    def members(self) -> dict[str, Any]:
        """The members of the JSON object. A traceback does not show the members."""
        members: dict[str, Any] = self._members.reveal()
        return members

    @property
    def error(self) -> str | None:
        """The ``error`` member of RFC 6749 section 5.2."""
        error = self.members.get("error")
        return error if isinstance(error, str) and error else None

    @property
    def asks_for_patience(self) -> bool:
        return self.status in PATIENCE or self.status >= 500 or self.error in TEMPORARY

    @property
    def refuses(self) -> bool:
        """Whether the endpoint refused the grant, in any words.

        A 4xx refuses with or without an ``error``, unless the status is not about the grant. An
        ``invalid_…`` refuses with any 4xx. An ``error`` in a 2xx or 3xx refuses, too.
        """
        if self.error in TEMPORARY or self.status >= 500:
            return False
        if self.status < 400:
            return self.error is not None
        says_invalid = self.error is not None and self.error.startswith("invalid_")
        return says_invalid or self.status not in NOT_ABOUT_THE_GRANT

    def for_caller(self) -> Response:
        """A copy of the response for an error: without secrets, without a connection.

        If the body may hold a token, the copy has no body, because the token is no known secret.
        """
        holds_token = self.status < 300 or re.search(r"(access|refresh)_token\W", self.text)
        told = Response()
        told.request = PreparedRequest()
        told.status_code, told.url = self.status, self.response.url
        told.elapsed = self.response.elapsed
        told.reason = self._head(self.response.reason or "")
        for name, value in self.response.headers.items():
            told.headers[self._head(name)] = self._head(value)
        told.encoding = "utf-8"
        told._content = b"" if holds_token else self.redact(self.text).encode()
        told._content_consumed = True
        return told

    def _head(self, line: str) -> str:
        """A line of the response's head. http.client always decodes the head as latin-1."""
        as_sent = line.encode("latin-1", "xmlcharrefreplace")  # a mock's text may not be latin-1
        return self.redact(as_sent.decode("utf-8", "replace"))

    def token(self, *, asked_at: float, known: Token) -> Token:
        """The token of the response.

        :param asked_at: when the request was sent, in seconds since the epoch.
        :param known: the scope and the refresh token for a response without scope or refresh token.
        :raises TokenRefusedError: if the endpoint refused the grant.
        :raises TokenResponseError: if the response is neither a token nor a refusal.
        """
        if self.refuses:
            raise self._refusal()
        if not 200 <= self.status < 300:
            raise self._unusable()
        try:
            return Token.from_response(
                self.members,
                asked_at=asked_at,
                refresh_token=known.refresh_token,
                scope=known.scope,
            )
        except ValueError as error:
            why = str(error)
        # outside of the except block, because the frames of the ValueError show the members
        raise self._unusable(f" ({why})")

    def _refusal(self) -> TokenRefusedError:
        error = self._shown(self.error) or None
        description = self._shown(self.members.get("error_description")) or None
        kind, advice = self._kind_and_advice()
        words = error or f"status {self.status}"
        refusal = kind(
            f"The token endpoint refused with {words}"
            f"{f' ({description})' if description else ''}. {advice} {self.hint}".rstrip(),
            error=error,
            description=description,
            response=self.for_caller(),
        )
        if not isinstance(refusal, OAuth2Error):
            refusal.__cause__ = _oauthlib_error(error, description)
        return refusal

    def _kind_and_advice(self) -> tuple[type[TokenRefusedError], str]:
        """The class of a refusal, and the advice to the user.

        A 401 without an ``error`` refuses the API key, if an API key signs in.
        """
        code = self.error or ("invalid_client" if self.is_key and self.status == 401 else "")
        if code == "invalid_scope" and self.scope:
            asked = one_line(" ".join(self.scope))
            return InvalidScopeError, f"The session asked for {asked!r}. Check scope."
        if self.is_key:
            return _REFUSALS_OF_KEYS.get(code, _OTHER_REFUSAL_OF_KEYS)
        return _REFUSALS.get(code, _OTHER_REFUSAL)

    def _shown(self, value: object) -> str:
        """A value of the server for a message: without secrets, on one line."""
        return one_line(self.redact(str(value or "")))

    def _unusable(self, why: str = "") -> TokenResponseError:
        if self.asks_for_patience:
            advice = "Try again later."
        elif self.response.is_redirect:
            advice = "Redirects are not followed. Check token_url."
        elif self.status == 407:
            advice = "Check the proxy and its credentials."
        else:
            advice = "Check token_url."
        return TokenResponseError(
            f"The token endpoint answered {self.status} without a token{why}. {advice}",
            retryable=self.asks_for_patience,
            retry_after=retry_after(self.response),
            response=self.for_caller(),
        )


_REFUSALS: dict[str, tuple[type[TokenRefusedError], str]] = {
    "invalid_client": (
        InvalidClientError,
        "Check client_id and client_secret. For an API key, remove username and password.",
    ),
    "invalid_grant": (InvalidGrantError, "Check username and password, or the refresh token."),
    "invalid_scope": (InvalidScopeError, "Check scope."),
}
_OTHER_REFUSAL = (TokenRefusedError, "Check the API User and its client.")
_REFUSALS_OF_KEYS: dict[str, tuple[type[TokenRefusedError], str]] = {
    **_REFUSALS,
    "invalid_client": (InvalidClientError, "Check client_id and client_secret."),
    "invalid_grant": (InvalidGrantError, "Check client_id and client_secret."),
}
_OTHER_REFUSAL_OF_KEYS = (TokenRefusedError, "Check the API key and token_url.")


def _oauthlib_error(error: str | None, description: str | None) -> OAuth2Error | None:
    """The error of oauthlib for the same response. The caller finds the error as the cause."""
    if error is None:
        return None
    try:
        raise_from_error(error, {"error_description": description})
    except OAuth2Error as cause:
        return cause.with_traceback(None)
    return None
