"""`requests-iris demo`: what it shows, and its exit status."""

from __future__ import annotations

import io
import re

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from requests_iris.cli import main
from requests_iris.cli.demo import ASSETS, Demo
from requests_iris.sandbox import Fault, Sandbox

from .run import run


def demonstrate(sandbox: Sandbox, kind: type[Demo] = Demo, **console) -> str:
    """Runs the demo on this sandbox, and returns what it showed, or raises what it raised."""
    file = io.StringIO()
    kind(sandbox, Console(file=file, soft_wrap=True, highlight=False, **console), pace=0).run()
    return file.getvalue()


@pytest.fixture
def brief():
    """A sandbox whose tokens end so soon that a demo is over in a moment."""
    with Sandbox(machines=30, token_lifetime=0.5) as sandbox:
        yield sandbox


class TestDemo:
    def test_it_shows_a_token_expire_and_be_renewed_and_the_list_be_complete(self):
        result = run("demo", "--machines", "35", "--token-lifetime", "1")
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        lines = iter(result.stdout.splitlines())
        for step in (
            r"A local IRIS with 35 machines is at https://127.0.0.1:\d+; its tokens live 1 s\.",
            r"Signed in by the password grant: .* scope 'api offline_access', good for 1 s\.",
            r"Page 1 of 9: 4 machines so far\.",
            r"Waiting [\d.]+ s for the token to expire",
            r"Expired: the API answers token \w{8} with 401\.",
            r"Renewed by the refresh_token grant: ",
            r"Expired: ",
            r"Renewed by the refresh_token grant: ",
            r"Page 9 of 9: 35 machines so far\.",
            # a slow machine outlives more tokens
            r"Token calls: \d+ \(1 password, \d+ refresh_token\)\. API calls: \d+ \(\d+ answered ",
            r"Done: 35 machines, none is missing and none came twice\.",
        ):
            assert any(re.match(step, line) for line in lines), step

    def test_in_a_log_there_are_no_control_characters(self, brief):
        assert not re.search(r"[^\n\x20-\x7e]", demonstrate(brief))

    def test_in_a_terminal_there_is_a_bar_in_place_of_the_page_lines(self, brief):
        shown = demonstrate(brief, force_terminal=True, width=100)
        assert "10/10" in shown
        assert "machines so far" not in shown
        assert "Renewed by the refresh_token grant" in shown

    def test_it_shows_no_secret(self, brief):
        shown = demonstrate(brief)
        settings = brief.settings
        secrets = settings["password"], settings["client_secret"], brief.refresh_token
        assert not [secret for secret in (*secrets, *brief.issued) if secret in shown]

    def test_a_missing_machine_is_a_failure(self, brief):
        content = {"content": [{"id": one} for one in brief.asset_ids[:2]]}
        brief.inject(Fault(reply=content), on="api", path=ASSETS)
        with pytest.raises(click.ClickException, match="1 missing, 0 too many") as failure:
            demonstrate(brief)
        assert failure.value.exit_code != 0

    def test_a_doubled_machine_is_a_failure(self, brief):
        content = {"content": [{"id": one} for one in (*brief.asset_ids[:3], brief.asset_ids[0])]}
        brief.inject(Fault(reply=content), on="api", path=ASSETS)
        with pytest.raises(click.ClickException, match="0 missing, 1 too many"):
            demonstrate(brief)

    def test_no_renewal_is_a_failure(self, brief):
        class Hasty(Demo):
            def _outlive_token(self, iris):
                """Goes on at once."""

        brief.token_lifetime = 3600
        with pytest.raises(click.ClickException, match="No token was renewed"):
            demonstrate(brief, Hasty)

    def test_an_error_of_the_session_is_one_line(self, brief):
        brief.inject(Fault(status=400, body={"error": "invalid_grant"}), on="token")
        with pytest.raises(
            click.ClickException, match=r"^The walk has ended early: .*invalid_grant"
        ):
            demonstrate(brief)

    def test_settings_of_the_caller_do_not_disturb(self, tmp_path):
        nowhere = str(tmp_path / "nothing")
        result = run(
            *("demo", "--machines", "3", "--token-lifetime", "0.5"),
            REQUESTS_CA_BUNDLE=nowhere,
            CURL_CA_BUNDLE=nowhere,
            HTTPS_PROXY="http://127.0.0.1:9",
            TRACKUNIT_BASE_URL="https://127.0.0.1:9",
            TRACKUNIT_TOKEN_URL="https://127.0.0.1:9/token",
            TRACKUNIT_SCOPE="all",
            TRACKUNIT_PASSWORD="wrong",
        )
        assert result.returncode == 0, result.stderr

    @pytest.mark.parametrize("option", ["--machines=2", "--token-lifetime=0", "--machines=x"])
    def test_what_it_cannot_show_is_refused(self, option):
        assert CliRunner().invoke(main, ["demo", option]).exit_code == 2
