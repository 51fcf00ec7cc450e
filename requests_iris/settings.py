"""The settings of a session: where each setting comes from, and the checks.

An argument wins over its variable, and a variable over the default. None means "not passed".
``default_timeout``, ``retry``, ``leeway`` and ``token_store`` can be switched off by False or 0.
The remaining settings refuse False and 0.

A setting with a secret arrives concealed (:func:`concealed`). The functions here reveal the secret
only inside an expression, never in a variable, because a traceback may show their variables.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from urllib3.util import Timeout

from .clock import Clock
from .credentials import blame, from_environment, parse_scope, variable_of
from .errors import SettingError
from .hosts import check_url, origins_of
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
#: The token endpoint of IRIS.
TOKEN_URL = "https://auth.trackunit.com/token"  # noqa: S105
#: The scope of the password grant: access to the APIs, and a refresh token.
SCOPE = "api offline_access"
#: Seconds between the moment when a token expires and the end of the lifetime.
LEEWAY = 60.0
#: Seconds to wait for a connection, and for each part of a response.
DEFAULT_TIMEOUT = (10.0, 60.0)
#: The settings with a variable, besides the credentials.
VARIABLES = ("scope", "base_url", "token_url", "token_store", "allowed_hosts")
#: A scheme with a typing error, such as `https:/` and `//`.
_HALF_A_SCHEME = re.compile(r"\A(?:https?(?::/?|//?)|/+)(?!\d)", re.I)


@dataclass(frozen=True)
class Settings:
    """The checked settings of a session, except for the credentials and the token.

    :ivar passed: each setting as passed, else the value of the variable, else the default.
    """

    passed: Mapping[str, Any]
    scope: tuple[str, ...]
    base_url: str
    token_url: str
    allowed_hosts: frozenset[str]
    token_store: TokenStore | None
    leeway: float
    default_timeout: _t.TimeoutType
    retry: Retry
    pool_maxsize: int
    token_timeout: float
    clock: Clock

    @classmethod
    def read(cls, environ: Any, prefix: str, **given: Any) -> Settings:
        """Finds and checks each setting.

        :raises SettingError: for an unusable setting.
        """
        environ = concealed(environ)
        passed: dict[str, Any] = {}
        checked: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            value, variable = given[name], None
            if value is None:
                value, variable = _from_variable(name, environ, prefix)
            if value is None:
                value = _default(name, passed)
            try:
                checked[name] = check(value)
            except SettingError as error:
                if variable is not None:
                    blame(error, variable)
                raise
            passed[name] = value if name == "token_store" else revealed(value)
        return cls(passed=passed, **checked)


def _from_variable(name: str, environ: Concealed, prefix: str) -> tuple[Any, str | None]:
    """The value of a setting's variable, and the variable's name. Both are None if not set."""
    text = (
        concealed(from_environment(name, environ.reveal(), prefix)) if name in VARIABLES else None
    )
    if text is None:
        return None, None
    if name == "allowed_hosts":
        hosts = filter(None, (each.strip() for each in text.split(",")))
        text = Concealed(tuple(hosts) or ("",))  # "" is refused: a comma alone is a mistake
    return text, variable_of(name, prefix)


def _default(name: str, passed: Mapping[str, Any]) -> Any:
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
    "scope": SCOPE,
    "base_url": BASE_URL,
    "token_url": TOKEN_URL,
    "token_store": None,
    "leeway": LEEWAY,
    "default_timeout": DEFAULT_TIMEOUT,
    "retry": DEFAULT_RETRY,
    "pool_maxsize": POOL_MAXSIZE,
    "token_timeout": TOKEN_TIMEOUT,
    "clock": Clock(),
}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "scope": parse_scope,
    "base_url": _checked_base_url,
    "token_url": partial(_checked_url, setting="token_url"),
    "allowed_hosts": _checked_hosts,
    "token_store": _opened_store,
    "leeway": partial(_checked_seconds, setting="leeway", or_zero=True),
    "default_timeout": _checked_timeout,
    "retry": retry_of,
    "pool_maxsize": checked_maxsize,
    "token_timeout": partial(_checked_seconds, setting="token_timeout"),
    "clock": _checked_clock,
}
