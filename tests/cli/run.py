"""Runs the command line in a process of its own, as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

COMMAND = [sys.executable, "-m", "requests_iris"]


def run(
    *arguments: str, command: Sequence[str] = COMMAND, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )
