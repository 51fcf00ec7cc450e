"""Resume points: where a list can be continued, in this process or another.

A resume point is the position of a page and a mark of its list, and can be saved as JSON. The mark
tells lists apart, so that a resume point never continues another list. Nothing here does any I/O.
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
    """The call for the page that a resume point names.

    :raises SettingError: for anything else, and for the resume point of another list.
    """
    # A copy: the caller's dict may change while the list is read.
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
    """Tells a page of a list from every page of another list."""
    there = style_at(position).unmoved(call, position)
    # Parameters of one name keep their order, which may mean something, as in `sort`.
    query = sorted(parse_qsl(urlsplit(there.url).query, True), key=itemgetter(0))
    # After a trip through JSON the members of a position may have another order.
    told = [there.method, there.path, query, _body_of(there), *sorted(position.items(), key=repr)]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _body_of(call: Call) -> Any:
    """The body that is sent, whatever objects describe it and in which order."""
    body = call.body()
    if call.arguments.get("data") or body is None:
        return body.encode() if isinstance(body, str) else body
    return json.dumps(json.loads(body), sort_keys=True)
