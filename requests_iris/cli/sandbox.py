"""`requests-iris sandbox`: a local IRIS that runs by itself."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..sandbox import Sandbox


@click.command("sandbox")
@click.option(
    "--port",
    type=click.IntRange(0, 65534),
    default=0,
    help="Of the API; the token server takes the next one. Any free ones if not given.",
)
@click.option(
    "--token-lifetime",
    type=click.FloatRange(min=0),
    default=3600,
    show_default=True,
    help="Seconds that an access token lives.",
)
@click.option(
    "--machines", type=click.IntRange(min=0), default=250, show_default=True, help="In the fleet."
)
def sandbox(port: int, token_lifetime: float, machines: int) -> None:
    """Run a local IRIS until Ctrl-C.

    Prints the variables that make programs, requests and curl talk to it, to be copied into a
    shell.
    """
    stop = _stop_signal()
    with running_sandbox(port=port, token_lifetime=token_lifetime, machines=machines) as sandbox:
        for name, value in {**sandbox.environ, "CURL_CA_BUNDLE": sandbox.ca_file}.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        click.echo(f"Serving {machines} machines until Ctrl-C.", err=True)
        while not stop.wait(timeout=1):
            pass


@contextmanager
def running_sandbox(**settings: Any) -> Iterator[Sandbox]:
    try:
        from ..sandbox import Sandbox
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None
    sandbox = Sandbox(**settings)
    try:
        sandbox.start()
    except OSError as error:
        raise click.ClickException(f"The sandbox cannot start: {error}") from None
    try:
        yield sandbox
    finally:
        sandbox.close()


def _stop_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
