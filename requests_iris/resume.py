"""Resume points: where a list can be continued, in any process.

A resume point is the position of a page and a mark of its list, and can be saved as JSON. The mark
is a hash of method, path, parameters and body, and protects from continuing a different list. This
module does no I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .call import Call, Position
from .errors import SettingError
from .known_styles import style_at


def resume_point(call: Call, position: Position) -> dict[str, Any]:
    """The resume point of the page at `position` in the list of `call`."""
    return {**position, "list": _mark(call, position)}


def resumed(call: Call, resume: Any) -> Call:
    """The call for the page at a resume point.

    :raises SettingError: for any other value, and for the resume point of a different list.
    """
    # A copy: the caller may change the dict during the reading.
    position = dict(resume) if isinstance(resume, Mapping) else {}
    mark = position.pop("list", None)
    if not position or mark != _mark(call, position):
        raise SettingError(
            "resume must be the resume of a ListError that the same call has raised, with the "
            "same path, parameters and body",
            setting="resume",
        )
    return style_at(position).moved(call, position)


def _mark(call: Call, position: Position) -> str:
    """A hash of a page and its list."""
    there = style_at(position).unmoved(call, position)
    # Parameters with the same name keep their order: the order of two `sort` has a meaning.
    query = sorted(parse_qsl(urlsplit(there.url).query, True), key=itemgetter(0))
    # JSON may change the order of the members of a position.
    told = [there.method, there.path, query, _body_of(there), *sorted(position.items(), key=repr)]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _body_of(call: Call) -> Any:
    """The body as sent, independent of types and order in the caller's objects."""
    body = call.body()
    if call.arguments.get("data") or body is None:
        return body.encode() if isinstance(body, str) else body
    return json.dumps(json.loads(body), sort_keys=True)
