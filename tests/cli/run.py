"""Runs the command line in a process, as a shell does."""

from __future__ import annotations

import atexit
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from subprocess import DEVNULL, PIPE, CompletedProcess
from typing import IO

from ..support.pages import ROOT

COMMAND = [sys.executable, "-m", "requests_iris"]
SHELL = ["sh", "-c"]


class Process:
    """A running command. `returncode` is None until the end."""

    def __init__(self, report: socket.socket, pipes: dict[str, IO[str]]) -> None:
        self.stdout, self.stderr = pipes.get("stdout"), pipes.get("stderr")
        self.returncode: int | None = None
        self._report, self._lines = report, report.makefile()
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        """Return `returncode` at once. The command may still run."""
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """The status, or the negative number of the signal that ended the command."""
        if self.returncode is None:
            self.returncode = int(self._lines.readline())
            self._lines.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self) -> tuple[str, ...]:
        """The rest of the output and of the errors, until the command ends."""
        with ThreadPoolExecutor(2) as pool:
            texts = pool.map(lambda pipe: pipe.read() if pipe else "", (self.stdout, self.stderr))
        self.wait()
        return tuple(texts)


@contextmanager
def started(
    *arguments: str,
    stdin: int | None = DEVNULL,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
    ignored: Sequence[int] = (),
    **variables: str,
) -> Iterator[Process]:
    """Start the command line, and wait for the end of the command after the block.

    :param stdin, stdout, stderr: a descriptor, or PIPE or DEVNULL as for a Popen, or None for a
        closed stream, as by ``>&-`` of a shell.
    :param ignored: the signals that the process ignores, as under ``nohup``.
    """
    streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    ours, theirs = socket.socketpair()
    pipes: dict[str, IO[str]] = {}
    with ours, ExitStack() as stack:
        with theirs, ExitStack() as sent:
            for name, stream in streams.items():
                if stream == PIPE:
                    reader, streams[name] = os.pipe()
                    pipes[name] = stack.enter_context(open(reader, encoding="utf-8"))
                elif stream == DEVNULL:
                    streams[name] = os.open(os.devnull, os.O_RDWR)
                if streams[name] != stream:
                    sent.callback(os.close, streams[name])
            descriptors = [number for number in streams.values() if number is not None]
            socket.send_fds(_ready(), [b"!"], [theirs.fileno(), *descriptors])
        order = {
            "arguments": arguments,
            "folder": os.getcwd(),
            "variables": {**os.environ, **variables},
            "open": [name for name, stream in streams.items() if stream is not None],
            "ignored": list(ignored),
        }
        ours.sendall(json.dumps(order).encode() + b"\n")
        process = Process(ours, pipes)
        try:
            yield process
        except BaseException:
            process.send_signal(signal.SIGKILL)
            raise
        finally:
            stack.close()  # a command that still writes has lost its reader
            process.wait()


@cache
def _ready() -> socket.socket:
    """The connection to the process that forks for each command."""
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        command = [sys.executable, "-m", "tests.cli.ready", str(number)]
        process = subprocess.Popen(
            command, cwd=ROOT, pass_fds=[number], stdin=DEVNULL, stdout=DEVNULL
        )
    atexit.register(process.wait)
    atexit.register(ours.close)  # the process ends with the connection
    return ours


def run(*arguments: str, **options: int | str | None) -> CompletedProcess[str]:
    """Run the command line. The options are those of :func:`started`."""
    with started(*arguments, **options) as process:
        output = process.communicate()
    return CompletedProcess(arguments, process.returncode, *output)


def run_in_shell(redirected: str, *arguments: str, **variables: str) -> CompletedProcess[str]:
    """Run the command line in a new interpreter, as in ``requests-iris … >&-``.

    :param redirected: a shell command in which ``$iris`` stands for ``requests-iris`` with its
        arguments.
    """
    words = shlex.join([*COMMAND, *arguments])
    return run_anew(command=[*SHELL, redirected.replace("$iris", words)], **variables)


def run_anew(
    *arguments: str, command: Sequence[str] = COMMAND, **variables: str
) -> CompletedProcess[str]:
    """Run the command line in a new interpreter, for a test about the start of the interpreter."""
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )
