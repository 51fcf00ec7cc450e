"""Counts that do not depend on the machine, compared with the committed counts.

    python -m benchmarks --check       compares, and fails if a count has grown by more than 3 %
    python -m benchmarks --update      writes the counts of this version of Python

A count of instructions is the number of bytecode instructions in the files of requests_iris, so the
versions of other libraries do not matter. The bytecode depends on the version of Python, so
``counts.json`` has the counts of each version.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import requests_iris
from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox

from .canned import TOKEN, URL, Canned, Pages, canned_session
from .web import web

COMMITTED = Path(__file__).with_name("counts.json")
#: The growth of a count that fails the check, as a part of the committed count.
TOLERANCE = 0.03
#: The version of Python, which decides the bytecode.
VERSION = "{}.{}".format(*sys.version_info)
PACKAGE = str(Path(requests_iris.__file__).parent)
PATH = "/api/asset/v1/assets"
THREADS = 64

Counts = dict[str, float]


def counts() -> Counts:
    """All counts, by name."""
    return {
        **_instructions(),
        "memory blocks per item of a list": _blocks_per_item(),
        **_on_the_wire(),
        "modules of requests_iris for a session": _modules("from requests_iris import IrisSession"),
        "modules of requests_iris at import": _modules("import requests_iris"),
    }


def check() -> int:
    """Compares the counts with the committed counts, and returns the exit status."""
    committed = _committed().get(VERSION)
    if committed is None:
        print(f"There are no counts for Python {VERSION}. Write them with --update.")
        return 0
    found = counts()
    grown = [name for name in found if _has_grown(found[name], committed.get(name, 0))]
    for name, value in found.items():
        verdict = "  <-- has grown" if name in grown else ""
        print(f"{value:10.2f}  committed {committed.get(name, 0):10.2f}  {name}{verdict}")
    if grown:
        print("If the growth is worth its reason, say the reason in the commit, and run --update.")
    return 1 if grown else 0


def update() -> int:
    """Writes the counts of this version of Python."""
    COMMITTED.write_text(json.dumps({**_committed(), VERSION: counts()}, indent=2) + "\n")
    return 0


def _has_grown(found: float, committed: float) -> bool:
    return found > committed * (1 + TOLERANCE) + 0.005


def _committed() -> dict[str, Counts]:
    found: dict[str, Counts] = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    return found


def _instructions() -> Counts:
    session, pages = canned_session(Canned()), canned_session(Pages())
    listed = instructions(lambda: _read(pages.items(PATH)))
    two_pages = instructions(lambda: _read(pages.items(PATH, params={"page": 18})))
    return {
        "instructions per signed request": instructions(lambda: session.get(URL)),
        "instructions per page of a list": (listed - two_pages) / (Pages.COUNT - 2),
    }


def instructions(work: Callable[[], object]) -> int:
    """The bytecode instructions that the second call of `work` runs in requests_iris."""
    work()  # the first call fills caches
    return _traced(work) if sys.version_info < (3, 12) else _monitored(work)


def _traced(work: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if event == "call":
            frame.f_trace_opcodes = frame.f_code.co_filename.startswith(PACKAGE)
            frame.f_trace_lines = False
        elif event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def _monitored(work: Callable[[], object]) -> int:
    """As `_traced`. From Python 3.12 on, a trace function misses instructions (PEP 669)."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    count = 0

    def instruction(code: CodeType, _: int) -> Any:
        nonlocal count
        if not code.co_filename.startswith(PACKAGE):
            return monitoring.DISABLE
        count += 1
        return None

    monitoring.use_tool_id(tool, __name__)
    monitoring.register_callback(tool, event, instruction)
    monitoring.set_events(tool, event)
    try:
        work()
    finally:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(tool)
        monitoring.restart_events()
    return count


def _blocks_per_item() -> float:
    """The memory blocks that a kept list has more than the same items from a loop by hand."""
    session = canned_session(Pages())

    def by_hand() -> list[Any]:
        numbers = range(Pages.COUNT)
        pages = (session.get(URL, params={"size": 1000, "page": each}).json() for each in numbers)
        return [item for page in pages for item in page["content"]]

    ours = _blocks(lambda: list(session.items(PATH)))
    return (ours - _blocks(by_hand)) / (Pages.COUNT * Pages.SIZE)


def _blocks(work: Callable[[], list[Any]]) -> int:
    work()
    gc.collect()
    before = sys.getallocatedblocks()
    kept = work()
    gc.collect()
    found = sys.getallocatedblocks() - before
    del kept
    return found


def _on_the_wire() -> Counts:
    """Token requests and connections, by the count of a sandbox."""
    with Sandbox(machines=250) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify, iris.trust_env = sandbox.ca_file, False
        _together(lambda: iris.get(PATH))
        cold = sandbox.count("token")
        sandbox.expire_access_tokens()
        _together(lambda: iris.get(PATH))
        renewal = sandbox.count("token") - cold
    with web(items=250) as server, IrisSession(base_url=server.url, token=TOKEN) as iris:
        iris.verify = server.ca_file
        _read(iris.items(PATH, params={"size": 10}))
        connections = server.connections()
    return {
        f"token requests of {THREADS} threads that start at once": cold,
        f"token requests of {THREADS} threads after the token expired": renewal,
        "connections for a list of 25 pages": connections,
    }


def _together(work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _modules(statement: str) -> int:
    script = (
        f"import sys; {statement}; print(sum(n.startswith('requests_iris') for n in sys.modules))"
    )
    command = [sys.executable, "-c", script]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _read(items: Any) -> None:
    for _ in items:
        pass
