"""Token endpoints for failing token requests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from requests_iris.sandbox import Sandbox


@contextmanager
def closed_port(sandbox: Sandbox) -> Iterator[str]:
    """A URL on a port without a server. The port is bound, so no other program gets the port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{bound.getsockname()[1]}/token"


@contextmanager
def untrusted_certificate(sandbox: Sandbox) -> Iterator[str]:
    """The URL of an untrusted sandbox. The session must send nothing to the sandbox."""
    with Sandbox() as other:
        yield other.token_url
        assert other.seen == ()
