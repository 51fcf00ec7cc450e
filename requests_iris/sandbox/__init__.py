"""A local IRIS to test programs against: a real authorization server and API, over TLS on loopback.

::

    with Sandbox(token_lifetime=2) as sandbox:
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            ...

The authorization server is oauthlib's. The fleet is made up, or your own:
``Sandbox(assets=[...])``. Faults make the next requests go wrong: see :class:`Fault`. A movable
clock makes tokens expire without a wait: see :class:`MovableClock`.
"""

from __future__ import annotations

try:
    import trustme

    from . import aemp, checks, keys
    from .api import Api
    from .authorization import USER_PATH, Account, Authorization
    from .clock import MovableClock
    from .echo import echo, redirect
    from .faults import OMIT, Fault, Faults
    from .fleet import Fleet
    from .ledger import SERVERS, Ledger, Seen
    from .limits import Limits, RetryAfter
    from .points import Points
    from .problems import Problem
    from .quotas import QuotaCount, Quotas, rules_of
    from .server import HOST, App, Delivery, Request, Server
except ModuleNotFoundError as error:  # pragma: no cover
    if error.name not in ("trustme", "werkzeug"):
        raise
    raise ModuleNotFoundError(
        f'The sandbox needs {error.name}: pip install "requests-iris[sandbox]"', name=error.name
    ) from None

import atexit
import copy
import os
import secrets
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

from werkzeug import Response

from ..quota import RateLimit

__all__ = ["OMIT", "Fault", "MovableClock", "QuotaCount", "Sandbox", "Seen"]

#: The formats of the header Retry-After, and no header.
_RETRY_AFTER = (None, "seconds", "date")
#: Seconds that `Sandbox.close` waits for the threads of the servers.
CLOSE_TIMEOUT = 2


