"""The layers of the package: each module imports only from lower layers, and is on the map."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "requests_iris"
MAP = PACKAGE.parent / "CONTRIBUTING.rst"

#: From the top layer to the bottom. Modules of the same layer do not import each other.
LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli", "testing"},
    {"sandbox"},
    {"__init__"},
    {"session"},
    {"lists"},
    {"oauth2"},
    {"parameters"},
    {"series"},
    {"auth", "pagination", "settings"},
    {"source", "resume"},
    {"renewal", "known_styles"},
    {"token_endpoint", "sharing", "graphql"},
    {"token_response", "transport", "styles"},
    {"retry", "slots", "connection", "rejections", "permission", "grants"},
    {"quota"},
    {"deadline"},
    {"single_flight"},
    {"stores"},
    {"token", "hosts", "credentials", "call", "hints", "page_errors"},
    {"problems", "links", "progress", "walk", "edges", "workers"},
    {"document", "body", "discard"},
    {"errors", "clock", "cursor_history", "secret", "forks", "text", "decoding", "unsent"},
    {"arguments", "during", "merges", "options", "timespans", "types"},
]
#: Names that the modules of the token must not use: a token request needs no session.
SESSIONS = {"Session", "OAuth2Session"}


def modules() -> dict[str, list[Path]]:
    """The files of each module. A package such as `stores` counts as a module."""
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
                yield from (name if name in modules() else "__init__" for name in names)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_the_layers_below(module: str) -> None:
    (layer,) = [number for number, names in enumerate(LAYERS) if module in names]
    below = set().union(*LAYERS[layer + 1 :])
    imported = {name for path in modules()[module] for name in imports_of(path)}
    assert imported <= below


def test_the_layers_name_exactly_the_existing_modules() -> None:
    assert set().union(*LAYERS) == set(modules())


def test_the_map_in_contributing_has_every_module_once() -> None:
    text = MAP.read_text("utf-8").partition("The map\n---")[2].partition("\n---")[0]
    rows = re.findall(r"^``(\w+)(?:\.py|/)`` ", text, re.MULTILINE)
    assert sorted(rows) == sorted(modules())


@pytest.mark.parametrize("module", ["source", "renewal", "token_endpoint"])
def test_no_module_below_the_session_uses_a_session_of_requests(module: str) -> None:
    for path in modules()[module]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert getattr(node, "attr", getattr(node, "id", None)) not in SESSIONS
