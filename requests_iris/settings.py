"""The settings of a session: where each setting comes from, and the checks.

An argument wins over its variable, and a variable over the default. None means "not passed".
``default_timeout``, ``retry``, ``leeway``, ``token_store`` and ``quota`` can be switched off by
False or 0. The remaining settings refuse False and 0.

A setting with a secret arrives concealed (:func:`concealed`). The functions here reveal the secret
only inside an expression, never in a variable, because a traceback may show their variables.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from urllib3.util import Timeout

from .clock import Clock
from .credentials import Credentials, blame, from_environment, parse_scope, variable_of
from .errors import SettingError
from .grants import (
    BOTH_WAYS,
    CLIENT_CREDENTIALS,
    PASSWORD,
    Grant,
    check_scope,
    has_user,
    inferred,
)
from .hosts import check_url, origins_of
from .quota import IRIS_RATE_LIMITS, Quota, RateLimit, quota_of
from .retry import DEFAULT_RETRY, retry_of
from .secret import Concealed, Secret, concealed
from .source import TOKEN_TIMEOUT
from .stores import TokenStore, open_store
from .token import Token
from .transport import POOL_MAXSIZE, checked_maxsize

if TYPE_CHECKING:
    from requests import _types as _t
    from urllib3.util import Retry

#: The host of the IRIS APIs.
BASE_URL = "https://iris.trackunit.com"
#: The token endpoint of IRIS for each grant.
TOKEN_URLS = {
    PASSWORD: "https://auth.trackunit.com/token",
    CLIENT_CREDENTIALS: "https://auth.trackunit.com/token/v2",
}
#: The scope for each grant. The password grant asks for access to the APIs, and for a refresh
#: token. No scope fits every API key.
SCOPES = {PASSWORD: "api offline_access", CLIENT_CREDENTIALS: ""}
#: Seconds between the moment when a token expires and the end of the lifetime.
LEEWAY = 60.0
#: Seconds to wait for a connection, and for each part of a response.
DEFAULT_TIMEOUT = (10.0, 60.0)
#: The settings with a variable, besides the credentials.
VARIABLES = (
    *("grant_type", "scope", "base_url", "token_url", "token_store", "quota", "allowed_hosts"),
)
#: The settings that may contain a password in a URL, and stay concealed.
_CONCEALED = ("token_store", "quota")
#: A scheme with a typing error, such as `https:/` and `//`.
_HALF_A_SCHEME = re.compile(r"\A(?:https?(?::/?|//?)|/+)(?!\d)", re.I)


@dataclass(frozen=True)
class Settings:
    """The checked settings of a session, except for the token.

    :ivar passed: each setting as passed, else the value of the variable, else the default. None for
        a setting whose default depends on the grant in force.
    :ivar grant: the grant in force.
    :ivar token_urls: the token endpoint for each grant.
    """

    passed: Mapping[str, Any]
    credentials: Credentials
    grant: Grant
    token_urls: Mapping[str, str]
    scope: tuple[str, ...]
    base_url: str
    allowed_hosts: frozenset[str]
    token_store: TokenStore | None
    quota: Quota | None
    leeway: float
    default_timeout: _t.TimeoutType
    retry: Retry
    pool_maxsize: int
    token_timeout: float
    clock: Clock

    @classmethod
    def read(
        cls, environ: Any, credentials: Credentials, *, has_token: bool, **given: Any
    ) -> Settings:
        """Finds and checks each setting.

        :param credentials: the passed credentials, with the prefix of the variables.
        :param has_token: whether the caller passed a saved token.
        :raises SettingError: for an unusable setting.
        """
        environ = concealed(environ)
        found = {name: _found(name, given[name], environ, credentials.prefix) for name in _CHECKS}
        completed = credentials.completed(environ)
        grant = _grant_of(found, credentials, completed, has_token=has_token)
        passed: dict[str, Any] = {}
        checked: dict[str, Any] = {}
        for name, setting in found.items():
            if setting.value is None:
                setting = _Found(_default(name, passed, grant), None)
            checked[name] = setting.checked(_CHECKS[name])
            passed[name] = setting.value if name in _CONCEALED else revealed(setting.value)
        found["scope"].checked(lambda _: check_scope(checked["scope"], grant))
        if found["token_url"].value is None:
            passed["token_url"] = None
        token_url = checked.pop("token_url")
        del checked["grant_type"]
        is_default = passed["token_url"] is None
        return cls(
            passed=passed,
            credentials=replace(completed, username=None, password=None)
            if grant.is_key
            else completed,
            grant=grant,
            token_urls=TOKEN_URLS if is_default else dict.fromkeys(TOKEN_URLS, token_url),
            **checked,
        )

    @property
    def limits(self) -> Sequence[RateLimit]:
        """The rate limits of the API: those of the quota, or the limits of IRIS."""
        return IRIS_RATE_LIMITS if self.quota is None else self.quota.limits

    @property
    def token_url(self) -> str:
        """The token endpoint in force."""
        return self.token_urls[self.grant.name]


@dataclass(frozen=True)
class _Found:
    """A setting before its check. `variable` is the name of the variable with the value, if any."""

    value: Any
    variable: str | None

    def checked(self, check: Callable[[Any], Any]) -> Any:
        """The result of `check`. An error names the variable, if the value comes from a variable.

        :raises SettingError: as `check` does.
        """
        try:
            return check(self.value)
        except SettingError as error:
            if self.variable is not None:
                blame(error, self.variable)
            raise


def _found(name: str, value: Any, environ: Concealed, prefix: str) -> _Found:
    return _Found(value, None) if value is not None else _from_variable(name, environ, prefix)


def _grant_of(
    found: Mapping[str, _Found], passed: Credentials, completed: Credentials, *, has_token: bool
) -> Grant:
    """The grant of a new session.

    :param passed: the credentials without the variables. A passed `grant_type` wins over variables.
    :raises SettingError: for an unusable `grant_type` or `scope`, and for an API key with a user.
    """
    grant_type, scope = found["grant_type"], found["scope"]
    name = grant_type.checked(_checked_grant)
    if name is None:
        words = () if scope.value is None else scope.checked(parse_scope)
        return inferred(completed, words, has_token=has_token)
    judged = passed if grant_type.variable is None else completed
    if name == CLIENT_CREDENTIALS and has_user(judged):
        grant_type.checked(_refuse_user)
    return Grant(name)


def _checked_grant(grant_type: Any) -> str | None:
    if grant_type is None:
        return None
    if not isinstance(grant_type, str) or grant_type not in TOKEN_URLS:
        shown = repr(str(grant_type)) if isinstance(grant_type, str) else kind_of(grant_type)
        raise SettingError(
            f'grant_type must be "password" or "client_credentials", not {shown}. {BOTH_WAYS}',
            setting="grant_type",
        )
    return str(grant_type)


def _refuse_user(grant_type: str) -> None:
    raise SettingError(
        f'grant_type is "{grant_type}", and a username or a password is set. {BOTH_WAYS}',
        setting="grant_type",
    )


def _from_variable(name: str, environ: Concealed, prefix: str) -> _Found:
    """The value of a setting's variable, and the variable's name. Both are None if not set."""
    text = (
        concealed(from_environment(name, environ.reveal(), prefix)) if name in VARIABLES else None
    )
    if text is None:
        return _Found(None, None)
    if name == "allowed_hosts":
        hosts = filter(None, (each.strip() for each in text.split(",")))
        text = Concealed(tuple(hosts) or ("",))  # "" is refused: a comma alone is a mistake
    return _Found(text, variable_of(name, prefix))


def _default(name: str, passed: Mapping[str, Any], grant: Grant) -> Any:
    if name in _DEFAULTS_BY_GRANT:
        return _DEFAULTS_BY_GRANT[name][grant.name]
    if name != "allowed_hosts":
        return _DEFAULTS[name]
    parts = urlsplit(passed["base_url"])  # checked before `allowed_hosts`
    return (f"{parts.scheme}://{parts.netloc}".removeprefix("https://"),)


def revealed(value: Any) -> Any:
    """The opposite of :func:`concealed`."""
    if isinstance(value, Concealed):
        return value.reveal()
    return str(value) if isinstance(value, Secret) else value


def kind_of(value: Any) -> str:
    """The name of the type of `value`, whether concealed or not."""
    if isinstance(value, Concealed):
        return value.kind
    return "str" if isinstance(value, Secret) else type(value).__name__


def checked_token(saved: Concealed) -> Token | None:
    """The token in a saved dict. An empty dict means: no token.

    :raises SettingError: for an unusable dict, or another type.
    """
    if saved.reveal() is None:
        return None
    problem = f"must be a dict, not {saved.kind}"
    try:
        if isinstance(saved.reveal(), Mapping):
            return Token.from_dict(saved.reveal()) if saved.reveal() else None
    except ValueError as error:
        problem = f"cannot be used: {error}"
    # not raised in the except clause, because the frames behind the ValueError show the token
    raise SettingError(f"token {problem}", setting="token")


def checked_updater(updater: Concealed) -> Any:
    """The callable for each new token, if any.

    :raises SettingError: for an object of another kind.
    """
    if not (updater.reveal() is None or callable(updater.reveal())):
        raise SettingError(
            f"token_updater must be callable, not {updater.kind}", setting="token_updater"
        )
    return updater.reveal()


def _checked_url(url: Any, *, setting: str) -> str:
    if not isinstance(url, str):
        raise SettingError(f"{setting} must be a URL, not {kind_of(url)}", setting=setting)
    if url and "://" not in url and "@" not in url:
        meant = "https://" + _HALF_A_SCHEME.sub("", url)
        raise SettingError(f"{setting} has no https://. Did you mean {meant!r}?", setting=setting)
    return str(check_url(url, setting=setting))


def _checked_base_url(url: Any) -> str:
    checked = _checked_url(url, setting="base_url")
    if "?" in checked or "#" in checked:
        raise SettingError("base_url must end before any ? or #", setting="base_url")
    return checked


def _checked_hosts(hosts: Any) -> frozenset[str]:
    entries = [concealed(each) for each in _each_of(concealed(hosts))]
    for entry in entries:
        if not isinstance(entry, Secret):
            raise SettingError(
                f"allowed_hosts must be names of hosts, not {kind_of(entry)}",
                setting="allowed_hosts",
            )
    return origins_of([host if "://" in host else Secret(f"https://{host}") for host in entries])


def _each_of(hosts: Any) -> Iterable[Any]:
    """The hosts in a list of hosts. A host alone is a list of one host."""
    listed = isinstance(hosts, Concealed) and isinstance(hosts.reveal(), Iterable)
    return hosts.reveal() if listed and hosts.kind != "bytes" else [revealed(hosts)]


def _opened_store(place: Any) -> TokenStore | None:
    if place is None or _is_off(revealed(place)):
        return None
    if not isinstance(revealed(place), (str, os.PathLike, TokenStore)):
        raise SettingError(
            "token_store must be a path, a URL, or an object with the methods lock, load and save, "
            f"not {kind_of(place)}",
            setting="token_store",
        )
    try:
        return open_store(place.reveal() if isinstance(place, Concealed) else place)
    except SettingError as error:
        message = str(error)
    # not raised in the except clause, because the frames behind the error may show a password
    raise SettingError(message, setting="token_store")


def _opened_quota(setting: Any) -> Quota | None:
    if setting is None or _is_off(revealed(setting)):
        return None
    try:
        return quota_of(setting.reveal() if isinstance(setting, Concealed) else setting)
    except SettingError as error:
        message = str(error)
    # not raised in the except clause, because the frames behind the error may show a password
    raise SettingError(message, setting="quota")


def _checked_seconds(seconds: Any, *, setting: str, or_zero: bool = False) -> float:
    if or_zero and _is_off(seconds):
        return 0.0
    if not _is_positive(seconds):
        least = "0 seconds or more" if or_zero else "more than 0 seconds"
        raise SettingError(
            f"{setting} must be {least}, and finite, not {seconds!r}", setting=setting
        )
    return seconds  # type: ignore[no-any-return]


def _checked_timeout(timeout: Any) -> _t.TimeoutType:
    """A timeout as requests takes timeouts. False and 0 mean: wait without a limit."""
    if isinstance(timeout, Timeout):
        return timeout  # type: ignore[return-value] # requests passes urllib3's object on
    if _is_off(timeout):
        return None
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(pair) != 2 or not all(each is None or _is_positive(each) for each in pair):
        raise SettingError(
            "default_timeout must be more than 0 seconds, two such numbers (to connect, to read), "
            f"or False, not {timeout!r}",
            setting="default_timeout",
        )
    return timeout  # type: ignore[no-any-return]


def _is_off(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0


def _is_positive(number: Any) -> bool:
    """Whether `number` is a positive number, and small enough for a wait in Python."""
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    return is_number and 0 < number <= threading.TIMEOUT_MAX


def _checked_clock(clock: Any) -> Clock:
    if not all(callable(getattr(clock, name, None)) for name in ("time", "monotonic", "sleep")):
        raise SettingError(f"clock must be a requests_iris.Clock, not {clock!r}", setting="clock")
    return clock  # type: ignore[no-any-return]


_DEFAULTS: dict[str, Any] = {
    "grant_type": None,
    "base_url": BASE_URL,
    "token_store": None,
    "quota": None,
    "leeway": LEEWAY,
    "default_timeout": DEFAULT_TIMEOUT,
    "retry": DEFAULT_RETRY,
    "pool_maxsize": POOL_MAXSIZE,
    "token_timeout": TOKEN_TIMEOUT,
    "clock": Clock(),
}
_DEFAULTS_BY_GRANT = {"scope": SCOPES, "token_url": TOKEN_URLS}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "grant_type": _checked_grant,
    "scope": parse_scope,
    "base_url": _checked_base_url,
    "token_url": partial(_checked_url, setting="token_url"),
    "allowed_hosts": _checked_hosts,
    "token_store": _opened_store,
    "quota": _opened_quota,
    "leeway": partial(_checked_seconds, setting="leeway", or_zero=True),
    "default_timeout": _checked_timeout,
    "retry": retry_of,
    "pool_maxsize": checked_maxsize,
    "token_timeout": partial(_checked_seconds, setting="token_timeout"),
    "clock": _checked_clock,
}
