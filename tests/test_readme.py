"""The README: one screen that convinces, with code that works and links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from requests_iris.cli import main
from requests_iris.sandbox import Sandbox

from .readme_commands import commands
from .support.iris_hosts import iris_hosts
from .support.pages import README, ROOT, blocks

TEXT = README.read_text("utf-8")
OURS, TWIN = (block for block in blocks(README) if block.language == "python")
COMMANDS = re.findall(r"^    \$ \.venv/bin/requests-iris (.*)$", TEXT, re.MULTILINE)


@pytest.fixture(params=["IRIS", "sandbox"])
def place(request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """The hosts of IRIS, or the variables that `requests-iris sandbox` prints."""
    monkeypatch.chdir(tmp_path)
    with iris_hosts(monkeypatch) as sandbox:
        if request.param == "sandbox":
            for name, value in sandbox.environ.items():
                monkeypatch.setenv(name, value)
        yield sandbox


def test_the_code_of_the_readme_and_the_twin_print_the_same_in_iris_and_in_a_sandbox(
    place: Sandbox, capsys
) -> None:
    shown = []
    for block in (OURS, TWIN):
        exec(compile(block.text, README.name, "exec"), {})
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].startswith("250 machines\n")


def test_the_code_of_the_readme_is_shorter_than_the_twin_and_stands_within_20_lines() -> None:
    assert len(OURS.text.splitlines()) <= 10 < len(TWIN.text.splitlines())
    assert OURS.line <= 20


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_runs(command: str, place: Sandbox) -> None:
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output


def test_every_link_and_picture_of_the_readme_exists() -> None:
    targets = re.findall(r"(?:<|image:: )(docs/[^>\n]+)", TEXT)
    targets += re.findall(r"``(\w+\.rst)``", TEXT)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_two_commands_for_a_newcomer_say_what_happens_and_how_they_end() -> None:
    demo, tests = commands()
    assert "Installing, one to three minutes" in demo
    assert demo.endswith("requests-iris demo")
    assert "about ten minutes" in tests
    assert tests.endswith(".venv/bin/tox")  # tox says "congratulations :)" at the end
