"""Token stores: the contract of all stores, and sessions that share a token through a store."""

from __future__ import annotations

import copy
import errno
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from examples.sqlite_store import SqliteTokenStore
from requests_iris import (
    Clock,
    FileTokenStore,
    IrisSession,
    MissingSettingError,
    RedisTokenStore,
    SettingError,
)
from requests_iris.renewal import LOCK_MARGIN
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.stores import open_store
from requests_iris.stores.contract import KEY, TOKEN, StoreContract

from .support.clocks import SkippingClock
from .support.redis_server import RedisServer
from .support.waiting import HUNG, wait_until


class TestFile(StoreContract):
    def make_store(self, tmp_path):
        return FileTokenStore(tmp_path / "made" / "tokens.json")


class TestRedis(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.url = redis_server.url

    def make_store(self, tmp_path):
        return RedisTokenStore(self.url)


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_holder_that_locks_again_at_once_does_not_starve_a_waiter(kind, request, tmp_path) -> None:
    """The holder holds the lock for 10 ms, again and again. The waiter is soon the next."""

    def new() -> FileTokenStore | RedisTokenStore:
        if kind == "file":
            return FileTokenStore(tmp_path / "tokens.json")
        return RedisTokenStore(request.getfixturevalue("redis_server").url)

    waiter, greedy, stop, turns = new(), new(), threading.Event(), []

    def lock_again_and_again() -> None:
        while not stop.is_set():
            with greedy.lock(KEY, HUNG):
                turns.append(1)
                time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lock_again_and_again)
        try:
            for _ in range(5):
                turns.clear()
                wait_until(lambda: len(turns) > 0)
                with waiter.lock(KEY, HUNG):
                    assert len(turns) < 10
        finally:
            stop.set()
        running.result(HUNG)


class TestTheExample(StoreContract):
    def make_store(self, tmp_path):
        return SqliteTokenStore(tmp_path / "tokens.db")


def save(store, token=TOKEN) -> None:
    with store.lock(KEY, 5):
        store.save(KEY, token)


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
def test_path_or_url_opens_the_right_store(place, kind) -> None:
    assert type(open_store(place)) is kind


@pytest.mark.parametrize(
    "place",
    [
        *(3, "", "http://u:hunter2@x/", "file://host/x", "file://[::1", "/", "a\0b", []),
        *("redis://:hunter2@h:port/0", "redis:/h:1/0", "rediss:h", "file:x", "FILE:/x"),
    ],
)
def test_bad_token_store_is_refused_without_quoting_the_value(place) -> None:
    with pytest.raises(SettingError, match="token_store") as caught:
        IrisSession(token_store=place)
    assert caught.value.setting == "token_store"
    assert "hunter2" not in f"{caught.value!r}"


@pytest.mark.skipif(os.name != "posix", reason="there are no device files here")
def test_device_is_refused_as_a_token_store(monkeypatch) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", os.devnull)
    with pytest.raises(SettingError, match="token_store"):
        IrisSession()


def test_environment_sets_the_store_and_creating_a_session_creates_no_file(
    monkeypatch, tmp_path, sandbox: Sandbox
) -> None:
    place = tmp_path / "made" / "tokens.json"
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", str(place))
    with IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert not place.parent.exists()
        assert iris.get("/api/asset/v1/assets").ok
    assert sandbox.issued[-1] in place.read_text()


def warnings(caplog) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name == "requests_iris" and r.levelno >= logging.WARNING
    ]


def test_directory_that_cannot_be_created_does_not_stop_requests(tmp_path, sandbox, caplog) -> None:
    (tmp_path / "a-file").touch()
    with IrisSession(**sandbox.settings, token_store=tmp_path / "a-file" / "x" / "t.json") as iris:
        iris.verify = sandbox.ca_file
        assert iris.get("/api/asset/v1/assets").ok
    assert len(warnings(caplog)) == 1


class Sharing:
    """Two sessions with the same store, like two processes."""

    def __init__(self, sandbox: Sandbox, path: Path) -> None:
        self.store = FileTokenStore(path)
        self.updates: list[int] = []
        self.clocks = SkippingClock(), SkippingClock()
        self.one, self.two = (
            IrisSession(
                **sandbox.settings,
                token_store=self.store,
                token_updater=lambda _, number=number: self.updates.append(number),
                clock=clock,
            )
            for number, clock in enumerate(self.clocks, 1)
        )
        for session in (self.one, self.two):
            session.verify = sandbox.ca_file

    def entry(self) -> tuple[str, dict]:
        """The only key in the store, and the token."""
        (entry,) = json.loads(self.store.path.read_text())["tokens"].items()
        return entry

    def stored(self) -> dict:
        return self.entry()[1]


