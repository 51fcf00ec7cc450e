"""A response hook that rewrites the JSON of each page, for servers with other habits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from requests import Response


def rewritten(arguments: dict[str, Any], change: Callable[[dict], object]) -> dict[str, Any]:
    """Arguments for a list: `change` changes each page in place, or returns a new page."""

    def hook(response: Response, **_: object) -> None:
        document = response.json()
        document = change(document) or document
        response._content = json.dumps(document).encode()  # of requests, which has no other way

    return {**arguments, "hooks": {"response": hook}}


def renamed(names: dict[str, str]) -> Callable[[dict], dict]:
    """A change of the names of members, on all levels but inside of items."""

    def change(document: Any) -> Any:
        if isinstance(document, list):
            return document
        if not isinstance(document, dict):
            return document
        return {names.get(name, name): change(value) for name, value in document.items()}

    return change
