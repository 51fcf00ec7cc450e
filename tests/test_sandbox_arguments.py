"""Wrong arguments of the sandbox: each is refused, with the allowed values in the message."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest

from requests_iris.clock import Clock
from requests_iris.sandbox import OMIT, Fault, MovableClock, Sandbox

NAN, INF = float("nan"), float("inf")

#: Values that are never a whole number from 1 to a million.
NO_COUNTS = [0, -1, 10**12, 1.5, NAN, True, "1", None, b"1", [1]]
#: Values that are never a number of seconds.
NO_SECONDS = [-1, -0.001, NAN, INF, -INF, 10**400, True, "1", None, [1]]
NO_TEXTS = [b"x", 7, None, True, ["x"]]
NO_DICTS = ["x", b"x", 7, None, [("a", 1)], True]


def rows(name: str, values: list, *allowed: object) -> list:
    """Rows of a table: the argument, and each of the values that is not `allowed`."""
    return [(name, value) for value in values if not any(value is each for each in allowed)]


def ids(row: object) -> str:
    return re.sub(r"\s+", " ", repr(row))[:40]


def refused(name: str):
    """The error names the argument and says what it must be."""
    return pytest.raises((TypeError, ValueError), match=rf"^{name}\b.* must be |{name} begins")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *rows("machines", NO_COUNTS, 0, None),
        *rows("token_lifetime", NO_SECONDS),
        *rows("port", [*NO_COUNTS, 65535], 0),
        *rows("client_id", NO_TEXTS, None),
        *rows("client_secret", NO_TEXTS, None),
        *rows("username", NO_TEXTS, None),
        *rows("password", NO_TEXTS, None),
        *rows("key_id", NO_TEXTS, None),
        *rows("key_secret", NO_TEXTS, None),
        *rows("key_scopes", ["asset.view", b"x", 7, None, True, {"a": 1}]),
        *rows("key_paths", NO_DICTS),
        *rows("key_token_lifetime", NO_SECONDS),
        *rows("hostnames", ["example.org", b"example.org", 7, None, True]),
        *rows("clock", ["now", 7, True, Clock(), MovableClock]),
        *rows("assets", ["[]", b"[]", 7, {"id": "1"}, True]),
    ],
    ids=ids,
)
def test_a_sandbox_refuses_a_wrong_argument(name: str, value: object) -> None:
    with refused(name):
        Sandbox(**{name: value})


@pytest.mark.parametrize("names", [[7], [None], [b"example.org"], ["example.org", 7]])
def test_a_sandbox_refuses_host_names_that_are_no_texts(names: list) -> None:
    with pytest.raises(TypeError, match="each of hostnames must be a str"):
        Sandbox(hostnames=names)


@pytest.mark.parametrize("scopes", [[7], [""], ["two words"], ["a\n"], [b"x"], ['"'], ["é"]])
def test_a_sandbox_refuses_scopes_that_cannot_be_sent(scopes: list) -> None:
    with pytest.raises((TypeError, ValueError), match="each of key_scopes must be"):
        Sandbox(key_scopes=scopes)


@pytest.mark.parametrize(
    "paths", [{"api": None}, {7: None}, {"/a?b": None}, {"/api": 7}, {"/api": ""}, {"/a": ["x"]}]
)
def test_a_sandbox_refuses_paths_of_keys_that_never_fit(paths: dict) -> None:
    with pytest.raises((TypeError, ValueError), match="each (path|scope) of key_paths"):
        Sandbox(key_paths=paths)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *rows("machines", NO_COUNTS, 0),
        *rows("token_lifetime", NO_SECONDS),
        *rows("key_token_lifetime", NO_SECONDS),
        *rows("key_scopes", ["asset.view", 7, None]),
        *rows("key_paths", NO_DICTS),
        ("assets", None),
    ],
    ids=ids,
)
def test_a_running_sandbox_refuses_a_wrong_value_and_keeps_the_old_one(sandbox, name, value):
    before = getattr(sandbox, name)
    with refused(name):
        setattr(sandbox, name, value)
    assert getattr(sandbox, name) == before


@pytest.mark.parametrize("name", ["machine", "token_life", "url", "ca_files"])
def test_a_misspelled_attribute_of_a_sandbox_is_refused(sandbox, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(sandbox, name, 7)


@pytest.mark.parametrize(
    "name", ["base_url", "token_url", "ca_file", "settings", "seen", "aemp", "clock", "asset_ids"]
)
def test_a_fact_about_a_sandbox_cannot_be_set(sandbox, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(sandbox, name, "x")


@pytest.mark.parametrize(
    "kind", ["passwords", "API", "refresh", "", None, 7, ["api"], "client_credential"]
)
def test_an_unknown_kind_of_request_is_not_counted_as_none(sandbox, kind: object) -> None:
    allowed = "kind must be one of token, api, foreign, password, refresh_token"
    with pytest.raises(ValueError, match=allowed):
        sandbox.count(kind)


@pytest.mark.parametrize("status", ["404", 0, 99, 1000, -200, True, 200.0, NAN], ids=ids)
def test_an_impossible_status_is_not_counted_as_none(sandbox, status: object) -> None:
    with refused("status"):
        sandbox.count("api", status)


def test_a_status_may_be_a_name_of_the_standard_library(sandbox) -> None:
    assert sandbox.count("api", HTTPStatus.NOT_FOUND) == 0
    sandbox.inject(Fault(status=HTTPStatus.NOT_FOUND), on="api")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *rows("fault", [503, "503", None, Fault, {"status": 503}]),
        *rows("on", ["API", "apis", "", None, 7, ["api"]]),
        *rows("times", NO_COUNTS),
        *rows("after", NO_COUNTS, 0),
        *rows("path", ["api", "?a=1", "/api?a=1", *NO_TEXTS]),
    ],
    ids=ids,
)
def test_inject_refuses_a_wrong_argument(sandbox, name: str, value: object) -> None:
    arguments = {"fault": Fault(status=503), "on": "foreign", name: value}
    with refused(name):
        sandbox.inject(**arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *rows("path", ["api", "/api?a=1", *NO_TEXTS]),
        *rows("requests", NO_COUNTS, 0),
        *rows("per", [0, 0.0, *NO_SECONDS]),
        *rows("retry_after", ["foo", "second", "", 30, True, ["date"]]),
    ],
    ids=ids,
)
def test_limit_refuses_a_wrong_argument(sandbox, name: str, value: object) -> None:
    arguments = {"path": "/api", "requests": 1, "per": 60, name: value}
    with refused(name):
        sandbox.limit(**arguments)


@pytest.mark.parametrize("password", NO_TEXTS, ids=ids)
def test_a_password_that_is_no_text_is_refused_and_not_shown(sandbox, password) -> None:
    with pytest.raises(TypeError, match="password must be a str, not [a-zA-Z]+\\."):
        sandbox.change_password(password)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *rows("next_link", ["no", 0, 1, None]),
        *rows("lower_case", ["no", 0, 1, None]),
        *rows("page_size", NO_COUNTS),
    ],
    ids=ids,
)
def test_a_habit_of_aemp_refuses_a_wrong_value(sandbox, name: str, value: object) -> None:
    with refused(name):
        setattr(sandbox.aemp, name, value)


def test_an_unknown_habit_of_aemp_is_refused(sandbox) -> None:
    with pytest.raises(AttributeError, match=r"next_link, lower_case, page_size, not next_links"):
        sandbox.aemp.next_links = False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *rows("status", ["500", 0, -1, 99, 100, 199, 1000, 500.0, NAN, True, b"500"]),
        *rows("body", [7, None, True, ["x"], {"a": {1}}, {"a": OMIT}, {"a": b"x"}]),
        *rows("headers", [*NO_DICTS, {"X": 7}, {"X": None}]),
        *rows("headers", [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "\N{TRACTOR}"}]),
        *rows("redirect", [*NO_TEXTS, "https://x/\r\nY: b", "\N{TRACTOR}"], None),
        *rows("reply", [*NO_DICTS, {"a": {1}}, {"a": b"x"}]),
        *rows("scope", NO_TEXTS, None),
        *rows("expires_in", [{1}, b"3600", object]),
        *rows("delay", NO_SECONDS),
        *rows("trickle", NO_SECONDS),
        *rows("drop", ["never", "", 7, True, ["before"]]),
        *rows("truncate", ["5", 5.0, NAN, True, 10**12]),
    ],
    ids=ids,
)
def test_a_fault_refuses_a_wrong_part(name: str, value: object) -> None:
    parts = {"status": 200, name: value} if name == "body" else {name: value}
    with refused(name):
        Fault(**parts)


@pytest.mark.parametrize("header", ["", "X Y", "X:", "X\r\nY", "\N{TRACTOR}", 7], ids=ids)
def test_a_fault_refuses_a_name_that_no_header_has(header: str) -> None:
    with pytest.raises((TypeError, ValueError), match="a name in headers must be "):
        Fault(headers={header: "x"})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"body": "x"}, "body replaces the true response: pass a status"),
        ({"status": 200, "reply": {"a": 1}}, "have nothing to change"),
        ({"status": 400, "scope": "api"}, "have nothing to change"),
        ({"redirect": "/x", "expires_in": 1}, "have nothing to change"),
        ({"drop": "after", "status": 500}, "only delay can be added, not status"),
        ({"drop": "before", "redirect": "/x"}, "only delay can be added, not redirect"),
        ({"drop": "after", "reply": {"a": 1}}, "only delay can be added, not reply"),
        ({"drop": "after", "headers": {"X": "1"}}, "only delay can be added, not headers"),
        ({"drop": "after", "trickle": 1, "truncate": 1}, "not trickle, truncate"),
    ],
)
def test_a_fault_refuses_parts_that_exclude_each_other(parts: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault(**parts)


@pytest.mark.parametrize("seconds", [*NO_SECONDS])
def test_a_clock_refuses_what_is_no_time(seconds: object) -> None:
    clock = MovableClock()
    with refused("seconds"):
        clock.advance(seconds)
    assert repr(clock) == "<MovableClock, 0 seconds ahead>"