@pytest.fixture
def shared(sandbox: Sandbox, tmp_path: Path):
    shared = Sharing(sandbox, tmp_path / "t.json")
    yield shared
    shared.one.close()
    shared.two.close()


ASSETS = "/api/asset/v1/assets"


def broken_lock(key: str, wait: float) -> AbstractContextManager[None]:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_session_without_a_token_takes_the_stored_token(shared, sandbox) -> None:
    assert shared.one.get(ASSETS).ok
    assert shared.two.get(ASSETS).ok
    assert sandbox.count("token") == 1
    assert shared.updates == [1]
    assert shared.two.counters["tokens"] == 0
    assert shared.two.token == shared.one.token == shared.stored()


def test_session_of_another_user_does_not_take_the_stored_token(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    with IrisSession(
        **{**sandbox.settings, "username": "another"}, token_store=shared.store
    ) as other:
        other.verify = sandbox.ca_file
        with pytest.raises(Exception, match="refused"):
            other.get(ASSETS)


def test_order_of_the_scope_does_not_matter_for_sharing(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    settings = {**sandbox.settings, "scope": "offline_access api offline_access"}
    with IrisSession(**settings, token_store=shared.store) as other:
        other.verify = sandbox.ca_file
        assert other.get(ASSETS).ok
    assert sandbox.count("token") == 1


@pytest.mark.parametrize("age", [3545, 3600])
def test_stored_token_that_expired_is_not_taken(shared, sandbox, age: int) -> None:
    shared.one.get(ASSETS)
    shared.clocks[1].sleep(age)
    assert shared.two.get(ASSETS).ok
    assert shared.two.token != shared.one.token


SOON, LATE, NEVER = 1e9, 2e9, None


@pytest.mark.parametrize("good", ["held", "stored"])
@pytest.mark.parametrize(
    ("sooner", "later"),
    [((SOON, True), (LATE, True)), ((NEVER, True), (SOON, True)), ((LATE, False), (SOON, True))],
    ids=["both end", "one never ends", "one has no refresh token"],
)
def test_refresh_token_of_the_later_access_token_is_used(
    shared, sandbox, good: str, sooner, later
) -> None:
    """The sandbox refuses all refresh tokens except the last."""
    issued = shared.one.fetch_token()["refresh_token"]

    def token(end: float | None, refreshable: bool, refresh_token: str) -> dict:
        members = {"access_token": f"until {end}".replace(" ", "-")}
        members |= {"expires_at": end} if end else {}
        return members | ({"refresh_token": refresh_token} if refreshable else {})

    tokens = {good: token(*later, issued)}
    tokens["stored" if good == "held" else "held"] = token(*sooner, "refused")
    with shared.store.lock("", 5):
        shared.store.save(shared.entry()[0], tokens["stored"])
    shared.two.token = tokens["held"]
    shared.two.refresh_token()
    assert sandbox.refused == 0


def test_stored_refresh_token_is_used_by_a_session_without_a_token(shared, sandbox) -> None:
    shared.one.fetch_token()
    shared.two.refresh_token()
    assert (sandbox.count("password"), sandbox.count("refresh_token")) == (1, 1)


def test_rejected_token_is_not_taken_from_the_store_but_a_newer_token_is(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    shared.two.get(ASSETS)
    sandbox.revoke_access_tokens()
    assert shared.one.get(ASSETS).ok
    assert shared.two.get(ASSETS).ok
    assert (sandbox.count("password"), sandbox.count("refresh_token")) == (1, 1)
    assert shared.updates == [1, 1]


def test_caller_gets_200_when_the_own_token_and_the_stored_token_are_rejected(
    shared, sandbox
) -> None:
    shared.one.get(ASSETS)
    shared.two.get(ASSETS)
    shared.two.refresh_token()
    sandbox.revoke_access_tokens()
    response = shared.one.get(ASSETS)
    assert [each.status_code for each in (*response.history, response)] == [401, 401, 200]


def test_new_token_that_is_rejected_leads_to_the_401(shared, sandbox) -> None:
    """The session renews once for a token of the store, and not for a token just issued."""
    shared.one.get(ASSETS)
    shared.two.get(ASSETS)
    sandbox.inject(Fault(status=401), on="api", times=3)
    response = shared.two.get(ASSETS)
    assert [each.status_code for each in (*response.history, response)] == [401, 401]


def test_store_is_read_again_after_a_refused_refresh_token(shared, sandbox, monkeypatch) -> None:
    """A process whose lock ended may save in the middle of this renewal."""
    shared.one.get(ASSETS)
    saved = shared.stored()
    sandbox.revoke_access_tokens()
    shared.two.get(ASSETS)
    newer = shared.stored()
    assert newer != saved
    (key, _), load, loads = shared.entry(), shared.store.load, []

    def late(asked: str) -> dict | None:
        assert asked == key
        loads.append(asked)
        return saved if len(loads) < 4 else load(asked)

    monkeypatch.setattr(shared.store, "load", late)
    assert shared.one.get(ASSETS).ok
    assert sandbox.refused == 1
    assert sandbox.count("password") == 1
    assert shared.one.token == newer


def test_rotated_refresh_token_is_stored_before_its_access_token_is_used(shared, sandbox) -> None:
    stored = []
    shared.one.hooks["response"].append(
        lambda response, **_: stored.append(shared.stored()["access_token"])
    )
    shared.one.get(ASSETS)
    sandbox.expire_access_tokens()
    shared.one.token_updater = lambda token: stored.append(shared.stored()["access_token"])
    shared.one.get(ASSETS)
    assert stored == [sandbox.issued[0], sandbox.issued[1], sandbox.issued[1]]


def test_request_with_a_fresh_token_does_not_touch_the_store(shared, monkeypatch) -> None:
    shared.one.get(ASSETS)
    for name in ("lock", "load", "save"):
        monkeypatch.setattr(shared.store, name, None)
    assert shared.one.get(ASSETS).ok


def test_expiring_token_is_used_while_another_process_holds_the_lock(
    shared, sandbox, caplog
) -> None:
    shared.one.get(ASSETS)
    token = {**shared.one.token, "expires_at": shared.one.token["expires_at"] - 3000}
    shared.one.token = token
    with shared.store.lock("", 5):
        shared.store.save(shared.entry()[0], token)
        assert shared.one.get(ASSETS).ok
    assert sandbox.count("token") == 1
    assert warnings(caplog) == []


def test_rejected_token_is_renewed_although_the_early_renewal_is_left_to_another_process(
    shared, sandbox
) -> None:
    """A thread leaves the early renewal to a different process. Then the API rejects the token."""
    iris, lock, asked = shared.one, shared.store.lock, threading.Event()
    old = iris.get(ASSETS).request.headers["Authorization"]
    shared.clocks[0].sleep(3000)

    def busy(key: str, wait: float) -> AbstractContextManager[None]:
        if wait:
            return lock(key, wait)
        asked.set()
        wait_until(lambda: iris.counters["waits"] > 0)
        raise TimeoutError

    shared.store.lock = busy
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(iris.get, ASSETS)
        assert asked.wait(HUNG)
        sandbox.revoke_access_tokens()
        responses = [each.result(HUNG) for each in (pool.submit(iris.get, ASSETS), early)]
    assert [response.status_code for response in responses] == [200, 200]
    assert old not in {response.request.headers["Authorization"] for response in responses}


def test_expiring_token_is_renewed_although_the_lock_fails(shared, sandbox, caplog) -> None:
    shared.one.get(ASSETS)
    shared.clocks[0].sleep(3000)
    shared.store.lock = broken_lock
    assert shared.one.get(ASSETS).ok
    assert sandbox.count("refresh_token") == 1
    assert len(warnings(caplog)) == 1


def test_expiring_token_that_is_also_stored_is_renewed(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    shared.clocks[0].sleep(3000)
    assert shared.one.get(ASSETS).ok
    assert sandbox.count("refresh_token") == 1
    assert shared.one.token == shared.stored()


def test_session_with_an_expiring_token_takes_a_fresh_stored_token(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    token = {**shared.one.token, "expires_at": shared.one.token["expires_at"] - 3000}
    shared.two.token = token
    assert shared.two.get(ASSETS).ok
    assert sandbox.count("token") == 1
    assert shared.two.token == shared.one.token


def test_fetch_token_and_refresh_token_store_the_new_token(shared) -> None:
    assert shared.one.fetch_token() == shared.stored()
    assert shared.one.refresh_token() == shared.stored()
    assert shared.two.refresh_token() == shared.stored()


def test_assigning_a_token_does_not_change_the_store(shared, sandbox) -> None:
    shared.one.get(ASSETS)
    before = shared.stored()
    shared.one.token = {}
    assert shared.stored() == before
    assert shared.one.get(ASSETS).ok
    assert sandbox.count("token") == 1


def test_waiting_session_takes_a_new_token_although_the_lock_is_never_free(
    shared, sandbox, caplog
) -> None:
    """Back-to-back renewals of many processes must not starve a process."""
    shared.one.get(ASSETS)
    key, token = shared.entry()
    shared.store.path.unlink()
    lock, waits = shared.store.lock, threading.Event()

    def watched(key: str, wait: float) -> AbstractContextManager[None]:
        waits.set()
        return lock(key, wait)

    with lock(key, 5), ThreadPoolExecutor(1) as pool:
        shared.store.lock = watched
        waiting = pool.submit(shared.two.get, ASSETS)
        assert waits.wait(HUNG)
        began = time.monotonic()
        shared.store.save(key, token)
        assert waiting.result(HUNG).ok
        assert time.monotonic() - began < LOCK_MARGIN
    assert sandbox.count("token") == 1
    assert shared.two.token == token
    assert warnings(caplog) == []


def test_lock_that_is_never_free_does_not_stop_requests(shared, sandbox, caplog) -> None:
    class Hurrying(Clock):
        def monotonic(self) -> float:
            return 100 * time.monotonic()

    with (
        shared.store.lock("", 5),
        IrisSession(**sandbox.settings, token_store=shared.store, clock=Hurrying()) as iris,
    ):
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
    assert len(warnings(caplog)) == 1
    assert not shared.store.path.exists()
    assert sandbox.count("password") == 1


def test_unpickled_session_keeps_its_token_and_its_store(shared, sandbox) -> None:
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
def test_missing_extra_is_named_when_the_session_is_created(
    monkeypatch, module: str, extra: str, place: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"requests-iris\[{extra}\]"):
        IrisSession(token_store=place)


def test_import_of_the_library_loads_no_extra() -> None:
    code = "import sys, requests_iris; print({'redis', 'filelock', 'pytest'} & {*sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert loaded.stdout.strip() == b"set()"


@pytest.mark.parametrize("kind", [ValueError, OSError])
def test_exception_of_a_store_is_reported_without_its_text(sandbox, caplog, kind) -> None:
    fault = kind("redis://:hunter2@host")
    fault.filename = (
        "redis://:hunter2@host"  # urllib's HTTPError is an OSError with a URL as the filename
    )

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


def test_lock_that_cannot_be_released_does_not_stop_requests(shared, sandbox, caplog) -> None:
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


def test_session_that_can_only_read_takes_each_stored_token(shared, sandbox, caplog) -> None:
    """Each token that comes from the store makes the next failure worth a warning again."""
    store = copy.copy(shared.store)
    store.lock = broken_lock
    with IrisSession(**sandbox.settings, token_store=store) as reader:
        reader.verify = sandbox.ca_file
        assert reader.get(ASSETS).ok  # without the store: nothing is stored yet
        for _ in range(2):
            sandbox.revoke_access_tokens()
            shared.one.fetch_token()
            assert reader.get(ASSETS).ok
            assert reader.token == shared.stored()
        sandbox.revoke_access_tokens()
        assert reader.get(ASSETS).ok
    assert len(warnings(caplog)) == 2


def test_session_without_a_user_does_not_touch_the_store(shared, monkeypatch) -> None:
    """A key needs a user."""
    for name in ("lock", "load", "save"):
        monkeypatch.setattr(shared.store, name, lambda *_: pytest.fail("it was touched"))
    with IrisSession(token_store=shared.store) as iris, pytest.raises(MissingSettingError):
        iris.get(ASSETS)


def test_path_below_a_file_does_not_stop_requests(sandbox, tmp_path, caplog) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "token.json"
    with IrisSession(**sandbox.settings, token_store=place) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
    (warning,) = warnings(caplog)
    assert str(tmp_path / "file") in warning
