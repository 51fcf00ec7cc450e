"""A Singer tap for the assets of the fleet. The STATE holds a resume point.

    pip install requests-iris
    python examples/singer_tap.py | target-jsonl > state.jsonl
    tail -1 state.jsonl > state.json && python examples/singer_tap.py --state state.json | ...

Credentials come from the TRACKUNIT_* variables.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from requests_iris import IrisSession, ListError

STREAM = "assets"
ASSETS = "/api/asset/v1/assets"
#: Records between two STATE messages.
BATCH = 1000
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "additionalProperties": True}


def sync(iris: IrisSession, state: dict[str, Any], out: TextIO, batch: int = BATCH) -> None:
    """Writes the records and, after each batch, the STATE from which the next run continues.

    A target returns a STATE after all records before the STATE are saved. A STATE without a resume
    point starts the next run from the beginning.
    """

    def write(kind: str, **members: Any) -> None:
        print(json.dumps({"type": kind, **members}), file=out)

    write("SCHEMA", stream=STREAM, schema=SCHEMA, key_properties=["id"])
    bookmark = state.get("bookmarks", {}).get(STREAM, {})
    walk = iris.items(ASSETS, resume=bookmark.get("resume"))
    try:
        while records := list(islice(walk, batch)):
            for record in records:
                write("RECORD", stream=STREAM, record=record)
            write("STATE", value={"bookmarks": {STREAM: {"resume": walk.resume}}})
    except ListError as error:
        if error.resume is None:  # the list has changed
            write("STATE", value={"bookmarks": {STREAM: {}}})
        raise
    # the list was read whole
    write("STATE", value={"bookmarks": {STREAM: {}}})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A Singer tap for the assets of IRIS.")
    parser.add_argument("--config", help="not used: the settings are environment variables")
    parser.add_argument("--state", type=Path, help="a JSON file with the value of the last STATE")
    options = parser.parse_args(arguments)
    state = json.loads(options.state.read_text()) if options.state else {}
    with IrisSession() as iris:
        sync(iris, state, sys.stdout)


if __name__ == "__main__":
    main()
