"""Whatever state the standard streams are in, a command ends with one line and a status."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from requests_iris.cli import main
from requests_iris.sandbox import Fault, Sandbox

from ..support.waiting import wait_until
from .run import COMMAND, Process, run, run_anew, run_in_shell, started

ASSETS = "/api/asset/v1/assets"


@pytest.fixture(autouse=True)
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, with its settings in the environment."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    return sandbox


PRINTING = {
    "get": ["get", ASSETS],
    "get --all": ["get", ASSETS, "--all"],
    "check": ["check"],
    "check --json": ["check", "--json"],
    "sandbox": ["sandbox"],
    "demo": ["demo", "--machines", "3", "--token-lifetime", "0.5"],
    "--version": ["--version"],
    "--help": ["--help"],
    "get --help": ["get", "--help"],
}


@pytest.fixture
def full() -> Iterator[int]:
    """A descriptor of a full disk."""
    with open("/dev/full", "w") as file:
        yield file.fileno()


@pytest.mark.parametrize("command", PRINTING)
def test_output_to_a_full_disk_is_one_line_and_status_1(command: str, full: int) -> None:
    check_refused_output(run(*PRINTING[command], stdout=full))


@pytest.mark.parametrize("command", ["get", "--version"])
def test_closed_standard_output_is_one_line_and_status_1(command: str) -> None:
    check_refused_output(run(*PRINTING[command], stdout=None))


@pytest.mark.parametrize("stdout", [">/dev/full", ">&-"])
def test_new_interpreter_without_output_is_one_line_and_status_1(stdout: str) -> None:
    check_refused_output(run_in_shell(f"$iris {stdout}", "get", ASSETS))


def check_refused_output(result: CompletedProcess[str]) -> None:
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: Standard output ")


def test_closed_standard_output_is_reported_before_the_first_request(account: Sandbox) -> None:
    run(*PRINTING["get --all"], stdout=None)
    assert account.seen == ()


def test_a_list_goes_into_a_file_when_all_streams_are_closed(
    account: Sandbox, tmp_path: Path
) -> None:
    target = tmp_path / "fleet.jsonl"
    result = run_in_shell("$iris <&- >&- 2>&-", "get", ASSETS, "--all", "-o", str(target))
    assert result.returncode == 0
    ids = [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]
    assert tuple(ids) == account.asset_ids


@pytest.mark.parametrize(
    ("arguments", "status", "stderr"),
    [
        (["get", "/nothing"], 1, "closed"),
        (["get", "/nothing"], 1, "full"),
        (["get"], 2, "closed"),
        (["check"], 0, "full"),
        (["get", ASSETS, "--all"], 0, "closed"),
    ],
)
def test_status_tells_the_result_when_nobody_reads_standard_error(
    arguments: list[str], status: int, stderr: str, full: int
) -> None:
    descriptor = full if stderr == "full" else None
    assert run(*arguments, stderr=descriptor).returncode == status


def test_closed_standard_input_disturbs_nothing() -> None:
    result = run("check", stdin=None)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("command", PRINTING)
def test_a_reader_that_closes_the_pipe_has_seen_enough(command: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    result = run(*PRINTING[command], stdout=theirs)
    os.close(theirs)
    assert (result.returncode, result.stderr) == (0, "")


def test_check_without_a_reader_still_tells_by_its_status() -> None:
    result = run_in_shell("{ $iris; echo $? >&2; } | true", "check", TRACKUNIT_PASSWORD="wrong")
    assert result.stderr == "1\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_text_beyond_the_charset_of_a_terminal_is_escaped(account: Sandbox, encoding: str) -> None:
    account.inject(Fault(status=200, body={"name": "ł"}), on="api")
    answer = {"error": "invalid_grant", "error_description": "hasło"}
    account.inject(Fault(status=400, body=answer), on="token", times=9)
    report = run("check", PYTHONIOENCODING=f"{encoding}:strict")
    assert report.returncode == 1
    assert report.stderr == ""
    account.clear_faults()
    account.inject(Fault(status=200, body={"name": "ł"}), on="api")
    printed = run("get", ASSETS, PYTHONIOENCODING=f"{encoding}:strict")
    assert json.loads(printed.stdout) == {"name": "ł"}


NOT_UTF8 = os.fsdecode(b"a\xff")


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", f"/api/{NOT_UTF8}"],
        ["get", ASSETS, "-p", f"name={NOT_UTF8}"],
        ["get", ASSETS, "--all", "--items-path", NOT_UTF8],
        ["get", ASSETS, f"--{NOT_UTF8}"],
        ["get", ASSETS, "--all", "-o", f"{NOT_UTF8}.xlsx"],
        ["get", ASSETS, "--all", "--max-workers", NOT_UTF8],
        ["demo", "--machines", NOT_UTF8],
        [NOT_UTF8],
    ],
    ids=["path", "param", "items-path", "option", "ending", "number", "machines", "command"],
)
def test_an_argument_that_is_not_utf8_is_one_line_and_status_2(
    account: Sandbox, arguments: list[str]
) -> None:
    check_refused_bytes(run(*arguments))
    assert account.seen == ()


def test_new_interpreter_refuses_bytes_that_are_not_utf8_in_one_line(account: Sandbox) -> None:
    check_refused_bytes(run_anew("get", f"/api/{NOT_UTF8}"))
    assert account.seen == ()


def check_refused_bytes(result: CompletedProcess[str]) -> None:
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert r"a\udcff" in result.stderr


def test_the_name_of_a_file_may_be_any_bytes(tmp_path: Path) -> None:
    target = tmp_path / f"{NOT_UTF8}.json"
    assert run_anew("get", ASSETS, "-o", str(target)).returncode == 0
    assert json.loads(target.read_text("utf-8"))["size"] == 20


def test_an_argument_in_utf8_is_understood_in_any_locale(account: Sandbox) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run_anew("get", ASSETS, "-p", "name=Bagger ł", **locale)
    assert result.returncode == 0, result.stderr
    assert account.seen[-1].args == {"name": "Bagger ł"}


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        ("check", "TRACKUNIT_PASSWORD", NOT_UTF8),
        ("check", "TRACKUNIT_BASE_URL", f"https://{NOT_UTF8}"),
        ("check", "TRACKUNIT_SCOPE", NOT_UTF8),
        ("get", "TRACKUNIT_CLIENT_ID", NOT_UTF8),
        ("get", "TRACKUNIT_TOKEN_URL", f"https://{NOT_UTF8}"),
        ("get", "TRACKUNIT_PASSWORD", NOT_UTF8),
    ],
)
def test_a_setting_that_is_not_utf8_is_one_line_and_status_2(
    command: str, variable: str, value: str
) -> None:
    result = run(*PRINTING[command], **{variable: value})
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


class TestInAThread:
    """A program may call the command line in a thread, which may not set signal handlers."""

    def status_of(self, *arguments: str) -> Any:
        ended = []

        def call() -> None:
            try:
                main(list(arguments))
            except SystemExit as end:
                ended.append(end.code)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(60)
        assert ended, "it has ended, by a status"
        return ended[0]

    def test_a_list_is_read_in_a_thread(self, account: Sandbox, tmp_path: Path) -> None:
        target = tmp_path / "fleet.jsonl"
        assert self.status_of("get", ASSETS, "--all", "-o", str(target)) == 0
        assert len(target.read_bytes().splitlines()) == len(account.asset_ids)

    @pytest.mark.parametrize(("path", "status"), [(ASSETS, 0), ("/nothing", 1), ("x", 2)])
    def test_status_tells_the_result_in_a_thread(self, path: str, status: int) -> None:
        assert self.status_of("get", path) == status

    def test_check_works_in_a_thread(self) -> None:
        assert self.status_of("check") == 0

    def test_a_sandbox_in_a_thread_is_refused_because_nothing_could_stop_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.status_of("sandbox") == 1
        assert "only the main thread" in capsys.readouterr().err


def test_a_call_inside_a_program_leaves_its_streams_and_settings_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    streams, environ = io.StringIO(), dict(os.environ)
    with contextlib.redirect_stdout(streams):
        for arguments in ["check"], ["demo", "--machines", "3", "--token-lifetime", "0.5"]:
            with pytest.raises(SystemExit) as end:
                main(arguments)
            assert end.value.code == 0
        assert sys.stdout is streams
    assert sys.stderr is None
    assert dict(os.environ) == environ


def test_a_call_without_standalone_mode_returns_the_status() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        assert not main(["check"], standalone_mode=False)


@pytest.fixture
def slow_get(account: Sandbox) -> Iterator[Process]:
    account.inject(Fault(delay=60), on="api")
    with started("get", ASSETS) as process:
        wait_until(lambda: account.count("api") or process.poll() is not None)
        assert process.poll() is None
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_sets_the_status_and_prints_no_traceback(
    slow_get: Process, number: signal.Signals
) -> None:
    slow_get.send_signal(number)
    _, errors = slow_get.communicate()
    assert slow_get.returncode == 128 + number
    assert errors in ("", "Interrupted.\n")


def test_closed_descriptors_are_not_given_to_files_and_connections() -> None:
    """A library that writes to descriptor 2 must not write into a connection."""
    program = (
        "import os, sys; from requests_iris.cli import main; "
        "report = sys.modules['requests_iris.cli.check']; "
        "links = lambda: [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]; "
        "report.say = lambda text: sys.exit(links() != ['/dev/null'] * 3); "
        "main(['check'])"
    )
    result = run_in_shell(f'{COMMAND[0]} -c "{program}" <&- >&- 2>&-')
    assert result.returncode == 0
