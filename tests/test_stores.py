"""Stores: the contract that all of them keep, and what is special to each."""

from __future__ import annotations

import copy
import errno
import json
import logging
import os
import pickle
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from examples.sqlite_store import SqliteTokenStore
from requests_iris import (
    FileTokenStore,
    IrisSession,
    MissingSettingError,
    RedisTokenStore,
    SettingError,
)
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.stores import open_store
from requests_iris.stores.contract import KEY, TOKEN, StoreContract
from requests_iris.token import Token

from .conftest import skip_pauses
from .support.redis_server import RedisServer


class TestFile(StoreContract):
    def make_store(self, tmp_path):
        return FileTokenStore(tmp_path / "made" / "tokens.json")


class TestRedis(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.url = redis_server.url

    def make_store(self, tmp_path):
        return RedisTokenStore(self.url)


class TestTheExample(StoreContract):
    def make_store(self, tmp_path):
        return SqliteTokenStore(tmp_path / "tokens.db")


def save(store, token=TOKEN) -> None:
    with store.lock(KEY, 5):
        store.save(KEY, token)


@pytest.fixture
def file(tmp_path: Path) -> FileTokenStore:
    return FileTokenStore(tmp_path / "made" / "tokens.json")


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("tokens.json", FileTokenStore),
        (Path("tokens.json"), FileTokenStore),
        ("file:///var/tokens%20x.json", FileTokenStore),
        ("redis://localhost:1/0", RedisTokenStore),
        ("rediss://u:p@localhost", RedisTokenStore),
    ],
)
def test_a_place_is_opened_by_its_form(place, kind) -> None:
    assert type(open_store(place)) is kind


@pytest.mark.parametrize(
    "place",
    [
        *(3, "", "http://u:hunter2@x/", "file://host/x", "file://[::1", "/", "a\0b", []),
        *("redis://:hunter2@h:port/0", "redis:/h:1/0", "rediss:h", "file:x", "FILE:/x"),
    ],
)
def test_a_place_that_cannot_be_is_refused_without_quoting_it(place) -> None:
    with pytest.raises(SettingError, match="token_store") as caught:
        IrisSession(token_store=place)
    assert caught.value.setting == "token_store"
    assert "hunter2" not in f"{caught.value!r}"


@pytest.mark.skipif(os.name != "posix", reason="there are no device files here")
def test_a_device_is_refused_and_not_replaced(monkeypatch) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", os.devnull)
    with pytest.raises(SettingError, match="token_store"):
        IrisSession()


def test_the_environment_names_one_and_making_a_session_makes_nothing(
    monkeypatch, tmp_path, sandbox: Sandbox
) -> None:
    place = tmp_path / "made" / "tokens.json"
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", str(place))
    with IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert not place.parent.exists()
        assert iris.get("/api/asset/v1/assets").ok
    assert sandbox.issued[-1] in place.read_text()


def test_file_and_directory_are_the_owners_alone(file) -> None:
    save(file)
    modes = [
        stat.S_IMODE(p.stat().st_mode) for p in (file.path.parent, *file.path.parent.iterdir())
    ]
    assert modes == [0o700, *[0o600] * (len(modes) - 1)]


def test_a_file_of_somebody_else_is_not_believed(file, monkeypatch, caplog) -> None:
    save(file)
    monkeypatch.setattr(os, "geteuid", lambda: file.path.stat().st_uid + 1)
    assert file.load(KEY) is None
    assert "WARNING" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"\xff", b"[" * 100_000),
        *(b'{"requests_iris": 1, "tok', b'{"requests_iris": 2, "tokens": {}}'),
    ],
)
def test_a_damaged_file_is_told_once_and_replaced(file, content: bytes, caplog) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    assert file.load(KEY) is None
    save(file)
    assert file.load(KEY) == TOKEN
    assert [r.levelname for r in caplog.records if r.name == "requests_iris"] == ["WARNING"]
    assert file.path.with_name("tokens.json.bak").read_bytes() == content, "nothing is lost"


def test_a_file_that_others_can_read_is_taken_from_them(file, caplog) -> None:
    save(file)
    file.path.chmod(0o644)
    assert file.load(KEY) == TOKEN
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert "others could read" in caplog.text


