"""The token store in Redis: faults, secrets, TLS, the lock."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import socketserver
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
import trustme

from requests_iris import IrisSession, RedisTokenStore, SettingError
from requests_iris.secret import Secret
from requests_iris.stores import LockTimeout, StoreError, open_store
from requests_iris.stores.contract import KEY, NEWER, TOKEN

from .support.redis_server import RedisServer, free_port
from .support.servers import serving
from .support.waiting import wait_until
from .test_stores import save, warnings

ASSETS = "/api/asset/v1/assets"


def test_process_whose_lock_ended_cannot_overwrite_a_newer_token(redis_server) -> None:
    slow, quick = RedisTokenStore(redis_server.url), RedisTokenStore(redis_server.url)
    lock = slow.lock(KEY, 5)
    lock.__enter__()
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.delete(*client.keys("*:lock")) == 1  # as if the lock had ended
    save(quick, NEWER)
    with pytest.raises(redis.exceptions.LockNotOwnedError):
        slow.save(KEY, TOKEN)
    with pytest.raises(redis.exceptions.LockNotOwnedError):
        lock.__exit__(None, None, None)
    assert quick.load(KEY) == NEWER


def test_options_of_redis_py_are_accepted_in_the_url(redis_server) -> None:
    store = RedisTokenStore(f"{redis_server.url}?decode_responses=true&socket_timeout=5")
    save(store)
    assert store.load(KEY) == TOKEN


def test_saving_without_the_lock_is_refused(redis_server) -> None:
    store = RedisTokenStore(redis_server.url)
    with pytest.raises(redis.exceptions.LockNotOwnedError):
        store.save(KEY, TOKEN)
    assert store.load(KEY) is None


def test_lock_outlasts_its_time_while_its_holder_lives(redis_server) -> None:
    """A renewal may take longer than `lock_lasts`: the store does not know `token_timeout`."""
    store, other = (RedisTokenStore(redis_server.url, lock_lasts=0.3) for _ in "12")
    with store.lock(KEY, 5):
        with pytest.raises(LockTimeout), other.lock(KEY, 1.2):
            pass  # pragma: no cover
        store.save(KEY, TOKEN)
    with other.lock(KEY, 0):
        assert other.load(KEY) == TOKEN


def test_lock_of_a_dead_holder_ends(redis_server) -> None:
    """After the death of a process no thread extends the lock."""
    store = RedisTokenStore(redis_server.url, lock_lasts=0.3)
    with redis.Redis.from_url(redis_server.url) as client:
        dead = client.lock(f"requests-iris:{{{KEY}}}:lock", timeout=0.3)
        assert dead.acquire()
        with store.lock(KEY, 30):
            assert not dead.owned()


def test_no_thread_is_left_after_the_lock(redis_server) -> None:
    before = threading.active_count()
    save(RedisTokenStore(redis_server.url))
    wait_until(lambda: threading.active_count() <= before)


def test_values_in_redis_expire_and_names_reveal_nothing(redis_server, sandbox) -> None:
    with IrisSession(**sandbox.settings, token_store=redis_server.url) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
    with redis.Redis.from_url(redis_server.url) as client:
        (name,) = client.keys("*")
        assert 0 < client.ttl(name) <= 30 * 24 * 3600
        assert json.loads(client.get(name))["access_token"] == sandbox.issued[-1]
    assert not any(value.encode() in name for value in sandbox.settings.values())


def test_requests_continue_without_redis_with_one_warning_for_each_failure(
    redis_server, sandbox, caplog
) -> None:
    redis_server.stop()
    with IrisSession(**sandbox.settings, token_store=redis_server.url) as iris:
        iris.verify = sandbox.ca_file

        def renew() -> None:
            sandbox.expire_access_tokens()
            assert iris.get(ASSETS).ok

        renew()
        renew()
        assert len(warnings(caplog)) == 1
        redis_server.start()
        renew()
        with redis.Redis.from_url(redis_server.url) as client:
            assert len(client.keys("*:token")) == 1
        assert len(warnings(caplog)) == 1
        redis_server.stop()
        renew()
    assert len(warnings(caplog)) == 2
    for warning in warnings(caplog):
        assert f"Redis at 127.0.0.1:{redis_server.port} cannot be used: " in warning
    assert "Connection refused" in warnings(caplog)[0]
    assert "redis-pass" not in caplog.text


def test_redis_that_does_not_respond_is_asked_twice(sandbox, monkeypatch, caplog) -> None:
    monkeypatch.setattr("requests_iris.stores.redis.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with IrisSession(**sandbox.settings, token_store=f"redis://127.0.0.1:{port}") as iris:
            iris.verify = sandbox.ca_file
            assert iris.get(ASSETS).ok
        silent.settimeout(0)
        for _ in range(2):  # once to load, once to lock
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    (warning,) = warnings(caplog)
    assert warning.endswith(
        f"Redis at 127.0.0.1:{port} cannot be used: no response within 0.2 seconds"
    )


class Parrot(socketserver.StreamRequestHandler):
    """Not Redis, but a server that repeats each command in an error message."""

    def handle(self) -> None:
        words = []
        for line in self.rfile:
            if line.startswith(b"*"):
                words, missing = [], int(line[1:])
            elif not line.startswith(b"$"):
                words.append(line.strip())
                if len(words) == missing:
                    self.wfile.write(b"-ERR unknown command, with args: %s\r\n" % b" ".join(words))


@pytest.fixture
def parrot() -> Iterator[str]:
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Parrot)) as address:
        yield address


def operations(store: RedisTokenStore) -> Iterator[Exception]:
    """The errors of all three methods."""
    for operation in (
        lambda: store.load(KEY),
        lambda: store.lock(KEY, 0).__enter__(),
        lambda: store.save(KEY, {"access_token": Secret("hunter3")}),
    ):
        with pytest.raises(StoreError) as caught:
            operation()
        yield caught.value


def frames(error: BaseException) -> str:
    """The output of a tool that prints local variables of a traceback and of all causes."""
    seen, shown = [error], []
    for each in seen:
        seen += [more for more in (each.__cause__, each.__context__) if more and more not in seen]
        trace = traceback.TracebackException.from_exception(
            each, capture_locals=True, compact=False
        )
        # this test's own variables aside
        trace.stack[:] = [frame for frame in trace.stack if frame.filename != __file__]
        shown.append("".join(trace.format(chain=False)))
    return "\n".join(shown)


@pytest.mark.parametrize("form", ["redis://:hunter2@{}/0", "redis://user:hunter2@{}"])
def test_no_secret_in_errors_of_a_server_that_repeats_its_commands(parrot, form) -> None:
    for error in operations(RedisTokenStore(form.format(parrot))):
        assert str(error).startswith(f"Redis at {parrot} cannot be used: ")
        assert "hunter" not in frames(error)


def test_wrong_password_of_redis_is_reported_without_the_password(redis_server) -> None:
    store = RedisTokenStore(redis_server.url.replace("redis-pass", "hunter2"))
    for error in operations(store):
        assert str(error).endswith(": Redis refused the user name or the password")
        assert "hunter" not in frames(error)


def test_host_that_does_not_exist_is_named_with_the_reason() -> None:
    # a name, because Python 3.13.0 crashes if the frames of an error outlive their generator
    errors = operations(RedisTokenStore("rediss://u:hunter2@nowhere.invalid/3"))
    error = next(errors)
    assert str(error).startswith("Redis at nowhere.invalid:6379 cannot be used: ")
    assert len(str(error)) > len("Redis at nowhere.invalid:6379 cannot be used: ")
    assert "hunter2" not in frames(error)


def test_value_in_redis_that_is_not_a_token_is_an_error_and_is_replaced(redis_server) -> None:
    store = RedisTokenStore(redis_server.url)
    save(store)
    with redis.Redis.from_url(redis_server.url) as client:
        for value in (b"{hunter2", b"3", b"\xff"):
            client.set(*client.keys("*:token"), value)
            with pytest.raises(StoreError, match="does not hold a token") as caught:
                store.load(KEY)
            assert "hunter2" not in frames(caught.value)
    save(store)
    assert store.load(KEY) == TOKEN


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://:hunter2@h:port/0",
            "redis://:hunter2@h:99999",
            "rediss://[hunter2",
            "redis:hunter2",
        ),
        *(
            "redis://:hunter2/x@h",
            "redis://:6379/hunter2@h",
            "redis://:1#hunter2@h",
            "redis://:1?hunter2@h",
        ),
        *("redis://:hunter2@h?socket_timeout=soon", "redis://:hunter2@h/0?no_such_option=1"),
    ],
)
@pytest.mark.parametrize("opened", [open_store, RedisTokenStore])
def test_bad_url_is_refused_and_its_password_is_in_no_frame(opened, url) -> None:
    with pytest.raises(SettingError, match="token_store") as caught:
        opened(url)
    assert "hunter2" not in frames(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:hunter2@h:1/0", "h:1"),
        ("rediss://u:hunter2@[::1]", "[::1]:6379"),
        ("redis:///3", "localhost:6379"),
        ("redis://h?password=hunter2", "h:6379"),
        ("redis://:p%40hunter2@h", "h:6379"),
    ],
)
def test_repr_shows_host_and_port_only(url, place) -> None:
    store = RedisTokenStore(url)
    assert repr(store) == f"<RedisTokenStore at {place}>"
    assert repr(pickle.loads(pickle.dumps(store))) == repr(store)
    assert "hunter2" not in repr(vars(store))


@contextmanager
def tls_server(tmp_path, name: str) -> Iterator[RedisServer]:
    """A Redis with a certificate for `name`, from a CA that the client trusts."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the system's package")
    ca = trustme.CA()
    certificate, trusted = tmp_path / "server.pem", tmp_path / "ca.pem"
    ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(certificate)
    ca.cert_pem.write_to_path(trusted)
    with free_port() as port:
        server = RedisServer(tmp_path, port, tls=(certificate, trusted)).start()
        try:
            yield server
        finally:
            server.stop()


def test_rediss_is_used_with_a_certificate_for_its_host(tmp_path) -> None:
    with tls_server(tmp_path, "127.0.0.1") as server:
        store = RedisTokenStore(server.url)
        save(store)
        assert store.load(KEY) == TOKEN


def test_rediss_with_a_certificate_for_another_name_is_refused(tmp_path) -> None:
    with tls_server(tmp_path, "another.example") as server:
        for error in operations(RedisTokenStore(server.url)):
            assert "certificate verify failed" in str(error)
            assert f"127.0.0.1:{server.port}" in str(error)
            assert "redis-pass" not in frames(error)


def test_rediss_host_name_is_not_compared_if_the_url_says_so(tmp_path) -> None:
    with tls_server(tmp_path, "another.example") as server:
        store = RedisTokenStore(f"{server.url}&ssl_check_hostname=false")
        save(store)
        assert store.load(KEY) == TOKEN


def test_sixteen_threads_share_one_store(redis_server) -> None:
    store = RedisTokenStore(redis_server.url)

    def count(_: int) -> None:
        with store.lock(KEY, 60):
            number = (store.load(KEY) or {"number": 0})["number"]
            store.save(KEY, {"number": number + 1})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(count, range(48)))
    assert store.load(KEY) == {"number": 48}
