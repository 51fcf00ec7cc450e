"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from requests_iris import __version__

from .run import run


def test_it_tells_its_version():
    assert run("--version").stdout == f"requests-iris, version {__version__}\n"


@pytest.mark.parametrize(
    ("missing", "extra"), [("click", "cli"), ("rich", "cli"), ("trustme", "sandbox")]
)
def test_without_an_extra_one_line_names_it(missing, extra):
    code = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; "
        "sys.argv = ['requests-iris', 'demo']; runpy.run_module('requests_iris', None, '__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert f'needs {missing}: pip install "requests-iris[{extra}]"' in result.stderr
