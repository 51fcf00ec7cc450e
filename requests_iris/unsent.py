"""Whether a request failed before its first byte was sent.

The class of an error does not tell: an ``SSLError`` comes from a handshake as well as from the
middle of a body. The frames of the error tell: a connection that fails to open fails inside
``connect`` of urllib3, which performs the handshake too.
"""

from __future__ import annotations

from collections.abc import Iterator
from traceback import walk_tb

#: Opens a connection: address, proxy tunnel, TLS handshake.
_CONNECT = ("urllib3.connection", "connect")
#: Sends a request over a connection.
_SEND = ("urllib3.connectionpool", "urlopen")
#: requests' own steps. An error between a step of requests and urllib3's first step sent nothing.
_BEFORE = {("requests.adapters", "send"), ("requests.sessions", "get_adapter")}


def nothing_was_sent(error: BaseException) -> bool:
    """Whether `error` shows that no byte of the request was sent.

    False if the error does not show the answer, such as an error of a caller's own adapter.
    """
    places = set(_places(error))
    if _CONNECT in places:
        return True
    return _SEND not in places and bool(_BEFORE & places)


def _places(error: BaseException) -> Iterator[tuple[str, str]]:
    """Module and function of each frame behind `error`, and behind the errors inside `error`."""
    for each in _errors_in(error):
        for frame, _ in walk_tb(each.__traceback__):
            yield frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _errors_in(error: BaseException) -> Iterator[BaseException]:
    """`error` and its reasons.

    Not by ``__context__``: a call inside an ``except`` clause of the caller has the caller's error
    as context, which concerns a different request.
    """
    pending, known = [error], set()
    while pending:
        each = pending.pop()
        if id(each) not in known:
            known.add(id(each))
            yield each
            inside = (*each.args, each.__cause__, *(getattr(each, name, None) for name in _INSIDE))
            pending += [other for other in inside if isinstance(other, BaseException)]


#: Attributes with the reason of an error of urllib3.
_INSIDE = ("reason", "original_error")
