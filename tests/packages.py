"""Builds the wheel or the source distribution, and tries the package in an empty environment.

For the wheel, this program also checks the README.

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

#: Programs for the wheel without extras, with the exit status and a part of the output.
TRIALS = (
    ("import requests_iris; print('has', requests_iris.__name__)", 0, "has requests_iris"),
    ("from requests_iris import *; print(IrisSession().counters)", 0, "{'password': 0,"),
    ("from requests_iris import *; IrisSession().get('/x')", 1, "TRACKUNIT_USERNAME"),
    ("import requests_iris.sandbox", 1, 'needs trustme: pip install "requests-iris[sandbox]"'),
    ("import requests_iris.cli", 1, 'needs click and rich: pip install "requests-iris[cli]"'),
)


def main() -> int:
    kind, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        package = build(kind, Path(directory))
        python = new_environment(Path(directory) / "venv")
        if kind == "wheel":
            check_readme(Path(directory))
            return try_wheel(python, package)
        return run_tests(python, unpack(package), arguments)


def build(kind: str, directory: Path) -> Path:
    """Build the wheel from the source distribution: a clone may have leftovers of older builds."""
    command = [sys.executable, "-m", "build", "--outdir", directory, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (package,) = directory.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return package


def check_readme(directory: Path) -> None:
    """Whether the package index can render the README of the built packages."""
    twine = [sys.executable, "-m", "twine", "check", "--strict"]
    subprocess.run([*twine, *directory.glob("*.whl"), *directory.glob("*.tar.gz")], check=True)


def new_environment(directory: Path) -> Path:
    venv.create(directory, with_pip=True)
    return directory / ("Scripts" if os.name == "nt" else "bin") / "python"


def try_wheel(python: Path, wheel: Path) -> int:
    """Run the trials and the command, and print the failures."""
    install(python, wheel)
    trials = [((python, "-I", "-c", code), status, text) for code, status, text in TRIALS]
    command = (python.with_name("requests-iris"), "demo")
    wrong = 0
    for arguments, status, text in [*trials, (command, 1, '"requests-iris[cli,sandbox]"')]:
        result = subprocess.run(arguments, capture_output=True, text=True, cwd=wheel.parent)
        output = result.stdout + result.stderr
        holds = result.returncode == status and text in output
        wrong += not holds
        print(*arguments[1:], "..." if holds else f"\n{output}", "ok" if holds else "FAILED")
    return 1 if wrong else 0


def unpack(sdist: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


def run_tests(python: Path, source: Path, arguments: list[str]) -> int:
    """Run all tests of `tox -e py` in the unpacked source distribution."""
    install(python, f"{source}[test]")
    return subprocess.run([python, "-m", "pytest", "-q", *arguments], cwd=source).returncode


def install(python: Path, package: Path | str) -> None:
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, package], check=True)


if __name__ == "__main__":
    sys.exit(main())