def test_a_link_is_replaced_and_not_followed(file, tmp_path) -> None:
    elsewhere = FileTokenStore(tmp_path / "elsewhere")
    save(elsewhere, {"access_token": "planted"})
    before = elsewhere.path.read_bytes()
    file.path.parent.mkdir()
    file.path.symlink_to(elsewhere.path)
    assert file.load(KEY) is None
    save(file)
    assert not file.path.is_symlink()
    assert elsewhere.path.read_bytes() == before


def test_a_link_in_the_place_of_its_lock_is_not_followed(file, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    file.path.parent.mkdir()
    file.path.with_name(file.path.name + ".lock").symlink_to(elsewhere)
    with pytest.raises(OSError, match="link"), file.lock(KEY, 1):
        raise AssertionError("the lock of another file is not ours")
    assert elsewhere.read_text() == "precious"


def test_a_pipe_in_its_place_does_not_block(file) -> None:
    file.path.parent.mkdir()
    os.mkfifo(file.path)
    assert file.load(KEY) is None


def test_a_failed_write_leaves_the_old_token_and_no_litter(file, monkeypatch) -> None:
    save(file)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            save(file, {"access_token": "newer"})
    assert file.load(KEY) == TOKEN
    assert {p.suffix for p in file.path.parent.iterdir()} <= {".json", ".lock"}


def test_a_holder_that_lost_its_lock_cannot_write_over_a_newer_token(redis_server) -> None:
    slow, quick = RedisTokenStore(redis_server.url), RedisTokenStore(redis_server.url)
    newer = {**TOKEN, "access_token": "newer"}
    lock = slow.lock(KEY, 5)
    lock.__enter__()
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.delete(*client.keys("*:lock")) == 1  # as if its time were over
    save(quick, newer)
    with pytest.raises(redis.exceptions.LockNotOwnedError):
        slow.save(KEY, TOKEN)
    with pytest.raises(redis.exceptions.LockNotOwnedError):
        lock.__exit__(None, None, None)
    assert quick.load(KEY) == newer


def test_values_in_redis_expire_and_names_tell_nothing(redis_server, sandbox, caplog) -> None:
    with IrisSession(**sandbox.settings, token_store=redis_server.url) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get("/api/asset/v1/assets").ok
    with redis.Redis.from_url(redis_server.url) as client:
        (name,) = client.keys("*")
        assert 0 < client.ttl(name) <= 30 * 24 * 3600
        assert json.loads(client.get(name))["access_token"] == sandbox.issued[-1]
    assert not any(value.encode() in name for value in sandbox.settings.values())


def test_a_store_shows_no_password(redis_server) -> None:
    assert "redis-pass" not in repr(RedisTokenStore(redis_server.url))


def warnings(caplog) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name == "requests_iris" and r.levelno >= logging.WARNING
    ]


def test_requests_go_on_without_redis_which_is_told_once_until_it_comes_back(
    redis_server, sandbox, caplog
) -> None:
    redis_server.stop()
    with IrisSession(**sandbox.settings, token_store=redis_server.url) as iris:
        iris.verify = sandbox.ca_file

        def renew() -> None:
            sandbox.expire_access_tokens()
            assert iris.get("/api/asset/v1/assets").ok

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
    assert "redis-pass" not in caplog.text


def test_a_directory_that_cannot_be_made_does_not_stop_requests(tmp_path, sandbox, caplog) -> None:
    (tmp_path / "a-file").touch()
    with IrisSession(**sandbox.settings, token_store=tmp_path / "a-file" / "x" / "t.json") as iris:
        iris.verify = sandbox.ca_file
        assert iris.get("/api/asset/v1/assets").ok
    assert len(warnings(caplog)) == 1


class Sharing:
    """Two sessions, as in two processes, on one store."""

    def __init__(self, sandbox: Sandbox, path: Path) -> None:
        self.store = FileTokenStore(path)
        self.updates: list[int] = []
        self.one, self.two = (
            IrisSession(
                **sandbox.settings,
                token_store=self.store,
                token_updater=lambda _, number=number: self.updates.append(number),
            )
            for number in (1, 2)
        )
        for session in (self.one, self.two):
            session.verify = sandbox.ca_file

    def stored(self) -> dict:
        (token,) = json.loads(self.store.path.read_text())["tokens"].values()
        return token


