"""Many threads on one session: one renewal for all of them, and nobody waits without need."""

from __future__ import annotations

import itertools
import linecache
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from requests import Response

from requests_iris import InvalidGrantError, IrisSession, SettingError, TokenResponseError
from requests_iris.sandbox import Fault, Sandbox

from ..support.clocks import SkippingClock

THREADS = 64
#: Seconds after which a thread that still waits is taken for stuck.
STUCK = 30


def at_once(work: Callable[[], Response]) -> list[Response]:
    """What `work` returns in each of the threads, which begin together."""
    start = threading.Barrier(THREADS, timeout=STUCK)

    def run() -> Response:
        start.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(run) for _ in range(THREADS)]
        return [future.result(STUCK) for future in futures]


def get(iris: IrisSession) -> Callable[[], Response]:
    return lambda: iris.get("/echo")


def held_until_another_thread_waits(iris: IrisSession) -> threading.Event:
    """Holds back token requests so long; what it returns is set when the first is to be sent."""
    asked, send = threading.Event(), iris._send_token_request

    def held_back(request, timeout):
        asked.set()
        while iris.counters["waits"] == 0:
            asked.wait(0)
        return send(request, timeout)

    iris._send_token_request = held_back  # type: ignore[method-assign]
    return asked


def test_a_cold_start_signs_in_once(iris: IrisSession, sandbox: Sandbox) -> None:
    assert all(response.ok for response in at_once(get(iris)))
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


def test_an_expiry_renews_once(iris: IrisSession, sandbox: Sandbox, clock: SkippingClock) -> None:
    iris.get("/echo")
    clock.sleep(3600)
    sandbox.expire_access_tokens()
    sandbox.forget()
    assert all(response.ok for response in at_once(get(iris)))
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


def test_a_revoked_token_is_replaced_once(iris: IrisSession, sandbox: Sandbox) -> None:
    """Each thread has its 401 before any of them renews."""
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    sandbox.forget()
    all_rejected = threading.Barrier(THREADS, timeout=STUCK)
    reject = iris._source.reject

    def reject_together(bearer) -> None:
        all_rejected.wait()
        reject(bearer)

    iris._source.reject = reject_together  # type: ignore[method-assign]
    assert all(response.ok for response in at_once(get(iris)))
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, THREADS)
    assert iris.counters["replays"] == THREADS


def test_a_late_401_for_an_old_token_renews_nothing(iris: IrisSession, sandbox: Sandbox) -> None:
    old = iris.get("/echo").request.headers["Authorization"]
    iris.fetch_token()
    sandbox.forget()
    iris._source.reject(old)
    assert iris.get("/echo").ok
    assert sandbox.count("token") == 0


def test_a_late_401_for_a_token_that_was_forgotten_changes_nothing(iris: IrisSession) -> None:
    old = iris.get("/echo").request.headers["Authorization"]
    iris.token = {}
    iris._source.reject(old)
    assert not iris.authorized
    assert iris.get("/echo").ok


@pytest.mark.parametrize("together", [True, False])
def test_who_has_seen_no_renewal_on_its_way_still_finds_the_one_there_is(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock, together: bool
) -> None:
    """Both threads find a stale token and nobody at it; then one comes in first, or is done."""
    iris.get("/echo")
    clock.sleep(3600)
    sandbox.forget()
    both, done = threading.Barrier(2, timeout=STUCK), threading.Event()
    looks = threading.local()

    def time() -> float:
        looks.count = getattr(looks, "count", 0) + 1
        if looks.count == 2:  # the look at what is held, and at who renews it, is over
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


def test_while_one_thread_renews_early_the_others_go_on(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock
) -> None:
    """The others finish while the renewal is held back, so that none of them can wait for it."""
    old = iris.get("/echo").request.headers["Authorization"]
    clock.sleep(3000)
    asked, let_go = threading.Event(), threading.Event()
    send = iris._send_token_request

    def held_back(request, timeout):
        asked.set()
        assert let_go.wait(STUCK)
        return send(request, timeout)

    iris._send_token_request = held_back  # type: ignore[method-assign]
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


def test_who_hears_of_a_failed_early_renewal_does_not_repeat_it(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock
) -> None:
    """By then the pause has begun, for other threads too: here the log asks at that very moment."""

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


def errors_of_leader_and_follower(iris: IrisSession) -> list[BaseException | None]:
    """What two threads raise, of which one waits for the token that the other asks for."""
    asked = held_until_another_thread_waits(iris)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.get, "/echo")
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        return [leader.exception(STUCK), follower.exception(STUCK)]


