"""Processes that export a list, killed by SIGKILL at random moments, and started again.

Each process saves an item and the resume point in one transaction. The default run makes a few
kills. `KILLS=50 pytest tests/integration/test_list_kills.py` makes 50 in each pagination style.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from requests_iris import IrisSession, Walk
from requests_iris.sandbox import Fault
from requests_iris.sandbox.fleet import EPOCH

from ..pagination.lists import LISTS
from ..support.paths import PLANS
from ..support.processes import context
from ..support.waiting import HUNG, wait_until

KILLS = int(os.environ.get("KILLS", "3"))
#: The number of items in each list, and the lists of all pagination styles, in pages of ten.
MACHINES = 60
CALLS: dict[str, dict[str, Any]] = {
    **{name: {"url": url, **arguments} for name, (url, arguments, _) in LISTS.items()},
    "single": {"url": PLANS},
    # Two windows: the sixth item is at the end of the first, and at the start of the second.
    "series": {
        "pin": "SN00000001",
        "data_point": "Distance",
        "since": EPOCH + timedelta(hours=5) - timedelta(days=14),
        "until": EPOCH + timedelta(hours=MACHINES - 1),
    },
}
#: Seconds of a page, and the most new items before a kill.
PAGE, MOST = 0.004, 30

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")


def export(path: Path, settings: dict[str, Any], call: dict[str, Any], begun: Any) -> None:
    """Continues the export in the file at `path`."""
    ca_file = settings.pop("ca_file")
    with closing(opened(path)) as file, IrisSession(**settings) as iris:
        iris.verify = ca_file
        ((saved,),) = file.execute("SELECT resume FROM place")
        begun.set()
        walk = walk_of(iris, {**call, "resume": json.loads(saved)})
        for item in walk:
            time.sleep(0.0005)  # the work of a program
            with file:
                file.execute("INSERT INTO items (item) VALUES (?)", [json.dumps(item)])
                file.execute("UPDATE place SET resume = ?", [json.dumps(walk.resume)])
        with file:
            file.execute("UPDATE place SET resume = ?", [json.dumps(walk.resume)])


def walk_of(iris: IrisSession, call: dict[str, Any]) -> Walk[Any]:
    return iris.series(**call) if "pin" in call else iris.items(**call)


def opened(path: Path) -> sqlite3.Connection:
    # A kill loses nothing that was given to the operating system, so no write waits for the disk.
    file = sqlite3.connect(path)
    file.execute("PRAGMA synchronous = OFF")
    return file


def created(path: Path) -> None:
    with closing(opened(path)) as file, file:
        file.execute("CREATE TABLE items (number INTEGER PRIMARY KEY, item TEXT)")
        file.execute("CREATE TABLE place (resume TEXT)")
        file.execute("INSERT INTO place VALUES ('null')")


def saved_in(path: Path) -> tuple[list[Any], dict[str, Any] | None]:
    """The items of an export, and the resume point."""
    with closing(opened(path)) as file:
        found = file.execute("SELECT item FROM items ORDER BY number").fetchall()
        ((place,),) = file.execute("SELECT resume FROM place")
    return [json.loads(item) for (item,) in found], json.loads(place)


def wait_for_items(path: Path, count: int, process: Any) -> None:
    """Return when the export has `count` items, or has ended, however slow the machine is."""
    with closing(opened(path)) as file:
        query = "SELECT COUNT(*) FROM items"
        wait_until(lambda: file.execute(query).fetchone() >= (count,) or not process.is_alive())


def started(path: Path, settings: dict[str, Any], call: dict[str, Any]) -> Any:
    begun = context.Event()
    process = context.Process(target=export, args=(path, settings, call, begun), daemon=True)
    process.start()
    assert begun.wait(HUNG)
    return process


@pytest.mark.parametrize("name", CALLS)
def test_a_killed_export_has_every_item_exactly_once(sandbox, iris, tmp_path, name) -> None:
    sandbox.machines, sandbox.aemp.page_size = MACHINES, 10
    plans = {"servicePlans": [{"id": number} for number in range(MACHINES)]}
    reply = plans if name == "single" else {}
    sandbox.inject(Fault(reply=reply, delay=PAGE), on="api", times=1_000_000)
    whole = list(walk_of(iris, CALLS[name]))
    settings = {**sandbox.settings, "token": iris.token, "ca_file": sandbox.ca_file}
    kills = lists = 0
    while kills < KILLS:
        lists += 1
        created(path := tmp_path / f"{lists}.db")
        before = 0
        while True:
            call = {**CALLS[name], "max_workers": random.choice([1, 3])}
            process = started(path, settings, call)
            # The last process of the last list ends without a kill.
            if kills < KILLS:
                wait_for_items(path, before + random.randint(0, MOST), process)
                time.sleep(random.uniform(0, PAGE))  # any moment of an item
                process.kill()
            process.join(HUNG)
            was_killed = process.exitcode == -signal.SIGKILL
            assert was_killed or process.exitcode == 0
            found, place = saved_in(path)
            assert found == whole[: len(found)]
            # A kill counts if the process wrote items, and more items were left.
            kills += was_killed and before < len(found) < len(whole)
            before = len(found)
            if not was_killed:
                break
        assert found == whole
        assert place is not None
        assert place["finished"] is True
    assert kills >= KILLS
