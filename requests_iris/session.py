"""IrisSession: the only module that knows the inside of requests.Session."""

from __future__ import annotations

import copy
import logging
import math
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import LegacyApplicationClient
from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.utils import resolve_proxies, select_proxy
from requests_oauthlib import OAuth2Session
from urllib3.util import Timeout

from .auth import (
    BearerAuth,
    copy_of,
    is_signed_by,
    is_unshared,
    made_here,
    replayed,
    sign,
    signature_of,
    takes_token,
    unsigned,
    with_rejected,
    withhold_token,
)
from .body import position_of
from .clock import Clock
from .credentials import Credentials, from_environment, parse_scope
from .errors import SettingError
from .forks import register
from .hosts import check_url, is_plain_http, may_see_token, origins_of
from .pagination import Page, Progress, items, pages, progress_of, responses
from .secret import Secret
from .source import TOKEN_TIMEOUT, TokenSource, Updater
from .stores import TokenStore, open_store
from .token import Token
from .token_endpoint import TokenEndpoint
from .transport import POOL_MAXSIZE, IrisAdapter, idempotent_call

if TYPE_CHECKING:
    from requests import _types as _t
    from urllib3.util import Retry

log = logging.getLogger("requests_iris")

#: Where the APIs of IRIS are.
BASE_URL = "https://iris.trackunit.com"
#: Where IRIS issues tokens.
TOKEN_URL = "https://auth.trackunit.com/token"  # noqa: S105
#: What the password grant asks for: the APIs, and a refresh token.
SCOPE = "api offline_access"
#: Seconds before its end from which a token is not used any more.
LEEWAY = 60.0
#: Seconds to wait for a connection, and for each piece of a reply.
DEFAULT_TIMEOUT = (10.0, 60.0)
#: What a copy or a pickle holds besides what requests' own does.
_STATE = (
    *("base_url", "default_timeout", "_origins", "_source", "_client", "_scope", "_state"),
    *("state", "redirect_uri", "compliance_hook"),
)

_Given = TypeVar("_Given")
_Default = TypeVar("_Default")


