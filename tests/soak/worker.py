"""A process of the soak: threads that share a session and send requests until the time is up."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import requests

from requests_iris import IrisSession

from ..support.paths import ASSETS

#: Seconds between two looks at memory and file descriptors.
LOOK = 0.5
#: Seconds without an outcome after which a request counts as lost.
STUCK = 120.0


@dataclass
class Outcome:
    """The results of one process.

    `ended`: counts by the end of a request: "ok", the name of an error, or a status.
    `accepted`: the numbers of the requests that got their own response with status 200.
    `lost`: one sentence for each request without a right end.
    `seconds`: how long each request took.
    `looks`: memory in bytes, file descriptors and threads, in the order of time.
    """

    ended: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    looks: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """The work of one process."""

    settings: dict[str, Any]
    ca_file: str
    asset_ids: tuple[str, ...]
    threads: int
    seconds: float
    seed: int


def run(plan: Plan, pipe: Connection) -> None:
    """The main function of the process. Sends an :class:`Outcome`."""
    logging.getLogger("requests_iris").addHandler(logging.NullHandler())
    outcome, guard = Outcome(), threading.Lock()
    current: dict[int, float] = {}
    ends = time.monotonic() + plan.seconds
    with IrisSession(**plan.settings) as iris:
        iris.verify, iris.trust_env = plan.ca_file, False

        def work(number: int) -> None:
            rolls = random.Random(f"{plan.seed} {number}")
            sent = 0
            while time.monotonic() < ends:
                sent += 1
                name = f"{plan.seed}-{number}-{sent}"
                began = current[number] = time.monotonic()
                ended, error = _ended(lambda name=name: _one(iris, plan, name, rolls))
                with guard:
                    outcome.seconds.append(time.monotonic() - began)
                    outcome.ended[ended] += 1
                    if error:
                        outcome.lost.append(f"request {name}: {error}")
                    elif ended == "ok":
                        outcome.accepted.append(name)
            current.pop(number, None)

        threads = [
            threading.Thread(target=work, args=(number,), daemon=True)
            for number in range(plan.threads)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(LOOK)
            if time.monotonic() < ends:
                outcome.looks.append(look())
            if time.monotonic() > ends + STUCK:
                outcome.lost += [f"thread {number} has no end" for number in list(current)]
                break
    pipe.send(outcome)


class Wrong(Exception):
    """The response belongs to another request."""


def _one(iris: IrisSession, plan: Plan, name: str, rolls: random.Random) -> str:
    """One request or one list. Returns how the request ended."""
    roll = rolls.random()
    if roll < 0.03:
        ids = [asset["id"] for asset in iris.items(ASSETS)]
        if sorted(ids) != sorted(plan.asset_ids):
            raise Wrong(f"the list has {len(ids)} items, and {len(set(ids))} different items")
        return "list"
    method = "POST" if roll < 0.5 else "GET"
    body = os.urandom(16).hex() * rolls.choice((1, 1, 1, 100)) if method == "POST" else None
    response = iris.request(method, "/echo", params={"name": name}, data=body)
    if response.status_code != 200:
        return f"status {response.status_code}"
    told = response.json()
    if (
        told["args"] != {"name": name}
        or told["method"] != method
        or told["size"] != len(body or "")
    ):
        raise Wrong(f"the response is for {told['method']} {told['args']}")
    return "ok"


def _ended(send: Callable[[], str]) -> tuple[str, str]:
    """How a request ended, and the reason if the request is lost."""
    try:
        return send(), ""
    except requests.RequestException as error:
        return type(error).__name__, ""
    except BaseException as error:
        return "lost", f"{type(error).__name__}: {error}"


def look() -> tuple[int, int, int]:
    """Memory of this process in bytes, file descriptors, threads."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE")
    return memory, len(os.listdir("/proc/self/fd")), threading.active_count()
