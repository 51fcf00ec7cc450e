"""Many threads share one session: one renewal for all, and no thread waits without need."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from requests import Response
from requests.adapters import HTTPAdapter

from requests_iris import (
    FileTokenStore,
    InvalidGrantError,
    IrisSession,
    SettingError,
    TokenResponseError,
    TokenTimeoutError,
)
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.source import TOKEN_TIMEOUT

from ..support.adapters import Before
from ..support.clocks import SkippingClock
from ..support.waiting import wait_until

THREADS = 64
#: Seconds after which a waiting thread counts as stuck.
STUCK = 30


def at_once(work: Callable[[], Response]) -> list[Response]:
    """The results of `work` in all threads, which begin together."""
    start = threading.Barrier(THREADS, timeout=STUCK)

    def run() -> Response:
        start.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(run) for _ in range(THREADS)]
        return [future.result(STUCK) for future in futures]


def get(iris: IrisSession) -> Callable[[], Response]:
    return lambda: iris.get("/echo")


def held_until_another_thread_waits(iris: IrisSession, sandbox: Sandbox) -> threading.Event:
    """Holds token requests back until an event. A second event says that a request waits."""
    asked = threading.Event()

    def hold() -> None:
        asked.set()
        wait_until(lambda: iris.counters["waits"] > 0)

    iris.mount(sandbox.token_url, Before(hold))
    return asked


def test_threads_that_start_together_sign_in_once(iris: IrisSession, sandbox: Sandbox) -> None:
    assert all(response.ok for response in at_once(get(iris)))
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


def test_threads_that_meet_an_expired_token_renew_once(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock
) -> None:
    iris.get("/echo")
    clock.sleep(3600)
    sandbox.expire_access_tokens()
    sandbox.forget()
    assert all(response.ok for response in at_once(get(iris)))
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


class After401(HTTPAdapter):
    """Holds each 401 back until every thread has a 401."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=THREADS)
        self.all_rejected = threading.Barrier(THREADS, timeout=STUCK)

    def send(self, *args, **kwargs) -> Response:
        response = super().send(*args, **kwargs)
        if response.status_code == 401:
            self.all_rejected.wait()
        return response


def test_64_threads_that_get_a_401_renew_once(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    sandbox.forget()
    iris.mount(sandbox.base_url, After401())
    assert all(response.ok for response in at_once(get(iris)))
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, THREADS)
    assert iris.counters["replays"] == THREADS


@pytest.mark.parametrize("meanwhile", ["renewed", "forgotten"])
def test_a_late_401_for_an_old_token_rejects_no_newer_token(
    iris: IrisSession, sandbox: Sandbox, meanwhile: str
) -> None:
    """The 401 arrives when another thread has renewed the token, or the program forgot it."""

    class Late(HTTPAdapter):
        def send(self, *args, **kwargs) -> Response:
            response = super().send(*args, **kwargs)
            if response.status_code == 401:
                iris.token = {}
                if meanwhile == "renewed":
                    iris.fetch_token()
                sandbox.forget()
            return response

    iris.get("/echo")
    sandbox.revoke_access_tokens()
    iris.mount(sandbox.base_url, Late())
    assert iris.get("/echo").ok
    assert sandbox.count("token") == (0 if meanwhile == "renewed" else 1)


@pytest.mark.parametrize("together", [True, False])
def test_two_threads_that_see_no_renewal_under_way_renew_once(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock, together: bool
) -> None:
    """Both threads have found an expired token and no leader when the first begins to lead."""
    iris.get("/echo")
    clock.sleep(3600)
    sandbox.forget()
    both, done = threading.Barrier(2, timeout=STUCK), threading.Event()
    looks = threading.local()

    def time() -> float:
        looks.count = getattr(looks, "count", 0) + 1
        if looks.count == 2:  # both threads have checked the token and the renewal under way
            first = both.wait() == 0
            assert first or together or done.wait(STUCK)
        return SkippingClock.time(clock)

    def get(_: int) -> bool:
        ok = iris.get("/echo").ok
        done.set()
        return ok

    clock.time = time  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(get, range(2), timeout=STUCK))
    assert sandbox.count("token") == 1


def test_other_threads_use_the_expiring_token_during_an_early_renewal(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock
) -> None:
    """The threads finish while the renewal is held back, so no thread waits."""
    old = iris.get("/echo").request.headers["Authorization"]
    clock.sleep(3000)
    asked, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        assert let_go.wait(STUCK)

    iris.mount(sandbox.token_url, Before(hold))
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(iris.get, "/echo")
        try:
            assert asked.wait(STUCK)
            others = at_once(get(iris))
            assert not renewing.done()
        finally:
            let_go.set()
        assert renewing.result(STUCK).request.headers["Authorization"] != old
    assert {response.request.headers["Authorization"] for response in others} == {old}
    assert iris.counters["waits"] == 0


