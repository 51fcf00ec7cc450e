"""Errors of token stores, with texts that hold no secret."""

from __future__ import annotations


class StoreError(Exception):
    """A token store failed. The text says where and why, and is safe to log.

    A session shows the text of a StoreError, and of any other exception only the type. A store of
    your own may raise StoreError too. Its text must hold no password, no token, and no text that a
    server sent: servers repeat parts of a request in their error messages.
    """


class LockTimeout(StoreError, TimeoutError):
    """Another process or thread held the lock of a store for longer than the caller waited."""
