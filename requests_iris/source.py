"""The token in use: fresh, expiring or expired, and renewed in time.

A request with a fresh token takes no lock and does no I/O. The token is an immutable value.
A new token replaces the former token in one assignment.
"""

from __future__ import annotations

import copy
import functools
import logging
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

from .clock import Clock
from .credentials import Credentials
from .errors import (
    IrisError,
    SettingError,
    TokenError,
    TokenRefusedError,
    TokenResponseError,
    TokenTimeoutError,
    TokenUnreachableError,
)
from .forks import register
from .grants import GRANTS, Grant
from .quota import owner_of
from .rejections import Rejections
from .renewal import Identity, Renewal
from .secret import Bearer, Secret
from .sharing import Busy
from .single_flight import Flight, SingleFlight
from .stores import TokenStore
from .token import Token
from .token_endpoint import Send, TokenEndpoint

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger("requests_iris")

#: Seconds for one token request, with all retries and pauses.
TOKEN_TIMEOUT = 30.0
#: Seconds from a failed early renewal to the next early renewal. Up to 30 % are added at random.
EARLY_RENEWAL_PAUSE = 30.0
#: Seconds that a waiting thread adds to a deadline, because a busy machine is slow.
GRACE = 1.0
#: The counters: token requests by grant, tokens issued, resends after a 401, waits for a token.
COUNTERS = (*GRANTS, "tokens", "replays", "waits")
#: Errors that the token endpoint or the network caused. Every waiting thread raises a copy.
SHARED = (TokenRefusedError, TokenResponseError, TokenUnreachableError)
#: The errors to share if one caller passed the credentials: a refusal concerns the caller only.
SHARED_UNLESS_REFUSED = (TokenResponseError, TokenUnreachableError)

#: Called with each new token, as a dict.
Updater = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class _Held:
    """The token in use, with the times computed in advance.

    :ivar number: the tokens issued to this session are numbered from 1. An assigned token and a
        token from a store have the number 0.
    """

    token: Token
    bearer: Bearer
    expiring_at: float
    expired_at: float
    number: int = 0


