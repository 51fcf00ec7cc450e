"""TLS connections to IRIS share the CA bundle.

urllib3 reads the CA bundle for each new connection. Reading takes 20 to 40 ms of CPU, several times
as much as the TLS handshake. Here, the first connection reads the bundle for all connections.
"""

from __future__ import annotations

import os
import ssl
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import urllib3.connection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.util import ssl_

from .forks import register

#: CA bundles that stay in memory, about 1 MB each. Most programs use one.
MAX_BUNDLES = 8

#: TLS settings. A connection with any of them gets no shared context.
_SETTINGS = (
    *("ssl_context", "assert_hostname", "assert_fingerprint", "ca_cert_dir", "ca_cert_data"),
    *("cert_file", "key_file", "key_password"),
    *("ssl_version", "ssl_minimum_version", "ssl_maximum_version"),
)


def share_contexts(pool: Any) -> None:
    """Makes the new connections of an HTTPS pool share TLS contexts.

    The pool calls one of two methods to connect: through a proxy, or directly.
    """
    if isinstance(pool, HTTPSConnectionPool):
        for name in ("_prepare_proxy", "_validate_conn"):
            # a weak reference, because urllib3 closes the connections when the pool is gone
            vars(pool).setdefault(name, partial(_connect, weakref.ref(pool), name))


def _connect(pool: Any, name: str, connection: Any) -> None:
    """Lends the connection a shared context while the pool connects.

    At that moment every setting of the program is final, so the program's settings always win. If
    the program has its own connection class (VCR does), the connection is as with plain requests.
    """
    connects = getattr(type(pool()), name)
    if not type(connection).__module__.startswith("urllib3.") or connection.sock is not None:
        connects(pool(), connection)
        return
    own = connection.ssl_context
    connection.ssl_context = own or _context_for(connection)
    try:
        connects(pool(), connection)
    finally:
        connection.ssl_context = own


def _context_for(asking: Any) -> ssl.SSLContext | None:
    """The shared context for a connection, or None if the connection must make a context.

    If the CA bundle cannot be read, the result is None, and urllib3 raises the usual error.
    """
    verifies = ssl_.resolve_cert_reqs(asking.cert_reqs) == ssl.CERT_REQUIRED
    has_settings = any(getattr(asking, name, None) is not None for name in _SETTINGS)
    # pyOpenSSL refuses to configure a context after the first connection
    if not asking.ca_certs or not verifies or has_settings or ssl_.IS_PYOPENSSL:
        return None
    try:
        file = os.stat(asking.ca_certs)
        state = file.st_ino, file.st_size, file.st_mtime_ns
        # a program may replace the function, and truststore replaces the class of the contexts
        make = vars(urllib3.connection)["create_urllib3_context"]
        return _bundle(make, asking.ca_certs, state, ssl_.SSLContext).context()
    except (OSError, ValueError):
        return None


class _Bundle:
    """The context of a CA bundle. Threads and sessions may share the context after the reading.

    Nothing configures the context any more ("designed to be shared and used by multiple
    connections", https://docs.python.org/3/library/ssl.html#ssl.SSLContext). The lock lets only the
    first of many threads read the file. A forked child reads the file again, because a thread of
    the parent may have held the lock, or a lock inside the context.
    """

    def __init__(self, make: Callable[..., ssl.SSLContext], path: str, *_version: object) -> None:
        self._make, self._path = make, path
        self.reset_after_fork()
        register(self)

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """:raises OSError: if the file cannot be read or holds no certificates."""
        with self._lock:
            if self._context is None:
                context = self._make(
                    ssl_version=ssl_.resolve_ssl_version(None),
                    ssl_minimum_version=None,
                    ssl_maximum_version=None,
                    cert_reqs=ssl.CERT_REQUIRED,
                )
                _call_once(context, "load_verify_locations", self._path, None, None)
                _call_once(context, "set_alpn_protocols", ssl_.ALPN_PROTOCOLS)
                self._context = context
            return self._context


_bundle = lru_cache(maxsize=MAX_BUNDLES)(_Bundle)


def _call_once(context: ssl.SSLContext, name: str, *known: Any) -> None:
    """Calls a method of `context`, which then skips a call with the same arguments as before.

    urllib3 calls both methods for each new connection. ``load_verify_locations`` would read the CA
    bundle again. ``set_alpn_protocols`` would free memory during the handshake of another thread.
    """
    reference = weakref.ref(context)  # a cycle would keep the bundle in memory for a while
    method, last = getattr(type(context), name), None

    def call(*arguments: Any, **named: Any) -> None:
        nonlocal last
        if (arguments, named) != last:
            method(reference(), *arguments, **named)
            last = arguments, named

    setattr(context, name, call)
    call(*known)
