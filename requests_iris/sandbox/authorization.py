"""The authorization server: oauthlib's server side, and the rules for oauthlib.

At /token a client signs in by HTTP Basic. The grants are password and refresh_token; refresh tokens
rotate. At /token/v2 and /apptoken an API key signs in: see ``keys.py``.
"""

# oauthlib passes more arguments than the rules need.
# ruff: noqa: ARG002

from __future__ import annotations

import base64
import hmac
import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

from oauthlib.oauth2 import LegacyApplicationServer, OAuth2Error, RequestValidator
from werkzeug import Response

from ..clock import Clock
from . import keys
from .server import Request
from .tokens import Grant, Tokens, random_token

#: The grants of the token endpoint for users, as a token request names them.
USER_GRANTS = ("password", "refresh_token")
#: The grants of all token endpoints.
GRANTS = (*USER_GRANTS, "client_credentials")

#: The path where an API User signs in.
USER_PATH = "/token"

#: The scope for the API, which is also the default of a token request without a scope.
API_SCOPE = "api"

#: The scope for a refresh token.
OFFLINE_SCOPE = "offline_access"

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


class Rules(RequestValidator):
    """Tells oauthlib which clients, users and tokens are valid, and stores the tokens."""

    def __init__(self, account: Account, tokens: Tokens) -> None:
        super().__init__()
        self.account = account
        self._tokens = tokens
        self.refresh_tokens: dict[str, tuple[str, ...]] = {}
        self.last_refresh_token: str | None = None

    def authenticate_client(self, request: Any, *rest: Any, **more: Any) -> bool:
        request.client = Client(self.account.client_id)
        return self.account.is_client(request.headers.get("Authorization", ""))

    def validate_user(
        self, username: str, password: str, client: Any, request: Any, *rest: Any, **more: Any
    ) -> bool:
        return self.account.is_user(username, password)

    def validate_grant_type(self, client_id: str, grant_type: str, *rest: Any, **more: Any) -> bool:
        return grant_type in USER_GRANTS

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
        self._tokens.add(token["access_token"], scopes, token["expires_in"])

    def validate_bearer_token(self, token: str | None, scopes: Any, request: Any) -> bool:
        request.grant = self._tokens.grant(token or "")
        return request.grant is not None


class Authorization:
    """Issues tokens, and tells the API which tokens are valid.

    :ivar token_lifetime: the lifetime, in seconds, of tokens for users and apps issued from now on.
    :ivar key_token_lifetime: the lifetime of tokens for API keys.
    """

    def __init__(
        self,
        account: Account,
        key: keys.Key,
        *,
        token_lifetime: float,
        key_token_lifetime: float,
        clock: Clock,
    ) -> None:
        self.token_lifetime = token_lifetime
        self.key_token_lifetime = key_token_lifetime
        self.refused = 0
        self._tokens = Tokens(clock)
        self._rules = Rules(account, self._tokens)
        self._key_rules = keys.Rules(key, self._tokens)
        # One grant at a time: if two requests use the same refresh token, the second must fail.
        self._lock = threading.Lock()
        self._server = LegacyApplicationServer(
            self._rules,
            token_generator=random_token,
            token_expires_in=self._lifetime,
        )
        self._key_server = keys.key_server(self._key_rules, self._lifetime)
        password_grant = self._server.password_grant
        password_grant.custom_validators.pre_token.append(_keep_blanks)
        password_grant.register_token_modifier(_without_unasked_refresh_token)

    def __call__(self, request: Request) -> Response:
        """The token endpoints."""
        if request.path not in (USER_PATH, keys.KEY_PATH, keys.APP_PATH):
            known = f"{USER_PATH}, {keys.KEY_PATH} and {keys.APP_PATH}"
            return _refusal(404, "invalid_request", f"Tokens are at {known}.")
        if request.method != "POST":
            return _refusal(405, "invalid_request", "Token requests use POST.")
        with self._lock:
            response = self._grant(request)
            self.refused += response.status_code != 200
        return response

    def _lifetime(self, request: Any) -> Any:  # oauthlib accepts a float, too
        is_key = request.uri.startswith(keys.KEY_PATH)
        return self.key_token_lifetime if is_key else self.token_lifetime

    def _grant(self, request: Request) -> Response:
        is_user = request.path == USER_PATH
        server = self._server if is_user else self._key_server
        try:
            headers, body, status = server.create_token_response(
                f"{request.path}?{request.query}" if request.query else request.path,
                body=request.body.decode("utf-8", "replace"),
                headers=dict(request.headers.items()),
            )
        except OAuth2Error as error:  # oauthlib raises for a malformed request
            return _refusal(error.status_code, error.error, error.description)
        if status == 401:  # oauthlib says Bearer; RFC 6749 section 5.2 wants the client's scheme
            headers.pop("WWW-Authenticate", None)
            if is_user:
                headers["WWW-Authenticate"] = 'Basic realm="iris", charset="UTF-8"'
        return Response(body, status, headers)

    def grant(self, request: Request) -> Grant | None:
        """What a request's bearer token is good for; None without a valid token."""
        header = request.headers.get("Authorization")
        good, checked = self._server.verify_request(
            request.path, headers={"Authorization": header} if header else {}
        )
        return checked.grant if good else None

    def owner(self, request: Request) -> str | None:
        """Whose token a request has, valid or not: "user", "key", or None for an unknown token."""
        token = request.headers.get("Authorization", "").partition(" ")[2]
        return self._tokens.owners.get(token.strip())

    @property
    def issued(self) -> tuple[str, ...]:
        return tuple(self._tokens.issued)

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

    @property
    def key(self) -> keys.Key:
        """The API key."""
        return self._key_rules.key

    @key.setter
    def key(self, key: keys.Key) -> None:
        self._key_rules.key = key

    def expire_access_tokens(self) -> None:
        with self._lock:
            self._tokens.expire()

    def revoke_access_tokens(self) -> None:
        with self._lock:
            self._tokens.revoke()

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


def _without_unasked_refresh_token(token: Any) -> Any:
    if OFFLINE_SCOPE not in token.scopes:
        token.pop("refresh_token", None)
    return token


def _refusal(status: int, error: str | None, description: str | None) -> Response:
    body = json.dumps({"error": error, "error_description": description})
    return Response(body, status, content_type="application/json")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
