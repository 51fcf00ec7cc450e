"""Tables on pages agree with the code: a changed message or default needs a changed row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from requests_iris import DEFAULT_RETRY

from ..support.pages import DOCS, ROOT

HOWTO = DOCS / "howto"
#: The values of a ``Retry`` that differ from urllib3's, and the methods.
SHOWN = (
    *("total", "status_forcelist", "allowed_methods"),
    *("backoff_factor", "backoff_jitter", "backoff_max"),
)
LEVELS = ("DEBUG", "INFO", "WARNING")


def messages() -> Iterator[tuple[str, str]]:
    """Each message of our logger with its level, and … for values. Level LOG: several levels."""
    for path in (ROOT / "requests_iris").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log"), level), args):
                    text = next(each.value for each in args if isinstance(each, ast.Constant))
                    yield level.upper(), re.sub(r"%[.\d]*[a-z]", "…", text)


def rows(page: str, first: str) -> list[list[str]]:
    """The rows of a table, each as cells. A row starts with a word of the pattern `first`."""
    text = (HOWTO / page).read_text("utf-8")
    found = re.findall(rf"^(?:{first}) .+$", text, re.MULTILINE)
    return [re.split(r" {2,}|(?<=WARNING) ", row, maxsplit=2) for row in found]


def test_every_log_message_has_exactly_one_row_and_every_row_a_message() -> None:
    table = [(level, part) for level, part, _ in rows("logging.rst", "|".join(LEVELS))]
    used = []
    for level, message in messages():
        fitting = [row for row in table if row[1] in message]
        assert len(fitting) == 1, message
        assert level in ("LOG", fitting[0][0]), message
        used += fitting
    assert sorted(used) == sorted(table)


def test_the_table_of_retries_has_the_defaults() -> None:
    found = rows("timeouts-and-retries.rst", "``[a-z_]+`` ")
    table = {name.strip("`"): value for name, value, _ in found}
    assert set(table) == {*SHOWN}
    assert table == {name: shown(getattr(DEFAULT_RETRY, name)) for name in table}


def shown(value: object) -> str:
    several = isinstance(value, (tuple, frozenset))
    return ", ".join(sorted(map(str, value))) if several else str(value)
