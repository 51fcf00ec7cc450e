"""Which requests of a session take slots. The sandbox counts the arrivals independently."""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests_futures.sessions import FuturesSession

from requests_iris import (
    IrisSession,
    RateLimit,
)
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.transport import IrisAdapter

from ..support.paths import ASSETS, EVENTS, EVENTS_BODY, FLEET
from ..support.redirects import redirect
from ..support.waiting import HUNG, wait_until

#: A rule with enough slots for every test, and a window longer than every test.
PLENTY = RateLimit("all", 100_000, 10 * 86_400, "/")


@pytest.fixture(scope="module")
def _shared() -> Iterator[Sandbox]:
    with Sandbox(quotas=[PLENTY]) as sandbox:
        yield sandbox


@pytest.fixture
def limited(_shared: Sandbox) -> Iterator[Sandbox]:
    """A sandbox which counts every arrival of a known user, and refuses no request."""
    yield _shared
    _shared.clear_faults()


def used(iris: IrisSession, path: str = "/echo") -> int:
    state = iris.quota.state(path)
    return state.limit - state.remaining


class Copying(IrisAdapter):
    """A user's adapter, which sends a copy of the request."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any):
        return super().send(request.copy(), *args, **kwargs)


def busy(sandbox: Sandbox, times: int = 1, **where: Any) -> None:
    sandbox.inject(Fault(status=503, body="busy"), on="api", times=times, **where)


def _get(iris: IrisSession, _: Sandbox) -> None:
    assert iris.get("/echo").ok
    assert iris.post("/echo", json={"a": 1}).ok


def _retries(iris: IrisSession, sandbox: Sandbox) -> None:
    busy(sandbox, 2)
    assert iris.get("/echo").ok
    busy(sandbox, 9)
    assert iris.get("/echo").status_code == 503
    sandbox.clear_faults()


def _broken_bodies(iris: IrisSession, sandbox: Sandbox) -> None:
    sandbox.inject(Fault(truncate=3), on="api", times=2)
    assert iris.get("/echo").ok


def _dropped_connections(iris: IrisSession, sandbox: Sandbox) -> None:
    for drop in ("before", "after"):
        sandbox.inject(Fault(drop=drop), on="api")
        assert iris.get("/echo").ok
    sandbox.inject(Fault(drop="after"), on="api")
    with pytest.raises(requests.ConnectionError):
        iris.post("/echo")


def _read_timeout(iris: IrisSession, sandbox: Sandbox) -> None:
    sandbox.inject(Fault(delay=HUNG), on="api")
    with pytest.raises(requests.ReadTimeout):
        iris.get("/echo", timeout=(HUNG, 0.1))


def _resend(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.fetch_token()
    sandbox.expire_access_tokens()
    assert iris.get("/echo").ok


def _rejected_resends(iris: IrisSession, sandbox: Sandbox) -> None:
    sandbox.inject(Fault(status=401, body="{}"), on="api", times=2)
    assert iris.get("/echo/rejected").status_code == 401


def _retries_of_a_resend(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.fetch_token()
    busy(sandbox)
    sandbox.inject(Fault(status=401, body="{}"), on="api")
    busy(sandbox)
    assert iris.get("/echo").ok


def _redirects(iris: IrisSession, sandbox: Sandbox) -> None:
    assert iris.get(redirect(sandbox, redirect(sandbox, f"{sandbox.base_url}/echo"))).ok
    busy(sandbox, path="/echo")
    assert iris.get(redirect(sandbox, "/echo")).ok
    assert iris.get(redirect(sandbox, "/echo"), allow_redirects=False).status_code == 302


def _redirects_over_other_hosts(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.get(redirect(sandbox, f"{sandbox.foreign_url}/echo"))
    iris.get(redirect(sandbox, f"{sandbox.base_url}/echo", via="foreign"))


def _other_hosts_and_tokens(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.get(f"{sandbox.foreign_url}/echo")
    iris.fetch_token()
    iris.refresh_token()


def _own_authentication(iris: IrisSession, _: Sandbox) -> None:
    iris.get("/echo", auth=("me", "mine"))
    iris.get("/echo", headers={"Authorization": "Bearer mine"})
    iris.get("/echo", withhold_token=True)


def _walk(iris: IrisSession, sandbox: Sandbox) -> None:
    assert len(list(iris.items(f"{FLEET}/1"))) == 250
    options = {"method": "POST", "json": EVENTS_BODY, "params": {"size": 50}}
    assert len(list(iris.items(EVENTS, **options))) == 250
    year = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)
    assert list(iris.series(sandbox.asset_ids[0], "Distance", *year))
    assert list(iris.series(sandbox.asset_ids[0], "Distance", *year, max_workers=3))


def _walk_with_workers_and_faults(iris: IrisSession, sandbox: Sandbox) -> None:
    busy(sandbox, 2, path=f"{FLEET}/2")
    sandbox.inject(Fault(truncate=3), on="api", path=f"{FLEET}/3")
    assert len(list(iris.items(f"{FLEET}/1", max_workers=3))) == 250
    assert len(list(iris.items(ASSETS, max_workers=3, params={"size": 20}))) == 250


def _bearer(iris: IrisSession, sandbox: Sandbox) -> None:
    with requests.Session() as plain:
        plain.verify, plain.auth = sandbox.ca_file, iris.bearer
        assert plain.get(f"{sandbox.base_url}/echo").ok
        sandbox.expire_access_tokens()
        assert plain.get(f"{sandbox.base_url}/echo").ok
        assert plain.get(f"{sandbox.foreign_url}/echo").ok


def _bearer_as_auth(iris: IrisSession, _: Sandbox) -> None:
    assert iris.get("/echo", auth=iris.bearer).ok


def _mounted_adapters(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.mount(sandbox.base_url, HTTPAdapter())
    sandbox.expire_access_tokens()
    assert iris.get("/echo").ok
    copying = Copying(
        origins=frozenset([sandbox.base_url]),
        token_url=sandbox.token_url,
        sign_anew=lambda _: None,
        clock=iris.clock,
    )
    iris.mount(sandbox.base_url, copying)
    busy(sandbox)
    iris.get("/echo")


def _adapter_of_another_session(iris: IrisSession, sandbox: Sandbox) -> None:
    with requests.Session() as plain:
        plain.verify, plain.auth = sandbox.ca_file, iris.bearer
        plain.mount("https://", iris.adapters["https://"])
        plain.get(f"{sandbox.base_url}/echo")


def _prepared_requests(iris: IrisSession, sandbox: Sandbox) -> None:
    request = requests.Request("GET", f"{sandbox.base_url}/echo")
    for prepared in (request.prepare(), iris.prepare_request(request)):
        assert iris.send(prepared).ok
        assert iris.send(prepared).ok


def _requests_in_hooks(iris: IrisSession, sandbox: Sandbox) -> None:
    def hook(response: requests.Response, **_: Any) -> None:
        if response.request.body == b"outer":
            busy(sandbox)
            assert iris.get("/echo").ok
            with requests.Session() as plain:
                plain.verify, plain.auth = sandbox.ca_file, iris.bearer
                plain.mount("https://", iris.adapters["https://"])
                assert plain.get(f"{sandbox.base_url}/echo").ok

    assert iris.put("/echo", data=b"outer", hooks={"response": hook}).ok


def _verbs(iris: IrisSession, _: Sandbox) -> None:
    for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"):
        assert iris.request(method, "/echo").status_code < 500


def _errors_of_hooks_and_auth(iris: IrisSession, sandbox: Sandbox) -> None:
    def fail(*_: Any, **__: Any) -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{closed.getsockname()[1]}")
        raise ValueError

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # refuses connections, because nothing listens
        for work in (fail, interrupt):
            with pytest.raises((ValueError, KeyboardInterrupt)):
                iris.get("/echo", hooks={"response": work})
            with pytest.raises((ValueError, KeyboardInterrupt)):
                iris.get("/echo", auth=work)


def _interrupts(iris: IrisSession, sandbox: Sandbox) -> None:
    class Interrupting(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any):
            super().send(*args, **kwargs)
            raise KeyboardInterrupt

    before = iris.get_adapter(sandbox.base_url)
    iris.mount(sandbox.base_url, Interrupting())
    with pytest.raises(KeyboardInterrupt):
        iris.get("/echo")
    iris.mount(sandbox.base_url, before)


def _mixin(iris: IrisSession, sandbox: Sandbox) -> None:
    class Twice(IrisSession):
        def send(self, request: requests.PreparedRequest, **kwargs: Any):
            super().send(request, **kwargs)
            return super().send(request, **kwargs)

    other = copy.copy(iris)
    other.__class__ = Twice
    with other:
        assert other.get("/echo").ok


def _bearer_of_verbs(iris: IrisSession, sandbox: Sandbox) -> None:
    with requests.Session() as plain:
        plain.verify = sandbox.ca_file
        for method in ("GET", "HEAD", "POST"):
            assert plain.request(method, f"{sandbox.base_url}/echo", auth=iris.bearer).ok


def _streams(iris: IrisSession, sandbox: Sandbox) -> None:
    busy(sandbox)
    with iris.get("/echo", stream=True) as response:
        assert response.json()["method"] == "GET"
    iris.get("/echo", stream=True).close()


def _threads(iris: IrisSession, sandbox: Sandbox) -> None:
    busy(sandbox, 3)
    with ThreadPoolExecutor(8) as pool:
        assert all(reply.ok for reply in pool.map(iris.get, ["/echo"] * 16))
    with FuturesSession(session=iris) as futures:
        assert futures.get(f"{sandbox.base_url}/echo").result().ok


def _copies(iris: IrisSession, sandbox: Sandbox) -> None:
    with copy.copy(iris) as other:
        assert other.get("/echo").ok


WORKS = {
    work.__name__.strip("_").replace("_", " "): work
    for work in (
        *(_get, _retries, _broken_bodies, _dropped_connections, _read_timeout, _resend),
        *(_rejected_resends, _retries_of_a_resend, _redirects, _redirects_over_other_hosts),
        *(_other_hosts_and_tokens, _own_authentication, _walk, _walk_with_workers_and_faults),
        *(_bearer, _bearer_as_auth, _mounted_adapters, _adapter_of_another_session),
        *(_prepared_requests, _requests_in_hooks, _streams, _threads, _copies, _verbs),
        *(_errors_of_hooks_and_auth, _interrupts, _mixin, _bearer_of_verbs),
    )
}


@pytest.mark.parametrize("name", WORKS)
def test_every_attempt_that_leaves_the_machine_takes_one_slot(session, limited, name) -> None:
    check(session(limited, PLENTY), limited, WORKS[name])


@pytest.mark.parametrize("place", ["file", "redis"], indirect=True)
def test_every_attempt_takes_one_slot_of_a_shared_store(session, limited, place) -> None:
    for work in WORKS.values():
        if work is not _walk:  # the slowest
            check(session(limited, PLENTY, at=place), limited, work)


def check(iris: IrisSession, limited: Sandbox, work: Callable[..., None]) -> None:
    seen, taken = limited.quota_counts["all"].granted, used(iris)
    work(iris, limited)
    limited.clear_faults()
    taken = used(iris) - taken
    # after a read timeout the request may still be on its way into the sandbox
    wait_until(lambda: limited.quota_counts["all"].granted - seen >= taken)
    assert limited.quota_counts["all"].granted - seen == taken, work
