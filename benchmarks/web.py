"""A small, fast HTTPS server in a separate process: the response to any GET is a page of a list.

The sandbox would take too long for each request of a benchmark.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import selectors
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import certifi
import trustme

#: Items in the list, and the default page size.
ITEMS, SIZE = 1000, 20
FIRST_ID = 10_000_000


@dataclass
class Web:
    """The running server.

    `ca_file`: the CA bundle of a real client, with the authority of the server added.
    """

    url: str
    ca_file: str
    pipe: Connection

    def connections(self) -> int:
        """The number of connections opened since the last call."""
        self.pipe.send("connections")
        return int(self.pipe.recv())


@contextmanager
def web(*, delay: float = 0, items: int = ITEMS) -> Iterator[Web]:
    """Runs the server. Each response takes `delay` seconds."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with tempfile.TemporaryDirectory() as directory:
        ca_file = Path(directory) / "ca.pem"
        process = spawn.Process(target=_run, args=(theirs, ca_file, delay, items))
        process.start()
        theirs.close()  # so that `recv` ends if the process dies at its start
        try:
            yield Web(ours.recv(), str(ca_file), ours)
        finally:
            with suppress(BrokenPipeError):
                ours.send("stop")
            process.join()


def _run(pipe: Connection, ca_file: Path, delay: float, items: int) -> None:
    # epoll would round each delay up to a whole millisecond
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(_serve(pipe, ca_file, delay, items))
    connections = asyncio.all_tasks(loop)
    for each in connections:
        each.cancel()
    if connections:
        loop.run_until_complete(asyncio.wait(connections))
    loop.close()


async def _serve(pipe: Connection, ca_file: Path, delay: float, items: int) -> None:
    authority = trustme.CA()
    ca_file.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    opened = 0
    stop = asyncio.Event()

    def told() -> None:
        nonlocal opened
        if pipe.recv() == "stop":
            stop.set()
        else:
            pipe.send(opened)
            opened = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(delay)
                writer.write(_answer(head.split(b" ", 2)[1].decode(), items))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context, backlog=256)
    asyncio.get_running_loop().add_reader(pipe.fileno(), told)
    pipe.send(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await stop.wait()


@lru_cache
def _answer(target: str, items: int) -> bytes:
    query = parse_qs(urlsplit(target).query)
    size, number = int(query.get("size", [SIZE])[0]), int(query.get("page", [0])[0])
    ids = range(number * size, min((number + 1) * size, items))
    page = {
        # items of equal length: the pages of long lists are not larger
        "content": [{"id": FIRST_ID + each, "name": f"Machine {each:08}"} for each in ids],
        "number": number,
        "size": size,
        "numberOfElements": len(ids),
        "totalElements": items,
        "totalPages": -(-items // size),
    }
    body = json.dumps(page).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
