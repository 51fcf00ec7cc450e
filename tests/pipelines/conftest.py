"""What the pipelines share: other projects' programs, which the environment leads to a sandbox."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from requests_iris.sandbox import Sandbox

#: The files that users copy.
EXAMPLES = Path(__file__).parents[2] / "examples"
#: Seconds after which a program is taken for stuck.
STUCK = 120


@pytest.fixture
def fleet(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """A sandbox for all processes that are started from here, and a token store besides."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACKUNIT_TOKEN_STORE", str(tmp_path / "iris" / "token.json"))
    return sandbox


def output_of(*command: str, cwd: Path) -> str:
    """The output of a program. Fails if the program fails or takes too long."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, **streams, encoding="utf-8", timeout=STUCK, cwd=cwd)
    assert done.returncode == 0, done.stdout
    return done.stdout


def assert_one_token_for_all(fleet: Sandbox, output: str) -> None:
    """One token request, each asset read once and its list too, and no secret told."""
    assert (fleet.count("token"), fleet.count("password")) == (1, 1)
    assert fleet.count("api") == fleet.count("api", 200) == len(fleet.asset_ids) + 1
    secrets = [fleet.settings["password"], fleet.settings["client_secret"], fleet.refresh_token]
    assert not [secret for secret in (*secrets, *fleet.issued) if secret in output]
