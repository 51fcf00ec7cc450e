"""The error of a page that failed: a ListError, and also the exception of plain requests.

Code around a loop over pages has ``except requests.ConnectionError``, ``except requests.Timeout``
or ``except InvalidGrantError``. The ListError must not pass by these clauses. Therefore the class
of the error has two bases: a class of ListError, and the class of the cause. Ray's
``as_instanceof_cause`` solves the same problem for errors of workers.
"""

from __future__ import annotations

import pickle
import re
import sys
from functools import lru_cache, partial
from types import new_class
from typing import Any, TypeVar

from requests import JSONDecodeError, RequestException, Response

from .document import Document
from .errors import IncompleteListError, ListError
from .problems import problem_of
from .text import one_line

_List = TypeVar("_List", bound=ListError)

#: Characters of a network error in a message.
LIMIT = 600
#: Private parts of the URLs in an error's text: the query, and the user.
_PRIVATE = re.compile(r"\?\S+|(?<=//)[^/\s]*@")

#: Members of a ListError. A property in the class of the cause must not hide a ListError's member.
_OWN = (
    *("pages_read", "items_read", "resume", "keys", "errors", "retryable", "request", "response"),
    *("retry_after", "complexity", "limit"),
)


def failed_page(error: RequestException) -> IncompleteListError:
    """The error of a later page without a response, also of the class of the cause."""
    told = one_line(_PRIVATE.sub("", str(error)), LIMIT)
    # The error of a caller's adapter may have skipped the constructor of its base.
    request, response = getattr(error, "request", None), getattr(error, "response", None)
    incomplete = IncompleteListError(
        f"the page could not be read ({type(error).__name__}: {told})",
        retryable=bool(getattr(error, "retryable", may_come_later(response))),
        request=request,
        response=response,
    )
    return caused_by(incomplete, error)


def page_of(response: Response, document: Any, fault: Exception | None) -> Document:
    """The JSON of a page.

    :param document: the JSON of the response, or None with the `fault` of the JSON.
    :raises IncompleteListError: if the response is no page.
    """
    if not response.ok:
        told = one_line(problem_of(response) or response.reason)
        raise IncompleteListError(
            f"the server answered with {response.status_code} {told}", response=response
        )
    if not isinstance(document, dict):
        kind = one_line(response.headers.get("Content-Type", "no content type"))
        raise IncompleteListError(
            f"the page is no JSON object, but {kind}{_why(fault)}",
            retryable=True,
            response=response,
        )
    return document


def _why(fault: Exception | None) -> str:
    """The reason why JSON could not be read, if the response may be JSON."""
    if isinstance(fault, RecursionError):
        return " that is nested too deeply"
    return "" if fault is None or isinstance(fault, JSONDecodeError) else f" ({one_line(fault)})"


def may_come_later(response: Response | None) -> bool:
    """Whether a later request for the same page may succeed."""
    return response is None or response.status_code in (408, 429) or response.status_code >= 500


def caused_by(error: _List, cause: BaseException) -> _List:
    """`error`, also as an instance of the class of `cause`, with the members of both."""
    base: Any = type(error)
    other: Any = type(cause)
    made: _List = _made(_class_of(base, other), error.args, {**vars(cause), **vars(error)})
    return made


class _PageError:
    """The first base: methods that must not come from the class of the cause.

    :cvar bases: the ListError and the class of the cause.
    """

    bases: tuple[type[ListError], type[BaseException]]
    args: tuple[Any, ...]
    # If the cause is a frozen dataclass, the error must still accept new members.
    __setattr__ = object.__setattr__
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __str__(self) -> str:
        return " ".join(map(str, self.args))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.args))})"

    def __copy__(self) -> Any:
        return _made(type(self), self.args, vars(self))

    def __reduce_ex__(self, protocol: object) -> Any:
        # The error of a worker process must reach the caller. Members that do not pickle stay.
        base, cause = self.bases
        importable = next(each for each in cause.__mro__ if _is_importable(each))
        state = {name: value for name, value in vars(self).items() if _pickles(value)}
        return _unpickled, (base, importable, self.args, state)


def _unpickled(base: Any, cause: Any, args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    return _made(_class_of(base, cause), args, state)


def _made(cls: type[Any], args: tuple[Any, ...], members: dict[str, Any]) -> Any:
    """An instance, without a constructor: a constructor may require any arguments."""
    made = OSError.__new__(cls)
    made.args = args
    vars(made).update(members)
    return made


@lru_cache(maxsize=256)  # Two threads may create a class twice. This is harmless.
def _class_of(base: Any, cause: Any) -> Any:
    """The class with both bases; only `base` if no such class is possible.

    Some classes cannot be a second base: a class with a special memory layout, or a class without
    subclasses. Then the next exception in the method resolution order is used.
    """
    if issubclass(base, cause):
        return base
    try:
        return new_class(
            f"{base.__name__}[{cause.__name__}]",
            (_PageError, base, cause),
            exec_body=partial(_fill, base, cause),
        )
    except Exception:  # a metaclass or __init_subclass__ may raise anything
        others = (each for each in cause.__mro__[1:] if issubclass(each, Exception))
        return _class_of(base, next(others))


def _fill(base: type[Any], cause: type[Any], namespace: dict[str, Any]) -> None:
    namespace.update(dict.fromkeys(_OWN), bases=(base, cause), __module__=base.__module__)
    namespace["__doc__"] = f"{base.__name__} that is also {cause.__module__}.{cause.__qualname__}."


def _is_importable(cls: type[Any]) -> bool:
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


def _pickles(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # a member of somebody's error may raise anything
        return False
    return True
