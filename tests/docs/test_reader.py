"""The reader of pages finds every mistake on a page. Without these tests a page could be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.iris_hosts import iris_hosts
from ..support.pages import Reader

ASSETS = "/api/asset/v1/assets"


@pytest.fixture
def read(monkeypatch, tmp_path: Path):
    """Reads a page with the given text."""

    def read(text: str) -> None:
        page = tmp_path / "page.rst"
        page.write_text(text, "utf-8")
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path / "folder")
        with iris_hosts(monkeypatch, machines=3) as sandbox, Reader(page, sandbox) as reader:
            reader.read()

    return read


def block(language: str, *lines: str, caption: str = "") -> str:
    option = [f"    :caption: {caption}"] if caption else []
    indented = [f"    {line}" for line in lines]
    return "\n".join([f".. code-block:: {language}", *option, "", *indented, "", ""])


GOOD_PAGES = {
    "blocks share their names": block("python", "x = 1") + block("pycon", ">>> x", "1"),
    "hidden code sees the names": block("python", "x = 1")
    + ".. hidden\n    assert page['x'] == 1 and sandbox.machines == 3\n",
    "a marked block is not run": ".. not run: no reason\n" + block("python", "raise OSError"),
    "a file runs": block("python", "print('a')", caption="a.py")
    + block("console", "$ python a.py", "a"),
    "Ctrl-C ends a program": block("python", "while True: print(1)", caption="a.py")
    + block("console", "$ python a.py", "1", "1", "^C"),
    "a command reads from IRIS": block(
        "console",
        f"$ requests-iris get {ASSETS} --all \\",
        "      -o a.csv",
        "$ cat a.csv",
        "id,...",
    ),
    "a variable is set": block("console", "$ export A='b c'", '$ echo "$A"', "b c"),
    "variables hold for a single command": block(
        "python", "import os", "print(os.environ.get('A'), os.environ.get('B'))", caption="a.py"
    )
    + block("console", "$ echo 1 > b", '$ A="$(cat b)" B=2 python a.py', "1 2")
    + block("console", "$ python a.py", "None None"),
    "a sandbox runs in a second terminal": block(
        "console", "$ requests-iris sandbox --machines 7 > iris.env", "$ . ./iris.env"
    )
    + block("pycon", ">>> import os", ">>> os.environ['TRACKUNIT_BASE_URL']", "'https://127.0..."),
    "tests pass": block(
        "python", "def test_it(iris_session):", f"    iris_session.get('{ASSETS}')"
    ),
}


@pytest.mark.parametrize("text", GOOD_PAGES.values(), ids=GOOD_PAGES)
def test_a_page_that_tells_the_truth_passes(text: str, read) -> None:
    read(text)


BAD_PAGES = {
    "Python that fails": (block("python", "1 / 0"), "division by zero"),
    "a wrong value": (block("pycon", ">>> 1", "2"), "Expected:"),
    "a command that fails": (block("console", "$ requests-iris get /nowhere"), "404"),
    "a wrong output": (block("console", "$ echo a", "b"), r"\$ echo a\s+a\s"),
    "an output that is too short": (
        block("python", "print(1)", caption="a.py")
        + block("console", "$ python a.py", "1", "1", "^C"),
        r"\$ python a\.py\s+1\s",
    ),
    "a file that fails": (
        block("python", "1 / 0", caption="a.py") + block("console", "$ python a.py"),
        "division by zero",
    ),
    "hidden code that fails": (".. hidden\n    assert page['x']\n", "'x'"),
    "a test that fails": (block("python", "def test_it():", "    assert 0"), "assert 0"),
}


@pytest.mark.parametrize(("text", "told"), BAD_PAGES.values(), ids=BAD_PAGES)
def test_a_page_with_a_mistake_fails(text: str, told: str, read) -> None:
    with pytest.raises((AssertionError, ArithmeticError, KeyError), match=told):
        read(text)
