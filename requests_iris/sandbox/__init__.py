"""A local IRIS to run programs against: a real authorization server and API, by TLS on loopback.

    with Sandbox(token_lifetime=2) as sandbox:
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            ...

Its authorization server is oauthlib's, its fleet is made up, and what happens to the next requests
can be ordered: see `Fault`.
"""

from __future__ import annotations

try:
    import trustme

    from . import aemp
    from .api import Api
    from .authorization import Account, Authorization
    from .echo import echo, redirect
    from .faults import OMIT, Fault, Faults
    from .fleet import Fleet
    from .ledger import Ledger, Seen
    from .limits import Limits, RetryAfter
    from .problems import Problem
    from .server import HOST, App, Delivery, Request, Server
except ModuleNotFoundError as error:  # pragma: no cover
    if error.name not in ("trustme", "werkzeug"):
        raise
    raise ModuleNotFoundError(
        f'The sandbox needs {error.name}: pip install "requests-iris[sandbox]"', name=error.name
    ) from None

import os
import secrets
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from werkzeug import Response

__all__ = ["OMIT", "Fault", "Sandbox", "Seen"]

#: The names of the three servers, as `Sandbox.inject` and `Sandbox.count` know them.
SERVERS = ("token", "api", "foreign")


class Sandbox:
    """Three servers on loopback: tokens, API, and a foreign one that stands for somebody else's.

    `machines`: how many the fleet has; can be changed while it runs.
    `token_lifetime`: seconds that an access token lives; may be a fraction, or 0.
    `port`: of the API, the token server takes the next one; 0 for ports that happen to be free.
    `hostnames`: further names that its certificate is good for, for whoever routes them here.
    The credentials are made up unless they are given.

    It runs between `start` and `close`, or inside a `with` block.
    """

    def __init__(
        self,
        *,
        machines: int = 250,
        token_lifetime: float = 3600,
        client_id: str | None = None,
        client_secret: str | None = None,
        username: str | None = None,
        password: str | None = None,
        port: int = 0,
        hostnames: Iterable[str] = (),
    ) -> None:
        self._account = Account(
            client_id=_given_or_made_up(client_id, "client"),
            client_secret=_given_or_made_up(client_secret, "secret"),
            username=_given_or_made_up(username, "user"),
            password=_given_or_made_up(password, "password"),
        )
        self._port = port
        self._hostnames = ("127.0.0.1", "localhost", "::1", *hostnames)
        self._ledger = Ledger()
        self._faults = Faults()
        self._limits = Limits()
        self._authorization = Authorization(self._account, token_lifetime=token_lifetime)
        #: How the AEMP snapshots are cut and spelled: `next_link`, `lower_case`, `page_size`.
        self.aemp = aemp.Habits()
        self._api = Api(
            Fleet(machines),
            authorization=self._authorization,
            limits=self._limits,
            aemp_habits=self.aemp,
        )
        self._running = ExitStack()
        self._servers: dict[str, Server] = {}
        self._ca_file = ""

    def start(self) -> Sandbox:
        """Starts the servers; from now on there are URLs."""
        if self._servers:
            raise RuntimeError("This sandbox is running already.")
        with ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="iris-sandbox-"))
            self._ca_file = os.path.join(directory, "ca.pem")
            tls = _tls_context(self._ca_file, self._hostnames)
            closing = threading.Event()
            servers = {}
            for name, work, port in self._plan():
                app = self._app(name, work, closing)
                server = Server(app, name=name, tls=tls, closing=closing, port=port)
                server.start()
                stack.callback(server.close)
                servers[name] = server
            stack.callback(closing.set)  # the first to happen: sleepers of all servers wake up
            self._servers = servers
            self._running = stack.pop_all()
        return self

    def close(self) -> None:
        """Stops the servers and ends their threads, in the middle of a delay if need be."""
        self._running.close()
        self._servers.clear()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _plan(self) -> list[tuple[str, Callable[[Request], Response], int]]:
        token_port = self._port + 1 if self._port else 0
        return [
            ("api", self._api, self._port),
            ("token", self._authorization, token_port),
            ("foreign", _foreign, 0),
        ]

    def _app(self, name: str, work: Callable[[Request], Response], closing: threading.Event) -> App:
        def app(request: Request) -> Delivery:
            with self._ledger.entry(name, request) as entry:
                delivery = self._faults.deliver(
                    name, request, lambda: _safely(work, request), sleep
                )
                entry.status = delivery.response.status_code if delivery.response else None
            return delivery

        def sleep(seconds: float) -> bool:
            return not closing.wait(seconds)

        return app

    # Where it is, and how to get in.

    @property
    def base_url(self) -> str:
        return self._url("api")

    @property
    def token_url(self) -> str:
        return self._url("token") + "/token"

    @property
    def foreign_url(self) -> str:
        return self._url("foreign")

    def _url(self, server: str) -> str:
        if server not in self._servers:
            raise RuntimeError("This sandbox is not running: start() it first.")
        return self._servers[server].url

    @property
    def ca_file(self) -> str:
        """Path of the certificate (PEM) to verify the servers with; gone after `close`."""
        return self._ca_file

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments for a session that signs in here."""
        return {
            "client_id": self._account.client_id,
            "client_secret": self._account.client_secret,
            "username": self._account.username,
            "password": self._account.password,
            "base_url": self.base_url,
            "token_url": self.token_url,
        }

    @property
    def environ(self) -> dict[str, str]:
        """The same as variables of the environment, and those that make requests trust us.

        A proxy that the environment names would look for us on its own loopback: `no_proxy` is the
        one in force now, with our address before it.
        """
        settings = {f"TRACKUNIT_{name.upper()}": value for name, value in self.settings.items()}
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        no_proxy = f"{HOST},{others}" if others else HOST
        return {**settings, "REQUESTS_CA_BUNDLE": self.ca_file, "no_proxy": no_proxy}

    # What the authorization server holds.

    @property
    def token_lifetime(self) -> float:
        """Seconds that tokens live which are issued from now on.

        One of lifetime 0 is said to be over at once, and the API takes it for some seconds more
        (`authorization.ZERO_LIFETIME_GRACE`). Any other ends on time.
        """
        return self._authorization.token_lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float) -> None:
        self._authorization.token_lifetime = seconds

    @property
    def issued(self) -> tuple[str, ...]:
        """Every access token issued so far, the oldest first."""
        return self._authorization.issued

    @property
    def refresh_token(self) -> str | None:
        """The refresh token issued last."""
        return self._authorization.refresh_token

    @property
    def refused(self) -> int:
        """How many token requests the authorization server has refused."""
        return self._authorization.refused

    def expire_access_tokens(self) -> None:
        """Every access token issued so far is over."""
        self._authorization.expire_access_tokens()

    def revoke_access_tokens(self) -> None:
        """Every access token issued so far is unknown."""
        self._authorization.revoke_access_tokens()

    def revoke_refresh_tokens(self) -> None:
        """Every refresh token issued so far is refused."""
        self._authorization.revoke_refresh_tokens()

    def change_password(self, password: str) -> None:
        """The old password is refused from now on; tokens stay good."""
        self._account = replace(self._account, password=password)
        self._authorization.account = self._account

    # What was seen.

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request to one of the three servers, in the order of arrival."""
        return self._ledger.seen

    def count(self, kind: str, status: int | None = None) -> int:
        """How many requests came to a server ("token", "api", "foreign") or asked for a grant
        ("password", "refresh_token"); with `status`, only those answered so.
        """
        return self._ledger.count(kind, status)

    @property
    def max_concurrent_token_requests(self) -> int:
        """How many token requests were under way at once, at most."""
        return self._ledger.max_concurrent_token_requests

    def forget(self) -> None:
        """Empties `seen` and starts `max_concurrent_token_requests` anew."""
        self._ledger.forget()

    # What goes wrong next.

    def inject(self, fault: Fault, *, on: str, times: int = 1, path: str = "") -> None:
        """Orders a fault for the next requests, `times` of them, to the server `on`.

        `on` is "api", "token", or "foreign", the server that is none of IRIS.
        With `path`, only requests whose path begins so.
        Faults that fit the same request are used up one after the other: ``Fault()``, which does
        nothing, with ``times=2`` before another one makes that one the third request's.
        """
        if on not in SERVERS:
            raise ValueError(f"on is one of {', '.join(SERVERS)}, not {on!r}.")
        if times < 1:
            raise ValueError("A fault happens once at least.")
        _check_path(path)
        self._faults.order(fault, server=on, path=path, times=times)

    def clear_faults(self) -> None:
        """Takes back every order for faults that has not been used up."""
        self._faults.clear()

    def limit(
        self, path: str, *, requests: int, per: float, retry_after: RetryAfter | None = None
    ) -> None:
        """Answers more than `requests` API requests in `per` seconds with 429.

        They count together for all paths that begin with `path`.
        The reply says when to come again if `retry_after` is "seconds" or "date", the two forms
        of Retry-After.
        """
        _check_path(path)
        self._limits.add(path, requests=requests, per=per, retry_after=retry_after)

    # The fleet.

    @property
    def machines(self) -> int:
        """How many machines the fleet has, each with a driver and an event.

        Another number can be set at any time: the last ones go, or others come after them. So a
        list changes while it is read, as it may in IRIS.
        """
        return len(self._api.fleet.assets)

    @machines.setter
    def machines(self, machines: int) -> None:
        self._api.fleet = Fleet(machines)

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """The ids of the whole fleet, to compare a list with."""
        return tuple(asset["id"] for asset in self._api.fleet.assets)


def _given_or_made_up(value: str | None, name: str) -> str:
    return f"sandbox-{name}-{secrets.token_hex(8)}" if value is None else value


def _check_path(path: str) -> None:
    """Refuses the beginning of a path that no request's would have."""
    if path[:1] not in ("", "/") or "?" in path:
        raise ValueError(f"path begins with a slash and ends before any query, not {path!r}.")


def _tls_context(ca_file: str, hostnames: tuple[str, ...]) -> ssl.SSLContext:
    """A context with a new certificate, whose authority is written to `ca_file`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hostnames).configure_cert(context)
    return context


def _foreign(request: Request) -> Response:
    try:
        return redirect(request) if request.path == "/redirect" else echo(request)
    except Problem as problem:
        return problem.response


def _safely(work: Callable[[Request], Response], request: Request) -> Response:
    # A mistake in the sandbox must be seen by whoever asked: nobody reads a log of it.
    try:
        return work(request)
    except Exception as error:
        return Problem(500, "sandbox_error", repr(error)).response
