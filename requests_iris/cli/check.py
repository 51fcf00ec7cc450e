"""`requests-iris check`: are all settings set, and do they work?"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import click
from requests import RequestException, Response
from requests.adapters import HTTPAdapter

from .. import IrisSession, problem_of
from ..credentials import CLIENT, NAMES, blame, from_environment, variable_of
from ..errors import SettingError
from ..grants import CLIENT_CREDENTIALS, PASSWORD
from ..hosts import why_not_allowed
from ..stores import StoreError, TokenStore, key_of, open_store
from ..stores.error import reason_of
from ..text import one_line
from .entry import Command
from .failures import ReaderGone
from .quota import why_unreadable
from .streams import say

#: The settings for a sign-in by each grant.
NEEDED = {PASSWORD: NAMES, CLIENT_CREDENTIALS: (*CLIENT, "scope")}
#: Seconds to wait for the lock of the token store, which other processes hold at times.
LOCK_WAIT = 5.0
#: A larger difference of the clocks, in seconds, needs advice. An HTTP date has whole seconds.
CLOCKS_APART = 5.0
#: A cheap page, which most users may read.
API_PATH = "/api/asset/v1/assets?size=1"
#: What to do after a status of the API.
ADVICE = {
    401: "The API does not accept the token. Check base_url. An API key may need a further scope, "
    "or the API may not know API keys yet.",
    403: "The user or key lacks the right for the path. Ask your administrator for the right, or "
    "name a path with a right.",
    404: "base_url has no such path, or the object does not exist.",
    429: "The token works, but the rate limit of the path is used up. Wait, or name another path.",
}
SERVER_FAILS = "The server failed. Try again later."
REQUEST_FAILS = "The API does not take the request. Check the path."
#: The result if the sign-in works, and no process can share the token.
STORE_FAILS = "signed in, but the token store fails"
#: The result if the sign-in works, and no process can share the quota.
QUOTA_FAILS = "signed in, but the quota store fails"


@dataclass
class Report:
    """The result. Without a sign-in, the facts of the token are None.

    :ivar grant: the grant in force.
    :ivar settings: by name, whether a setting for the sign-in is set.
    :ivar expires_in: seconds until the access token expires.
    :ivar refresh_token: whether the response had a refresh token.
    :ivar clock_difference: seconds by which the token endpoint's clock is ahead of this
        machine's clock, within about a second.
    :ivar token_store: the token store, if set, without secrets.
    :ivar store_error: why the token store cannot be read and written, in a few words.
    :ivar quota_store: the quota store, if set, without secrets.
    :ivar quota_error: why the quota store cannot be read, in a few words.
    :ivar hosts_error: why requests to `base_url` carry no token, in a few words.
    :ivar error: why the sign-in failed, in one line.
    :ivar api: the path of the API call; None if the API was not called.
    :ivar api_status: the status of the response, or None without a response.
    :ivar api_error: why the API call failed, and what to do, in one line.
    """

    base_url: str
    token_url: str
    grant: str
    settings: dict[str, bool]
    scope_asked: str
    scope_granted: str | None = None
    expires_in: float | None = None
    refresh_token: bool | None = None
    clock_difference: float | None = None
    token_store: str | None = None
    store_error: str | None = None
    quota_store: str | None = None
    quota_error: str | None = None
    hosts_error: str | None = None
    error: str | None = None
    api: str | None = None
    api_status: int | None = None
    api_error: str | None = None

    @property
    def ok(self) -> bool:
        stores = self.store_error is self.quota_error is None
        return self.error is self.hosts_error is self.api_error is None and stores

    @property
    def status(self) -> int:
        """The exit status."""
        if self.ok:
            return 0
        return 1 if all(self.settings.values()) else 2


def _checked_path(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse a URL: a host outside `allowed_hosts` would see no token."""
    if value is None or (value.startswith("/") and not value.startswith("//")):
        return value
    raise click.BadParameter(
        f"{one_line(value)} must begin with one slash; the path belongs to base_url", param=param
    )


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  export TRACKUNIT_CLIENT_ID=...  # and CLIENT_SECRET, USERNAME, PASSWORD;
                                  # for an API key CLIENT_SECRET, SCOPE
  requests-iris check && python pipeline.py
  requests-iris check --api /public/api/operator/operators?limit=1

