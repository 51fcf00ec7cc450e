"""`requests-iris demo`: what it shows, and its exit status."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from requests_iris.cli import main
from requests_iris.cli.demo import ASSETS, Demo
from requests_iris.sandbox import Fault, Sandbox

from .run import run


def demonstrate(sandbox: Sandbox, pause: Callable[[float], object] | None = None, **console) -> str:
    """Runs the demo on `sandbox`. Returns the output of the demo, or raises the exception.

    Tokens expire only while the demo waits for their end, even on a slow machine.
    """
    file = io.StringIO()
    screen = Console(file=file, soft_wrap=True, highlight=False, **console)
    Demo(sandbox, screen, pace=0, pause=pause or expiring(sandbox)).run()
    return file.getvalue()


def expiring(sandbox: Sandbox) -> Callable[[float], object]:
    return lambda seconds: sandbox.expire_access_tokens()


@pytest.fixture
def small():
    """A sandbox with few machines."""
    with Sandbox(machines=30) as sandbox:
        yield sandbox


class TestDemo:
    def test_demo_shows_that_tokens_expire_and_are_renewed_and_no_machine_is_missing(self):
        result = run("demo", "--machines", "35", "--token-lifetime", "1")
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        lines = iter(result.stdout.splitlines())
        for step in (
            r"A local IRIS with 35 machines is at https://[\d.:]+; its tokens expire in 1 s\.",
            r"Signed in by the password grant: .* scope 'api offline_access', expires in 1 s\.",
            r"Page 1 of 9: 4 machines so far\.",
            r"Waiting [\d.]+ s for the token to expire",
            r"Expired: the API answers token \w{8} with 401\.",
            r"Renewed by the refresh_token grant: ",
            r"Expired: ",
            r"Renewed by the refresh_token grant: ",
            r"Page 9 of 9: 35 machines so far\.",
            # on a slow machine more tokens expire
            r"Token calls: \d+ \(1 password, \d+ refresh_token\)\. API calls: \d+ \(\d+ with ",
            r"Done: 35 machines, none is missing and none came twice\.",
        ):
            assert any(re.match(step, line) for line in lines), step

    def test_a_log_of_the_demo_has_no_control_characters(self, small):
        assert not re.search(r"[^\n\x20-\x7e]", demonstrate(small))

    def test_a_terminal_gets_a_bar_and_no_lines_for_pages(self, small):
        shown = demonstrate(small, force_terminal=True, width=100)
        assert "10/10" in shown
        assert "machines so far" not in shown
        assert "Renewed by the refresh_token grant" in shown

    def test_demo_shows_no_secret(self, small):
        shown = demonstrate(small)
        settings = small.settings
        secrets = settings["password"], settings["client_secret"], small.refresh_token
        assert not [secret for secret in (*secrets, *small.issued) if secret in shown]

    def test_a_list_without_one_machine_is_a_failure(self, small):
        content = {"content": [{"id": one} for one in small.asset_ids[:2]]}
        small.inject(Fault(reply=content), on="api", path=ASSETS)
        with pytest.raises(click.ClickException, match="1 missing, 0 too many") as failure:
            demonstrate(small)
        assert failure.value.exit_code != 0

    def test_a_doubled_machine_is_a_failure(self, small):
        content = {"content": [{"id": one} for one in (*small.asset_ids[:3], small.asset_ids[0])]}
        small.inject(Fault(reply=content), on="api", path=ASSETS)
        with pytest.raises(click.ClickException, match="0 missing, 1 too many"):
            demonstrate(small)

    def test_a_token_that_is_not_renewed_is_a_failure(self, small):
        """The API refuses the old token once, and accepts the same token afterwards."""
        fault = Fault(status=401)
        pause = lambda seconds: small.inject(fault, on="api", path=ASSETS)  # noqa: E731
        with pytest.raises(click.ClickException, match="No token was renewed"):
            demonstrate(small, pause)

    def test_an_error_of_the_session_is_one_line_of_the_demo(self, small):
        small.inject(Fault(status=400, body={"error": "invalid_grant"}), on="token")
        with pytest.raises(
            click.ClickException, match=r"^The list could not be read: .*invalid_grant"
        ):
            demonstrate(small)

    def test_settings_and_proxies_of_the_user_do_not_disturb_the_demo(self, tmp_path):
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
    def test_options_that_show_no_renewal_are_refused(self, option):
        assert CliRunner().invoke(main, ["demo", option]).exit_code == 2
