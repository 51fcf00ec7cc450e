"""TLS contexts are shared among the connections to our hosts, and all else is as in requests."""

from __future__ import annotations

import gc
import os
import shutil
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning

from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox
from requests_iris.tls import SharedContexts, TlsFiles

from .conftest import skip_pauses
from .support.servers import echo_server, proxy
from .support.waiting import HUNG

#: For sessions that need not sign in.
TOKEN = {"access_token": "saved"}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple]:
    """What contexts have loaded since: the arguments, and how often they came."""
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
    """Requests that overlap, so that each needs a connection."""
    barrier = Barrier(connections, timeout=HUNG)

    def get(_: int) -> None:
        barrier.wait()
        with session.get(url, stream=True) as response:
            barrier.wait()
            assert response.json()["method"] == "GET"

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(get, range(connections)))


def connections(sandbox: Sandbox, server: str) -> int:
    return len({seen.connection_id for seen in sandbox.seen if seen.server == server})


class TestSharing:
    def test_all_connections_of_api_and_token_host_have_one(self, iris, sandbox, loads) -> None:
        get_at_once(iris, "/echo", 8)
        assert connections(sandbox, "api") == 8
        assert loads == {(sandbox.ca_file, None): 1}

    def test_threads_that_start_together_make_one(self, loads) -> None:
        contexts, files = SharedContexts(), TlsFiles(ca_certs=requests.certs.where())
        barrier = Barrier(8, timeout=HUNG)

        def context(_: int) -> ssl.SSLContext:
            barrier.wait()
            return contexts.make("a setting", files).context

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(context, range(8)))) == 1
        assert loads == {(files.ca_certs, None): 1}

    def test_one_that_is_there_waits_for_none_that_is_being_made(self, wrong_ca) -> None:
        contexts, files = SharedContexts(), TlsFiles(ca_certs=wrong_ca)
        made = contexts.make("a setting", files)
        with ThreadPoolExecutor(1) as pool, contexts._lock:
            assert pool.submit(contexts.find, "a setting").result(30) is made

    def test_those_of_other_hosts_have_their_own_as_in_requests(self, iris, sandbox, loads) -> None:
        get_at_once(iris, f"{sandbox.foreign_url}/echo", 4)
        assert loads == {(sandbox.ca_file, None): 4}

    def test_so_have_those_of_a_callers_adapter(self, iris, sandbox, loads) -> None:
        iris.fetch_token()
        iris.mount("https://", HTTPAdapter())
        loads.clear()
        get_at_once(iris, "/echo", 4)
        assert loads == {(sandbox.ca_file, None): 4}

    def test_a_context_in_use_is_not_configured(self, iris, sandbox, monkeypatch) -> None:
        configured = Counter()
        for name in ("set_alpn_protocols", "load_cert_chain", "set_ciphers"):
            method = getattr(ssl.SSLContext, name)

            def counting(context, *arguments, name=name, method=method):
                configured[name] += 1
                return method(context, *arguments)

            monkeypatch.setattr(ssl.SSLContext, name, counting)
        get_at_once(iris, "/echo", 4)
        assert configured == {"set_alpn_protocols": 1}

    def test_it_is_set_up_as_urllib3_does_it(self, iris, sandbox, monkeypatch) -> None:
        """With the same versions, options, verification and ALPN as a connection of requests."""
        ours = self.context_of(iris, f"{sandbox.base_url}/echo")
        theirs = self.context_of(iris, f"{sandbox.foreign_url}/echo")
        assert ours is not theirs
        for name in ("minimum_version", "maximum_version", "options", "verify_mode"):
            assert getattr(ours, name) == getattr(theirs, name)
        for name in ("check_hostname", "verify_flags", "hostname_checks_common_name"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.get_ca_certs() == theirs.get_ca_certs()
        assert ours.verify_mode == ssl.CERT_REQUIRED
        assert ours.check_hostname

    def context_of(self, session: requests.Session, url: str) -> ssl.SSLContext:
        with session.get(url, stream=True) as response:
            return response.raw.connection.sock.context

    def test_alpn_is_offered(self) -> None:
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        tls.set_alpn_protocols(["http/1.1"])
        with echo_server(tls) as url, IrisSession(token=TOKEN, base_url=url) as iris:
            with authority.cert_pem.tempfile() as iris.verify:
                response = iris.get("/echo", stream=True)
            assert response.raw.connection.sock.selected_alpn_protocol() == "http/1.1"
            response.close()


class TestVerify:
    def test_false_verifies_nothing_and_warns(self, iris, sandbox) -> None:
        iris.verify = False
        with pytest.warns(InsecureRequestWarning):
            assert iris.get("/echo").ok

    def test_false_weakens_no_other_call(self, iris, sandbox, wrong_ca) -> None:
        with pytest.warns(InsecureRequestWarning):
            assert iris.get("/echo", verify=False).ok
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=wrong_ca)
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=True)
        assert iris.get("/echo").ok

    def test_true_is_the_bundle_of_requests(self, iris, sandbox, loads) -> None:
        iris.fetch_token()
        loads.clear()
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            iris.get("/echo", verify=True)
        assert loads == {(requests.certs.where(), None): 1}

    def test_a_directory(self, iris, sandbox, loads, tmp_path) -> None:
        iris.fetch_token()
        loads.clear()
        places = [tmp_path / "one", tmp_path / "two"]
        for place in places:
            place.mkdir()
            with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
                iris.get("/echo", verify=str(place))
        assert loads == {(None, str(place)): 1 for place in places}

    def test_a_variable_that_is_set_later(self, sandbox, monkeypatch, wrong_ca) -> None:
        with IrisSession(**sandbox.settings) as iris:
            skip_pauses(iris)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", wrong_ca)
            with pytest.raises(requests.RequestException, match="SSLError"):
                iris.get("/echo")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
            assert iris.get("/echo").ok

    def test_a_file_that_is_replaced(self, iris, sandbox, wrong_ca, tmp_path) -> None:
        iris.fetch_token()
        bundle = tmp_path / "bundle.pem"
        for source, good in ((wrong_ca, False), (sandbox.ca_file, True), (wrong_ca, False)):
            shutil.copyfile(source, tmp_path / "new")
            os.replace(tmp_path / "new", bundle)
            iris.close()  # connections that are there stay, as in requests
            if good:
                assert iris.get("/echo", verify=str(bundle)).ok
            else:
                with pytest.raises(requests.exceptions.SSLError):
                    iris.get("/echo", verify=str(bundle))

    def test_a_file_that_is_gone(self, iris, sandbox, tmp_path) -> None:
        """Even for a connection that is there, as in requests."""
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(Path(sandbox.ca_file).read_bytes())
        assert iris.get("/echo", verify=str(bundle)).ok
        bundle.unlink()
        with pytest.raises(OSError, match=f"CA certificate bundle, invalid path: {bundle}"):
            iris.get("/echo", verify=str(bundle))

    @pytest.mark.parametrize("text", ["new", "longer"], ids=["as long", "longer"])
    @pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "written over"])
    @pytest.mark.parametrize("newer", [True, False], ids=["newer", "of the same time"])
    def test_a_file_that_is_another_one(self, tmp_path, text, replaced, newer) -> None:
        """Only one written over, as long and of the same time, cannot be told."""
        bundle = tmp_path / "bundle.pem"
        bundle.write_text("old")
        files = TlsFiles(ca_certs=str(bundle))
        before, time = files.versions, bundle.stat().st_mtime_ns
        written = tmp_path / "new" if replaced else bundle
        written.write_text(text)
        os.utime(written, ns=(time, time + newer * 10**9))
        os.replace(written, bundle)
        assert (files.versions != before) == (text == "longer" or replaced or newer)

    def test_replacing_it_time_and_again_fills_no_memory(self, tmp_path, wrong_ca) -> None:
        contexts, bundle = SharedContexts(), tmp_path / "bundle.pem"
        for number in range(10):
            bundle.write_text(Path(wrong_ca).read_text() + "#" * number)
            contexts.make("a setting", TlsFiles(ca_certs=str(bundle)))
        assert len(contexts._held) == 1

    def test_a_name_that_the_certificate_does_not_have(self) -> None:
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


