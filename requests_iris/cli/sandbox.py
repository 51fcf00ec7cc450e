"""`requests-iris sandbox`: a local IRIS that runs by itself."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..credentials import PREFIX
from ..grants import PASSWORD, SIGN_IN
from .entry import Command
from .failures import Failure
from .signals import handling, in_main_thread
from .streams import complain, say

if TYPE_CHECKING:
    from ..sandbox import Sandbox


@click.command(
    "sandbox",
    cls=Command,
    epilog="""\b
Example, in two terminals:
  requests-iris sandbox > iris.env
  (. ./iris.env && requests-iris get /api/asset/v1/assets)

Exit status: 0 after Ctrl-C or SIGTERM; 1 if the sandbox cannot start, or its
extra is missing; 2 if an option is wrong.""",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65534),
    default=0,
    help="The port of the API; the token server takes the next one. By default free ports.",
)
@click.option(
    "--grant",
    type=click.Choice(SIGN_IN),
    default=PASSWORD,
    show_default=True,
    help="Print the variables of the API User (password) or of the API key (client_credentials).",
)
@click.option(
    "--token-lifetime",
    type=click.FloatRange(min=0),
    default=None,
    help="Seconds until an access token expires. By default 3600, and 1200 for the API key.",
)
@click.option(
    "--machines",
    type=click.IntRange(min=0),
    default=250,
    show_default=True,
    help="Machines in the fleet.",
)
@click.option("--quotas", is_flag=True, help="Answer 429 beyond the rate limits of IRIS.")
@click.pass_obj
def sandbox(
    prefix: str,
    port: int,
    grant: str,
    token_lifetime: float | None,
    machines: int,
    quotas: bool,
) -> None:
    """Run a local IRIS until Ctrl-C.

    Prints the variables with which programs, requests and curl reach the sandbox. Copy them into a
    shell.
    """
    if not in_main_thread():
        raise Failure("The sandbox runs until Ctrl-C, which only the main thread receives.")
    stop = threading.Event()
    settings: dict[str, Any] = {"port": port, "machines": machines, "quotas": quotas}
    if token_lifetime is not None:
        settings.update(token_lifetime=token_lifetime, key_token_lifetime=token_lifetime)
    with (
        handling((signal.SIGINT, signal.SIGTERM), lambda *_: stop.set()),
        running_sandbox(**settings) as sandbox,
    ):
        environ = sandbox.environ if grant == PASSWORD else sandbox.key_environ
        for name, value in {**environ, "CURL_CA_BUNDLE": sandbox.ca_file}.items():
            say(f"export {_with_prefix(name, prefix)}={shlex.quote(value)}")
        complain(f"Serving {machines} machines until Ctrl-C.\n")
        while not stop.wait(timeout=1):
            pass


def _with_prefix(variable: str, prefix: str) -> str:
    setting = variable.removeprefix(PREFIX)
    return variable if setting == variable else prefix + setting


@contextmanager
def running_sandbox(**settings: Any) -> Iterator[Sandbox]:
    """:raises Failure: if the sandbox cannot start."""
    from ..sandbox import Sandbox  # needs an extra

    sandbox = Sandbox(**settings)
    try:
        sandbox.start()
    except OSError as error:
        raise Failure(f"The sandbox cannot start: {error}") from None
    try:
        yield sandbox
    finally:
        sandbox.close()
