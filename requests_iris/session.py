"""IrisSession: the only module that knows the inside of requests.Session."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from http.cookiejar import CookieJar
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import requests
from oauthlib.oauth2 import LegacyApplicationClient
from requests import PreparedRequest, Request, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import MissingSchema
from requests.utils import resolve_proxies
from requests_oauthlib import OAuth2Session
from urllib3.util import Timeout

from .arguments import passes_on_to
from .auth import BearerAuth, FirstHook, Resend, Signer, copy_of, with_rejected
from .body import position_of
from .clock import Clock
from .credentials import Credentials, from_environment, parse_scope
from .errors import SettingError
from .forks import register
from .hosts import (
    check_url,
    host_of,
    is_plain_http,
    joined,
    may_see_token,
    origins_of,
    why_incomplete,
    why_not_allowed,
)
from .pagination import Page, Progress, items, pages, progress_of, responses
from .permission import (
    Verdict,
    authorization_of,
    is_withheld,
    remove,
    remove_tokens,
    withhold,
    without_tokens,
)
from .secret import Bearer, Secret
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
_Value = TypeVar("_Value")

#: Whether the call under way in this thread was made with ``withhold_token=True``.
_withheld_call: ContextVar[bool] = ContextVar("requests_iris_withheld_call", default=False)
#: Whether the call under way in this thread was made with ``timeout=None``, which requests' own
#: call of `send` does not show.
_endless_call: ContextVar[bool] = ContextVar("requests_iris_endless_call", default=False)


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
        if base_url is None:  # a mixin before us, such as BaseUrlSession, may keep the argument
            base_url = vars(self).get("base_url")
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

    @passes_on_to("_request")
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

        :param url: a URL that starts with one slash is joined to `base_url`.
        :param timeout: seconds, as in requests. If the caller passes no timeout, an allowed host
            gets `default_timeout`; None waits without limit.
        :param withhold_token: if True, this request is sent without any authentication.
        :param idempotent: if True, this request is retried as a GET is, whatever the method. Set
            it for a request that only reads, or that can be repeated safely for another reason
            (RFC 9110 section 9.2.2).
        :raises requests.RequestException: as requests does, and :class:`TokenError` if a token is
            needed and cannot be had.
        """
        raise NotImplementedError  # `_request` does the work

    def _request(
        self,
        method: str,
        url: _t.UriType,
        *,
        withhold_token: bool = False,
        idempotent: bool = False,
        **passed: Any,
    ) -> Response:
        with (
            _during(idempotent_call, idempotent),
            _during(_withheld_call, withhold_token),
            _during(_endless_call, passed.get("timeout", _NOT_PASSED) is None),
        ):
            # OAuth2Session's own `request` is left out: it signs for every host
            return super(OAuth2Session, self).request(method, joined(self.base_url, url), **passed)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As in requests, with three differences. The caller's `request` is not changed.

        1. A URL that starts with one slash is joined to `base_url`.
        2. netrc has no say for allowed hosts.
        3. If the caller set an authentication that the headers do not show, the prepared request is
           marked, so that :meth:`send` does not sign the request.
        """
        url, auth = joined(self.base_url, request.url), request.auth
        if _withheld_call.get() and not auth:
            auth = _unauthenticated
            _withheld_call.set(False)  # a hook of the caller may prepare other requests
        elif self.trust_env and not (auth or self.auth) and _leads_to(url, self._origins):
            auth = _left_alone
        prepare = super().prepare_request
        try:
            prepared = prepare(_lightened(_with(request, url, auth), self, prepare))
        except MissingSchema:
            raise MissingSchema(why_incomplete(url), request=request) from None
        if request.auth or self.auth or is_withheld(request):
            self._mark(request, prepared)
        return prepared

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As in requests; a request that may carry the token is signed.

        Every path crosses this method: the verbs, prepared requests, each hop of a redirect.

        1. A copy of the request is made. The verdict is about the copy, so that another thread that
           changes the request cannot change what was decided.
        2. An allowed host gets the default timeout, if the caller passed none.
        3. The verdict LEAVE sends the request as the caller made it, STRIP sends the copy without
           the token of an earlier send.
        4. SIGN sends the signed copy. After a 401 the copy is sent once more with a new token; the
           caller's hooks see the final response only.

        Not every request that another host has caused can be recognised. A request that the caller
        makes from nothing but the URL of a redirect is a request of the caller, and is signed if
        the URL leads to an allowed host.

        :param timeout: None and no timeout mean `default_timeout` here, because requests' own
            methods always pass a timeout.
        """
        if isinstance(request, Request):
            return super().send(request, **kwargs)  # requests refuses a Request
        copied = copy_of(request)
        url = copied.url if isinstance(copied.url, str) else ""
        if kwargs.get("timeout") is None and self._needs_timeout(url):
            kwargs["timeout"] = self.default_timeout or None
        signer = self._signer
        proxies = self._proxies_of(copied, kwargs) if is_plain_http(url) else None
        verdict = signer.sign(copied, proxies, withheld=is_withheld(copied))
        if verdict is not Verdict.SIGN:
            return self._send_unsigned(request if verdict is Verdict.LEAVE else copied, **kwargs)
        resend = Resend(signer, position_of(copied.body), self._adapter_send)
        with FirstHook(copied, resend):
            response = super().send(copied, **kwargs)
        return with_rejected(response) if response.history else response

    def _send_unsigned(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As requests does. If the response is a 401, a log record names the likely reason."""
        response = super().send(request, **kwargs)
        # each hop of a redirect comes through here on its own
        if response.status_code == 401 and not response.history:
            self._explain_401(request)
        return response

    def _explain_401(self, request: PreparedRequest) -> None:
        url, authorization = request.url or "", authorization_of(request.headers)
        reason = why_not_allowed(url, self._origins)
        if reason and not authorization:
            log.warning("%s answered 401 and saw no token: %s", host_of(url), reason)
        if not reason and without_tokens(authorization):
            whose = getattr(request, "_iris_whose", "an Authorization header of your own")
            log.warning("%s answered 401: %s hid the session's token", host_of(url), whose)

    def rebuild_method(self, prepared_request: PreparedRequest, response: Response) -> None:
        """As in requests, after :meth:`_follow`."""
        self._follow(prepared_request, response)
        super().rebuild_method(prepared_request, response)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """As in requests, after :meth:`_follow`, but without netrc for allowed hosts."""
        self._follow(prepared_request, response)
        url, authorization = prepared_request.url or "", authorization_of(prepared_request.headers)
        if not may_see_token(url, self._origins):
            super().rebuild_auth(prepared_request, response)
        elif authorization and self.should_strip_auth(response.request.url or "", url):
            remove(authorization, prepared_request.headers)

    def _follow(self, hop: PreparedRequest, response: Response) -> None:
        """Marks a hop of a redirect, so that :meth:`send` signs the hop only where this is allowed.

        Called twice for each hop: many programs override `rebuild_auth` or `rebuild_method` without
        calling ours. The second call changes nothing.
        """
        self._signer.follow(response, hop)
        before = response.request
        if before is None:  # an adapter of a caller may leave the request out
            return
        if self.should_strip_auth(before.url or "", hop.url or ""):
            remove_tokens(hop.headers)
        if hasattr(before, "_iris_whose"):
            hop._iris_whose = before._iris_whose  # type: ignore[attr-defined]

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
        """Every page of a list, in order, as responses; or an exception, never a short list.

        The form of the list is told by its first page: pages, cursors, AEMP links, a GraphQL
        connection, or one whole list. JSON is asked for, and as many elements a page as there can
        be where `url` and ``params`` do not say. If they name a page, the walk begins there.

        :param method: "POST" for lists with a filter in the body, and for GraphQL, whose query must
            declare ``$after``.
        :param items_path: where the elements are, as names with dots between them, in an odd reply.
        :param max_workers: pages to read at once; cursors, and GraphQL, read one page ahead.
            Where the walk ends early, it waits for requests on their way, and repeats none.
        :param resume: of the :class:`ListError` that the same call has raised before: its method,
            path, parameters and body, in this process or another.
        :param request_arguments: further ones of :meth:`request`, for every page; none is streamed.
        :raises SettingError: at once, for an argument that cannot be right; after one page for a
            `resume` of a list of another form.
        :raises TypeError: at once, for an argument that :meth:`request` does not have.
        :raises ListError: on the way, for a list that is not read whole. If the first request of
            all is not answered, what :meth:`request` raises.
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
        """Every element of a list, in order; or an exception, never a short list.

        :param progress: True for a bar on the terminal (tqdm, the extra ``progress``); or what is
            called after each page with the number of elements read, and that of all or None.

        The other arguments are those of :meth:`pages`, and so are the exceptions.
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
        # a walk only reads, by whatever method
        read = partial(self.request, idempotent=True)
        return pages(
            read,
            url,
            arguments,
            method=method,
            items_path=items_path,
            max_workers=max_workers,
            resume=resume,
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

    @property
    def _signer(self) -> Signer:
        return Signer(self._source, self._send_token_request, self._origins)

    def _mark(self, request: Request, prepared: PreparedRequest) -> None:
        """Marks a prepared request with what its headers do not show: whose authentication it has.

        To an allowed host, ``auth=`` counts even if it sets no header. The bearer of another
        session sets a header that looks like ours. A request made from the headers of a marked
        request is marked too.
        """
        set_by_auth = _set_by_auth(request, self, prepared)
        if set_by_auth is not None:
            prepared._iris_whose = "auth=" if request.auth else "session.auth"  # type: ignore[attr-defined]
        # the URL as requests has written it is the URL that `send` will judge
        is_callers = request.auth and may_see_token(prepared.url or "", self._origins)
        if is_callers or isinstance(set_by_auth, Bearer) or is_withheld(request):
            withhold(prepared)

    def _needs_timeout(self, url: str) -> bool:
        return may_see_token(url, self._origins) and not _endless_call.get()

    def _proxies_of(
        self, request: PreparedRequest, settings: Mapping[str, Any]
    ) -> Mapping[str, str] | None:
        """The proxies that requests will use for `request`."""
        if "proxies" in settings:
            return settings["proxies"]  # type: ignore[no-any-return]
        return resolve_proxies(request, self.proxies, self.trust_env)

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
        """Called by the adapter before a retry: the token may have expired during the wait."""
        self._signer.sign_again(request)

    def _adapter_send(self, request: PreparedRequest, **settings: Any) -> Response:
        return self.get_adapter(request.url or "").send(request, **settings)


#: requests' own class: a cache that was installed before our import stands in its place.
if TYPE_CHECKING:
    _RequestsSession = requests.Session
else:
    _RequestsSession = next(
        kind
        for kind in OAuth2Session.__mro__
        if vars(kind).get("send") and kind.__module__ == "requests.sessions"
    )


class _TokenCall(_RequestsSession):
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


def _unauthenticated(request: PreparedRequest) -> PreparedRequest:
    """The ``auth=`` of a request with ``withhold_token=True``."""
    remove_tokens(request.headers)  # the caller may have passed the headers of an earlier request
    return withhold(request)


def _leads_to(url: Any, origins: frozenset[str]) -> bool:
    """Whether a URL as the caller wrote it leads to an allowed host."""
    if isinstance(url, str) and may_see_token(url, origins):
        return True
    prepared = PreparedRequest()
    try:
        prepared.prepare_url(url, None)  # requests knows more spellings of the same host
    except MissingSchema:
        return True  # a mixin such as BaseUrlSession joins a relative URL after us
    except (RequestException, UnicodeError):
        return False  # the caller will get this error
    return may_see_token(prepared.url or "", origins)


def _set_by_auth(request: Request, session: requests.Session, prepared: PreparedRequest) -> Any:
    """The ``Authorization`` header that an ``auth=`` or ``session.auth`` has set, if one has."""
    given = (request.headers, session.headers)
    values = [value for headers in given for value in authorization_of(headers).values()]
    for value in authorization_of(prepared.headers).values():
        if not any(value is each for each in values):
            return value
    return None


def _with(request: Request, url: Any, auth: Any) -> Request:
    """A shallow copy of a request. `copy.copy` takes four times as long."""
    kind = type(request)
    copied = kind.__new__(kind)
    vars(copied).update(vars(request), url=url, auth=auth)
    return copied


def _lightened(request: Request, session: requests.Session, prepare: Any) -> Request:
    """Leaves out empty dicts, which requests takes 45 of 370 microseconds to merge and to encode.

    Only requests' own method may see the request: another method may write to the dicts.
    """
    if getattr(prepare, "__globals__", None) is vars(requests.sessions):
        if not (request.params or session.params):
            request.params = ""
        # requests drops a session header that is None, but only while merging
        if not request.headers and None not in map(itemgetter(1), (session.headers or {}).items()):
            request.headers = None  # type: ignore[assignment]
    return request


def _during(variable: ContextVar[_Value], value: _Value) -> AbstractContextManager[None]:
    """Gives a context variable a value for a block. An inner call of a hook says for itself."""
    return _UNCHANGED if variable.get() == value else _changed(variable, value)


@contextmanager
def _changed(variable: ContextVar[_Value], value: _Value) -> Iterator[None]:
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)


_UNCHANGED: AbstractContextManager[None] = nullcontext()
_NOT_PASSED = object()


def _setting(name: str, given: _Given | None, default: _Default) -> _Given | _Default | str:
    """What was given, else what the environment says, else the default."""
    return given if given is not None else from_environment(name, os.environ) or default


def _checked_base_url(base_url: str) -> str:
    if "?" in check_url(base_url, setting="base_url") or "#" in base_url:
        raise SettingError("base_url must end before any ? or #", setting="base_url")
    return base_url


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
