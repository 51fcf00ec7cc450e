"""The sandbox as a whole: start and end, addresses, connections, and the ledger of requests."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import requests

from requests_iris.sandbox import Fault, Sandbox

from .support.plain_client import PlainClient
from .support.waiting import HUNG, wait_until


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        yield client


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


def free_pair_of_ports() -> int:
    """The first of two neighbours, below the range from which systems choose free ports."""
    for port in range(20_000, 32_000, 2):
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.create_server(("127.0.0.1", port + 1)),
        ):
            return port
    raise AssertionError("no port is free")


class TestLife:
    def test_closing_leaves_no_thread_no_file_and_no_listener(self):
        before = set(threading.enumerate())  # some may be about to end
        with Sandbox() as sandbox, PlainClient(sandbox) as client:
            client.sign_in()
            assert client.get("/echo").ok
            ca_file, there = sandbox.ca_file, address(sandbox.base_url)
        gc.collect()  # what was left open would warn now
        assert set(threading.enumerate()) <= before
        assert not os.path.exists(ca_file)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(there)

    def test_closing_waits_neither_for_a_delay_nor_for_a_trickle(self):
        for fault in (Fault(delay=60), Fault(trickle=60)):
            with Sandbox() as sandbox, ThreadPoolExecutor() as pool, PlainClient(sandbox) as client:
                sandbox.inject(fault, on="foreign")
                waiting = pool.submit(client.get, sandbox.foreign_url)
                wait_until(lambda sandbox=sandbox: sandbox.count("foreign") == 1)
                started = time.monotonic()
                sandbox.close()
                assert time.monotonic() - started < 30
                with pytest.raises(requests.RequestException):
                    waiting.result()

    def test_closing_hangs_up_on_a_client_that_never_shakes_hands(self):
        with Sandbox() as sandbox:
            client = socket.create_connection(address(sandbox.base_url), timeout=HUNG)
        with client, suppress(ConnectionResetError):
            assert client.recv(1) == b""

    def test_sandbox_can_be_closed_twice_and_started_again(self):
        sandbox = Sandbox()
        for _ in range(2):
            sandbox.start()
            with PlainClient(sandbox) as client:
                assert client.ask_by_password().ok
            sandbox.close()
            sandbox.close()

    def test_sandbox_has_no_url_before_start_and_starts_only_once(self):
        sandbox = Sandbox()
        with pytest.raises(RuntimeError, match="start"):
            _ = sandbox.base_url
        with sandbox, pytest.raises(RuntimeError, match="already"):
            sandbox.start()

    def test_a_port_that_is_taken_is_an_oserror_and_leaves_nothing_behind(self):
        before = set(threading.enumerate())
        with socket.create_server(("127.0.0.1", 0)) as taken:
            # the API would get the port before, and is up already when the token server fails
            sandbox = Sandbox(port=taken.getsockname()[1] - 1)
            with pytest.raises(OSError, match="in use"):
                sandbox.start()
        assert set(threading.enumerate()) <= before

    def test_a_port_can_be_chosen(self):
        port = free_pair_of_ports()
        with Sandbox(port=port) as sandbox:
            assert sandbox.base_url == f"https://127.0.0.1:{port}"
            assert sandbox.token_url == f"https://127.0.0.1:{port + 1}/token"

    def test_two_sandboxes_share_nothing(self):
        with Sandbox() as one, Sandbox() as other, PlainClient(one) as client:
            client.sign_in()
            assert not set(one.settings.values()) & set(other.settings.values())
            assert other.seen == ()
            assert not os.path.samefile(one.ca_file, other.ca_file)


class TestAddress:
    def test_the_certificate_is_good_for_every_name_of_loopback(self, sandbox, client):
        port = address(sandbox.foreign_url)[1]
        assert client.get(f"https://localhost:{port}/").ok
        context = ssl.create_default_context(cafile=sandbox.ca_file)
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="::1"),
        ):
            pass

    def test_no_client_trusts_the_sandbox_without_the_ca_file(self, sandbox):
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(sandbox.base_url, timeout=10)

    def test_sandbox_speaks_no_plain_http(self, sandbox):
        with pytest.raises(requests.ConnectionError):
            requests.get(sandbox.base_url.replace("https", "http"), timeout=10)

    def test_the_three_servers_are_three_origins(self, sandbox):
        urls = sandbox.base_url, sandbox.token_url, sandbox.foreign_url
        assert len({address(url)[1] for url in urls}) == 3

    @pytest.mark.parametrize(
        ("name", "before", "after"),
        [
            ("no_proxy", "example.org", "127.0.0.1,example.org"),
            ("NO_PROXY", "example.org", "127.0.0.1,example.org"),
            ("no_proxy", "", "127.0.0.1"),
        ],
    )
    def test_settings_and_environ_say_the_same(self, sandbox, monkeypatch, name, before, after):
        """The environment keeps the hosts that already need no proxy."""
        for each in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(each, raising=False)
        monkeypatch.setenv(name, before)
        variables = {name: f"TRACKUNIT_{name.upper()}" for name in sandbox.settings}
        assert sandbox.environ == {
            **{variables[name]: value for name, value in sandbox.settings.items()},
            "REQUESTS_CA_BUNDLE": sandbox.ca_file,
            "no_proxy": after,
        }

    def test_credentials_can_be_given(self):
        given = dict(client_id="id", client_secret="", username="me", password="it's")
        with Sandbox(**given) as sandbox:
            assert given.items() <= sandbox.settings.items()


class TestConnections:
    def test_connections_are_kept_alive(self, sandbox, client):
        for _ in range(3):
            client.get(sandbox.foreign_url)
        assert len({seen.connection_id for seen in sandbox.seen}) == 1

    def test_a_client_may_end_its_connection(self, sandbox, client):
        for _ in range(2):
            client.get(sandbox.foreign_url, headers={"Connection": "close"})
        assert len({seen.connection_id for seen in sandbox.seen}) == 2

    def test_a_hundred_connections_are_served_at_once(self, sandbox):
        together = threading.Barrier(100, timeout=HUNG)

        def visit(_: int) -> bool:
            with PlainClient(sandbox) as client:
                together.wait(30)
                first = client.get(sandbox.foreign_url, timeout=30)
                together.wait(30)  # all are open now
                return first.ok and client.get(sandbox.foreign_url, timeout=30).ok

        with ThreadPoolExecutor(100) as pool:
            assert all(pool.map(visit, range(100)))
        assert len({seen.connection_id for seen in sandbox.seen}) == 100
        assert sandbox.count("foreign", status=200) == 200

    def test_a_client_that_hangs_in_the_handshake_keeps_no_other_waiting(self, sandbox, client):
        with socket.create_connection(address(sandbox.foreign_url)):
            assert client.get(sandbox.foreign_url).ok

    def test_a_client_that_sends_nonsense_disturbs_no_other(self, sandbox, client):
        with socket.create_connection(address(sandbox.foreign_url)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                plain.recv(100)
        assert client.get(sandbox.foreign_url).ok

    def test_half_a_request_is_not_seen(self, sandbox, client):
        context = ssl.create_default_context(cafile=sandbox.ca_file)
        with (
            socket.create_connection(address(sandbox.token_url)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"POST /token HTTP/1.1\r\nContent-Length: 100\r\n\r\ngrant_type=")
        assert client.ask_by_password().ok
        assert sandbox.count("token") == 1

    def test_a_body_in_chunks_arrives_whole(self, sandbox, client):
        pieces = [b"a" * 10_000, b"b", b"c" * 70_000]
        client.post(sandbox.foreign_url, data=iter(pieces))
        client.post(sandbox.foreign_url, data=b"next")
        assert [seen.body for seen in sandbox.seen] == [b"".join(pieces), b"next"]

    def test_head_has_no_body_and_the_connection_goes_on(self, sandbox, client):
        head = client.head(sandbox.foreign_url)
        assert head.content == b""
        assert int(head.headers["Content-Length"]) > 0
        assert client.get(sandbox.foreign_url).ok
        assert len({seen.connection_id for seen in sandbox.seen}) == 1


class TestWhatWasSeen:
    def test_a_request_is_kept_as_it_arrived(self, sandbox, client):
        client.sign_in()
        sandbox.forget()
        client.put("/echo?a=%2B&a=2&b=", data=b"\x00\xff", headers={"X-Mine": "1"})
        (seen,) = sandbox.seen
        assert (seen.server, seen.kind, seen.method, seen.path) == ("api", "api", "PUT", "/echo")
        assert seen.query == "a=%2B&a=2&b="
        assert seen.args["b"] == ""
        assert seen.headers["x-mine"] == seen.headers["X-MINE"] == "1"
        assert seen.body == b"\x00\xff"
        assert seen.form == {}
        assert seen.status == 200

    def test_token_requests_are_kept_with_their_form_and_grant(self, sandbox, client):
        token = client.ask_by_password(scope="api  offline_access").json()
        client.ask_by_refresh_token(token["refresh_token"])
        client.post(sandbox.token_url)
        assert [seen.kind for seen in sandbox.seen] == ["password", "refresh_token", "token"]
        assert sandbox.seen[0].form["scope"] == "api  offline_access"
        assert sandbox.seen[0].form["password"] == sandbox.settings["password"]

    def test_requests_are_counted_by_server_grant_and_status(self, sandbox, client):
        client.sign_in()
        client.ask_by_refresh_token("nonsense")
        client.get("/echo")
        client.get("/nothing")
        client.get(sandbox.foreign_url)
        counts = {
            kind: sandbox.count(kind)
            for kind in ("token", "password", "refresh_token", "api", "foreign")
        }
        assert counts == {"token": 2, "password": 1, "refresh_token": 1, "api": 2, "foreign": 1}
        assert sandbox.count("api", status=404) == 1
        assert sandbox.count("token", status=400) == 1
        assert sandbox.count("api", status=401) == 0

    def test_a_record_does_not_change(self, sandbox, client):
        client.ask_by_password()
        (seen,) = sandbox.seen
        with pytest.raises(AttributeError):
            seen.status = 500
        with pytest.raises(TypeError):
            seen.form["password"] = "another"

    def test_a_record_shows_no_secret(self, sandbox, client):
        client.ask_by_password()
        (seen,) = sandbox.seen
        text = repr(seen)
        assert sandbox.settings["password"] not in text
        assert seen.headers["Authorization"] not in text

    def test_forget_empties_the_ledger(self, sandbox, client):
        client.ask_by_password()
        sandbox.forget()
        assert sandbox.seen == ()
        assert sandbox.count("token") == 0
        assert sandbox.max_concurrent_token_requests == 0

    def test_a_request_is_seen_while_its_response_is_pending(self, sandbox, client):
        sandbox.inject(Fault(delay=60), on="foreign")
        with ThreadPoolExecutor() as pool:
            pending = pool.submit(client.get, sandbox.foreign_url)
            wait_until(lambda: len(sandbox.seen) == 1)
            assert sandbox.seen[0].status is None
            sandbox.close()
            assert pending.exception()

    def test_a_forgotten_request_does_not_come_back(self, sandbox, client):
        sandbox.inject(Fault(delay=0.2), on="foreign")
        with ThreadPoolExecutor() as pool:
            pending = pool.submit(client.get, sandbox.foreign_url)
            wait_until(lambda: len(sandbox.seen) == 1)
            sandbox.forget()
            assert pending.result().ok
        assert sandbox.seen == ()

    def test_token_requests_that_overlap_are_noticed(self, sandbox):
        def ask(_: int) -> None:
            with PlainClient(sandbox) as client:
                assert client.ask_by_password().ok

        ask(0)
        ask(0)
        assert sandbox.max_concurrent_token_requests == 1
        sandbox.inject(Fault(delay=60), on="token", times=3)
        with ThreadPoolExecutor(3) as pool:
            pending = [pool.submit(ask, number) for number in range(3)]
            wait_until(lambda: sandbox.count("token") == 5)
            assert sandbox.max_concurrent_token_requests == 3
            sandbox.close()
            assert all(each.exception() for each in pending)


class TestForeignServer:
    def test_foreign_server_echoes_at_every_path_without_a_token(self, sandbox, client):
        found = client.get(sandbox.foreign_url + "/any/where?x=1").json()
        assert (found["path"], found["args"]) == ("/any/where", {"x": "1"})

    def test_foreign_server_redirects(self, sandbox, client):
        query = {"to": sandbox.base_url + "/echo", "status": 307}
        hop = client.get(sandbox.foreign_url + "/redirect", params=query, allow_redirects=False)
        assert (hop.status_code, hop.headers["Location"]) == (307, sandbox.base_url + "/echo")

    def test_foreign_server_refuses_a_redirect_without_a_good_target(self, sandbox, client):
        assert client.get(sandbox.foreign_url + "/redirect").status_code == 400
        for query in ("to=/x%0d%0aY:z", "to=%F0%9F%9A%9C", "to=/x&status=100", "to=/x&status=-1"):
            response = client.get(f"{sandbox.foreign_url}/redirect?{query}")
            assert response.status_code == 400


@pytest.mark.parametrize("missing", ["trustme", "werkzeug"])
def test_a_missing_extra_of_the_sandbox_is_named_in_one_line(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import requests_iris.sandbox"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(
        f'The sandbox needs {missing}: pip install "requests-iris[sandbox]"'
    )
