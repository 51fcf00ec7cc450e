"""The adapter in its session: mounting, connection pool, copies and forks."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import socket
import subprocess
import sys
import time
import traceback
import warnings
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError, InvalidProxyURL

from requests_iris import IrisSession, SettingError, TokenUnreachableError
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.transport import IrisAdapter

from .support.waiting import HUNG
from .test_retry import RecordingClock
from .test_tls import get_at_once

THREADS = 32

copies = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))],
    ids=["copy", "deepcopy", "pickle"],
)


class TestMounting:
    def test_adapters_are_mounted_where_requests_mounts_its_own(self) -> None:
        adapters = IrisSession().adapters
        assert list(adapters) == list(requests.Session().adapters)
        assert [type(adapter) for adapter in adapters.values()] == [IrisAdapter, HTTPAdapter]

    def test_adapter_for_http_is_mounted_for_a_loopback_host(self) -> None:
        adapters = IrisSession(allowed_hosts=["http://127.0.0.1:8080"]).adapters
        assert list(adapters) == list(requests.Session().adapters)
        assert {type(adapter) for adapter in adapters.values()} == {IrisAdapter}
        assert len(set(adapters.values())) == 2  # each is closed once

    def test_adapter_mounted_later_wins(self, iris, sandbox) -> None:
        iris.mount("https://", HTTPAdapter())
        sandbox.inject(Fault(status=503), on="api")
        assert iris.get("/echo").status_code == 503

    def test_sessions_that_share_an_adapter_retry_with_their_own_tokens(
        self, iris, sandbox
    ) -> None:
        iris.fetch_token()
        with IrisSession(**sandbox.settings) as other:
            other.verify = sandbox.ca_file
            other.mount("https://", iris.get_adapter("https://"))
            other.fetch_token()
            sandbox.inject(Fault(status=503), on="api")
            assert other.get("/echo").ok
        headers = [seen.headers["Authorization"] for seen in sandbox.seen if seen.server == "api"]
        assert headers == [f"Bearer {other.access_token}"] * 2


class TestPool:
    def waves(self, session: requests.Session, url: str) -> None:
        for _ in range(3):
            get_at_once(session, url, THREADS)

    def connections(self, sandbox: Sandbox) -> int:
        return len({seen.connection_id for seen in sandbox.seen if seen.server == "api"})

    def test_pool_keeps_a_connection_per_thread(self, iris, sandbox) -> None:
        self.waves(iris, "/echo")
        assert sandbox.count("api") == THREADS * 3
        assert self.connections(sandbox) <= THREADS

    def test_pool_of_requests_does_not_keep_a_connection_per_thread(self, iris, sandbox) -> None:
        """Shows that the test above can fail."""
        iris.fetch_token()
        iris.mount("https://", HTTPAdapter())
        self.waves(iris, "/echo")
        assert self.connections(sandbox) > THREADS

    def test_pool_maxsize_can_be_set(self, sandbox) -> None:
        with IrisSession(**sandbox.settings, pool_maxsize=3) as iris:
            iris.verify = sandbox.ca_file
            self.waves(iris, "/echo")
        assert self.connections(sandbox) > THREADS

    @pytest.mark.parametrize("pool_maxsize", [0, -1, "8", 2.5, True])
    def test_bad_pool_maxsize_raises_a_setting_error(self, pool_maxsize) -> None:
        with pytest.raises(SettingError, match="pool_maxsize") as caught:
            IrisSession(pool_maxsize=pool_maxsize)
        assert caught.value.setting == "pool_maxsize"

    def test_pools_of_other_hosts_have_the_size_of_requests(self, iris, sandbox) -> None:
        adapter, stock = iris.get_adapter("https://"), HTTPAdapter()
        for url, size in ((sandbox.base_url, 128), (sandbox.token_url, 128)):
            assert self.pool(adapter, url).maxsize == size
        there = self.pool(adapter, sandbox.foreign_url)
        assert there.maxsize == self.pool(stock, sandbox.foreign_url).maxsize

    def pool(self, adapter: HTTPAdapter, url: str):
        request = requests.Request("GET", url).prepare()
        return adapter.get_connection_with_tls_context(request, True).pool


class TestCopies:
    @copies
    def test_copies_keep_the_settings(self, sandbox, copied) -> None:
        clock = RecordingClock()
        with IrisSession(**sandbox.settings, retry=1, pool_maxsize=7, clock=clock) as iris:
            iris.verify = sandbox.ca_file
            iris.get("/echo")
            with copied(iris) as other:
                fault = Fault(status=503, headers={"Retry-After": str(HUNG)})
                sandbox.inject(fault, on="api", times=9)
                start = time.monotonic()
                assert other.get("/echo").status_code == 503
                assert sandbox.count("api", 503) == 2
                assert time.monotonic() - start < HUNG  # the pause was skipped
                request = requests.Request("GET", sandbox.base_url).prepare()
                pool = other.get_adapter("https://").get_connection_with_tls_context(request, True)
                assert pool.pool.maxsize == 7

    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))]
    )
    def test_copies_sign_retries_with_their_own_tokens(self, iris, sandbox, copied) -> None:
        iris.get("/echo")
        with copied(iris) as other:
            other.token = {"access_token": "of-the-copy"}
            other.fetch_token()
            sandbox.forget()
            sandbox.inject(Fault(status=503, headers={"Retry-After": "1"}), on="api")
            assert other.get("/echo").ok
            assert other.access_token != iris.access_token
        headers = {seen.headers["Authorization"] for seen in sandbox.seen}
        assert headers == {f"Bearer {other.access_token}"}

    def test_copies_have_connections_of_their_own(self, iris, sandbox) -> None:
        iris.get("/echo")
        with pickle.loads(pickle.dumps(iris)) as other:
            assert other.get("/echo").ok
        seen = [each.connection_id for each in sandbox.seen if each.server == "api"]
        assert len(set(seen)) == 2


class TestForks:
    SCRIPT = """if True:
        import os, ssl, threading
        from requests_iris import IrisSession

        load = ssl.SSLContext.load_verify_locations
        reading, finish = threading.Event(), threading.Event()

        def waiting(*arguments):
            reading.set()
            assert finish.wait(60)
            load(*arguments)

        ssl.SSLContext.load_verify_locations = waiting
        iris = IrisSession(token={"access_token": os.environ.pop("TOKEN")})
        thread = threading.Thread(target=iris.get, args=["/echo?parent"])
        thread.start()
        assert reading.wait(60)  # the thread is making a context, so it holds a lock
        child = os.fork()
        if child == 0:
            ssl.SSLContext.load_verify_locations = load
            assert iris.get("/echo?child").ok
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        finish.set()
        thread.join()
        assert iris.get("/echo?parent").ok
    """

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_has_connections_and_locks_of_its_own(self, sandbox: Sandbox) -> None:
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            environ = {**os.environ, **sandbox.environ, "TOKEN": iris.fetch_token()["access_token"]}
        subprocess.run([sys.executable, "-c", self.SCRIPT], env=environ, check=True, timeout=60)
        by_query = {"parent": set(), "child": set()}
        for seen in sandbox.seen:
            if seen.server == "api":
                by_query[seen.query].add(seen.connection_id)
        assert len(by_query["parent"]) == len(by_query["child"]) == 1
        assert not by_query["parent"] & by_query["child"]


def test_session_that_is_forgotten_leaves_no_socket_open(sandbox: Sandbox) -> None:
    iris = IrisSession(**sandbox.settings)
    iris.verify = sandbox.ca_file
    assert iris.get("/echo").ok
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del iris
        gc.collect()
    assert [str(each.message) for each in caught] == []


UNREADABLE = {
    "#": "http://worker:hunter2#x@proxy.example:3128",
    "?": "http://worker:hunter2?x@proxy.example:3128",
    "/": "http://worker:hunter2/x@proxy.example:3128",
    "number before #": "http://worker:31#hunter2@proxy.example:3128",
    "port": "http://worker:hunter2@proxy.example:99999",
    "no host": "http://worker:hunter2@",
    "half an IPv6 address": "http://worker:hunter2@[::1",
    "space": "http://worker:hunter2@pro xy:3128",
}


class TestMalformedProxy:
    """requests' own errors show the part of the URL that requests cannot read."""

    @pytest.mark.parametrize("name", UNREADABLE)
    @pytest.mark.parametrize("place", ["session", "call", "variable"])
    def test_error_says_what_to_do_and_shows_no_password(
        self, name: str, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxies = {"https": UNREADABLE[name]}
        iris = IrisSession("client", token={"access_token": "a-token"})
        if place == "session":
            iris.proxies = proxies
        elif place == "variable":
            monkeypatch.setenv("HTTPS_PROXY", UNREADABLE[name])
        with pytest.raises(InvalidProxyURL) as caught:
            iris.get("/x", proxies=proxies if place == "call" else None)
        assert str(caught.value) == (
            "The URL of the proxy for iris.trackunit.com:443 is malformed. Percent-encode special "
            "characters in the user and the password, such as %23 for #"
        )
        assert caught.value.request.url == "https://iris.trackunit.com/x"
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("name", UNREADABLE)
    def test_error_of_a_token_request_shows_no_password(self, name: str) -> None:
        iris = IrisSession("client", client_secret="s", username="u", password="p", retry=0)
        iris.proxies = {"https": UNREADABLE[name]}
        with pytest.raises(TokenUnreachableError, match=r"\(InvalidProxyURL\)") as caught:
            iris.get("/x")
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    def test_encoded_password_reaches_the_proxy(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as proxy:
            iris = IrisSession("client", token={"access_token": "a-token"}, retry=0)
            address = f"127.0.0.1:{proxy.getsockname()[1]}"
            iris.proxies = {"https": f"http://worker:hunter%232%40@{address}"}
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(iris.get, "/x", timeout=HUNG)
                connection, _ = proxy.accept()
                with connection, connection.makefile("rb") as lines:
                    head = b"".join(iter(lines.readline, b"\r\n"))
                with pytest.raises(ConnectionError):
                    waiting.result(HUNG)
        assert b"Basic " + b64encode(b"worker:hunter#2@") in head
