"""The options of a call: what a caller asks beyond the arguments of requests' own methods.

requests passes on no further argument from `request` to `send` and to the adapter, so a context
variable carries the options. Each thread, and each call inside a hook, has options of its own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Options(NamedTuple):
    """The options of a call. The defaults are for a request that does not come from `request`.

    :ivar idempotent: the request is retried as a GET is, whatever the method.
    :ivar withhold_token: the request is sent without any authentication.
    :ivar endless: the caller passed ``timeout=None``.
    :ivar in_walk: a walk asks for a page after its first page, or for a page of a resumed walk.
    :ivar page: the method of the page that a walk is about to request. None inside the request.
    """

    idempotent: bool = False
    withhold_token: bool = False
    endless: bool = False
    in_walk: bool = False
    page: str | None = None


_DEFAULTS = Options()
#: The options of the call under way in this thread.
current_options: ContextVar[Options] = ContextVar("requests_iris_options", default=_DEFAULTS)
