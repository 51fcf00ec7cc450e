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
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter

from .clock import Clock
from .single_flight import Signal

#: If a thread has not begun after this number of seconds, a second thread is started.
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
        # after the deadline or an interrupt, no caller waits for the response
        if not work.ended.done:
            work.cut()


class _Work(Generic[Result]):
    """The call in its thread. `result` and `error` are set before `ended`.

    :ivar begun: locked by the first thread to begin.
    """

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._connections: list[Any] = []
        self._handles: list[socket.socket] = []
        self._closing = threading.Lock()
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
            # otherwise the work and the context would keep each other in memory
            self._context.run(_current.set, None)
            self._let_go()

    def outcome(self) -> Result | None:
        # otherwise the traceback of an error would keep the error in memory
        result, error, self.result, self.error = self.result, self.error, None, None
        try:
            if error is not None:
                raise error
            return result
        finally:
            del error

    def note(self, connection: Any) -> None:
        """Records a connection before the first use.

        :raises TimeoutError: if the work has been cut off.
        """
        self._connections.append(connection)
        self.note_socket(connection)

    def note_socket(self, connection: Any) -> None:
        """Keeps a second handle of an open socket.

        If the server will close the connection, http.client moves the socket from the connection to
        the response.

        :raises TimeoutError: if the work has been cut off.
        """
        sock: Any = getattr(connection, "sock", None)
        sock = getattr(sock, "socket", sock)  # TLS to a server within TLS to a proxy
        with suppress(OSError, AttributeError, TypeError, ValueError):  # no or no real socket
            self._handles.append(socket.fromfd(sock.fileno(), sock.family, sock.type))
        if self._is_cut:
            raise TimeoutError("the response did not end in time")

    def cut(self) -> None:
        """Shuts the connections down: a blocked read ends at once."""
        self._is_cut = True
        # a TLS connection to a proxy has no handle before the end of the connect
        opening: list[Any] = [getattr(each, "sock", None) for each in self._connections]
        with self._closing:
            for sock in (*opening, *self._handles):
                # SSLSocket.shutdown would remove the TLS layer while another thread reads
                with suppress(OSError, TypeError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _let_go(self) -> None:
        self._connections.clear()
        with self._closing:
            for handle in self._handles:
                handle.close()


def watch(
    adapter: BaseAdapter, request: PreparedRequest, *, verify: Any, cert: Any, proxies: Any
) -> None:
    """Lets :func:`call_until` shut down the connection that `adapter` will use for `request`.

    Only adapters that send by urllib3 are watched. The pool stays watched, because several sessions
    and threads may share the pool. Requests outside of :func:`call_until` do not change.
    """
    if not isinstance(adapter, HTTPAdapter):
        return
    with suppress(Exception):  # `send` will raise the same error
        pool: Any = adapter.get_connection_with_tls_context(
            request, verify, proxies=proxies, cert=cert
        )
        if not isinstance(vars(pool).get("_get_conn"), _Watched):
            pool._get_conn = _Watched(pool)


class _Watched:
    """Wraps the ``_get_conn`` of a pool, and reports each connection to the current work.

    The pool calls the method for each new connection and for each connection used before.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = weakref.ref(pool)  # urllib3 closes the connections when the pool is gone
        self._own: Any = vars(pool).get("_get_conn")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = self._pool()
        # looked up at each call, because a program may replace the method later
        get = self._own or partial(type(pool)._get_conn, pool)
        connection = get(*args, **kwargs)
        work = _current.get()
        if work is not None:
            if getattr(connection, "sock", None) is None:
                connection.connect = partial(_connect, connection)
            work.note(connection)
        return connection


def _connect(connection: Any) -> None:
    """Opens the connection by its own method, and reports the socket to the current work."""
    del connection.connect
    connection.connect()
    if work := _current.get():
        work.note_socket(connection)