class Sandbox:
    """Three servers on loopback: a token server, an API, and a foreign server.

    :param machines: (int, default 250) The size of the made-up fleet.
    :param assets: (list of dicts) Your own fleet instead. The API serves each asset unchanged; an
        asset without an ``"id"`` gets a made-up id. Each asset also has a made-up operator and a
        made-up event, AEMP series, and an entry in the AEMP snapshot: `EquipmentID` is the asset's
        `id`; `OEMName`, `Model` and `SerialNumber` are the asset's `brand`, `model` and
        `serialNumber`. A series is found by the `SerialNumber` or the `EquipmentID`.
        GraphQL knows the members of all assets, and says null where an asset lacks a member. The
        plural of a member is a filter, such as ``filters: {brands: ["Nordgrav"]}``.
    :param token_lifetime: (seconds, default 3600) The lifetime of access tokens, which may be a
        fraction, or 0.
    :param client_id: (str) The OAuth client of the API User. Made up by default, as are the next
        five.
    :param client_secret: (str) The secret of the OAuth client.
    :param username: (str) The name of the API User.
    :param password: (str) The password of the API User.
    :param key_id: (str) The client id of the API key ("API Tokens v2").
    :param key_secret: (str) The client secret of the API key.
    :param key_scopes: (list of str, default all known scopes) The scopes that tokens of the API key
        can have.
    :param key_token_lifetime: (seconds, default 1200) The lifetime of access tokens for the API
        key. At /apptoken, `token_lifetime` holds.
    :param key_paths: (dict) The API paths that accept tokens of the API key: the beginning of each
        path, and the scope that a token needs there, or None for any scope. All other paths answer
        401 to a token of the API key. By default ``/api/asset/``, ``/public/api/aemp/``,
        ``/public/api/eventlog/``, ``/echo`` and ``/redirect``.
    :param quotas: (bool or list of RateLimit, default False) True: the API enforces IRIS's limits
        (:data:`requests_iris.IRIS_RATE_LIMITS`) and answers 429 beyond the limits. A list of rules
        replaces the limits of IRIS. Every request of a known user counts on arrival, also if the
        response is a 401 or an ordered fault. A refused request does not count.
    :param quota_retry_after: (str) "seconds" or "date": such a 429 has a Retry-After header in this
        format. By default there is no such header, as in IRIS.
    :param port: (int) The port of the API; the token server uses the next port. 0, the default,
        uses free ports.
    :param hostnames: (list of str) More host names for the certificate, for tests that route the
        host names to the sandbox.
    :param clock: (MovableClock, default a new clock) The clock of token lifetimes and limits. A
        session has its own clock: pass ``clock=sandbox.clock`` to IrisSession to move both.

    The sandbox runs between `start` and `close`, or inside a `with` block. Without `close`, the
    sandbox ends with the program, and removes its files. A forked child process can use the sandbox
    of its parent, but cannot close the sandbox.

    Every method refuses a wrong argument: with a `TypeError` for a wrong type, and a `ValueError`
    for a wrong value. The message says which values are allowed.
    """

    # A misspelled attribute, such as `sandbox.machine = 3`, must not be set silently.
    __slots__ = (
        *("_account", "_aemp", "_api", "_authorization", "_ca_file", "_clock", "_faults"),
        *("_graphql", "_hostnames", "_ledger", "_limits", "_port", "_process", "_quotas"),
        *("_running", "_servers"),
    )

    def __init__(
        self,
        *,
        machines: int | None = None,
        assets: Iterable[Mapping[str, Any]] | None = None,
        token_lifetime: float = 3600,
        client_id: str | None = None,
        client_secret: str | None = None,
        username: str | None = None,
        password: str | None = None,
        key_id: str | None = None,
        key_secret: str | None = None,
        key_scopes: Iterable[str] = keys.SCOPES,
        key_token_lifetime: float = 1200,
        key_paths: Mapping[str, str | None] = keys.PATHS,
        quotas: bool | Iterable[RateLimit] = False,
        quota_retry_after: RetryAfter | None = None,
        port: int = 0,
        hostnames: Iterable[str] = (),
        clock: MovableClock | None = None,
    ) -> None:
        if machines is not None and assets is not None:
            raise ValueError("Pass machines or assets, not both: assets are the whole fleet.")
        self._account = Account(
            client_id=_given_or_made_up("client_id", client_id),
            client_secret=_given_or_made_up("client_secret", client_secret),
            username=_given_or_made_up("username", username),
            password=_given_or_made_up("password", password),
        )
        self._port = checks.whole_number("port", port, least=0, most=65534)
        self._hostnames = ("127.0.0.1", "localhost", "::1", *_names("hostnames", hostnames))
        self._clock = MovableClock() if clock is None else clock
        checks.instance("clock", self._clock, MovableClock, "MovableClock()")
        self._ledger = Ledger()
        self._faults = Faults()
        self._limits = Limits(self._clock)
        checks.one_of("quota_retry_after", quota_retry_after, _RETRY_AFTER)
        self._quotas = Quotas(rules_of(quotas), self._clock, quota_retry_after)
        checks.seconds("token_lifetime", token_lifetime)
        checks.seconds("key_token_lifetime", key_token_lifetime)
        key = keys.Key(
            client_id=_given_or_made_up("key_id", key_id),
            client_secret=_given_or_made_up("key_secret", key_secret),
            scopes=checks.scopes("key_scopes", key_scopes),
        )
        self._authorization = Authorization(
            self._account,
            key,
            token_lifetime=token_lifetime,
            key_token_lifetime=key_token_lifetime,
            clock=self._clock,
        )
        self._aemp = aemp.Habits()
        self._graphql = Points(self._clock)
        self._api = Api(
            Fleet(250 if machines is None else machines, assets=assets),
            authorization=self._authorization,
            limits=self._limits,
            quotas=self._quotas,
            aemp_habits=self._aemp,
            points=self._graphql,
            key_paths=checks.scopes_of_paths("key_paths", key_paths),
        )
        self._running = ExitStack()
        self._servers: dict[str, Server] = {}
        self._ca_file = ""
        self._process = 0

    def start(self) -> Sandbox:
        """Start the servers.

        :raises RuntimeError: if the sandbox is running.
        :raises OSError: if the port is in use.
        """
        if self._servers:
            raise RuntimeError("This sandbox is running already.")
        with ExitStack() as stack:
            directory = tempfile.mkdtemp(prefix="iris-sandbox-")
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            self._ca_file = os.path.join(directory, "ca.pem")
            tls = _tls_context(self._ca_file, self._hostnames)
            closing = threading.Event()
            servers: dict[str, Server] = {}
            stack.callback(_close_all, servers)
            for name, work, port in self._plan():
                app = self._app(name, work, closing)
                server = Server(app, name=name, tls=tls, closing=closing, port=port)
                server.start()
                servers[name] = server
            self._servers = servers
            self._running = stack.pop_all()
        self._process = os.getpid()
        atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stop the servers, hang up on their clients, and remove the files.

        Returns within about `CLOSE_TIMEOUT` seconds. A client may be in the middle of a handshake,
        a request or a response, or wait for a delayed response. Does nothing if the sandbox is not
        running, or in a forked child process: the servers are the parent's.
        """
        if self._process != os.getpid():
            return
        atexit.unregister(self.close)
        self._running.close()
        self._servers = {}

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
                delivery = self._refusal(name, request) or self._faults.deliver(
                    name, request, lambda: _safely(work, request), sleep
                )
                entry.status = delivery.response.status_code if delivery.response else None
            return delivery

        def sleep(seconds: float) -> bool:
            return not closing.wait(seconds)

        return app

    def _refusal(self, name: str, request: Request) -> Delivery | None:
        refusal = self._api.refusal(request) if name == "api" else None
        return None if refusal is None else Delivery(response=refusal)

    # Where the sandbox is, and how to sign in.

    @property
    def base_url(self) -> str:
        """The URL of the API."""
        return self._url("api")

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint for the API User."""
        return self._url("token") + USER_PATH

    @property
    def key_token_url(self) -> str:
        """The URL of the token endpoint for the API key."""
        return self._url("token") + keys.KEY_PATH

    @property
    def app_token_url(self) -> str:
        """The URL of the token endpoint for apps. The API key signs in here, too."""
        return self._url("token") + keys.APP_PATH

    @property
    def foreign_url(self) -> str:
        """The URL of the foreign server, which belongs to no part of IRIS and echoes requests."""
        return self._url("foreign")

    def _url(self, server: str) -> str:
        if server not in self._servers:
            raise RuntimeError("This sandbox is not running: start() it first.")
        return self._servers[server].url

    @property
    def ca_file(self) -> str:
        """The path of the certificate (PEM) that verifies the servers. `close` removes the file."""
        return self._ca_file

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of a session that signs in here as the API User."""
        return {
            "client_id": self._account.client_id,
            "client_secret": self._account.client_secret,
            "username": self._account.username,
            "password": self._account.password,
            "base_url": self.base_url,
            "token_url": self.token_url,
        }

    @property
    def key_settings(self) -> dict[str, Any]:
        """The arguments of a session that signs in here with the API key, for all its scopes."""
        key = self._authorization.key
        return {
            "client_id": key.client_id,
            "client_secret": key.client_secret,
            "scope": " ".join(key.scopes),
            "grant_type": "client_credentials",
            "base_url": self.base_url,
            "token_url": self.key_token_url,
        }

    @property
    def environ(self) -> dict[str, str]:
        """`settings` as environment variables, and the variables with which requests trusts us.

        A proxy cannot reach this machine's loopback address. Therefore `no_proxy` begins with the
        address, followed by the present value of the variable.
        """
        return self._environ(self.settings)

    @property
    def key_environ(self) -> dict[str, str]:
        """`key_settings` as environment variables, and the variables for trust as in `environ`."""
        return self._environ(self.key_settings)

    def _environ(self, arguments: Mapping[str, str]) -> dict[str, str]:
        settings = {f"TRACKUNIT_{name.upper()}": value for name, value in arguments.items()}
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        no_proxy = f"{HOST},{others}" if others else HOST
        return {**settings, "REQUESTS_CA_BUNDLE": self.ca_file, "no_proxy": no_proxy}

    # The clock and the tokens.

    @property
    def clock(self) -> MovableClock:
        """The clock of token lifetimes and limits: ``sandbox.clock.advance(3600)``."""
        return self._clock

    @property
    def token_lifetime(self) -> float:
        """The lifetime, in seconds, of tokens for the API User that are issued from now on.

        A token of lifetime 0 says `expires_in: 0`, and the API accepts the token for 60 seconds. A
        token of any longer lifetime expires on time.
        """
        return self._authorization.token_lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float) -> None:
        self._authorization.token_lifetime = checks.seconds("token_lifetime", seconds)

    @property
    def key_token_lifetime(self) -> float:
        """The lifetime, in seconds, of tokens for the API key that are issued from now on."""
        return self._authorization.key_token_lifetime

    @key_token_lifetime.setter
    def key_token_lifetime(self, seconds: float) -> None:
        self._authorization.key_token_lifetime = checks.seconds("key_token_lifetime", seconds)

    @property
    def key_scopes(self) -> tuple[str, ...]:
        """The scopes that tokens of the API key can have. Set new scopes at any time."""
        return self._authorization.key.scopes

    @key_scopes.setter
    def key_scopes(self, scopes: Iterable[str]) -> None:
        allowed = checks.scopes("key_scopes", scopes)
        self._authorization.key = replace(self._authorization.key, scopes=allowed)

    @property
    def key_paths(self) -> dict[str, str | None]:
        """The API paths that accept tokens of the API key, with the scope that a token needs there.

        Set new paths at any time, as IRIS does when one more API accepts API keys.
        """
        return dict(self._api.key_paths)

    @key_paths.setter
    def key_paths(self, paths: Mapping[str, str | None]) -> None:
        self._api.key_paths = checks.scopes_of_paths("key_paths", paths)

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
        """Let every access token issued so far expire now."""
        self._authorization.expire_access_tokens()

    def revoke_access_tokens(self) -> None:
        """Revoke every access token issued so far."""
        self._authorization.revoke_access_tokens()

    def revoke_refresh_tokens(self) -> None:
        """Revoke every refresh token issued so far."""
        self._authorization.revoke_refresh_tokens()

    def change_password(self, password: str) -> None:
        """Replace the password. Tokens stay valid."""
        self._account = replace(self._account, password=checks.text("password", password))
        self._authorization.account = self._account

    def change_key_secret(self, secret: str) -> None:
        """Replace the secret of the API key. Tokens stay valid."""
        changed = replace(self._authorization.key, client_secret=checks.text("secret", secret))
        self._authorization.key = changed

    # What the servers have seen.

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request to any of the three servers, in the order of arrival."""
        return self._ledger.seen

    def count(self, kind: str, status: int | None = None) -> int:
        """How many requests came to a server, or asked for a grant.

        :param kind: "token", "api" or "foreign"; or "password", "refresh_token" or
            "client_credentials".
        :param status: Count only requests with this status of the response.
        """
        return self._ledger.count(kind, status)

    @property
    def quota_counts(self) -> dict[str, QuotaCount]:
        """By the name of each rule in `quotas`: requests granted, from the pool, and refused."""
        return self._quotas.counts

    @property
    def max_concurrent_token_requests(self) -> int:
        """The largest number of token requests at the same time."""
        return self._ledger.max_concurrent_token_requests

    def forget(self) -> None:
        """Empty `seen`, and begin to measure `max_concurrent_token_requests` again."""
        self._ledger.forget()

    # What goes wrong next.

    def inject(
        self, fault: Fault, *, on: str, times: int = 1, path: str = "", after: int = 0
    ) -> None:
        """Order a fault for the next requests to a server.

        :param on: The server: "api", "token" or "foreign".
        :param times: How many requests go wrong.
        :param path: The fault fits requests whose path begins with this text.
        :param after: How many fitting requests go right first: with ``after=2``, the third request
            goes wrong.

        If several faults fit a request, the oldest fault happens.
        """
        checks.instance("fault", fault, Fault, "Fault(status=503)")
        checks.one_of("on", on, SERVERS)
        checks.whole_number("times", times, least=1)
        checks.whole_number("after", after, least=0)
        checks.path("path", path)
        self._faults.order(fault, server=on, path=path, times=times, after=after)

    def clear_faults(self) -> None:
        """Cancel every fault that was ordered and not used up."""
        self._faults.clear()

    def limit(
        self, path: str, *, requests: int, per: float, retry_after: RetryAfter | None = None
    ) -> None:
        """Limit the API: more than `requests` requests within `per` seconds get a 429.

        All paths that begin with `path` share the limit. The sandbox's clock measures the seconds.

        :param retry_after: "seconds" or "date": the 429 has a Retry-After header in this format.
        """
        checks.path("path", path)
        checks.whole_number("requests", requests, least=0)
        checks.seconds("per", per, positive=True)
        checks.one_of("retry_after", retry_after, _RETRY_AFTER)
        self._limits.add(path, requests=requests, per=per, retry_after=retry_after)

    # The fleet.

    @property
    def machines(self) -> int:
        """How many machines the fleet has.

        Set a new number at any time: machines leave or join a made-up fleet at its end. So a list
        can change while a test reads the list, as in IRIS.

        :raises ValueError: if the sandbox serves your own `assets`: set `assets` instead.
        """
        return len(self._api.fleet.assets)

    @machines.setter
    def machines(self, machines: int) -> None:
        if self._api.fleet.own:
            raise ValueError("This sandbox serves your own assets: set sandbox.assets instead.")
        self._api.fleet = Fleet(machines)

    @property
    def assets(self) -> list[dict[str, Any]]:
        """A copy of the fleet's assets. Set this attribute to serve a new fleet."""
        return copy.deepcopy(self._api.fleet.assets)

    @assets.setter
    def assets(self, assets: Iterable[Mapping[str, Any]]) -> None:
        self._api.fleet = Fleet(assets=_required("assets", assets))

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """The ids of the whole fleet, to compare a list with."""
        return tuple(asset["id"] for asset in self._api.fleet.assets)

    def add_late_data(self, pin: str, data_point: str, times: Iterable[datetime]) -> None:
        """Let old items appear in an AEMP series, as if the machine had been in a dead spot.

        Each series has an item per hour, from the beginning of 2025 on, for every data point. The
        new items come on top, in the order of time.

        :param pin: The `SerialNumber` or `EquipmentID` of a machine in the AEMP snapshot.
        :param data_point: The name of the series, such as "CumulativeOperatingHours".
        :param times: The times of the new items: a list of datetimes with a time zone.
        """
        machine = self._api.fleet.number_of(checks.text("pin", pin))
        if machine is None:
            raise ValueError(f"pin must be of a machine in this fleet, not {pin!r}.")
        name = checks.text("data_point", data_point)
        if not name.isidentifier():
            raise ValueError(f"data_point must be a name, such as Distance, not {name!r}.")
        self._api.late_data.add(machine, name, checks.times("times", times))

    @property
    def aemp(self) -> aemp.Habits:
        """How the AEMP lists are cut and spelled: `next_link`, `lower_case`, `page_size`."""
        return self._aemp

    @property
    def graphql(self) -> Points:
        """The points of GraphQL: `query_limit`, `window_limit`, and `window` in seconds.

        Set new limits at any time::

            sandbox.graphql.query_limit = 200       # 100 assets with id and name cost 305 points
            sandbox.graphql.window_limit = 1000     # three such pages in ten minutes

        `sandbox.graphql.reset()` sets the published limits of IRIS again, with a new window.
        """
        return self._graphql


