"""Errors of token stores, with texts that are safe to log."""

from __future__ import annotations

from ..text import one_line


class StoreError(Exception):
    """A token store failed. The text says where and why, and is safe to log.

    A session logs the text of a StoreError, but only the type of an unknown exception. Your own
    store may raise StoreError too. Never put a password, a token, or a server's error message into
    the text: servers repeat parts of a request in error messages.
    """


class LockTimeout(StoreError, TimeoutError):
    """A different process or thread held the lock for longer than the caller waited."""


def reason_of(error: Exception) -> str:
    """Why a store has failed, in a few words.

    The text of an error may contain a URL or a token. Only the words of the operating system and
    of a StoreError are used.
    """
    if isinstance(error, StoreError):
        return one_line(error, 500)
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror + (f" ({error.filename})" if error.filename else ""))
    return type(error).__name__
