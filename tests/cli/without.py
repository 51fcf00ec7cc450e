"""Runs command lines, in one new interpreter, as if some packages were not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from subprocess import CompletedProcess

PROGRAM = """
import contextlib, io, json, os, runpy, sys

packages, commands = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(packages))
results = []
for arguments, store in commands:
    sys.argv = ["requests-iris", *arguments]
    os.environ["TRACKUNIT_TOKEN_STORE"] = store
    status = 0
    with (
        contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        try:
            runpy.run_module("requests_iris", None, "__main__")
        except SystemExit as end:
            status = end.code
    if isinstance(status, str):  # as Python does at exit
        errors.write(status + "\\n")
        status = 1
    results.append((status or 0, output.getvalue(), errors.getvalue()))
print(json.dumps(results))
"""


def run_without(
    packages: Sequence[str], *commands: tuple[Sequence[str], str]
) -> list[CompletedProcess[str]]:
    """Run command lines, each with a value of TRACKUNIT_TOKEN_STORE."""
    order = json.dumps([packages, commands])
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=order, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    results = zip(commands, json.loads(done.stdout), strict=True)
    return [CompletedProcess(arguments, *result) for (arguments, _), result in results]
