"""`requests-iris check`: the report and the exit status."""

from __future__ import annotations

import json
import re
import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from requests_iris import IrisSession
from requests_iris.cli import main
from requests_iris.cli.check import LOCK_WAIT
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.stores import FileTokenStore

from .run import run


@pytest.fixture
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, with its settings in the environment."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    return sandbox


def check(*options: str) -> Result:
    return CliRunner().invoke(main, ["check", *options])


def report(result: Result) -> dict:
    return json.loads(result.stdout)


def test_good_settings_are_reported_with_scope_lifetime_and_clocks(account: Sandbox) -> None:
    result = check()
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["base_url"] == f"{account.base_url} (not tried)"
    assert lines["result"] == "signed in"
    assert lines["clocks"] == "agree"
    assert "scope granted  api offline_access" in result.stdout
    assert "token lives    3600 s" in result.stdout
    assert "refresh token  yes" in result.stdout
    assert account.count("token") == account.count("password") == 1
    assert account.count("api") == 0


def test_report_can_be_one_json_object(account: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKUNIT_SCOPE", "api")
    told = report(check("--json"))
    assert abs(told.pop("clock_difference")) <= 1
    assert told == {
        "ok": True,
        "base_url": account.base_url,
        "token_url": account.token_url,
        "grant": "password",
        "settings": dict.fromkeys(("client_id", "client_secret", "username", "password"), True),
        "scope_asked": "api",
        "scope_granted": "api",
        "expires_in": 3600,
        "refresh_token": False,
        "token_store": None,
        "store_error": None,
        "quota_store": None,
        "quota_error": None,
        "hosts_error": None,
        "error": None,
        "api": None,
        "api_status": None,
        "api_error": None,
    }


@pytest.mark.parametrize(("hours", "words"), [(3, "ahead of"), (-3, "behind")])
def test_clocks_that_differ_are_reported(account: Sandbox, hours: int, words: str) -> None:
    there = datetime.now(UTC) + timedelta(hours=hours)
    fault = Fault(headers={"Date": format_datetime(there, usegmt=True)})
    account.inject(fault, on="token")
    (line,) = [each for each in check().stdout.splitlines() if each.startswith("clocks")]
    assert f" {words} this one's; check this one's" in line
    account.inject(fault, on="token")
    assert report(check("--json"))["clock_difference"] == pytest.approx(hours * 3600, abs=30)


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Foo 99999 99:99:99 +9999"])
def test_a_response_without_a_date_leaves_the_clocks_out(account: Sandbox, date: str) -> None:
    account.inject(Fault(headers={"Date": date}), on="token")
    result = check()
    assert result.exit_code == 0
    assert "clocks" not in result.stdout


@pytest.mark.parametrize("options", [(), ("--api",)])
def test_base_url_at_no_allowed_host_fails_before_the_api_is_called(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TRACKUNIT_ALLOWED_HOSTS", "other.example")
    result = check(*options)
    assert result.exit_code == 1
    assert result.stdout.endswith(
        "signed in, but 127.0.0.1 is not in allowed_hosts, so requests to base_url carry no token\n"
    )
    assert (account.count("token"), account.count("api")) == (1, 0)
    told = report(check("--json", *options))
    assert (told["ok"], told["api_status"]) == (False, None)
    assert told["hosts_error"] == "127.0.0.1 is not in allowed_hosts"


def test_refused_credentials_end_check_with_status_1(account: Sandbox) -> None:
    account.change_password("another")
    result = check("--json")
    assert result.exit_code == 1
    told = report(result)
    assert not told["ok"]
    assert "invalid_grant" in told["error"]
    assert told["scope_granted"] is told["expires_in"] is None
    assert told["clock_difference"] is not None, "a refusal has a date, too"


def test_check_names_a_missing_setting_and_ends_with_status_2(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRACKUNIT_PASSWORD")
    result = check()
    assert result.exit_code == 2
    assert "password       missing: set TRACKUNIT_PASSWORD" in result.stdout
    assert account.count("token") == 0


def test_a_token_store_that_works_is_reported_and_not_disturbed(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "new" / "token.json"
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", str(place))
    result = check()
    assert result.exit_code == 0
    assert f"token store    FileTokenStore('{place}'): can be read and written" in result.stdout
    with IrisSession() as iris:
        assert iris.get("/echo").ok
    assert account.count("token") == 1, (
        "check stores its token, and its trial touches no other entry"
    )


@pytest.mark.parametrize("obstacle", ["", ".token.json.requests_iris.tmp"], ids=["lock", "save"])
def test_a_token_store_that_fails_is_status_1(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, obstacle: str
) -> None:
    """A file is where the directory should be, or a directory is where the file should be."""
    place = tmp_path / "store" / "token.json"
    if obstacle:
        (place.parent / obstacle).mkdir(parents=True)
    else:
        place.parent.touch()
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", str(place))
    result = check()
    assert result.exit_code == 1
    lines = dict(re.split("  +", line, maxsplit=1) for line in result.stdout.splitlines())
    assert lines["token store"].startswith(f"FileTokenStore('{place}'): ")
    assert lines["token store"].endswith(f"({place.parent / obstacle})")
    assert lines["result"] == "signed in, but the token store fails"
    assert lines["token lives"] == "3600 s"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """The time limits for the lock of a token store in the file `token.json`."""
    waits: list[float] = []

    class Recorder(FileTokenStore):
        def lock(self, key: str, wait: float) -> AbstractContextManager[None]:
            waits.append(wait)
            return super().lock(key, 0)  # no test waits

    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", str(tmp_path / "token.json"))
    monkeypatch.setattr(sys.modules["requests_iris.cli.check"], "open_store", Recorder)
    return waits


def test_check_waits_briefly_for_a_lock_of_another_process(
    account: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    with FileTokenStore(tmp_path / "token.json").lock("any", 5):
        result = check("--json")
    assert waits == [LOCK_WAIT], "the sign-in does not wait for the lock a second time"
    assert result.exit_code == 1
    told = report(result)
    assert told["store_error"] == f"another process held its lock for {LOCK_WAIT:g} s"
    assert told["error"] is None, "the sign-in works without the store"
    assert account.count("token") == 1


def test_check_waits_briefly_for_the_lock_of_the_sign_in_too(
    account: Sandbox, waits: list[float]
) -> None:
    """Another process may take the lock after the trial."""
    assert check().exit_code == 0
    assert len(waits) == 2, "the trial and the sign-in"
    assert max(waits) <= LOCK_WAIT


def test_help_says_how_long_check_waits_for_the_lock() -> None:
    assert f"at most {LOCK_WAIT:g} seconds" in " ".join(check("--help").stdout.split())


HOSTILE = "a\x1b[31m\x9b\u202e\r\nresult         signed in\u2028\x7f\ud800"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, body={"error": HOSTILE, "error_description": HOSTILE}),
        Fault(status=400, body={"error": "invalid_scope", "error_description": HOSTILE}),
        Fault(scope=HOSTILE),
        Fault(reply={"token_type": HOSTILE}),
    ],
    ids=["code", "description", "scope", "type"],
)
def test_text_of_the_server_stays_on_its_line_of_the_report(account: Sandbox, fault: Fault) -> None:
    account.inject(fault, on="token", times=2)
    shown = check().stdout
    names = [line.split("  ")[0] for line in shown.splitlines()]
    assert len(names) == len(set(names)), "no line is forged"
    assert shown.replace("\n", "").isprintable()
    text = check("--json").stdout
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    json.loads(text)


def test_a_token_store_that_cannot_be_reached_is_status_1(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", "redis://:hush@127.0.0.1:9/0")
    result = check("--json")
    assert result.exit_code == 1
    told = report(result)
    assert not told["ok"]
    assert told["token_store"] == "<RedisTokenStore at 127.0.0.1:9>"
    reason = "Redis at 127.0.0.1:9 cannot be used: Connection refused"
    assert (told["store_error"], told["error"]) == (reason, None)
    assert "hush" not in result.output


def test_log_of_check_names_the_reason_why_the_token_store_fails(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", "redis://:hush@127.0.0.1:9/0")
    assert check().exit_code == 1
    assert "Redis at 127.0.0.1:9 cannot be used: Connection refused" in caplog.text
    assert "hush" not in caplog.text


def test_a_refused_token_store_is_status_2_and_names_the_variable(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", "ftp://host/token.json")
    result = check()
    assert result.exit_code == 2
    assert "TRACKUNIT_TOKEN_STORE: token_store must be" in result.stderr


def test_a_setting_that_cannot_be_right_is_status_2(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_URL", "http://example.org/token")
    result = check()
    assert result.exit_code == 2
    assert "token_url must begin with https://" in result.stderr
    result = check("--json")
    assert result.exit_code == 2
    assert not report(result)["ok"]
    assert "token_url must begin with https://" in report(result)["error"]


@pytest.mark.parametrize("command", ["check", "get /api/asset/v1/assets"])
def test_a_missing_extra_of_the_token_store_is_one_line(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", "token.json")
    monkeypatch.setitem(sys.modules, "filelock", None)
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code > 0
    assert 'pip install "requests-iris[file]"' in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_token_endpoint_that_cannot_be_reached_is_status_1(account: Sandbox) -> None:
    result = run("check", TRACKUNIT_TOKEN_URL="https://127.0.0.1:9/token")
    assert result.returncode == 1
    assert "could not be reached" in result.stdout
    assert "Traceback" not in result.stderr


def test_check_prints_no_secret(account: Sandbox) -> None:
    shown = check().output + check("--json").output
    account.change_password("another")
    shown += check().output
    settings = account.settings
    secrets = [settings[name] for name in ("client_id", "client_secret", "username", "password")]
    assert not [each for each in (*secrets, *account.issued) if each in shown]
    assert account.refresh_token not in shown


class TestApi:
    """`check --api` makes one request to the API."""

    def rows(self, result: Result) -> dict[str, str]:
        return dict(re.split("  +", line, maxsplit=1) for line in result.stdout.splitlines())

    @pytest.mark.parametrize(
        ("arguments", "path", "query"),
        [
            (["--api"], "/api/asset/v1/assets", "size=1"),
            (["--api", "/public/api/operator/operators?limit=1"], None, "limit=1"),
            (["--api=/public/api/aemp/v2/15143/-3/Fleet/1"], None, ""),
        ],
    )
    def test_call_of_the_api_costs_one_request(
        self, account: Sandbox, arguments: list[str], path: str | None, query: str
    ) -> None:
        result = check(*arguments)
        assert result.exit_code == 0, result.output
        (call,) = account.seen[1:]
        assert (call.method, call.query) == ("GET", query)
        assert path in (None, call.path)
        rows = self.rows(result)
        assert rows["base_url"] == account.base_url
        assert rows["api"].endswith(": 200")
        assert rows["result"] == "signed in, and the API can be read"

    @pytest.mark.parametrize(
        ("status", "words", "requests"),
        [
            (401, "The API does not accept the token", 2),
            (403, "lacks the right for the path", 1),
            (404, "base_url has no such path", 1),
            (429, "the rate limit of the path is used up", 1),
            (503, "The server failed. Try again later", 1),
            (400, "The API does not take the request", 1),
        ],
    )
    def test_status_of_the_api_is_explained_and_is_exit_status_1(
        self, account: Sandbox, status: int, words: str, requests: int
    ) -> None:
        body = {"code": "odd_code", "message": "hello\x1b"}
        account.inject(Fault(status=status, body=body), on="api", times=99)
        result = check("--api", "--json")
        assert result.exit_code == 1
        assert account.count("api") == requests, "no retry, which would cost another request"
        told = report(result)
        assert (told["ok"], told["error"], told["api_status"]) == (False, None, status)
        assert told["api"] == "/api/asset/v1/assets?size=1"
        assert words in told["api_error"]
        assert "odd_code" in told["api_error"]
        rows = self.rows(check("--api"))
        assert rows["api"] == f"/api/asset/v1/assets?size=1: {status}"
        assert rows["result"] == f"signed in, but {told['api_error']}"

    def test_api_without_a_response_is_exit_status_1(self, account: Sandbox) -> None:
        account.inject(Fault(drop="before"), on="api", times=99)
        result = check("--api")
        assert result.exit_code == 1
        assert account.count("api") == 1
        assert self.rows(result)["api"].endswith(": no response")
        assert "signed in, but the API could not be read: " in result.stdout

    def test_api_is_not_called_if_the_sign_in_fails(self, account: Sandbox) -> None:
        account.change_password("another")
        result = check("--api")
        assert result.exit_code == 1
        assert account.count("api") == 0
        assert self.rows(result)["api"].endswith(": not called")

    @pytest.mark.parametrize("path", ["https://other.example/x", "assets", "//host/x"])
    def test_url_of_another_host_is_refused_because_it_would_see_no_token(
        self, account: Sandbox, path: str
    ) -> None:
        result = check("--api", path)
        assert result.exit_code == 2
        assert "must begin with one slash" in result.stderr
        assert account.seen == ()

    def test_report_of_a_rejected_token_has_no_secret(self, account: Sandbox) -> None:
        account.inject(Fault(status=401, body={"code": "x"}), on="api", times=9)
        shown = check("--api").output + check("--api", "--json").output
        secrets = [account.settings[name] for name in ("client_id", "client_secret", "password")]
        assert not [each for each in (*secrets, *account.issued) if each in shown]


@pytest.fixture
def key_account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, with the API key in variables with a prefix, and an API User beside it."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    for name, value in sandbox.key_environ.items():
        monkeypatch.setenv(name.replace("TRACKUNIT_", "TRACKUNIT_GQL_"), value)
    monkeypatch.delenv("TRACKUNIT_GQL_GRANT_TYPE")
    return sandbox


def with_prefix(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["--env-prefix", "TRACKUNIT_GQL_", *arguments])


def test_api_key_is_reported_with_grant_scopes_and_lifetime(key_account: Sandbox) -> None:
    result = with_prefix("check")
    assert result.exit_code == 0
    lines = dict(re.split("  +", line, maxsplit=1) for line in result.stdout.splitlines())
    assert lines["grant"] == "client_credentials"
    assert lines["scope granted"] == key_account.key_settings["scope"]
    assert lines["token lives"] == "1200 s"
    assert lines["refresh token"] == "no"
    assert lines["scope"] == "set"
    assert "username" not in lines
    told = report(with_prefix("check", "--json"))
    assert told["grant"] == "client_credentials"
    assert told["settings"] == dict.fromkeys(("client_id", "client_secret", "scope"), True)
    assert key_account.count("token") == key_account.count("client_credentials") == 2
    secret = key_account.key_settings["client_secret"]
    assert not [text for text in (secret, *key_account.issued) if text in result.output]


def test_missing_scope_of_a_key_is_named_with_its_prefix_and_status_2(
    key_account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKUNIT_GQL_GRANT_TYPE", "client_credentials")
    monkeypatch.delenv("TRACKUNIT_GQL_SCOPE")
    result = with_prefix("check")
    assert result.exit_code == 2
    assert "scope          missing: set TRACKUNIT_GQL_SCOPE" in result.stdout
    assert key_account.count("token") == 0


def test_token_store_of_the_prefix_is_tried(
    key_account: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRACKUNIT_GQL_TOKEN_STORE", str(tmp_path / "token.json"))
    assert "can be read and written" in with_prefix("check").stdout
    assert (tmp_path / "token.json").exists()


def test_get_reads_with_the_variables_of_the_prefix(key_account: Sandbox) -> None:
    result = with_prefix("get", "/api/asset/v1/assets", "-p", "size=1")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["totalElements"] == 250
    assert key_account.count("client_credentials") == key_account.count("token") == 1


def test_help_of_check_has_an_example() -> None:
    assert "requests-iris check &&" in check("--help").stdout
