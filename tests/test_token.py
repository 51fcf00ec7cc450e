"""The token as a value."""

from __future__ import annotations

import copy
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from requests import PreparedRequest

from requests_iris.secret import Bearer, fingerprint
from requests_iris.token import Token

REPLY = {
    "token_type": "Bearer",
    "expires_in": 3600,
    "access_token": "hush-a",
    "refresh_token": "hush-r",
    "scope": "api offline_access",
    "id_token": "hush-i",
}


def reply_token(*left_out: str, **members: Any) -> Token:
    reply = {name: value for name, value in REPLY.items() if name not in left_out}
    return Token.from_response({**reply, **members}, asked_at=1000.0)


def test_a_token_has_the_members_of_its_response() -> None:
    assert reply_token() == Token(
        access_token="hush-a",
        refresh_token="hush-r",
        expires_at=4600.0,
        expires_in=3600.0,
        scope=("api", "offline_access"),
        others={"id_token": "hush-i"},
    )


def test_a_token_keeps_the_members_that_a_response_leaves_out() -> None:
    """RFC 6749 sections 5.1 and 6: the scope asked for, and the refresh token used."""
    known = {"refresh_token": "older", "scope": ("api",)}
    token = Token.from_response({"access_token": "a"}, asked_at=0, **known)  # type: ignore[arg-type]
    assert (token.refresh_token, token.scope) == ("older", ("api",))
    token = Token.from_response(REPLY, asked_at=0, **known)  # type: ignore[arg-type]
    assert (token.refresh_token, token.scope) == ("hush-r", ("api", "offline_access"))


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        *((3600, 3600), (3600.5, 3600.5), ("3600", 3600), ("3600.0", 3600)),
        *((0, 0), ("0", 0), (-5, 0), ("-5", 0)),
        *((None, None), (True, None), ("soon", None), ("", None), ([3600], None), ({}, None)),
        *((math.nan, None), ("nan", None), (math.inf, None), (-math.inf, None), (10**400, None)),
    ],
)
def test_a_lifetime_is_understood_in_every_usual_form(
    expires_in: object, life: float | None
) -> None:
    token = reply_token(expires_in=expires_in)
    assert token.expires_in == life
    assert token.expires_at == (None if life is None else 1000 + life)


def test_a_token_without_a_lifetime_has_no_known_end() -> None:
    token = reply_token("expires_in")
    assert (token.expires_in, token.expires_at) == (None, None)


@pytest.mark.parametrize(
    ("life", "aging_after", "stale_after"),
    [
        (86400, 85500, 86340),
        (3600, 2700, 3540),
        (1200, 900, 1140),
        (600, 450, 540),
        (10, 7.5, 9),
        (0, 0, 0),
        (None, math.inf, math.inf),
    ],
)
def test_a_token_becomes_expiring_and_expired_at_its_times(
    life: float | None, aging_after: float, stale_after: float
) -> None:
    """Expiring: the last quarter, at most 15 minutes. Expired: the leeway, at most a tenth."""
    token = reply_token(expires_in=life)
    assert token.expiring_at == 1000 + aging_after
    assert token.expired_at(60) == 1000 + stale_after


@pytest.mark.parametrize(("leeway", "stale_after"), [(0, 3600), (300, 3300), (3000, 3240)])
def test_the_leeway_is_at_most_a_tenth_of_the_lifetime(leeway: float, stale_after: float) -> None:
    assert reply_token().expired_at(leeway) == 1000 + stale_after


def test_a_saved_token_with_only_its_end_is_treated_as_long_lived() -> None:
    token = Token.from_dict({"access_token": "a", "expires_at": 5000})
    assert (token.expiring_at, token.expired_at(60)) == (4100, 4940)


@pytest.mark.parametrize("expires_in", [-30, "-30", 0, "soon", None, math.nan])
def test_a_saved_token_is_never_used_beyond_its_end(expires_in: object) -> None:
    """The manual of requests-oauthlib saves a token with ``'expires_in': '-30'``."""
    token = Token.from_dict({"access_token": "a", "expires_at": 5000, "expires_in": expires_in})
    assert token.expiring_at <= token.expired_at(60) <= 5000


def test_a_saved_lifetime_without_an_end_is_ignored() -> None:
    token = Token.from_dict({"access_token": "a", "expires_in": 3600})
    assert (token.expires_in, token.expires_at, token.expiring_at) == (None, None, math.inf)


@pytest.mark.parametrize("expires_at", ["soon", True, [], math.nan, 10**400])
def test_a_saved_end_that_is_no_time_is_refused(expires_at: object) -> None:
    with pytest.raises(ValueError, match="^its expires_at is not a number of seconds$"):
        Token.from_dict({"access_token": "a", "expires_at": expires_at})


def test_a_saved_end_may_be_text() -> None:
    assert Token.from_dict({"access_token": "a", "expires_at": "5000.5"}).expires_at == 5000.5


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("api offline_access", ("api", "offline_access")),
        ("api  offline_access ", ("api", "offline_access")),
        (["api", "offline_access"], ("api", "offline_access")),
        (("api",), ("api",)),
        (None, None),
        (5, None),
        (["api", 5], None),
    ],
)
def test_a_scope_is_understood_in_every_usual_form(
    scope: object, words: tuple[str, ...] | None
) -> None:
    assert reply_token(scope=scope).scope == words
    assert Token.from_dict({"access_token": "a", "scope": scope}).scope == words


