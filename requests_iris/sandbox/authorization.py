"""The authorization server: oauthlib's server side, and the rules for oauthlib.

The client signs in by HTTP Basic. The grants are password and refresh_token; refresh tokens rotate.
"""

# oauthlib passes more arguments than the rules need.
# ruff: noqa: ARG002

from __future__ import annotations

import base64
import hmac
import json
import logging
import math
import secrets
import threading
from dataclasses import dataclass, replace
from typing import Any

from oauthlib.oauth2 import LegacyApplicationServer, OAuth2Error, RequestValidator
from werkzeug import Response

from ..clock import Clock
from .server import Request

#: The grants of the token endpoint, as a token request names them.
GRANTS = ("password", "refresh_token")

#: The scope for the API, which is also the default of a token request without a scope.
API_SCOPE = "api"

#: The scope for a refresh token.
OFFLINE_SCOPE = "offline_access"

#: Seconds for which the API accepts a token of lifetime 0, as servers with some leeway do. So a
#: client that renews before each request succeeds, even on a busy machine.
ZERO_LIFETIME_GRACE = 60.0

# oauthlib's server side logs passwords and tokens at DEBUG. In a sandbox these records would go
# into the log of the client under test. The client side logs under other names.
for _name in ("grant_types", "endpoints"):
    logging.getLogger(f"oauthlib.oauth2.rfc6749.{_name}").setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Account:
    """An API User, and the user's client."""

    client_id: str
    client_secret: str
    username: str
    password: str

    def is_client(self, authorization: str) -> bool:
        """Whether an `Authorization` header names the client: base64 of id:secret in UTF-8."""
        scheme, _, encoded = authorization.partition(" ")
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode())
        return scheme.lower() == "basic" and _same(encoded.strip(), expected.decode())

    def is_user(self, username: str, password: str) -> bool:
        return _same(username, self.username) and _same(password, self.password)


@dataclass(frozen=True)
class Client:
    client_id: str


@dataclass(frozen=True)
class Grant:
    """The scopes of an access token, and its end by the monotonic clock."""

    scopes: tuple[str, ...]
    ends: float


class Rules(RequestValidator):
    """Tells oauthlib which clients, users and tokens are valid, and stores the tokens."""

    def __init__(self, account: Account, clock: Clock) -> None:
        super().__init__()
        self.account = account
        self._clock = clock
        self.access_tokens: dict[str, Grant] = {}
        self.refresh_tokens: dict[str, tuple[str, ...]] = {}
        self.issued: list[str] = []
        self.last_refresh_token: str | None = None

    def authenticate_client(self, request: Any, *rest: Any, **more: Any) -> bool:
        request.client = Client(self.account.client_id)
        return self.account.is_client(request.headers.get("Authorization", ""))

    def validate_user(
        self, username: str, password: str, client: Any, request: Any, *rest: Any, **more: Any
    ) -> bool:
        return self.account.is_user(username, password)

    def validate_grant_type(self, client_id: str, grant_type: str, *rest: Any, **more: Any) -> bool:
        return grant_type in GRANTS

    def get_default_scopes(self, *rest: Any, **more: Any) -> list[str]:
        return [API_SCOPE]

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *rest: Any, **more: Any
    ) -> bool:
        named = [scope for scope in scopes if scope]  # two spaces separate like a single space
        request.scopes = named or self.get_default_scopes()
        return set(request.scopes) <= {API_SCOPE, OFFLINE_SCOPE}

    def validate_refresh_token(self, refresh_token: str, *rest: Any, **more: Any) -> bool:
        return refresh_token in self.refresh_tokens

    def get_original_scopes(self, refresh_token: str, *rest: Any, **more: Any) -> list[str]:
        return list(self.refresh_tokens[refresh_token])

    def save_bearer_token(self, token: Any, request: Any, *rest: Any, **more: Any) -> None:
        scopes = tuple(request.scopes)
        self.refresh_tokens.pop(request.refresh_token, None)
        if "refresh_token" in token:
            self.last_refresh_token = token["refresh_token"]
            self.refresh_tokens[token["refresh_token"]] = scopes
        lifetime = token["expires_in"] or ZERO_LIFETIME_GRACE
        self.access_tokens[token["access_token"]] = Grant(
            scopes, self._clock.monotonic() + lifetime
        )
        self.issued.append(token["access_token"])

    def validate_bearer_token(self, token: str | None, scopes: Any, request: Any) -> bool:
        grant = self.access_tokens.get(token or "")
        request.scopes = grant.scopes if grant else ()
        return grant is not None and self._clock.monotonic() < grant.ends


