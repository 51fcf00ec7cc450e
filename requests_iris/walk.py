"""Walk: an iterator over a list that knows at any moment where to continue.

A walk consists of portions: the elements of a page, and the resume points between the elements. A
generator yields the portions, for example in ``pagination.py``. This module does no I/O.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from functools import partial
from itertools import chain, repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, cast

from .clock import Interrupt, given_up
from .errors import IncompleteListError, ListError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .types import ResumePoint

__all__ = ["Portion", "Walk"]

T = TypeVar("T")
#: A resume point; None is the beginning of the list.
Resume = Mapping[str, Any] | None


class Portion(NamedTuple):
    """The part of a walk that comes from a page.

    :ivar elements: the elements to hand out: the items of the page, or the page itself.
    :ivar items: the number of items in the elements.
    :ivar total: the number of items of the whole list; None if unknown.
    :ivar resume: returns the resume point after a number of elements.
    :ivar pages: 0 if the part comes without a page.
    """

    elements: list[Any]
    items: int
    total: int | None
    resume: Callable[[int], Resume]
    pages: int = 1


# itertools.chain hands out the elements of the list iterators from `_Reader` at the speed of C, in
# half the time of a generator. A method `__next__` in Python would take longer than a generator.
class Walk(chain[T]):
    """An iterator over the pages or items of a list: :meth:`IrisSession.pages` and ``items``.

    Reading begins with the first ``next()``. A ``with`` statement closes the walk at its end. An
    unfinished walk stops reading if the walk is closed or garbage. A walk cannot be copied or
    pickled: save :attr:`resume` instead. Threads may share a walk: each element is handed out once.
    """

    _reader: _Reader[T]

    def __init__(self, *_: object) -> None:
        raise TypeError("IrisSession.items() and IrisSession.pages() create a Walk")

    @classmethod
    def over(
        cls,
        portions: Generator[Portion, None, None],
        resume: Resume = None,
        total: int | None = None,
    ) -> Walk[T]:
        """A walk over the elements of portions.

        :param resume: the resume point before the first element.
        :param total: the number of items of the whole list, if known already.
        """
        reader: _Reader[T] = _Reader(portions, resume, total)
        walk = cast("Walk[T]", cls.from_iterable(reader))
        walk._reader = reader
        return walk

    @property
    def resume(self) -> ResumePoint | None:
        """Where the next run continues: after the last element that was handed out.

        A new dict for each read. Save the dict as JSON, and pass the dict as ``resume=`` of the
        same call. None: the next run begins at the beginning. Before the first element, this is the
        passed ``resume``. After a :class:`ListError`, this is the ``resume`` of the error. After
        the last element, the resume point may already say that the list is finished: the next walk
        is then empty and sends nothing.
        """
        return cast("ResumePoint | None", self._reader.resume)

    @property
    def total(self) -> int | None:
        """The number of items of the whole list; None before the first page, or if unknown."""
        return self._reader.total

    @property
    def pages_read(self) -> int:
        """The number of pages whose last item was handed out, without pages of earlier runs."""
        return self._reader.now.pages_read

    @property
    def items_read(self) -> int:
        """The number of items that were handed out, without items of earlier runs."""
        return self._reader.now.items_read

    @property
    def finished(self) -> bool:
        """Whether the walk has ended with StopIteration, after the whole list was handed out."""
        return self._reader.finished

    def close(self) -> None:
        """Stops reading. The walk hands out nothing more, and all attributes stay.

        A walk may wait for a retry, for a slot of a quota, or for points of GraphQL. Closing the
        walk ends the wait. If a different thread waits in ``next()`` for a page, ``next()`` raises
        a ``concurrent.futures.CancelledError`` there.

        :raises ValueError: in a hook of a request of the walk.
        """
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        read = f"{self.items_read} items in {self.pages_read} pages"
        return f"<{type(self).__name__}: {read} read{', finished' if self.finished else ''}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Walk cannot be copied or pickled. Save walk.resume instead")


class _Now(NamedTuple):
    """The page in use. The reader replaces the whole object, so the facts fit in every thread.

    :ivar left: the iterator over the remaining elements. Nothing is counted for each element: the
        iterator knows the number of remaining elements.
    :ivar resume_after: returns the resume point after a number of elements.
    :ivar resume_before: returns the resume point before the first element, which is the resume
        point after the page before.
    :ivar size: the number of elements.
    :ivar pages: 1, or 0 before the first page.
    :ivar items: the number of items of the page.
    """

    left: Iterator[Any]
    resume_after: Callable[[int], Resume]
    resume_before: Callable[[], Resume]
    size: int = 0
    pages: int = 0
    items: int = 0
    pages_before: int = 0
    items_before: int = 0

    @property
    def handed_out(self) -> int:
        return self.size - length_hint(self.left)

    @property
    def pages_read(self) -> int:
        return self.pages_before + (self.pages if self.handed_out == self.size else 0)

    @property
    def items_read(self) -> int:
        return self.items_before + (self.items * self.handed_out // self.size if self.size else 0)

    @property
    def resume(self) -> Resume:
        done = self.handed_out
        return self.resume_before() if self.size and not done else self.resume_after(done)

    def then(self, portion: Portion) -> _Now:
        elements, items, _, resume, pages = portion
        before = partial(self.resume_after, self.size)
        pages_before, items_before = self.pages_before + self.pages, self.items_before + self.items
        return _Now(
            iter(elements), resume, before, len(elements), pages, items, pages_before, items_before
        )

    def closed(self, unread: int) -> _Now:
        """The counts before the last `unread` elements, without these elements."""
        return self._replace(left=repeat(None, unread))


class _Reader(Generic[T]):
    """Yields an iterator for each page. The walk chains the iterators.

    Threads may share a walk: a lock lets only one thread read a page, and all threads then share
    the iterator of the page. A list iterator hands out each element once. A forked child process
    has a copy, which hands out the same elements as the walk of the parent process.
    """

    def __init__(
        self, portions: Generator[Portion, None, None], resume: Resume, total: int | None
    ) -> None:
        self._portions = portions
        # A signal handler may close the walk while its own thread has the lock, and no owner yet.
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._over = Interrupt()
        self._is_reading = self._is_torn = self._is_broken = self._is_closed = False
        self._failed_at: tuple[Resume] | None = None
        self.total = total
        self.finished = False
        self.now = _Now(iter(()), lambda _: resume, lambda: resume)

    @property
    def resume(self) -> dict[str, Any] | None:
        found = self._failed_at[0] if self._failed_at else self.now.resume
        return None if found is None else dict(found)

    def __iter__(self) -> _Reader[T]:
        return self

    def __next__(self) -> Iterator[T]:
        thread = threading.get_ident()
        if self._owner == thread:
            # The error ends the chain. Without an error of its own, the outer call would end early.
            self._is_torn = True
            raise ValueError("the walk is reading a page, and cannot be read by a hook")
        with self._lock:
            self._owner = thread
            try:
                if given_up.get() is not None:
                    return self._next()  # in a worker of a different walk, which ends the pauses
                try:
                    given_up.set(self._over)  # inside of `try`: Ctrl-C may come after the call
                    return self._next()
                finally:
                    given_up.set(None)
            finally:
                self._owner = None

    def _next(self) -> Iterator[T]:
        if self._is_closed:
            self._drop()
            raise StopIteration
        if length_hint(self.now.left):
            return self.now.left  # A different thread has just read the page.
        if self._is_broken:
            raise self._error_for_waiting_thread()
        self._is_broken = True  # until the page has come
        found = self._read()
        self._is_broken = False
        if self._is_closed:  # after `_is_reading` is false: `close` drops the rest, or this thread
            self._drop()
            raise CancelledError("A different thread has closed the walk.")
        if found is None:
            self.finished = True
            raise StopIteration
        return found

    def _read(self) -> Iterator[T] | None:
        """Reads a page, or several pages if pages are empty; None at the end."""
        self._is_reading = True
        try:
            for portion in self._portions:
                self._advance(portion)
                if portion.elements or self._is_closed:
                    return self.now.left
        except ListError as error:
            self._failed_at = (None if error.resume is None else {**error.resume},)
            raise
        finally:
            self._is_reading = False
        return None

    def _error_for_waiting_thread(self) -> IncompleteListError:
        """The error for a thread that waited for a page, while the reading failed in another."""
        return IncompleteListError(
            "the list was not read to the end: reading a page failed in a different thread",
            pages_read=self.now.pages_read,
            items_read=self.now.items_read,
            resume=cast("ResumePoint | None", self.resume),
        )

    def _advance(self, portion: Portion) -> None:
        if self._is_torn:
            self._portions.close()
            raise ValueError("a hook has read the walk during a request of the walk")
        self.now, self.total = self.now.then(portion), portion.total

    def close(self) -> None:
        if self.finished:
            return
        thread = threading.get_ident()
        if self._owner == thread:
            raise ValueError("the walk is reading a page, and cannot be closed now")
        self._is_closed = True
        self._over.set()  # ends the pauses of a thread that reads a page
        if self._is_reading:
            return  # that thread drops the rest when the page comes
        with self._lock:
            self._owner = thread  # a signal handler must not close the walk a second time
            try:
                self._drop()
            finally:
                self._owner = None

    def _drop(self) -> None:
        """Drops the rest of the elements, and stops the reading."""
        left = self.now.left
        self.now = self.now.closed(length_hint(left))
        # The chain has the same iterator, and must end too. A different thread may have taken an
        # element from the iterator since the line before.
        self.now = self.now.closed(len(list(left)))
        self._portions.close()