# requests.Session is a base of OAuth2Session already; it is named for type checkers, since
# requests-oauthlib has no types.
class IrisSession(OAuth2Session, requests.Session):
    """A :class:`requests.Session` that is always signed in to IRIS.

    Every argument is optional. A missing one comes from the environment variable named with it,
    else from the default. Making a session sends nothing; the first request that needs a token
    fetches it.

    :param client_id: of the OAuth client (``TRACKUNIT_CLIENT_ID``).
    :param client_secret: of the OAuth client (``TRACKUNIT_CLIENT_SECRET``).
    :param username: of the API User (``TRACKUNIT_USERNAME``).
    :param password: of the API User (``TRACKUNIT_PASSWORD``).
    :param scope: what to ask for, as one string or a list (``TRACKUNIT_SCOPE``). Without
        ``offline_access`` in it IRIS gives no refresh token, and renewing means signing in again.
    :param token: a token saved earlier, such as :attr:`token`. An ``expires_in`` without an
        ``expires_at`` is not believed; such a token is used until it is refused.
    :param token_updater: called with each new token, the first included, as a dict, by the thread
        that got it. What it raises reaches the call that needed the token, which is not lost.
    :param token_store: where the token is shared with other processes: a path, a URL that begins
        with ``file:///``, ``redis://`` or ``rediss://``, or a :class:`TokenStore`
        (``TRACKUNIT_TOKEN_STORE``). Each API User, client and scope has a place of its own there.
    :param base_url: where a URL that begins with one slash belongs (``TRACKUNIT_BASE_URL``).
    :param token_url: the token endpoint (``TRACKUNIT_TOKEN_URL``).
    :param allowed_hosts: the hosts that may see the token, such as ``example.org:8443``: exact host
        and port; the default is the host of `base_url`.
    :param leeway: seconds before its end from which a token is not used any more, at most a tenth
        of its life.
    :param default_timeout: seconds, as requests' ``timeout``, for requests to allowed hosts that
        bring none; None waits for ever.
    :param retry: how often and when a request to an allowed host is sent again: a urllib3
        ``Retry``, the number of repetitions, or 0 or False for none. The default repeats idempotent
        methods up to 4 times after 429, 502, 503, 504, and faults of a connection.
    :param pool_maxsize: connections that are kept for each allowed host, at best one for each
        thread.
    :param token_timeout: seconds for one token request, including its retries and pauses.
    :param clock: the clocks of the system; a test can pass a :class:`Clock` of its own.
    :raises SettingError: for a setting that cannot be right.
    """

    def __init__(
        self,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        username: str | None = None,
        password: str | None = None,
        scope: str | Iterable[str] | None = None,
        token: Mapping[str, Any] | None = None,
        token_updater: Updater | None = None,
        token_store: TokenStore | str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        token_url: str | None = None,
        allowed_hosts: Iterable[str] | None = None,
        leeway: float = LEEWAY,
        default_timeout: _t.TimeoutType = DEFAULT_TIMEOUT,
        retry: Retry | int | None = None,
        pool_maxsize: int = POOL_MAXSIZE,
        token_timeout: float = TOKEN_TIMEOUT,
        clock: Clock | None = None,
    ) -> None:
        """Takes the arguments that the class describes, and sends nothing."""
        base_url = _setting("base_url", base_url, BASE_URL)
        token_url = _setting("token_url", token_url, TOKEN_URL)
        token_store = _setting("token_store", token_store, None)
        scope = _setting("scope", scope, SCOPE)
        self.base_url = _checked_base_url(base_url)
        self.default_timeout = _checked_timeout(default_timeout)
        self._origins = origins_of([base_url] if allowed_hosts is None else allowed_hosts)
        self._source = TokenSource(
            TokenEndpoint(check_url(token_url, setting="token_url"), clock=clock),
            Credentials(client_id, client_secret, username, password).completed(os.environ),
            parse_scope(scope),
            leeway=_checked_leeway(leeway),
            store=None if token_store is None else open_store(token_store),
            token_timeout=token_timeout,
            clock=clock,
        )
        super().__init__(  # type: ignore[call-arg]
            client=LegacyApplicationClient(client_id),
            auto_refresh_url=token_url,
            token=token,
            token_updater=token_updater,
        )
        # OAuth2Session's stand-in switches netrc off for every host, and cannot be pickled.
        self.auth = None
        self._mount_adapters(token_url, retry, pool_maxsize, clock)
        register(self)

    def _mount_adapters(
        self, token_url: str, retry: Retry | int | None, pool_maxsize: int, clock: Clock | None
    ) -> None:
        """In the place of requests' own; by http no host is ours, unless it is a loopback one."""
        by_http = any(map(is_plain_http, (*self._origins, token_url)))
        for prefix in ("https://", "http://") if by_http else ("https://",):
            adapter = IrisAdapter(
                origins=self._origins,
                token_url=token_url,
                sign_anew=self._sign_anew,
                retry=retry,
                pool_maxsize=pool_maxsize,
                clock=clock,
            )
            self.mount(prefix, adapter)

    def __getstate__(self) -> dict[str, Any]:
        # not by `__attrs__`, which a mixin that stands before this class may have, too
        return {**super().__getstate__(), **{name: getattr(self, name) for name in _STATE}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        register(self)

    def reset_after_fork(self) -> None:
        """Gives the session of a forked child new connections and locks."""
        if isinstance(self.cookies, CookieJar):
            self.cookies._cookies_lock = threading.RLock()
        for adapter in self.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                adapter.__setstate__(adapter.__getstate__())  # as unpickling does

    def request(
        self,
        method: str,
        url: _t.UriType,
        params: _t.ParamsType = None,
        data: _t.DataType = None,
        headers: _t.HeadersType = None,
        cookies: RequestsCookieJar | CookieJar | dict[str, str] | None = None,
        files: _t.FilesType = None,
        auth: _t.AuthType = None,
        timeout: _t.TimeoutType = None,
        allow_redirects: bool = True,
        proxies: dict[str, str] | None = None,
        hooks: _t.HooksInputType | None = None,
        stream: bool | None = None,
        verify: _t.VerifyType | None = None,
        cert: _t.CertType = None,
        json: _t.JsonType = None,
        *,
        withhold_token: bool = False,
        idempotent: bool = False,
    ) -> Response:
        """As :meth:`requests.Session.request`.

        :param url: joined to `base_url` if it begins with one slash.
        :param withhold_token: sends this request to IRIS without any authentication.
        :param idempotent: says that this call only reads, or can be repeated safely for another
            reason (RFC 9110 section 9.2.2), though its method does not say so: it is retried as a
            GET would be.
        """
        url = self._joined(url)
        if not auth and (withhold_token or may_see_token(url.lstrip(), self._origins)):
            auth = self._stand_in_for_auth(withhold=withhold_token)
        # not only where it is declared: a hook may make a call inside of one that is
        declared = idempotent_call.set(idempotent) if idempotent != idempotent_call.get() else None
        try:
            # fmt: off
            return super(OAuth2Session, self).request(
                method, url, params, data, headers, cookies, files, auth, timeout,
                allow_redirects, proxies, hooks, stream, verify, cert, json,
            )
            # fmt: on
        finally:
            if declared is not None:
                idempotent_call.reset(declared)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As in requests, but netrc has no say for allowed hosts.

        1. One that :meth:`request` has made for an allowed host has been through the rest.
        2. A URL that begins with one slash is joined to `base_url`.
        3. Where nobody brings an authentication, netrc is kept out for allowed hosts.
        4. One of the caller's is remembered, if its header does not tell that it is: to an allowed
           host it may leave none, and the bearer of another session leaves one like ours.
        """
        if request.auth is made_here:
            if not (request.params or self.params):
                request.params = ""  # two empty dicts take requests long to merge, and to encode
            return super().prepare_request(request)
        url = self._joined(request.url)
        ours = may_see_token(url.lstrip(), self._origins)
        # a session's own auth keeps netrc out by itself, and must not be hidden
        auth = _left_alone if ours and not (request.auth or self.auth) else request.auth
        prepared = super().prepare_request(_with(request, url=url, auth=auth))
        return withhold_token(prepared) if self._is_theirs(request, prepared) else prepared

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As in requests; a request that takes a token goes out signed.

        Every path crosses this method: the verbs, prepared requests, each hop of a redirect.

        1. A request to another host is none of our business, once it is without our signature.
        2. One to an allowed host gets the default timeout, if it brings none.
        3. If it brings authentication of its own, comes from a host that is not allowed, or would
           be seen by a proxy, that is all.
        4. Else it is signed, as a copy if somebody may hold it, with a token renewed if need be,
        5. and is the first to see the response: after a 401 it is sent once more, so that the
           caller's hooks see only the final response.
        """
        # a Request by mistake is for requests to refuse
        if isinstance(request, Request):
            return super().send(request, **kwargs)
        unshared = is_unshared(request)
        if not may_see_token(request.url or "", self._origins):
            return self._send_without_token(request, **kwargs)
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.default_timeout
        if not takes_token(request) or self._is_overheard(request, kwargs):
            return self._send_without_token(request, **kwargs)
        hooks = request.hooks
        signed = request if unshared else copy_of(request)
        sign(signed, self._source, self._send_token_request)
        position = position_of(signed.body)

        def first_hook(response: Response, **send_settings: Any) -> Response:
            signed.hooks = hooks
            if response.status_code != 401:
                return response
            parts = self._source, self._send_token_request, self._send_once
            return replayed(response, position, *parts, **send_settings)

        signed.hooks = _hooks_with(first_hook, hooks)
        try:
            response = super().send(signed, **kwargs)
        finally:
            # a process pool pickles a Response, or an error, with its request and the hooks of that
            signed.hooks = hooks
        return with_rejected(response) if response.history else response

    def _send_without_token(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As requests does. A 401 may be the fault of a setting, or of a header that was left over
        from before there was this session: that is logged.
        """
        sent = unsigned(request)
        response = super().send(sent, **kwargs)
        # a hop of a redirect has come through here by itself
        if response.status_code == 401 and not response.history:
            self._explain_refusal(sent)
        return response

    def _explain_refusal(self, request: PreparedRequest) -> None:
        host = urlsplit(request.url or "").hostname
        has_header = "Authorization" in (request.headers or {})
        if may_see_token(request.url or "", self._origins):
            if has_header and not signature_of(request):
                log.warning(
                    "%s answered 401; an Authorization header of your own hid the token", host
                )
        elif not has_header:
            log.warning("%s answered 401; it is none of allowed_hosts, and saw no token", host)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Decides what of a request's authentication goes with it on a redirect.

        Only what we have signed may be signed again: :meth:`send` does it, if the new URL is an
        allowed one. A hop from another host, or with the caller's authentication, is not.
        """
        headers = prepared_request.headers
        signature = signature_of(prepared_request) if takes_token(prepared_request) else None
        if not may_see_token(prepared_request.url or "", self._origins):
            if signature:
                del headers["Authorization"]
            super().rebuild_auth(prepared_request, response)
        elif signature:
            # requests makes the hop after this one of it, and not of the copy that send signs; but
            # it also leaves it in the history, as `Response.next`
            headers["Authorization"] = signature.redacted
        else:
            if "Authorization" in headers and self.should_strip_auth(
                response.request.url or "", prepared_request.url or ""
            ):
                del headers["Authorization"]
            withhold_token(prepared_request)  # last, as it gives the request other headers

    def pages(
        self,
        url: _t.UriType,
        *,
        method: str = "GET",
        items_path: str | None = None,
        max_workers: int = 1,
        resume: Mapping[str, Any] | None = None,
        **request_arguments: Any,
    ) -> Iterator[Response]:
        """The pages of a list, in order, as responses. You get every page, or an exception.

        The first response shows the pagination style: page numbers, cursors, AEMP links, a GraphQL
        connection, or a single response. Requests ask for JSON. If `url` and ``params`` set no
        page size, pages are as large as the API allows; if they name a page, reading begins there.

        :param method: "POST" for a list with a filter in the body, and for GraphQL. A GraphQL query
            must declare ``$after``.
        :param items_path: where the items are in an unusual response: names with dots between them.
        :param max_workers: number of pages to read at once; lists with cursors and GraphQL read one
            page ahead. If reading ends early, it waits for requests under way, without retries.
        :param resume: the ``resume`` of the :class:`ListError` that the same call (method, path,
            parameters, body) raised before, in this process or another.
        :param request_arguments: other arguments of :meth:`request`, for every page. ``stream`` has
            no effect.
        :raises SettingError: at the call, for a wrong argument; after one page, for a `resume` of
            another pagination style.
        :raises TypeError: at the call, for an argument that :meth:`request` does not have.
        :raises ListError: during iteration, if the list cannot be read whole. If a page failed, the
            error is also what plain requests would have raised, such as a ConnectionError. If the
            first request fails, you get the exception that :meth:`request` would raise.
        """
        found = self._walk(url, method, items_path, max_workers, resume, request_arguments)
        return responses(found)

    def items(
        self,
        url: _t.UriType,
        *,
        method: str = "GET",
        items_path: str | None = None,
        max_workers: int = 1,
        resume: Mapping[str, Any] | None = None,
        progress: bool | Progress = False,
        **request_arguments: Any,
    ) -> Iterator[Any]:
        """The items of a list, in order. You get every item, or an exception.

        :param progress: True for a bar on the terminal (tqdm, the extra ``progress``); or a
            callable that gets the number of items read so far and the number of all items (or None)
            after each page.

        The other arguments and the exceptions are those of :meth:`pages`.
        """
        found = self._walk(url, method, items_path, max_workers, resume, request_arguments)
        return items(found, progress_of(progress))

    def _walk(
        self,
        url: _t.UriType,
        method: str,
        items_path: str | None,
        max_workers: int,
        resume: Mapping[str, Any] | None,
        arguments: dict[str, Any],
    ) -> Generator[Page, None, None]:
        # Reading a list changes nothing on the server, whatever the method.
        read = partial(self.request, idempotent=True)
        return pages(
            read,
            url,
            arguments,
            method=method,
            items_path=items_path,
            max_workers=max_workers,
            resume=resume,
            session_params=tuple(self.params) if isinstance(self.params, Mapping) else (),
        )

    @property
    def bearer(self) -> BearerAuth:
        """The same tokens as an ``auth=``, for libraries that take one and no session."""
        return BearerAuth(self._source, self._send_token_request, self._origins)

    @property
    def counters(self) -> dict[str, int]:
        """What this session has done so far, as numbers.

        ``password`` and ``refresh_token``: requests to the token endpoint, by grant. ``tokens``:
        tokens got from them. ``replays``: requests sent once more after a 401. ``waits``: how often
        a thread waited for the token that another one was getting. A pickle of it starts at 0.
        """
        return self._source.counters

    @property
    def token(self) -> dict[str, Any]:
        """The token held, as a new dict; an empty one without a token. No request is made for it.

        Members are named as in RFC 6749 section 5.1, with ``expires_at`` in seconds since the
        epoch and ``scope`` as a list. It holds secrets. Assign a saved one to go on with it, ``{}``
        to forget it. Neither touches the token store: the next request takes what is there if the
        session holds nothing, the next renewal if that serves longer.
        """
        token = self._source.token
        return token.as_dict() if token else {}

    @token.setter
    def token(self, saved: Mapping[str, Any] | None) -> None:
        try:
            self._source.token = Token.from_dict(saved) if saved else None
        except (AttributeError, ValueError) as error:
            reason = error if isinstance(error, ValueError) else "it is no dict"
            raise SettingError(f"token cannot be used: {reason}", setting="token") from None

    @property
    def access_token(self) -> str | None:
        """The access token held, or None. It is a secret."""
        token = self._source.token
        return token.access_token if token else None

    @access_token.setter
    def access_token(self, value: str | None) -> None:
        self.token = {"access_token": value} if value else {}

    @access_token.deleter
    def access_token(self) -> None:
        self.token = {}

    @property
    def token_updater(self) -> Updater | None:
        """Called with each new token, as a dict."""
        return self._source.updater

    @token_updater.setter
    def token_updater(self, updater: Updater | None) -> None:
        if not (updater is None or callable(updater)):
            # by its type: a token that was given in its place must not be shown
            raise SettingError(
                f"token_updater must be callable, or None, not {type(updater).__name__}",
                setting="token_updater",
            )
        self._source.updater = updater

    @property
    def scope(self) -> str:
        """The scope that the password grant asks for. The granted one is in :attr:`token`."""
        return " ".join(self._source.scope)

    @scope.setter
    def scope(self, scope: str | Iterable[str]) -> None:
        self._source.scope = parse_scope(scope)

    @property
    def client_id(self) -> str | None:
        """The id of the OAuth client."""
        return self._source.credentials.client_id

    @client_id.setter
    def client_id(self, client_id: str | None) -> None:
        self._source.credentials = replace(self._source.credentials, client_id=client_id)

    @client_id.deleter
    def client_id(self) -> None:
        self.client_id = None

    def fetch_token(
        self,
        token_url: str | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> dict[str, Any]:
        """Signs in now, by the password grant, and returns the token as :attr:`token` does.

        There is no need to call it. Credentials that are given replace the session's, unless they
        are refused.

        :raises MissingSettingError: if a credential is missing.
        :raises TokenError: if there was no token to be had; the one held, if any, is kept.
        """
        self._check_token_url(token_url)
        given = {
            "client_id": client_id,
            "client_secret": client_secret,
            "username": username,
            "password": password,
        }
        credentials = replace(
            self._source.credentials, **{k: v for k, v in given.items() if v is not None}
        )
        del given, client_secret, password  # a traceback may show what it finds here
        return self._source.sign_in(credentials, self._send_token_request).as_dict()

    def refresh_token(
        self, token_url: str | None = None, refresh_token: str | None = None
    ) -> dict[str, Any]:
        """Renews now, by the refresh_token grant, and returns the token as :attr:`token` does.

        There is no need to call it.

        :raises SettingError: if there is no refresh token, or a credential is missing.
        :raises TokenError: if there was no token to be had; the one held, if any, is kept.
        """
        self._check_token_url(token_url)
        refresh_token = Secret(refresh_token) if refresh_token else None
        return self._source.refresh(refresh_token, self._send_token_request).as_dict()

    @property
    def auto_refresh_url(self) -> str:
        """Where the token is renewed: the token endpoint. Another one is refused."""
        return self._source.token_url

    @auto_refresh_url.setter
    def auto_refresh_url(self, url: str | None) -> None:
        self._check_token_url(url)

    @property
    def auto_refresh_kwargs(self) -> dict[str, Any]:
        """Empty: a renewal sends nothing but what RFC 6749 section 6 names. Others are refused."""
        return {}

    @auto_refresh_kwargs.setter
    def auto_refresh_kwargs(self, kwargs: Mapping[str, Any] | None) -> None:
        if kwargs:
            raise NotImplementedError("IrisSession authenticates the client itself at renewal")

    def register_compliance_hook(self, hook_type: str, hook: Callable[..., Any]) -> NoReturn:
        """Not offered: token requests are the session's own. For responses, requests has hooks."""
        raise NotImplementedError(
            "IrisSession has no compliance hooks: use requests' response hooks, or mount an adapter"
        )

    def authorization_url(self, url: str, state: str | None = None, **kwargs: Any) -> NoReturn:
        """Not offered: it belongs to grants that IRIS does not have."""
        raise NotImplementedError("IRIS has no authorization URL: it knows the password grant only")

    def token_from_fragment(self, authorization_response: str) -> NoReturn:
        """Not offered: it belongs to grants that IRIS does not have."""
        raise NotImplementedError("IRIS has no implicit grant: it knows the password grant only")

    def _check_token_url(self, token_url: str | None) -> None:
        if token_url not in (None, self._source.token_url):
            raise SettingError(
                f"this session's token_url is {self._source.token_url}; make another session",
                setting="token_url",
            )

    def _is_theirs(self, request: Request, prepared: PreparedRequest) -> bool:
        """Whether the authentication of a request just prepared is the caller's."""
        # by the spelling that requests has given the URL, as `send` judges it
        if request.auth and may_see_token(prepared.url or "", self._origins):
            return True
        # a signature is not ours yet: it is that of another session's bearer
        return bool(request.auth or self.auth) and signature_of(prepared) is not None

    def _is_overheard(self, request: PreparedRequest, send_settings: dict[str, Any]) -> bool:
        """By plain http a token goes to a loopback address only, and through no proxy."""
        url = request.url or ""
        if not is_plain_http(url):
            return False
        proxies = send_settings.get("proxies")
        if "proxies" not in send_settings:
            proxies = resolve_proxies(request, self.proxies, self.trust_env)
        return select_proxy(url, proxies) is not None

    def _stand_in_for_auth(self, *, withhold: bool) -> Callable[..., Any] | None:
        """The ``auth=`` of a request to an allowed host that has none: it keeps netrc out."""
        if withhold:
            return withhold_token
        return None if self.auth else made_here  # a session's own must not be hidden

    def _joined(self, url: _t.UriType | None) -> str:
        """`url` as requests understands it: bytes decoded, other objects as their str."""
        text = url.decode("utf-8") if isinstance(url, bytes) else str(url)
        one_slash = text.startswith("/") and not text.startswith("//")
        return self.base_url + text if one_slash else text

    def _send_token_request(self, request: PreparedRequest, timeout: float) -> Response:
        """Sends it with the session's adapters, proxies, verify and cert, and nothing else of it.

        Not by `send`, which mixins override (a cache, a pool), and which keeps cookies.
        """
        url = request.url or ""
        settings = self.merge_environment_settings(url, {}, True, None, None)
        if is_plain_http(url):
            settings["proxies"] = {}  # one would see the password
        return _TokenCall(self).send(request, timeout=timeout, allow_redirects=False, **settings)

    def _sign_anew(self, request: PreparedRequest) -> None:
        """After a wait: a token of ours on a request may be over, or have been replaced.

        That of another session stays, which may share our adapter for its connections.
        """
        if is_signed_by(self._source, request):
            sign(request, self._source, self._send_token_request)

    def _send_once(self, request: PreparedRequest, **settings: Any) -> Response:
        return self.get_adapter(request.url or "").send(request, **settings)


class _TokenCall(requests.Session):
    """A session for one token request, which has the adapters of another and nothing else of it.

    By requests' own `send`, since that is where requests-mock takes the place of the network.
    """

    def __init__(self, session: requests.Session) -> None:
        super().__init__()
        self.get_adapter = session.get_adapter  # type: ignore[method-assign]

    def get_redirect_target(self, resp: Response) -> None:
        """None: to look for the next hop, requests would read the reply to its end."""


def _left_alone(request: PreparedRequest) -> PreparedRequest:
    """An ``auth=`` that does nothing, and keeps requests from looking for another one."""
    return request


def _with(request: Request, **changes: Any) -> Request:
    changed = copy.copy(request)
    vars(changed).update(changes)
    return changed


def _hooks_with(first: Callable[..., Response], hooks: Any) -> dict[str, Any]:
    others = (hooks or {}).get("response") or ()
    return {"response": [first, others] if callable(others) else [first, *others]}


def _setting(name: str, given: _Given | None, default: _Default) -> _Given | _Default | str:
    """What was given, else what the environment says, else the default."""
    return given if given is not None else from_environment(name, os.environ) or default


def _checked_base_url(base_url: str) -> str:
    if "?" in check_url(base_url, setting="base_url") or "#" in base_url:
        raise SettingError("base_url must end before any ? or #", setting="base_url")
    return base_url.rstrip("/")


def _checked_leeway(leeway: float) -> float:
    if not (isinstance(leeway, (int, float)) and leeway >= 0):
        raise SettingError(f"leeway must be 0 seconds or more, not {leeway!r}", setting="leeway")
    return leeway


def _checked_timeout(timeout: _t.TimeoutType) -> _t.TimeoutType:
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    usable = len(pair) == 2 and all(
        seconds is None or (isinstance(seconds, (int, float)) and 0 < seconds < math.inf)
        for seconds in pair
    )
    usable = usable and not any(isinstance(seconds, bool) for seconds in pair)
    if not (usable or isinstance(timeout, Timeout)):
        raise SettingError(
            "default_timeout must be more than 0 seconds, two such numbers, or None, "
            f"not {timeout!r}",
            setting="default_timeout",
        )
    return timeout
