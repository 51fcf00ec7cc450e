"""Processes with one token store in a file, killed by SIGKILL at random moments.

The default run makes a few kills. `KILLS=500 pytest tests/integration/test_store_kills.py` makes
500.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from requests_iris import FileTokenStore
from requests_iris.stores import key_of

from ..support.processes import context
from ..support.waiting import HUNG, wait_until

KILLS = int(os.environ.get("KILLS", "20"))
#: Users with tokens in the file. Each process saves the tokens of a single user.
USERS = [key_of(number) for number in range(3)]
#: The longest pause before a kill, in seconds: about twenty saves.
LONGEST = 0.05

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")


def count_up(store: FileTokenStore, key: str, begun: Any) -> None:
    """Saves increasing numbers until a kill."""
    while True:
        with store.lock(key, HUNG):
            number = (store.load(key) or {"number": 0})["number"]
            begun.set()
            store.save(key, {"number": number + 1, "access_token": "x" * 3000})


def start(store: FileTokenStore, key: str) -> Any:
    begun = context.Event()
    process = context.Process(target=count_up, args=(store, key, begun), daemon=True)
    process.start()
    assert begun.wait(HUNG)
    return process


def numbers(store: FileTokenStore) -> list[int]:
    """The numbers of all users. A damaged file would fail here."""
    tokens = json.loads(store.path.read_bytes())["tokens"]
    return [tokens.get(key, {"number": 0})["number"] for key in USERS]


def test_no_killed_process_loses_a_token_or_fills_the_directory(tmp_path: Path) -> None:
    store = FileTokenStore(tmp_path / "token.json")
    processes = {key: start(store, key) for key in USERS}
    wait_until(store.path.exists)
    before = numbers(store)
    for _ in range(KILLS):
        time.sleep(random.uniform(0, LONGEST))
        key = random.choice(USERS)
        os.kill(processes[key].pid, signal.SIGKILL)
        processes[key].join(HUNG)
        after = numbers(store)
        assert all(new >= old for old, new in zip(before, after, strict=True)), "a token was lost"
        assert len(list(tmp_path.iterdir())) <= 3  # the file, its lock, and a half-written file
        processes[key], before = start(store, key), after
    for process in processes.values():
        process.kill()
        process.join(HUNG)
    with store.lock("", 5):
        store.save(USERS[0], {"number": 0})
    assert {path.name for path in tmp_path.iterdir()} == {
        "token.json",
        ".token.json.requests_iris.lock",
    }
    assert sum(before) > KILLS, "the processes saved hardly anything: the test tried nothing"
