"""A lock on an open file, for one process. The system ends the lock with the process."""

from __future__ import annotations

import errno
import os
import sys

#: Windows locks a byte beyond the end of every file, because nobody can read locked bytes.
_BEYOND = 2**62

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock(descriptor: int) -> bool:
    """Lock an open file until the file is closed, without waiting.

    :param descriptor: a file, open for writing.
    :return: False if a different process has the lock.
    :raises OSError: if the file system has no locks.
    """
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True
