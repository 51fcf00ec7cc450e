"""The JSON object of a page: members and lists, in any spelling of the names.

Two rules hold everywhere. Names are compared without regard to case and punctuation (`After`,
`@rel` and `total_elements` are `after`, `rel` and `totalElements`). If a page has two spellings of
a name, IRIS's own spelling wins. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from .errors import IncompleteListError, NotAListError
from .text import one_line

Document = dict[str, Any]

#: Where IRIS puts the items of a page.
ITEMS_PATHS = ("content", "Equipment", "equipment", "data.result")
#: Largest plausible count. Many programs cannot hold a larger number.
MOST = 2**53
#: Characters of a name to compare. Every known name is shorter.
LONGEST = 100
#: Members that can report a missing part of the page, folded.
_FAULTS = frozenset(("ispartial", "errors", "status"))
#: Values that say no.
_NO = frozenset(("", "0", "0.0", "false", "no", "n", "none", "null", "{}", "[]"))


def changed(message: str) -> IncompleteListError:
    """The error of a list that must be read from the beginning."""
    error = IncompleteListError(message)
    error._must_restart = True
    return error


def folded(name: str) -> str:
    """`name` in lower case and without punctuation, for comparisons."""
    return _folded(name[:LONGEST])


@lru_cache(maxsize=1024)  # All pages of a list have the same names. The cache is thread-safe.
def _folded(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def member(document: Mapping[str, Any], name: str) -> Any:
    """The value of the member `name`. None if the member is missing.

    :param name: in IRIS's spelling.
    :raises IncompleteListError: if IRIS's spelling is missing, and two spellings contradict.
    """
    if name in document:
        return document[name]
    wanted = folded(name)
    values = [value for each, value in document.items() if folded(each) == wanted]
    if any(value != values[0] for value in values[1:]):
        raise IncompleteListError(f"the page has two members {name!r} that contradict")
    return values[0] if values else None


def at(document: Document, path: str) -> Any:
    """The value at `path`, such as ``data.result``. None if the path does not exist."""
    found: Any = document
    for name in path.split("."):
        found = member(found, name) if isinstance(found, dict) else None
    return found


def list_at(document: Document, path: str) -> list[Any]:
    """The list at `path`.

    :raises NotAListError: if the path holds no list.
    :raises IncompleteListError: if the page says that a part is missing.
    """
    check_complete(document, path)
    found = at(document, path)
    if not isinstance(found, list):
        raise NotAListError(
            f"the response holds no list at {path!r} (its members: {names_of(document)})",
            keys=tuple(document),
        )
    return found


def items_path_of(document: Document) -> str | None:
    """The path of the items: a path of IRIS, or the only list of the page."""
    for path in ITEMS_PATHS:
        if isinstance(at(document, path), list):
            return path
    lists = [
        name
        for name, value in document.items()
        if isinstance(value, list) and folded(name) not in ("links", "link", "errors")
    ]
    return lists[0] if len(lists) == 1 else None


def objects_around(document: Document, path: str) -> Iterator[Document]:
    """The objects around the list, from the whole page inwards."""
    found: Any = document
    for name in (*path.split("."), None):
        if isinstance(found, dict):
            yield found
            found = member(found, name) if name is not None else None


def check_complete(document: Document, path: str) -> None:
    """:raises IncompleteListError: if the page says that a part is missing."""
    # Most pages end here: the look-ups below took a twentieth of the time per page.
    if "." not in path and _FAULTS.isdisjoint(map(folded, document)):
        return
    if any(says_yes(member(each, "isPartial")) for each in objects_around(document, path)):
        raise IncompleteListError(
            "the server says that the response is a part of the list (isPartial)"
        )
    errors = () if path.startswith("errors") else errors_in(document)
    failed = member(document, "status") == "error"  # as Prometheus says it
    if errors or failed:
        messages = ", ".join(text_of(each.get("message")) for each in errors)
        message = messages or text_of(member(document, "error"))
        raise IncompleteListError(f"the server reports errors: {message}")


def errors_in(document: Any) -> tuple[dict[str, Any], ...]:
    """The objects in `errors`; any value but an object becomes the message of an error."""
    errors = (member(document, "errors") if isinstance(document, dict) else None) or []
    each_error = errors if isinstance(errors, list) else [errors]
    return tuple(
        each if isinstance(each, dict) else {"message": text_of(each)} for each in each_error
    )


def count(document: Mapping[str, Any], name: str) -> int | None:
    """The member `name` as a count. None if the member is missing or is not a count."""
    return as_count(member(document, name))


def as_count(value: Any) -> int | None:
    """`value` as a count; None for a negative, absurd or fractional number, and for text."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and 0 <= value <= MOST else None


def says_yes(value: Any) -> bool:
    """Whether a flag or a link says yes; an object or a list if any value inside says yes."""
    waiting = [value]
    while waiting:  # no recursion: a page may be nested 900 levels deep
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif str(value).strip().lower() not in _NO:
            return True
    return False


def text_of(value: Any) -> str:
    """A server's text for a message: a printable line. Of a container only the type."""
    return type(value).__name__ if isinstance(value, (dict, list)) else one_line(value)


def names_of(document: Document) -> str:
    """The names of the members, for a message."""
    return one_line(", ".join(document)) or "none"
