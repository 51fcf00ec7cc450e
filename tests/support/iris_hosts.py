"""The hosts of IRIS, served by a sandbox: the host names are real, only the network is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from urllib3.util import connection

from requests_iris.sandbox import Sandbox

HOSTS = {"iris.trackunit.com": "base_url", "auth.trackunit.com": "token_url"}


@contextmanager
def iris_hosts(monkeypatch: pytest.MonkeyPatch, **settings: object) -> Iterator[Sandbox]:
    """A sandbox under the names of IRIS, with the credentials in the environment variables."""
    connect = connection.create_connection
    with Sandbox(hostnames=tuple(HOSTS), **settings) as sandbox:

        def connect_to_sandbox(address: tuple[str, int], *args: object, **kwargs: object) -> object:
            host, port = address
            if host in HOSTS:
                url = getattr(sandbox, HOSTS[host])
                host, port = "127.0.0.1", int(re.search(r":(\d+)", url)[1])
            assert host == "127.0.0.1"
            return connect((host, port), *args, **kwargs)

        monkeypatch.setattr(connection, "create_connection", connect_to_sandbox)
        for name, value in sandbox.environ.items():
            if not name.endswith("_URL"):
                monkeypatch.setenv(name, value)
        yield sandbox
