"""Connections to the hosts of IRIS share TLS contexts. Everything else of TLS is as in requests."""

from __future__ import annotations

import gc
import os
import shutil
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier, Event

import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util import ssl_

from requests_iris import IrisSession
from requests_iris.connection import MAX_BUNDLES
from requests_iris.sandbox import Sandbox

from .support.clocks import SkippingClock
from .support.servers import echo_server, proxy
from .support.waiting import HUNG

#: A token for sessions without a token endpoint.
TOKEN = {"access_token": "saved"}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple]:
    """Which bundles were read since, and how often."""
    load, loaded = ssl.SSLContext.load_verify_locations, Counter()

    def counting(context, cafile=None, capath=None, cadata=None):
        loaded[cafile, capath] += 1
        return load(context, cafile, capath, cadata)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    return loaded


@pytest.fixture
def wrong_ca(tmp_path: Path) -> str:
    path = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return str(path)


def get_at_once(session: requests.Session, url: str, connections: int) -> None:
    """Sends overlapping requests, each over a new connection."""
    barrier = Barrier(connections, timeout=HUNG)

    def get(_: int) -> None:
        barrier.wait()
        with session.get(url, stream=True) as response:
            barrier.wait()
            assert response.json()["method"] == "GET"

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(get, range(connections)))


def context_of(session: requests.Session, url: str, **settings) -> ssl.SSLContext:
    """The TLS context of the connection of one response."""
    with session.get(url, stream=True, **settings) as response:
        context = response.raw.connection.sock.context
        _ = response.content
        return context


def living_contexts() -> int:
    """TLS contexts in memory, with the contexts of the sandbox."""
    gc.collect()
    return sum(isinstance(each, ssl.SSLContext) for each in gc.get_objects())


def connections(sandbox: Sandbox, server: str) -> int:
    return len({seen.connection_id for seen in sandbox.seen if seen.server == server})