def test_a_failed_early_renewal_is_tried_again_after_the_pause(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock
) -> None:
    iris.get("/echo")
    clock.sleep(3000)
    sandbox.forget()
    sandbox.inject(Fault(status=404), on="token", times=2)
    assert all(response.ok for response in at_once(get(iris)))
    assert sandbox.count("token") == 1
    clock.sleep(29)
    assert iris.get("/echo").ok
    assert sandbox.count("token") == 1
    clock.sleep(12)
    assert iris.get("/echo").ok
    assert sandbox.count("token") == 2


def test_a_failed_early_renewal_is_not_repeated_by_a_log_handler(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock
) -> None:
    """The pause begins before the failure is logged."""

    class Asking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert iris.get("/echo").ok

    iris.get("/echo")
    clock.sleep(3000)
    sandbox.forget()
    sandbox.inject(Fault(status=404), on="token", times=2)
    log, asking = logging.getLogger("requests_iris"), Asking(logging.WARNING)
    log.addHandler(asking)
    try:
        assert iris.get("/echo").ok
    finally:
        log.removeHandler(asking)
    assert (sandbox.count("token"), sandbox.count("api")) == (1, 2)


def errors_of_leader_and_follower(
    iris: IrisSession, sandbox: Sandbox
) -> list[BaseException | None]:
    """The errors of two threads: the leader asks for a token, and the second thread waits for the
    token."""
    asked = held_until_another_thread_waits(iris, sandbox)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.get, "/echo")
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        return [leader.exception(STUCK), follower.exception(STUCK)]


def test_a_waiting_thread_gets_the_refusal_of_the_leader(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    """As a copy: if two threads raised the same object, both would write to the same traceback."""
    sandbox.change_password("changed")
    errors = errors_of_leader_and_follower(iris, sandbox)
    assert [type(error) for error in errors] == [InvalidGrantError] * 2
    assert errors[0] is not errors[1]
    assert sandbox.count("token") == 1


def test_a_waiting_thread_gets_the_fault_of_the_leader_and_sends_no_token_request(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    sandbox.inject(Fault(status=404), on="token", times=2)
    errors = errors_of_leader_and_follower(iris, sandbox)
    assert [type(error) for error in errors] == [TokenResponseError] * 2
    assert sandbox.count("token") == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda iris: iris.fetch_token(password="another's"),
        lambda iris: iris.refresh_token(refresh_token="another's"),
    ],
)
def test_a_refusal_of_the_arguments_of_a_caller_concerns_that_caller_only(
    iris: IrisSession, sandbox: Sandbox, ask: Callable[[IrisSession], object]
) -> None:
    asked = held_until_another_thread_waits(iris, sandbox)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, iris)
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        assert isinstance(leader.exception(STUCK), InvalidGrantError)
        assert follower.result(STUCK).ok
    assert sandbox.count("token") == 2


def test_a_thread_that_waits_for_a_refresh_without_a_refresh_token_signs_in(
    sandbox: Sandbox, tmp_path
) -> None:
    """The store holds the leader back, until the other thread waits."""
    asked = threading.Event()

    class Holding(FileTokenStore):
        def load(self, key):
            if not asked.is_set():
                asked.set()
                wait_until(lambda: iris.counters["waits"] > 0)
            return super().load(key)

    iris = IrisSession(**sandbox.settings, token_store=Holding(tmp_path / "token.json"))
    iris.verify = sandbox.ca_file
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.refresh_token)
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        assert isinstance(leader.exception(STUCK), SettingError)
        assert follower.result(STUCK).ok


