"""The sandbox in a separate process. The sandbox and the client do not share an interpreter."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from requests_iris.sandbox import Sandbox


class RemoteSandbox:
    """Reads attributes and calls methods of the sandbox in the separate process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self._pipe.send(("call", name, args, kwargs))
        return self._pipe.recv()

    def get(self, name: str) -> Any:
        self._pipe.send(("get", name, (), {}))
        return self._pipe.recv()


@contextmanager
def remote_sandbox(**settings: Any) -> Iterator[RemoteSandbox]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_run, args=(theirs, settings))
    process.start()
    theirs.close()  # so that `recv` ends if the process dies at its start
    ours.recv()
    try:
        yield RemoteSandbox(ours)
    finally:
        with suppress(BrokenPipeError):
            ours.send(("stop", "", (), {}))
        process.join()


def _run(pipe: Connection, settings: dict[str, Any]) -> None:
    with Sandbox(**settings) as sandbox:
        pipe.send("started")
        while (order := pipe.recv())[0] != "stop":
            how, name, args, kwargs = order
            found = getattr(sandbox, name)
            pipe.send(found(*args, **kwargs) if how == "call" else found)
