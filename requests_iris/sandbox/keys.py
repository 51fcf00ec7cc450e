"""API keys ("API Tokens v2"): oauthlib's server side for client credentials, and its rules.

The client id and the client secret are in the body. An API key has no user and no refresh token.
"""

# oauthlib passes more arguments than the rules need.
# ruff: noqa: ARG002

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oauthlib.oauth2 import BackendApplicationServer, RequestValidator
from oauthlib.oauth2.rfc6749.errors import InvalidRequestError

from .tokens import Tokens, random_token

#: The path where an API key signs in, and the path where an app signs in.
KEY_PATH, APP_PATH = "/token/v2", "/apptoken"
#: The scopes of the sandbox's API key, by default.
SCOPES = (
    *("api.iso15143.snapshot", "api.iso15143.timeseries"),
    *("asset.view", "account.event.view", "site.view"),
)
#: The API paths that accept a token of an API key: the beginning of each path, and the necessary
#: scope. For paths without a scope, every token of an API key is enough.
PATHS: Mapping[str, str | None] = {
    "/api/asset/": "asset.view",
    "/public/api/aemp/": "api.iso15143.snapshot",
    "/public/api/aemp/v2/15143/-3/Fleet/Equipment/": "api.iso15143.timeseries",
    "/public/api/eventlog/": "account.event.view",
    "/echo": None,
    "/redirect": None,
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key, with the scopes that a token can have."""

    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]

    def is_client(self, client_id: str, client_secret: str) -> bool:
        given, expected = (client_id, client_secret), (self.client_id, self.client_secret)
        return all(
            hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
            for one, other in zip(given, expected, strict=True)
        )


class Rules(RequestValidator):
    """Tells oauthlib which keys and scopes are valid, and stores the tokens."""

    def __init__(self, key: Key, tokens: Tokens) -> None:
        super().__init__()
        self.key = key
        self._tokens = tokens

    def authenticate_client(self, request: Any, *rest: Any, **more: Any) -> bool:
        request.client = self.key  # oauthlib asks for a client with a `client_id`
        return self.key.is_client(request.client_id or "", request.client_secret or "")

    def validate_grant_type(self, client_id: str, grant_type: str, *rest: Any, **more: Any) -> bool:
        return grant_type == "client_credentials"

    def get_default_scopes(self, *rest: Any, **more: Any) -> list[str]:
        return []

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *rest: Any, **more: Any
    ) -> bool:
        request.scopes = [scope for scope in scopes if scope]
        return bool(request.scopes) and set(request.scopes) <= set(self.key.scopes)

    def save_bearer_token(self, token: Any, request: Any, *rest: Any, **more: Any) -> None:
        scopes = tuple(request.scopes)
        self._tokens.add(token["access_token"], scopes, token["expires_in"], is_key=True)


def key_server(rules: Rules, lifetime: Callable[[Any], Any]) -> BackendApplicationServer:
    """oauthlib's server for client credentials."""
    server = BackendApplicationServer(rules, random_token, token_expires_in=lifetime)
    server.credentials_grant.custom_validators.pre_token.append(_refuse_basic)
    return server


def _refuse_basic(request: Any) -> None:
    """A client must not authenticate in two ways (RFC 6749 section 2.3)."""
    if request.headers.get("Authorization"):
        raise InvalidRequestError("Client credentials belong in the body only.", request=request)


def scope_for(path: str, paths: Mapping[str, str | None]) -> tuple[bool, str | None]:
    """Whether an API path accepts tokens of API keys, and the necessary scope.

    If several beginnings fit the path, the longest decides.
    """
    fitting = [start for start in paths if path.startswith(start)]
    return (True, paths[max(fitting, key=len)]) if fitting else (False, None)
