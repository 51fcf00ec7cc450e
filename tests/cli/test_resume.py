"""`requests-iris get --all -o FILE --resume`: a list that survives every end of a run.

The default run makes a few kills. `KILLS=50 pytest tests/cli/test_resume.py` makes 50 for each
list.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from requests_iris.cli import main
from requests_iris.cli.failures import Failure, WrongSetting
from requests_iris.cli.spool import Spool, opened
from requests_iris.sandbox import Fault, Sandbox

from ..support.processes import context
from ..support.waiting import HUNG, wait_until

ASSETS = "/api/asset/v1/assets"
KILLS = int(os.environ.get("KILLS", "3"))
QUERY = """query ($first: Int, $after: String) {
  assets(first: $first, after: $after) {
    edges { node { id } } pageInfo { hasNextPage endCursor }
  }
}"""
DAYS = '{"fromTime": "2025-01-01T00:00:00Z", "toTime": "2025-02-01T00:00:00Z"}'
#: Lists of all pagination styles with about 25 pages. AEMP lists have 100 machines per page.
LISTS = {
    "page numbers": ["{assets}", "-p", "size=10"],
    "page numbers, 3 workers": ["{assets}", "-p", "size=10", "--max-workers", "3"],
    "cursor": ["/public/api/operator/operators", "-p", "limit=2"],
    "cursor, read ahead": ["/public/api/operator/operators", "-p", "limit=2", "--max-workers", "2"],
    "AEMP links": ["/public/api/aemp/v2/15143/-3/Fleet/1"],
    "GraphQL": ["--graphql", "query.graphql", "-p", "first=10"],
    "POST": ["/public/api/eventlog/v3/asset-event/log", "-p", "size=40", "--json", DAYS],
}


@pytest.fixture(autouse=True)
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """The sandbox, with its settings in the environment, and an empty working directory."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return sandbox


