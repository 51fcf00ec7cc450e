"""Directives with content from the package: a page cannot contradict the package.

``.. command-help:: get`` shows what ``requests-iris get --help`` prints.
``.. settings::`` shows the arguments of IrisSession and the variables, from the docstring.
``.. rate-limits::`` shows IRIS_RATE_LIMITS.
``.. figures-table::`` shows the figures of the last committed run of the benchmarks.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from requests_iris import IRIS_RATE_LIMITS, IrisSession, RateLimit

#: The output of ``tox -e bench -- --json``.
FIGURES = Path(__file__).parent.parent / "pictures" / "figures.json"
#: A parameter in a docstring: its name and its text.
PARAMETER = re.compile(r"^:param (\w+): ((?:.|\n(?!:))+)", re.MULTILINE)
#: The environment variable in the text of a parameter.
VARIABLE = re.compile(r" \((``TRACKUNIT_\w+``)(, [^)]+)?\)")


def help_of(*arguments: str) -> str:
    """The help text of a command."""
    from click.testing import CliRunner

    from requests_iris.cli import main

    result = CliRunner().invoke(
        main, [*arguments, "--help"], prog_name="requests-iris", env={"COLUMNS": "80"}
    )
    if result.exit_code:
        raise RuntimeError(result.output)
    return result.output


def settings() -> list[tuple[str, str, str]]:
    """The arguments of IrisSession, with variables and meanings."""
    texts = dict(PARAMETER.findall(inspect.getdoc(IrisSession) or ""))
    return [_row(name, texts[name]) for name in inspect.signature(IrisSession).parameters]


def _row(name: str, text: str) -> tuple[str, str, str]:
    text = " ".join(text.split())
    variable = VARIABLE.search(text)
    meaning = VARIABLE.sub(
        lambda found: (found[2] or "").replace(", ", ", in the variable ", 1), text
    )
    return name, variable[1] if variable else "", meaning


class CommandHelp(SphinxDirective):
    """The help text of a command, as a block of text."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = help_of(*self.arguments)
        return [nodes.literal_block(text, text, language="text")]


class Settings(SphinxDirective):
    """A list of the arguments of IrisSession. A phone has no room for a table."""

    def run(self) -> list[nodes.Node]:
        lines = [".. py:currentmodule:: requests_iris", ""]
        for name, variable, meaning in settings():
            lines += [f"``{name}``" + (f" or {variable}" if variable else ""), f"    {meaning}", ""]
        return self.parse_text_to_nodes("\n".join(lines))


class RateLimits(SphinxDirective):
    """A table of the published limits."""

    def run(self) -> list[nodes.Node]:
        head = ("rule", "requests", "seconds", "pool", "each has its own slots", "path")
        return self.parse_text_to_nodes("\n".join(_table(head, map(_limit, IRIS_RATE_LIMITS))))


def _limit(rule: RateLimit) -> tuple[str, ...]:
    pool = f"{rule.pool.size} in {rule.pool.days:g} days" if rule.pool else ""
    owner = f"{rule.per}, ``{rule.key}``" if rule.key else rule.per
    path = f"{rule.method} ``{rule.path}``" if rule.method else f"``{rule.path}``"
    return rule.name, str(rule.limit), f"{rule.window:g}", pool, owner, path


class FiguresTable(SphinxDirective):
    """Tables of the figures in ``pictures/figures.json``."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(FIGURES))
        return self.parse_text_to_nodes("\n".join(figures()))


def figures() -> Iterator[str]:
    """A table of the ratios, and a table with a column for each library."""
    found = json.loads(FIGURES.read_text("utf-8"))
    yield from _table(
        ("figure", "value"),
        [(each["name"], f"{each['value']:.3g}") for each in found if not each["whose"]],
    )
    libraries = list(dict.fromkeys(each["whose"] for each in found if each["whose"]))
    values = {(each["name"], each["whose"]): f"{each['value']:.3g}" for each in found}
    names = list(dict.fromkeys(each["name"] for each in found if each["whose"]))
    rows = [(name, *(values.get((name, whose), "") for whose in libraries)) for name in names]
    yield from _table(("figure", *libraries), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from (".. list-table::", "    :header-rows: 1", "")
    for row in (head, *rows):
        for column, cell in enumerate(row):
            yield f"    {'* -' if column == 0 else '  -'} {cell}"
    yield ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("figures-table", FiguresTable)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("settings", Settings)
    app.add_directive("rate-limits", RateLimits)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
