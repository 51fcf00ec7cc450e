"""The adapter in its session: where it is mounted, its pool, its copies, and its forks."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import warnings

import pytest
import requests
from requests.adapters import HTTPAdapter

from requests_iris import IrisSession, SettingError
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.transport import IrisAdapter

from .test_retry import with_clock
from .test_tls import get_at_once

THREADS = 32

copies = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))],
    ids=["copy", "deepcopy", "pickle"],
)


class TestMounting:
    def test_it_stands_where_requests_own_stands(self) -> None:
        adapters = IrisSession().adapters
        assert list(adapters) == list(requests.Session().adapters)
        assert [type(adapter) for adapter in adapters.values()] == [IrisAdapter, HTTPAdapter]

    def test_a_loopback_host_by_http_has_it_too(self) -> None:
        adapters = IrisSession(allowed_hosts=["http://127.0.0.1:8080"]).adapters
        assert list(adapters) == list(requests.Session().adapters)
        assert {type(adapter) for adapter in adapters.values()} == {IrisAdapter}
        assert len(set(adapters.values())) == 2  # each is closed once

    def test_an_adapter_mounted_later_wins(self, iris, sandbox) -> None:
        iris.mount("https://", HTTPAdapter())
        sandbox.inject(Fault(status=503), on="api")
        assert iris.get("/echo").status_code == 503

    def test_two_sessions_that_share_it_have_their_own_tokens(self, iris, sandbox) -> None:
        """When it repeats a request, too."""
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

    def test_it_has_one_connection_for_each_thread(self, iris, sandbox) -> None:
        self.waves(iris, "/echo")
        assert sandbox.count("api") == THREADS * 3
        assert self.connections(sandbox) <= THREADS

    def test_which_requests_has_not(self, iris, sandbox) -> None:
        """So we know that the test above can fail."""
        iris.fetch_token()
        iris.mount("https://", HTTPAdapter())
        self.waves(iris, "/echo")
        assert self.connections(sandbox) > THREADS

    def test_its_size_can_be_set(self, sandbox) -> None:
        with IrisSession(**sandbox.settings, pool_maxsize=3) as iris:
            iris.verify = sandbox.ca_file
            self.waves(iris, "/echo")
        assert self.connections(sandbox) > THREADS

    @pytest.mark.parametrize("pool_maxsize", [0, -1, "8", 2.5, None])
    def test_bad_sizes_are_refused(self, pool_maxsize) -> None:
        with pytest.raises(SettingError, match="pool_maxsize") as caught:
            IrisSession(pool_maxsize=pool_maxsize)
        assert caught.value.setting == "pool_maxsize"

    def test_pools_of_other_hosts_have_requests_own(self, iris, sandbox) -> None:
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
    def test_they_keep_the_settings(self, sandbox, copied) -> None:
        with IrisSession(**sandbox.settings, retry=1, pool_maxsize=7) as iris:
            iris.verify = sandbox.ca_file
            with_clock(iris)
            iris.get("/echo")
            with copied(iris) as other:
                sandbox.inject(Fault(status=503), on="api", times=9)
                assert other.get("/echo").status_code == 503
                assert len(other.get_adapter("https://")._clock.pauses) == 1
                request = requests.Request("GET", sandbox.base_url).prepare()
                pool = other.get_adapter("https://").get_connection_with_tls_context(request, True)
                assert pool.pool.maxsize == 7

    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))]
    )
    def test_they_sign_with_their_own_tokens(self, iris, sandbox, copied) -> None:
        iris.get("/echo")
        with copied(iris) as other:
            with_clock(other)
            other.token = {"access_token": "of-the-copy"}
            other.fetch_token()
            sandbox.forget()
            sandbox.inject(Fault(status=503, headers={"Retry-After": "1"}), on="api")
            assert other.get("/echo").ok
            assert other.access_token != iris.access_token
        headers = {seen.headers["Authorization"] for seen in sandbox.seen}
        assert headers == {f"Bearer {other.access_token}"}

    def test_they_have_connections_and_contexts_of_their_own(self, iris, sandbox) -> None:
        iris.get("/echo")
        with pickle.loads(pickle.dumps(iris)) as other:
            assert other.adapters["https://"]._contexts._held == {}
            assert other.get("/echo").ok
        seen = [each.connection_id for each in sandbox.seen if each.server == "api"]
        assert len(set(seen)) == 2


class TestForks:
    SCRIPT = """if True:
        import os
        from requests_iris import IrisSession

        iris = IrisSession()
        contexts = iris.get_adapter("https://")._contexts
        assert iris.get("/echo?parent").ok
        contexts._lock.acquire()  # as a thread does that is just making one
        child = os.fork()
        if child == 0:
            assert iris.get_adapter("https://")._contexts is not contexts
            assert iris.get("/echo?child").ok
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert iris.get("/echo?parent").ok
    """

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_child_starts_anew(self, sandbox: Sandbox) -> None:
        environ = {**os.environ, **sandbox.environ}
        subprocess.run([sys.executable, "-c", self.SCRIPT], env=environ, check=True, timeout=60)
        by_query = {"parent": set(), "child": set()}
        for seen in sandbox.seen:
            if seen.server == "api":
                by_query[seen.query].add(seen.connection_id)
        assert len(by_query["parent"]) == len(by_query["child"]) == 1
        assert not by_query["parent"] & by_query["child"]


def test_a_session_that_is_let_go_leaves_no_socket_open(sandbox: Sandbox) -> None:
    iris = IrisSession(**sandbox.settings)
    iris.verify = sandbox.ca_file
    assert iris.get("/echo").ok
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del iris
        gc.collect()
    assert [str(each.message) for each in caught] == []
