"""Links between pages, in many structures and spellings.

Known structures are a list of objects (`{"rel": "next", "href": "/2"}`), an object by relation
(`{"next": "/2"}`, `{"next": {"href": "/2"}}`), and nested
combinations. A relation may be a word, several words, a list, or a URI with the word at the end
(RFC 8288). This module does no I/O.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from requests.utils import parse_header_links

from .document import folded, member

#: Relations to the same page and to earlier pages.
_BACKWARDS = frozenset(
    ("self", "canonical", "first", "start", "begin", "prev", "previous", "prior")
)
#: Names of the member with the target of a link.
_TARGETS = ("href", "url", "uri", "link", "target")
#: Parameters for the page in a URL, folded.
_PAGE = re.compile(
    r"page(?:number|no|index|token)?|number|offset|start(?:index)?|skip|from|after|cursor"
    r"|(?:next)?token|continuation"
)


@dataclass(frozen=True)
class Link:
    """A link from a page.

    :ivar name: the relations in the server's spelling.
    :ivar relations: the relations, folded; of a URI only the last part.
    :ivar target: the URL in the server's spelling; empty if the link has no URL.
    """

    name: str
    relations: frozenset[str]
    target: str


def links_in(value: Any) -> list[Link]:
    """The links in a member such as ``Links`` or ``_links``."""
    found, waiting = [], deque([("", value)])
    while waiting:  # no recursion: a page may be nested 900 levels deep
        name, value = waiting.popleft()
        if isinstance(value, list):
            waiting.extend((name, each) for each in value)
        elif isinstance(value, str):
            found.append(_link(name, value))
        elif isinstance(value, dict) and _is_link(name, value):
            target = _target_of(value)
            relation = member(value, "rel") or name
            found.append(_link(relation, target if isinstance(target, str) else ""))
            waiting.append((name, target if isinstance(target, (dict, list)) else []))
        elif isinstance(value, dict):
            waiting.extend(value.items())
    return found


def links_of_header(header: str) -> list[Link]:
    """The links of a ``Link`` header (RFC 8288)."""
    lower = [{k.lower(): v for k, v in each.items()} for each in parse_header_links(header)]
    return [_link(each.get("rel", ""), each.get("url", "")) for each in lower]


def leading_on(links: Iterable[Link], url: str, *, numbered: bool) -> Iterator[str]:
    """The names of the links to a later page of the list at `url`.

    A link ``next`` always counts, a link ``last`` unless its target is this page. A link with an
    unknown relation counts if its target is a later page of the same list.

    :param numbered: whether the last part of the path is the number of the page.
    """
    links = list(links)
    here = next((each.target for each in links if "self" in each.relations), url)
    for link in links:
        if link.relations & _BACKWARDS or not link.target:
            continue
        if "next" in link.relations:
            yield link.name
        elif "last" in link.relations:
            if _page_at(urljoined(url, link.target)) != _page_at(urljoined(url, here)):
                yield link.name
        elif _is_later(urljoined(url, link.target), url, numbered=numbered):
            yield link.name or link.target


def urljoined(url: str, target: str) -> str:
    """The absolute URL of `target`, relative to `url`; empty for an invalid URL."""
    try:
        return urljoin(url, target)
    except ValueError:
        return ""


def numbered_path(url: str) -> tuple[str, int | None]:
    """The path without the last part, and the number in the last part. The host does not count."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return "", None
    parent, _, last = path.rpartition("/")
    return parent, number_of(last)


def number_of(text: str) -> int | None:
    """The number of a page in a URL; None for any text but digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _is_link(name: str, value: Mapping[str, Any]) -> bool:
    names = {folded(each) for each in value}
    return bool({"rel", "href"} & names or (name and set(_TARGETS) & names))


def _target_of(value: Mapping[str, Any]) -> Any:
    targets = (member(value, name) for name in _TARGETS)
    return next((each for each in targets if each is not None), None)


def _link(relation: Any, target: str) -> Link:
    each_relation = relation if isinstance(relation, list) else [relation]
    words = [word for each in each_relation if isinstance(each, str) for word in each.split()]
    return Link(" ".join(words), frozenset(map(_relation_of, words)), target.strip())


def _relation_of(word: str) -> str:
    """The relation without a URI around the word: ``http://www.iana.org/…/next`` is ``next``."""
    for separator in "/#:":
        word = word.rstrip(separator).rpartition(separator)[2]
    return folded(word)


def _page_at(url: str) -> tuple[str, dict[str, str]]:
    """The path of a page, and the parameters for the page."""
    parts = urlsplit(url)
    query = {
        folded(k): v for k, v in parse_qsl(parts.query) if _PAGE.fullmatch(folded(k)) and v != "0"
    }
    return unquote(parts.path), query


def _is_later(there: str, here: str, *, numbered: bool) -> bool:
    if numbered:
        (_, number), (_, ours) = numbered_path(there), numbered_path(here)
        # In a different folder only the next number counts: a proxy may have changed the path.
        same = numbered_path(there)[0] == numbered_path(here)[0]
        if number is not None and ours is not None and number > ours:
            return same or number == ours + 1
    (path, theirs), (our_path, ours_) = _page_at(there), _page_at(here)
    return path == our_path and theirs != ours_ and not _is_earlier(theirs, ours_)


def _is_earlier(there: Mapping[str, str], here: Mapping[str, str]) -> bool:
    """Whether the parameters lead to an earlier page, or to the beginning."""
    if not there:
        return True
    numbers = [(number_of(there[k]), number_of(here.get(k, "0"))) for k in there]
    return all(a is not None and b is not None and a <= b for a, b in numbers)
