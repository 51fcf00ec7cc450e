"""The peers: libraries that keep a requests session signed in, used as in the manuals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import google.auth.credentials
import requests
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from google.auth._helpers import REFRESH_THRESHOLD
from google.auth.transport.requests import AuthorizedSession
from oauthlib.oauth2 import LegacyApplicationClient
from requests_oauth2client import (
    BearerToken,
    ClientSecretBasic,
    OAuth2AccessTokenAuth,
    OAuth2Client,
)
from requests_oauthlib import OAuth2Session

from requests_iris import IrisSession

#: The settings of an account, as in `Sandbox.settings`.
Settings = dict[str, str]
#: Makes a session. Without a token, the session signs in at the first request.
Peer = Callable[[Settings, "dict[str, Any] | None"], requests.Session]

#: An invented account, for work without a token endpoint.
ACCOUNT: Settings = {
    "client_id": "client",
    "client_secret": "secret",
    "username": "user",
    "password": "password",
    "token_url": "https://auth.trackunit.com/token",
}
OURS = "IrisSession"
PLAIN = "requests.Session"
SCOPE = "api offline_access"
#: The leeway in seconds. The default leeway of most peers is longer than the lifetime of a token in
#: these benchmarks.
LEEWAY = 1


def iris(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    return IrisSession(**settings, token=token)  # type: ignore[arg-type]


def plain(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token['access_token'] if token else ''}"
    return session


def requests_oauthlib(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    """The library renews the token. The code here signs in."""
    client = settings["client_id"], settings["client_secret"]

    class SignedIn(OAuth2Session):  # type: ignore[misc]
        def get(self, url: str, **kwargs: Any) -> requests.Response:
            if not self.authorized:
                user = {name: settings[name] for name in ("username", "password")}
                self.fetch_token(settings["token_url"], auth=client, verify=self.verify, **user)
            # without both names, requests-oauthlib does not authenticate the client when refreshing
            names = dict(zip(("client_id", "client_secret"), client, strict=True))
            return super().get(url, **names, **kwargs)  # type: ignore[no-any-return]

    return SignedIn(  # type: ignore[no-any-return]
        client=LegacyApplicationClient(client[0], scope=SCOPE),
        token=token or {},
        auto_refresh_url=settings["token_url"],
        token_updater=lambda token: None,
    )


def authlib(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    """The library renews the token. The code here signs in."""

    class SignedIn(AuthlibSession):  # type: ignore[misc]
        def get(self, url: str, **kwargs: Any) -> requests.Response:
            if not self.token:
                user = {name: settings[name] for name in ("username", "password")}
                self.fetch_token(settings["token_url"], verify=self.verify, **user)
            return super().get(url, **kwargs)  # type: ignore[no-any-return]

    return SignedIn(  # type: ignore[no-any-return]
        settings["client_id"],
        settings["client_secret"],
        scope=SCOPE,
        token=token,
        leeway=LEEWAY,
        token_endpoint=settings["token_url"],
    )


def oauth2client(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    """The library renews the token. The code here signs in."""
    session = requests.Session()
    client = OAuth2Client(
        settings["token_url"],
        auth=ClientSecretBasic(settings["client_id"], settings["client_secret"]),
        session=session,
    )
    user = {name: settings[name] for name in ("username", "password")}

    class SignedIn(OAuth2AccessTokenAuth):
        def renew_token(self) -> None:
            if self.token is None:
                self.token = client.resource_owner_password(**user, scope=SCOPE)
            else:
                super().renew_token()

    members = {k: v for k, v in (token or {}).items() if k not in ("expires_at", "scope")}
    session.auth = SignedIn(client, BearerToken(**members) if token else None, leeway=LEEWAY)  # type: ignore[arg-type]
    return session


def google_auth(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    """google-auth has no password grant. Therefore the token requests are written here."""

    class Credentials(google.auth.credentials.Credentials):  # type: ignore[misc]
        refresh_token: str | None = None

        def refresh(self, request: Any) -> None:
            form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
            if self.refresh_token is None:
                user = {name: settings[name] for name in ("username", "password")}
                form = {"grant_type": "password", "scope": SCOPE, **user}
            client = settings["client_id"], settings["client_secret"]
            response = requests.post(
                settings["token_url"], data=form, auth=client, verify=session.verify, timeout=60
            )
            response.raise_for_status()
            self.take(response.json())

        def take(self, token: dict[str, Any]) -> None:
            self.token, self.refresh_token = token["access_token"], token.get("refresh_token")
            end = datetime.now(UTC) + timedelta(seconds=token["expires_in"] - LEEWAY)
            # google-auth wants naive times in UTC, and has a fixed leeway
            self.expiry = end.replace(tzinfo=None) + REFRESH_THRESHOLD

    credentials = Credentials()
    if token:
        credentials.take(token)
    session = AuthorizedSession(credentials)
    return session  # type: ignore[no-any-return]


PEERS: dict[str, Peer] = {
    "requests-oauthlib": requests_oauthlib,
    "Authlib": authlib,
    "requests_oauth2client": oauth2client,
    "google-auth": google_auth,
}
ALL: dict[str, Peer] = {OURS: iris, **PEERS}


def living_token() -> dict[str, Any]:
    """A token that expires in an hour."""
    return {
        "access_token": "a-token",
        "token_type": "Bearer",
        "refresh_token": "r-token",
        "expires_in": 3600,
        "expires_at": time.time() + 3600,
        "scope": SCOPE.split(),
    }


def together(work: Callable[[int], None], threads: int) -> None:
    """Runs `work` in `threads` threads. All threads begin at the same moment."""
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    runners = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