def test_a_token_as_a_dict_has_the_members_that_oauth_libraries_expect() -> None:
    assert reply_token().as_dict() == {
        **REPLY,
        "expires_at": 4600.0,
        "scope": ["api", "offline_access"],
    }


def test_an_unknown_member_is_not_in_the_dict() -> None:
    token = Token.from_response({"access_token": "a"}, asked_at=0)
    assert token.as_dict() == {"access_token": "a", "token_type": "Bearer"}


@pytest.mark.parametrize("left_out", [None, "refresh_token", "expires_in", "scope", "id_token"])
@pytest.mark.parametrize("life", [3600, 0, 0.5])
def test_a_token_survives_the_way_to_a_dict_and_back(left_out: str, life: float) -> None:
    token = Token.from_response({**REPLY, "expires_in": life, left_out: None}, asked_at=1000.25)
    assert Token.from_dict(token.as_dict()) == token


def test_a_dict_of_a_token_is_a_copy() -> None:
    token = reply_token()
    changed = token.as_dict()
    changed["scope"].append("more")
    changed["id_token"] = changed["access_token"] = "other"
    assert token == reply_token()


def test_a_token_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        reply_token().access_token = "other"  # type: ignore[misc]


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_the_type_of_a_token_may_be_spelled_in_any_case(token_type: str) -> None:
    assert reply_token(token_type=token_type) == reply_token("token_type") == reply_token()


@pytest.mark.parametrize("token_type", ["mac", " ", "Bearer ", 5, 0, False, ["Bearer"]])
def test_a_token_of_another_type_is_refused(token_type: object) -> None:
    with pytest.raises(ValueError, match="^its token_type is not Bearer$"):
        reply_token(token_type=token_type)


@pytest.mark.parametrize("make", [lambda m: Token.from_response(m, asked_at=0), Token.from_dict])
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize(
    "value", ["hush\r\nX-Injected: 1", "hush\n", "\thush", "hush\x00", "hush\x7f", "hushé", "🔑", 5]
)
def test_a_token_that_no_header_can_hold_is_refused(
    make: Callable[[dict[str, Any]], Token], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"^it has no {name} made of visible") as caught:
        make({**REPLY, name: value})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("members", [{}, {"access_token": None}, {"access_token": ""}])
def test_a_response_without_an_access_token_is_refused(members: dict[str, Any]) -> None:
    for make in (Token.from_dict, lambda members: Token.from_response(members, asked_at=0)):
        with pytest.raises(ValueError, match="^it has no access_token"):
            make(members)


def test_a_token_shows_no_secret() -> None:
    assert repr(reply_token()) == (
        "Token(expires_at=4600.0, expires_in=3600.0, scope=('api', 'offline_access'))"
    )


def test_a_bearer_is_sent_as_its_full_text() -> None:
    bearer = reply_token().bearer
    assert bearer == f"{bearer}" == str(bearer) == "Bearer hush-a"
    assert bearer.access_token == "hush-a"


def test_a_bearer_shows_a_fingerprint() -> None:
    request = PreparedRequest()
    request.prepare(
        "GET", "https://iris.trackunit.com", headers={"Authorization": Bearer("Bearer a")}
    )
    assert repr(Bearer("Bearer a")) == f"<Bearer {fingerprint('a')}>"
    assert f"<Bearer {fingerprint('a')}>" in repr(request.headers)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_bearer_holds_a_fingerprint_and_no_secret(protocol: int) -> None:
    """Responses are pickled with their requests, into process pools and caches."""
    request = PreparedRequest()
    request.prepare("GET", "https://x", headers={"Authorization": reply_token().bearer})
    pickled = pickle.dumps(request, protocol)
    assert b"hush" not in pickled
    found = pickle.loads(pickled).headers
    assert str(found["Authorization"]) == f"Bearer fingerprint:{fingerprint('hush-a')}"
    assert repr(found) == repr(request.headers)


def test_an_unpickled_bearer_equals_only_the_pickled_bearer() -> None:
    """requests' own suite compares the headers of a request with those of its pickle."""
    bearer = reply_token().bearer
    found = pickle.loads(pickle.dumps(bearer))
    assert found == bearer
    assert bearer == found
    assert pickle.loads(pickle.dumps(found)) == bearer
    assert found != Bearer("Bearer other")
    assert found != str(found)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda bearer: copy.copy([bearer])[0]]
)
def test_a_copied_bearer_still_signs(duplicate: Callable[[Bearer], Bearer]) -> None:
    """requests copies requests on its way, such as at a redirect."""
    found = duplicate(reply_token().bearer)
    assert type(found) is Bearer
    assert found == "Bearer hush-a"


def test_a_fingerprint_distinguishes_secrets_and_reveals_nothing() -> None:
    assert re.fullmatch("[0-9a-f]{8}", fingerprint("hush-a"))
    assert fingerprint("hush-a") == reply_token().fingerprint
    assert fingerprint("hush-a") != fingerprint("hush-b")
