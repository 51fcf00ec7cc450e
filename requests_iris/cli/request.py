"""The request that the command line describes: method, URL, parameters and body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from ..errors import SettingError
from ..hosts import check_url
from .graphql_query import ENDPOINT, graphql_body
from .inputs import json_argument


@dataclass(frozen=True)
class Request:
    """What to read from IRIS.

    :ivar arguments: further arguments of ``IrisSession.request``: ``params``, ``json``.
    :ivar is_graphql: whether the body is a GraphQL query.
    """

    method: str
    url: str
    arguments: dict[str, Any]
    is_graphql: bool = False


def request_of(
    url: str | None, method: str | None, params: Sequence[str], body: str | None, query: str | None
) -> Request:
    """The request for the arguments of a command line.

    :param body: the value of ``--json``.
    :param query: the value of ``--graphql``.
    :raises click.UsageError: if an argument is wrong, or two arguments contradict each other.
    """
    _check_method(method, body, query)
    if url is None and query is None:
        raise click.MissingParameter(
            param_hint="'PATH_OR_URL'", param_type="argument", ctx=click.get_current_context()
        )
    if url is not None:
        _check_url(url)
    pairs = [_name_and_value(param) for param in params]
    if query is not None:
        members = {"json": graphql_body(query, pairs)}
        return Request("POST", url or ENDPOINT, members, is_graphql=True)
    arguments: dict[str, Any] = {"params": pairs}
    if body is not None:
        arguments["json"] = _json_body(body)
    return Request(method or ("GET" if body is None else "POST"), str(url), arguments)


def _check_method(method: str | None, body: str | None, query: str | None) -> None:
    """requests sends a GET with a body, and a server may skip the filter in the body."""
    if body is not None and query is not None:
        raise click.UsageError("--graphql sends a body of its own. Leave out --json")
    for option, value in (("--json", body), ("--graphql", query)):
        if value is not None and method == "GET":
            raise click.UsageError(f"{option} sends a POST. Leave out --method GET")


def _json_body(text: str) -> Any:
    body = json_argument(text, "--json")
    if not isinstance(body, (dict, list)):
        raise click.BadParameter("the body must be a JSON object or array", param_hint="--json")
    return body


def _check_url(url: str) -> None:
    """Refuse a URL with plain HTTP or without a host, for example a path without a slash."""
    if url.startswith("/") and not url.startswith("//"):
        return
    try:
        check_url(url, setting="a URL")
    except SettingError as error:
        raise click.BadParameter(f"{error}; a path must begin with one slash") from None


def _name_and_value(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{param!r} is not NAME=VALUE", param_hint="-p")
    return name, value
