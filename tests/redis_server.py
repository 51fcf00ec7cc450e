"""Moved to tests/support/redis_server.py. Remove this file once no test imports it."""

from .support.redis_server import RedisServer, free_port, redis_server  # noqa: F401
