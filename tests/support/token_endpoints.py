"""Token endpoints that no session can use."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from requests_iris.sandbox import Sandbox


@contextmanager
def closed_port(sandbox: Sandbox) -> Iterator[str]:
    """A URL on a port where nobody listens. The port is bound, so that nobody else gets it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{bound.getsockname()[1]}/token"


@contextmanager
def untrusted_certificate(sandbox: Sandbox) -> Iterator[str]:
    """The URL of a sandbox that the session does not trust. The session must send nothing there."""
    with Sandbox() as other:
        yield other.token_url
        assert other.seen == ()
