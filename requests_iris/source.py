"""Where the current token comes from: it is used while it is fresh, and renewed in time.

Threads share a source: the token is an immutable value, replaced in one assignment, and whoever
finds it fresh reads it without the lock, which is held for such assignments only, never for I/O.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from requests import PreparedRequest, Response

from .clock import Clock
from .credentials import Credentials
from .errors import InvalidClientError, IrisError, SettingError, TokenError, TokenRefusedError
from .forks import register
from .secret import Bearer, Secret
from .sharing import Busy, Sharing, Stored
from .stores import TokenStore, key_of
from .token import Token
from .token_endpoint import Send, TokenEndpoint

log = logging.getLogger("requests_iris")

#: Seconds after which a call to the token endpoint gives up, its repetitions included.
TOKEN_TIMEOUT = 30.0
#: Seconds to wait for a store's lock: longer than a renewal that another process may be making, and
#: than Redis keeps the lock of a process that has died.
LOCK_WAIT = 20.0
#: Seconds before an early renewal that failed is tried again (and jitter).
EARLY_RENEWAL_PAUSE = 30.0
#: Seconds for which credentials that were refused are not tried again.
REFUSAL_LASTS = 60.0
#: What is counted: token requests by grant, tokens got, requests replayed, waits for a token.
COUNTERS = ("password", "refresh_token", "tokens", "replays", "waits")

#: Called with each new token, as a dict.
Updater = Callable[[dict[str, Any]], object]
#: Asks for a token until a deadline on the monotonic clock.
Grant = Callable[[float], Token]
#: A whole renewal, the store included.
Renewal = Callable[[], Token]
#: What a grant is made of, besides the credentials: a scope, or a token to refresh.
Subject = TypeVar("Subject")


@dataclass(frozen=True)
class _Held:
    """The token in use, and its times worked out once."""

    token: Token
    bearer: Bearer
    expiring_at: float
    expired_at: float


@dataclass(frozen=True)
class _Refusal:
    """Who asked for what and was refused, and until when that is not asked again."""

    asked: tuple[Credentials, tuple[str, ...]]
    error: TokenRefusedError
    until: float


class _Flight(Future[Token]):
    """A renewal on its way, the only one: its leader makes it, the others wait for the result."""

    def __init__(self) -> None:
        super().__init__()
        self.leader = threading.get_ident()
        #: Set when the updater has been told, too.
        self.over = threading.Event()

    def fail(self, error: BaseException) -> None:
        # what stops the leader, such as Ctrl-C, or the end of the walk that it works for, is not
        # meant for the others: they try themselves; so they do if it left the renewal to another
        # process, since for them the token may be over
        if isinstance(error, Exception) and not isinstance(error, (Busy, CancelledError)):
            self.set_exception(error)
        else:
            self.cancel()

    def wait(self, *, raise_error: bool = True) -> Token | None:
        """What the leader got: the token or, as a copy for this thread, the error; or None."""
        if self.leader == threading.get_ident():
            raise TokenError("a request needs the token that its own thread is about to get")
        try:
            error = self.exception()
        except CancelledError:
            return None
        if error is None:
            return self.result()
        if raise_error:
            raise copy.copy(error) from error.__cause__
        return None

    def wait_until_over(self, seconds: float) -> None:
        """Until the updater has been told, too. Not for ever: it may wait for this thread."""
        if not self.over.wait(seconds):
            raise TokenError(f"token_updater has not come to its end for {seconds:g} seconds")


class TokenSource:
    """Holds the token of one API User and renews it.

    :ivar credentials: who signs in; may be replaced at any time.
    :ivar scope: the words of the scope that the password grant asks for.
    :ivar updater: called with each new token, as a dict, by the thread that got it.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        credentials: Credentials,
        scope: tuple[str, ...],
        *,
        leeway: float,
        token_timeout: float = TOKEN_TIMEOUT,
        store: TokenStore | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> None:
        self.credentials = credentials
        self.scope = scope
        self.updater: Updater | None = None
        self._endpoint = endpoint
        self._leeway = leeway
        self._token_timeout = token_timeout
        self._environ = environ
        self._clock = clock or Clock()
        self._sharing = Sharing(store)
        self._held: _Held | None = None
        self._start_anew()

    def __getstate__(self) -> dict[str, Any]:
        # what belongs to this process: threads, a monotonic clock, an environment
        left_out = {"_guard", "_flight", "_early_from", "_refusal", "_counts", "_environ"}
        left_out |= {"_rejected", "_found"}  # known again after one 401; one flight's
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._environ = os.environ
        if self._held is not None:  # a Bearer is pickled as its fingerprint
            self._held = replace(self._held, bearer=self._held.token.bearer)
        self._start_anew()

    def _start_anew(self) -> None:
        self._refusal: _Refusal | None = None
        self._early_from = -math.inf
        self._counts: Counter[str] = Counter()
        # what a store may still hold, and must not be taken from there
        self._rejected: deque[Bearer] = deque(maxlen=16)
        self._found: Token | None = None  # the last one taken from a store
        self.reset_after_fork()
        register(self)

    def reset_after_fork(self) -> None:
        """With no other thread in here: so it is at the start, and in the child of a fork."""
        self._guard = threading.Lock()
        self._flight: _Flight | None = None

    @property
    def counters(self) -> dict[str, int]:
        """How often it happened so far: see :attr:`IrisSession.counters`."""
        with self._guard:
            return {name: self._counts[name] for name in COUNTERS}

    def count(self, name: str) -> None:
        with self._guard:
            self._counts[name] += 1

    @property
    def token_url(self) -> str:
        return self._endpoint.url

    @property
    def token(self) -> Token | None:
        """The token as it is, fresh or not."""
        held = self._held
        return held.token if held else None

    @token.setter
    def token(self, token: Token | None) -> None:
        held = None
        if token is not None:
            held = _Held(token, token.bearer, token.expiring_at, token.expired_at(self._leeway))
        with self._guard:
            self._held = held
            self._refusal = None

    def bearer(self, send: Send) -> Bearer:
        """The ``Authorization`` header for a request that is sent now.

        :param send: how to reach the token endpoint, if that is needed.
        :raises MissingSettingError: if a token is needed and a credential is missing.
        :raises TokenError: if a token is needed and none could be had.
        """
        held = self._held
        if held is not None and self._clock.time() < held.expiring_at:
            return held.bearer
        return self._renewed_in_time(send)

    def reject(self, bearer: Bearer) -> None:
        """Says that a server did not accept it. A token that has replaced it is left alone."""
        with self._guard:
            self._rejected.append(bearer)
            held = self._held
            if held is not None and held.bearer == bearer:
                self._held = replace(held, expiring_at=-math.inf, expired_at=-math.inf)

    def _is_rejected(self, token: Token) -> bool:
        held = self._held
        return held is not None and held.token is token and held.expired_at == -math.inf

    def is_from_store(self, bearer: Bearer) -> bool:
        """Whether it was taken from the store last, and not got from the token endpoint."""
        found = self._found
        return found is not None and found.bearer == bearer

    def sign_in(self, credentials: Credentials, send: Send) -> Token:
        """A new token by the password grant, whatever there was before.

        The credentials are used from then on, if they are not refused.
        """

        def renewal() -> Token:
            before, self.credentials = self.credentials, credentials
            try:
                return self._shared(lambda by: self._by_password(send, by))
            except TokenRefusedError:
                self.credentials = before
                raise

        return self._alone(renewal)

    def refresh(self, refresh_token: Secret | None, send: Send) -> Token:
        """A new token by the refresh_token grant, of `refresh_token` or else of the one held."""

        def grant(deadline: float) -> Token:
            token = self._last_issued() or Token("")
            if refresh_token:
                token = replace(token, refresh_token=str(refresh_token))
            if token.refresh_token is None:
                raise SettingError(
                    "there is no refresh token to renew with: scope must hold offline_access",
                    setting="scope",
                )
            return self._by_refresh_token(token, send, deadline)

        return self._alone(lambda: self._shared(grant))

    def _renewed_in_time(self, send: Send) -> Bearer:
        """The header for a token that is aging, stale or not there.

        1. One that lives is used while it is fresh, is being renewed, or has just not been.
        2. Else one thread renews it,
        3. and those that need a new one wait for that thread.
        """
        while True:
            held, flight, now = self._held, self._flight, self._clock.time()
            living = held if held and now < held.expired_at else None
            pausing = self._clock.monotonic() < self._early_from
            if living and (flight or pausing or now < living.expiring_at):
                return living.bearer
            if flight is None:
                bearer = self._lead(held, living, send)
                if bearer is not None:
                    return bearer
            elif flight.leader == threading.get_ident() and held:
                return held.bearer  # the updater makes a request: with the token just got
            else:
                self.count("waits")
                token = flight.wait()
                if token is not None and not self._is_rejected(token):
                    return token.bearer
                flight.wait_until_over(self._token_timeout)

    def _lead(self, held: _Held | None, living: _Held | None, send: Send) -> Bearer | None:
        """Renews. While the old token lives, nobody needs to hear of a failure."""
        token = None
        renewed = self._renewed_early if living else self._renewed
        try:
            token = self._fly(held, lambda: renewed(send))
            if token is None:
                return None
        except Busy:
            log.debug("another process renews the token")
        except IrisError as error:
            if living is None or self.token is not living.token:  # it was renewed: the updater's
                raise
            log.warning("token %s was not renewed early: %s", living.token.fingerprint, error)
        return token.bearer if token else living.bearer  # type: ignore[union-attr]

    def _renewed_early(self, send: Send) -> Token:
        """As :meth:`_renewed`, without waiting; one that fails is not tried again at once."""
        try:
            return self._renewed(send, 0)
        except BaseException:
            # before the flight is over: whoever sees that it is must see this, too
            pause = EARLY_RENEWAL_PAUSE * random.uniform(1, 1.3)  # noqa: S311
            self._early_from = self._clock.monotonic() + pause
            raise

    def _alone(self, renewal: Renewal) -> Token:
        """Carries out `renewal`, which a caller asks for, when no other one is on its way."""

        def asked_for() -> Token:
            try:
                return renewal()
            except (SettingError, TokenRefusedError):
                # says nothing of what those would send who wait: they try themselves
                self._flight.cancel()  # type: ignore[union-attr]
                raise

        while True:
            other = self._flight
            if other is None:
                token = self._fly(self._held, asked_for)
                if token is not None:
                    return token
            else:
                other.wait(raise_error=False)
                other.wait_until_over(self._token_timeout)

    def _fly(self, held: _Held | None, renewal: Renewal) -> Token | None:
        """Gets the token, lets those go on who wait for it, and tells the updater.

        The updater is told last: it may wait for a thread that waits for the token. A token that
        a sibling has stored is not told again. None for a thread that comes too late for the lead.
        """
        flight = _Flight()
        try:  # from before it has the lead: an interrupt must not leave the others waiting
            if not self._takes_lead(flight, held):
                return None
            token = renewal()
            self._adopt(token)
            flight.set_result(token)
            if self.updater is not None and token is not self._found:
                self.updater(token.as_dict())
        except BaseException as error:
            if not flight.done():
                flight.fail(error)
            raise
        finally:
            if self._flight is flight:
                self._flight = None
            flight.over.set()
        return token

    def _takes_lead(self, flight: _Flight, held: _Held | None) -> bool:
        with self._guard:
            if self._flight is not None or self._held is not held:
                return False
            self._flight = flight
            return True

    def _adopt(self, token: Token) -> None:
        known = self.token
        self.token = token
        if token is self._found:
            return
        self.count("tokens")
        is_news = known is None or known.scope != token.scope
        if is_news and token.scope and set(token.scope) != set(self.scope):
            log.warning(
                "the granted scope is %r, asked for was %r",
                " ".join(token.scope),
                " ".join(self.scope),
            )

    def _renewed(self, send: Send, wait: float | None = None) -> Token:
        """What a sibling has stored, else a new one."""
        found = self._from_sibling()
        if found is not None:
            return found
        return self._shared(lambda by: self._renew(send, by), wait, self._from_sibling)

    def _shared(
        self,
        grant: Grant,
        wait: float | None = None,
        from_sibling: Callable[[], Token | None] = lambda: None,
    ) -> Token:
        """Carries out `grant` with the store's lock held, and stores what it brings.

        :param wait: seconds for the lock; None is :data:`LOCK_WAIT`. The time for the grant begins
            after that. Without the lock nothing is stored: it could take the place of a newer
            token.
        """
        key = self._key()
        wait = LOCK_WAIT if wait is None else wait
        try:
            with self._sharing.locked(key, wait, from_sibling) as held:
                token = grant(self._clock.monotonic() + self._token_timeout)
                if held and token is not self._found:
                    self._sharing.save(key, token)
        except Stored:
            token = self._found  # type: ignore[assignment]  # just found by from_sibling
        return token

    def _renew(self, send: Send, deadline: float) -> Token:
        """The order of renewing.

        1. What a sibling has stored while this process waited for the lock.
        2. The refresh_token grant, with the refresh token that was issued last.
        3. Where that is refused, the store once more: a sibling without the lock was faster.
        4. The password grant. A fault on the way to the token endpoint never leads here.
        """
        found = self._from_sibling()
        if found is not None:
            return found
        token = self._last_issued()
        if token is None or token.refresh_token is None:
            return self._by_password(send, deadline)
        try:
            return self._by_refresh_token(token, send, deadline)
        except InvalidClientError:
            raise  # the same client would sign in
        except TokenRefusedError as error:
            log.info("the refresh token of token %s was refused: %s", token.fingerprint, error)
            return self._from_sibling() or self._by_password(send, deadline)

    def _from_sibling(self) -> Token | None:
        """The stored token, if it serves longer than the one held."""
        token = self._sharing.load(self._key())
        held = self._held
        if (
            token is None
            or token.bearer in self._rejected
            or self._clock.time() >= token.expired_at(self._leeway)
            or (held is not None and token.expiring_at <= held.expiring_at)
        ):
            return None
        self._sharing.works()
        self._found = token
        log.info("token %s comes from the store", token.fingerprint)
        return token

    def _last_issued(self) -> Token | None:
        """The token held or the one stored, whichever ends later: its refresh token is good."""
        held, stored = self.token, self._sharing.load(self._key())
        if stored is None or stored.refresh_token is None:
            return held
        if held is None or held.refresh_token is None:
            return stored
        return max(stored, held, key=lambda token: token.expires_at or 0)

    def _key(self) -> str | None:
        """Where the store keeps this API User's token; None for a session that is nobody's."""
        who = self.credentials.completed(self._environ)
        if who.client_id is None or who.username is None:
            return None
        return key_of(self.token_url, who.client_id, who.username, sorted(set(self.scope)))

    def _by_password(self, send: Send, deadline: float) -> Token:
        return self._ask("password", self._endpoint.password_grant, self.scope, send, deadline)

    def _by_refresh_token(self, token: Token, send: Send, deadline: float) -> Token:
        return self._ask("refresh_token", self._endpoint.refresh_grant, token, send, deadline)

    def _ask(
        self,
        grant: str,
        ask: Callable[[Credentials, Subject, Send, float], Token],
        subject: Subject,
        send: Send,
        deadline: float,
    ) -> Token:
        """Asks for a token by one grant; requests are counted, refusals remembered."""

        def counting(request: PreparedRequest, timeout: float) -> Response:
            self.count(grant)
            return send(request, timeout)

        credentials = self.credentials.completed(self._environ)
        asked = (credentials, self.scope)
        self._raise_if_refused_before(asked)
        why, start = self._state_of_token(), self._clock.monotonic()
        try:
            token = ask(credentials, subject, counting, deadline)
        except TokenRefusedError as error:
            # a refused refresh token says nothing of the credentials
            if grant == "password" or isinstance(error, InvalidClientError):
                self._refusal = _Refusal(asked, error, self._clock.monotonic() + REFUSAL_LASTS)
            raise
        self._log_new(token, grant, why, self._clock.monotonic() - start)
        return token

    def _log_new(self, token: Token, grant: str, why: str, seconds: float) -> None:
        log.info(
            "new token %s by the %s grant (the old one: %s) in %.2f s, valid %s",
            token.fingerprint,
            grant,
            why,
            seconds,
            "until it is refused" if token.expires_in is None else f"for {token.expires_in:g} s",
        )

    def _raise_if_refused_before(self, asked: tuple[Credentials, tuple[str, ...]]) -> None:
        refusal = self._refusal
        left = refusal.until - self._clock.monotonic() if refusal else 0
        if refusal and refusal.asked == asked and left > 0:
            error = copy.copy(refusal.error)
            error.args = (f"{error}; the same is not asked again for {left:.0f} s",)
            raise error from refusal.error.__cause__

    def _state_of_token(self) -> str:
        held, now = self._held, self._clock.time()
        if held is None:
            return "none"
        if held.expired_at == -math.inf:
            return "rejected"
        if now >= held.expired_at:
            return "stale"
        return "aging" if now >= held.expiring_at else "fresh"
