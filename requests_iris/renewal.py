"""The order of renewal: the token store, the refresh token, the sign-in, an error."""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from requests import PreparedRequest, Response

from .clock import Clock
from .credentials import Credentials
from .errors import (
    InvalidClientError,
    SettingError,
    TokenError,
    TokenRefusedError,
    TokenResponseError,
)
from .grants import CLIENT_CREDENTIALS, GRANTS, PASSWORD, REFRESH_TOKEN, Grant
from .secret import Bearer, Secret
from .sharing import Busy, Sharing
from .stores import TokenStore, key_of
from .text import one_line
from .token import Token
from .token_endpoint import Send, TokenEndpoint

log = logging.getLogger("requests_iris")

#: Seconds from a refusal until the same credentials are sent again.
REFUSAL_LASTS = 60.0
#: The longest Retry-After that a session obeys, in seconds.
RETRY_AFTER_AT_MOST = 15 * 60.0
#: Another process may hold a store's lock for `token_timeout` seconds. A session waits longer, by
#: these seconds.
LOCK_MARGIN = 15.0

#: Asks for a token until a deadline on the monotonic clock.
Ask = Callable[[float], Token]
#: The argument of a grant beside the credentials: a scope, or a token to refresh.
Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Identity:
    """The credentials, the scope and the grant of a token request."""

    credentials: Credentials
    scope: tuple[str, ...]
    grant: Grant

    def key(self, token_url: str) -> str | None:
        """The key of the token in a store. None for a session without client or user."""
        names = self._names
        return None if names is None else key_of(self.grant.name, token_url, *names)

    def former_key(self, token_url: str) -> str | None:
        """The key in releases without the client_credentials grant."""
        names = None if self.grant.is_key else self._names
        return None if names is None else key_of(token_url, *names)

    @property
    def _names(self) -> tuple[str, str | None, list[str]] | None:
        client_id, username = self.credentials.client_id, self.credentials.username
        if self.grant.is_key:
            username = None  # an API key has no user, whatever a variable says
        elif username is None:
            return None
        return None if client_id is None else (client_id, username, sorted(set(self.scope)))


@dataclass(frozen=True)
class _Pause:
    """Until `until`, on the monotonic clock, the session raises `error` without a token request.

    :ivar who: the identity that must pause. None means every identity.
    :ivar grants: the grants that must pause, for a single identity.
    """

    error: TokenError
    until: float
    who: Identity | None = None
    grants: frozenset[str] = frozenset()

    def concerns(self, who: Identity, grant: str) -> bool:
        return self.who is None or (self.who == who and grant in self.grants)


