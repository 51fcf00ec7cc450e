"""Every block and every command of the README works, word for word."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
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

    path = tmp_path / "assets.db"

    def found() -> list[str]:
        with closing(sqlite3.connect(path)) as db:
            return [each for (each,) in db.execute("SELECT id FROM assets ORDER BY rowid")]

    def found_by_a_run_that_fails(*faults: Fault) -> int:
        for fault in faults:
            real_hosts.inject(fault, on="api")
        with pytest.raises(IncompleteListError):
            exec(run, {})
        return len(found())

    at_the_third = Fault(), Fault(), Fault(status=500)
    assert found_by_a_run_that_fails(*at_the_third) == 200
    assert found_by_a_run_that_fails(Fault(status=500)) == 200
    real_hosts.machines += 1  # then the resume point is refused
    assert found_by_a_run_that_fails() == 200
    path.unlink()
    assert found_by_a_run_that_fails(*at_the_third) == 200
    real_hosts.forget()
    exec(run, {})
    assert tuple(found()) == real_hosts.asset_ids
    assert real_hosts.count("api") == 1  # the third page
    exec(run, {})  # the next run reads the list from the beginning, and replaces each asset
    assert real_hosts.count("api") == 4
    assert len(found()) == 251


def test_the_series_block_of_the_readme_reads_machines_inside_windows(real_hosts: Sandbox) -> None:
    namespace: dict[str, dict] = {}
    exec(compile(blocks(README, "AEMP series")[0].text, README.name, "exec"), namespace)
    assert len(namespace["hours"]) == 2 * (31 * 24 + 1)
    pins = re.findall(r"/ID/(\w+)/", "\n".join(seen.path for seen in real_hosts.seen))
    assert pins == ["SN00000001", "SN00000002"] * 8


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