Exit status: 0 if the settings work; 1 if they fail; 2 if a setting is missing
or cannot be right; 130 after Ctrl-C.""",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for a program.")
@click.option(
    "--api",
    "path",
    is_flag=False,
    flag_value=API_PATH,
    callback=_checked_path,
    metavar="[PATH]",
    help="Also read this path of the API, without retries: only the API tells of a missing right. "
    f"By default {API_PATH}.",
)
@click.pass_obj
def check(prefix: str, as_json: bool, path: str | None) -> None:
    """Sign in once, and report whether the settings work.

    The report has the grant, the granted scope, the lifetime of the token, the difference of the
    clocks, and whether the token store and the quota store work. If another process holds the lock
    of the token store, check waits for at most 5 seconds. No secret is printed.

    The API is called with --api only. The call costs one request of your quota, and a second one
    after a 401. A page of an AEMP fleet may be read once in 15 minutes, so choose another path, or
    a time when no program needs that page.
    """
    try:
        status = _check(prefix, as_json, path)
    # a setting is wrong, or needs a missing extra
    except (ValueError, ModuleNotFoundError) as error:
        status, told = 2, one_line(error, None)
        if not as_json:
            raise click.UsageError(told) from None
        _say(json.dumps({"ok": False, "error": told}, indent=2))
    raise click.exceptions.Exit(status)


def _check(prefix: str, as_json: bool, path: str | None) -> int:
    place = from_environment("token_store", os.environ, prefix)
    try:
        store = _BriefStore(open_store(place)) if place else None
    except SettingError as error:
        blame(error, variable_of("token_store", prefix))
        raise
    if store is not None:
        store.try_out()
    with IrisSession.from_env(prefix, token_store=store, retry=False) as iris:
        report = examine(iris, prefix)
        if iris._quota is not None:
            report.quota_store, report.quota_error = repr(iris._quota.store), why_unreadable(iris)
        if path is not None:
            report.api = path
            if report.error is report.hosts_error is None:
                report.api_status, report.api_error = call_api(iris, path)
    if store is not None:
        report.token_store, report.store_error = repr(store), store.error
    _say(_json(report) if as_json else _text(report, prefix))
    return report.status


def _say(text: str) -> None:
    # the exit status tells the result also if nobody reads the report
    with suppress(ReaderGone):
        say(text)


def examine(iris: IrisSession, prefix: str) -> Report:
    """Sign in, and report."""
    grant = iris._source.grant.name
    report = Report(
        base_url=iris.base_url,
        token_url=iris.auto_refresh_url,
        grant=grant,
        settings={
            name: from_environment(name, os.environ, prefix) is not None for name in NEEDED[grant]
        },
        scope_asked=str(iris.scope),
        hosts_error=why_not_allowed(iris.base_url, iris._origins) or None,
    )
    clock = _ClockReader()
    iris.mount(report.token_url, clock)
    try:
        token = iris.fetch_token()
    except RequestException as error:
        report.error = one_line(error, None)
    else:
        report.scope_granted = one_line(" ".join(token.get("scope", ())), None) or None
        report.expires_in = token.get("expires_in")
        report.refresh_token = "refresh_token" in token
    report.clock_difference = clock.difference
    return report


def call_api(iris: IrisSession, path: str) -> tuple[int | None, str | None]:
    """Read `path` once. Return the status, and why the call failed, or None.

    The body is not read beyond the message of an error.
    """
    try:
        with iris.get(path, headers={"Accept": "application/json"}, stream=True) as response:
            if response.ok:
                return response.status_code, None
            told = one_line(problem_of(response) or response.reason)
            status = response.status_code
    except RequestException as error:
        return None, f"the API could not be read: {one_line(error, None)}"
    advice = ADVICE.get(status) or (SERVER_FAILS if status >= 500 else REQUEST_FAILS)
    return status, f"the API answered {status} {told}. {advice}"


class _BriefStore:
    """A token store with a short wait for the lock. After a failure the store is not asked again.

    :ivar error: the first failure, in a few words.
    """

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self.error: str | None = None

    def __repr__(self) -> str:
        return repr(self._store)

    def try_out(self) -> None:
        """Read and write under a key of no session."""
        key = key_of("requests-iris check")
        with suppress(Exception), self.lock(key, LOCK_WAIT):
            self.save(key, self.load(key) or {})

    @contextmanager
    def lock(self, key: str, wait: float) -> Iterator[None]:
        if self.error is not None:
            raise StoreError(self.error)
        with self._noting(), self._store.lock(key, min(wait, LOCK_WAIT)):
            yield

    def load(self, key: str) -> dict[str, Any] | None:
        with self._noting():
            return self._store.load(key)

    def save(self, key: str, token: dict[str, Any]) -> None:
        with self._noting():
            self._store.save(key, token)

    def delete(self, key: str) -> None:
        delete = getattr(self._store, "delete", None)  # a store of a user may have no `delete`
        if delete is not None:
            with self._noting():
                delete(key)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = self.error or _told(error)
            raise


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not error.strerror:
        return f"another process held its lock for {LOCK_WAIT:g} s"
    return one_line(reason_of(error))


class _ClockReader(HTTPAdapter):
    """An adapter which reads the server's time from the responses."""

    difference: float | None = None

    def send(self, *args: Any, **kwargs: Any) -> Response:
        sent = time.time()
        response = super().send(*args, **kwargs)
        here = (sent + time.time()) / 2
        try:
            there = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError, IndexError, OverflowError, OSError):
            return response
        self.difference = round(there + 0.5 - here, 1)  # a date has lost half a second on average
        return response


