"""Every block and every command of the README works, word for word."""

from __future__ import annotations

import re
import shlex
import sqlite3
import textwrap
from contextlib import closing

import pytest
from click.testing import CliRunner
from urllib3.util import connection

from requests_iris import IncompleteListError
from requests_iris.cli import main
from requests_iris.sandbox import Fault, Sandbox

from .readme_commands import README, commands
from .support.readme import BLOCK, blocks_of

BLOCKS = BLOCK.findall(README.read_text("utf-8"))
#: The blocks that are no tests. test_testing.py runs the tests among the blocks.
SCRIPTS = [block for block in BLOCKS if "def test_" not in block]


@pytest.fixture
def real_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """The hosts of IRIS, which stand on loopback here: only the network is another."""
    names = {"iris.trackunit.com": "base_url", "auth.trackunit.com": "token_url"}
    connect = connection.create_connection
    with Sandbox(hostnames=tuple(names)) as sandbox:

        def connect_to_sandbox(address: tuple[str, int], *args: object, **kwargs: object) -> object:
            host, port = address
            if host in names:
                host, port = (
                    "127.0.0.1",
                    int(re.search(r":(\d+)", getattr(sandbox, names[host]))[1]),
                )
            assert host == "127.0.0.1"
            return connect((host, port), *args, **kwargs)

        monkeypatch.setattr(connection, "create_connection", connect_to_sandbox)
        for name, value in sandbox.environ.items():
            if not name.endswith("_URL"):
                monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield sandbox


def test_the_readme_has_blocks_of_python() -> None:
    assert len(BLOCKS) == README.read_text("utf-8").count("code-block:: python")
    assert len(BLOCKS) > 5


@pytest.mark.parametrize("block", SCRIPTS, ids=range(len(SCRIPTS)))
def test_every_block_of_python_in_the_readme_runs(block: str, real_hosts: Sandbox) -> None:
    exec(compile(textwrap.dedent(block), README.name, "exec"), {})


def test_the_two_blocks_at_the_top_of_the_readme_do_the_same(real_hosts: Sandbox, capsys) -> None:
    for block in BLOCKS[:2]:
        exec(compile(textwrap.dedent(block), README.name, "exec"), {})
    ours, twin = capsys.readouterr().out.split()
    assert ours == twin == "250"


def test_the_resume_block_of_the_readme_continues_a_broken_list(
    real_hosts: Sandbox, tmp_path
) -> None:
    run = compile(blocks_of("Whole lists")[1], README.name, "exec")

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
