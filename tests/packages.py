"""Builds the wheel or the source distribution, and tries it as somebody who has nothing else.

python -m tests.packages wheel
python -m tests.packages sdist [pytest's arguments]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What to run with the wheel alone, and what it must print or complain about.
TRIALS = (
    ("import requests_iris; print(requests_iris.__version__)", "0."),
    ("from requests_iris import *; print(IrisSession().counters['password'])", "0"),
    ("from requests_iris import IrisSession; IrisSession().get('/x')", "TRACKUNIT_CLIENT_ID"),
    ("import requests_iris.sandbox", 'needs trustme: pip install "requests-iris[sandbox]"'),
    ("import requests_iris.cli", 'needs click: pip install "requests-iris[cli]"'),
    (
        "import runpy; runpy.run_module('requests_iris', run_name='__main__')",
        'needs click: pip install "requests-iris[cli]"',
    ),
)


def main() -> int:
    kind, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        package = build(kind, Path(directory))
        python = new_environment(Path(directory) / "venv")
        if kind == "wheel":
            return try_wheel(python, package)
        return run_tests(python, unpack(package), arguments)


def build(kind: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--outdir", directory, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (package,) = directory.glob("requests_iris-*")
    return package


def new_environment(directory: Path) -> Path:
    venv.create(directory, with_pip=True)
    return directory / ("Scripts" if os.name == "nt" else "bin") / "python"


def try_wheel(python: Path, wheel: Path) -> int:
    install(python, wheel)
    script = python.with_name("requests-iris")
    trials = [(*("-I", "-c", code), expected) for code, expected in TRIALS]
    wrong = 0
    for *arguments, expected in [*trials, (script, "demo", 'pip install "requests-iris[cli]"')]:
        result = subprocess.run(
            [python, *arguments], capture_output=True, text=True, cwd=wheel.parent, timeout=60
        )
        holds = expected in result.stdout + result.stderr
        wrong += not holds
        print("ok  " if holds else f"FAIL\n{result.stdout}{result.stderr}\n    ", arguments[-1])
    return 1 if wrong else 0


def unpack(sdist: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


def run_tests(python: Path, source: Path, arguments: list[str]) -> int:
    """All of the tests that `tox -e py` runs, where there is nothing but what was unpacked."""
    install(python, f"{source}[test]")
    return subprocess.run([python, "-m", "pytest", "-q", *arguments], cwd=source).returncode


def install(python: Path, package: Path | str) -> None:
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, package], check=True)


if __name__ == "__main__":
    sys.exit(main())