def test_a_sign_in_waits_for_a_renewal_and_does_not_mind_that_the_renewal_fails(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        if not asked.is_set():
            asked.set()
            assert let_go.wait(STUCK)

    sandbox.inject(Fault(status=404), on="token")
    iris.mount(sandbox.token_url, Before(hold))
    with ThreadPoolExecutor(2) as pool:
        renewal = pool.submit(iris.get, "/echo")
        assert asked.wait(STUCK)
        sign_in = pool.submit(iris.fetch_token)
        assert not sign_in.done()
        let_go.set()
        assert sign_in.result(STUCK)["access_token"] == sandbox.issued[-1]
        assert isinstance(renewal.exception(STUCK), TokenResponseError)
    assert sandbox.count("token") == 2
    assert sandbox.max_concurrent_token_requests == 1


class TimeLimit(Exception):
    """As Celery's soft limit, or a test tool's own."""


@pytest.mark.parametrize(
    "error",
    [
        *(KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError),
        *(TimeLimit, AssertionError, ValueError, RuntimeError, MemoryError, KeyError("mine")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("where", ["adapter", "clock"])
def test_an_exception_of_the_renewing_thread_concerns_that_thread_only(
    sandbox: Sandbox, error: type[BaseException], where: str
) -> None:
    """If two threads wait, the first renews, and both get the token."""
    struck = threading.Event()

    def strike() -> None:
        if not struck.is_set():
            wait_until(lambda: iris.counters["waits"] >= 2)
            struck.set()
            raise error

    class Striking(SkippingClock):
        def sleep(self, seconds: float) -> None:
            strike()
            super().sleep(seconds)

    iris = IrisSession(**sandbox.settings, clock=Striking())
    iris.verify = sandbox.ca_file
    if where == "adapter":
        iris.mount(sandbox.token_url, Before(strike))
    else:
        sandbox.inject(Fault(status=503), on="token")
    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(iris.get, "/echo")
        wait_until(lambda: iris.counters["password"] == 1)
        followers = [pool.submit(iris.get, "/echo") for _ in range(2)]
        assert all(follower.result(STUCK).ok for follower in followers)
        raised = leader.exception(STUCK)
    assert raised is error or type(raised) is (error if isinstance(error, type) else type(error))
    assert len(sandbox.issued) == 1


def test_an_alarm_in_the_renewing_thread_is_raised_there_unchanged(iris, sandbox) -> None:
    """A time limit by a signal, whose handler raises even an OSError."""

    def alarm(*_: object) -> None:
        raise TimeoutError("mine")

    sandbox.inject(Fault(delay=STUCK), on="token")
    before = signal.signal(signal.SIGALRM, alarm)

    def strike() -> None:
        wait_until(lambda: sandbox.count("token") == 1)
        os.kill(os.getpid(), signal.SIGALRM)

    striking = threading.Thread(target=strike)
    try:
        striking.start()
        with pytest.raises(TimeoutError, match="^mine$"):
            iris.get("/echo")
        striking.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert iris.get("/echo").ok


def test_a_thread_that_waits_in_vain_gets_an_error_soon_after_the_deadline(
    sandbox: Sandbox, clock: SkippingClock
) -> None:
    """The leader hangs in a part without a deadline: here, in the lock of a store."""
    let_go = threading.Event()

    class Hanging:
        @contextmanager
        def lock(self, key, wait):
            let_go.wait(STUCK)
            yield

        def load(self, key): ...
        def save(self, key, token): ...

    iris = IrisSession(**sandbox.settings, token_store=Hanging(), clock=clock)
    iris.verify = sandbox.ca_file
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.get, "/echo")
        follower = pool.submit(iris.get, "/echo")
        errors = []
        try:
            wait_until(lambda: iris.counters["waits"] == 1)
            assert not follower.done()
            clock.advance(TOKEN_TIMEOUT + 60)
            wait_until(lambda: leader.done() or follower.done())
        finally:
            let_go.set()
        for each in (leader, follower):
            errors.append(each.exception(STUCK))
    assert sorted(type(error) for error in errors if error) == [TokenTimeoutError]


# the interrupt may strike the thread of a token request before its first step
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_an_interrupt_at_any_moment_leaves_nobody_waiting(
    sandbox: Sandbox, tmp_path, early: bool, stored: bool
) -> None:
    """Interrupts strike the leader at random moments. The next thread always gets a token.

    `INTERRUPTS=1000 pytest -k interrupt` tries more of them. The default run tries 40.
    """
    clock, store = SkippingClock(), FileTokenStore(tmp_path / "token.json")
    iris = IrisSession(**sandbox.settings, clock=clock, token_store=store if stored else False)
    iris.verify = sandbox.ca_file
    random_moment = random.Random(early)
    struck = 0
    for _ in range(int(os.environ.get("INTERRUPTS", 40)) // 2):
        if early:
            clock.sleep(3000)
        else:
            iris.token = {}
        started, over, error = threading.Event(), threading.Event(), []

        def work(started=started, over=over, error=error) -> None:
            try:
                started.set()
                for _ in range(3):
                    iris.fetch_token() if early else iris.get("/echo")
                    iris.token = iris.token if early else {}
                while not over.is_set():  # kept alive, so its number stays taken
                    time.sleep(0.001)
            except Interrupt as interrupt:
                error.append(interrupt)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert started.wait(STUCK)
        time.sleep(random_moment.uniform(0, 0.05))
        interrupt_thread(thread)
        with ThreadPoolExecutor(2) as pool:
            for response in pool.map(iris.get, ["/echo"] * 2, timeout=STUCK):
                assert response.ok
        over.set()
        thread.join(STUCK)
        assert not thread.is_alive()
        struck += len(error)
        error.clear()  # an error in the hands of a caller keeps the frames that it left
        with store.lock("", STUCK):  # nobody holds the lock of the file any more
            pass
    assert struck > 5
    iris.close()
    gc.collect()  # a socket that an interrupt has cut off is reported here, and not to another test


def test_an_interrupt_before_the_release_of_a_lock_does_not_keep_the_lock(
    sandbox: Sandbox,
) -> None:
    class Store:
        held = struck = False

        def lock(self, key, wait):
            return self

        def __enter__(self):
            assert not self.held
            self.held = True

        def __exit__(self, *_):
            if not self.struck:
                self.struck = True
                raise KeyboardInterrupt
            self.held = False

        def load(self, key): ...
        def save(self, key, token): ...

    store = Store()
    with IrisSession(**sandbox.settings, token_store=store) as iris:
        iris.verify = sandbox.ca_file
        with pytest.raises(KeyboardInterrupt):
            iris.fetch_token()
        assert store.struck
        assert not store.held
        assert iris.fetch_token()


class Interrupt(BaseException):
    """As Ctrl-C, in a thread that need not be the main thread."""


def interrupt_thread(thread: threading.Thread) -> None:
    identity = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(Interrupt))
