"""Text from outside this library, made safe to show: printable and on one line.

A server chooses messages, codes, reason phrases, header values and names of members. Without the
escapes of :func:`one_line`, a server could move the cursor of a terminal, hide or reverse a line,
or forge a log record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from itertools import islice
from reprlib import Repr
from typing import Any
from unicodedata import category

#: Characters of a foreign text in a message, at most.
LIMIT = 200
#: Combining marks of a letter, at most. Hebrew, Thai and Vietnamese words need up to 4.
MARKS = 4
#: Where a text was cut.
_CUT = "..."
#: Characters which `str.isprintable` accepts, but a terminal does not show: fillers, joiners, and
#: selectors of variants except text and emoji (U+FE0E, U+FE0F).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
    "\U000e0100-\U000e01ef]"
)


class _Abridged(Repr):
    """Containers in a few words, because a server chooses the size of a container.

    `Repr` sorts all members before `Repr` cuts: a second for some million members.
    """

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        return super().repr_dict(dict(islice(x.items(), self.maxdict + 1)), level)

    def repr_set(self, x: Set[Any], level: int) -> str:
        return super().repr_set(set(islice(x, self.maxset + 1)), level)

    def repr_frozenset(self, x: Set[Any], level: int) -> str:
        return super().repr_frozenset(frozenset(islice(x, self.maxfrozenset + 1)), level)


_ABRIDGED = _Abridged()
_ABRIDGED.maxlevel = 4
_ABRIDGED.maxlist = _ABRIDGED.maxtuple = _ABRIDGED.maxdict = 20
_ABRIDGED.maxset = _ABRIDGED.maxfrozenset = 20
_ABRIDGED.maxstring = _ABRIDGED.maxother = LIMIT


def one_line(text: object, limit: int | None = LIMIT) -> str:
    """Return `text` for an error message, a log record or a terminal. Never raises.

    - Letters of all scripts, digits, punctuation, symbols and emoji do not change.
    - A run of line breaks, tabs and spaces of every kind becomes one space. Both ends are stripped.
    - Escapes replace all characters without a shape: control characters (C0, DEL, C1),
      bidirectional, zero-width and further format characters, lone surrogates, private use,
      unassigned characters, fillers. The escapes are Python's: ``\\x1b``, ``\\u202e``.
    - A letter keeps at most 4 combining marks. Escapes replace all further marks.
    - Bytes are read as UTF-8, with escapes for wrong bytes.
    - Objects are shown as ``str(object)``, containers in a few words. If ``str()`` fails, the
      result is ``<unprintable>``, if possible with the name of the type.

    The cost depends on `limit` and not on the length of `text`.

    :param limit: characters of the result at most, with the ``...`` of a cut text; None for no
        limit.
    """
    if limit is None:
        return _shown(_text_of(text, None))
    limit = max(limit, 0)
    read = 4 * limit + 100  # more than `limit`, because runs of spaces shrink
    given = _text_of(text, read + 1)
    line = _shown(given[:read])
    if len(given) <= read and len(line) <= limit:
        return line
    return line[: max(limit - len(_CUT), 0)] + _CUT[:limit]


def _shown(text: str) -> str:
    return "".join(visible(" ".join(text.split())))


def visible(text: str, escape: Callable[[str], str] | None = None) -> Iterator[str]:
    """Yield the characters of `text`, with `escape` of each character without a shape.

    :param escape: the text for a character; Python's escape by default.
    """
    escape = escape or _python_escape
    marks = MARKS  # a mark at the beginning would change the message before the mark
    for character in text:
        marks = marks + 1 if category(character) in ("Mn", "Me") else 0
        hidden = marks > MARKS or not character.isprintable() or _INVISIBLE.match(character)
        yield escape(character) if hidden else character


def _python_escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _text_of(thing: object, most: int | None) -> str:
    """The first `most` characters of `thing` as text, also if methods of `thing` raise."""
    for read in (_read, _name_of_type):
        try:
            return read(thing, most)
        except Exception:  # noqa: S112 - the next way needs less of the object
            continue
    return "<unprintable>"


def _read(thing: object, most: int | None) -> str:
    # by the methods of str, because a subclass may override them; cut first, because work costs
    if isinstance(thing, str):
        return str.__getitem__(thing, slice(most))
    if isinstance(thing, (bytes, bytearray, memoryview)):
        return bytes(thing[:most]).decode("utf-8", "backslashreplace")
    if isinstance(thing, (list, tuple, dict, set, frozenset)):
        return _ABRIDGED.repr(thing)
    text = str(thing)
    return str.__getitem__(text, slice(most))


def _name_of_type(thing: object, most: int | None) -> str:
    return f"<unprintable {type(thing).__name__[:most]}>"
