"""The peers: other libraries that keep a requests session signed in, used as their manuals say."""

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

#: The settings of an account, as `Sandbox.settings` has them.
Settings = dict[str, str]
#: Makes a session; signs in when it is called with a session, as one's own code would have to.
Peer = Callable[[Settings, "dict[str, Any] | None"], requests.Session]

#: An account that nobody has, for work without a token endpoint.
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
#: Seconds before its end from which a peer does not use a token; the defaults outlast those here.
LEEWAY = 1


def iris(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    return IrisSession(**settings, token=token)  # type: ignore[arg-type]


def plain(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token['access_token'] if token else ''}"
    return session


def requests_oauthlib(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    """Renews by itself; the first token is one's own business."""
    client = settings["client_id"], settings["client_secret"]

    class SignedIn(OAuth2Session):  # type: ignore[misc]
        def get(self, url: str, **kwargs: Any) -> requests.Response:
            if not self.authorized:
                user = {name: settings[name] for name in ("username", "password")}
                self.fetch_token(settings["token_url"], auth=client, verify=self.verify, **user)
            # only so does it authenticate the client at renewal
            names = dict(zip(("client_id", "client_secret"), client, strict=True))
            return super().get(url, **names, **kwargs)  # type: ignore[no-any-return]

    return SignedIn(  # type: ignore[no-any-return]
        client=LegacyApplicationClient(client[0], scope=SCOPE),
        token=token or {},
        auto_refresh_url=settings["token_url"],
        token_updater=lambda token: None,
    )


def authlib(settings: Settings, token: dict[str, Any] | None) -> requests.Session:
    """Renews by itself; the first token is one's own business."""

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
    """Renews by itself; the first token is one's own business."""
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
    """Its own credentials do not know the password grant, so the requests of the two are here."""

    class Credentials(google.auth.credentials.Credentials):  # type: ignore[misc]
        refresh_token: str | None = None

        def refresh(self, request: Any) -> None:
            form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
            if self.refresh_token is None:
                user = {name: settings[name] for name in ("username", "password")}
                form = {"grant_type": "password", "scope": SCOPE, **user}
            client = settings["client_id"], settings["client_secret"]
            reply = requests.post(
                settings["token_url"], data=form, auth=client, verify=session.verify, timeout=60
            )
            reply.raise_for_status()
            self.take(reply.json())

        def take(self, token: dict[str, Any]) -> None:
            self.token, self.refresh_token = token["access_token"], token.get("refresh_token")
            end = datetime.now(UTC) + timedelta(seconds=token["expires_in"] - LEEWAY)
            # it wants naive times, in UTC, and cannot be told another leeway
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
    """A token that is good for an hour."""
    return {
        "access_token": "a-token",
        "token_type": "Bearer",
        "refresh_token": "r-token",
        "expires_in": 3600,
        "expires_at": time.time() + 3600,
        "scope": SCOPE.split(),
    }


def together(work: Callable[[int], None], threads: int) -> None:
    """Runs `work` in so many threads, which begin at the same moment."""
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    runners = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
