"""A quota store in Redis, for many machines."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .. import forks
from ..secret import Secret
from ..stores import StoreError
from ..stores.redis import check_url, client_of, fault_of, place_of
from .claim import Claim
from .script import SCRIPT
from .store import Answer, Record
from .usage import GRACE, HORIZON, LONGEST_BLOCK, Block, Left, Usage

if TYPE_CHECKING:
    from redis import Redis

Result = TypeVar("Result")

#: The braces place all keys on the same node of a cluster, since one script uses several keys.
PREFIX = "requests-iris:{quota}:"
#: Seconds that the session's clock may differ from the system's without effect. The clocks are
#: read in turn.
SKEW = 0.05


#: Clients of a parent process.
_of_parents: list[object] = []


class RedisQuotaStore:
    """Keeps slots in Redis, with Redis' own time. Needs the extra ``redis``.

    All keys expire by themselves when their slots are over. Paced rules are spaced over all
    processes of the Redis. If the session's clock was moved, for example in a test, Redis'
    time is moved by the same number of seconds.

    With ``rediss://`` the server's certificate must be valid for the host name of the URL.
    A pickle of the store holds the URL with its password, and no connection. Threads may share a
    store: redis-py's client is made for threads. A forked child has a client of its own.

    :param url: ``redis://user:password@host:port/database`` or ``rediss://…``. Percent-encode the
        characters ``/ ? # @ :`` in a password. redis-py's options may follow after ``?``.
    :raises SettingError: if `url` is not a Redis URL.
    :raises ModuleNotFoundError: if redis-py is not installed.
    """

    paces = True

    def __init__(self, url: str) -> None:
        # Before anything can fail: a traceback with local variables must not show the password.
        url = self._url = Secret(url)
        self._client: Redis | None = None
        self._closer: weakref.finalize[..., RedisQuotaStore] | None = None
        forks.register(self)
        self._place = place_of(url)  # before an error: a traceback may show the store
        check_url(self._place, self._connected, setting="quota")

    def reset_after_fork(self) -> None:
        # Another thread may have held a lock of redis-py during the fork. Even closing could wait.
        if self._closer is not None:
            _of_parents.append(self._closer.detach())
        self._client = self._closer = None

    def __reduce__(self) -> tuple[Any, ...]:
        return RedisQuotaStore, (str(self._url),)

    def __repr__(self) -> str:
        return f"<RedisQuotaStore at {self._place}>"

    def reserve(
        self, claims: Sequence[Claim], slot: int, now: float, *, longest: float, draw: bool
    ) -> Answer:
        answer = self._run("reserve", claims, now, slot=slot, longest=longest, draw=draw)
        count = len(claims)
        return Answer(
            granted=answer[0] == "1",
            wait=float(answer[1]),
            decisive=int(answer[2]),
            pooled=tuple(each == "1" for each in answer[3 : 3 + count]),
            left=_left_of(answer[3 + count :]),
        )

    def settle(self, claims: Sequence[Claim], slot: int, now: float) -> None:
        self._run("settle", claims, now, slot=slot)

    def give_back(self, claims: Sequence[Claim], slot: int) -> None:
        self._run("give back", claims, time.time(), slot=slot)

    def block(
        self, claims: Sequence[Claim], seconds: Sequence[float], now: float, *, replace: bool
    ) -> None:
        bounded = [min(max(each, 0.0), LONGEST_BLOCK) for each in seconds]
        self._run("block", claims, now, seconds=bounded, replace=replace)

    def usages(self, claims: Sequence[Claim], now: float) -> tuple[float, list[Usage]]:
        answer = self._run("usages", claims, now)
        numbers = [[float(each) for each in part.split()] for part in answer[1:]]
        fours = zip(numbers[::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True)
        return float(answer[0]), [
            Usage(
                tuple(window),
                tuple(pool),
                Block(*block) if block else None,
                departed[0] if departed else float("-inf"),
            )
            for window, pool, block, departed in fours
        ]

    def records(self, owner: str, now: float) -> list[Record]:  # noqa: ARG002
        def work() -> list[Record]:
            client = self._connected()
            keys = [_text(each) for each in client.smembers(f"{PREFIX}owner:{owner}")]
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.hmget(f"{PREFIX}{key}:facts", "rule", "label")
            found = zip(keys, pipeline.execute(), strict=True)
            # a key whose facts have expired stays in the set until the set expires
            return [Record(_text(rule), _text(label), key) for key, (rule, label) in found if rule]

        return self._ask(work)

    def flush(self) -> None:
        """Nothing is left for later."""

    def _run(
        self,
        operation: str,
        claims: Sequence[Claim],
        now: float,
        *,
        slot: int = 0,
        longest: float = 0.0,
        draw: bool = False,
        seconds: Sequence[float] = (),
        replace: bool = False,
    ) -> list[str]:
        """Runs the script, and returns its answer."""
        ahead = now - time.time()
        arguments: list[Any] = [operation, slot, ahead if abs(ahead) > SKEW else 0]
        arguments += [longest, int(draw), GRACE, HORIZON, int(replace)]
        keys = []
        for index, claim in enumerate(claims):
            base = f"{PREFIX}{claim.key}"
            keys += [f"{base}:window", f"{base}:pool", f"{base}:facts"]
            keys.append(f"{PREFIX}owner:{claim.owner}")
            arguments += [claim.rule.limit, claim.rule.window, claim.pool_size, claim.pool_seconds]
            arguments += [int(claim.rule.paced), int(claim.counted), claim.rule.name, claim.label]
            arguments += [claim.key, seconds[index] if seconds else 0]

        def work() -> list[str]:
            client = self._connected()
            answer = client.register_script(SCRIPT)(keys=keys, args=arguments)
            return [_text(each) for each in answer]

        return self._ask(work)

    def _ask(self, work: Callable[[], Result]) -> Result:
        """Calls redis-py. The errors of redis-py become a StoreError that is safe to log."""
        try:
            return work()
        except Exception as error:
            reason = fault_of(error)
        # Outside of any `except`: the frames of redis-py hold the password.
        raise StoreError(
            f"Redis at {self._place} cannot be used: {reason}. Check that Redis runs, and check the"
            " URL with its password"
        )

    def _connected(self) -> Redis:
        """redis-py's client. If two threads create a client at once, a client is dropped."""
        if self._client is None:
            client = self._client = client_of(self._url)
            # A garbage collection of a cycle would destroy the sockets before their client.
            self._closer = weakref.finalize(self, client.close)
        return self._client


def _text(value: Any) -> str:
    # bytes without redis-py's option decode_responses
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _left_of(numbers: Sequence[str]) -> tuple[Left, ...]:
    threes = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    return tuple(
        Left(int(remaining), int(pooled), float(wait)) for remaining, pooled, wait in threes
    )
