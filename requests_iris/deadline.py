"""Ends a blocking call at a deadline, wherever the call hangs.

The timeout of a socket bounds a single ``recv``. A slow server, a silent name server or a custom
adapter can hold a call for ever. Therefore the call runs in a separate thread, and the caller stops
waiting at the deadline. Then the connection is shut down, and the thread ends.
"""

from __future__ import annotations

import _thread
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeVar

from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter

from .clock import Clock
from .single_flight import Signal

#: Seconds for the first step of a thread. After this time a second thread is started.
BEGINS_WITHIN = 1.0

Result = TypeVar("Result")

#: Whether a call stays in the caller's thread, without a deadline. requests-mock holds a lock
#: during a mocked `send`, and a second thread would wait for the lock for ever.
stays_in_thread: ContextVar[bool] = ContextVar("requests_iris_stays_in_thread", default=False)
#: The work of the current thread.
_current: ContextVar[_Work[Any] | None] = ContextVar("requests_iris_work", default=None)


def call_until(deadline: float, call: Callable[[], Result], clock: Clock) -> Result | None:
    """The result of `call`, or None after the deadline. An exception of `call` is raised here.

    :param deadline: on the monotonic clock.
    """
    if stays_in_thread.get():
        return call()
    work = _Work(call)
    try:
        work.start()
        while not work.ended.wait(clock, min(deadline, clock.monotonic() + BEGINS_WITHIN)):
            if clock.monotonic() >= deadline:
                return None
            if not work.begun.locked():
                work.start()
        return work.outcome()
    finally:
        # also after an interrupt: no caller waits for the response any more
        if not work.ended.done:
            work.cut()


class _Work(Generic[Result]):
    """The call in its thread. `result` and `error` are set before `ended`.

    :ivar begun: locked by the first thread to begin.
    """

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._connections: list[Any] = []
        self._is_cut = False
        self._context = copy_context()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.begun = threading.Lock()
        self.ended = Signal()

    def start(self) -> None:
        # threading.Thread.start() waits for ever if an exception from outside ends the new thread
        # at the first step
        try:
            _thread.start_new_thread(self._run_in_thread, ())
        except RuntimeError:  # no new thread is possible, for example at the interpreter's exit
            self._run()

    def _run_in_thread(self) -> None:
        # as threading.Thread does, for debuggers and coverage
        sys.settrace(threading.gettrace())
        sys.setprofile(threading.getprofile())
        self._run()

    def _run(self) -> None:
        if not self.begun.acquire(blocking=False):
            return
        try:
            self._context.run(_current.set, self)
            self.result = self._context.run(self._call)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.done = True
            self.ended.wake()

    def outcome(self) -> Result | None:
        error, self.error = self.error, None  # avoids a cycle of error, traceback and frame
        try:
            if error is not None:
                raise error
            return self.result
        finally:
            del error

    def note(self, connection: Any) -> None:
        """Records a connection before it is used.

        :raises TimeoutError: if the work has been cut off.
        """
        self._connections.append(connection)
        if self._is_cut:
            raise TimeoutError("the response did not end in time")

    def cut(self) -> None:
        """Shuts the connections down: a blocked read ends at once."""
        self._is_cut = True
        for connection in self._connections:
            sock: Any = getattr(connection, "sock", None)
            # SSLSocket's own shutdown would take the TLS layer away from a reader
            with suppress(OSError, TypeError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Watch:
    """Within a ``with`` block, :func:`call_until` can shut down the connections of `adapter`.

    Only adapters on urllib3 are watched. At the end of the block the pool gets the former
    connection class back, since other libraries replace the class, too.
    """

    def __init__(
        self,
        adapter: BaseAdapter,
        request: PreparedRequest,
        *,
        verify: Any,
        cert: Any,
        proxies: Any,
    ) -> None:
        self._pool: Any = None
        self._before: Any = None  # None: the pool has the class of its type
        if not isinstance(adapter, HTTPAdapter):
            return
        with suppress(Exception):  # `send` will raise the same error
            self._pool = adapter.get_connection_with_tls_context(
                request, verify, proxies=proxies, cert=cert
            )
            adapter.cert_verify(self._pool, request.url or "", verify, cert)  # may choose a class

    def __enter__(self) -> None:
        kind = getattr(self._pool, "ConnectionCls", None)
        if isinstance(kind, type):
            self._before = vars(self._pool).get("ConnectionCls")
            self._pool.ConnectionCls = _watched(kind)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self._pool.ConnectionCls = self._before
        elif self._pool is not None:
            vars(self._pool).pop("ConnectionCls", None)  # a second session may have removed it


def _watched(kind: Any) -> Any:
    """A subclass of a urllib3 connection class. Each use is recorded by the current work."""

    class Watched(kind):
        def connect(self) -> None:
            if work := _current.get():
                work.note(self)
            super().connect()

        def request(self, *args: Any, **kwargs: Any) -> None:
            if work := _current.get():
                work.note(self)
            super().request(*args, **kwargs)

    Watched.__name__, Watched.__qualname__ = kind.__name__, kind.__qualname__
    return Watched
