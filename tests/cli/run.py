"""Runs the command line in a process of its own, as a shell does."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

COMMAND = [sys.executable, "-m", "requests_iris"]


SHELL = ["sh", "-c"]


def run_in_shell(
    redirected: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as in ``requests-iris … >&-``.

    :param redirected: a shell command in which ``$iris`` stands for ``requests-iris`` with its
        arguments.
    """
    words = shlex.join([*COMMAND, *arguments])
    return run(command=[*SHELL, redirected.replace("$iris", words)], **variables)


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
