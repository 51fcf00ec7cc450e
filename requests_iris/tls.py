"""TLS contexts that connections share: reading a CA bundle costs more than a handshake does."""

from __future__ import annotations

import os
import ssl
import threading
from dataclasses import dataclass

from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context, resolve_cert_reqs


@dataclass
class TlsFiles:
    """What a connection is told of TLS, under the names that requests and urllib3 give it."""

    cert_reqs: str = "CERT_REQUIRED"
    ca_certs: str | None = None
    ca_cert_dir: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def names(self) -> tuple[str | None, ...]:
        return (self.cert_reqs, self.ca_certs, self.ca_cert_dir, self.cert_file, self.key_file)

    @property
    def versions(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when a file does."""
        stats = [os.stat(path) for path in self.names[1:] if path]
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


class SharedContexts:
    """One context for each set of files, made when it is first asked for.

    Threads may share contexts that are not configured any more ("designed to be shared and used by
    multiple connections", https://docs.python.org/3/library/ssl.html#ssl.SSLContext). The lock
    keeps threads that start together from reading the same files.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[object, tuple[object, ssl.SSLContext]] = {}

    def context(self, files: TlsFiles) -> ssl.SSLContext:
        """The context for `files` as they are now.

        :raises OSError: if one of them cannot be read, or holds something else.
        """
        versions = files.versions
        return self._find(files, versions) or self._make(files, versions)

    def _find(self, files: TlsFiles, versions: object) -> ssl.SSLContext | None:
        version_held, context = self._held.get(files.names, (None, None))
        return context if version_held == versions else None

    def _make(self, files: TlsFiles, versions: object) -> ssl.SSLContext:
        with self._lock:
            context = self._find(files, versions)
            if context is None:
                context = _new_context(files)
                self._held[files.names] = (versions, context)
            return context


def _new_context(files: TlsFiles) -> ssl.SSLContext:
    """What urllib3 makes for each connection of its own, complete."""
    context = create_urllib3_context(cert_reqs=resolve_cert_reqs(files.cert_reqs))
    if files.ca_certs or files.ca_cert_dir:
        context.load_verify_locations(files.ca_certs, files.ca_cert_dir)
    if files.cert_file:
        context.load_cert_chain(files.cert_file, files.key_file, _no_password)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # urllib3 does so for each connection, which frees what another thread may be copying
    context.set_alpn_protocols = _already_set  # type: ignore[assignment]
    return context


def _already_set(protocols: object) -> None:
    """Stands in for a method of a context that is shared, and so must not change."""


def _no_password() -> str:
    raise ValueError("the private key is encrypted")