def get(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["get", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.stdout == ""
    return result


def get_all(name: str, *arguments: str, path: str = ASSETS) -> Result:
    return get(path, "--all", "-p", "size=50", "-o", name, *arguments)


def break_off(account: Sandbox, name: str, *arguments: str, pages: int = 2) -> str:
    """A run that fails after some pages of 50 items. The line on standard error is returned."""
    account.inject(Fault(status=400, body={"code": "broken"}), on="api", path=ASSETS, after=pages)
    result = get_all(name, "--resume", *arguments)
    assert result.exit_code == 1
    assert os.listdir() == [f"{name}.partial"]
    return result.stderr


def ids_in(path: Path) -> tuple[str, ...]:
    if path.suffix == ".parquet":
        return tuple(pyarrow.parquet.read_table(path).column("id").to_pylist())
    text = path.read_text("utf-8")
    if path.suffix == ".csv":
        return tuple(row["id"] for row in csv.DictReader(text.splitlines()))
    items = json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())
    return tuple(item["id"] for item in items)


class TestContinuing:
    @pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet"])
    def test_list_is_continued_and_the_file_equals_the_file_of_a_single_run(
        self, account: Sandbox, name: str
    ) -> None:
        line = break_off(account, name)
        assert line.endswith(
            f"{name}.partial has 100 items. Correct the cause, then run the same command again, "
            "with --resume, to continue.\n"
        )
        assert len(line.splitlines()) == 1
        assert Path(f"{name}.partial").stat().st_mode & 0o777 == 0o600
        before = account.count("api")
        result = get_all(name, "--resume")
        assert result.exit_code == 0
        told, done = result.stderr.splitlines()
        assert told.startswith(f"Continuing after 100 items in {name}.partial, begun 20")
        assert done == f"250 items in {name}"
        assert account.count("api") - before == 3
        assert os.listdir() == [name]
        assert ids_in(Path(name)) == account.asset_ids
        assert get_all(f"once.{name}").exit_code == 0
        assert Path(f"once.{name}").read_bytes() == Path(name).read_bytes()

    def test_list_without_an_earlier_run_starts_from_the_beginning(self, account: Sandbox) -> None:
        for _ in range(2):  # a file of a complete list is replaced
            result = get_all("x.jsonl", "--resume")
            assert (result.exit_code, result.stderr) == (0, "250 items in x.jsonl\n")
            assert os.listdir() == ["x.jsonl"]
        assert account.count("api") == 10

    def test_empty_list_is_a_file_without_items(self, account: Sandbox) -> None:
        account.inject(Fault(status=200, body={"items": []}), on="api")
        assert get_all("x.json", "--resume").stderr == "0 items in x.json\n"
        assert Path("x.json").read_text() == "[]\n"

    def test_run_that_fails_at_the_first_page_leaves_no_file(self, account: Sandbox) -> None:
        account.inject(Fault(status=400, body={"code": "broken"}), on="api")
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert "partial" not in result.stderr
        assert os.listdir() == []

    def test_missing_credential_has_the_status_of_a_wrong_setting_and_loses_nothing(
        self, account: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("TRACKUNIT_PASSWORD")
        at_the_start = get_all("fleet.jsonl", "--resume")
        assert at_the_start.exit_code == 2
        monkeypatch.setenv("TRACKUNIT_PASSWORD", account.environ["TRACKUNIT_PASSWORD"])
        break_off(account, "fleet.jsonl")
        monkeypatch.delenv("TRACKUNIT_PASSWORD")
        continued = get_all("fleet.jsonl", "--resume")
        assert continued.exit_code == 2
        assert "Set TRACKUNIT_PASSWORD.)" in continued.stderr
        assert "Correct the cause, then run the same command again" in continued.stderr
        assert "page 1 after the resume point, GET /api/asset/v1/assets:" in continued.stderr
        assert "fleet.jsonl.partial has 100 items" in continued.stderr
        monkeypatch.setenv("TRACKUNIT_PASSWORD", account.environ["TRACKUNIT_PASSWORD"])
        assert get_all("fleet.jsonl", "--resume").exit_code == 0

    @pytest.mark.parametrize("names", [["USERNAME"], ["CLIENT_ID", "USERNAME", "PASSWORD"]])
    def test_missing_user_is_reported_as_missing_and_not_as_a_different_user(
        self, account: Sandbox, monkeypatch: pytest.MonkeyPatch, names: list[str]
    ) -> None:
        break_off(account, "fleet.jsonl")
        for name in names:
            monkeypatch.delenv(f"TRACKUNIT_{name}")
        result = get_all("fleet.jsonl", "--resume")
        assert result.exit_code == 2
        assert all(f"No {name.lower()}" in result.stderr for name in names[:1])
        assert "delete the file" not in result.stderr
        assert os.listdir() == ["fleet.jsonl.partial"]

    def test_old_file_stays_until_the_list_is_complete(self, account: Sandbox) -> None:
        Path("x.csv").write_text("old")
        account.inject(Fault(status=400, body={"code": "x"}), on="api", path=ASSETS, after=1)
        assert get_all("x.csv", "--resume").exit_code == 1
        assert Path("x.csv").read_text() == "old"
        assert get_all("x.csv", "--resume").exit_code == 0
        assert ids_in(Path("x.csv")) == account.asset_ids

    def test_other_workers_and_raw_continue_the_same_list(self, account: Sandbox) -> None:
        break_off(account, "x.csv")
        url = account.base_url + ASSETS
        result = get_all("x.csv", "--resume", "--max-workers", "2", "--raw", path=url)
        assert result.exit_code == 0
        assert ids_in(Path("x.csv")) == account.asset_ids

    def test_number_of_an_item_counts_the_items_of_earlier_runs(self, account: Sandbox) -> None:
        break_off(account, "x.csv")
        account.inject(Fault(reply={"content": [{"a": float("nan")}] + 49 * [1]}), on="api")
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert "Item 101 has at 'a' NaN" in result.stderr
        assert "x.csv.partial has 100 items" in result.stderr

    def test_failure_without_the_option_leaves_no_file(self, account: Sandbox) -> None:
        account.inject(Fault(status=400, body={"code": "x"}), on="api", path=ASSETS, after=2)
        assert get_all("x.csv").exit_code == 1
        assert os.listdir() == []


class TestComplete:
    """The list is complete in the spool, and the run ends before the spool is deleted."""

    ITEMS = ({"a.b": 1, "a": {"b": 2}}, {"id": "x"})

    def complete(self, account: Sandbox) -> str:
        account.inject(Fault(status=200, body={"items": list(self.ITEMS)}), on="api")
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert os.listdir() == ["x.csv.partial"]
        return result.stderr

    def test_list_that_csv_cannot_hold_is_written_in_another_format_without_a_request(
        self, account: Sandbox
    ) -> None:
        line = self.complete(account)
        assert "CSV cannot hold this list" in line
        assert "x.csv.partial has the whole list of 2 items" in line
        assert "rename this file to x.jsonl.partial" in line
        os.rename("x.csv.partial", "x.jsonl.partial")
        before = len(account.seen)
        result = get_all("x.jsonl", "--resume")
        assert result.exit_code == 0
        assert len(account.seen) == before
        lines = Path("x.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == list(self.ITEMS)
        assert os.listdir() == ["x.jsonl"]

    def test_kill_before_the_spool_is_deleted_is_harmless(self, account: Sandbox) -> None:
        self.complete(account)
        spool = Path("x.jsonl.partial")
        os.rename("x.csv.partial", spool)
        complete = spool.read_bytes()
        assert get_all("x.jsonl", "--resume").exit_code == 0
        once = Path("x.jsonl").read_bytes()
        spool.write_bytes(complete)  # as a kill after the new file would leave it
        before = len(account.seen)
        assert get_all("x.jsonl", "--resume").exit_code == 0
        assert len(account.seen) == before
        assert Path("x.jsonl").read_bytes() == once
        assert os.listdir() == ["x.jsonl"]


class TestRefusals:
    def test_old_spool_is_reported_and_not_touched(self, account: Sandbox) -> None:
        break_off(account, "x.csv")
        old = Path("x.csv.partial").read_bytes()
        before = len(account.seen)
        result = get_all("x.csv")
        assert result.exit_code == 2
        assert "x.csv.partial has the items of an earlier run that broke off" in result.stderr
        assert "Continue the run with --resume, or delete the file" in result.stderr
        assert len(account.seen) == before
        assert Path("x.csv.partial").read_bytes() == old

    @pytest.mark.parametrize(
        ("arguments", "path", "name"),
        [
            (["-p", "sort=name"], ASSETS, "query"),
            ([], f"{ASSETS}?size=50", "query"),
            ([], "/public/api/operator/operators", "path"),
            ([], f"https://localhost:1{ASSETS}", "host"),
            (["--items-path", "content"], ASSETS, "--items-path"),
            (["--json", "{}"], ASSETS, "method, body"),
            (["user"], ASSETS, "user"),
        ],
    )
    def test_spool_of_another_command_is_refused_and_not_touched(
        self,
        account: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        path: str,
        name: str,
    ) -> None:
        break_off(account, "x.csv")
        old = Path("x.csv.partial").read_bytes()
        before = len(account.seen)
        if arguments == ["user"]:
            monkeypatch.setenv("TRACKUNIT_USERNAME", "another")
            arguments = []
        result = get_all("x.csv", "--resume", *arguments, path=path)
        assert result.exit_code == 2
        assert f"belongs to another command, with a different {name}. Run that" in result.stderr
        assert len(account.seen) == before
        assert Path("x.csv.partial").read_bytes() == old

    def test_spool_has_no_setting_in_clear(self, account: Sandbox) -> None:
        break_off(account, "x.csv", "-p", "private=hush")
        head = Path("x.csv.partial").read_text().partition("\n")[0]
        settings = [value for value in account.settings.values() if isinstance(value, str)]
        assert not [value for value in ("hush", *settings, *account.issued) if value in head]

    def test_spool_in_use_by_another_process_is_refused(self, account: Sandbox) -> None:
        with opened(Path("x.csv.partial"), {"list": "x"}):  # flock() knows no processes
            result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert "x.csv.partial is in use by another process" in result.stderr
        assert account.seen == ()

    @pytest.mark.parametrize("content", [b"id,name\n1,x\n", b"hello", b"{}\n", b"[1]\n", b"\0"])
    def test_file_of_another_program_is_refused_and_not_touched(
        self, account: Sandbox, content: bytes
    ) -> None:
        Path("x.csv.partial").write_bytes(content)
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 2
        assert "x.csv.partial is not a file of this version of requests-iris" in result.stderr
        assert account.seen == ()
        assert Path("x.csv.partial").read_bytes() == content

    def test_link_in_the_place_of_a_spool_is_not_followed(self) -> None:
        Path("x.csv.partial").symlink_to("victim")
        assert get_all("x.csv", "--resume").exit_code == 1
        assert not Path("victim").exists()

    def test_pipe_in_the_place_of_a_spool_is_refused_at_once(self, account: Sandbox) -> None:
        os.mkfifo("x.csv.partial")
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 2
        assert "x.csv.partial is not a file of requests-iris. Delete the file" in result.stderr
        assert account.seen == ()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["-o", "x.json"],
            ["--all"],
            ["--all", "-o", "-"],
            ["--all", "-o", "/dev/null"],
        ],
    )
    def test_option_resume_needs_a_list_and_a_file(
        self, account: Sandbox, arguments: list[str]
    ) -> None:
        result = get(ASSETS, "--resume", *arguments)
        assert result.exit_code == 2
        assert "--resume needs --all, and -o with the name of a file" in result.stderr
        assert account.seen == ()

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_list_that_changed_since_the_earlier_run_is_read_from_the_beginning(
        self, account: Sandbox, workers: str
    ) -> None:
        break_off(account, "x.csv")
        account.machines = 251
        result = get_all("x.csv", "--resume", "--max-workers", workers)
        continuing, changed, done = result.stderr.splitlines()
        assert continuing.startswith("Continuing after 100 items in x.csv.partial, begun 20")
        assert "251" in changed
        assert changed.endswith(". Reading the list from the beginning.")
        assert (result.exit_code, done) == (0, "251 items in x.csv")
        assert os.listdir() == ["x.csv"]
        assert ids_in(Path("x.csv")) == account.asset_ids

    def test_run_that_reads_from_the_beginning_and_breaks_off_is_continued(
        self, account: Sandbox
    ) -> None:
        break_off(account, "x.csv")
        account.machines = 251
        account.inject(Fault(status=400, body={"code": "broken"}), on="api", after=4)
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert "x.csv.partial has 150 items" in result.stderr
        result = get_all("x.csv", "--resume")
        assert result.stderr.startswith("Continuing after 150 items")
        assert (result.exit_code, ids_in(Path("x.csv"))) == (0, account.asset_ids)

    def test_list_that_changes_during_a_run_is_read_from_the_beginning_by_the_next_run(
        self, account: Sandbox
    ) -> None:
        changed = Fault(reply={"totalElements": 251, "totalPages": 6})
        account.inject(changed, on="api", path=ASSETS, after=2)
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert result.stderr.endswith(
            "Run the same command again, to read the list from the beginning.\n"
        )
        account.machines = 251
        result = get_all("x.csv", "--resume")
        assert (result.exit_code, ids_in(Path("x.csv"))) == (0, account.asset_ids)

    def test_list_that_always_changes_is_read_from_the_beginning_once(
        self, account: Sandbox
    ) -> None:
        break_off(account, "x.csv")
        before = account.count("api")
        for total in range(251, 300):
            changed = {"totalElements": total, "totalPages": total // 50 + 1}
            account.inject(Fault(reply=changed), on="api")
        result = get_all("x.csv", "--resume")
        assert result.exit_code == 1
        assert account.count("api") - before == 3

    def test_read_only_file_and_missing_directory_are_reported_before_a_request(
        self, account: Sandbox
    ) -> None:
        result = get_all("no/x.csv", "--resume")
        assert result.exit_code == 1
        assert "there is no directory no" in result.stderr
        assert account.seen == ()


RECORDS = [([b"1", b'{"a": "\xc3\xa9"}'], {"page": 1}), ([], {"page": 2}), ([b'"{"'], None)]
ITEMS = [[], [1, {"a": "é"}], [1, {"a": "é"}], [1, {"a": "é"}, "{"]]
IDENTITY = {"path": "a", "user": "b"}


def whole_spool(path: Path) -> tuple[bytes, list[int]]:
    """A complete spool, and the size of the file after each record."""
    sizes = []
    with opened(path, IDENTITY) as spool:
        for number, (items, resume) in enumerate(RECORDS, 1):
            spool.append(items, resume, is_complete=number == len(RECORDS))
            sizes.append(path.stat().st_size)
    return path.read_bytes(), sizes


class TestSpool:
    def state(self, spool: Spool) -> Any:
        return list(spool), spool.count, spool.resume, spool.is_complete

    def test_spool_that_is_cut_at_any_byte_has_the_records_before_the_cut(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "x.partial"
        data, sizes = whole_spool(path)
        resumes = [None, *(resume for _, resume in RECORDS)]
        head = data.index(b"\n") + 1
        for length in (*range(0, head, 20), *range(head, len(data) + 1)):
            path.write_bytes(data[:length])
            records = sum(size <= length for size in sizes)
            with opened(path, IDENTITY) as spool:
                items = ITEMS[records]
                is_complete = records == len(RECORDS)
                assert self.state(spool) == (items, len(items), resumes[records], is_complete)
                if length % 20:
                    continue
                spool.append([b"7"], {"page": 7})  # in the place of a broken record
            with opened(path, IDENTITY) as spool:
                assert list(spool) == [*items, 7]

    def test_spool_that_a_user_deletes_during_the_run_keeps_all_items(self, tmp_path: Path) -> None:
        path = tmp_path / "x.partial"
        with opened(path, IDENTITY) as spool:
            spool.append([b"1"], {"page": 1})
            path.unlink()
            spool.append([b"2"], None, is_complete=True)
            assert [list(spool), list(spool)] == [[1, 2], [1, 2]]
            with opened(path, IDENTITY) as new:  # of the next run
                new.append([b"3"], {"page": 1})
                assert (spool.is_deleted, new.is_deleted) == (True, False)
                spool.remove()
        assert path.exists()

    def test_garbage_after_the_last_record_is_dropped(self, tmp_path: Path) -> None:
        """A loss of power may leave zeros."""
        path = tmp_path / "x.partial"
        data, _ = whole_spool(path)
        for garbage in (b"\0\0\0", b"[1]\n[2]\n", b'[1]\n{"items"'):
            path.write_bytes(data + garbage)
            with opened(path, IDENTITY) as spool:
                assert list(spool) == ITEMS[-1]

    def test_new_record_leaves_nothing_of_a_broken_record(self, tmp_path: Path) -> None:
        """Otherwise the end of the broken record could look like the end of a record."""
        path = tmp_path / "x.partial"
        data, _ = whole_spool(path)
        path.write_bytes(data + b"[" + 500 * b"{" + b"\n")
        with opened(path, IDENTITY) as spool:
            spool.append([b"7"], {"page": 7})
        with opened(path, IDENTITY) as spool:
            assert list(spool) == [*ITEMS[-1], 7]

    def test_changed_byte_of_a_record_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "x.partial"
        data, sizes = whole_spool(path)
        for place in range(data.index(b"\n") + 1, sizes[0]):
            changed = bytearray(data)
            changed[place] ^= 1
            path.write_bytes(changed)
            with (
                pytest.raises(Failure, match="x.partial is damaged before item"),
                opened(path, IDENTITY),
            ):
                pass  # pragma: no cover
            assert path.read_bytes() == changed

    def test_spool_of_another_version_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.partial"
        data, _ = whole_spool(path)
        path.write_bytes(data.replace(b'spool": 1', b'spool": 2', 1))
        with pytest.raises(WrongSetting, match="not a file of this version"), opened(path, {}):
            pass  # pragma: no cover


def run_in_a_process(arguments: list[str], environ: dict[str, str], limit: int | None) -> None:
    """The command line in a process that a forkserver starts, which is faster than a shell.

    :param limit: the largest size of a file in bytes, in the place of a full disk.
    """
    os.environ.update(environ)
    os.chdir(environ["PWD"])
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with open("stderr", "w") as errors, contextlib.redirect_stderr(errors):
        main(["get", *arguments])


def start(account: Sandbox, arguments: list[str], limit: int | None = None) -> Any:
    environ = {**account.environ, "PWD": os.getcwd()}
    process = context.Process(target=run_in_a_process, args=(arguments, environ, limit))
    process.start()
    return process


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")
class TestEndsOfAProcess:
    @pytest.mark.parametrize("name", LISTS)
    def test_killed_runs_write_every_item_exactly_once(self, account: Sandbox, name: str) -> None:
        kind = random.choice(["jsonl", "csv"])
        command = [ASSETS if word == "{assets}" else word for word in LISTS[name]]
        Path("query.graphql").write_text(QUERY, "utf-8")
        assert get("--all", *command, "-o", f"once.{kind}").exit_code == 0
        pages = account.count("api")
        command += ["--all", "-o", f"x.{kind}", "--resume"]
        account.inject(Fault(delay=0.2 / pages), on="api", times=10**6)
        kills = sum(self.kill_after_some_pages(account, command, pages) for _ in range(KILLS))
        account.clear_faults()
        result = get(*command)
        assert result.exit_code == 0, result.stderr
        assert kills, "no run was killed: the test tried nothing"
        assert Path(f"x.{kind}").read_bytes() == Path(f"once.{kind}").read_bytes()
        assert not Path(f"x.{kind}.partial").exists()

    def kill_after_some_pages(self, account: Sandbox, command: list[str], pages: int) -> bool:
        """Whether the process was still running."""
        process = start(account, command)
        end = account.count("api") + random.randint(1, max(2, pages // 4))
        wait_until(lambda: account.count("api") >= end or not process.is_alive())
        time.sleep(random.uniform(0, 0.15 / pages))
        running = process.is_alive()
        process.kill()
        process.join(HUNG)
        return running

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_run_tells_after_a_signal_how_to_continue(self, account: Sandbox, number: int) -> None:
        account.inject(Fault(delay=60), on="api", path=ASSETS, after=2)
        command = [ASSETS, "--all", "-p", "size=50", "-o", "x.csv", "--resume"]
        process = start(account, command)
        wait_until(lambda: account.count("api") == 3)
        os.kill(process.pid, number)
        process.join(HUNG)
        assert process.exitcode == 128 + number
        account.clear_faults()
        told = Path("stderr").read_text().splitlines()
        assert told.pop(0) == (
            "x.csv.partial has 100 items. Run the same command again, with --resume, to continue."
        )
        assert told == (["Interrupted."] if number == signal.SIGINT else [])
        assert get(*command).exit_code == 0
        assert ids_in(Path("x.csv")) == account.asset_ids

    def test_run_does_not_name_a_spool_that_a_user_has_deleted(self, account: Sandbox) -> None:
        account.inject(Fault(delay=60), on="api", path=ASSETS, after=2)
        process = start(account, [ASSETS, "--all", "-p", "size=50", "-o", "x.csv", "--resume"])
        wait_until(lambda: account.count("api") == 3)
        os.unlink("x.csv.partial")
        os.kill(process.pid, signal.SIGTERM)
        process.join(HUNG)
        assert Path("stderr").read_text() == (
            "x.csv.partial was deleted during the run: the next run starts from the beginning.\n"
        )

    def test_run_with_resume_loses_no_item_on_a_full_disk(self, account: Sandbox) -> None:
        command = [ASSETS, "--all", "-p", "size=10", "-o", "x.jsonl", "--resume"]
        for limit in (20_000, 40_000):
            process = start(account, command, limit)
            process.join(HUNG)
            assert process.exitcode == 1
            assert "File too large. x.jsonl.partial has " in Path("stderr").read_text()
        assert get(*command).exit_code == 0
        assert ids_in(Path("x.jsonl")) == account.asset_ids
