"""The files of an SQLite quota store in a year of daily exports, on a clock that moves itself.

    python -m benchmarks.year

Each night, an export reads a series of each of 3,000 machines. A table shows the largest size of
the file and of its write-ahead log so far. The run takes some minutes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from requests_iris.quota import IRIS_RATE_LIMITS, Quota, owner_of
from requests_iris.sandbox import MovableClock

MACHINES = 3000
#: Without the paced rule of the customer, which keeps no slots in the file.
LIMITS = [rule for rule in IRIS_RATE_LIMITS if not rule.paced]
OWNER = owner_of(username="user")
FLEET = "https://iris.trackunit.com/public/api/aemp/v2/15143/-3/Fleet"
#: Seconds of a request. An export of the fleet takes five minutes.
REQUEST = 0.1
DAY = 24 * 3600.0
#: Requests between two looks at the files.
LOOK = 50
MIB = 2**20


class Size(NamedTuple):
    """The largest sizes up to a day, in bytes.

    :ivar day: the number of the day, from 1.
    :ivar file: the file itself.
    :ivar files: the file, its write-ahead log and the index of the log together.
    """

    day: int
    file: int
    files: int


def sizes(path: Path, days: int, machines: int = MACHINES) -> Iterator[Size]:
    """The sizes after each day."""
    quota, clock = Quota(path, LIMITS), MovableClock()
    file = files = 0
    for day in range(1, days + 1):
        begins = clock.time()
        for machine in range(machines):
            series = f"Equipment/ID/WNCE0405HPAL{machine:05}/CumulativeOperatingHours/a/b/1"
            reservation = quota.reserve(OWNER, "GET", f"{FLEET}/{series}", clock=clock)
            clock.advance(REQUEST)
            reservation.settle()
            if machine % LOOK == 0 or machine == machines - 1:
                file = max(file, _size(path))
                files = max(files, sum(_size(Path(f"{path}{end}")) for end in ("", "-wal", "-shm")))
        quota.flush()
        yield Size(day, file, files)
        clock.advance(DAY - (clock.time() - begins))


def _size(path: Path) -> int:
    return os.path.getsize(path) if path.exists() else 0


def main() -> None:
    print("day   file       file, log and index")
    with tempfile.TemporaryDirectory() as directory:
        for size in sizes(Path(directory) / "quota.db", 365):
            if size.day in (1, 2, 3, 10, 30, 90, 180, 365):
                file, files = size.file / MIB, size.files / MIB
                print(f"{size.day:<5} {file:5.2f} MiB  {files:5.2f} MiB", flush=True)


if __name__ == "__main__":
    main()
