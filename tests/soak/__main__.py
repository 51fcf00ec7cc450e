"""Runs the soak and prints one table. The status is 1 if a request is lost or doubled, or if a
process grows.

8 processes with 32 threads share a token in a file store. A sandbox answers with random faults:
status 429 and 5xx, dropped connections, truncated and slow responses. Tokens live for seconds, and
are revoked at random.

- *lost*: a request without its own response and without an error of requests; a response with
  status 200 that the server did not send; a list with missing or repeated items.
- *doubled*: a POST that came more than once to the API, except for a resend after a 401.
- *refused*: a request that ended with an error or another status than 200.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from requests_iris.sandbox import Fault, Sandbox

from .worker import STUCK, Outcome, Plan, run

#: Faults, each as often as the others. Some are for token requests only.
FAULTS = (
    *(Fault(status=status, body={"error": "busy"}) for status in (500, 502, 503, 504)),
    Fault(status=429, headers={"Retry-After": "1"}, body="{}"),
    *(Fault(drop="before"), Fault(drop="after"), Fault(truncate=20), Fault(truncate=-2)),
    *(Fault(delay=0.3), Fault(delay=1), Fault(trickle=0.001)),
)
OF_TOKENS = (*FAULTS, Fault(status=200, body="<html>"), Fault(status=404), Fault(trickle=0.1))
#: Faults per second, for API requests and for token requests.
API_FAULTS, TOKEN_FAULTS = 5.0, 0.3
#: Seconds between two revocations of access tokens and of refresh tokens, on average.
ACCESS_LASTS, REFRESH_LASTS = 5.0, 20.0
#: Seconds of the lifetime of an access token.
LIFETIME = 6.0
#: Growth of a process that counts as none, from the second fifth of the time to the last.
MEMORY, DESCRIPTORS, THREADS = 8 * 2**20, 8, 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--threads", type=int, default=32, help="of all processes together")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--store", help="redis://... or a path; a temporary file by default")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Sandbox(token_lifetime=LIFETIME) as sandbox:
        store = arguments.store or str(Path(directory) / "token.json")
        outcomes = soak(sandbox, store, arguments)
        return report(sandbox, outcomes, arguments)


def soak(sandbox: Sandbox, store: str, arguments: argparse.Namespace) -> list[Outcome]:
    """Runs all processes and makes the faults."""
    spawn = multiprocessing.get_context("spawn")
    rolls = random.Random(arguments.seed)
    running = []
    for number in range(arguments.processes):
        plan = Plan(
            settings={**sandbox.settings, "token_store": store},
            ca_file=sandbox.ca_file,
            asset_ids=sandbox.asset_ids,
            threads=max(arguments.threads // arguments.processes, 1),
            seconds=arguments.seconds,
            seed=arguments.seed + number,
        )
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=run, args=(plan, theirs), daemon=True)
        process.start()
        running.append((process, ours))
    ends = time.monotonic() + arguments.seconds
    while time.monotonic() < ends:
        pause = rolls.expovariate(API_FAULTS)
        time.sleep(pause)
        fault = rolls.choice(FAULTS)
        # a whole list would trickle for minutes
        path = "/echo" if fault.trickle else ""
        sandbox.inject(fault, on="api", times=rolls.choice((1, 1, 2, 5)), path=path)
        if rolls.random() < TOKEN_FAULTS * pause:
            sandbox.inject(rolls.choice(OF_TOKENS), on="token")
        if rolls.random() < pause / ACCESS_LASTS:
            sandbox.revoke_access_tokens()
        if rolls.random() < pause / REFRESH_LASTS:
            sandbox.revoke_refresh_tokens()
    sandbox.clear_faults()
    outcomes = []
    for process, ours in running:
        if ours.poll(2 * STUCK):
            outcomes.append(ours.recv())
        else:
            outcomes.append(Outcome(lost=["a process has no end"]))
        process.join(10)
        process.kill()
    return outcomes


def report(sandbox: Sandbox, outcomes: list[Outcome], arguments: argparse.Namespace) -> int:
    """Prints the table. Returns the status of the program."""
    posts: Counter[str] = Counter()
    arrived: Counter[str] = Counter()
    for seen in sandbox.seen:
        if seen.path == "/echo":
            arrived[seen.args["name"]] += seen.status == 200
            # only a 401 has certainly changed nothing
            posts[seen.args["name"]] += seen.method == "POST" and seen.status != 401
    ended: Counter[str] = sum((each.ended for each in outcomes), Counter())
    lost = [sentence for each in outcomes for sentence in each.lost]
    lost += [
        f"request {name}: accepted, and the API did not see it"
        for each in outcomes
        for name in each.accepted
        if not arrived[name]
    ]
    doubled = [name for name, times in posts.items() if times > 1]
    seconds = sorted(taken for each in outcomes for taken in each.seconds) or [0.0]
    growth = [largest(outcomes, column) for column in range(3)]
    refused = Counter({n: times for n, times in ended.items() if n not in ("ok", "list", "lost")})
    bounds = (MEMORY, DESCRIPTORS, THREADS)
    rows: list[tuple[str, Any]] = [
        ("time", f"{arguments.seconds:.0f} s, seed {arguments.seed}"),
        ("processes, threads", f"{arguments.processes}, {arguments.threads}"),
        ("requests and lists", f"{ended.total()} ({ended['list']} lists)"),
        ("lost", len(lost)),
        ("doubled", len(doubled)),
        ("refused", f"{refused.total()} {dict(refused.most_common())}"),
        ("median, 99 %, slowest", " ".join(
            f"{seconds[int(share * (len(seconds) - 1))]:.2f} s" for share in (0.5, 0.99, 1))),
        ("token requests", f"{sandbox.count('token')} ({sandbox.count('password')} by password, "
            f"{sandbox.refused} refused, {sandbox.max_concurrent_token_requests} at once)"),
        ("memory growth", f"{growth[0] / 2**20:.1f} MiB at most in a process"),
        ("descriptor growth", f"{growth[1]:.0f} at most in a process"),
        ("thread growth", f"{growth[2]:.0f} at most in a process"),
    ]  # fmt: skip
    for name, value in rows:
        print(f"{name:22} {value}")
    for sentence in lost[:20]:
        print("LOST", sentence)
    for name in doubled[:20]:
        print("DOUBLED request", name)
    grows = any(grown > bound for grown, bound in zip(growth, bounds, strict=True))
    if grows:
        print("Memory, file descriptors or threads grow.")
    return 1 if lost or doubled or grows else 0


def largest(outcomes: list[Outcome], column: int) -> float:
    """The largest growth of a process, from the second fifth of its looks to the last fifth."""
    growths = [0.0]
    for each in outcomes:
        values = [look[column] for look in each.looks]
        fifth = len(values) // 5
        if fifth:
            before = statistics.median(values[fifth : 2 * fifth])
            growths.append(statistics.median(values[-fifth:]) - before)
    return max(growths)


if __name__ == "__main__":
    for name in list(os.environ):
        if name.startswith("TRACKUNIT_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    sys.exit(main())
