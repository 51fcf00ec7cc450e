"""Every block and every command of the README works, word for word."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from requests_iris import IncompleteListError
from requests_iris.cli import main
from requests_iris.sandbox import Fault, Sandbox

from .readme_commands import commands
from .support.iris_hosts import iris_hosts
from .support.pages import README, blocks

BLOCKS = [block for block in blocks(README) if block.language == "python"]
#: The blocks that are no tests. test_testing.py runs the tests among the blocks.
SCRIPTS = [block.text for block in BLOCKS if not block.is_test]


@pytest.fixture
def real_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    with iris_hosts(monkeypatch) as sandbox:
        yield sandbox


def test_the_readme_has_blocks_of_python() -> None:
    assert len(BLOCKS) == README.read_text("utf-8").count("code-block:: python")
    assert len(BLOCKS) > 5


@pytest.mark.parametrize("block", SCRIPTS, ids=range(len(SCRIPTS)))
def test_every_block_of_python_in_the_readme_runs(block: str, real_hosts: Sandbox) -> None:
    exec(compile(block, README.name, "exec"), {})


def test_the_two_blocks_at_the_top_of_the_readme_do_the_same(real_hosts: Sandbox, capsys) -> None:
    for block in SCRIPTS[:2]:
        exec(compile(block, README.name, "exec"), {})
    ours, twin = capsys.readouterr().out.split()
    assert ours == twin == "250"


def test_the_resume_block_of_the_readme_continues_a_broken_list(
    real_hosts: Sandbox, tmp_path
) -> None:
    run = compile(blocks(README, "Whole lists")[1].text, README.name, "exec")

    def found_by_a_run_that_fails(*faults: Fault) -> int:
        for fault in faults:
            real_hosts.inject(fault, on="api")
        with pytest.raises(IncompleteListError):
            exec(run, {})
        return len((tmp_path / "assets.jsonl").read_text().splitlines())

    at_the_third = Fault(), Fault(), Fault(status=500)
    assert found_by_a_run_that_fails(*at_the_third) == 200
    assert found_by_a_run_that_fails(Fault(status=500)) == 200
    real_hosts.machines += 1  # then the list has no resume point
    assert found_by_a_run_that_fails() == 200
    assert found_by_a_run_that_fails(*at_the_third) == 200
    exec(run, {})
    elements = map(json.loads, (tmp_path / "assets.jsonl").read_text().splitlines())
    assert tuple(each["id"] for each in elements) == real_hosts.asset_ids
    assert os.listdir(tmp_path) == ["assets.jsonl"]


def test_the_first_screen_of_the_readme_has_code() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert any("code-block:: python" in line for line in lines[:15])


def test_the_readme_gives_a_newcomer_two_commands() -> None:
    demo, tests = commands()
    assert demo.endswith("requests-iris demo")
    assert tests.endswith("tox")


def test_the_settings_table_of_the_readme_is_complete() -> None:
    from inspect import signature

    from requests_iris import IrisSession

    named = set(re.findall(r"^``(\w+)``", README.read_text("utf-8"), re.MULTILINE))
    assert set(signature(IrisSession).parameters) <= named


COMMANDS = re.findall(r"^    \$ requests-iris ((?:check|get).*)$", README.read_text("utf-8"), re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_runs(command: str, real_hosts: Sandbox) -> None:
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) > 2
