"""The request of a command line: method, URL, parameters and body."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click

from .. import IrisSession
from ..credentials import CLIENT, NAMES
from ..errors import SettingError
from ..hosts import check_url, joined
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

    def identity(self, iris: IrisSession, items_path: str | None) -> dict[str, str]:
        """Hashes of the request: method, host, path, query, body, list and user.

        A query or a body may have private parts, so only hashes are stored.

        :raises MissingSettingError: without a user, who would otherwise look like a different user.
        """
        _check_user(iris)
        url = urlsplit(joined(iris.base_url, self.url))
        query = [*parse_qsl(url.query, True), *self.arguments.get("params", ())]
        facts = {
            "method": self.method,
            "host": f"{url.scheme}://{url.netloc}".lower(),
            "path": url.path,
            # parameters with the same name keep their order: the order of two `sort` has a meaning
            "query": sorted(query, key=itemgetter(0)),
            "body": self.arguments.get("json"),
            "--items-path": items_path,
            "user": [iris.client_id, iris.username],
        }
        return {name: _hash_of(fact) for name, fact in facts.items()}


def _check_user(iris: IrisSession) -> None:
    source = iris._source
    if iris.client_id is None or (iris.username is None and not source.grant.is_key):
        source.credentials.given(*(CLIENT if source.grant.is_key else NAMES))


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


def _hash_of(fact: Any) -> str:
    return hashlib.sha256(json.dumps(fact, sort_keys=True).encode()).hexdigest()[:16]


def _check_method(method: str | None, body: str | None, query: str | None) -> None:
    """Refuse a GET with a body: a server may ignore the body, and so the filter in the body."""
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
