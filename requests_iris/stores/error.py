"""Errors of token stores, with texts that are safe to log."""

from __future__ import annotations


class StoreError(Exception):
    """A token store failed. The text says where and why, and is safe to log.

    A session logs the text of a StoreError, but only the type of an unknown exception. Your own
    store may raise StoreError too. Never put a password, a token, or a server's error message into
    the text: servers repeat parts of a request in error messages.
    """


class LockTimeout(StoreError, TimeoutError):
    """A different process or thread held the lock for longer than the caller waited."""
