"""Loads the fleet and its operating hours with dlt. Each run continues after the last run.

    pip install requests-iris "dlt[duckdb]"
    python examples/dlt_fleet.py

Credentials come from the TRACKUNIT_* variables. dlt saves the state together with the rows: a run
that fails changes neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import dlt

from requests_iris import IrisSession, ListError, Walk, windows

ASSETS = "/api/asset/v1/assets"
#: The first moment to read, in the first run.
FIRST = "2026-01-01T00:00:00+00:00"
#: Machines in dead spots send their data late: each run reads this time again.
LOOKBACK = timedelta(days=3)


@dlt.resource(name="assets", primary_key="id", write_disposition="merge")
def assets(iris: IrisSession, most: int = 100_000) -> Iterator[list[dict[str, Any]]]:
    """The assets of the fleet, at most `most` per run. The next run reads the next assets."""
    state = dlt.current.resource_state()
    walk = iris.items(ASSETS, resume=state.get("resume"))
    try:
        yield from batches(walk, most)
    except ListError as error:
        if error.resume is not None or state.get("resume") is None:
            raise
        # The list has changed since the last run. dlt saves no state of a failed run, so this run
        # reads the list from the beginning. The key removes rows that are read again.
        walk = iris.items(ASSETS)
        yield from batches(walk, most)
    state["resume"] = None if walk.finished else walk.resume


def batches(walk: Walk[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """The next items of a walk, at most `most` together."""
    while batch := list(islice(walk, min(1000, most - walk.items_read))):
        yield batch


@dlt.resource(name="hours", primary_key=("pin", "datetime"), write_disposition="merge")
def hours(
    iris: IrisSession,
    pins: list[str],
    now: datetime | None = None,
    read_until: Any = dlt.sources.incremental("read_until", initial_value=FIRST),  # noqa: B008 - as dlt wants
) -> Iterator[list[dict[str, Any]]]:
    """The operating hours of machines, from the end of the last run up to `now`.

    Each row has the end of its window in ``read_until``. dlt keeps the highest ``read_until``, and
    the next run begins there, minus `LOOKBACK`. The key removes rows that are read again.
    """
    since = datetime.fromisoformat(read_until.start_value)
    until = now or datetime.now(UTC)
    for start, end in windows(since, until, step=timedelta(days=1), lookback=LOOKBACK):
        for pin in pins:
            found = iris.series(pin, "CumulativeOperatingHours", start, end)
            # dlt drops rows below the last mark, so rows from before `since` have the mark too
            mark = max(end, since).isoformat()
            yield [{"pin": pin, "read_until": mark, **item} for item in found]


def main() -> None:
    pipeline = dlt.pipeline("fleet", destination="duckdb", dataset_name="iris")
    with IrisSession() as iris:
        pins = [each["serialNumber"] for each in iris.items(ASSETS)]
        pipeline.run([assets(iris), hours(iris, pins)])


if __name__ == "__main__":
    main()
