"""`requests-iris sandbox`: the output for a shell, and the end of the command."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest
import requests

from requests_iris.cli.demo import ASSETS

from ..support.pages import DOCS
from ..support.paths import EVENTS, EVENTS_BODY
from .run import run, started

PAGE = DOCS / "howto" / "test-without-an-account.rst"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_sandbox_prints_variables_serves_and_stops_at_a_signal(stop):
    arguments = ["sandbox", "--token-lifetime", "7", "--machines", "3", "--quotas"]
    with started(*arguments) as process:
        variables = dict(exported(process.stdout.readline()) for _ in range(9))
        token = ask_for_token(variables)
        statuses = [ask_for_events(variables, token) for _ in range(3)]
        process.send_signal(stop)
        rest, errors = process.communicate()
    assert token["expires_in"] == 7
    assert statuses == [200, 200, 429]
    assert process.returncode == 0
    assert rest == ""
    assert errors == "Serving 3 machines until Ctrl-C.\n"
    assert not os.path.exists(variables["CURL_CA_BUNDLE"])


def test_commands_of_the_manual_reach_the_sandbox_and_leave_no_variables(tmp_path):
    start, use = re.findall(r"^    \$ (.*iris\.env.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    environ = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    shell = {"cwd": tmp_path, "env": environ, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        ["sh", "-c", f"exec {start}"], stderr=subprocess.PIPE, **shell
    ) as sandbox:
        try:
            assert sandbox.stderr.readline() == "Serving 250 machines until Ctrl-C.\n"
            used = subprocess.run(["sh", "-c", f"set -e; {use}; export -p"], timeout=60, **shell)
        finally:
            sandbox.terminate()
    reply, end = json.JSONDecoder().raw_decode(used.stdout)
    assert reply["totalElements"] == 250
    kept = used.stdout[end:]
    assert "PATH" in kept
    assert "TRACKUNIT_" not in kept
    assert "_CA_BUNDLE" not in kept


@pytest.mark.parametrize("prefix", ["TRACKUNIT_", "TRACKUNIT_GQL_"])
def test_sandbox_prints_the_variables_of_the_api_key(prefix):
    arguments = ["--env-prefix", prefix, "sandbox", "--grant", "client_credentials"]
    with started(*arguments) as process:
        variables = dict(exported(process.stdout.readline()) for _ in range(9))
        checked = run("--env-prefix", prefix, "check", "--json", **variables)
        process.send_signal(signal.SIGTERM)
    report = json.loads(checked.stdout)
    assert report["ok"]
    assert (report["grant"], report["expires_in"]) == ("client_credentials", 1200)
    assert f"{prefix}USERNAME" not in variables
    assert report["scope_granted"] == variables[f"{prefix}SCOPE"]


def exported(line: str) -> list[str]:
    export, assignment = shlex.split(line)
    assert export == "export"
    return assignment.split("=", 1)


def ask_for_events(variables: dict[str, str], token: dict[str, str]) -> int:
    """The status of a request to an API with the rate limit of 2 in 30 minutes."""
    return requests.post(
        variables["TRACKUNIT_BASE_URL"] + EVENTS,
        json=EVENTS_BODY,
        headers={"Authorization": f"Bearer {token['access_token']}"},
        verify=variables["CURL_CA_BUNDLE"],
        timeout=60,
    ).status_code


def ask_for_token(variables: dict[str, str]) -> dict:
    assert variables["REQUESTS_CA_BUNDLE"] == variables["CURL_CA_BUNDLE"]
    trackunit = {
        name.removeprefix("TRACKUNIT_").lower(): value for name, value in variables.items()
    }
    form = {
        "grant_type": "password",
        "username": trackunit["username"],
        "password": trackunit["password"],
    }
    client = trackunit["client_id"], trackunit["client_secret"]
    with requests.Session() as session:
        session.verify = variables["REQUESTS_CA_BUNDLE"]
        token = session.post(trackunit["token_url"], data=form, auth=client, timeout=10).json()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        assets = session.get(trackunit["base_url"] + ASSETS, headers=bearer, timeout=10).json()
    assert assets["totalElements"] == 3
    return token


def test_a_port_that_is_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert re.fullmatch(r"Error: The sandbox cannot start: .*in use\n", result.stderr)
