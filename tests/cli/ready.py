"""A process that has imported the command line, and forks for each command of a test.

A new interpreter imports for half a second; a fork is ready at once. Otherwise a fork is a process
as a shell starts processes: the command line runs in the main thread, with streams, signals,
variables and a folder of its own, and the interpreter ends as usual. Only the start of the
interpreter is missing. A test about the start, for example about the locale, starts
`python -m requests_iris`.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from typing import Any

import requests_iris.sandbox  # noqa: F401  # some commands import the sandbox
from requests_iris.cli import main

#: The most descriptors of an order: the connection for the report, and three streams.
DESCRIPTORS = 4
#: Seconds after which a command that hangs ends by SIGALRM.
HUNG = 60
STREAMS = ("stdin", "stdout", "stderr")


def next_order(orders: socket.socket) -> tuple[socket.socket, list[int]]:
    """Fork for each order. Return in the fork: the connection for the report, and the streams."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so ended forks leave no zombies
    gc.freeze()  # otherwise each fork would copy all memory, to search for garbage at the end
    while True:
        letter, descriptors, *_ = socket.recv_fds(orders, 1, DESCRIPTORS)
        if not letter:  # the tests have ended
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            return socket.socket(fileno=descriptors[0]), descriptors[1:]
        for number in descriptors:
            os.close(number)


def fork_and_report(report: socket.socket, streams: list[int]) -> None:
    """Fork and return in the fork. The parent reports the number and the status of the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process:
        for number in streams:
            os.close(number)
        report.sendall(b"%d\n" % process)
        _, status = os.waitpid(process, 0)
        report.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)


def become(order: dict[str, Any], streams: list[int]) -> None:
    """Take over the arguments, variables, folder, streams and signals of an order."""
    sys.argv[1:] = order["arguments"]
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["variables"])
    for number, name in enumerate(STREAMS):
        stream = opened(number, streams.pop(0)) if name in order["open"] else os.close(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in order["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.alarm(HUNG)


def opened(number: int, descriptor: int) -> Any:
    """A standard stream, as Python opens streams at its start in a locale with UTF-8."""
    os.dup2(descriptor, number)
    os.close(descriptor)
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    how = {"encoding": encoding, "errors": errors or "strict", "closefd": False}
    if number == 0:
        return open(number, **how)
    stream = open(number, "w", **how)  # noqa: SIM115  # Python closes the stream at its end
    if number == 2:
        stream.reconfigure(errors="backslashreplace", line_buffering=True)
    return stream


if __name__ == "__main__":
    report, streams = next_order(socket.socket(fileno=int(sys.argv[1])))
    with report, report.makefile() as lines:
        order = json.loads(lines.readline())
        fork_and_report(report, streams)
    become(order, streams)
    main(prog_name="requests-iris")
