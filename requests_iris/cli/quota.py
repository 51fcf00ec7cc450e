"""`requests-iris quota`: the remaining slots of the rate limits."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from .. import IrisSession
from ..credentials import variable_of
from ..quota.claim import owner_key
from ..stores.error import reason_of
from ..text import one_line
from .entry import Command
from .failures import Failure
from .streams import say

if TYPE_CHECKING:
    from ..quota import QuotaEntry

#: The heads of the table's columns. Numbers are on the right.
HEADS = ("rule", "requests", "used", "left", "pool left", "free again at")
_NUMBERS = ("used", "left", "pool left")


@click.command(
    "quota",
    cls=Command,
    epilog="""\b
Examples:
  requests-iris quota
  requests-iris quota /public/api/aemp/v2/15143/-3/Fleet/1
  requests-iris quota --json | jq '.limits[] | select(.remaining == 0)'

Exit status: 0 if the quota store was read; 1 if the store cannot be read; 2 if
no quota store is set, or a setting is wrong.""",
)
@click.argument("url", required=False)
@click.option(
    "-X",
    "--method",
    default="GET",
    show_default=True,
    help="The HTTP method of the request to URL.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for a program.")
@click.pass_obj
def quota(prefix: str, url: str | None, method: str, as_json: bool) -> None:
    """Show the remaining slots of IRIS's rate limits, without calling IRIS.

    With URL, shows the rate limit with the longest wait for URL. A URL with one slash at the start
    belongs to the base URL. Without URL, shows each rate limit with a slot in use by the user.

    Reads the quota store in the variable TRACKUNIT_QUOTA: a file, or Redis. A quota in the memory
    of a program cannot be read here. Requests of programs without the quota store are not counted.
    """
    with IrisSession.from_env(prefix) as iris:
        if iris.quota is None:
            name = variable_of("quota", prefix)
            raise click.UsageError(f"There is no quota store. Set {name} to a file or to Redis.")
        if (error := why_unreadable(iris)) is not None:
            raise Failure(f"The quota store cannot be read: {error}")
        entries = _entries(iris, url, method)
        store = repr(iris._quota.store)  # type: ignore[union-attr]
    say(_json(store, entries) if as_json else _text(store, entries, url))


def why_unreadable(iris: IrisSession) -> str | None:
    """Why the quota store of a session fails, in a few words; None if the store works."""
    if iris._quota is None:
        return None
    try:
        iris._quota.store.records(owner_key(iris._source.owner), iris.clock.time())
    except Exception as error:  # a store of a user may raise anything
        return one_line(reason_of(error))
    return None


def _entries(iris: IrisSession, url: str | None, method: str) -> Sequence[QuotaEntry]:
    from ..quota import QuotaEntry

    view = iris.quota
    if view is None:
        return []
    if url is None:
        return view.entries()
    state = view.state(url, method.upper())
    return [] if state is None else [QuotaEntry(one_line(url), state)]


def _json(store: str, entries: Sequence[QuotaEntry]) -> str:
    return json.dumps({"store": store, "limits": [_members(each) for each in entries]}, indent=2)


def _members(entry: QuotaEntry) -> dict[str, Any]:
    state = entry.state
    moment = datetime.fromtimestamp(time.time() + state.retry_after, UTC)
    return {
        "rule": state.rule,
        "requests": entry.label,
        "limit": state.limit,
        "used": state.limit - state.remaining,
        "remaining": state.remaining,
        "pool_remaining": state.pool_remaining,
        "retry_after": round(state.retry_after, 3),
        "free_at": moment.isoformat(timespec="seconds"),
    }


def _text(store: str, entries: Sequence[QuotaEntry], url: str | None) -> str:
    if not entries and url is not None:
        return "No rate limit holds for this request."
    if not entries:
        return f"{store}: this user has used no rate limit."
    rows = [HEADS, *map(_row, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _row(entry: QuotaEntry) -> tuple[str, ...]:
    state = entry.state
    free_at = "now"
    if state.retry_after:
        moment = datetime.fromtimestamp(time.time() + state.retry_after).astimezone()
        free_at = moment.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    numbers = (state.limit - state.remaining, state.remaining, state.pool_remaining)
    return (state.rule, entry.label or "all", *map(str, numbers), free_at)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(HEADS, row, widths, strict=True)
    aligned = (
        cell.rjust(width) if head in _NUMBERS else cell.ljust(width) for head, cell, width in cells
    )
    return "  ".join(aligned).rstrip()
