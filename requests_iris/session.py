"""IrisSession. Only this module depends on the inside of requests.Session."""

from __future__ import annotations

import copy
import logging
import os
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import LegacyApplicationClient
from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.utils import resolve_proxies, select_proxy
from requests_oauthlib import OAuth2Session

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
from .credentials import PREFIX, SECRETS, Credentials
from .deadline import watched
from .errors import SettingError
from .forks import register
from .hosts import is_plain_http, may_see_token
from .oauth2 import NOT_AVAILABLE, OAuth2Interface
from .pagination import Page, Progress, items, pages, progress_of, responses
from .parameters import (
    Argument,
    SecretArgument,
    drained,
    named_only,
    refuse_former,
    refuse_unknown,
)
from .secret import Concealed, concealed
from .settings import Settings, checked_token, checked_updater, kind_of
from .source import TokenSource, Updater
from .stores import TokenStore
from .token_endpoint import TokenEndpoint
from .transport import IrisAdapter, idempotent_call

if TYPE_CHECKING:
    from requests import _types as _t
    from typing_extensions import Self, Unpack
    from urllib3.util import Retry

    from .types import (
        Counters,
        DataArguments,
        GetArguments,
        PostArguments,
        RequestArguments,
    )

log = logging.getLogger("requests_iris")

#: The attributes in a copy or a pickle, besides the attributes in requests' own pickle.
_STATE = (
    *("base_url", "default_timeout", "_origins", "_passed", "_prefix", "_source"),
    *("_client", "_scope", "_state", "state", "redirect_uri", "compliance_hook"),
)


