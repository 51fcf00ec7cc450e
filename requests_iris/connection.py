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
from functools import lru_cache
from typing import Any, NamedTuple

from urllib3 import connection
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


def share_contexts(pool: object) -> None:
    """Makes the new connections of an HTTPS pool share TLS contexts.

    If a program has its own connection class for all pools (VCR does) or for one pool, the pool
    opens connections of the program's class, as with plain requests.
    """
    if not isinstance(pool, HTTPSConnectionPool):
        return
    kind = type(pool).ConnectionCls
    chosen = vars(pool).get("ConnectionCls", kind)
    shares = isinstance(chosen, type) and issubclass(chosen, _SharesContext)
    if chosen is not kind and not shares:
        return
    if not getattr(kind, "__module__", "").startswith("urllib3."):
        vars(pool).pop("ConnectionCls", None)
    elif not shares:
        pool.ConnectionCls = _sharing(kind)


class _SharesContext:
    """A connection class of urllib3 that gets a shared context at the moment of connecting.

    At that moment every setting of the program is final, so the program's settings always win.
    After connecting, the attributes are as with plain requests. If the bundle has changed, the next
    connection reads the new file.
    """

    ssl_context: ssl.SSLContext | None

    def connect(self) -> None:
        own = self.ssl_context
        self.ssl_context = own or _contexts.context_for(self)
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self.ssl_context = own


@lru_cache(maxsize=MAX_BUNDLES)
def _sharing(kind: type) -> Any:
    return type(kind.__name__, (_SharesContext, kind), {"__module__": __name__})


class _Contexts:
    """The TLS contexts of the CA bundles in use, at most :data:`MAX_BUNDLES`.

    Threads and sessions may share a context, because nothing configures the context any more
    ("designed to be shared and used by multiple connections",
    https://docs.python.org/3/library/ssl.html#ssl.SSLContext). A forked child starts with an empty
    cache, because a thread of the parent may have held a lock of a context.
    """

    def __init__(self) -> None:
        self.reset_after_fork()
        register(self)

    def reset_after_fork(self) -> None:
        self._bundles = lru_cache(maxsize=MAX_BUNDLES)(_Bundle)

    def context_for(self, asking: Any) -> ssl.SSLContext | None:
        """The shared context for a connection, or None if the connection must make a context.

        If the CA bundle cannot be read, the result is None, and urllib3 raises the usual error.
        """
        # pyOpenSSL refuses to configure a context after the first connection
        if not asking.ca_certs or _has_settings(asking) or ssl_.IS_PYOPENSSL:
            return None
        try:
            return self._bundles(_Version.of(asking.ca_certs)).context()
        except (OSError, ValueError):
            return None


def _has_settings(asking: Any) -> bool:
    verifies = ssl_.resolve_cert_reqs(asking.cert_reqs) == ssl.CERT_REQUIRED
    return not verifies or any(getattr(asking, name, None) is not None for name in _SETTINGS)


class _Version(NamedTuple):
    """The state of a CA bundle on the disk, and urllib3's present way to make a context."""

    path: str
    inode: int
    size: int
    changed: int
    make: Callable[..., ssl.SSLContext]
    kind: object  # truststore replaces urllib3's class

    @classmethod
    def of(cls, path: str) -> _Version:
        file, make = os.stat(path), vars(connection)["create_urllib3_context"]
        return cls(path, file.st_ino, file.st_size, file.st_mtime_ns, make, ssl_.SSLContext)


class _Bundle:
    """The context of a CA bundle. The lock lets only the first of many threads read the file."""

    def __init__(self, version: _Version) -> None:
        self._version = version
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """:raises OSError: if the file cannot be read or holds no certificates."""
        with self._lock:
            if self._context is None:
                self._context = self._read()
            return self._context

    def _read(self) -> ssl.SSLContext:
        context = self._version.make(
            ssl_version=ssl_.resolve_ssl_version(None),
            ssl_minimum_version=None,
            ssl_maximum_version=None,
            cert_reqs=ssl.CERT_REQUIRED,
        )
        _skip_repetition(context, "load_verify_locations")
        _skip_repetition(context, "set_alpn_protocols")
        context.load_verify_locations(self._version.path, None, None)
        context.set_alpn_protocols(ssl_.ALPN_PROTOCOLS)
        return context


def _skip_repetition(context: ssl.SSLContext, name: str) -> None:
    """Makes a method of `context` skip a call with the same arguments as the call before.

    urllib3 calls two methods for each new connection. ``load_verify_locations`` would read the CA
    bundle again. ``set_alpn_protocols`` would free memory during the handshake of another thread.
    """
    reference = weakref.ref(context)  # a cycle would keep the bundle in memory for a while
    method = getattr(type(context), name)
    last: object = None

    def call(*arguments: Any, **named: Any) -> None:
        nonlocal last
        if (arguments, named) != last:
            method(reference(), *arguments, **named)
            last = arguments, named

    setattr(context, name, call)


_contexts = _Contexts()
