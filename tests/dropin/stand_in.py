"""A pytest plugin: puts a class in the place of requests.Session before the tests are imported.

The suite of requests must not notice this module.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import requests
from watch import Watch

from requests_iris import IrisSession
from requests_iris.retry import DEFAULT_RETRY
from requests_iris.sandbox import Sandbox

#: As often as ever, but at once: many servers of the suite hang up, and its proxies do not exist.
AT_ONCE = DEFAULT_RETRY.new(backoff_factor=0, backoff_jitter=0)

sandbox = Sandbox()
#: The origins of all allowed hosts.
allowed: set[str] = set()
watch = Watch(lambda: sandbox.issued)
passed: set[str] = set()
failed: dict[str, str] = {}


class _ToSandbox(requests.adapters.HTTPAdapter):
    """The way to the token endpoint, whatever a test does to proxies and certificates."""

    def send(self, request: Any, **settings: Any) -> requests.Response:
        settings.update(proxies={}, verify=sandbox.ca_file, cert=None)
        return super().send(request, **settings)


_to_sandbox = _ToSandbox()


class Armed(IrisSession):
    """Has credentials, but no allowed host."""

    def __init__(self, allowed_hosts: set[str] = frozenset()) -> None:
        super().__init__(**sandbox.settings, allowed_hosts=allowed_hosts, retry=AT_ONCE)

    def get_adapter(self, url: str) -> Any:
        # not mounted: the suite counts the adapters of a new session
        return _to_sandbox if url == sandbox.token_url else super().get_adapter(url)


class Signing(Armed):
    """The suite's own servers may see a token."""

    def __init__(self) -> None:
        super().__init__(allowed)


class Forgetful(IrisSession):
    """Broken on purpose: params are lost."""

    def request(self, method: str, url: str, params: Any = None, **others: Any) -> Any:
        return super().request(method, url, **others)


class Leaky(Armed):
    """Broken on purpose: signs whatever is sent, wherever to."""

    def send(self, request: Any, **settings: Any) -> requests.Response:
        token = self.access_token or self.fetch_token()["access_token"]
        request.headers["Authorization"] = f"Bearer {token}"
        settings["timeout"] = (
            settings.get("timeout") or 5
        )  # some of the suite's servers fall silent
        return super().send(request, **settings)


#: By mode: the class, and how long the sandbox's tokens live.
STAND_INS: dict[str, tuple[type[requests.Session], float]] = {
    "reference": (requests.Session, 3600),
    "dropin": (IrisSession, 3600),
    "armed": (Armed, 3600),
    "signing": (Signing, 3600),
    "expiring": (Signing, 0),
    "forgetful": (Forgetful, 3600),
    "leaky": (Leaky, 3600),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stand-in", choices=STAND_INS, required=True)
    parser.addoption("--stand-in-report", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    stand_in, sandbox.token_lifetime = STAND_INS[config.getoption("--stand-in")]
    sandbox.start()
    watch.start()
    _allow_servers_from_now_on()
    requests.Session = requests.sessions.Session = stand_in  # type: ignore[misc]


def _allow_servers_from_now_on() -> None:
    """The suite opens servers all the time, on free ports; a server on this machine counts as an
    allowed host."""
    listen = socket.socket.listen

    def noted_listen(server: socket.socket, *backlog: int) -> None:
        listen(server, *backlog)
        port = server.getsockname()[1]
        hosts = ("http://127.0.0.1", "https://127.0.0.1", "https://localhost")
        allowed.update(f"{host}:{port}" for host in hosts)

    socket.socket.listen = noted_listen  # type: ignore[method-assign]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plain http is safe for a loopback address only, and the suite calls its servers localhost."""
    from tests.testserver.server import Server

    if requests.Session is not Signing:
        return
    Server.__init__.__defaults__ = tuple(
        "127.0.0.1" if default == "localhost" else default
        for default in Server.__init__.__defaults__
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        failed.setdefault(report.nodeid, report.longreprtext.strip().rpartition("\n")[2])
        passed.discard(report.nodeid)
    elif report.when == "call" and report.passed:
        passed.add(report.nodeid)


def pytest_unconfigure(config: pytest.Config) -> None:
    result = {
        "passed": sorted(passed),
        "failed": failed,
        "asked": sandbox.count("token"),
        "sent": watch.sent,
        "stray": sorted(set(watch.sent) - allowed),
    }
    config.getoption("--stand-in-report").write_text(json.dumps(result, indent=1))
    sandbox.close()
