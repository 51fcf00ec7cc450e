"""All pagination styles, and the choice of a style by call, response or position.

This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .call import FACTS, Call, Position
from .document import Document
from .errors import SettingError
from .graphql import Connection, is_graphql
from .styles import REST_STYLES, PaginationStyle

#: In the order of recognition. The last style accepts every response with a list.
STYLES: tuple[type[PaginationStyle], ...] = (Connection, *REST_STYLES)


def first_call(
    method: str,
    url: Any,
    arguments: Mapping[str, Any],
    session_params: Mapping[str, Any] = MappingProxyType({}),
) -> Call:
    """The request of the caller, with pages as large as the API allows.

    :param session_params: parameters in every request of the session.
    :raises SettingError: if the request cannot be sent, or can be sent only once.
    """
    call = Call.of(method, url, arguments, session_params)
    prepared = (style.prepared(call) for style in STYLES)
    return next((each for each in prepared if each is not None), call)


def style_asked(call: Call) -> type[PaginationStyle]:
    """The style that knows the errors in responses to a call."""
    return Connection if is_graphql(call) else PaginationStyle


def style_of(call: Call, document: Document, items_path: str | None) -> PaginationStyle:
    """The pagination style of a list, by its first response.

    :param items_path: where the items are, as names with dots between them; for unusual responses.
    :raises ListError: if the response holds no list, or a part of a list.
    :raises SettingError: if the call comes from a resume point of a different style.
    """
    recognised = (style.recognised(call, document, items_path) for style in STYLES)
    style = next(each for each in recognised if each is not None)
    named = call.position.keys() - FACTS
    if named and not set(style.names) & named:
        raise SettingError(
            "resume is for a list of another pagination style. Read the list from the beginning",
            setting="resume",
        )
    style.check_unchanged(call)
    return style


def style_at(call: Call, position: Position) -> type[PaginationStyle]:
    """The pagination style of a position in the list of `call`."""
    named = (style for style in STYLES if set(style.names) & position.keys())
    return next(named, style_asked(call))