class Authorization:
    """Issues tokens at /token, and tells the API which tokens are valid.

    `token_lifetime`, in seconds, is the lifetime of tokens issued from now on.
    """

    def __init__(self, account: Account, *, token_lifetime: float, clock: Clock) -> None:
        self.token_lifetime = token_lifetime
        self.refused = 0
        self._rules = Rules(account, clock)
        # One grant at a time: if two requests use the same refresh token, the second must fail.
        self._lock = threading.Lock()
        self._server = LegacyApplicationServer(
            self._rules,
            token_generator=_random_token,
            token_expires_in=self._lifetime,
        )
        password_grant = self._server.password_grant
        password_grant.custom_validators.pre_token.append(_keep_blanks)
        password_grant.register_token_modifier(_without_unasked_refresh_token)

    def __call__(self, request: Request) -> Response:
        """The token endpoint."""
        if request.path != "/token":
            return _refusal(404, "invalid_request", "Tokens are at /token.")
        if request.method != "POST":
            return _refusal(405, "invalid_request", "Token requests use POST.")
        with self._lock:
            response = self._grant(request)
            self.refused += response.status_code != 200
        return response

    def _lifetime(self, request: Any) -> Any:  # oauthlib accepts a float, too
        return self.token_lifetime

    def _grant(self, request: Request) -> Response:
        try:
            headers, body, status = self._server.create_token_response(
                f"/token?{request.query}" if request.query else "/token",
                body=request.body.decode("utf-8", "replace"),
                headers=dict(request.headers.items()),
            )
        except OAuth2Error as error:  # oauthlib raises for a malformed request
            return _refusal(error.status_code, error.error, error.description)
        if status == 401:  # oauthlib says Bearer; RFC 6749 section 5.2 wants the client's scheme
            headers["WWW-Authenticate"] = 'Basic realm="iris", charset="UTF-8"'
        return Response(body, status, headers)

    def scopes(self, request: Request) -> tuple[str, ...] | None:
        """The scopes of a request's bearer token; None without a valid token."""
        header = request.headers.get("Authorization")
        good, checked = self._server.verify_request(
            request.path, headers={"Authorization": header} if header else {}
        )
        return tuple(checked.scopes) if good else None

    @property
    def issued(self) -> tuple[str, ...]:
        return tuple(self._rules.issued)

    @property
    def refresh_token(self) -> str | None:
        return self._rules.last_refresh_token

    @property
    def account(self) -> Account:
        """The API User."""
        return self._rules.account

    @account.setter
    def account(self, account: Account) -> None:
        self._rules.account = account

    def expire_access_tokens(self) -> None:
        with self._lock:
            for token, grant in self._rules.access_tokens.items():
                self._rules.access_tokens[token] = replace(grant, ends=-math.inf)

    def revoke_access_tokens(self) -> None:
        with self._lock:
            self._rules.access_tokens.clear()

    def revoke_refresh_tokens(self) -> None:
        with self._lock:
            self._rules.refresh_tokens.clear()


class _Blank(str):
    """An empty value from the client. oauthlib takes every false value for a missing value."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


def _keep_blanks(request: Any) -> None:
    for name in ("username", "password"):
        if getattr(request, name, None) == "":
            setattr(request, name, _Blank())


def _random_token(_request: object) -> str:
    return secrets.token_urlsafe(48)


def _without_unasked_refresh_token(token: Any) -> Any:
    if OFFLINE_SCOPE not in token.scopes:
        token.pop("refresh_token", None)
    return token


def _refusal(status: int, error: str | None, description: str | None) -> Response:
    body = json.dumps({"error": error, "error_description": description})
    return Response(body, status, content_type="application/json")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
