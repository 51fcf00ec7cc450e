"""Moved to tests/support/plain_client.py. Remove this file once no test imports it."""

from .support.plain_client import PlainClient  # noqa: F401
