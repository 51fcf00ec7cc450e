"""The plan of the house: each room stands on a floor, and imports only from the floors below."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "requests_iris"

#: From the top floor to the ground. Rooms on one floor do not know each other.
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
    {"retry", "connection", "rejections", "single_flight", "permission", "grants"},
    {"token", "hosts", "credentials", "call", "hints"},
    {"problems", "links", "page_errors", "progress"},
    {"document", "body", "discard"},
    {"errors", "clock", "cursor_history", "secret", "forks", "text"},
    {"arguments", "types"},
]
#: What only the session's room may know: the inside of requests.Session.
SESSIONS = {"Session", "OAuth2Session"}


def rooms() -> dict[str, list[Path]]:
    """The files of each room; a package is a room as a whole."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault(name, []).append(path)
    return found


def imports_of(path: Path) -> Iterator[str]:
    """The rooms that a file imports from, those that only a type checker follows included."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            if node.module is not None:
                yield node.module.partition(".")[0]
            else:
                names = {alias.name for alias in node.names}
                yield from (name if name in rooms() else "__init__" for name in names)


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_from_the_floors_below(room: str) -> None:
    (floor,) = [number for number, names in enumerate(FLOORS) if room in names]
    below = set().union(*FLOORS[floor + 1 :])
    imported = {name for path in rooms()[room] for name in imports_of(path)}
    assert imported <= below


def test_the_plan_names_the_rooms_that_there_are() -> None:
    assert set().union(*FLOORS) == set(rooms())


@pytest.mark.parametrize("room", ["source", "renewal", "token_endpoint"])
def test_nothing_below_the_session_knows_requests_sessions(room: str) -> None:
    for path in rooms()[room]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert getattr(node, "attr", getattr(node, "id", None)) not in SESSIONS