class TestFilesThatAreWrong:
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
    def test_because_they_are_not_there(self, error, settings) -> None:
        assert isinstance(error(**settings), OSError)

    def test_because_they_hold_something_else(self, error, tmp_path) -> None:
        (tmp_path / "bad").write_text("no certificate")
        bad = str(tmp_path / "bad")
        assert isinstance(error(verify=bad), requests.exceptions.SSLError)
        error(cert=bad)
        error(cert=(bad, bad))

    def test_because_the_key_is_encrypted(self, error, tmp_path) -> None:
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

    def test_for_a_time(self, iris, sandbox, tmp_path) -> None:
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
        """With a server that asks for one, of an authority of its own."""
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

    def test_in_one_file(self, iris, certificate, loads) -> None:
        with certificate.private_key_and_cert_chain_pem.tempfile() as path:
            assert iris.get("/echo", cert=path).ok
            iris.close()
            assert iris.get("/echo", cert=path).ok
        assert loads[iris.verify, None] == 1

    def test_in_two_files(self, iris, certificate) -> None:
        with ExitStack() as stack:
            cert = stack.enter_context(certificate.cert_chain_pems[0].tempfile())
            key = stack.enter_context(certificate.private_key_pem.tempfile())
            iris.cert = (cert, key)
            assert iris.get("/echo").ok
            wrong = stack.enter_context(self.authority.issue_cert("x").private_key_pem.tempfile())
            with pytest.raises(requests.ConnectionError):
                iris.get("/echo", cert=(cert, wrong))

    def test_go_with_no_other_call(self, iris, certificate) -> None:
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
    def test_by_http_contexts_are_shared(self, iris, sandbox, loads) -> None:
        with proxy() as url:
            iris.proxies = {"https": url}
            get_at_once(iris, "/echo", 4)
            iris.close()
        assert connections(sandbox, "api") == 4
        assert loads == {(sandbox.ca_file, None): 1}

    def test_one_that_is_reached_by_tls_is_verified(self, iris, sandbox, tmp_path) -> None:
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


def test_contexts_go_with_their_session(sandbox: Sandbox) -> None:
    with IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        iris.get("/echo")
        contexts = [held.context for held in iris.adapters["https://"]._contexts._held.values()]
        assert len(contexts) == 1
    del iris
    gc.collect()
    assert len(gc.get_referrers(contexts[0])) == 1
