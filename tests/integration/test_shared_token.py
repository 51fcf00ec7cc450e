"""Sixteen processes share one token: in a file, and in Redis."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requests_iris import (
    FileTokenStore,
    InvalidGrantError,
    IrisSession,
    RedisTokenStore,
    SettingError,
)
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.stores import TokenStore

from ..support.depth import PROFILE, examples
from ..support.processes import context
from ..support.redis_server import RedisServer
from ..support.waiting import HUNG, wait_until

ASSETS = "/api/asset/v1/assets"
PROCESSES = 16
#: Seconds after which the lock of a killed process ends, for a test that waits for the end.
LOCK_LASTS = 1.0
EXPIRIES = 3 if PROFILE == "default" else 10
#: Actions of sessions with the same store, and events of tokens.
STEPS = ("all send", "expire", "revoke", "forget", "sign in", "refresh")


def work(account: dict[str, Any], ca_file: str, store: TokenStore, pipe: Any) -> None:
    """Sends a request for each message in the pipe, and sends back the status or the error."""
    with IrisSession(**account, token_store=store) as iris:
        iris.verify = ca_file
        pipe.send("ready")
        while pipe.recv():
            try:
                pipe.send(iris.get(ASSETS, params={"size": 1}).status_code)
            except Exception as error:
                pipe.send(repr(error))


class Worker:
    def __init__(self, sandbox: Sandbox, store: TokenStore) -> None:
        self._pipe, theirs = context.Pipe()
        arguments = (sandbox.settings, sandbox.ca_file, store, theirs)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def tell(self) -> None:
        self._pipe.send(True)

    def answer(self) -> Any:
        assert self._pipe.poll(HUNG), "a worker hangs"
        return self._pipe.recv()

    def kill(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGKILL)
        self.join()

    def join(self) -> None:
        self._process.join(HUNG)
        self._process.close()
        self._pipe.close()

    def stop(self) -> None:
        self._pipe.send(False)
        self.join()


class Crew:
    """Processes that start together and send requests at the same time."""

    def __init__(self, sandbox: Sandbox, store: TokenStore, size: int = PROCESSES) -> None:
        self.sandbox, self.store = sandbox, store
        self.workers: list[Worker] = []
        self.add(size)

    def add(self, number: int) -> None:
        new = [Worker(self.sandbox, self.store) for _ in range(number)]
        assert {worker.answer() for worker in new} == {"ready"}
        self.workers += new

    def all_send(self) -> None:
        for worker in self.workers:
            worker.tell()

    def answers(self) -> set[Any]:
        return {worker.answer() for worker in self.workers}

    def kill(self, number: int) -> None:
        """Kills some processes by SIGKILL, at any moment of the work."""
        for worker in random.sample(self.workers, number):
            self.workers.remove(worker)
            worker.kill()


@contextmanager
def crew(sandbox: Sandbox, store: TokenStore, size: int = PROCESSES) -> Iterator[Crew]:
    crew = Crew(sandbox, store, size)
    yield crew
    for worker in crew.workers:
        worker.stop()


class FileToRead(FileTokenStore):
    def refresh_token(self) -> str:
        """The refresh token of the only user."""
        (token,) = json.loads(self.path.read_text())["tokens"].values()
        return token["refresh_token"]


class RedisToRead(RedisTokenStore):
    def __init__(self, url: str, **settings: float) -> None:
        super().__init__(url, **settings)
        self.url = url

    def refresh_token(self) -> str:
        with redis.Redis.from_url(self.url) as client:
            (name,) = client.keys("*:token")
            return json.loads(client.get(name))["refresh_token"]


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileToRead | RedisToRead:
    if request.param == "file":
        return FileToRead(tmp_path / "token.json")
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisToRead(server.url)


def test_sixteen_processes_sign_in_once_and_renew_once_for_each_expiry(
    sandbox: Sandbox, store: FileToRead | RedisToRead
) -> None:
    with crew(sandbox, store) as workers:
        for expiries in range(EXPIRIES + 1):
            workers.all_send()
            assert workers.answers() == {200}
            assert sandbox.count("token") == 1 + expiries
            assert store.refresh_token() == sandbox.refresh_token
            sandbox.expire_access_tokens()
            if expiries:  # between two renewals each token is stored
                workers.kill(2)
                workers.add(2)
    assert (sandbox.count("password"), sandbox.count("refresh_token")) == (1, EXPIRIES)
    assert sandbox.refused == 0


def test_each_killed_process_costs_at_most_one_sign_in(
    sandbox: Sandbox, store: FileToRead | RedisToRead
) -> None:
    """No request fails, whenever a process is killed.

    A process that is killed between the response and the save loses the new refresh token. The
    next process is refused once, and signs in by password. Or the server handles the request of a
    killed process after the request of the next process, and refuses the killed one.
    """
    if isinstance(store, RedisToRead):
        # A live process extends the lock each second. A busy machine may delay an extension.
        store = RedisToRead(store.url, lock_lasts=3 * LOCK_LASTS)
    kills = 0
    with crew(sandbox, store) as workers:
        for _ in range(EXPIRIES):
            workers.all_send()
            time.sleep(random.uniform(0, 0.15))  # each kill hits a different moment
            workers.kill(2)
            kills += 2
            assert workers.answers() == {200}
            workers.add(2)
            sandbox.expire_access_tokens()
        workers.all_send()
        assert workers.answers() == {200}
        assert store.refresh_token() == sandbox.refresh_token
    lost = len(sandbox.issued) - (EXPIRIES + 1)
    assert max(sandbox.refused, lost) <= kills


@pytest.mark.parametrize("lost", [False, True], ids=["before the grant", "after the grant"])
def test_process_killed_during_its_renewal_does_not_block_the_others(
    sandbox: Sandbox, store: FileToRead | RedisToRead, lost: bool
) -> None:
    if isinstance(store, RedisToRead):
        store = RedisToRead(store.url, lock_lasts=LOCK_LASTS)
    with crew(sandbox, store, 3) as workers:
        workers.all_send()
        assert workers.answers() == {200}
        sandbox.expire_access_tokens()
        # The response comes too late. A real response means that the token was issued.
        sandbox.inject(Fault(delay=HUNG, status=None if lost else 503), on="token")
        victim = workers.workers.pop()
        victim.tell()
        # the sandbox counts the request before issuing the token
        wait_until(lambda: sandbox.count("refresh_token") == 1 and len(sandbox.issued) == 1 + lost)
        victim.kill()
        workers.all_send()
        assert workers.answers() == {200}
        assert store.refresh_token() == sandbox.refresh_token
    assert sandbox.refused == lost
    assert sandbox.count("password") == 1 + lost


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(STEPS)), max_size=12))
def test_stored_refresh_token_is_always_the_last_issued_refresh_token(
    steps: list[tuple[int, str]],
) -> None:
    with TemporaryDirectory() as directory, Sandbox(machines=1) as sandbox, ExitStack() as stack:
        store = FileToRead(Path(directory) / "token.json")
        sessions = [
            stack.enter_context(IrisSession(**sandbox.settings, token_store=store))
            for _ in range(3)
        ]
        for session in sessions:
            session.verify = sandbox.ca_file
        for number, step in steps:
            run_step(step, sessions[number], sessions, sandbox)
            if sandbox.issued:
                assert store.refresh_token() == sandbox.refresh_token


def run_step(
    step: str, session: IrisSession, sessions: list[IrisSession], sandbox: Sandbox
) -> None:
    if step == "expire":
        sandbox.expire_access_tokens()
    elif step == "revoke":
        sandbox.revoke_refresh_tokens()
        sandbox.expire_access_tokens()
    elif step == "forget":
        session.token = {}
    elif step == "sign in":
        session.fetch_token()
    elif step == "refresh":
        with suppress(SettingError, InvalidGrantError):  # the refresh token is missing or revoked
            session.refresh_token()
    else:  # all at once: the system decides which session renews
        with ThreadPoolExecutor(len(sessions)) as pool:
            assert all(pool.map(lambda each: each.get(ASSETS).ok, sessions))
