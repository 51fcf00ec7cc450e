"""IrisSession. Only this module and merges.py depend on the inside of requests.Session."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, NoReturn, cast

import requests
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from requests import PreparedRequest, Request, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import MissingSchema
from requests.utils import resolve_proxies
from requests_oauthlib import OAuth2Session

from .arguments import passes_on_to
from .auth import BearerAuth, FirstHook, Resend, Signer, copy_of, with_rejected
from .body import position_of
from .clock import Clock
from .credentials import PREFIX, SECRETS, Credentials
from .deadline import stays_in_thread, watch
from .during import During
from .errors import SettingError
from .forks import register
from .hosts import (
    host_of,
    is_plain_http,
    joined,
    may_see_token,
    why_incomplete,
    why_not_allowed,
)
from .lists import ListInterface
from .merges import lightened, settings_of
from .oauth2 import NOT_AVAILABLE, OAuth2Interface
from .options import Options, current_options
from .parameters import (
    Argument,
    SecretArgument,
    TokenUrlArgument,
    cannot_change,
    drained,
    named_only,
    refuse_unknown,
)
from .permission import (
    Verdict,
    authorization_of,
    is_withheld,
    remove,
    remove_tokens,
    withhold,
    without_tokens,
)
from .quota import Quota, QuotaView
from .secret import Bearer, Concealed, concealed, forget_sent
from .settings import Settings, checked_token, checked_updater, kind_of
from .slots import NO_SLOT, Slots, current_slot
from .source import TokenSource, Updater
from .stores import TokenStore
from .token_endpoint import TokenEndpoint
from .transport import IrisAdapter

if TYPE_CHECKING:
    from typing import Self, Unpack

    from requests import _types as _t
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
    *("base_url", "default_timeout", "_origins", "_passed", "_prefix", "_quota", "_source"),
    *("_client", "_scope", "_state", "state", "redirect_uri", "compliance_hook"),
)


# requests.Session is already a base of OAuth2Session. It is named for type checkers, because
# requests-oauthlib has no types.
class IrisSession(ListInterface, OAuth2Interface, OAuth2Session, requests.Session):
    """A :class:`requests.Session` that is always signed in to IRIS.

    All arguments are optional, and None means "not passed". An argument wins over the environment
    variable, and the variable over the default. All variables are read when the session is created;
    unpickling a session reads the variables of missing credentials again. Creating a session sends
    nothing. The session signs in for the first request to an allowed host.

    The session signs in with the password of an API User, or with an API key ("API Tokens v2"):
    client id, client secret and scope, without a user.

    Each argument, except for the two secrets, is also a property with exactly the passed value.
    ``token``, ``token_updater``, ``scope``, ``client_id``, ``base_url`` and ``default_timeout`` can
    be assigned later. Assigning ``base_url`` changes where paths belong, but not which hosts may
    see the token.

    :param client_id: the id of the OAuth client or API key (``TRACKUNIT_CLIENT_ID``).
    :param client_secret: the secret of the OAuth client or API key (``TRACKUNIT_CLIENT_SECRET``).
    :param username: the name of the API User (``TRACKUNIT_USERNAME``).
    :param password: the password of the API User (``TRACKUNIT_PASSWORD``).
    :param scope: the scope to ask for, one string or a list of words (``TRACKUNIT_SCOPE``); the
        default of the password grant is ``"api offline_access"``. Without ``offline_access`` IRIS
        issues no refresh token, and the session renews the token by signing in again. An API key
        needs a scope.
    :param grant_type: ``"password"`` for an API User, ``"client_credentials"`` for an API key
        (``TRACKUNIT_GRANT_TYPE``). The default is ``"password"``, unless `client_id`,
        `client_secret` and `scope` are set, neither `username` nor `password` is set, no `token` is
        passed, and the scope has no ``offline_access``. ``repr()`` shows the grant in force.
    :param token: a saved token, such as :attr:`token`. An ``expires_in`` without an ``expires_at``
        is ignored, and the session then uses the token until an API rejects the token.
    :param token_updater: called with each new token as a dict, in the thread of the renewal. An
        exception from the updater is raised by the call in this thread, and the token is kept.
    :param token_store: where processes share the token: a path, a URL that begins with
        ``file:///``, ``redis://`` or ``rediss://``, or a :class:`TokenStore`
        (``TRACKUNIT_TOKEN_STORE``). False or 0: the token is not shared, the default. Each API
        User, client and scope has an entry of its own in the store.
    :param quota: reserves a slot of IRIS's rate limits for each request, and waits for the slot
        where the wait is short: ``"memory"`` for this process; a path or a URL that begins with
        ``file:///`` for the processes of this machine (SQLite); ``redis://`` or ``rediss://``; or a
        :class:`Quota` (``TRACKUNIT_QUOTA``). False or 0: no slots are reserved, the default.
    :param base_url: where a URL that begins with one slash belongs (``TRACKUNIT_BASE_URL``); the
        default is ``"https://iris.trackunit.com"``.
    :param token_url: the token endpoint (``TRACKUNIT_TOKEN_URL``); the default is
        ``"https://auth.trackunit.com/token"``, and for the client_credentials grant
        ``"https://auth.trackunit.com/token/v2"``.
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
    :param token_timeout: seconds for the token requests of a renewal together, including retries
        and pauses; the default is 30.
    :param clock: the clock of the session: a :class:`Clock`. A test can pass a subclass.
    :raises SettingError: for an unusable setting.
    :raises TypeError: for an unknown argument. The message says which argument to use.
    """

    client_secret = SecretArgument("The secret of the OAuth client. A session does not show it.")
    password = SecretArgument("The password of the API User. A session does not show it.")
    token_store: Argument[TokenStore | str | os.PathLike[str] | bool | None] = Argument(
        "Where processes share the token. A URL may contain a password."
    )
    grant_type: Argument[str | None] = Argument(
        "The grant as passed, or None. ``repr()`` shows the grant in force."
    )
    token_url = TokenUrlArgument("The token endpoint.")
    allowed_hosts: Argument[str | Iterable[str]] = Argument("The hosts that may see the token.")
    leeway: Argument[float] = Argument("Seconds between expiry and end of a token.")
    retry: Argument[Retry | int] = Argument("The retries of a request to an allowed host.")
    pool_maxsize: Argument[int] = Argument("The connections to keep for each allowed host.")
    token_timeout: Argument[float] = Argument("Seconds for the token requests of a renewal.")
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
        grant_type: str | None = None,
        token: Mapping[str, Any] | None = None,
        token_updater: Updater | None = None,
        token_store: TokenStore | str | os.PathLike[str] | bool | None = None,
        quota: Quota | str | os.PathLike[str] | bool | None = None,
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
        token_url, quota = concealed(token_url), concealed(quota)
        if isinstance(allowed_hosts, Iterator):
            allowed_hosts = tuple(allowed_hosts)
        allowed_hosts = concealed(allowed_hosts)
        del token, token_updater, token_store
        refuse_unknown(names, IrisSession)
        settings = Settings.read(
            os.environ,
            Credentials(client_id, client_secret, username, password, prefix=self._prefix),
            has_token=saved.reveal() is not None,
            grant_type=grant_type,
            scope=scope,
            base_url=base_url,
            token_url=token_url,
            allowed_hosts=allowed_hosts,
            token_store=store,
            quota=quota,
            leeway=leeway,
            default_timeout=default_timeout,
            retry=retry,
            pool_maxsize=pool_maxsize,
            token_timeout=token_timeout,
            clock=clock,
        )
        self._passed = settings.passed
        self._origins = settings.allowed_hosts
        self._quota = settings.quota
        self.base_url: str = settings.passed["base_url"]
        self.default_timeout: _t.TimeoutType = settings.passed["default_timeout"]
        self._source = TokenSource(
            {
                grant: TokenEndpoint(url, clock=settings.clock)
                for grant, url in settings.token_urls.items()
            },
            settings.credentials,
            settings.scope,
            settings.grant,
            leeway=settings.leeway,
            store=settings.token_store,
            token_timeout=settings.token_timeout,
            clock=settings.clock,
        )
        self._make_slots()
        client = BackendApplicationClient if settings.grant.is_key else LegacyApplicationClient
        super().__init__(  # type: ignore[call-arg]
            client=client(self.client_id), scope=settings.passed["scope"]
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

        :param prefix: the beginning of the variables' names; the default is ``"TRACKUNIT_"``.
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
        token, grant = self._source.token, self._source.grant.name
        account = f"username={self.username!r}"
        if self.username is None:
            account = f"client_id={self.client_id!r}"
        # a rejected token is expired for every caller
        age = "expired" if self._source.age == "rejected" else self._source.age
        shown = f"token={token.fingerprint} ({age})" if token else "token=none"
        # an assigned URL may contain a password
        base_url = re.sub(r"//[^/]*@", "//...@", str(self.base_url))
        return f"<{type(self).__name__} {base_url} grant_type={grant!r} {account} {shown}>"

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__()} - NOT_AVAILABLE - {*SECRETS})

    @property
    def username(self) -> str | None:
        """The name of the API User, if any. An API key has no user."""
        return None if self._source.grant.is_key else self._source.credentials.username

    @username.setter
    def username(self, value: NoReturn) -> None:
        del value
        raise AttributeError(cannot_change("username"))

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
                limits=settings.limits,
                clock=settings.clock,
            )
            self.mount(prefix, adapter)

    def __getstate__(self) -> dict[str, Any]:
        # not added to `__attrs__`, because a mixin may define `__attrs__` too
        return {**super().__getstate__(), **{name: getattr(self, name) for name in _STATE}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._make_slots()
        register(self)

    def close(self) -> None:
        """As in requests. A quota writes its unsaved slots to its store."""
        super().close()
        if self._quota is not None:
            self._quota.flush()

    def reset_after_fork(self) -> None:
        """Gives the session in a forked child new connections and locks."""
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
            `idempotent` for a request that only reads, or that can be repeated safely for another
            reason (RFC 9110 section 9.2.2).
        :raises requests.RequestException: as requests does, and :class:`TokenError` if a token is
            needed and there is none, and :class:`QuotaExceededError` if the `quota` has no slot.
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
        asked = current_options.get()
        options = Options(
            # reading a list changes nothing on the server, whatever the method
            idempotent=idempotent or method == asked.page,
            withhold_token=withhold_token,
            endless=passed.get("timeout", _NOT_PASSED) is None,
            in_walk=asked.in_walk and asked.page is not None,
        )
        with During(current_options, options):
            # OAuth2Session's own `request` is left out: it signs for every host
            return super(OAuth2Session, self).request(method, joined(self.base_url, url), **passed)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As in requests, with three differences. The caller's `request` is not changed.

        1. A URL that starts with one slash is joined to `base_url`.
        2. netrc has no say for allowed hosts.
        3. If the caller set an authentication that the headers do not show, the prepared request is
           marked, so that :meth:`send` does not sign the request.

        :raises MissingSchema: for a URL without a scheme that does not start with one slash.
        """
        url, auth = joined(self.base_url, request.url), request.auth
        options = current_options.get()
        if options.withhold_token and not auth:
            auth = _unauthenticated
            # a hook of the caller may prepare other requests
            current_options.set(options._replace(withhold_token=False))
        elif self.trust_env and not (auth or self.auth) and _leads_to(url, self._origins):
            auth = _left_alone
        prepare = super().prepare_request
        try:
            prepared = prepare(lightened(_with(request, url, auth), self, prepare))
        except MissingSchema:
            raise MissingSchema(why_incomplete(url), request=request) from None
        if request.auth or self.auth or is_withheld(request):
            self._mark(request, prepared)
        return prepared

    def merge_environment_settings(
        self,
        url: str,
        proxies: dict[str, str] | None,
        stream: bool | None,
        verify: _t.VerifyType | None,
        cert: _t.CertType,
    ) -> dict[str, Any]:
        """As in requests, without merges of empty proxies."""
        merge = super().merge_environment_settings
        return settings_of(self, merge, url, proxies, stream, verify, cert)

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As in requests; a request that may carry the token is signed.

        Every path crosses this method: the verbs, prepared requests, each hop of a redirect.

        1. A private copy of the request is made, and the verdict is about the copy. Other threads
           cannot change the copy.
        2. An allowed host gets the default timeout, if the caller passed none.
        3. The verdict LEAVE sends the request as the caller made it, STRIP sends the copy without
           the token of an earlier send.
        4. SIGN sends the signed copy. With a `quota`, the copy is sent as soon as there is a slot,
           and signed again after a wait. After a 401 the copy is sent once more with a new token;
           the caller's hooks see the final response only.

        Limit: if a caller takes the URL of a redirect and makes a new request, the new request is
        the caller's own. The session signs the request if the URL leads to an allowed host.

        :param timeout: None and no timeout mean `default_timeout` here, because requests' own
            methods always pass a timeout.
        """
        if isinstance(request, Request):
            return super().send(request, **kwargs)  # requests refuses a Request
        copied = copy_of(request)
        url = copied.url if isinstance(copied.url, str) else ""
        signer = self._signer
        proxies = self._proxies_of(copied, kwargs) if is_plain_http(url) else None
        verdict = signer.sign(copied, proxies, withheld=is_withheld(copied))
        is_allowed = verdict is Verdict.SIGN or may_see_token(url, self._origins)
        if is_allowed and kwargs.get("timeout") is None and not current_options.get().endless:
            kwargs["timeout"] = self.default_timeout or None
        if verdict is not Verdict.SIGN:
            return self._send_unsigned(request if verdict is Verdict.LEAVE else copied, **kwargs)
        slots = self._slots
        slot = NO_SLOT if slots is None else signer.reserve(slots, copied)
        resend = Resend(signer, position_of(copied.body), self._adapter_send, slot)
        try:
            with FirstHook(copied, partial(self._after, resend)):
                response = slot.hand_to(super().send, copied, **kwargs)
        except BaseException as error:
            forget_sent(error)
            raise
        return with_rejected(response) if response.history else response

    def _after(self, resend: Resend, response: Response, **settings: Any) -> Response:
        """The response hook of :meth:`send`."""
        if self._slots is not None:
            current_slot.set(NO_SLOT)  # later hooks may send requests of their own
        if response.status_code != 401:
            return resend(response, **settings)  # no further request
        if getattr(self.get_adapter, "__func__", None) is type(self).get_adapter:
            return resend(response, **settings)
        with During(stays_in_thread, True):
            return resend(response, **settings)

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
        """Marks a hop of a redirect if :meth:`send` must not sign the hop.

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

    @property
    def bearer(self) -> BearerAuth:
        """The tokens of this session as an ``auth=``, for libraries that take no session."""
        return BearerAuth(self._source, self._send_token_request, self._origins, self._slots)

    @property
    def quota(self) -> QuotaView | None:
        """What is left of IRIS's rate limits: ``iris.quota.state(url)``. None without a quota."""
        if self._quota is None:
            return None
        return QuotaView(self._quota, self._source.owner, self.clock, self._counted)

    @quota.setter
    def quota(self, value: NoReturn) -> None:
        del value  # may contain a password
        raise AttributeError(cannot_change("quota"))

    @property
    def counters(self) -> Counters:
        """The work of this session so far, as a new dict of numbers.

        ``password``, ``refresh_token``, ``client_credentials``: requests to the token endpoint, by
        grant. ``tokens``: new tokens. ``replays``: requests resent after a 401. ``waits``: how
        often a thread waited for the renewal by another thread. A pickled session starts at 0.
        """
        return cast("Counters", self._source.counters)

    @property
    def _signer(self) -> Signer:
        return Signer(self._source, self._send_token_request, self._origins)

    def _make_slots(self) -> None:
        quota = self._quota
        self._slots = None if quota is None else Slots(quota, self._source, self.clock)

    def _counted(self, url: str) -> str | None:
        """The whole URL of a request, or None if the quota does not count the request."""
        whole = str(joined(self.base_url, url))
        return whole if may_see_token(whole, self._origins) else None

    def _mark(self, request: Request, prepared: PreparedRequest) -> None:
        """Marks a prepared request as authenticated by the caller, if the headers do not show this.

        To an allowed host, ``auth=`` counts even without a header. The bearer of a second session
        sets a header similar to ours. A request made from the headers of a marked request is marked
        too.
        """
        set_by_auth = _set_by_auth(request, self, prepared)
        if set_by_auth is not None:
            prepared._iris_whose = "auth=" if request.auth else "session.auth"  # type: ignore[attr-defined]
        # the URL as requests has written it is the URL that `send` will judge
        is_callers = request.auth and may_see_token(prepared.url or "", self._origins)
        if is_callers or isinstance(set_by_auth, Bearer) or is_withheld(request):
            withhold(prepared)

    def _proxies_of(
        self, request: PreparedRequest, settings: Mapping[str, Any]
    ) -> Mapping[str, str] | None:
        """The proxies that requests will use for `request`."""
        if "proxies" in settings:
            return settings["proxies"]  # type: ignore[no-any-return]
        return resolve_proxies(request, self.proxies, self.trust_env)

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
        watch(adapter, request, **tls)
        return _TokenCall(self).send(request, timeout=timeout, allow_redirects=False, **settings)

    def _sign_anew(self, request: PreparedRequest) -> None:
        """Called by the adapter before a retry: the token may have expired during the wait."""
        self._signer.sign_again(request)

    def _adapter_send(self, request: PreparedRequest, **settings: Any) -> Response:
        return self.get_adapter(request.url or "").send(request, **settings)


#: requests' own class. ``requests.Session`` may be a cache, installed before our import.
if TYPE_CHECKING:
    _RequestsSession = requests.Session
else:
    _RequestsSession = next(
        kind
        for kind in OAuth2Session.__mro__
        if vars(kind).get("send") and kind.__module__ == "requests.sessions"
    )


class _TokenCall(_RequestsSession):
    """A session for a single token request, with the adapters of `session` and nothing else.

    A session, because requests-mock replaces the network inside requests' `send`.
    """

    def __init__(self, session: requests.Session) -> None:
        super().__init__()
        self.get_adapter = session.get_adapter  # type: ignore[method-assign]

    def get_redirect_target(self, resp: Response) -> None:
        """Finds no redirect, because requests reads a redirect's body to the end."""


def _left_alone(request: PreparedRequest) -> PreparedRequest:
    """An ``auth=`` without effect: requests then does not look into netrc."""
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


_NOT_PASSED = object()