class Renewal:
    """Gets new tokens. A single thread at a time calls a Renewal: the leader of a single flight.

    :param endpoints: the token endpoint for each grant that signs in.
    :param token_timeout: seconds for all token requests of one renewal, with all pauses.
    :param count: called with the name of a counter.
    """

    def __init__(
        self,
        endpoints: Mapping[str, TokenEndpoint],
        *,
        leeway: float,
        token_timeout: float,
        store: TokenStore | None,
        clock: Clock,
        count: Callable[[str], None],
    ) -> None:
        self.endpoints = endpoints
        self.token_timeout = token_timeout
        self._leeway = leeway
        self._sharing = Sharing(store, clock)
        self._clock = clock
        self._count = count
        #: The last tokens rejected by an API. A store may still hold a rejected token.
        self.rejected: deque[Bearer] = deque(maxlen=16)
        #: The pause after a Retry-After of the token endpoint, and the pause after a refusal.
        self._retry_after: _Pause | None = None
        self._refusal: _Pause | None = None
        self._found: Token | None = None
        #: Whether the token endpoint has ever issued a token to this session.
        self._has_issued = False
        self._warned_of_url = False
        #: The age of the token before this renewal, for the log.
        self.age_before = "none"

    @property
    def lock_wait(self) -> float:
        """Seconds to wait for the store's lock at most."""
        return self.token_timeout + LOCK_MARGIN

    @property
    def seconds(self) -> float:
        """How long a renewal takes at most, with the wait for the store's lock."""
        return self.lock_wait + self.token_timeout

    def forget_refusal(self) -> None:
        """After a token was assigned, the same credentials are tried again at once."""
        self._refusal = None

    def is_from_store(self, token: Token) -> bool:
        """Whether `token` is the token last taken from the store."""
        return token is self._found

    def renew(self, who: Identity, held: Token | None, send: Send, *, wait: bool) -> Token:
        """The token that another process has stored, or else a new token.

        :param held: the token to replace. None if the session has no token.
        :param wait: whether to wait for the store's lock.
        :raises Busy: if another process renews, and `wait` is false.
        """

        def is_renewed() -> bool:
            return self._from_store(who, held) is not None

        found = self._from_store(who, held)
        if found is not None:
            return found
        seconds = self.lock_wait if wait else 0
        try:
            return self._with_store_lock(
                who, lambda by: self._renew(who, held, send, by), seconds, is_renewed
            )
        except Busy:
            found = self._from_store(who, held)
            if found is None:
                raise
            return found

    def sign_in(self, who: Identity, send: Send) -> Token:
        """A new token by password or client credentials."""
        return self._with_store_lock(
            who, lambda by: self._by_sign_in(who, send, by), self.lock_wait
        )

    def refresh(
        self, who: Identity, held: Token | None, refresh_token: Secret | None, send: Send
    ) -> Token:
        """A new token by the refresh_token grant.

        :param refresh_token: by default the refresh token issued last.
        :raises SettingError: without a refresh token.
        """

        def ask(deadline: float) -> Token:
            token = self._last_issued(who, held) or Token("")
            if refresh_token:
                token = replace(token, refresh_token=refresh_token)
            if token.refresh_token is None:
                raise SettingError(
                    "The session has no refresh token. A session signs in with the first request, "
                    "and gets a refresh token if scope contains offline_access.",
                    setting="scope",
                )
            return self._by_refresh_token(who, token, send, deadline)

        return self._with_store_lock(who, ask, self.lock_wait)

    def _with_store_lock(
        self,
        who: Identity,
        ask: Ask,
        wait: float,
        stop: Callable[[], bool] = lambda: False,
    ) -> Token:
        """Calls `ask` with the store's lock held, and stores the new token.

        Without the lock nothing is stored, because the token could replace a newer token.

        :param wait: seconds to wait for the lock. The time of `ask` begins after the wait.
        :param stop: called from time to time during the wait. True ends the wait with `Busy`.
        """
        url = self._endpoint_of(who).url
        key = who.key(url)

        def work(has_lock: bool) -> Token:
            token = ask(self._clock.monotonic() + self.token_timeout)
            if has_lock and token is not self._found:
                self._sharing.save(key, token, who.former_key(url))
            return token

        return self._sharing.with_lock(key, wait, work, stop)

    def _renew(self, who: Identity, held: Token | None, send: Send, deadline: float) -> Token:
        """The order of renewal.

        1. The token that another process has stored while this process waited for the lock.
        2. The refresh_token grant, with the refresh token that was issued last.
        3. After a refusal, the store once more: a process without the lock may have been faster.
        4. The sign-in. After a network fault the session does not sign in.

        An API key signs in at once, because an API key has no refresh token.
        """
        found = self._from_store(who, held)
        if found is not None:
            return found
        token = None if who.grant.is_key else self._last_issued(who, held)
        if token is None or token.refresh_token is None:
            return self._by_sign_in(who, send, deadline)
        try:
            return self._by_refresh_token(who, token, send, deadline)
        except InvalidClientError:
            raise  # the same client would sign in
        except TokenRefusedError as error:
            log.info("The refresh token of token %s was refused: %s", token.fingerprint, error)
            return self._from_store(who, held) or self._by_sign_in(who, send, deadline)

    def _from_store(self, who: Identity, held: Token | None) -> Token | None:
        """The stored token, if the token was not rejected and expires later than `held`."""
        token = self._sharing.load(who.key(self._endpoint_of(who).url))
        if (
            token is None
            or token.bearer in self.rejected
            or self._clock.time() >= token.expired_at(self._leeway)
            or (held is not None and not self._replaces(token, held))
        ):
            return None
        self._sharing.works()
        if self._found != token:
            log.info("Token %s comes from the token store.", token.fingerprint)
            self._found = token
        return self._found

    def _replaces(self, token: Token, held: Token) -> bool:
        return held.bearer in self.rejected or token.expiring_at > held.expiring_at

    def _last_issued(self, who: Identity, held: Token | None) -> Token | None:
        """`held` or the stored token. The later token has the refresh token that is still valid."""
        stored = self._sharing.load(who.key(self._endpoint_of(who).url))
        if stored is None or stored.refresh_token is None:
            return held
        if held is None or held.refresh_token is None:
            return stored
        return max(stored, held, key=lambda token: token.expires_at or 0)

    def _by_sign_in(self, who: Identity, send: Send, deadline: float) -> Token:
        endpoint = self._endpoint_of(who)
        if who.grant.is_key:
            ask = endpoint.client_credentials_grant
            return self._ask(CLIENT_CREDENTIALS, ask, who, who.scope, send, deadline)
        return self._ask(PASSWORD, endpoint.password_grant, who, who.scope, send, deadline)

    def _by_refresh_token(self, who: Identity, token: Token, send: Send, deadline: float) -> Token:
        ask = self._endpoint_of(who).refresh_grant
        return self._ask(REFRESH_TOKEN, ask, who, token, send, deadline)

    def _endpoint_of(self, who: Identity) -> TokenEndpoint:
        return self.endpoints[who.grant.name]

    def _ask(
        self,
        grant: str,
        ask: Callable[[Credentials, Subject, Send, float], Token],
        who: Identity,
        subject: Subject,
        send: Send,
        deadline: float,
    ) -> Token:
        """Asks for a token by `grant`. Counts the requests, and remembers a refusal."""

        def counting(request: PreparedRequest, timeout: float) -> Response:
            self._count(grant)
            if grant == CLIENT_CREDENTIALS:
                self._warn_of_url(self._endpoint_of(who).url)
            return send(request, timeout)

        self._raise_if_paused(who, grant)
        start = self._clock.monotonic()
        try:
            token = ask(who.credentials, subject, counting, deadline)
        except TokenError as error:
            if grant == CLIENT_CREDENTIALS and who.grant.inferred and not self._has_issued:
                _explain_grant(error)
            self._remember(error, who, grant)
            raise
        self._has_issued = True
        log.info(
            "New token %s by the %s grant in %.2f s (token before: %s), %s.",
            *(token.fingerprint, grant, self._clock.monotonic() - start, self.age_before),
            "valid until an API rejects the token"
            if token.expires_in is None
            else f"valid for {token.expires_in:g} s",
        )
        return token

    def _warn_of_url(self, url: str) -> None:
        """Warns once if an API key signs in at the URL for API Users."""
        if not self._warned_of_url and urlsplit(url).path.rstrip("/").endswith("/token"):
            self._warned_of_url = True
            log.warning(
                "Client credentials go to %s, where an API User signs in with a password. An API "
                "key signs in at .../token/v2. Check token_url.",
                one_line(url),
            )

    def _remember(self, error: TokenError, who: Identity, grant: str) -> None:
        now = self._clock.monotonic()
        error = copy.copy(error)  # without the traceback, which would hold the caller's variables
        wait = error.retry_after if isinstance(error, TokenResponseError) else None
        if wait:
            self._retry_after = _Pause(error, now + min(wait, RETRY_AFTER_AT_MOST))
        if isinstance(error, InvalidClientError):
            self._refusal = _Pause(error, now + REFUSAL_LASTS, who, frozenset(GRANTS))
        elif isinstance(error, TokenRefusedError) and grant != "refresh_token":
            # a refused refresh token says nothing about the credentials
            self._refusal = _Pause(error, now + REFUSAL_LASTS, who, frozenset({grant}))

    def _raise_if_paused(self, who: Identity, grant: str) -> None:
        for pause in (self._retry_after, self._refusal):
            left = pause.until - self._clock.monotonic() if pause else 0
            if pause and left > 0 and pause.concerns(who, grant):
                error = copy.copy(pause.error)
                error.args = (f"{error} No new token request is made for {left:.0f} s.",)
                if isinstance(error, TokenResponseError):
                    error.retry_after = left
                raise error from pause.error.__cause__


def _explain_grant(error: TokenError) -> None:
    """Adds to a refusal why the session uses the client_credentials grant."""
    if isinstance(error, TokenRefusedError):
        error.args = (
            f"{error} No username was set, so the session used the client_credentials grant. For "
            "an API User, set username and password.",
        )
