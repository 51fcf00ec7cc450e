"""No user name, client id or password of a user is in a store, a log, an error or a repr."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from requests_iris import QuotaExceededError
from requests_iris.quota import Quota, RateLimit, owner_of

from ..support.clocks import SkippingClock

RULE = RateLimit("r", 1, 900, "/", key="{path} {page}")


@pytest.mark.parametrize("spelling", ["Zoe@Example.org", "zoe%40example.org", "%7Aoe@example.org"])
def test_user_name_and_secrets_of_a_url_are_nowhere(
    place: str, spelling: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quota, owner, clock = (
        Quota(place, [RULE], pool="always"),
        owner_of(username="zoe@example.org"),
        SkippingClock(),
    )
    url = f"https://zoe:hunter2@{uuid4().hex}/users/{spelling}?token=hunter3&page=2#hunter4"
    quota.reserve(owner, "GET", url, clock=clock).settle()
    quota.blocked(owner, "GET", url, clock=clock)
    with pytest.raises(QuotaExceededError) as caught:
        quota.reserve(owner, "GET", url, clock=clock)
    quota.flush()
    shown = [repr(quota), repr(owner), str(caught.value), repr(vars(caught.value)), caplog.text]
    shown += [repr(quota.state(owner, url, clock=clock)), repr(quota.entries(owner, clock=clock))]
    shown += [each.read_bytes().decode("latin-1") for each in tmp_path.glob("*/*")]
    if place.startswith("redis"):
        with redis.Redis.from_url(place) as client:
            for key in client.scan_iter():
                shown.append(repr(key))
                kind = client.type(key)
                shown.append(repr(client.hgetall(key) if kind == b"hash" else kind))
    assert "/users/" in "".join(shown)
    for text in shown:
        for secret in ("zoe", "hunter", "redis-pass"):
            assert secret not in text.lower().replace("%7a", "z")


def test_all_keys_in_redis_expire(redis_url: str) -> None:
    quota, owner = Quota(redis_url, pool="always"), owner_of(client_id="client")
    host = uuid4().hex
    for path in ("aemp/v2/1/-1/Fleet/1", "aemp/v2/1/-1/Fleet/1", "api/location/v1/locations"):
        quota.reserve(owner, "GET", f"https://{host}/{path}").settle()
    quota.blocked(owner, "GET", f"https://{host}/api/alerts/v1/x", retry_after=100)
    with redis.Redis.from_url(redis_url) as client:
        assert [key for key in client.scan_iter() if client.pttl(key) < 0] == []


def test_client_id_of_a_key_and_user_name_are_hidden_in_a_repr() -> None:
    assert "zoe" not in repr([owner_of(username="zoe"), owner_of(client_id="zoe")])
