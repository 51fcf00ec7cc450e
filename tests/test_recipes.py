"""The recipes for pipelines in examples/: each continues after a failure, exactly."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from examples import singer_tap, sqlite_export
from requests_iris import IncompleteListError, IrisSession
from requests_iris.sandbox import Fault, Sandbox

#: More pages than one, so that the list can break in the middle.
MACHINES = 2500


@pytest.fixture
def fleet() -> Any:
    with Sandbox(machines=MACHINES) as sandbox:
        yield sandbox


@pytest.fixture
def iris(fleet: Sandbox) -> Any:
    with IrisSession(**fleet.settings, retry=False) as session:
        session.verify, session.trust_env = fleet.ca_file, False
        yield session


def break_page(fleet: Sandbox, number: int) -> None:
    """Lets the request for a page fail, with pages counted from now on."""
    fleet.inject(Fault(status=500), on="api", after=number - 1)


class TestSqliteExport:
    @staticmethod
    def exported(path: Path, table: str = "assets") -> list[str]:
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute(f"SELECT asset FROM {table}").fetchall()
        return [json.loads(row[0])["id"] for row in rows]

    def test_an_export_that_fails_twice_has_each_item_once(
        self, iris: IrisSession, fleet: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "fleet.db"
        read = []
        for page in (2, 3):  # the second run reads the rest of page 1, page 2, and fails
            break_page(fleet, page)
            with pytest.raises(IncompleteListError):
                sqlite_export.export(iris, str(path), batch=300)
            read.append(len(self.exported(path, "new_assets")))
        assert read == [900, 1800], "the batch before a failing page is not saved"
        assert self.exported(path) == [], "a part of a list is not in the table"
        sqlite_export.export(iris, str(path), batch=300)
        assert self.exported(path) == list(fleet.asset_ids)
        assert self.exported(path, "new_assets") == []

    def test_an_export_of_a_changed_list_is_refused_once_and_then_starts_over(
        self, iris: IrisSession, fleet: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "fleet.db"
        sqlite_export.export(iris, str(path))
        whole = self.exported(path)
        break_page(fleet, 3)
        with pytest.raises(IncompleteListError):
            sqlite_export.export(iris, str(path))
        fleet.machines = MACHINES - 100
        with pytest.raises(IncompleteListError, match="the list has changed since the resume"):
            sqlite_export.export(iris, str(path))
        assert self.exported(path) == whole, "the last whole list stays"
        sqlite_export.export(iris, str(path))
        assert self.exported(path) == list(fleet.asset_ids)

    def test_the_export_after_a_whole_export_replaces_the_table(
        self, iris: IrisSession, fleet: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "fleet.db"
        for machines in (30, 20):
            fleet.machines = machines
            sqlite_export.export(iris, str(path))
            assert self.exported(path) == list(fleet.asset_ids)


class TestSingerTap:
    @staticmethod
    def target(lines: str, state: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """A target that saves the records before the last STATE, and the STATE."""
        saved: list[str] = []
        waiting: list[str] = []
        for message in map(json.loads, lines.splitlines()):
            if message["type"] == "RECORD":
                assert message["stream"] == "assets"
                waiting.append(message["record"]["id"])
            elif message["type"] == "STATE":
                state = message["value"]
                saved, waiting = saved + waiting, []
        return saved, state

    def test_a_tap_that_fails_continues_from_the_last_state(
        self, iris: IrisSession, fleet: Sandbox
    ) -> None:
        saved: list[str] = []
        state: dict[str, Any] = {}
        for broken_page in (2, 3, None):
            if broken_page:
                break_page(fleet, broken_page)
            out = StringIO()
            with suppress(IncompleteListError):
                singer_tap.sync(iris, state, out, batch=400)
            assert json.loads(out.getvalue().splitlines()[0])["type"] == "SCHEMA"
            records, state = self.target(out.getvalue(), state)
            saved += records
            assert len(saved) < MACHINES or broken_page is None
        assert saved == list(fleet.asset_ids)
        assert state == {"bookmarks": {"assets": {}}}

    def test_a_sync_of_a_changed_list_is_refused_once_and_then_starts_over(
        self, iris: IrisSession, fleet: Sandbox
    ) -> None:
        out = StringIO()
        break_page(fleet, 3)
        with pytest.raises(IncompleteListError):
            singer_tap.sync(iris, {}, out)
        _, state = self.target(out.getvalue(), {})
        fleet.machines = MACHINES - 100
        refused, whole = StringIO(), StringIO()
        with pytest.raises(IncompleteListError, match="the list has changed since the resume"):
            singer_tap.sync(iris, state, refused)
        records, state = self.target(refused.getvalue(), state)
        assert (records, state) == ([], {"bookmarks": {"assets": {}}})
        singer_tap.sync(iris, state, whole)
        assert self.target(whole.getvalue(), state)[0] == list(fleet.asset_ids)

    def test_a_whole_sync_starts_the_next_sync_from_the_beginning(
        self, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
    ) -> None:
        fleet.machines = 3
        for name, value in fleet.environ.items():
            monkeypatch.setenv(name, value)
        state = tmp_path / "state.json"
        state.write_text("{}")
        for _ in range(2):
            singer_tap.main(["--state", str(state)])
            records, value = self.target(capsys.readouterr().out, {})
            assert records == list(fleet.asset_ids)
            state.write_text(json.dumps(value))
