"""TLS contexts that connections share: reading a CA bundle costs more than a handshake does."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Hashable
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


@dataclass(frozen=True)
class Held:
    """A context, and the files that it was made of, as they were then."""

    context: ssl.SSLContext
    files: TlsFiles
    versions: object


class SharedContexts:
    """One context for each way to verify, made when it is first asked for.

    Threads may share contexts that are not configured any more ("designed to be shared and used by
    multiple connections", https://docs.python.org/3/library/ssl.html#ssl.SSLContext). The lock
    keeps threads that start together from reading the same files.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Hashable, Held] = {}

    def find(self, setting: Hashable) -> Held | None:
        """What was made for a setting such as ``verify`` and ``cert``, if its files are the same.

        Each request comes here: it costs one look at each file.
        """
        held = self._held.get(setting)
        try:
            return held if held and held.versions == held.files.versions else None
        except OSError:  # one is gone
            return None

    def make(self, setting: Hashable, files: TlsFiles) -> Held:
        """A context for `files`, or that of a thread which was faster.

        :raises OSError: if one of them cannot be read, or holds something else.
        """
        with self._lock:
            held = self.find(setting)
            if held is None:
                versions = files.versions  # from before they are read
                held = self._held[setting] = Held(_new_context(files), files, versions)
            return held


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
