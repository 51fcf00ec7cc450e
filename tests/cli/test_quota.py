"""`requests-iris quota`: a table of what is left, without a call of IRIS."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from requests_iris import IrisSession
from requests_iris.cli import main
from requests_iris.sandbox import Sandbox

from ..support.paths import ASSETS, EVENTS, EVENTS_BODY, FLEET

PAGE = f"{FLEET}/1"


@pytest.fixture
def used(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A quota store on disk, after a few requests."""
    place = tmp_path / "quota.db"
    for name, value in {**sandbox.environ, "TRACKUNIT_QUOTA": str(place)}.items():
        monkeypatch.setenv(name, value)
    with IrisSession() as iris:
        assert iris.get(PAGE).ok
        assert iris.post(EVENTS, json=EVENTS_BODY).ok
        assert iris.get(ASSETS).ok
    sandbox.forget()
    return place


def quota(*words: str, prefix: str | None = None) -> Result:
    options = [] if prefix is None else ["--env-prefix", prefix]
    return CliRunner().invoke(main, [*options, "quota", *words])


def table(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()]


def test_the_table_has_each_used_rule_and_nothing_is_sent(used, sandbox) -> None:
    head, *rows = table(quota())
    assert head == ["rule", "requests", "used", "left", "pool left", "free again at"]
    assert [row[:5] for row in rows] == [
        ["AEMP fleet page", PAGE, "1", "0", "50"],
        ["asset events", "all", "1", "1", "0"],
    ]
    free_at = datetime.strptime(rows[0][5][:19], "%Y-%m-%d %H:%M:%S").timestamp()
    assert 880 < free_at - time.time() < 905
    assert rows[1][5] == "now"
    assert sandbox.seen == ()


@pytest.mark.parametrize(
    ("words", "row"),
    [
        ([PAGE], ["AEMP fleet page", PAGE, "1", "0", "50"]),
        ([f"{FLEET}/2"], ["AEMP fleet page", f"{FLEET}/2", "0", "1", "50", "now"]),
        ([EVENTS, "-X", "post"], ["asset events", EVENTS, "1", "1", "0", "now"]),
    ],
)
def test_a_url_shows_its_own_rule(used, sandbox, words, row) -> None:
    _, found = table(quota(*words))
    assert found[: len(row)] == row
    _, whole = table(quota(sandbox.base_url + words[0], *words[1:]))
    assert whole[2:5] == row[2:5]
    assert sandbox.seen == ()


@pytest.mark.parametrize("url", [ASSETS, f"https://example.org{PAGE}"])
def test_a_url_without_a_rule_is_named_as_free(used, url) -> None:
    assert quota(url).stdout == "No rate limit holds for this request.\n"


def test_quota_json_has_each_limit_with_its_numbers_and_times(used, sandbox) -> None:
    told: dict[str, Any] = json.loads(quota("--json").stdout)
    assert str(used) in told["store"]
    page, events = told["limits"]
    assert 880 < page.pop("retry_after") <= 900
    assert 870 < datetime.fromisoformat(page.pop("free_at")).timestamp() - time.time() < 905
    assert page == {
        "rule": "AEMP fleet page",
        "requests": PAGE,
        "limit": 1,
        "used": 1,
        "remaining": 0,
        "pool_remaining": 50,
    }
    assert (events["used"], events["retry_after"]) == (1, 0)
    assert json.loads(quota(ASSETS, "--json").stdout)["limits"] == []
    assert sandbox.seen == ()


def test_a_user_sees_the_own_slots_only(used, monkeypatch) -> None:
    monkeypatch.setenv("TRACKUNIT_USERNAME", "somebody else")
    assert "this user has used no rate limit" in quota().stdout


def test_quota_is_shown_without_credentials(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TRACKUNIT_QUOTA", str(tmp_path / "quota.db"))
    assert table(quota(PAGE))[1][2:] == ["0", "1", "50", "now"]


def test_a_prefix_selects_the_variable_of_the_quota(used, monkeypatch) -> None:
    result = quota(prefix="ACME_")
    assert (result.exit_code, "ACME_QUOTA" in result.stderr) == (2, True)
    monkeypatch.setenv("ACME_QUOTA", str(used))
    assert "no rate limit" in quota(prefix="ACME_").stdout


def test_a_store_that_cannot_be_read_is_status_1_in_one_line(used, tmp_path, monkeypatch) -> None:
    (tmp_path / "no-directory").write_text("x")
    monkeypatch.setenv("TRACKUNIT_QUOTA", str(tmp_path / "no-directory" / "quota.db"))
    result = quota()
    assert result.exit_code == 1
    assert re.match("Error: The quota store cannot be read: .+\n$", result.stderr)


def test_a_bad_quota_setting_is_status_2_and_names_the_variable(monkeypatch) -> None:
    monkeypatch.setenv("TRACKUNIT_QUOTA", "https://example.org/")
    result = quota()
    assert (result.exit_code, "TRACKUNIT_QUOTA" in result.stderr) == (2, True)


def test_check_mentions_the_quota_store(used, sandbox, tmp_path, monkeypatch) -> None:
    shown = CliRunner().invoke(main, ["check"])
    assert shown.exit_code == 0
    assert re.search(rf"^quota store +.*{re.escape(str(used))}.*: can be read$", shown.stdout, re.M)
    (tmp_path / "no-directory").write_text("x")
    monkeypatch.setenv("TRACKUNIT_QUOTA", str(tmp_path / "no-directory" / "quota.db"))
    shown = CliRunner().invoke(main, ["check"])
    assert shown.exit_code == 1
    assert "signed in, but the quota store fails" in shown.stdout
    told = json.loads(CliRunner().invoke(main, ["check", "--json"]).stdout)
    assert (told["ok"], bool(told["quota_error"])) == (False, True)
    assert sandbox.count("api") == 0