@pytest.fixture
def shared(sandbox: Sandbox, tmp_path: Path):
    shared = Sharing(sandbox, tmp_path / "t.json")
    yield shared
    shared.one.close()
    shared.two.close()


ASSETS = "/api/asset/v1/assets"


def broken_lock(key: str, wait: float) -> AbstractContextManager[None]:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_an_empty_session_takes_what_is_stored(shared, sandbox) -> None:
    assert shared.one.get(ASSETS).ok
    assert shared.two.get(ASSETS).ok
    assert sandbox.count("token") == 1
    assert shared.updates == [1]
    assert shared.two.counters["tokens"] == 0
    assert shared.two.token == shared.one.token == shared.stored()


def test_a_session_of_another_user_takes_nothing_of_it(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    with IrisSession(
        **{**sandbox.settings, "username": "another"}, token_store=shared.store
    ) as other:
        other.verify = sandbox.ca_file
        with pytest.raises(Exception, match="refused"):
            other.get(ASSETS)


def test_a_scope_in_another_order_is_the_same(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    settings = {**sandbox.settings, "scope": "offline_access api offline_access"}
    with IrisSession(**settings, token_store=shared.store) as other:
        other.verify = sandbox.ca_file
        assert other.get(ASSETS).ok
    assert sandbox.count("token") == 1


@pytest.mark.parametrize("age", [3545, 3600])
def test_a_stored_token_that_is_stale_is_not_taken(shared, sandbox, age: int) -> None:
    shared.one.get(ASSETS)
    skip_pauses(shared.two).sleep(age)
    assert shared.two.get(ASSETS).ok
    assert shared.two.token != shared.one.token


SOON, LATE, EVER = (Token(str(end), f"r{end}", expires_at=end) for end in (1e9, 2e9, None))


@pytest.mark.parametrize(
    ("held", "stored", "good"),
    [
        *((None, SOON, SOON), (SOON, LATE, LATE), (LATE, SOON, LATE), (EVER, SOON, SOON)),
        *((SOON, replace(LATE, refresh_token=None), SOON),),
        *((replace(LATE, refresh_token=None), SOON, SOON),),
    ],
)
def test_the_refresh_token_that_ends_later_is_the_one_to_use(shared, held, stored, good) -> None:
    source = shared.two._source
    source._sharing.save(source._key(), stored)
    source.token = held
    assert source._last_issued() == good


def test_a_rejected_token_is_not_taken_again_but_a_siblings_newer_one_is(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    shared.two.get(ASSETS)
    sandbox.revoke_access_tokens()
    assert shared.one.get(ASSETS).ok
    assert shared.two.get(ASSETS).ok
    assert (sandbox.count("password"), sandbox.count("refresh_token")) == (1, 1)
    assert shared.updates == [1, 1]


def test_where_the_stored_token_is_revoked_too_the_caller_hears_of_neither(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    shared.two.get(ASSETS)
    shared.two.refresh_token()
    sandbox.revoke_access_tokens()
    response = shared.one.get(ASSETS)
    assert [each.status_code for each in (*response.history, response)] == [401, 401, 200]


def test_a_token_that_did_not_come_from_the_store_is_tried_once(shared, sandbox) -> None:
    """Though an earlier one did."""
    shared.one.get(ASSETS)
    shared.two.get(ASSETS)
    sandbox.inject(Fault(status=401), on="api", times=3)
    response = shared.two.get(ASSETS)
    assert [each.status_code for each in (*response.history, response)] == [401, 401]


def test_after_a_refused_refresh_token_the_store_is_read_once_more(
    shared, sandbox, monkeypatch
) -> None:
    """A sibling whose lock has run out may store in the middle of our renewal."""
    shared.one.get(ASSETS)
    saved = shared.stored()
    sandbox.revoke_access_tokens()
    shared.two.get(ASSETS)
    newer = shared.stored()
    assert newer != saved
    source = shared.one._source
    key, load, loads = source._key(), shared.store.load, []

    def late(asked: str) -> dict | None:
        assert asked == key
        loads.append(asked)
        return saved if len(loads) < 4 else load(asked)

    monkeypatch.setattr(shared.store, "load", late)
    assert shared.one.get(ASSETS).ok
    assert sandbox.refused == 1
    assert sandbox.count("password") == 1
    assert shared.one.token == newer


def test_a_rotated_refresh_token_is_stored_before_its_access_token_is_used(shared, sandbox) -> None:
    stored = []
    shared.one.hooks["response"].append(
        lambda response, **_: stored.append(shared.stored()["access_token"])
    )
    shared.one.get(ASSETS)
    sandbox.expire_access_tokens()
    shared.one.token_updater = lambda token: stored.append(shared.stored()["access_token"])
    shared.one.get(ASSETS)
    assert stored == [sandbox.issued[0], sandbox.issued[1], sandbox.issued[1]]


def test_a_fresh_token_never_touches_the_store(shared, monkeypatch) -> None:
    shared.one.get(ASSETS)
    for name in ("lock", "load", "save"):
        monkeypatch.setattr(shared.store, name, None)
    assert shared.one.get(ASSETS).ok


def test_an_aging_token_does_not_wait_for_the_lock(shared, sandbox, caplog) -> None:
    shared.one.get(ASSETS)
    token = {**shared.one.token, "expires_at": shared.one.token["expires_at"] - 3000}
    shared.one.token = token
    with shared.store.lock("", 5):
        shared.store.save(shared.one._source._key(), token)
        assert shared.one.get(ASSETS).ok  # would wait for ever: the lock is ours
    assert sandbox.count("token") == 1
    assert warnings(caplog) == []


def test_who_waits_for_an_early_renewal_that_is_left_to_a_sibling_renews_itself(
    shared, sandbox
) -> None:
    """Its token is refused, while the leader goes on with it."""
    iris, lock, asked = shared.one, shared.store.lock, threading.Event()
    old = iris.get(ASSETS).request.headers["Authorization"]
    skip_pauses(iris).sleep(3000)

    def busy(key: str, wait: float) -> AbstractContextManager[None]:
        if wait:
            return lock(key, wait)
        asked.set()
        while iris.counters["waits"] == 0:
            asked.wait(0)
        raise TimeoutError

    shared.store.lock = busy
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.get, ASSETS)
        assert asked.wait(30)
        iris._source.reject(old)
        follower = pool.submit(iris.get, ASSETS)
        assert leader.result(30).request.headers["Authorization"] == old
        assert follower.result(30).request.headers["Authorization"] != old


def test_an_aging_token_is_renewed_without_a_lock_that_is_broken(shared, sandbox, caplog) -> None:
    shared.one.get(ASSETS)
    skip_pauses(shared.one).sleep(3000)
    shared.store.lock = broken_lock
    assert shared.one.get(ASSETS).ok
    assert sandbox.count("refresh_token") == 1
    assert len(warnings(caplog)) == 1


def test_an_aging_token_that_is_the_stored_one_is_renewed(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    skip_pauses(shared.one).sleep(3000)
    assert shared.one.get(ASSETS).ok
    assert sandbox.count("refresh_token") == 1
    assert shared.one.token == shared.stored()


def test_an_aging_session_takes_what_a_sibling_has_stored(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    token = {**shared.one.token, "expires_at": shared.one.token["expires_at"] - 3000}
    shared.two.token = token
    assert shared.two.get(ASSETS).ok
    assert sandbox.count("token") == 1
    assert shared.two.token == shared.one.token


def test_fetch_token_and_refresh_token_store_what_they_get(shared) -> None:
    assert shared.one.fetch_token() == shared.stored()
    assert shared.one.refresh_token() == shared.stored()
    assert shared.two.refresh_token() == shared.stored()


def test_assigning_a_token_leaves_the_store_alone(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    before = shared.stored()
    shared.one.token = {}
    assert shared.stored() == before
    assert shared.one.get(ASSETS).ok
    assert sandbox.count("token") == 1


def test_a_store_that_hangs_on_its_lock_is_left_alone_after_a_while(
    shared, sandbox, monkeypatch, caplog
) -> None:
    monkeypatch.setattr("requests_iris.source.LOCK_WAIT", 0.2)
    with shared.store.lock("", 5):
        assert shared.one.get(ASSETS).ok
    assert len(warnings(caplog)) == 1
    assert not shared.store.path.exists()
    assert sandbox.count("password") == 1


def test_an_unpickled_session_goes_on_with_its_token(shared, sandbox) -> None:
    shared.one.token_updater = None
    shared.one.get(ASSETS)
    with pickle.loads(pickle.dumps(shared.one)) as unpickled:
        assert unpickled.get(ASSETS).ok
        sandbox.expire_access_tokens()
        assert unpickled.get(ASSETS).ok
    assert sandbox.count("api", 401) == 1
    assert unpickled.token == shared.stored()


@pytest.mark.parametrize(
    ("module", "extra", "place"),
    [("filelock", "file", "tokens.json"), ("redis", "redis", "redis://localhost")],
)
def test_a_missing_extra_is_named_when_the_session_is_made(
    monkeypatch, module: str, extra: str, place: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"requests-iris\[{extra}\]"):
        IrisSession(token_store=place)


def test_the_library_alone_loads_no_extra() -> None:
    code = "import sys, requests_iris; print({'redis', 'filelock', 'pytest'} & {*sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert loaded.stdout.strip() == b"set()"


@pytest.mark.parametrize("kind", [ValueError, OSError])
def test_a_store_of_no_use_tells_no_secret(sandbox, caplog, kind) -> None:
    fault = kind("redis://:hunter2@host")
    fault.filename = "redis://:hunter2@host"  # as urllib's HTTPError, an OSError, has its URL

    class Broken:
        def lock(self, key, wait):
            return nullcontext()

        def load(self, key):
            raise fault

        def save(self, key, token):
            raise RuntimeError(str(token))

    caplog.set_level(logging.DEBUG)
    with IrisSession(**sandbox.settings, token_store=Broken()) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
    (warning,) = warnings(caplog)
    assert warning.endswith(kind.__name__)
    assert "hunter2" not in caplog.text
    assert sandbox.issued[0] not in caplog.text


def test_a_lock_that_cannot_be_given_back_stops_nobody(shared, sandbox, caplog) -> None:
    lock = shared.store.lock

    @contextmanager
    def lost(key: str, wait: float):
        with lock(key, wait):
            yield
        raise OSError(errno.EIO, "Input/output error")

    shared.store.lock = lost
    assert shared.one.get(ASSETS).ok
    assert [text for text in warnings(caplog) if "Input/output" in text] == warnings(caplog) != []
    assert shared.two.get(ASSETS).ok
    assert sandbox.count("token") == 1


def test_a_session_that_may_only_read_takes_each_token_that_a_sibling_has_stored(
    shared, sandbox, caplog
) -> None:
    """After each it is news again that there is no lock."""
    reader = shared.two
    reader._source._sharing._store = store = copy.copy(shared.store)
    store.lock = broken_lock
    assert reader.get(ASSETS).ok  # by itself: nothing is stored yet
    for _ in range(2):
        sandbox.revoke_access_tokens()
        shared.one.fetch_token()
        assert reader.get(ASSETS).ok
        assert reader.token == shared.stored()
    sandbox.revoke_access_tokens()
    assert reader.get(ASSETS).ok
    assert len(warnings(caplog)) == 2


def test_a_session_that_is_nobodys_leaves_the_store_alone(shared, monkeypatch) -> None:
    """There is no name for a place there."""
    for name in ("lock", "load", "save"):
        monkeypatch.setattr(shared.store, name, lambda *_: pytest.fail("it was touched"))
    with IrisSession(token_store=shared.store) as iris, pytest.raises(MissingSettingError):
        iris.get(ASSETS)


def test_a_place_where_no_file_can_be_stops_nobody(sandbox, tmp_path, caplog) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "token.json"
    with IrisSession(**sandbox.settings, token_store=place) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
    (warning,) = warnings(caplog)
    assert str(tmp_path / "file") in warning


def test_a_full_disk_is_told_once(shared, sandbox, monkeypatch, caplog) -> None:
    def full(key: str, token: dict) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shared.store, "save", full)
    for _ in range(3):
        assert shared.one.get(ASSETS).ok
        sandbox.expire_access_tokens()
    assert [text for text in warnings(caplog) if "No space" in text] == warnings(caplog)
    assert len(warnings(caplog)) == 1


def test_a_redis_that_hangs_is_asked_twice_and_no_more(sandbox, monkeypatch, caplog) -> None:
    monkeypatch.setattr("requests_iris.stores.redis.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with IrisSession(**sandbox.settings, token_store=url) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get(ASSETS).ok
        silent.settimeout(0)
        for _ in range(2):  # once to load, once to lock
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert len(warnings(caplog)) == 1
