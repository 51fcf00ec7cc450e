"""The blocks of code on a page of documentation, and a reader who types them.

A page is an RST file. A reader types the blocks of Python and of the shell in their order, in one
interpreter and one folder. A block with a ``:caption:`` is a file of that name. Two comments, which
a built page does not show, direct the reader:

``.. hidden`` with indented Python below: runs at this place, with ``sandbox`` (the local IRIS),
``page`` (the names that the blocks have defined) and ``logged`` (the messages of our logger).

``.. not run: the reason`` right before a block: the block cannot be run, and `test_pages.py` counts
such blocks.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import logging
import os
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from requests_iris.cli import main
from requests_iris.sandbox import Sandbox

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.rst"
DOCS = ROOT / "docs"

BLOCK = re.compile(
    r"(?:^\.\. not run: (?P<reason>.+)\n)?"
    r"^\.\. (?:(?P<hidden>hidden)|code-block:: (?P<language>\w+))\n"
    r"(?P<options>(?:    :.*\n)*)\n?"
    r"(?P<text>(?:    .*\n|\n)+)",
    re.MULTILINE,
)
#: The languages of blocks that a reader types.
TYPED = {"python", "pycon", "console"}
#: In expected output, ``...`` stands for any text.
ANYTHING = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


#: Variables for a single command, before the command.
FOR_THE_COMMAND = re.compile(r'(?:[A-Z_]+=(?:"[^"]*"|\S+) +)+')

#: A program that prints the variables of the environment.
SHOW = shlex.quote("import json, os; print(json.dumps(dict(os.environ)))")


@dataclass(frozen=True)
class Block:
    """A block of code. `language` is "hidden" for a hidden block."""

    language: str
    text: str
    line: int
    caption: str | None = None
    not_run: str | None = None

    @property
    def is_typed(self) -> bool:
        """Whether a reader types the block."""
        return self.language in TYPED and self.not_run is None

    @property
    def is_test(self) -> bool:
        return self.language == "python" and "def test_" in self.text


def blocks(page: Path, section: str | None = None) -> list[Block]:
    """The blocks of a page, or of one of its sections, without indentation."""
    text = page.read_text("utf-8")
    start, end = 0, len(text)
    if section is not None:
        start = text.index(f"\n{section}\n{'-' * len(section)}\n") + len(section) * 2 + 3
        following = re.search(r"\n.+\n-{3,}\n", text[start:])
        end = start + following.start() if following else end
    return [_block(found, text) for found in BLOCK.finditer(text, start, end)]


def _block(found: re.Match[str], text: str) -> Block:
    caption = re.search(r":caption: (.+)", found["options"])
    return Block(
        language=found["hidden"] or found["language"],
        text=textwrap.dedent(found["text"]).strip("\n") + "\n",
        line=text.count("\n", 0, found.start("text")) + 1,
        caption=caption and caption[1],
        not_run=found["reason"],
    )


@dataclass
class Reader:
    """Types the blocks of a page. The present folder must be empty, and the network the sandbox's.

    Use as a context manager: at the end of the page, programs in the background are stopped, and
    the environment variables are as before.
    """

    page: Path
    sandbox: Sandbox
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    #: The names of the hidden blocks.
    hidden: dict[str, Any] = field(default_factory=dict)
    background: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    #: The files with tests that no command has run yet.
    tests: list[str] = field(default_factory=list)

    def __enter__(self) -> Reader:
        log = _Log()
        logger = logging.getLogger("requests_iris")
        logger.addHandler(log)
        self.background.callback(logger.removeHandler, log)
        self.background.callback(logger.setLevel, logger.level)
        self.hidden.update(sandbox=self.sandbox, page=self.names, logged=log.messages)
        self.background.callback(os.environ.update, dict(os.environ))
        self.background.callback(os.environ.clear)
        return self

    def __exit__(self, *_: object) -> None:
        self.background.close()

    def read(self) -> None:
        for block in blocks(self.page):
            if block.not_run is None:
                self.type(block)
        if self.tests:
            status, output = self.run_tests()
            assert status == 0, output

    def type(self, block: Block) -> None:
        if block.is_test or block.caption:
            path = Path(block.caption or f"test_line_{block.line}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
            if block.is_test:
                self.tests.append(str(path))
        elif block.language == "hidden":
            exec(self.compiled(block), self.hidden)
        elif block.language == "python":
            exec(self.compiled(block), self.names)
        elif block.language == "pycon":
            self.check_examples(block)
        elif block.language == "console":
            self.enter(block)

    def compiled(self, block: Block) -> Any:
        # the empty lines give a traceback the line numbers of the page
        return compile("\n" * (block.line - 1) + block.text, str(self.page), "exec")

    def check_examples(self, block: Block) -> None:
        parse = doctest.DocTestParser().get_doctest
        examples = parse(block.text, self.names, self.page.name, str(self.page), block.line - 1)
        examples.globs = self.names  # the parser makes a copy
        runner = doctest.DocTestRunner(optionflags=ANYTHING)
        told = io.StringIO()
        runner.run(examples, out=told.write, clear_globs=False)
        assert not runner.failures, told.getvalue()

    def enter(self, block: Block) -> None:
        """Enter the commands of a block. The lines below a command are the expected output."""
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, expected = re.sub(r"\\\n\s*", "", part).partition("\n")
            interrupted, caret, _ = expected.partition("^C")
            status, output = self.run(command, interrupted.count("\n") if caret else None)
            place = f"{self.page}:{block.line}: $ {command}\n"
            if expected.strip():
                same = doctest.OutputChecker().check_output
                assert same(expected, output, ANYTHING), f"{place}{output}"
            else:
                assert status == 0, f"{place}{output}"

    def run(self, command: str, interrupted_after: int | None = None) -> tuple[int, str]:
        """The exit status and the output of a command.

        Python programs and `requests-iris` run in this process: a process takes half a second to
        start, and knows another network.

        :param interrupted_after: the number of lines of output after which the reader presses
            Ctrl-C.
        """
        if found := FOR_THE_COMMAND.match(command):
            before = dict(os.environ)
            try:
                self.set_variables(f"export {found[0]}")
                return self.run(command[found.end() :], interrupted_after)
            finally:
                os.environ.clear()
                os.environ.update(before)
        if command.startswith("requests-iris sandbox"):
            return self.start_sandbox(command)
        if re.search(r"[|<>&;()$]", command):
            return self.run_in_shell(command)
        program, *arguments = shlex.split(command)
        if program == "requests-iris":
            result = CliRunner().invoke(main, arguments, prog_name=program)
            return result.exit_code, result.output
        if program == "python" and arguments[0].endswith(".py"):
            return self.run_file(arguments, interrupted_after)
        if program == "pytest":
            return self.run_tests(*arguments)
        if program in ("export", "."):
            return self.set_variables(command)
        return self.run_in_shell(command)

    def run_in_shell(self, command: str) -> tuple[int, str]:
        result = subprocess.run(
            ["sh", "-c", command], **_streams(stdout=subprocess.PIPE), timeout=60
        )
        return result.returncode, result.stdout

    def set_variables(self, command: str) -> tuple[int, str]:
        """Enter a command that changes the variables of the shell."""
        status, output = self.run_in_shell(f"{command} && {shlex.quote(sys.executable)} -c {SHOW}")
        if status == 0:
            os.environ.update(json.loads(output))
        return status, "" if status == 0 else output

    def start_sandbox(self, command: str) -> tuple[int, str]:
        """Start a sandbox in a second terminal, and wait until the sandbox serves."""
        process = self.background.enter_context(
            subprocess.Popen(["sh", "-c", f"exec {command}"], **_streams(stderr=subprocess.PIPE))
        )
        self.background.callback(process.terminate)
        return 0, process.stderr.readline()

    def run_file(self, arguments: list[str], interrupted_after: int | None) -> tuple[int, str]:
        shown = _Terminal(interrupted_after)
        before, handlers = sys.argv, logging.root.handlers
        sys.argv, logging.root.handlers = arguments, []  # pytest has handlers of its own
        try:
            with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
                runpy.run_path(arguments[0], run_name="__main__")
        except SystemExit as error:
            return int(error.code or 0), shown.getvalue()
        except KeyboardInterrupt:
            return 130, shown.getvalue() + "^C\n"
        except Exception:
            return 1, shown.getvalue() + traceback.format_exc()
        finally:
            sys.argv, logging.root.handlers = before, handlers
        return 0, shown.getvalue()

    def run_tests(self, *arguments: str) -> tuple[int, str]:
        """Run the tests that no command has run yet, with our plugin only."""
        options = ("-p", "requests_iris.testing", "-p", "no:cacheprovider", "-W", "error")
        command = [sys.executable, "-m", "pytest", *options, *(arguments or self.tests)]
        self.tests.clear()
        streams = _streams(stdout=subprocess.PIPE)
        streams["env"]["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        result = subprocess.run(command, **streams, timeout=60)
        return result.returncode, result.stdout


def _streams(**streams: int) -> dict[str, Any]:
    """The arguments of a process: this environment's commands, and no standard input."""
    first = {"PATH": os.path.dirname(sys.executable), "PYTHONPATH": str(ROOT)}
    rest = {name: os.environ.get(name) for name in first}
    paths = {name: os.pathsep.join(filter(None, (first[name], rest[name]))) for name in first}
    given = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **streams}
    return {"text": True, "env": {**os.environ, **paths}, **given}


class _Log(logging.Handler):
    """Keeps the messages of a logger."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class _Terminal(io.StringIO):
    """Standard output of a reader who presses Ctrl-C after some lines."""

    def __init__(self, interrupted_after: int | None) -> None:
        super().__init__()
        self._left = interrupted_after

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._left is not None:
            self._left -= text.count("\n")
            if self._left <= 0:
                self._left = None
                raise KeyboardInterrupt
        return written


def pages() -> Iterator[Path]:
    """Every page of the manual."""
    yield from sorted(DOCS.rglob("*.rst"))
