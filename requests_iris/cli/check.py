"""`requests-iris check`: are the settings there, and do they work?"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import click
from requests import RequestException, Response
from requests.adapters import HTTPAdapter

from .. import IrisSession
from ..credentials import from_environment, variable_of
from ..sharing import reason_of
from ..stores import TokenStore, key_of, open_store

#: The settings without which there is no token, and their variables.
CREDENTIALS = {
    name: variable_of(name) for name in ("client_id", "client_secret", "username", "password")
}
#: Seconds that the clocks may be apart before it is worth a word; an HTTP date has whole seconds.
CLOCKS_APART = 5.0
#: The result where a token was had, and no process can share it.
STORE_FAILS = "signed in, but the token store fails"


@dataclass
class Report:
    """What was found out. Without a sign-in, what it would have told is None.

    :ivar settings: by name, whether a credential is there.
    :ivar expires_in: seconds that the token lives.
    :ivar refresh_token: whether there came one.
    :ivar clock_difference: seconds that the token endpoint's clock is ahead of this one's, within
        about one second.
    :ivar token_store: the one that is set, if any, without what is secret of it.
    :ivar store_error: what keeps it from being read and written, in a few words.
    :ivar error: why there is no token, in one line.
    """

    base_url: str
    token_url: str
    settings: dict[str, bool]
    scope_asked: str
    scope_granted: str | None = None
    expires_in: float | None = None
    refresh_token: bool | None = None
    clock_difference: float | None = None
    token_store: str | None = None
    store_error: str | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is self.store_error is None


@click.command(
    epilog="""\b
Example:
  export TRACKUNIT_CLIENT_ID=...  # and CLIENT_SECRET, USERNAME, PASSWORD
  requests-iris check && python pipeline.py"""
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program to read.")
def check(as_json: bool) -> None:
    """Sign in once, and say whether the settings work.

    Tells which scope was granted, how long the token lives, how far the clocks are apart, and
    whether the token store can be read and written, if one is set. The API itself is not called.
    Nothing secret is printed. Ends with status 1 if the settings do not work, 2 if one is missing
    or cannot be right.
    """
    try:
        with IrisSession() as iris:
            report = examine(iris)
    # a setting that cannot be right, or needs what is not installed
    except (ValueError, ModuleNotFoundError) as error:
        if not as_json:
            raise click.UsageError(str(error)) from None
        click.echo(json.dumps({"ok": False, "error": str(error)}, indent=2))
        raise SystemExit(2) from None
    click.echo(_json(report) if as_json else _text(report))
    if not report.ok:
        raise SystemExit(1 if all(report.settings.values()) else 2)


def examine(iris: IrisSession) -> Report:
    """Signs in by the password grant, tries out the token store, and reports."""
    report = Report(
        base_url=iris.base_url,
        token_url=iris.auto_refresh_url,
        settings={name: bool(os.environ.get(variable)) for name, variable in CREDENTIALS.items()},
        scope_asked=str(iris.scope),
    )
    clock = _ClockReader()
    iris.mount(report.token_url, clock)
    try:
        token = iris.fetch_token()
    except RequestException as error:
        report.error = str(error)
    else:
        report.scope_granted = " ".join(token.get("scope", ())) or None
        report.expires_in = token.get("expires_in")
        report.refresh_token = "refresh_token" in token
    report.clock_difference = clock.difference
    if place := from_environment("token_store", os.environ):
        store = open_store(place)
        report.token_store, report.store_error = repr(store), _fault_of(store)
    return report


def _fault_of(store: TokenStore) -> str | None:
    """What goes wrong when it is read and written, under a key that is nobody's."""
    key = key_of("requests-iris check")
    try:
        with store.lock(key, 5.0):
            store.save(key, store.load(key) or {})
    except Exception as error:
        return reason_of(error)
    return None


class _ClockReader(HTTPAdapter):
    """An adapter that reads the time of the server out of its replies."""

    difference: float | None = None

    def send(self, *args: Any, **kwargs: Any) -> Response:
        sent = time.time()
        response = super().send(*args, **kwargs)
        here = (sent + time.time()) / 2
        try:
            there = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return response
        self.difference = round(there + 0.5 - here, 1)  # a date has lost half a second on average
        return response


def _json(report: Report) -> str:
    return json.dumps({"ok": report.ok, **asdict(report)}, indent=2)


def _text(report: Report) -> str:
    rows = {"base_url": f"{report.base_url} (not tried)", "token_url": report.token_url}
    for name, there in report.settings.items():
        rows[name] = "set" if there else f"missing: set {CREDENTIALS[name]}"
    rows["scope asked"] = report.scope_asked
    if report.error is None:
        rows.update(_rows_of_token(report))
    if report.clock_difference is not None:
        rows["clocks"] = _clocks(report.clock_difference)
    if report.token_store is not None:
        works = "can be read and written"
        rows["token store"] = f"{report.token_store}: {report.store_error or works}"
    rows["result"] = report.error or ("signed in" if report.ok else STORE_FAILS)
    return "\n".join(f"{name:<14} {value}" for name, value in rows.items())


def _rows_of_token(report: Report) -> dict[str, str]:
    lives = report.expires_in
    return {
        "scope granted": report.scope_granted or "not told",
        "token lives": "not told" if lives is None else f"{lives:g} s",
        "refresh token": "yes" if report.refresh_token else "no",
    }


def _clocks(difference: float) -> str:
    if abs(difference) <= 1:
        return "agree"
    ahead = "ahead of" if difference > 0 else "behind"
    advice = "; check this one's" if abs(difference) > CLOCKS_APART else ""
    return f"the token endpoint's is {abs(difference):.0f} s {ahead} this one's{advice}"
