"""The setting `quota`: an argument, a variable, and a view."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from requests_iris import IrisSession, Quota, QuotaExceededError, RateLimit, SettingError
from requests_iris.sandbox import Sandbox

from ..support.paths import ASSETS, EVENTS, FLEET

PAGE = f"{FLEET}/1"
ONCE = RateLimit("once", 1, 1000, "/echo")


class Mixin:
    """Passes on only names in the signature of the next class, as requests-cache's mixin does."""

    def __init__(self, **named: Any) -> None:
        import inspect

        known = inspect.signature(super().__init__).parameters
        super().__init__(**{name: value for name, value in named.items() if name in known})


class Mixed(Mixin, IrisSession):
    """A session behind a mixin."""


def test_a_session_has_no_quota_unless_asked() -> None:
    assert IrisSession().quota is None


@pytest.mark.parametrize("off", [None, False, 0, 0.0])
def test_a_quota_can_be_switched_off_also_where_the_variable_is_set(monkeypatch, off) -> None:
    monkeypatch.setenv("TRACKUNIT_QUOTA", "memory")
    assert (IrisSession(quota=off).quota is None) == (off is not None)


def test_a_variable_sets_the_quota_and_an_argument_wins(monkeypatch, tmp_path, sandbox) -> None:
    monkeypatch.setenv("TRACKUNIT_QUOTA", str(tmp_path / "first.db"))
    monkeypatch.setenv("ACME_QUOTA", str(tmp_path / "second.db"))
    sessions = [IrisSession(**sandbox.settings)]
    sessions.append(IrisSession.from_env("ACME_", **sandbox.settings))
    sessions.append(IrisSession(quota="memory", **sandbox.settings))
    sessions.append(IrisSession.from_env("NONE_", **sandbox.settings))
    for iris in sessions:
        iris.verify = sandbox.ca_file
        assert iris.get(PAGE).ok
    for iris in sessions[:3]:
        assert iris.quota.state(PAGE).remaining == 0
    assert sessions[3].quota is None
    assert sandbox.count("api") == 4
    for iris in sessions:
        iris.close()


@pytest.mark.parametrize("setting", [True, 1, -1, 2.5, b"memory", ["memory"], object(), Quota])
def test_a_bad_value_of_quota_is_a_setting_error(setting) -> None:
    with pytest.raises(SettingError, match="quota") as caught:
        IrisSession(quota=setting)
    assert caught.value.setting == "quota"


@pytest.mark.parametrize("text", ["sqlite://x", "https://example.org/q", "file://host/x"])
def test_a_bad_variable_is_named_with_its_prefix(monkeypatch, text) -> None:
    monkeypatch.setenv("ACME_QUOTA", text)
    with pytest.raises(SettingError) as caught:
        IrisSession.from_env("ACME_")
    assert caught.value.variable == "ACME_QUOTA"
    assert "ACME_QUOTA" in str(caught.value)


def test_a_password_in_the_url_of_a_quota_is_shown_nowhere() -> None:
    with pytest.raises(SettingError) as caught:
        IrisSession(quota="redis://user:s3cret-word@host:port/0")
    frames = []
    trace = caught.value.__traceback__
    while trace:
        frames.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert "s3cret" not in str(caught.value) + repr(caught.value)
    assert not any("s3cret" in frame for frame in frames[1:])


@pytest.mark.parametrize("name", ["quotas", "rate_limit", "limiter"])
def test_a_wrong_name_of_the_argument_quota_is_a_type_error(name) -> None:
    with pytest.raises(TypeError, match=name):
        IrisSession(**{name: "memory"})


def test_a_quota_cannot_be_replaced(sandbox) -> None:
    for iris in (IrisSession(), IrisSession(quota="memory")):
        with pytest.raises(AttributeError, match="quota"):
            iris.quota = "memory"


def test_the_view_tells_the_state_of_a_url_and_sends_nothing(session, sandbox) -> None:
    iris = session(sandbox, clock=sandbox.clock)
    states = [iris.quota.state(url) for url in (PAGE, sandbox.base_url + PAGE, f"{PAGE}?x=1")]
    assert {(each.limit, each.remaining, each.pool_remaining) for each in states} == {(1, 1, 50)}
    assert {each.retry_after for each in states} == {0}
    assert iris.quota.state(EVENTS, "POST").limit == iris.quota.state(EVENTS, method="post").limit
    assert iris.quota.state(ASSETS) is None
    assert iris.quota.state(f"https://example.org{PAGE}") is None
    assert sandbox.seen == ()
    iris.get(PAGE)
    state = iris.quota.state(PAGE)
    assert (state.rule, state.remaining, state.pool_remaining) == ("AEMP fleet page", 0, 50)
    assert 890 < state.retry_after <= 900
    iris.base_url = f"{sandbox.base_url}/public"
    assert iris.quota.state(PAGE.removeprefix("/public")).remaining == 0


def test_the_view_shows_no_secret(session, sandbox) -> None:
    iris = session(sandbox, clock=sandbox.clock)
    shown = repr(iris.quota) + repr(iris.quota.state(PAGE))
    assert all(value not in shown for name, value in sandbox.settings.items() if "url" not in name)


def test_a_copied_or_pickled_session_shares_a_quota_on_disk(session, sandbox, tmp_path) -> None:
    iris = session(sandbox, quota=tmp_path / "quota.db", clock=sandbox.clock)
    assert iris.get(PAGE).ok
    for make in (copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))):
        with make(iris) as other:
            other.verify = sandbox.ca_file
            assert other.quota.state(PAGE).remaining == 0
            with pytest.raises(QuotaExceededError):
                other.get(PAGE)
    assert sandbox.count("api") == 1


def test_sessions_of_one_process_share_the_memory_and_rules_travel_in_a_pickle(
    session, sandbox
) -> None:
    first, second = (session(sandbox, ONCE, clock=sandbox.clock) for _ in range(2))
    assert first.get("/echo").ok
    assert second.quota.state("/echo").remaining == 0
    with pickle.loads(pickle.dumps(first)) as other:
        assert other.quota.state("/echo").limit == 1
        assert other.quota.state(PAGE) is None


def test_a_mixin_that_passes_names_on_passes_the_quota_on(session, sandbox) -> None:
    iris = session(sandbox, ONCE, kind=Mixed, unknown_to_us=1)
    assert iris.get("/echo").ok
    with pytest.raises(QuotaExceededError):
        iris.get("/echo")


def test_own_rules_replace_those_of_iris_also_for_retries_of_a_429(session) -> None:
    """A long window means no retry; IRIS's own rules hold no more."""
    with Sandbox() as sandbox:
        iris = session(sandbox, RateLimit("mine", 50, 60, PAGE))
        sandbox.limit(PAGE, requests=0, per=1)
        assert iris.get(PAGE).status_code == 429
        assert sandbox.count("api") == 5


def test_a_quota_is_settable_for_the_marker_of_a_subclass(sandbox) -> None:
    """A subclass may pass the quota on by position of its own."""

    class Mine(IrisSession):
        def __init__(self, place: str, **settings: Any) -> None:
            super().__init__(quota=place, **settings)

    with Mine("memory", **sandbox.settings) as iris:
        assert iris.quota.state(PAGE).limit == 1
