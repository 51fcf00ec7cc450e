"""The published limits of IRIS, as data. A rule says which requests share how many slots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from requests.exceptions import InvalidURL
from requests.utils import unquote_unreserved
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from ..errors import SettingError

#: Rules with a shorter window, in seconds, and without a pool are paced: their requests are spaced
#: evenly.
PACED_BELOW = 60.0
DAY = 24 * 3600.0
#: The longest window in seconds, which is a century. A date after the year 9999 is not possible.
_LONGEST = 36_525 * DAY
#: The owners of a rule's slots: each user, or all users of a customer together.
USER, CUSTOMER = "user", "customer"


class Target(NamedTuple):
    """The parts of a URL for a rule.

    :ivar host: in lower case, with the port unless the port is the default.
    :ivar path: as sent, without slashes at the end. Only escapes of unreserved characters (RFC 3986
        section 2.3) are decoded, so that ``%2F`` stays inside a segment.
    :ivar page: the ``page`` of the query, "0" if missing.
    """

    host: str
    path: str
    page: str

    @classmethod
    def of(cls, url: str | bytes) -> Target:
        """The target of a URL. A URL that cannot be read has no host."""
        try:
            # as requests does; also removes the segments "." and ".."
            parts = parse_url(text_of(url))
            path = unquote_unreserved(parts.path or "")
        except (LocationParseError, InvalidURL, ValueError):
            return cls("", "/", "0")
        port = "" if parts.port in (None, _PORTS.get(parts.scheme or "")) else f":{parts.port}"
        return cls((parts.host or "").lower() + port, path.rstrip("/") or "/", page_of(parts.query))


@dataclass(frozen=True)
class Pool:
    """Slots beside the slots of a window. Each slot returns some days after its use.

    :param size: the number of slots.
    :param days: days (of 24 hours) until a used slot is back.
    :raises SettingError: for 0 and for a negative number.
    """

    size: int
    days: float

    def __post_init__(self) -> None:
        _check_count("size of a Pool", self.size)
        _check_positive("days of a Pool", self.days, at_most=_LONGEST / DAY)

    @property
    def seconds(self) -> float:
        """Seconds until a used slot is back."""
        return self.days * DAY


@dataclass(frozen=True)
class RateLimit:
    """A rule: `limit` requests in each window of `window` seconds.

    ::

        RateLimit("reports", 2, 1800, r"/api/report/v1/reports$", method="GET")
        RateLimit("machine", 1, 900, r"/machines/(?P<id>[^/]+)", key="{id}", pool=Pool(50, 30))

    :param name: the name of the rule, in errors, logs and tables. Requests that match a rule of
        the same name and have the same key share slots.
    :param limit: requests in a window.
    :param window: the length of the window in seconds. A rule with a window under 60 seconds and
        without a pool is paced.
    :param path: a regular expression, found anywhere in the path of a URL (anchor with ``^`` and
        ``$``). The path is matched as sent, with and without a slash at the end. The expression
        respects case; ``(?i)`` at the start ignores case.
    :param method: the HTTP method, or None for every method.
    :param key: a template for requests that share slots: ``{path}``, ``{page}`` (the page of the
        query, 0 if missing), and the named groups of `path`. By default all requests of the rule
        share slots.
    :param pool: a :class:`Pool` of further slots, or None.
    :param per: ``"user"``, or ``"customer"`` for slots that all users in this process (with Redis:
        in this store) share.
    :raises SettingError: for an unusable argument.
    """

    name: str
    limit: int
    window: float
    path: str
    method: str | None = None
    key: str = ""
    pool: Pool | None = None
    per: str = USER
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise _refused("The name of a RateLimit must be a text", self.name)
        _check_count(f"limit of {self.name!r}", self.limit)
        _check_positive(f"window of {self.name!r}", self.window, at_most=_LONGEST)
        if not (self.method is None or isinstance(self.method, str)):
            raise _refused(f"The method of {self.name!r} must be a text or None", self.method)
        if not (self.pool is None or isinstance(self.pool, Pool)):
            raise _refused(f"The pool of {self.name!r} must be a Pool or None", self.pool)
        if self.per not in (USER, CUSTOMER):
            raise _refused(f'per of {self.name!r} must be "{USER}" or "{CUSTOMER}"', self.per)
        object.__setattr__(self, "_pattern", _compiled(self.name, self.path))
        _check_template(self.name, self.key, {"path", "page", *self._pattern.groupindex})

    @property
    def paced(self) -> bool:
        """Whether requests are spaced evenly."""
        return self.window < PACED_BELOW and self.pool is None

    def key_of(self, method: str, target: Target) -> str | None:
        """The key of a request, or None if the rule does not limit the request."""
        if self.method is not None and self.method.upper() != method.upper():
            return None
        found = self._pattern.search(target.path) or self._pattern.search(f"{target.path}/")
        if found is None:
            return None
        groups = {name: text or "" for name, text in found.groupdict().items()}
        return self.key.format_map({**groups, "path": target.path, "page": target.page})


def matching(
    limits: Iterable[RateLimit], method: str, target: Target
) -> Iterator[tuple[RateLimit, str]]:
    """Each rule that limits a request, with the key of the request."""
    for limit in limits:
        key = limit.key_of(method, target)
        if key is not None:
            yield limit, key


_PORTS = {"http": 80, "https": 443}


def text_of(url: str | bytes) -> str:
    return url.decode("utf-8", "replace") if isinstance(url, bytes) else url


def page_of(query: str | None) -> str:
    """The ``page`` of a query, without leading zeros. "0" if missing."""
    page = parse_qs(query or "").get("page", ["0"])[0]
    # int() also accepts digits of other scripts, and "1_0"
    return page.lstrip("0") or "0" if page.isascii() and page.isdigit() else page


def _check_count(what: str, number: Any) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _refused(f"The {what} must be a whole number of 1 or more", number)


def _check_positive(what: str, number: Any, *, at_most: float) -> None:
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not is_number or not 0 < number <= at_most:
        raise _refused(f"The {what} must be a number over 0, and at most {at_most:.0f}", number)


def _compiled(name: str, path: Any) -> re.Pattern[str]:
    if not isinstance(path, str) or not path:
        raise _refused(f"The path of {name!r} must be a regular expression", path)
    try:
        return re.compile(path)
    except re.error as error:
        raise _refused(
            f"The path of {name!r} must be a regular expression ({error})", path
        ) from None


def _check_template(name: str, template: Any, known: set[str]) -> None:
    try:
        fields = [
            text if not form and not conversion else None
            for _, text, form, conversion in Formatter().parse(template)
            if text is not None
        ]
    except (ValueError, TypeError):
        fields = [None]
    if not known.issuperset(fields):
        names = ", ".join(f"{{{each}}}" for each in sorted(known))
        raise _refused(f"The key of {name!r} must be a template with {names} or without", template)


def _refused(problem: str, value: Any) -> SettingError:
    return SettingError(f"{problem}, not {value!r}", setting="quota")


# The paths of every account, such as 15143/-3. `search` finds a path behind a gateway's prefix too.
_FLEET = r"(?i)/aemp/v[^/]+/[^/]+/[^/]+/Fleet"
# ISO 15143-3 also names a machine by make, model and serial number. IRIS documents only the ID.
_MACHINE = _FLEET + r"/Equipment/(?P<machine>ID/[^/]+|MakeModelSerial/[^/]+/[^/]+/[^/]+)"
_PAGES = _FLEET + r"(?:/-?\d+)?$"
_SERIES = _MACHINE + r"/(?P<point>[^/]+)/[^/]+/[^/]+(?:/[^/]+)?$"
_AEMP_POOL = Pool(50, 30)

#: The limits that IRIS publishes ("rate limits may change", so pass your own to `Quota`). Sources:
#: https://developers.trackunit.com/reference/rate-limit and the introduction of each API. GraphQL
#: counts points instead of requests, and has no rule here.
IRIS_RATE_LIMITS: tuple[RateLimit, ...] = (
    # "One request per URL every 15 minutes." Unverified: whether the query makes another URL. The
    # rules take the path, which can only wait too long.
    RateLimit("AEMP fleet page", 1, 900, _PAGES, key="{path}", pool=_AEMP_POOL),
    RateLimit("AEMP machine", 1, 900, _MACHINE + "$", key="{path}", pool=_AEMP_POOL),
    # "For time series endpoints: per datapoint and equipment." So the next page and the next 14
    # days use the same slots.
    RateLimit("AEMP series", 1, 900, _SERIES, key="{machine} {point}", pool=_AEMP_POOL),
    # "Per customer (includes all API accounts for the same customer)."
    RateLimit("AEMP fleet pages of a customer", 50, 1, _PAGES, per=CUSTOMER),
    RateLimit("AEMP machines of a customer", 500, 1, _MACHINE + "$", per=CUSTOMER),
    RateLimit("AEMP series of a customer", 500, 1, _SERIES, per=CUSTOMER),
    # Unverified: whether `log` and `active` count together. The rule counts them together.
    RateLimit("asset events", 2, 1800, r"(?i)/eventlog/v[^/]+/asset-event(?:/(?:log|active))?$"),
    # The changelog names /location/v1/locations without a prefix.
    RateLimit("locations", 1, 1, r"(?i)/location/v[^/]+/locations$", key="{page}"),
    RateLimit(
        "location of an asset",
        1,
        1,
        r"(?i)/location/v[^/]+/locations/(?P<asset>[^/]+)$",
        key="{asset}",
    ),
    # "Fetching operators." Unverified: whether a single operator counts. The rule counts it.
    RateLimit(
        "operators", 60, 60, r"(?i)/api/operator/(?:v[^/]+/)?operators(?:/[^/]+)?$", method="GET"
    ),
    # "1 call per operator/asset per minute." No page documents the path, or whether the id of the
    # operator or asset is a part of the path.
    RateLimit(
        "key usage", 1, 60, r"(?i)/access-management/(?:.+/)?key-?usages?(?:/|$)", key="{path}"
    ),
    # No page documents the paths of these two APIs; every path under /api/<domain>/ counts.
    RateLimit("alerts", 1000, 600, r"(?i)/api/alerts?/"),
    RateLimit("emissions", 1000, 600, r"(?i)/api/(?:emissions?|sustainability)/"),
    # "Advanced Querying": the paths of the Prometheus API. The path of "Metrics" is not documented.
    RateLimit("time series queries", 100, 1, r"(?i)/time-series/v[^/]+/.*/?prometheus/"),
    RateLimit("time series metrics", 20, 1, r"(?i)/time-series/v[^/]+/(?:.+/)?metrics?(?:/|$)"),
)
