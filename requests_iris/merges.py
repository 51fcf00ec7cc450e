"""Leaves out merges of empty dicts, which requests makes for each request.

For each request, requests merges the dicts of the caller with the dicts of the session. If both are
empty, the merge changes nothing, but three such merges take 50 of 160 microseconds with Python
3.11. A program may have replaced or wrapped a method of requests on the way, or may pass objects
of a different type. Then requests merges as usual.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from operator import itemgetter
from types import FunctionType, MethodType
from typing import Any

import requests
from requests import PreparedRequest, Request
from requests.structures import CaseInsensitiveDict

#: As a value without types: the module does not declare all names.
_sessions: Any = requests.sessions


def _own(holder: Any, name: str, module: Any) -> Any:
    """A function of requests, or None if a program has replaced or wrapped the function already.

    A wrapper can have the name and the globals of the wrapped function, but not the type.
    """
    function = getattr(holder, name)
    is_own = type(function) is FunctionType and function.__globals__ is vars(module)
    return function if is_own else None


#: The functions of requests that see what this module leaves out.
_PREPARE_REQUEST = _own(requests.Session, "prepare_request", requests.sessions)
_MERGE_SETTINGS = _own(requests.Session, "merge_environment_settings", requests.sessions)
_MERGE = _own(requests.sessions, "merge_setting", requests.sessions)
_PREPARE = _own(PreparedRequest, "prepare", requests.models)
_PREPARE_URL = _own(PreparedRequest, "prepare_url", requests.models)
_PREPARE_HEADERS = _own(PreparedRequest, "prepare_headers", requests.models)


def lightened(request: Request, session: requests.Session, prepare: Any) -> Request:
    """Leaves out the empty dicts of `request`. The change is in place.

    :param prepare: ``prepare_request`` of requests or of a mixin.
    """
    if not (type(request) is Request and _is(prepare, _PREPARE_REQUEST) and _is_as_usual()):
        return request
    if _is_empty_dict(request.params) and _is_empty_dict(session.params):
        request.params = ""
    headers: Any = session.headers
    # requests drops a header with the value None, but only while merging
    if (
        _is_empty_dict(request.headers)
        and type(headers) is CaseInsensitiveDict
        and None not in map(itemgetter(1), headers.lower_items())
    ):
        request.headers = None  # type: ignore[assignment]
    return request


def settings_of(
    session: requests.Session,
    merge: Callable[..., dict[str, Any]],
    url: str,
    proxies: Any,
    *others: Any,
) -> dict[str, Any]:
    """The settings of a request, as ``session.merge_environment_settings``.

    :param merge: ``merge_environment_settings`` of requests or of a mixin.
    """
    is_empty = _is_empty_dict(proxies) and _is_empty_dict(session.proxies)
    if not (is_empty and _is(merge, _MERGE_SETTINGS) and _sessions.merge_setting is _MERGE):
        return merge(url, proxies, *others)
    settings = merge(url, _Unmerged(proxies), *others)
    settings["proxies"] = OrderedDict(proxies)  # requests has added the proxies of the environment
    return settings


class _Unmerged:
    """An empty dict that is no Mapping, so ``merge_setting`` returns the dict unmerged.

    requests calls only `get` and `setdefault`.
    """

    def __init__(self, values: dict[str, str]) -> None:
        self.get = values.get
        self.setdefault = values.setdefault


def _is_empty_dict(value: Any) -> bool:
    return type(value) is dict and not value


def _is(method: Any, function: Any) -> bool:
    return type(method) is MethodType and method.__func__ is function


def _is_as_usual() -> bool:
    """Whether requests prepares a request with its own functions."""
    return (
        _sessions.merge_setting is _MERGE
        and _sessions.PreparedRequest is PreparedRequest
        and PreparedRequest.prepare is _PREPARE
        and PreparedRequest.prepare_url is _PREPARE_URL
        and PreparedRequest.prepare_headers is _PREPARE_HEADERS
    )
