"""Signs requests, and sends a request once more after a 401.

Requests and responses have no fields for two facts, so this module keeps them in attributes:

* ``_iris_signer`` of a request: the source of the token on the request;
* ``_iris_rejected`` of a response: the 401 before the response.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import resolve_proxies

from .body import position_of, rewound
from .discard import discard
from .errors import QuotaExceededError
from .hosts import is_plain_http
from .permission import (
    Verdict,
    authorization_of,
    decide,
    is_withheld,
    remove,
    remove_tokens,
    token_on,
    withhold,
    without_tokens,
)
from .slots import NO_SLOT, NoSlot, Slot, Slots
from .source import TokenSource
from .token_endpoint import Send

#: Sends a request, with the settings that requests hands to response hooks.
AdapterSend = Callable[..., Response]
Proxies = Mapping[str, str] | None


class Signer:
    """Puts the tokens of one source on requests. All signing goes through this class.

    A Signer has no state of its own, so threads may share a Signer.

    :param source: where the tokens come from.
    :param send: how to reach the token endpoint.
    :param origins: the allowed hosts, from :func:`origins_of`.
    """

    __slots__ = ("_origins", "_send", "source")

    def __init__(self, source: TokenSource, send: Send, origins: frozenset[str]) -> None:
        self.source = source
        self._send = send
        self._origins = origins

    def permits(self, request: PreparedRequest, proxies: Proxies) -> bool:
        """Whether `request` may carry the token now, without regard to :func:`withhold`."""
        return self._judge(request, proxies, withheld=False)[0] is Verdict.SIGN

    def sign(
        self, request: PreparedRequest, proxies: Proxies, *, withheld: bool = False
    ) -> Verdict:
        """Carries out the verdict on `request` and returns the verdict.

        :param request: a private copy, because the headers change.
        :param withheld: see :func:`decide`.
        :raises TokenError: if a token is needed and there is none, as :meth:`TokenSource.bearer`.
        """
        verdict, authorization = self._judge(request, proxies, withheld=withheld)
        if authorization and verdict is not Verdict.LEAVE:
            remove_tokens(request.headers)
        if verdict is Verdict.SIGN:
            request.headers["Authorization"] = self.source.bearer(self._send)
            # the id, because a pickle of the request must contain no secret
            request._iris_signer = id(self.source)  # type: ignore[attr-defined]
        return verdict

    def _judge(
        self, request: PreparedRequest, proxies: Proxies, *, withheld: bool
    ) -> tuple[Verdict, dict[Any, object]]:
        authorization = authorization_of(request.headers)
        verdict = decide(
            # requests refuses a URL of another type than text
            request.url if isinstance(request.url, str) else "",
            authorization.values(),
            origins=self._origins,
            withheld=withheld,
            proxies=proxies,
        )
        return verdict, authorization

    def has_signed(self, request: PreparedRequest | None) -> bool:
        """Whether the session has set a token of this source on `request`."""
        return (
            token_on(request) is not None
            and getattr(request, "_iris_signer", None) == id(self.source)
            and not is_withheld(request)
        )

    def sign_again(self, request: PreparedRequest) -> None:
        """Puts the current token on a request that this source has signed, after a wait.

        The token of another session stays: two sessions may share an adapter.
        """
        if self.has_signed(request):
            # the first signing has checked the proxies
            self.sign(request, None)

    def reserve(self, slots: Slots, request: PreparedRequest) -> Slot | NoSlot:
        """The slot of a signed request. After a wait, the request is signed again.

        :raises QuotaExceededError: if there is no slot.
        :raises TokenError: as :meth:`sign`.
        """
        slot = slots.reserve(request)
        if slot.waited:
            try:
                self.sign_again(request)
            except BaseException:
                slot.give_back()
                raise
        return slot

    def follow(self, response: Response, hop: PreparedRequest) -> None:
        """Marks the next hop of a redirect, unless the host that redirected saw the token.

        The session signs a hop when it sends the hop. If another host redirects, or the caller set
        the authentication, neither the hop nor a later hop is signed.
        """
        withheld = is_withheld(hop)
        if not withheld:
            remove_tokens(hop.headers)
        if withheld or not self.has_signed(response.request):
            withhold(hop)


def copy_of(request: PreparedRequest) -> PreparedRequest:
    """A copy of `request` with its own headers.

    The copy is shallow: ``request.copy`` copies the cookies too, and takes 20 times as long.
    """
    kind = type(request)  # a subclass of a caller may write the URL differently
    copied = kind.__new__(kind)
    vars(copied).update(vars(request), headers=_copy_of_headers(request.headers))
    return copied


def _copy_of_headers(headers: Any) -> CaseInsensitiveDict[str | bytes]:
    # requests' own copy sets each header again: a fiftieth of the time of a whole request
    store = vars(headers).get("_store") if type(headers) is CaseInsensitiveDict else None
    if store is None:
        # a caller may have built the request by hand, without headers or with a plain dict
        is_requests_own = isinstance(headers, CaseInsensitiveDict)
        return headers.copy() if is_requests_own else CaseInsensitiveDict(headers or {})
    copied = CaseInsensitiveDict.__new__(CaseInsensitiveDict)
    vars(copied).update(_store=store.copy())
    return copied


class Resend:
    """The response hook of the resend: renews the token after a 401 and sends the request again.

    The caller gets the 401 if the body cannot be sent twice, or if the second response is a 401
    too. The first 401 is in the ``history`` of the second response.

    :param signer: signs the request again.
    :param position: the position of the body before the first send, from :func:`position_of`.
    :param adapter_send: sends the request again. The default is the adapter of the response.
    :param slot: the slot of the first send. Each resend takes one more slot.
    """

    def __init__(
        self,
        signer: Signer,
        position: int | None,
        adapter_send: AdapterSend | None = None,
        slot: Slot | NoSlot = NO_SLOT,
    ) -> None:
        self._signer = signer
        self._position = position
        self._adapter_send = adapter_send
        self._slot = slot
        #: How many tokens were issued before the request was sent.
        self._issued = signer.source.issued

    def __call__(self, response: Response, **settings: Any) -> Response:
        if self._slot is not NO_SLOT:
            self._slot.answered(response)
        if 200 <= response.status_code < 300:
            self._signer.source.accept(response.url)
        if response.status_code != 401 or token_on(response.request) is None:
            return response
        # a response from a cache has no connection
        connection = getattr(response, "connection", None)
        adapter_send = self._adapter_send or getattr(connection, "send", None)
        return response if adapter_send is None else self._resent(response, adapter_send, settings)

    def __reduce__(self) -> Any:
        # a pickle of a Response contains the hooks of the request, and must contain no session
        return (_NoHook, ())

    def _resent(
        self, rejected: Response, adapter_send: AdapterSend, settings: dict[str, Any]
    ) -> Response:
        """The response to the resend, or `rejected` if the request may not or cannot be sent again.

        A token from a store may have been revoked long ago. If the API rejects such a token, the
        request is sent a third time. If the API rejects a brand-new token, the 401 is final.
        """
        source, proxies = self._signer.source, settings.get("proxies")
        request = _copy_after(rejected)
        bearer, url = token_on(request), request.url or ""
        if bearer is None or not self._signer.permits(request, proxies):
            return rejected
        if not source.reject(bearer, url) or not rewound(request.body, self._position):
            return rejected
        discard(rejected)  # before a renewal that may fail
        self._signer.sign(request, proxies)
        if isinstance(self._slot, Slot):
            adapter_send = self._with_slot(self._slot.slots, adapter_send, request, rejected)
        source.count("replays")
        start = time.perf_counter()
        response = adapter_send(request, **settings)
        response.elapsed = timedelta(seconds=time.perf_counter() - start)
        _put_after(rejected, response, request)
        if 200 <= response.status_code < 300:
            source.accept(url)
        renewed = token_on(request)
        if response.status_code != 401 or renewed is None:
            return response
        issued, self._issued = self._issued, source.issued
        if source.reject_resend(renewed, url, issued):
            return self._resent(response, adapter_send, settings)
        return response

    def _with_slot(
        self, slots: Slots, send: AdapterSend, request: PreparedRequest, rejected: Response
    ) -> AdapterSend:
        """`send` with a reserved slot.

        :raises QuotaExceededError: with `rejected`, because nobody should take the 401 for bad
            credentials.
        """
        try:
            slot = self._signer.reserve(slots, request)
        except QuotaExceededError as error:
            _conceal_token(rejected)
            error.response, error.request = rejected, rejected.request
            raise
        return partial(slot.hand_to, send)


class FirstHook:
    """Runs `hook` before the caller's hooks, inside a ``with`` block.

    The request loses the hook before the caller's hooks run, and when the block ends: a process
    pool pickles a response, or an error, together with the hooks of its request.

    :param request: a private copy, because ``hooks`` changes.
    """

    __slots__ = ("_hook", "_hooks", "_request")

    def __init__(self, request: PreparedRequest, hook: Callable[..., Response]) -> None:
        self._request = request
        self._hook = hook
        self._hooks = request.hooks

    def __enter__(self) -> None:
        others = (self._hooks or {}).get("response") or ()
        hooks: Any = [self, others] if callable(others) else [self, *others]
        self._request.hooks = {**(self._hooks or {}), "response": hooks}

    def __exit__(self, *_: object) -> None:
        self._request.hooks = self._hooks

    def __call__(self, response: Response, **settings: Any) -> Response:
        self._request.hooks = self._hooks
        return self._hook(response, **settings)

    def __reduce__(self) -> Any:
        return (_NoHook, ())  # an adapter may pickle the request


class _NoHook:
    """A hook of this module after pickling. The hook returns each response unchanged."""

    def __call__(self, response: Response, **_: Any) -> Response:
        return response


def _copy_after(response: Response) -> PreparedRequest:
    """A copy of the request of `response`, with the new cookies from the response."""
    request = copy_of(response.request)
    cookies = request.copy()._cookies
    if cookies is not None:  # a caller may have built the request by hand
        extract_cookies_to_jar(cookies, response.request, response.raw)
        request.prepare_cookies(cookies)
    return request


def _put_after(rejected: Response, response: Response, request: PreparedRequest) -> None:
    """Puts a 401 into the history of the response to the resend."""
    _conceal_token(rejected)
    response.history.append(rejected)
    response.request = request
    response._iris_rejected = rejected  # type: ignore[attr-defined]


def with_rejected(response: Response) -> Response:
    """Puts the 401s back into the history: requests replaces the history after redirects.

    The history contains no tokens, because requests-cache stores the whole history.
    """
    history: list[Response] = []
    for hop in (*response.history, response):
        rejected = getattr(hop, "_iris_rejected", None)
        if rejected is not None and rejected not in history:
            history.append(rejected)
        history.append(hop)
    response.history = history[:-1]
    for hop in response.history:
        _conceal_token(hop)
    return response


def _conceal_token(response: Response) -> None:
    """Replaces the token on the request of `response` by the fingerprint, as pickling does.

    The response gets a copy of the request, because a mock may keep the request.
    """
    bearer = token_on(response.request)
    if bearer:
        response.request = copy_of(response.request)
        remove_tokens(response.request.headers)
        response.request.headers["Authorization"] = bearer.redacted


class BearerAuth(AuthBase):
    """``auth=`` for libraries without a session: signs, renews and resends as the session does.

    A request to another host is left unchanged. On a redirect to another host, requests removes the
    header. Threads may share a BearerAuth, because the session's tokens are safe to share.

    An ``auth=`` cannot see the proxies of a session. For plain HTTP, which is accepted for an
    allowed loopback address only, the proxies of the environment count. Set no other proxy for a
    loopback address.

    With a quota, the slot of a request is reserved when the request is signed, and counts even if
    the request is not sent. Redirects and retries by the other library are not counted.
    """

    def __init__(
        self,
        source: TokenSource,
        send: Send,
        origins: frozenset[str],
        slots: Slots | None = None,
    ) -> None:
        self._signer = Signer(source, send, origins)
        self._slots = slots

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        # proxies count over plain HTTP only, and reading the environment takes time
        proxies = resolve_proxies(r, {}) if is_plain_http(r.url or "") else None
        # every auth= of requests replaces a header of the caller
        replaced = authorization_of(r.headers)
        remove(replaced, r.headers)
        if self._signer.sign(r, proxies) is Verdict.SIGN:
            slot: Slot | NoSlot = NO_SLOT
            if self._slots is not None:
                slot = self._signer.reserve(self._slots, r)
                slot.settle()  # no error of the request will come here
            resend = Resend(self._signer, position_of(r.body), slot=slot)
            r.register_hook("response", resend)
        else:
            r.headers.update(without_tokens(replaced))
        return r