class TestSharing:
    def test_connections_to_api_and_token_host_share_one_context(
        self, iris, sandbox, loads
    ) -> None:
        get_at_once(iris, "/echo", 8)
        assert connections(sandbox, "api") == 8
        assert loads == {(sandbox.ca_file, None): 1}

    def test_sessions_and_threads_that_start_together_read_the_bundle_once(
        self, sandbox, monkeypatch, loads
    ) -> None:
        """Also while the file is read, which takes a while for a large bundle."""
        counting = ssl.SSLContext.load_verify_locations

        def slow(*arguments) -> None:
            time.sleep(0.2)
            counting(*arguments)

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", slow)
        barrier = Barrier(8, timeout=HUNG)

        def get(_: int) -> ssl.SSLContext:
            with IrisSession(**{**sandbox.settings, "token": TOKEN}, retry=0) as iris:
                iris.verify = sandbox.ca_file
                barrier.wait()
                return context_of(iris, "/echo", headers={"Authorization": "mine"})

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(get, range(8)))) == 1
        assert loads == {(sandbox.ca_file, None): 1}

    def test_connection_does_not_wait_for_a_thread_that_reads_another_bundle(
        self, iris, sandbox, monkeypatch, wrong_ca
    ) -> None:
        iris.fetch_token()
        load, reading, finish = ssl.SSLContext.load_verify_locations, Event(), Event()

        def waiting(context, cafile=None, *arguments) -> None:
            if cafile == wrong_ca:
                reading.set()
                assert finish.wait(HUNG)
            load(context, cafile, *arguments)

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", waiting)
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(iris.get, "/echo", verify=wrong_ca)
            try:
                assert reading.wait(HUNG)
                assert iris.get("/echo").ok
            finally:
                finish.set()
            with pytest.raises(requests.exceptions.SSLError):
                slow.result(HUNG)

    def test_other_hosts_have_a_context_per_connection_as_in_requests(
        self, iris, sandbox, loads
    ) -> None:
        get_at_once(iris, f"{sandbox.foreign_url}/echo", 4)
        assert loads == {(sandbox.ca_file, None): 4}

    def test_adapter_of_the_caller_has_a_context_per_connection(self, iris, sandbox, loads) -> None:
        iris.fetch_token()
        iris.mount("https://", HTTPAdapter())
        loads.clear()
        get_at_once(iris, "/echo", 4)
        assert loads == {(sandbox.ca_file, None): 4}

    def test_context_in_use_is_not_configured(self, iris, sandbox, monkeypatch) -> None:
        """ALPN is set once. urllib3 sets ALPN for each connection."""
        configured = Counter()
        for name in ("set_alpn_protocols", "load_cert_chain", "set_ciphers"):
            method = getattr(ssl.SSLContext, name)

            def counting(context, *arguments, name=name, method=method):
                configured[name] += 1
                return method(context, *arguments)

            monkeypatch.setattr(ssl.SSLContext, name, counting)
        get_at_once(iris, "/echo", 4)
        assert configured == {"set_alpn_protocols": 1}

    def test_shared_context_is_configured_as_urllib3_does(self, iris, sandbox) -> None:
        """With the same versions, options, verification and ALPN as a connection of requests."""
        ours = context_of(iris, "/echo")
        theirs = context_of(iris, f"{sandbox.foreign_url}/echo")
        assert ours is not theirs
        for name in ("minimum_version", "maximum_version", "options", "verify_mode"):
            assert getattr(ours, name) == getattr(theirs, name)
        for name in ("check_hostname", "verify_flags", "hostname_checks_common_name"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.get_ca_certs() == theirs.get_ca_certs()
        assert ours.verify_mode == ssl.CERT_REQUIRED
        assert ours.check_hostname

    def test_alpn_is_offered(self) -> None:
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        tls.set_alpn_protocols(["http/1.1"])
        with echo_server(tls) as url, IrisSession(token=TOKEN, base_url=url) as iris:
            with authority.cert_pem.tempfile() as iris.verify:
                response = iris.get("/echo", stream=True)
            assert response.raw.connection.sock.selected_alpn_protocol() == "http/1.1"
            response.close()

    def test_contexts_of_pyopenssl_are_not_shared(self, iris, sandbox, loads, monkeypatch) -> None:
        """pyOpenSSL refuses to configure a context after its first connection."""
        iris.fetch_token()
        iris.close()
        loads.clear()
        monkeypatch.setattr(ssl_, "IS_PYOPENSSL", True)
        get_at_once(iris, "/echo", 4)
        assert loads == {(sandbox.ca_file, None): 4}

    def test_40_bundles_do_not_stay_in_memory(self, iris, sandbox, tmp_path) -> None:
        """A few contexts stay, and one per open connection, as in requests."""
        iris.fetch_token()
        before = living_contexts()
        for number in range(40):
            bundle = tmp_path / f"{number}.pem"
            shutil.copyfile(sandbox.ca_file, bundle)
            assert iris.get("/echo", verify=str(bundle)).ok
        pools = 10  # of urllib3, per adapter
        assert living_contexts() - before <= MAX_BUNDLES + pools
        iris.close()
        assert living_contexts() - before <= MAX_BUNDLES

    def test_bundle_that_is_replaced_time_and_again_does_not_fill_memory(
        self, iris, sandbox, tmp_path
    ) -> None:
        iris.fetch_token()
        before, bundle = living_contexts(), tmp_path / "bundle.pem"
        for number in range(3 * MAX_BUNDLES):
            bundle.write_text(Path(sandbox.ca_file).read_text() + "#" * number)
            iris.close()
            assert iris.get("/echo", verify=str(bundle)).ok
        iris.close()
        assert living_contexts() - before <= MAX_BUNDLES


class TestVerify:
    def test_verify_false_verifies_nothing_and_warns(self, iris, sandbox) -> None:
        iris.verify = False
        with pytest.warns(InsecureRequestWarning):
            assert iris.get("/echo").ok

    def test_verify_false_weakens_no_other_call(self, iris, sandbox, wrong_ca) -> None:
        with pytest.warns(InsecureRequestWarning):
            assert iris.get("/echo", verify=False).ok
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=wrong_ca)
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=True)
        assert iris.get("/echo").ok

    def test_verify_true_is_the_bundle_of_requests(self, iris, sandbox, loads) -> None:
        iris.fetch_token()
        loads.clear()
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=True)
        assert set(loads) <= {(requests.certs.where(), None)}  # or read by an earlier test
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=True)
        assert loads[requests.certs.where(), None] <= 1

    def test_verify_can_be_a_directory(self, iris, sandbox, loads, tmp_path) -> None:
        iris.fetch_token()
        loads.clear()
        places = [tmp_path / "one", tmp_path / "two"]
        for place in places:
            place.mkdir()
            with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
                iris.get("/echo", verify=str(place))
        assert loads == {(None, str(place)): 1 for place in places}

    def test_variable_for_the_bundle_may_be_set_later(self, sandbox, monkeypatch, wrong_ca) -> None:
        with IrisSession(**sandbox.settings, clock=SkippingClock()) as iris:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", wrong_ca)
            with pytest.raises(requests.RequestException, match="SSLError"):
                iris.get("/echo")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
            assert iris.get("/echo").ok

    def test_replaced_file_counts_for_the_next_connection(
        self, iris, sandbox, wrong_ca, tmp_path
    ) -> None:
        iris.fetch_token()
        bundle = tmp_path / "bundle.pem"
        for source, good in ((wrong_ca, False), (sandbox.ca_file, True), (wrong_ca, False)):
            shutil.copyfile(source, tmp_path / "new")
            os.replace(tmp_path / "new", bundle)
            iris.close()  # open connections stay, as in requests
            if good:
                assert iris.get("/echo", verify=str(bundle)).ok
            else:
                with pytest.raises(requests.exceptions.SSLError):
                    iris.get("/echo", verify=str(bundle))

    def test_missing_file_is_an_error_even_for_an_open_connection(
        self, iris, sandbox, tmp_path
    ) -> None:
        """As in requests."""
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(Path(sandbox.ca_file).read_bytes())
        assert iris.get("/echo", verify=str(bundle)).ok
        bundle.unlink()
        with pytest.raises(OSError, match=f"CA certificate bundle, invalid path: {bundle}"):
            iris.get("/echo", verify=str(bundle))

    @pytest.mark.parametrize("comment", ["#2", "#longer"], ids=["as long", "longer"])
    @pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "written over"])
    @pytest.mark.parametrize("newer", [True, False], ids=["newer", "of the same time"])
    def test_changed_file_is_read_again(
        self, iris, sandbox, loads, tmp_path, comment, replaced, newer
    ) -> None:
        """A file of the same inode, size and time cannot be told from the file before."""
        iris.fetch_token()
        bundle, certificates = tmp_path / "bundle.pem", Path(sandbox.ca_file).read_text()
        bundle.write_text(certificates + "#1")
        assert iris.get("/echo", verify=str(bundle)).ok
        time = bundle.stat().st_mtime_ns
        written = tmp_path / "new" if replaced else bundle
        written.write_text(certificates + comment)
        os.utime(written, ns=(time, time + newer * 10**9))
        os.replace(written, bundle)
        iris.close()
        assert iris.get("/echo", verify=str(bundle)).ok
        changed = comment == "#longer" or replaced or newer
        assert loads[str(bundle), None] == (2 if changed else 1)

    def test_certificate_of_another_name_is_rejected(self) -> None:
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("iris.example").configure_cert(tls)
        with echo_server(tls) as url, IrisSession(token=TOKEN, base_url=url) as iris:
            with (
                authority.cert_pem.tempfile() as iris.verify,
                pytest.raises(requests.exceptions.SSLError, match="not valid for '127.0.0.1'"),
            ):
                iris.get("/echo")
            with pytest.warns(InsecureRequestWarning):
                assert iris.get("/echo", verify=False).ok


