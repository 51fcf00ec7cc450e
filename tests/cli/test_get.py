"""`requests-iris get`: one response, or a whole list, on standard output or in a file."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from requests_iris.cli import main
from requests_iris.sandbox import Fault, Sandbox

from ..support.servers import serving
from ..support.waiting import wait_until
from .run import COMMAND, run, run_anew, started

ASSETS = "/api/asset/v1/assets"
#: The command line for which the modes of files hold, also if root runs the tests: without
#: CAP_DAC_OVERRIDE (1), by PR_CAPBSET_DROP (24) of prctl(2). The call fails for any user but root.
BOUND_BY_MODES = [
    sys.executable,
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1); "
    f"os.execv(sys.executable, {COMMAND!r} + sys.argv[1:])",
]


@pytest.fixture
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The sandbox, with its settings in the environment."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    numbers = signal.SIGTERM, signal.SIGHUP
    handlers = [signal.getsignal(number) for number in numbers]
    yield sandbox
    assert [signal.getsignal(number) for number in numbers] == handlers, "it has put them back"


def get(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["get", *arguments])


class TestOneResponse:
    def test_response_is_printed_as_json(self, account: Sandbox) -> None:
        result = get(ASSETS, "-p", "size=3", "-p", "sort=+name")
        assert result.exit_code == 0
        assert result.stderr == ""
        told = json.loads(result.stdout)
        assert len(told["content"]) == 3
        assert account.seen[-1].query == "size=3&sort=%2Bname"

    def test_a_whole_url_is_read(self, account: Sandbox) -> None:
        assert json.loads(get(account.base_url + ASSETS).stdout)["totalElements"] == 250

    def test_a_list_that_is_xml_by_default_is_asked_for_as_json(self, account: Sandbox) -> None:
        told = json.loads(get("/public/api/aemp/v2/15143/-3/Fleet/1").stdout)
        assert len(told["Equipment"]) == 100

    def test_response_is_written_to_a_file(self, account: Sandbox, tmp_path: Path) -> None:
        result = get(ASSETS, "-o", str(tmp_path / "reply.json"))
        assert result.output == ""
        assert json.loads((tmp_path / "reply.json").read_text("utf-8"))["size"] == 20

    def test_an_error_object_is_one_line_and_no_file(
        self, account: Sandbox, tmp_path: Path
    ) -> None:
        result = get(f"{ASSETS}/nothing", "-o", str(tmp_path / "x.json"))
        assert result.exit_code == 1
        assert "404" in result.stderr
        assert "asset_not_found" in result.stderr
        assert result.stdout == ""
        assert os.listdir(tmp_path) == []

    def test_json_that_is_nested_beyond_all_measure_is_refused(self, account: Sandbox) -> None:
        account.inject(Fault(status=200, body=100_000 * "["), on="api")
        assert "Error: the response is not JSON" in get(ASSETS).stderr

    def test_a_response_that_is_not_json_is_refused(self, account: Sandbox) -> None:
        account.inject(Fault(status=200, body="<html>"), on="api")
        result = get(ASSETS)
        assert result.exit_code == 1
        assert "not JSON, but text/html" in result.stderr

    def test_a_wrong_password_is_one_line(self, account: Sandbox) -> None:
        result = run("get", ASSETS, TRACKUNIT_PASSWORD="wrong")
        assert result.returncode == 1
        assert re.fullmatch(r"Error: .*invalid_grant.*\n", result.stderr)

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            (ASSETS.lstrip("/"), "a path must begin with one slash"),
            (f"/{ASSETS}", "a path must begin with one slash"),
            ("http://localhost.example/x", "a URL must begin with https://"),
            ("ftp://127.0.0.1/x", "a URL must name a plain host, as https://"),
        ],
    )
    def test_a_url_without_a_host_or_in_clear_is_refused(
        self, account: Sandbox, url: str, words: str
    ) -> None:
        result = get(url)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
        assert account.seen == ()

    def test_plain_http_of_loopback_is_read_with_the_token(
        self, account: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                signed = self.headers["Authorization"] == f"Bearer {account.issued[-1]}"
                self.wfile.write(json.dumps(signed).encode())

            def log_message(self, *_: object) -> None:
                """Not on standard error."""

        with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
            monkeypatch.setenv("TRACKUNIT_BASE_URL", f"http://{address}")
            results = get(f"http://{address}/x"), get("/x")
        assert [result.stdout for result in results] == ["true\n", "true\n"]

    @pytest.mark.parametrize("param", ["size", "=3"])
    def test_params_without_a_name_or_a_value_are_refused(
        self, account: Sandbox, param: str
    ) -> None:
        result = get(ASSETS, "-p", param)
        assert result.exit_code == 2
        assert "is not NAME=VALUE" in result.stderr
        assert account.seen == ()

    @pytest.mark.parametrize(
        "options",
        [["--max-workers", "2"], ["--items-path", "content"], ["-o", "a.csv"], ["-o", "a.JSONL"]],
    )
    def test_options_for_lists_need_the_option_all(
        self, account: Sandbox, options: list[str]
    ) -> None:
        """Otherwise a file with the ending .csv would hold a single page as JSON."""
        result = get(ASSETS, *options)
        assert result.exit_code == 2
        assert re.search("needs? --all", result.stderr)
        assert account.seen == ()


class TestWholeList:
    @pytest.mark.parametrize(
        "options", [["--max-workers", "1"], ["--max-workers", "4"], ["-o", "-"]]
    )
    def test_a_list_goes_to_standard_output_as_json_lines(
        self, account: Sandbox, options: list[str]
    ) -> None:
        result = get(ASSETS, "--all", "-p", "size=30", *options)
        assert result.exit_code == 0
        assert result.stderr == ""
        ids = [json.loads(line)["id"] for line in result.stdout.splitlines()]
        assert tuple(ids) == account.asset_ids

    def test_a_list_is_written_to_json_lines_json_csv_and_parquet(
        self, account: Sandbox, tmp_path: Path
    ) -> None:
        kinds = ("jsonl", "ndjson", "json", "JSON", "csv", "parquet")
        files = {kind: tmp_path / f"fleet.{kind}" for kind in kinds}
        for file in files.values():
            result = get(ASSETS, "--all", "-o", str(file))
            assert result.exit_code == 0, result.output
            assert (result.stdout, result.stderr) == ("", f"250 items in {file}\n")
        assert files["ndjson"].read_bytes() == files["jsonl"].read_bytes()
        assert files["JSON"].read_bytes() == files["json"].read_bytes()
        items = json.loads(files["json"].read_text("utf-8"))
        assert tuple(item["id"] for item in items) == account.asset_ids
        lines = files["jsonl"].read_text("utf-8").splitlines()
        assert tuple(json.loads(line)["id"] for line in lines) == account.asset_ids
        with files["csv"].open(newline="", encoding="utf-8") as file:
            assert tuple(row["id"] for row in csv.DictReader(file)) == account.asset_ids
        table = pyarrow.parquet.read_table(files["parquet"])
        assert tuple(table.column("id").to_pylist()) == account.asset_ids

    @pytest.mark.parametrize(("count", "words"), [(0, "0 items"), (1, "1 item"), (2, "2 items")])
    def test_number_of_items_in_the_file_is_told_on_standard_error(
        self,
        account: Sandbox,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        count: int,
        words: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        account.inject(Fault(status=200, body={"items": count * [1]}), on="api")
        result = get(ASSETS, "--all", "-o", "a\x1b.json")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == f"{words} in a\\x1b.json\n"
        assert json.loads(Path("a\x1b.json").read_text()) == count * [1]

    def test_items_path_names_the_list_in_an_unusual_response(self, account: Sandbox) -> None:
        result = get(
            "/public/api/service/v1/service-plans", "--all", "--items-path", "servicePlans"
        )
        assert len(result.stdout.splitlines()) == 12

    def test_a_response_without_a_list_names_the_option_items_path(self, account: Sandbox) -> None:
        account.inject(Fault(status=200, body={"with": {}}), on="api")
        result = get(ASSETS, "--all")
        assert result.exit_code == 1
        assert result.stderr.endswith("Name the list with --items-path\n")

    def test_an_ending_that_names_no_format_is_refused_at_once(
        self, account: Sandbox, tmp_path: Path
    ) -> None:
        result = get(ASSETS, "--all", "-o", str(tmp_path / "fleet.xlsx"))
        assert result.exit_code == 2
        told = " ".join(result.stderr.split())
        assert "must end in one of .jsonl, .ndjson, .json, .csv, .parquet" in told
        assert "without -o, or with -o -, the list goes to standard output" in told
        assert account.seen == ()

    def test_a_pipe_of_the_shell_needs_no_ending(self, account: Sandbox) -> None:
        """As in ``-o >(gzip)``; here it is /dev/stdout."""
        printed = run("get", ASSETS, "--all", "-o", "/dev/stdout")
        assert printed.stderr == ""
        ids = [json.loads(line)["id"] for line in printed.stdout.splitlines()]
        assert tuple(ids) == account.asset_ids

    def test_a_missing_directory_is_reported_before_the_first_request(
        self, account: Sandbox, tmp_path: Path
    ) -> None:
        result = get(ASSETS, "--all", "-o", str(tmp_path / "no" / "fleet.csv"))
        assert result.exit_code == 1
        assert f"there is no directory {tmp_path / 'no'}" in result.stderr
        assert account.seen == ()

    @pytest.mark.parametrize(("mode", "status"), [(0o644, 0), (0o444, 1)])
    def test_a_file_that_may_not_be_written_to_is_left_alone(
        self, account: Sandbox, tmp_path: Path, mode: int, status: int
    ) -> None:
        target = tmp_path / "fleet.jsonl"
        target.write_text("old")
        target.chmod(mode)
        result = run_anew("get", ASSETS, "--all", "-o", str(target), command=BOUND_BY_MODES)
        assert result.returncode == status, result.stderr
        assert (target.read_text() == "old") == bool(status)
        assert os.listdir(tmp_path) == ["fleet.jsonl"]
        if status:
            assert result.stderr == f"Error: {target} cannot be written: Permission denied\n"
            assert account.seen == ()

    @pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
    def test_a_page_that_fails_leaves_no_file(
        self, account: Sandbox, tmp_path: Path, kind: str
    ) -> None:
        account.inject(Fault(), on="api", path=ASSETS, times=2)
        account.inject(Fault(status=400, body={"code": "broken"}), on="api", path=ASSETS, times=9)
        result = get(ASSETS, "--all", "-p", "size=100", "-o", str(tmp_path / f"fleet.{kind}"))
        assert result.exit_code == 1
        assert "Traceback" not in result.stderr
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_run_leaves_no_file(
        self, account: Sandbox, tmp_path: Path, number: signal.Signals
    ) -> None:
        account.inject(Fault(), on="api", path=ASSETS)
        account.inject(Fault(delay=60), on="api", path=ASSETS)
        command = ["get", ASSETS, "--all", "-p", "size=100"]
        with started(*command, "-o", str(tmp_path / "fleet.jsonl")) as process:
            wait_until(lambda: account.count("api") == 2 or process.poll() is not None)
            assert [name.startswith(".fleet.jsonl.") for name in os.listdir(tmp_path)] == [True]
            process.send_signal(number)
        assert process.returncode == 128 + number
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize(
        ("ignored", "names"), [([], []), ([signal.SIGHUP], ["fleet.jsonl"])], ids=["shell", "nohup"]
    )
    def test_a_closed_terminal_ends_the_run_unless_nohup_started_it(
        self, account: Sandbox, tmp_path: Path, ignored: list[int], names: list[str]
    ) -> None:
        # without nohup, the run is still at the first page, however late the signal comes
        account.inject(Fault(delay=1 if names else 60), on="api", path=ASSETS)
        command = ["get", ASSETS, "--all", "-o", str(tmp_path / "fleet.jsonl")]
        with started(*command, ignored=ignored) as process:
            wait_until(lambda: account.count("api") or process.poll() is not None)
            process.send_signal(signal.SIGHUP)
        assert process.returncode == (0 if names else 128 + signal.SIGHUP)
        assert os.listdir(tmp_path) == names

    def test_characters_that_standard_output_cannot_hold_are_escaped(
        self, account: Sandbox
    ) -> None:
        element = {"name": "ł"}
        account.inject(Fault(status=200, body={"items": [element]}), on="api", times=2)
        for start, options in (run_anew, ["--all"]), (run, []):
            printed = start("get", ASSETS, *options, PYTHONIOENCODING="cp1252")
            assert printed.stderr == ""
            assert json.loads(printed.stdout) == (element if options else {"items": [element]})

    def test_a_standard_output_without_an_encoding_holds_every_character(
        self, account: Sandbox
    ) -> None:
        """As for a program that calls the command line inside itself."""
        account.inject(Fault(status=200, body={"items": ["ł"]}), on="api")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            main(["get", ASSETS, "--all"], standalone_mode=False)
        assert printed.getvalue() == '"ł"\n'

    def test_a_closed_pipe_is_no_error(self, account: Sandbox) -> None:
        with started("get", ASSETS, "--all", "-p", "size=1") as process:
            first = process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
        assert json.loads(first)["id"] == account.asset_ids[0]
        assert process.returncode == 0
        assert errors == ""

    def test_progress_is_shown_on_a_terminal(self, account: Sandbox, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        with (tmp_path / "out").open("w+b") as output:
            command = ["get", ASSETS, "--all", "-p", "size=50"]
            streams = {"stdout": output.fileno(), "stderr": theirs}
            with started(*command, **streams, TERM="xterm", COLUMNS="100") as process:
                os.close(theirs)
                shown = read_to_the_end(ours)
            output.seek(0)
            assert len(output.readlines()) == 250
        assert process.returncode == 0
        assert b"250/250" in shown


class TestTextOfTheServer:
    """Names and messages of a server must not command a terminal or a spreadsheet."""

    NAME = "\x1b[31m\x07\x7f\x9b31m\u202eabc\u2066\u200d\ufeff\U000e0041\n\u2028é łe\u0301"
    SAFE = re.compile(r"[\n\r\x20-\x7eéł\u0301]*")

    @pytest.mark.parametrize("options", [[], ["--all"], ["-o", "/dev/stdout"]])
    def test_a_terminal_gets_json_with_the_same_value_and_no_control_characters(
        self, account: Sandbox, options: list[str]
    ) -> None:
        item = {"name": self.NAME, self.NAME: 1}
        account.inject(Fault(status=200, body={"items": [item]}), on="api")
        shown = shown_on_terminal("get", ASSETS, *options)
        assert self.SAFE.fullmatch(shown)
        assert json.loads(shown) == (item if "--all" in options else {"items": [item]})

    def test_raw_shows_the_text_as_the_server_sent_it(self, account: Sandbox) -> None:
        account.inject(Fault(status=200, body={"name": "\x7f\u202e"}), on="api")
        assert '"\x7f\u202e"' in shown_on_terminal("get", ASSETS, "--raw")

    @pytest.mark.parametrize("options", [[], ["--all"]])
    def test_a_pipe_gets_the_text_as_the_server_sent_it(
        self, account: Sandbox, options: list[str]
    ) -> None:
        account.inject(Fault(status=200, body={"items": ["\x7f\u202e"]}), on="api")
        assert '"\x7f\u202e"' in run("get", ASSETS, *options).stdout

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=404, body={"code": NAME, "message": NAME}),
            Fault(status=400, body={"code": "x", "violations": [{"field": NAME, "message": NAME}]}),
            Fault(status=200, body="x", headers={"Content-Type": "text/\x1b[31m\x9b"}),
            Fault(status=200, body={NAME: 1}),
        ],
    )
    @pytest.mark.parametrize("options", [[], ["--all"]])
    def test_an_error_is_one_printable_line(
        self, account: Sandbox, fault: Fault, options: list[str]
    ) -> None:
        account.inject(fault, on="api")
        result = run("get", ASSETS, *options)
        if result.returncode:
            assert result.stderr.startswith("Error: ")
            assert result.stderr.endswith("\n")
            assert result.stderr[:-1].isprintable()

    def test_a_huge_message_is_cut(self, account: Sandbox) -> None:
        account.inject(Fault(status=404, body={"code": "x", "message": "y" * 10**6}), on="api")
        assert len(get(ASSETS).stderr) < 3000

    def test_a_formula_in_csv_gets_a_quote_unless_raw(
        self, account: Sandbox, tmp_path: Path
    ) -> None:
        target = tmp_path / "fleet.csv"
        account.inject(
            Fault(status=200, body={"items": [{"@id": "=1", "n": -5}]}), on="api", times=2
        )
        assert get(ASSETS, "--all", "-o", str(target)).exit_code == 0
        assert target.read_text() == "'@id,n\n'=1,-5\n"
        assert get(ASSETS, "--all", "-o", str(target), "--raw").exit_code == 0
        assert target.read_text() == "@id,n\n=1,-5\n"

    @pytest.mark.parametrize("options", [[], ["--all"], ["--all", "-o", "x.csv"]])
    def test_a_number_that_is_lost_is_refused_in_one_line(
        self, account: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        account.inject(Fault(status=200, body='{"items": [{"a": {"b": 1e999}}]}'), on="api")
        result = get(ASSETS, *options)
        assert result.exit_code == 1
        who, path = ("Item 1", "a.b") if options else ("The response", "items[0].a.b")
        assert re.fullmatch(rf"Error: {who} has at '{re.escape(path)}' .*\n", result.stderr)
        assert result.stdout == ""
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
    @pytest.mark.parametrize(
        "item",
        ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "1" * 4000, "1" * 5000, "-1e4000"],
        ids=["lists", "objects", "4000 digits", "5000 digits", "beyond a double"],
    )
    def test_odd_items_are_written_or_refused_in_one_line(
        self, account: Sandbox, tmp_path: Path, item: str, suffix: str
    ) -> None:
        account.inject(Fault(status=200, body=f'{{"items": [{{"v": {item}}}]}}'), on="api", times=9)
        result = get(ASSETS, "--all", "-o", str(tmp_path / f"x.{suffix}"))
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: " if result.exit_code else "1 item in ")
        assert bool(os.listdir(tmp_path)) == (result.exit_code == 0)


def shown_on_terminal(*arguments: str) -> str:
    ours, theirs = pty.openpty()
    with started(*arguments, stdout=theirs, TERM="xterm") as process:
        os.close(theirs)
        shown = read_to_the_end(ours).decode()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    return shown


def read_to_the_end(screen: int) -> bytes:
    """The text on a terminal, until the last writer has closed the terminal."""
    shown = b""
    with open(screen, "rb", buffering=0) as file, contextlib.suppress(OSError):
        while piece := file.read(1000):
            shown += piece
    return shown


def test_help_of_get_has_examples() -> None:
    shown = get("--help").stdout
    assert "requests-iris get /api/asset/v1/assets --all --max-workers 8 -o fleet.parquet" in shown
