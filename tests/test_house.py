"""The plan of the house: each room stands on a floor, and imports only from the floors below."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "requests_iris"

#: From the top layer to the bottom. Modules of the same layer do not import each other.
FLOORS: list[set[str]] = [
    {"__main__"},
    {"cli", "testing"},
    {"sandbox"},
    {"__init__"},
    {"session"},
    {"oauth2", "parameters"},
    {"auth", "pagination", "settings"},
    {"source", "resume"},
    {"renewal", "known_styles"},
    {"token_endpoint", "sharing", "graphql"},
    {"token_response", "deadline", "transport", "stores", "styles"},
    {"retry", "connection", "rejections", "single_flight", "permission"},
    {"token", "hosts", "credentials", "call", "hints"},
    {"problems", "links", "page_errors", "progress"},
    {"document", "body", "discard"},
    {"errors", "clock", "cursor_history", "secret", "forks", "text"},
    {"arguments", "types"},
]
#: Names that only the module of the session may use: the inside of requests.Session.
SESSIONS = {"Session", "OAuth2Session"}


def rooms() -> dict[str, list[Path]]:
    """The files of each room; a package is a room as a whole."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault(name, []).append(path)
    return found


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a file imports from, including imports for type checkers only."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            if node.module is not None:
                yield node.module.partition(".")[0]
            else:
                names = {alias.name for alias in node.names}
                yield from (name if name in rooms() else "__init__" for name in names)


@pytest.mark.parametrize("room", rooms())
def test_a_module_imports_only_from_the_layers_below(room: str) -> None:
    (floor,) = [number for number, names in enumerate(FLOORS) if room in names]
    below = set().union(*FLOORS[floor + 1 :])
    imported = {name for path in rooms()[room] for name in imports_of(path)}
    assert imported <= below


def test_the_layers_name_exactly_the_existing_modules() -> None:
    assert set().union(*FLOORS) == set(rooms())


@pytest.mark.parametrize("room", ["source", "renewal", "token_endpoint"])
def test_no_module_below_the_session_uses_a_session_of_requests(room: str) -> None:
    for path in rooms()[room]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert getattr(node, "attr", getattr(node, "id", None)) not in SESSIONS