class TestBadFiles:
    """The same error as in requests, with the same text."""

    @pytest.fixture
    def error(self, iris, sandbox) -> Callable[..., Exception]:
        iris.fetch_token()
        plain = requests.Session()
        plain.verify = sandbox.ca_file

        def error(**settings) -> Exception:
            ours, theirs = self.error_of(iris, **settings), self.error_of(plain, **settings)
            assert type(ours) is type(theirs)
            assert self.gist(ours) == self.gist(theirs)
            return ours

        def error_of(session, **settings) -> Exception:
            with pytest.raises(Exception) as caught:  # noqa: PT011
                session.get(f"{sandbox.base_url}/echo", **settings)
            return caught.value

        self.error_of = error_of
        return error

    def gist(self, error: Exception) -> str:
        return str(error).partition("Caused by")[2] or str(error)

    @pytest.mark.parametrize(
        "settings",
        [
            {"verify": "/not/here"},
            {"cert": "/not/here"},
            {"cert": ("/not/here", "/nor/here")},
        ],
        ids=str,
    )
    def test_missing_files_raise_the_error_of_requests(self, error, settings) -> None:
        assert isinstance(error(**settings), OSError)

    def test_files_without_certificates_raise_the_error_of_requests(self, error, tmp_path) -> None:
        (tmp_path / "bad").write_text("no certificate")
        bad = str(tmp_path / "bad")
        assert isinstance(error(verify=bad), requests.exceptions.SSLError)
        error(cert=bad)
        error(cert=(bad, bad))

    def test_encrypted_key_raises_the_error_of_requests(self, error, tmp_path) -> None:
        certificate = trustme.CA().issue_cert("me@example.org")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert")
        key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
        (tmp_path / "key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"s3cret"),
            )
        )
        cert = (str(tmp_path / "cert"), str(tmp_path / "key"))
        assert "password is required" in str(error(cert=cert))

    def test_bad_bundle_can_be_mended(self, iris, sandbox, tmp_path) -> None:
        iris.fetch_token()
        bundle = tmp_path / "bundle.pem"
        bundle.write_text("not yet written")
        with pytest.raises(requests.exceptions.SSLError):
            iris.get("/echo", verify=str(bundle))
        shutil.copyfile(sandbox.ca_file, bundle)
        assert iris.get("/echo", verify=str(bundle)).ok


