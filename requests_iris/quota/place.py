"""The place of a quota store: memory, a path or a URL."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable
from pathlib import Path

from ..errors import SettingError
from ..secret import Secret
from ..stores import key_of, path_of
from .ledger import Ledger
from .memory import MemoryQuotaStore
from .store import QuotaStore

#: The place of the memory of this process.
MEMORY = "memory"

# Sessions of a process share a ledger, and so the memory that counts while a store fails. If two
# threads add a ledger at once, each uses its own ledger for the same store, which is harmless.
_memory = Ledger(MemoryQuotaStore())
_ledgers: weakref.WeakValueDictionary[str, Ledger] = weakref.WeakValueDictionary()


def ledger_at(place: QuotaStore | str | os.PathLike[str]) -> Ledger:
    """The ledger for a place. Nothing is opened or created yet.

    :param place: ``"memory"``, a path, ``file:///path``, ``redis://…``, ``rediss://…``, or a
        QuotaStore.
    :raises SettingError: if `place` is something else.
    :raises ModuleNotFoundError: if the extra ``redis`` is needed and not installed.
    """
    if isinstance(place, str):
        # Before anything can fail: a traceback with local variables must not show the password.
        place = Secret(place)
    if isinstance(place, QuotaStore):
        return Ledger(place)
    if not isinstance(place, (str, os.PathLike)) or not os.fspath(place):
        raise _refused('"memory", a path, a URL, a Quota, or False')
    text = Secret(os.fsdecode(place))
    if text == MEMORY and isinstance(place, str):
        return _memory
    if "://" not in text and not re.match("(?:file|rediss?):", text, re.IGNORECASE):
        return _at_path(text)
    scheme = Secret(text.partition("://")[0].lower())  # all of "redis:password"
    if scheme in ("redis", "rediss"):
        from .redis import RedisQuotaStore  # most sessions need neither Redis nor SQLite

        return _shared(key_of("redis", str(text)), lambda: RedisQuotaStore(text))
    path = path_of(text) if scheme == "file" else None
    if path is not None:
        return _at_path(path)
    # the message does not quote the URL, which may hold a password
    raise _refused("a path, or a URL such as file:///var/lib/app/quota.db or redis://host:6379/0")


def _at_path(path: str | Path) -> Ledger:
    try:
        file = Path(path).expanduser().absolute()
        usable = bool(file.name) and "\0" not in str(file)
    except (ValueError, RuntimeError, OSError):  # such as ~ for a user without a home directory
        usable = False
    if not usable:
        raise _refused("the path of a file")
    from .sqlite import SqliteQuotaStore

    return _shared(f"file:{file}", lambda: SqliteQuotaStore(file))


def _shared(place: str, open_store: Callable[[], QuotaStore]) -> Ledger:
    ledger = _ledgers.get(place)
    if ledger is None:
        ledger = _ledgers[place] = Ledger(open_store())
    return ledger


def _refused(wanted: str) -> SettingError:
    return SettingError(f"quota must be {wanted}", setting="quota")