def _given_or_made_up(name: str, value: str | None) -> str:
    if value is None:
        words = {"client_id": "client", "client_secret": "secret"}
        word = words.get(name, name.replace("_", "-"))
        return f"sandbox-{word}-{secrets.token_hex(8)}"
    return checks.text(name, value)


def _names(name: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of host names, not {values!r}.")
    return tuple(checks.text(f"each of {name}", value) for value in values)


def _required(name: str, value: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    if value is None:
        raise TypeError(f"{name} must be a list of dicts, not None.")
    return value


def _tls_context(ca_file: str, hostnames: tuple[str, ...]) -> ssl.SSLContext:
    """A context with a new certificate. The certificate of its authority goes to `ca_file`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hostnames).configure_cert(context)
    return context


def _close_all(servers: Mapping[str, Server]) -> None:
    for server in servers.values():
        server.stop()
    ends = time.monotonic() + CLOSE_TIMEOUT
    for server in servers.values():
        server.join(ends)


def _foreign(request: Request) -> Response:
    try:
        return redirect(request) if request.path == "/redirect" else echo(request)
    except Problem as problem:
        return problem.response


def _safely(work: Callable[[Request], Response], request: Request) -> Response:
    # The sandbox writes no log: a mistake in the sandbox must show in the response.
    try:
        return work(request)
    except Exception as error:
        return Problem(500, "sandbox_error", repr(error)).response
