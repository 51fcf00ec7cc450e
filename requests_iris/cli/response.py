"""One response as JSON, on standard output or in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from requests import Response

from .. import IrisSession, problem_of
from ..document import errors_in
from ..text import one_line
from .failures import CannotWrite, Failure
from .json_text import for_terminal, json_text
from .output import print_texts
from .request import Request
from .streams import encoding_of
from .writers import replacing

#: Without this header the servers send AEMP lists as XML.
ASK_FOR_JSON = {"Accept": "application/json"}


def write_response(iris: IrisSession, request: Request, output: Path | None, *, raw: bool) -> None:
    """Send the request, and write the response.

    :param output: the file; None is standard output.
    :param raw: whether a terminal gets control characters without escapes.
    :raises Failure: if the server answered with an error, or not with JSON.
    :raises CannotWrite: if JSON cannot hold a value of the response.
    """
    # a POST only reads, so the session may retry a POST
    response = iris.request(
        request.method, request.url, headers=ASK_FOR_JSON, idempotent=True, **request.arguments
    )
    if not response.ok:
        told = f"{response.status_code} {one_line(problem_of(response) or response.reason)}"
        raise Failure(f"{_name_of(response)} answered {told}")
    document = _document_of(response)
    if request.is_graphql:
        _check_graphql(document)
    if output is None:
        print_texts([_text_of(document, encoding_of(sys.stdout))], raw=raw)
    else:
        text = _text_of(document)
        with replacing(output) as file:
            shown = for_terminal(text) if file.isatty() and not raw else text
            file.write(shown.encode() + b"\n")


def _name_of(response: Response) -> str:
    return one_line(response.url.partition("?")[0])


def _document_of(response: Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        kind = one_line(response.headers.get("Content-Type", "no type"))
        raise Failure(f"the response is not JSON, but {kind}") from None


def _check_graphql(document: Any) -> None:
    """A response with status 200 may have errors, perhaps beside a part of the data."""
    errors = [one_line(each.get("message") or each) for each in errors_in(document)]
    if errors:
        raise Failure(f"GraphQL answered with errors: {'; '.join(errors)}")


def _text_of(document: Any, encoding: str = "utf-8") -> str:
    try:
        return json_text(document, encoding, indent=2)
    except CannotWrite as error:
        raise CannotWrite(f"The response {error}.") from None
