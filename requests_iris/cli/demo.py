"""`requests-iris demo`: a walk through a fleet that outlives its tokens, told as it goes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from requests import RequestException, Session
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .. import IrisSession
from ..credentials import PREFIX
from ..secret import fingerprint
from .sandbox import running_sandbox

if TYPE_CHECKING:
    from ..sandbox import Sandbox

#: Where the fleet is listed.
ASSETS = "/api/asset/v1/assets"
#: Into how many pages the demo cuts the fleet, and how many elements a page can have.
PAGES, MAX_SIZE = 10, 1000
#: Seconds between two pages, for those who watch.
PACE = 0.1
#: Seconds to wait beyond the end of a token: the API's clock for it starts a little later.
MARGIN = 0.2


@click.command()
@click.option(
    "--machines", type=click.IntRange(min=3), default=250, show_default=True, help="In the fleet."
)
@click.option(
    "--token-lifetime",
    type=click.FloatRange(min=0.5),
    default=2,
    show_default=True,
    help="Seconds that an access token lives.",
)
def demo(machines: int, token_lifetime: float) -> None:
    """Watch a session read a fleet and outlive its tokens.

    A local IRIS is started for it; no account is needed.
    Ends with status 1 if a machine is missing or comes twice, or if no token was renewed.
    """
    _forget_settings()
    with running_sandbox(machines=machines, token_lifetime=token_lifetime) as sandbox:
        Demo(sandbox, Console(soft_wrap=True, highlight=False)).run()


def _forget_settings() -> None:
    # The demo's session must not sign in, nor keep a token, where its caller's would.
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]


class Demo:
    """A walk through the fleet, slow enough for tokens to end on the way, told as it goes."""

    def __init__(self, sandbox: Sandbox, console: Console, *, pace: float = PACE) -> None:
        self._sandbox = sandbox
        self._console = console
        self._pace = pace
        self._size = min(-(-len(sandbox.asset_ids) // PAGES), MAX_SIZE)
        self._pages = -(-len(sandbox.asset_ids) // self._size)
        self._ids: list[str] = []
        self._renewals = 0

    def run(self) -> None:
        """1. Reads a page after the other; the session signs in when the first one is asked for.
        2. After a third and two thirds of them, waits until the token is over.
        3. Reports, and raises ClickException if the list is wrong or nothing was renewed.
        """
        self._introduce()
        with self._session() as iris, self._progress() as progress:
            for number in progress.track(range(self._pages), description="Pages"):
                if number in (self._pages // 3, self._pages * 2 // 3):
                    self._outlive_token(iris)
                self._read_page(iris, number)
                time.sleep(self._pace)
        self._report()

    def _introduce(self) -> None:
        self._say(
            f"A local IRIS with {len(self._sandbox.asset_ids)} machines is at "
            f"{self._sandbox.base_url}; its tokens live {self._sandbox.token_lifetime:g} s."
        )

    @contextmanager
    def _session(self) -> Iterator[IrisSession]:
        with IrisSession(**self._sandbox.settings, token_updater=self._tell_token) as iris:
            # requests prefers REQUESTS_CA_BUNDLE of the environment, if it is set, to `verify`.
            iris.trust_env = False
            iris.verify = self._sandbox.ca_file
            try:
                yield iris
            except RequestException as error:
                raise click.ClickException(f"The walk has ended early: {error}") from error

    def _progress(self) -> Progress:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        return Progress(*columns, console=self._console, disable=not self._console.is_terminal)

    def _tell_token(self, token: dict[str, Any]) -> None:
        """Called by the session with each new token."""
        grant = [seen.kind for seen in self._sandbox.seen if seen.server == "token"][-1]
        self._renewals += len(self._sandbox.issued) > 1
        self._say(
            f"{'Renewed' if self._renewals else 'Signed in'} by the {grant} grant: token "
            f"{fingerprint(token['access_token'])}, scope {' '.join(token['scope'])!r}, "
            f"good for {token['expires_in']:g} s."
        )

    def _read_page(self, iris: IrisSession, number: int) -> None:
        response = iris.get(ASSETS, params={"size": self._size, "page": number})
        response.raise_for_status()
        self._ids += [asset["id"] for asset in response.json()["content"]]
        if not self._console.is_terminal:  # where there is one, the bar tells
            self._say(f"Page {number + 1} of {self._pages}: {len(self._ids)} machines so far.")

    def _outlive_token(self, iris: IrisSession) -> None:
        wait = max(iris.token["expires_at"] + MARGIN - time.time(), 0)
        self._say(f"Waiting {wait:.1f} s for the token to expire ...")
        time.sleep(wait)
        old = iris.token["access_token"]
        # By a plain session: ours would neither send an old token nor take a 401 for an answer.
        with Session() as plain:
            plain.trust_env = False
            plain.headers["Authorization"] = f"Bearer {old}"
            url = self._sandbox.base_url + ASSETS
            while (answer := plain.get(url, verify=self._sandbox.ca_file)).ok:
                time.sleep(MARGIN)
        self._say(f"Expired: the API answers token {fingerprint(old)} with {answer.status_code}.")

    def _report(self) -> None:
        expected, found = Counter(self._sandbox.asset_ids), Counter(self._ids)
        missing, surplus = (expected - found).total(), (found - expected).total()
        count = self._sandbox.count
        self._say(
            f"Token calls: {count('token')} ({count('password')} password, "
            f"{count('refresh_token')} refresh_token). API calls: {count('api')} "
            f"({count('api', status=200)} answered with 200, {count('api', status=401)} with 401)."
        )
        if missing or surplus:
            raise click.ClickException(f"The list is wrong: {missing} missing, {surplus} too many.")
        if not self._renewals:
            raise click.ClickException("No token was renewed on the way.")
        self._say(f"Done: {len(self._ids)} machines, none is missing and none came twice.")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, emoji=False)
