"""`requests-iris demo`: a session reads a fleet, and renews expired tokens on the way."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from requests import RequestException, Session
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .. import IrisSession
from ..credentials import PREFIX
from ..secret import fingerprint
from .entry import Command
from .failures import Failure, ReaderGone
from .sandbox import running_sandbox
from .streams import writing_stdout

if TYPE_CHECKING:
    from ..sandbox import Sandbox

#: The list of the fleet.
ASSETS = "/api/asset/v1/assets"
#: Pages of the demo, and the largest number of items per page.
PAGES, MAX_SIZE = 10, 1000
#: Seconds between two pages, for people to watch.
PACE = 0.1
#: Seconds to wait after a token has expired: the API's clock for a token starts a little later.
MARGIN = 0.2


@click.command(
    cls=Command,
    epilog="""Exit status: 0 if every machine came once and a token was renewed; 1 if not, or
if an extra is missing; 2 if an option is wrong; 130 after Ctrl-C.""",
)
@click.option(
    "--machines",
    type=click.IntRange(min=3),
    default=250,
    show_default=True,
    help="Machines in the fleet.",
)
@click.option(
    "--token-lifetime",
    type=click.FloatRange(min=0.5),
    default=2,
    show_default=True,
    help="Seconds until an access token expires.",
)
def demo(machines: int, token_lifetime: float) -> None:
    """Watch a session read a fleet and renew expired tokens.

    The demo starts a local IRIS. You need no account.
    """
    settings = {"machines": machines, "token_lifetime": token_lifetime}
    with _without_settings(), running_sandbox(**settings) as sandbox:
        Demo(sandbox, _Screen(soft_wrap=True, highlight=False)).run()


class _Screen(Console):
    """rich's console. Without this class rich exits with status 1 if the reader closes the pipe."""

    def on_broken_pipe(self) -> None:
        raise ReaderGone


@contextmanager
def _without_settings() -> Iterator[None]:
    """The demo's session must neither sign in at the user's account nor use the user's store."""
    before = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    for name in before:
        del os.environ[name]
    try:
        yield
    finally:  # a program may call the demo inside itself
        os.environ.update(before)


class Demo:
    """Reads the fleet more slowly than tokens expire, and reports each step.

    :param pace: seconds between two pages.
    :param pause: called with the seconds until a token has expired.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        console: Console,
        *,
        pace: float = PACE,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._sandbox = sandbox
        self._console = console
        self._pace = pace
        self._pause = pause
        self._size = min(-(-len(sandbox.asset_ids) // PAGES), MAX_SIZE)
        self._pages = -(-len(sandbox.asset_ids) // self._size)
        self._ids: list[str] = []
        self._renewals = 0

    def run(self) -> None:
        """Run the demo.

        1. The session reads page after page. The first request signs in.
        2. After one and two thirds of the pages the demo waits until the token has expired.
        3. The demo compares the machines with the fleet.

        :raises Failure: if the list is wrong, or no token was renewed.
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
            f"{self._sandbox.base_url}; its tokens expire in {self._sandbox.token_lifetime:g} s."
        )

    @contextmanager
    def _session(self) -> Iterator[IrisSession]:
        with IrisSession(**self._sandbox.settings, token_updater=self._tell_token) as iris:
            # requests prefers the variable REQUESTS_CA_BUNDLE to `verify`
            iris.trust_env = False
            iris.verify = self._sandbox.ca_file
            try:
                yield iris
            except RequestException as error:
                raise Failure(f"The list could not be read: {error}") from error

    def _progress(self) -> Progress:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        return Progress(*columns, console=self._console, disable=not self._console.is_terminal)

    def _tell_token(self, token: dict[str, Any]) -> None:
        """The session calls this method with each new token."""
        grant = [seen.kind for seen in self._sandbox.seen if seen.server == "token"][-1]
        self._renewals += len(self._sandbox.issued) > 1
        self._say(
            f"{'Renewed' if self._renewals else 'Signed in'} by the {grant} grant: token "
            f"{fingerprint(token['access_token'])}, scope {' '.join(token['scope'])!r}, "
            f"expires in {token['expires_in']:g} s."
        )

    def _read_page(self, iris: IrisSession, number: int) -> None:
        response = iris.get(ASSETS, params={"size": self._size, "page": number})
        response.raise_for_status()
        self._ids += [asset["id"] for asset in response.json()["content"]]
        if not self._console.is_terminal:  # a terminal has the bar
            self._say(f"Page {number + 1} of {self._pages}: {len(self._ids)} machines so far.")

    def _outlive_token(self, iris: IrisSession) -> None:
        wait = max(iris.token["expires_at"] + MARGIN - time.time(), 0)
        self._say(f"Waiting {wait:.1f} s for the token to expire ...")
        self._pause(wait)
        old = iris.token["access_token"]
        # a plain session, because an IrisSession neither sends an expired token nor returns the 401
        with Session() as plain:
            plain.trust_env = False
            plain.headers["Authorization"] = f"Bearer {old}"
            url = self._sandbox.base_url + ASSETS
            while (response := plain.get(url, verify=self._sandbox.ca_file)).ok:
                time.sleep(MARGIN)
        self._say(f"Expired: the API answers token {fingerprint(old)} with {response.status_code}.")

    def _report(self) -> None:
        expected, found = Counter(self._sandbox.asset_ids), Counter(self._ids)
        missing, surplus = (expected - found).total(), (found - expected).total()
        count = self._sandbox.count
        self._say(
            f"Token calls: {count('token')} ({count('password')} password, "
            f"{count('refresh_token')} refresh_token). API calls: {count('api')} "
            f"({count('api', status=200)} with 200, {count('api', status=401)} with 401)."
        )
        if missing or surplus:
            raise Failure(f"The list is wrong: {missing} missing, {surplus} too many.")
        if not self._renewals:
            raise Failure("No token was renewed.")
        self._say(f"Done: {len(self._ids)} machines, none is missing and none came twice.")

    def _say(self, text: str) -> None:
        with writing_stdout():
            self._console.print(text, markup=False, emoji=False)