class TestClientCertificates:
    @pytest.fixture
    def iris(self) -> Iterator[IrisSession]:
        """A session with a server that asks for a client certificate."""
        self.authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(tls)
        self.authority.configure_trust(tls)
        tls.verify_mode = ssl.CERT_REQUIRED
        with (
            echo_server(tls) as url,
            IrisSession(token=TOKEN, base_url=url, retry=0) as iris,
            self.authority.cert_pem.tempfile() as iris.verify,
        ):
            yield iris

    @pytest.fixture
    def certificate(self, iris) -> trustme.LeafCert:
        return self.authority.issue_cert("me@example.org")

    def test_client_certificate_can_be_one_file(self, iris, certificate, loads) -> None:
        with certificate.private_key_and_cert_chain_pem.tempfile() as path:
            assert iris.get("/echo", cert=path).ok
            iris.close()
            assert iris.get("/echo", cert=path).ok
        assert loads[iris.verify, None] == 2  # a context per connection, as in requests

    def test_client_certificate_can_be_two_files(self, iris, certificate) -> None:
        with ExitStack() as stack:
            cert = stack.enter_context(certificate.cert_chain_pems[0].tempfile())
            key = stack.enter_context(certificate.private_key_pem.tempfile())
            iris.cert = (cert, key)
            assert iris.get("/echo").ok
            wrong = stack.enter_context(self.authority.issue_cert("x").private_key_pem.tempfile())
            with pytest.raises(requests.ConnectionError):
                iris.get("/echo", cert=(cert, wrong))

    def test_client_certificate_is_sent_with_its_own_call_only(self, iris, certificate) -> None:
        with certificate.private_key_and_cert_chain_pem.tempfile() as path:
            assert iris.get("/echo", cert=path).ok
            with pytest.raises(requests.ConnectionError):
                iris.get("/echo")
            stranger = trustme.CA().issue_cert("me@example.org")
            with (
                stranger.private_key_and_cert_chain_pem.tempfile() as other,
                pytest.raises(requests.ConnectionError),
            ):
                iris.get("/echo", cert=other)


class TestProxies:
    def test_connections_through_a_proxy_share_a_context(self, iris, sandbox, loads) -> None:
        with proxy() as url:
            iris.proxies = {"https": url}
            get_at_once(iris, "/echo", 4)
            iris.close()
        assert connections(sandbox, "api") == 4
        assert loads == {(sandbox.ca_file, None): 1}

    def test_proxy_reached_by_tls_is_verified(self, iris, sandbox, tmp_path) -> None:
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        both = tmp_path / "both.pem"
        both.write_bytes(Path(sandbox.ca_file).read_bytes() + authority.cert_pem.bytes())
        iris.fetch_token()
        with proxy(tls) as url:
            iris.proxies = {"https": url}
            assert iris.get("/echo", verify=str(both)).ok
            with pytest.raises(requests.RequestException, match="CERTIFICATE_VERIFY_FAILED"):
                iris.get("/echo", verify=sandbox.ca_file)
            iris.close()