def _with_few_frames(method: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Removes the frames of `method` from the traceback of an error of this library.

    The message names the fault and the remedy. The frames of a renewal do not help a user.
    """

    @functools.wraps(method)
    def call(*args: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return method(*args, **named)
        except IrisError as error:
            raise error.with_traceback(None)  # noqa: B904 - its own cause and context stay

    return call


class TokenSource:
    """Holds the token of a session, and renews the token.

    Threads may share a TokenSource. `_held` is replaced in a single assignment. `_guard` is held
    while a change depends on the value before, and never during I/O.

    :ivar credentials: the credentials of the next token request. Can be replaced at any time.
    :ivar scope: the words of the scope in token requests.
    :ivar grant: how the session signs in.
    :ivar updater: called with each new token, as a dict, in the thread that renewed the token.
    :ivar issued: number of tokens that the token endpoint has issued.
    :ivar rejections: the kinds of path whose 401s are final.
    """

    def __init__(
        self,
        endpoints: Mapping[str, TokenEndpoint],
        credentials: Credentials,
        scope: tuple[str, ...],
        grant: Grant,
        *,
        leeway: float,
        token_timeout: float = TOKEN_TIMEOUT,
        store: TokenStore | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = {
            "endpoints": endpoints,
            "leeway": leeway,
            "token_timeout": token_timeout,
            "store": store,
            "clock": clock,
        }
        self.credentials = credentials
        self.scope = scope
        self.grant = grant
        self.updater: Updater | None = None
        self.issued = 0
        self._leeway = leeway
        self._clock = clock or Clock()
        self._renewal = Renewal(
            endpoints,
            leeway=leeway,
            token_timeout=token_timeout,
            store=store,
            clock=self._clock,
            count=self.count,
        )
        self._flights: SingleFlight[Token] = SingleFlight(self._clock)
        self.rejections = Rejections(self._clock)
        self._held: _Held | None = None
        self._early_from = -math.inf
        self._counts: Counter[str] = Counter()
        self._owned: tuple[Credentials, Grant, str] | None = None
        self._guard = threading.Lock()
        register(self)

    def reset_after_fork(self) -> None:
        """A forked child has a single thread, so the child begins with free locks."""
        self._guard = threading.Lock()
        self._flights.reset_after_fork()
        self.rejections.reset_after_fork()

    def __getstate__(self) -> dict[str, Any]:
        """The settings and the token. Counters, pauses and threads belong to this process."""
        settings = {
            **self._settings,
            "credentials": self.credentials,
            "scope": self.scope,
            "grant": self.grant,
        }
        return {"settings": settings, "updater": self.updater, "token": self.token}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["settings"])  # type: ignore[misc]
        self.updater = state["updater"]
        self.token = state["token"]

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened: see :attr:`IrisSession.counters`."""
        with self._guard:
            return {name: self._counts[name] for name in COUNTERS}

    def count(self, name: str) -> None:
        with self._guard:
            self._counts[name] += 1

    @property
    def owner(self) -> str:
        """Whose slots of a quota the requests take: the API User's, or the API key's.

        The owner is kept for the credentials in use, in one assignment: each request asks.
        """
        credentials, grant, owned = self.credentials, self.grant, self._owned
        if owned is None or owned[0] is not credentials or owned[1] is not grant:
            user = None if grant.is_key else credentials.username
            owner = owner_of(username=user, client_id=credentials.client_id)
            owned = self._owned = credentials, grant, owner
        return owned[2]

    @property
    def token_url(self) -> str:
        """The token endpoint in force."""
        return self.url_of(self.grant)

    def url_of(self, grant: Grant) -> str:
        """The token endpoint for `grant`."""
        return self._renewal.endpoints[grant.name].url

    @property
    def token(self) -> Token | None:
        """The token in use, of any age."""
        held = self._held
        return held.token if held else None

    @token.setter
    def token(self, token: Token | None) -> None:
        if token is not None and self.grant.is_key:
            token = replace(token, refresh_token=None)  # an API key has no refresh token
        self._hold(token)
        self._renewal.forget_refusal()

    def _hold(self, token: Token | None, number: int = 0) -> None:
        held = None
        if token is not None:
            times = token.expiring_at, token.expired_at(self._leeway)
            held = _Held(token, token.bearer, *times, number)
        with self._guard:
            self._held = held

    @property
    def age(self) -> str:
        """``fresh``, ``expiring``, ``expired``, ``rejected``, or ``none`` without a token."""
        held, now = self._held, self._clock.time()
        if held is None:
            return "none"
        if held.expired_at == -math.inf:
            return "rejected"
        if now >= held.expired_at:
            return "expired"
        return "expiring" if now >= held.expiring_at else "fresh"

    def bearer(self, send: Send) -> Bearer:
        """The ``Authorization`` header for a request that is sent now.

        :param send: sends a token request, if a token is needed.
        :raises MissingSettingError: if a token is needed and a credential is missing.
        :raises TokenError: if a token is needed and the token endpoint gave no token.
        """
        held = self._held
        if held is not None and self._clock.time() < held.expiring_at:
            return held.bearer
        return self._renew_or_wait(send)

    def reject(self, bearer: Bearer, url: str) -> bool:
        """Records that an API rejected `bearer`. Returns whether a new token can help.

        If a newer token has replaced `bearer`, the newer token stays in use.
        """
        if self.rejections.are_final(url):
            return False
        self._renewal.rejected.append(bearer)
        with self._guard:
            held = self._held
            if held is not None and held.bearer == bearer:
                self._held = replace(held, expiring_at=-math.inf, expired_at=-math.inf)
        return True

    def accept(self, url: str) -> None:
        """Records that an API accepted a token. Nearly always a single test of an empty set."""
        if self.rejections:
            self.rejections.forget(url)

    def reject_resend(self, bearer: Bearer, url: str, issued_before: int) -> bool:
        """Records that a resend with `bearer` was rejected. Returns whether a second can help.

        A second resend can help if the token was issued before the first request was sent, as a
        token from a store may be.

        :param issued_before: :attr:`issued` when the rejected request was sent.
        """
        held = self._held
        if held is None or held.bearer != bearer:
            return held is not None  # a different thread has replaced the token
        is_new = held.number > issued_before
        if is_new:
            self.rejections.add(url, bearer, self.grant.name)
        return not is_new

    @_with_few_frames
    def sign_in(self, credentials: Credentials, grant: Grant, send: Send) -> Token:
        """A new token by `grant`, even if the session has a fresh token.

        Afterwards the session uses `credentials` and `grant`. If the token endpoint refuses, the
        session keeps the former credentials and grant. If a credential is missing, the session
        keeps the former grant.
        """

        def renew() -> Token:
            before = self.credentials, self.grant
            self.credentials, self.grant = credentials, grant
            try:
                return self._renewal.sign_in(self._identity, send)
            except TokenRefusedError:
                self.credentials, self.grant = before
                raise
            except SettingError:
                self.grant = before[1]
                raise

        return self._run_exclusively(renew)

    @_with_few_frames
    def refresh(self, refresh_token: Secret | None, send: Send) -> Token:
        """A new token by the refresh_token grant.

        :param refresh_token: by default the refresh token issued last.
        """
        return self._run_exclusively(
            lambda: self._renewal.refresh(self._identity, self.token, refresh_token, send)
        )

    @property
    def _identity(self) -> Identity:
        return Identity(self.credentials, self.scope, self.grant)

    @_with_few_frames
    def _renew_or_wait(self, send: Send) -> Bearer:
        """The ``Authorization`` header, if the token is expiring, expired or missing.

        1. An expiring token is used during a renewal, and shortly after a failed renewal.
        2. Otherwise one thread renews the token.
        3. The threads without an unexpired token wait for the renewing thread.
        """
        deadline = self._clock.monotonic() + 2 * self._renewal.seconds
        while True:
            held, flight, now = self._held, self._flights.current, self._clock.time()
            unexpired = held if held and now < held.expired_at else None
            pauses = self._clock.monotonic() < self._early_from
            if unexpired and (flight or pauses or now < unexpired.expiring_at):
                return unexpired.bearer
            if flight is None:
                bearer = self._lead(held, unexpired, send)
                if bearer is not None:
                    return bearer
            elif flight.is_own and held:
                return held.bearer  # the updater sends a request, which carries the new token
            else:
                self.count("waits")
                token = self._result_of(flight)
                if token is not None and self._is_usable(token):
                    return token.bearer
                self._wait_until_ended(flight)
            if self._clock.monotonic() > deadline:
                raise TokenTimeoutError("No thread could renew the token in time. Try again later.")

    def _lead(self, held: _Held | None, unexpired: _Held | None, send: Send) -> Bearer | None:
        """Renews the token. If the present token is unexpired, a failure is only logged.

        Returns None if a different thread was faster.
        """
        try:
            token = self._renew_exclusively(held, early=unexpired is not None, send=send)
        except Busy:
            log.debug("Another process renews the token.")
        except IrisError as error:
            # the renewal may have succeeded, and the updater failed
            if unexpired is None or self.token is not unexpired.token:
                raise
            log.warning("Token %s was not renewed early: %s", unexpired.token.fingerprint, error)
        else:
            return token.bearer if token else None
        return unexpired.bearer  # type: ignore[union-attr]

    def _renew_exclusively(self, held: _Held | None, *, early: bool, send: Send) -> Token | None:
        def renew() -> Token:
            known = held.token if held else None
            if not early:
                return self._renewal.renew(self._identity, known, send, wait=True)
            try:
                return self._renewal.renew(self._identity, known, send, wait=False)
            except BaseException:
                # The pause begins before the flight ends, so that the next thread sees the pause.
                pause = EARLY_RENEWAL_PAUSE * random.uniform(1, 1.3)  # noqa: S311
                self._early_from = self._clock.monotonic() + pause
                raise

        return self._fly(renew, lambda: self._held is held, SHARED)

    def _run_exclusively(self, renew: Callable[[], Token]) -> Token:
        """Calls `renew` as the leader. A running renewal ends first."""
        deadline = self._clock.monotonic() + 2 * self._renewal.seconds
        while True:
            token = self._fly(renew, lambda: True, SHARED_UNLESS_REFUSED)
            if token is not None:
                return token
            flight = self._flights.current
            if flight is not None:
                self._wait_until_ended(flight)
            if self._clock.monotonic() > deadline:
                raise TokenTimeoutError("Other threads keep renewing the token. Try again later.")

    def _fly(
        self,
        renew: Callable[[], Token],
        still_needed: Callable[[], bool],
        shared: tuple[type[Exception], ...],
    ) -> Token | None:
        """Renews as the leader, and calls the updater. Returns None if a different thread leads.

        The updater is called last, because the updater may wait for a thread that waits for the
        token. A token from the store is not passed to the updater.
        """

        def work(flight: Flight[Token]) -> None:
            self._renewal.age_before = self.age
            token = renew()
            self._adopt(token)
            flight.settle(token)
            if self.updater is not None and not self._renewal.is_from_store(token):
                self.updater(token.as_dict())

        flight = self._flights.lead(
            work, seconds=self._renewal.seconds, still_needed=still_needed, shared=shared
        )
        return None if flight is None else flight.result

    def _adopt(self, token: Token) -> None:
        known = self.token
        if self._renewal.is_from_store(token):
            self._hold(token)
            return
        self.issued += 1  # only the leader changes `issued`
        self._hold(token, self.issued)
        self._renewal.forget_refusal()
        self.count("tokens")
        is_news = known is None or known.scope != token.scope
        if is_news and token.scope and set(token.scope) != set(self.scope):
            log.warning(
                "The token endpoint granted the scope %r. The session asked for %r.",
                " ".join(token.scope),
                " ".join(self.scope),
            )

    def _is_usable(self, token: Token) -> bool:
        """Whether no API has rejected the token since the flight ended."""
        held = self._held
        return not (held and held.token is token and held.expired_at == -math.inf)

    def _result_of(self, flight: Flight[Token]) -> Token | None:
        """The new token of a different thread, or None after an interrupt in the renewing thread.

        :raises TokenError: as a copy for this thread, if the token endpoint or the network failed.
        """
        if flight.is_own:
            raise TokenError(
                "A token request needs a token itself. Send token requests without this session, "
                "or to a host that is not in allowed_hosts."
            )
        if not flight.settled.wait(self._clock, flight.deadline + GRACE):
            raise TokenTimeoutError(
                "Another thread's token request did not end in time. Try again later."
            )
        if flight.error is not None:
            raise copy.copy(flight.error) from flight.error.__cause__
        return flight.result

    def _wait_until_ended(self, flight: Flight[Token]) -> None:
        """Waits for the end of a renewal, with the updater.

        The wait is bounded, because the updater may wait for this thread.
        """
        if flight.is_own:
            raise TokenError(
                "token_updater was called with a new token, and tried to renew the token again. "
                "Renew outside of token_updater."
            )
        seconds = self._renewal.token_timeout
        if not flight.settled.wait(self._clock, flight.deadline + GRACE) or not flight.ended.wait(
            self._clock, self._clock.monotonic() + seconds
        ):
            raise TokenTimeoutError(
                f"token_updater has not returned for {seconds:g} s. Make token_updater faster."
            )
