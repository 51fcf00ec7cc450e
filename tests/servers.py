"""Moved to tests/support/servers.py. Remove this file once no test imports it."""

from .support.servers import echo_server, proxy, serving  # noqa: F401