def test_who_waits_for_a_token_that_is_refused_hears_of_it_as_the_leader_does(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    """With an error of its own: two threads that raise one object write into one traceback."""
    sandbox.change_password("changed")
    errors = errors_of_leader_and_follower(iris)
    assert [type(error) for error in errors] == [InvalidGrantError] * 2
    assert errors[0] is not errors[1]
    assert errors[0].__cause__ is errors[1].__cause__ is not None
    assert sandbox.count("token") == 1


def test_who_waits_for_a_token_that_cannot_be_had_does_not_ask_for_it_again(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    sandbox.inject(Fault(status=404), on="token", times=2)
    errors = errors_of_leader_and_follower(iris)
    assert [type(error) for error in errors] == [TokenResponseError] * 2
    assert sandbox.count("token") == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda iris: iris.fetch_token(password="another's"),
        lambda iris: iris.refresh_token(refresh_token="another's"),
    ],
)
def test_who_waits_for_what_another_thread_has_asked_for_does_not_hear_that_it_is_refused(
    iris: IrisSession, sandbox: Sandbox, ask: Callable[[IrisSession], object]
) -> None:
    asked = held_until_another_thread_waits(iris)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, iris)
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        assert isinstance(leader.exception(STUCK), InvalidGrantError)
        assert follower.result(STUCK).ok
    assert sandbox.count("token") == 2


def test_who_waits_for_a_refresh_without_a_refresh_token_signs_in(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    asked, last_issued = threading.Event(), iris._source._last_issued

    def held_back():
        asked.set()
        while iris.counters["waits"] == 0:
            asked.wait(0)
        return last_issued()

    iris._source._last_issued = held_back  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.refresh_token)
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        assert isinstance(leader.exception(STUCK), SettingError)
        assert follower.result(STUCK).ok


def test_a_sign_in_that_another_thread_forestalls_is_made_all_the_same(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    """It has seen no renewal on its way; then one begins, and ends."""
    takes_lead = iris._source._takes_lead

    def forestalled(*arguments):
        iris._source._takes_lead = takes_lead  # type: ignore[method-assign]
        iris.fetch_token()
        return takes_lead(*arguments)

    iris._source._takes_lead = forestalled  # type: ignore[method-assign]
    assert iris.fetch_token()["access_token"] == sandbox.issued[1]
    assert sandbox.count("token") == 2


def test_a_sign_in_waits_for_a_renewal_and_does_not_mind_that_it_fails(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    asked, let_go = threading.Event(), threading.Event()
    send = iris._send_token_request

    def held_back(request, timeout):
        if not asked.is_set():
            asked.set()
            assert let_go.wait(STUCK)
        return send(request, timeout)

    sandbox.inject(Fault(status=404), on="token")
    iris._send_token_request = held_back  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        renewal = pool.submit(iris.get, "/echo")
        assert asked.wait(STUCK)
        waits = iris._source._flight.wait
        iris._source._flight.wait = lambda **kw: let_go.set() or waits(**kw)
        assert pool.submit(iris.fetch_token).result(STUCK)["access_token"] == sandbox.issued[-1]
        assert isinstance(renewal.exception(STUCK), TokenResponseError)
    assert sandbox.count("token") == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, CancelledError])
def test_who_waits_for_a_leader_that_is_stopped_renews_itself(
    iris: IrisSession, sandbox: Sandbox, error: type[BaseException]
) -> None:
    asked = threading.Event()
    send = iris._send_token_request

    def stopped_once(request, timeout):
        if asked.is_set():
            return send(request, timeout)
        asked.set()
        while iris._source._counts["waits"] == 0:
            asked.wait(0)
        raise error

    iris._send_token_request = stopped_once  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.get, "/echo")
        assert asked.wait(STUCK)
        follower = pool.submit(iris.get, "/echo")
        assert follower.result(STUCK).ok
        assert isinstance(leader.exception(STUCK), error)


def test_a_leader_that_is_stopped_at_any_line_leaves_nobody_waiting(iris: IrisSession) -> None:
    def is_stopped_at(line: int) -> bool:
        iris.token = {}
        lines = itertools.count(1)

        def interrupt(frame, event, arg):
            file = frame.f_code.co_filename
            if not file.endswith("source.py"):
                return None
            # the interpreter lets no signal in between the end of a block and the release of its
            # lock
            leaves_block = linecache.getline(file, frame.f_lineno).lstrip().startswith("with ")
            flight = iris._source._flight
            under_way = flight is not None and not flight.done()
            if event == "line" and under_way and not leaves_block and next(lines) == line:
                raise KeyboardInterrupt
            return interrupt

        def run() -> None:
            sys.settrace(interrupt)
            try:
                iris.get("/echo")
            finally:
                sys.settrace(None)

        with ThreadPoolExecutor(1) as pool:
            error = pool.submit(run).exception(STUCK)
            assert pool.submit(iris.get, "/echo").result(STUCK).ok
        assert error is None or isinstance(error, KeyboardInterrupt)
        return error is not None

    lines = itertools.takewhile(is_stopped_at, itertools.count(1))
    assert len(list(lines)) > 20, "a renewal takes more lines than that"
