"""A token_updater that sends requests, in the same thread or in a second thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from requests_iris import IrisSession, SettingError, TokenError
from requests_iris.sandbox import Fault, Sandbox

from ..support.clocks import SkippingClock
from ..support.waiting import wait_until

#: Seconds after which a thread that still waits is taken for stuck.
STUCK = 30


def test_an_updater_may_wait_for_another_thread(iris: IrisSession, sandbox: Sandbox) -> None:
    """Even with a token that expires at once, which the other thread would renew first."""
    answers: list[bool] = []

    def tell(token: dict[str, object]) -> None:
        other = threading.Thread(target=lambda: answers.append(iris.get("/echo").ok), daemon=True)
        other.start()
        other.join(STUCK)
        answers.append(not other.is_alive())

    iris.token_updater = tell
    sandbox.inject(Fault(expires_in=0), on="token")
    assert iris.get("/echo").ok
    assert answers == [True, True]


def test_a_request_of_the_updater_uses_the_new_token(iris: IrisSession, sandbox: Sandbox) -> None:
    answers: list[bool] = []
    iris.token_updater = lambda token: answers.append(iris.get("/echo").ok)
    sandbox.inject(Fault(expires_in=0), on="token")
    assert iris.get("/echo").ok
    assert answers == [True]
    assert sandbox.count("token") == 1


def test_the_next_sign_in_begins_after_the_updater_has_returned(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    asked: list[tuple[int, int]] = []

    def tell(token: dict[str, object]) -> None:
        before = sandbox.count("token")
        time.sleep(0.02)  # the others have time for a request
        asked.append((before, sandbox.count("token")))

    iris.token_updater = tell
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: iris.fetch_token(), range(16)))
    assert asked == [(number, number) for number in range(1, 17)]


@pytest.mark.parametrize("early", [False, True])
def test_an_error_of_the_updater_is_raised_and_the_token_is_kept(
    iris: IrisSession, sandbox: Sandbox, clock: SkippingClock, early: bool
) -> None:
    """Also an error of ours, although a failed early renewal is not raised."""

    def tell(token: dict[str, object]) -> None:
        raise SettingError("mine", setting="mine")

    iris.get("/echo")
    clock.sleep(3000 if early else 3600)
    iris.token_updater = tell
    with pytest.raises(SettingError, match="mine"):
        iris.get("/echo")
    assert iris.get("/echo").request.headers["Authorization"] == f"Bearer {sandbox.issued[1]}"


def test_a_token_that_is_rejected_while_the_updater_runs_is_renewed_after_the_updater(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    told, go_on = threading.Event(), threading.Event()

    def tell(token: dict[str, object]) -> None:
        told.set()
        assert go_on.wait(STUCK)

    iris.token_updater = tell
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(iris.get, "/echo")
        assert told.wait(STUCK)
        sandbox.revoke_access_tokens()
        other = pool.submit(iris.get, "/echo")
        give_up = time.monotonic() + STUCK
        while iris.counters["waits"] == 0:
            assert time.monotonic() < give_up
        go_on.set()
        assert other.result(STUCK).ok
        assert leader.result(STUCK).ok
    assert sandbox.count("token") == 2


@pytest.mark.parametrize("ask", [IrisSession.fetch_token, lambda iris: iris.get("/echo")])
def test_an_updater_that_waits_for_a_thread_that_waits_for_the_updater_is_an_error(
    iris: IrisSession,
    sandbox: Sandbox,
    clock: SkippingClock,
    ask: Callable[[IrisSession], object],
) -> None:
    """Not a deadlock: the thread asks for a newer token, which the updater gets after this one."""
    errors: list[BaseException | None] = []

    def tell(token: dict[str, object]) -> None:
        iris.token_updater = None
        sandbox.revoke_access_tokens()
        asking = ThreadPoolExecutor(1).submit(ask, iris)

        def has_ended() -> bool:
            clock.advance(1)
            return asking.done()

        wait_until(has_ended)
        errors.append(asking.exception())

    iris.token_updater = tell
    assert iris.get("/echo").ok
    (error,) = errors
    assert isinstance(error, TokenError)
    assert "token_updater" in str(error)


def test_a_token_request_that_needs_a_token_is_an_error_and_no_deadlock(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, *args, **kwargs):
            return iris.get("/echo")

    iris.mount(sandbox.token_url, Adapter())
    with pytest.raises(TokenError) as caught:
        iris.get("/echo")
    assert "A token request needs a token itself" in str(caught.value)