# requests.Session is already a base of OAuth2Session. It is named for type checkers, because
# requests-oauthlib has no types.
class IrisSession(OAuth2Interface, OAuth2Session, requests.Session):
    """A :class:`requests.Session` that is always signed in to IRIS.

    All arguments are optional, and None means "not passed". An argument wins over the environment
    variable, and the variable over the default. All variables are read when the session is created;
    unpickling a session reads the variables of missing credentials again. Creating a session sends
    nothing. The session signs in for the first request to an allowed host.

    Each argument, except for the two secrets, is also a property with exactly the passed value.
    ``token``, ``token_updater``, ``scope``, ``client_id``, ``base_url`` and ``default_timeout`` can
    be assigned later. Assigning ``base_url`` changes where paths belong, but not which hosts may
    see the token.

    :param client_id: the id of the OAuth client (``TRACKUNIT_CLIENT_ID``).
    :param client_secret: the secret of the OAuth client (``TRACKUNIT_CLIENT_SECRET``).
    :param username: the name of the API User (``TRACKUNIT_USERNAME``).
    :param password: the password of the API User (``TRACKUNIT_PASSWORD``).
    :param scope: the scope to ask for, one string or a list of words (``TRACKUNIT_SCOPE``); the
        default is ``"api offline_access"``. Without ``offline_access`` IRIS issues no refresh
        token, and the session renews the token by signing in again.
    :param token: a saved token, such as :attr:`token`. An ``expires_in`` without an ``expires_at``
        is ignored, and the session then uses the token until an API rejects the token.
    :param token_updater: called with each new token as a dict, in the thread of the renewal. An
        exception from the updater is raised by the call in this thread, and the token is kept.
    :param token_store: where processes share the token: a path, a URL that begins with
        ``file:///``, ``redis://`` or ``rediss://``, or a :class:`TokenStore`
        (``TRACKUNIT_TOKEN_STORE``). False or 0: the token is not shared, the default. Each API
        User, client and scope has an entry of its own in the store.
    :param base_url: where a URL that begins with one slash belongs (``TRACKUNIT_BASE_URL``); the
        default is ``"https://iris.trackunit.com"``.
    :param token_url: the token endpoint (``TRACKUNIT_TOKEN_URL``); the default is
        ``"https://auth.trackunit.com/token"``.
    :param allowed_hosts: the hosts that may see the token, such as ``["example.org:8443"]``, or one
        such host (``TRACKUNIT_ALLOWED_HOSTS``, separated by commas). Host and port are compared
        exactly. The default is the host of `base_url`.
    :param leeway: seconds between the moment when a token expires and the end of the lifetime, at
        most a tenth of the lifetime; the default is 60. False or 0: no leeway.
    :param default_timeout: seconds, as requests' ``timeout``, for a request to an allowed host
        without a ``timeout`` of its own; the default is ``(10, 60)``. False or 0: no limit.
    :param retry: a urllib3 ``Retry``, or the number of retries, for requests to allowed hosts. The
        default is :data:`DEFAULT_RETRY`: idempotent methods are retried up to 4 times after 429,
        502, 503, 504, and after a connection fault. False or 0: no retry.
    :param pool_maxsize: the number of connections to keep for each allowed host: ideally the number
        of threads. The default is 128.
    :param token_timeout: seconds for a whole token request, including retries and pauses; the
        default is 30.
    :param clock: the clock of the session: a :class:`Clock`. A test can pass a subclass.
    :raises SettingError: for an unusable setting.
    :raises TypeError: for an unknown argument. The message says which argument to use.
    """

    client_secret = SecretArgument("The secret of the OAuth client. A session does not show it.")
    password = SecretArgument("The password of the API User. A session does not show it.")
    token_store: Argument[TokenStore | str | os.PathLike[str] | bool | None] = Argument(
        "Where processes share the token. A URL may contain a password."
    )
    token_url: Argument[str] = Argument("The token endpoint.")
    allowed_hosts: Argument[str | Iterable[str]] = Argument("The hosts that may see the token.")
    leeway: Argument[float] = Argument("Seconds between expiry and end of a token.")
    retry: Argument[Retry | int] = Argument("The retries of a request to an allowed host.")
    pool_maxsize: Argument[int] = Argument("The connections to keep for each allowed host.")
    token_timeout: Argument[float] = Argument("Seconds for a whole token request.")
    clock: Argument[Clock] = Argument("The clock.")

    #: Set by :meth:`from_env` before ``__init__`` runs.
    _prefix = PREFIX

    @named_only
    def __init__(
        self,
        client_id: str | None = None,
        *,
        client_secret: str | None = None,
        username: str | None = None,
        password: str | None = None,
        scope: str | Iterable[str] | None = None,
        token: Mapping[str, Any] | None = None,
        token_updater: Updater | None = None,
        token_store: TokenStore | str | os.PathLike[str] | bool | None = None,
        base_url: str | None = None,
        token_url: str | None = None,
        allowed_hosts: str | Iterable[str] | None = None,
        leeway: float | None = None,
        default_timeout: _t.TimeoutType = None,
        retry: Retry | int | None = None,
        pool_maxsize: int | None = None,
        token_timeout: float | None = None,
        clock: Clock | None = None,
        **unknown: NoReturn,
    ) -> None:
        """Checks the arguments, which the class describes, and sends nothing."""
        # These statements come first, because a traceback may show the variables of this frame.
        names = drained(unknown).keys()
        client_secret, password = concealed(client_secret), concealed(password)
        saved, updater, store = Concealed(token), Concealed(token_updater), concealed(token_store)
        # A base class of a subclass may have set a base_url, such as requests-toolbelt's.
        base_url = concealed(getattr(self, "base_url", None) if base_url is None else base_url)
        token_url = concealed(token_url)
        if isinstance(allowed_hosts, Iterator):
            allowed_hosts = tuple(allowed_hosts)
        allowed_hosts = concealed(allowed_hosts)
        del token, token_updater, token_store
        refuse_unknown(names, IrisSession)
        settings = Settings.read(
            os.environ,
            self._prefix,
            scope=scope,
            base_url=base_url,
            token_url=token_url,
            allowed_hosts=allowed_hosts,
            token_store=store,
            leeway=leeway,
            default_timeout=default_timeout,
            retry=retry,
            pool_maxsize=pool_maxsize,
            token_timeout=token_timeout,
            clock=clock,
        )
        self._passed = settings.passed
        self._origins = settings.allowed_hosts
        self.base_url: str = settings.passed["base_url"]
        self.default_timeout: _t.TimeoutType = settings.passed["default_timeout"]
        self._source = TokenSource(
            TokenEndpoint(settings.token_url, clock=settings.clock),
            Credentials(
                client_id, client_secret, username, password, prefix=self._prefix
            ).completed(os.environ),
            settings.scope,
            leeway=settings.leeway,
            store=settings.token_store,
            token_timeout=settings.token_timeout,
            clock=settings.clock,
        )
        super().__init__(  # type: ignore[call-arg]
            client=LegacyApplicationClient(self.client_id), scope=settings.passed["scope"]
        )
        # OAuth2Session's auth switches netrc off for every host, and cannot be pickled.
        self.auth = None
        self._source.updater = checked_updater(updater)
        self._source.token = checked_token(saved)
        self._mount_adapters(settings)
        register(self)

    @classmethod
    def from_env(cls, prefix: str | None = PREFIX, **settings: Any) -> Self:
        """Creates a session from variables with `prefix`, for programs with several accounts.

        ``from_env("ACME_")`` reads ``ACME_USERNAME``, and never ``TRACKUNIT_USERNAME``. Errors name
        the variables with the prefix. A copy and a pickle of the session keep the prefix.

        :param settings: arguments of the class. An argument wins over the variable.
        :raises SettingError: for an unusable setting.
        :raises TypeError: for an unknown argument.
        """
        box = Concealed(drained(settings))
        prefix = PREFIX if prefix is None else prefix
        if not isinstance(prefix, str):
            raise SettingError(f"prefix must be a str, not {kind_of(prefix)}", setting="prefix")
        session = cls.__new__(cls)
        # not an argument, because the `__init__` of a subclass or a mixin need not pass one on
        session._prefix = prefix
        session.__init__(**box.reveal())  # type: ignore[misc]
        return session

    def __repr__(self) -> str:
        if "_source" not in vars(self):  # in a traceback of `__init__`
            return f"<{type(self).__name__}, not created>"
        credentials, token = self._source.credentials, self._source.token
        account = f"username={credentials.username!r}"
        if credentials.username is None:
            account = f"client_id={credentials.client_id!r}"
        # a rejected token is expired for every caller
        age = "expired" if self._source.age == "rejected" else self._source.age
        shown = f"token={token.fingerprint} ({age})" if token else "token=none"
        # an assigned URL may contain a password
        base_url = re.sub(r"//[^/]*@", "//...@", str(self.base_url))
        return f"<{type(self).__name__} {base_url} grant_type='password' {account} {shown}>"

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__()} - NOT_AVAILABLE - {*SECRETS})

    @property
    def username(self) -> str | None:
        """The name of the API User."""
        return self._source.credentials.username

    if TYPE_CHECKING:  # requests' methods, with the two additional arguments of `request`

        def get(
            self, url: _t.UriType, params: _t.ParamsType = None, **kwargs: Unpack[GetArguments]
        ) -> Response: ...
        def options(self, url: _t.UriType, **kwargs: Unpack[RequestArguments]) -> Response: ...
        def head(self, url: _t.UriType, **kwargs: Unpack[RequestArguments]) -> Response: ...
        def post(
            self,
            url: _t.UriType,
            data: _t.DataType = None,
            json: _t.JsonType = None,
            **kwargs: Unpack[PostArguments],
        ) -> Response: ...
        def put(
            self, url: _t.UriType, data: _t.DataType = None, **kwargs: Unpack[DataArguments]
        ) -> Response: ...
        def patch(
            self, url: _t.UriType, data: _t.DataType = None, **kwargs: Unpack[DataArguments]
        ) -> Response: ...
        def delete(self, url: _t.UriType, **kwargs: Unpack[RequestArguments]) -> Response: ...

    def _mount_adapters(self, settings: Settings) -> None:
        """Replaces requests' adapters, for plain HTTP only if a loopback address was named."""
        urls = (*settings.allowed_hosts, settings.token_url)
        for prefix in ("https://", "http://") if any(map(is_plain_http, urls)) else ("https://",):
            adapter = IrisAdapter(
                origins=settings.allowed_hosts,
                token_url=settings.token_url,
                sign_anew=self._sign_anew,
                retry=settings.retry,
                pool_maxsize=settings.pool_maxsize,
                clock=settings.clock,
            )
            self.mount(prefix, adapter)

    def __getstate__(self) -> dict[str, Any]:
        # not added to `__attrs__`, because a mixin may define `__attrs__` too
        return {**super().__getstate__(), **{name: getattr(self, name) for name in _STATE}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        register(self)

    def reset_after_fork(self) -> None:
        """Gives the session in a forked child new connections and locks."""
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
            kwargs["timeout"] = self.default_timeout or None
        if not takes_token(request) or self._is_overheard(request, kwargs):
            return self._send_without_token(request, **kwargs)
        hooks = request.hooks
        signed = request if unshared else copy_of(request)
        sign(signed, self._source, self._send_token_request)
        position = position_of(signed.body)

        def first_hook(response: Response, **send_settings: Any) -> Response:
            signed.hooks = hooks
            if response.ok and self._source.rejections:
                self._source.rejections.forget(response.request.url or "")
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
        method: str | None = "GET",
        items_path: str | None = None,
        max_workers: int | None = 1,
        resume: Mapping[str, Any] | None = None,
        **request_arguments: Unpack[RequestArguments],
    ) -> Iterator[Response]:
        """Reads a list page by page: yields each page as a response, in order.

        If the list cannot be read to the end, the iterator raises an exception. The iterator never
        just ends early.

        The first response shows the pagination style: page numbers, a cursor, AEMP links, a GraphQL
        connection, or a single response. Pages are as large as the API allows, unless `url` or
        ``params`` name a size. If `url` or ``params`` name a page, the list begins at that page.

        :param url: the list; joined to `base_url` if `url` begins with one slash.
        :param method: "POST" for a list with a filter in the body, and for GraphQL. A GraphQL query
            must declare ``$after``.
        :param items_path: the path to the items in an unusual response: names with dots between the
            names, such as ``"data.assets"``.
        :param max_workers: the number of pages to read at the same time. With cursors and GraphQL,
            more than 1 means: the next page is read ahead. Closing the iterator early waits for the
            requests on the way. Failed requests are not retried then.
        :param resume: a resume point (:attr:`ListError.resume`) of a call with the same path,
            method, parameters and body, from this process or another process.
        :param request_arguments: arguments of :meth:`request` for every page: ``params``, ``json``,
            ``data``, ``headers``, ``cookies``, ``auth``, ``timeout``, ``allow_redirects``,
            ``proxies``, ``hooks``, ``verify``, ``cert``, ``withhold_token``.
        :raises SettingError: at once, for an unusable argument; after one page, for a `resume` of a
            list in a different pagination style.
        :raises TypeError: at once, for an unknown argument.
        :raises ListError: if the list cannot be read to the end. If the first request fails, you
            get the exception of :meth:`request`.
        """
        found = self._walk(url, method, items_path, max_workers, resume, request_arguments)
        return responses(found)

    def items(
        self,
        url: _t.UriType,
        *,
        method: str | None = "GET",
        items_path: str | None = None,
        max_workers: int | None = 1,
        resume: Mapping[str, Any] | None = None,
        progress: bool | Progress | None = False,
        **request_arguments: Unpack[RequestArguments],
    ) -> Iterator[Any]:
        """Reads a list item by item: yields each item, in order.

        If the list cannot be read to the end, the iterator raises an exception. The iterator never
        just ends early.

        :param url: the list; joined to `base_url` if `url` begins with one slash.
        :param method: "POST" for a list with a filter in the body, and for GraphQL.
        :param items_path: the path to the items in an unusual response, such as ``"data.assets"``.
        :param max_workers: the number of pages to read at the same time.
        :param resume: a resume point (:attr:`ListError.resume`) of the same call.
        :param progress: True for a bar on the terminal (tqdm, the extra ``progress``); or a
            callable. The callable is called after each page with the number of items read and the
            number of all items, which is None if unknown.
        :param request_arguments: arguments of :meth:`request` for every page: ``params``, ``json``,
            ``data``, ``headers``, ``cookies``, ``auth``, ``timeout``, ``allow_redirects``,
            ``proxies``, ``hooks``, ``verify``, ``cert``, ``withhold_token``.

        :meth:`pages` describes the arguments in full, and the exceptions.
        """
        found = self._walk(url, method, items_path, max_workers, resume, request_arguments)
        return items(found, progress_of(False if progress is None else progress))

    def _walk(
        self,
        url: _t.UriType,
        method: str | None,
        items_path: str | None,
        max_workers: int | None,
        resume: Mapping[str, Any] | None,
        arguments: Mapping[str, Any],
    ) -> Generator[Page, None, None]:
        refuse_former(arguments, key="items_path", workers="max_workers")
        # reading a list changes nothing on the server, whatever the method
        read = partial(self.request, idempotent=True)
        return pages(
            read,
            url,
            arguments,
            method="GET" if method is None else method,
            items_path=items_path,
            max_workers=1 if max_workers is None else max_workers,
            resume=resume,
        )

    @property
    def bearer(self) -> BearerAuth:
        """The tokens of this session as an ``auth=``, for libraries that take no session."""
        return BearerAuth(self._source, self._send_token_request, self._origins)

    @property
    def counters(self) -> Counters:
        """The work of this session so far, as a new dict of numbers.

        ``password`` and ``refresh_token``: requests to the token endpoint, by grant. ``tokens``:
        new tokens. ``replays``: requests resent after a 401. ``waits``: how often a thread waited
        for the renewal by another thread. A pickled session starts at 0.
        """
        return cast("Counters", self._source.counters)

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
        return self.base_url.rstrip("/") + text if one_slash else text

    def _send_token_request(self, request: PreparedRequest, timeout: float) -> Response:
        """Sends a token request with only adapters, proxies, verify and cert of the session.

        Not with `send`: mixins override `send` (a cache, a limiter), and `send` stores cookies.
        """
        url = request.url or ""
        settings = self.merge_environment_settings(url, {}, True, None, None)
        if is_plain_http(url):
            settings["proxies"] = {}  # a proxy would see the password
        adapter = self.get_adapter(url)
        tls = {name: settings[name] for name in ("verify", "cert", "proxies")}
        with watched(adapter, request, **tls):
            return _TokenCall(self).send(
                request, timeout=timeout, allow_redirects=False, **settings
            )

    def _sign_anew(self, request: PreparedRequest) -> None:
        """After a wait: a token of ours on a request may be over, or have been replaced.

        That of another session stays, which may share our adapter for its connections.
        """
        if is_signed_by(self._source, request):
            sign(request, self._source, self._send_token_request)

    def _send_once(self, request: PreparedRequest, **settings: Any) -> Response:
        return self.get_adapter(request.url or "").send(request, **settings)


class _TokenCall(requests.Session):
    """A session for one token request, with only the adapters of an IrisSession.

    A session, because requests-mock replaces the network inside requests' `send`.
    """

    def __init__(self, session: requests.Session) -> None:
        super().__init__()
        self.get_adapter = session.get_adapter  # type: ignore[method-assign]

    def get_redirect_target(self, resp: Response) -> None:
        """Finds no redirect, because requests reads a redirect's body to the end."""


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
