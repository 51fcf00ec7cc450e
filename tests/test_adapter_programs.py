"""Changes of a program to requests, urllib3 or ssl have the same effect on an IrisSession.

Each test also runs with a plain session.
"""

from __future__ import annotations

import copy
import pickle
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
import urllib3
from requests.adapters import HTTPAdapter
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.adapters.ssl import SSLAdapter
from urllib3 import connection as urllib3_connection
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util import ssl_

from requests_iris import IrisSession
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.transport import IrisAdapter

from .support.clocks import SkippingClock
from .support.servers import echo_server, proxy
from .test_tls import TOKEN, context_of

Make = Callable[[], requests.Session]
Program = Callable[[pytest.MonkeyPatch, ssl.SSLContext], Any]


@pytest.fixture(params=["plain", "iris"])
def make(request, sandbox: Sandbox) -> Make:
    """Makes a signed-in session that trusts only the bundle of requests."""
    with IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        token = iris.fetch_token()
    sandbox.forget()

    def plain() -> requests.Session:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token['access_token']}"
        return session

    def ours() -> requests.Session:
        return IrisSession(**{**sandbox.settings, "token": token}, clock=SkippingClock())

    return plain if request.param == "plain" else ours


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return f"{sandbox.base_url}/echo"


def trusting(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


def connects(session: requests.Session, url: str, **settings: Any) -> bool:
    """Sends a request and closes the connection."""
    with session.get(url, stream=True, **settings) as response:
        return response.ok


def as_pip_system_certs(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    """Wraps two methods, as version 4 of pip-system-certs does."""
    init_poolmanager, cert_verify = HTTPAdapter.init_poolmanager, HTTPAdapter.cert_verify

    def init(self, *arguments, **named):
        init_poolmanager(self, *arguments, **named, ssl_context=context)

    def verify(self, conn, *arguments):
        cert_verify(self, conn, *arguments)
        conn.ca_certs = None

    monkeypatch.setattr(HTTPAdapter, "init_poolmanager", init)
    monkeypatch.setattr(HTTPAdapter, "cert_verify", verify)


def by_pool_manager(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    def init(self, connections, maxsize, block=False):
        self.poolmanager = urllib3.PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=context
        )

    monkeypatch.setattr(HTTPAdapter, "init_poolmanager", init)


def by_pool_key(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    build = HTTPAdapter.build_connection_pool_key_attributes

    def building(self, request, verify, cert=None):
        host, pool = build(self, request, verify, cert)
        return host, {**pool, "ssl_context": context}

    monkeypatch.setattr(HTTPAdapter, "build_connection_pool_key_attributes", building)


def by_pool(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    manager = urllib3.PoolManager(ssl_context=context)

    def get(self, request, verify, proxies=None, cert=None):
        return manager.connection_from_url(request.url)

    monkeypatch.setattr(HTTPAdapter, "get_connection_with_tls_context", get)


def by_cert_verify(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    def verify(self, conn, url, verify, cert):
        conn.conn_kw["ssl_context"] = context
        conn.cert_reqs = "CERT_REQUIRED"

    monkeypatch.setattr(HTTPAdapter, "cert_verify", verify)


def by_connection_class(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    class Mine(HTTPSConnection):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **{**named, "ssl_context": context})

    monkeypatch.setattr(HTTPSConnectionPool, "ConnectionCls", Mine)


def by_connect(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    connect = HTTPSConnection.connect

    def connecting(self):
        self.ssl_context = context
        connect(self)

    monkeypatch.setattr(HTTPSConnection, "connect", connecting)


def by_connections_init(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    init = HTTPSConnection.__init__

    def initializing(self, *arguments, **named):
        init(self, *arguments, **{**named, "ssl_context": context})

    monkeypatch.setattr(HTTPSConnection, "__init__", initializing)


def by_new_contexts(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> None:
    monkeypatch.setattr(urllib3_connection, "create_urllib3_context", lambda **_: context)


PROGRAMS = [
    *(as_pip_system_certs, by_pool_manager, by_pool_key, by_pool, by_cert_verify),
    *(by_connection_class, by_connect, by_connections_init, by_new_contexts),
]


class TestContextsOfPrograms:
    @pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.__name__)
    def test_context_of_a_program_is_used(self, make, url, sandbox, monkeypatch, program) -> None:
        context = trusting(sandbox.ca_file)
        program(monkeypatch, context)
        with make() as session:
            assert context_of(session, url) is context
            assert session.get(url).ok

    @pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.__name__)
    def test_context_of_a_program_that_comes_late_is_used(
        self, make, url, sandbox, monkeypatch, program
    ) -> None:
        """Before, the session connects without the program."""
        if program in (as_pip_system_certs, by_pool_manager):
            pytest.skip("init_poolmanager runs only when an adapter is made")
        context = trusting(sandbox.ca_file)
        with make() as session:
            assert session.get(url, verify=sandbox.ca_file).ok
            session.close()
            program(monkeypatch, context)
            assert context_of(session, url) is context

    def test_context_of_a_proxy_manager_is_used(self, make, url, sandbox, monkeypatch) -> None:
        context, manager_for = trusting(sandbox.ca_file), HTTPAdapter.proxy_manager_for

        def managing(self, *arguments, **named):
            return manager_for(self, *arguments, **named, ssl_context=context)

        monkeypatch.setattr(HTTPAdapter, "proxy_manager_for", managing)
        with proxy() as address, make() as session:
            assert context_of(session, url, proxies={"https": address}) is context

    def test_class_of_contexts_may_be_replaced_at_any_time(
        self, make, url, sandbox, monkeypatch
    ) -> None:
        """As truststore.inject_into_ssl() does."""

        class FromSystem(ssl.SSLContext):
            pass

        with make() as session:
            session.verify = sandbox.ca_file
            assert type(context_of(session, url)) is ssl.SSLContext
            session.close()
            monkeypatch.setattr(ssl_, "SSLContext", FromSystem)
            assert type(context_of(session, url)) is FromSystem

    def test_certificates_that_a_program_adds_to_each_context_count(
        self, make, url, sandbox, monkeypatch
    ) -> None:
        wrap = urllib3_connection.ssl_wrap_socket

        def wrapping(*arguments, ssl_context, **named):
            ssl_context.load_verify_locations(sandbox.ca_file)
            return wrap(*arguments, ssl_context=ssl_context, **named)

        monkeypatch.setattr(urllib3_connection, "ssl_wrap_socket", wrapping)
        with make() as session:
            assert session.get(url).ok

    @pytest.mark.parametrize("owner", [HTTPAdapter, IrisAdapter])
    def test_bundle_that_a_wrapped_cert_verify_sets_is_used(
        self, make, url, sandbox, monkeypatch, owner
    ) -> None:
        cert_verify = owner.cert_verify

        def verify(self, conn, *arguments):
            cert_verify(self, conn, *arguments)
            conn.ca_certs = sandbox.ca_file

        with make() as session:
            adapter = session.get_adapter(url)
            if not isinstance(adapter, owner):
                pytest.skip("requests has another adapter")
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url)
            monkeypatch.setattr(owner, "cert_verify", verify)
            session.close()
            assert session.get(url).ok

    def test_wrapped_cert_verify_can_switch_verification_off(
        self, make, url, sandbox, monkeypatch
    ) -> None:
        cert_verify = HTTPAdapter.cert_verify

        def verify(self, conn, url, verify, cert):
            cert_verify(self, conn, url, False, cert)

        monkeypatch.setattr(HTTPAdapter, "cert_verify", verify)
        with make() as session, pytest.warns(InsecureRequestWarning):
            assert session.get(url).ok

    def test_verify_false_of_a_shared_pool_does_not_outlast_its_call(
        self, make, url, sandbox, monkeypatch
    ) -> None:
        """A program may use the same pool for each value of `verify`."""
        pool = urllib3.PoolManager().connection_from_url(url)
        monkeypatch.setattr(HTTPAdapter, "get_connection_with_tls_context", lambda *_, **__: pool)
        with make() as session, ExitStack() as responses:

            def get(verify: bool | str) -> bool:
                """Leaves the response open, so the next call opens a new connection."""
                return responses.enter_context(session.get(url, stream=True, verify=verify)).ok

            assert get(sandbox.ca_file)
            with pytest.warns(InsecureRequestWarning):
                assert get(False)
            with pytest.raises(requests.exceptions.SSLError):
                get(True)
            assert get(sandbox.ca_file)


class TestConnectionClasses:
    def test_connection_class_of_all_pools_comes_and_goes(
        self, make, url, sandbox, monkeypatch
    ) -> None:
        """VCR replaces the class while a cassette is in use, also for existing pools."""
        opened = []

        class Counting(HTTPSConnection):
            def connect(self):
                opened.append(self.host)
                super().connect()

        with make() as session:
            session.verify = sandbox.ca_file
            with session.get(url, stream=True) as first, monkeypatch.context() as patch:
                assert first.ok
                patch.setattr(HTTPSConnectionPool, "ConnectionCls", Counting)
                assert connects(session, url)
            assert opened == ["127.0.0.1"]
            with session.get(url, stream=True) as first:
                assert first.ok
                assert connects(session, url)
        assert len(opened) <= 2  # urllib3 may open the connection of the program again

    def test_connection_class_of_one_pool_is_used(self, make, url, sandbox) -> None:
        opened = []

        class Counting(HTTPSConnection):
            def connect(self):
                opened.append(self.host)
                super().connect()

        with make() as session:
            session.verify = sandbox.ca_file
            request = requests.Request("GET", url).prepare()
            adapter = session.get_adapter(url)
            pool = adapter.get_connection_with_tls_context(request, sandbox.ca_file)
            pool.ConnectionCls = Counting
            assert session.get(url).ok
        assert opened == ["127.0.0.1"]

    def test_connection_shows_no_context_that_the_program_did_not_set(
        self, make, url, sandbox
    ) -> None:
        with make() as session:
            session.verify = sandbox.ca_file
            with session.get(url, stream=True) as response:
                assert response.raw.connection.ssl_context is None
                assert response.raw.connection.ca_certs == sandbox.ca_file


class TestHostNames:
    @pytest.fixture
    def other_name(self, tmp_path: Path) -> Iterator[tuple[str, str]]:
        """The URL of a server with a certificate for a different name, and the CA bundle."""
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("iris.example").configure_cert(tls)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        with echo_server(tls) as url:
            yield url, str(tmp_path / "ca.pem")

    def test_pool_that_expects_another_name_weakens_no_other_pool(self, other_name) -> None:
        """For a different name, urllib3 switches the check of names off in the context."""
        url, ca_file = other_name
        for expected in ("iris.example", False):
            with IrisSession(token=TOKEN, base_url=url, retry=0) as iris:
                iris.verify = ca_file
                adapter = iris.get_adapter(url)
                adapter.poolmanager.connection_pool_kw["assert_hostname"] = expected
                assert iris.get("/echo").ok
            with (
                IrisSession(token=TOKEN, base_url=url, retry=0) as other,
                pytest.raises(requests.exceptions.SSLError, match="not valid for '127.0.0.1'"),
            ):
                other.get("/echo", verify=ca_file)

    def test_adapter_of_requests_toolbelt_for_host_headers_can_be_mixed_in(
        self, other_name
    ) -> None:
        class Mixed(HostHeaderSSLAdapter, IrisAdapter):
            pass

        url, ca_file = other_name
        with IrisSession(token=TOKEN, base_url=url, retry=0) as iris:
            iris.verify = ca_file
            iris.mount("https://", mixed(Mixed, url))
            assert iris.get("/echo", headers={"Host": "iris.example"}).ok
            with pytest.raises(requests.exceptions.SSLError, match="not valid for '127.0.0.1'"):
                iris.get("/echo")


def mixed(kind: type[IrisAdapter], url: str, **settings: Any) -> IrisAdapter:
    """An adapter of a class with another library's class mixed in."""
    return kind(origins=frozenset([url]), token_url=f"{url}/token", sign_anew=print, **settings)


class WithVersion(SSLAdapter, IrisAdapter):
    """The `__attrs__` of SSLAdapter hide ours."""


class TestMixedAdapters:
    @pytest.mark.parametrize(
        "copied",
        [lambda adapter: adapter, copy.copy, lambda each: pickle.loads(pickle.dumps(each))],
        ids=["itself", "copy", "pickle"],
    )
    def test_adapter_of_requests_toolbelt_for_tls_versions_can_be_mixed_in(
        self, sandbox, url, copied
    ) -> None:
        settings = {"ssl_version": ssl.PROTOCOL_TLSv1_2, "clock": SkippingClock()}
        adapter = copied(mixed(WithVersion, sandbox.base_url, **settings))
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            assert context_of(iris, url).maximum_version != ssl.TLSVersion.TLSv1_2
            iris.mount("https://", adapter)
            sandbox.inject(Fault(status=503), on="api")
            with pytest.warns(match="ssl_version"), iris.get(url, stream=True) as response:
                assert response.raw.connection.sock.version() == "TLSv1.2"
        assert sandbox.count("api", 503) == 1


class TestSendCalls:
    @pytest.mark.parametrize("streamed", [True, False])
    def test_replaced_send_gets_the_call_of_requests(
        self, make, url, sandbox, monkeypatch, streamed
    ) -> None:
        send, seen = HTTPAdapter.send, []

        def sending(self, request, **named):
            seen.append(named)
            return send(self, request, **named)

        monkeypatch.setattr(HTTPAdapter, "send", sending)
        with make() as session:
            session.cert = None
            response = session.get(
                url, stream=streamed, timeout=(5, 60), verify=sandbox.ca_file, proxies={"x": "y"}
            )
        assert response.ok
        (named,) = seen
        assert {**named, "proxies": dict(named["proxies"])} == {
            **{"stream": streamed, "timeout": (5, 60), "verify": sandbox.ca_file, "cert": None},
            **{"proxies": {"x": "y"}},
        }

    def test_replaced_send_gets_each_attempt(self, sandbox, iris, monkeypatch) -> None:
        send, seen = HTTPAdapter.send, []

        def sending(self, request, **named):
            seen.append(request.url)
            return send(self, request, **named)

        iris.fetch_token()
        monkeypatch.setattr(HTTPAdapter, "send", sending)
        sandbox.inject(Fault(status=503), on="api", times=2)
        assert iris.get("/echo").ok
        assert seen == [f"{sandbox.base_url}/echo"] * 3

    def test_replaced_build_response_and_request_url_are_used(
        self, make, url, sandbox, monkeypatch
    ) -> None:
        build, request_url = HTTPAdapter.build_response, HTTPAdapter.request_url

        def building(self, req, resp):
            response = build(self, req, resp)
            response.headers["X-Built"] = "yes"
            return response

        monkeypatch.setattr(HTTPAdapter, "build_response", building)
        monkeypatch.setattr(
            HTTPAdapter, "request_url", lambda *arguments: request_url(*arguments) + "?built"
        )
        with make() as session:
            response = session.get(url, verify=sandbox.ca_file)
        assert response.headers["X-Built"] == "yes"
        assert [seen.query for seen in sandbox.seen if seen.server == "api"] == ["built"]