def _json(report: Report) -> str:
    return json.dumps({"ok": report.ok, **asdict(report)}, indent=2)


def _text(report: Report, prefix: str) -> str:
    tried = "" if report.api_status or report.api_error else " (not tried)"
    rows = {"base_url": f"{report.base_url}{tried}", "token_url": report.token_url}
    rows["grant"] = report.grant
    for name, there in report.settings.items():
        rows[name] = "set" if there else f"missing: set {variable_of(name, prefix)}"
    rows["scope asked"] = report.scope_asked or "none"
    if report.error is None:
        rows.update(_rows_of_token(report))
    if report.clock_difference is not None:
        rows["clocks"] = _clocks(report.clock_difference)
    if report.token_store is not None:
        works = "can be read and written"
        rows["token store"] = f"{report.token_store}: {report.store_error or works}"
    if report.quota_store is not None:
        rows["quota store"] = f"{report.quota_store}: {report.quota_error or 'can be read'}"
    if report.api is not None:
        none = "no response" if report.api_error else "not called"
        rows["api"] = f"{report.api}: {report.api_status or none}"
    rows["result"] = _result(report)
    return "\n".join(f"{name:<14} {one_line(value, None)}" for name, value in rows.items())


def _result(report: Report) -> str:
    if report.error is not None:
        return report.error
    if report.hosts_error is not None:
        return f"signed in, but {report.hosts_error}, so requests to base_url carry no token"
    if report.api_error is not None:
        return f"signed in, but {report.api_error}"
    if report.store_error is not None:
        return STORE_FAILS
    if report.quota_error is not None:
        return QUOTA_FAILS
    return "signed in" if report.api is None else "signed in, and the API can be read"


def _rows_of_token(report: Report) -> dict[str, str]:
    lifetime = report.expires_in
    return {
        "scope granted": report.scope_granted or "not told",
        "token lives": "not told" if lifetime is None else f"{lifetime:g} s",
        "refresh token": "yes" if report.refresh_token else "no",
    }


def _clocks(difference: float) -> str:
    if abs(difference) <= 1:
        return "agree"
    ahead = "ahead of" if difference > 0 else "behind"
    advice = "; check this one's" if abs(difference) > CLOCKS_APART else ""
    return f"the token endpoint's is {abs(difference):.0f} s {ahead} this one's{advice}"
