"""Who signs in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from requests_iris.credentials import Credentials, from_environment, parse_scope
from requests_iris.errors import MissingSettingError, SettingError

NAMES = ["client_id", "client_secret", "username", "password"]
ENVIRON = {f"TRACKUNIT_{name.upper()}": f"{name} of environ" for name in NAMES}


def test_what_was_given_nowhere_comes_from_the_environment() -> None:
    completed = Credentials().completed(ENVIRON)
    assert completed.client == ("client_id of environ", "client_secret of environ")
    assert completed.user == ("username of environ", "password of environ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["argument", ""])
def test_an_argument_stands_before_the_environment(name: str, value: str) -> None:
    """Each by itself, and an empty one too: an empty password is a password."""
    completed = Credentials(**{name: value}).completed(ENVIRON)
    others = {each: f"{each} of environ" for each in NAMES if each != name}
    assert completed == Credentials(**{name: value, **others})


def test_completing_leaves_the_original_as_it_was() -> None:
    credentials = Credentials(username="argument")
    credentials.completed(ENVIRON)
    assert credentials == Credentials(username="argument")


@pytest.mark.parametrize(
    ("environ", "value"),
    [({"TRACKUNIT_SCOPE": "api"}, "api"), ({"TRACKUNIT_SCOPE": ""}, None), ({"SCOPE": "x"}, None)],
)
def test_an_empty_variable_counts_as_missing(environ: dict[str, str], value: str | None) -> None:
    assert from_environment("scope", environ) == value


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_one_is_told_with_its_setting_and_variable(name: str) -> None:
    variable = f"TRACKUNIT_{name.upper()}"
    credentials = Credentials().completed({**ENVIRON, variable: ""})
    with pytest.raises(MissingSettingError, match=rf"{name}=.*{variable}$") as caught:
        _ = credentials.client, credentials.user
    assert (caught.value.setting, caught.value.variable) == (name, variable)


def test_all_that_are_missing_are_told_at_once() -> None:
    with pytest.raises(MissingSettingError) as caught:
        _ = Credentials(client_id="c", username="u").user
    assert str(caught.value) == (
        "a token is needed, but there is no client_secret, password: "
        "pass client_secret=, password= to the session, "
        "or set TRACKUNIT_CLIENT_SECRET, TRACKUNIT_PASSWORD"
    )
    assert caught.value.setting == "client_secret"
    assert caught.value.variable == "TRACKUNIT_CLIENT_SECRET"


def test_the_client_alone_needs_no_user() -> None:
    """A refresh token is used without a password."""
    assert Credentials(client_id="c", client_secret="s").client == ("c", "s")


def test_the_repr_hides_secret_and_password() -> None:
    shown = repr(Credentials("the id", "hush", "the user", "hush"))
    assert shown == "Credentials(client_id='the id', username='the user')"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [b"hush", 5, ["hush"], False])
def test_what_is_no_text_is_refused(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"^{name} must be a str, not ") as caught:
        Credentials(**{name: value})  # type: ignore[arg-type]
    assert caught.value.setting == name
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["a:b&c+d%e f=g", "é", "密码", "🔑", "\x7f\t"])
def test_any_other_text_is_taken_as_it_is(name: str, value: str) -> None:
    value = value.replace(":", "") if name == "client_id" else value
    assert getattr(Credentials(**{name: value}), name) == value


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_surrogate_is_refused_without_a_trace_of_the_value(name: str) -> None:
    """Nor in the errors behind the error: a UnicodeEncodeError holds the whole text."""
    for call in (
        lambda: Credentials(**{name: "hush\udc80"}),
        lambda: Credentials().completed({f"TRACKUNIT_{name.upper()}": "hush\udc80"}),
    ):
        with pytest.raises(SettingError, match=f"^{name} is no valid Unicode text$") as caught:
            call()
        assert caught.value.setting == name
        assert not [each for each in _chain(caught.value) if "hush" in f"{each!r}{vars(each)}"]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_colon_in_client_id_is_refused() -> None:
    """HTTP Basic would take what follows it for the beginning of the secret."""
    with pytest.raises(SettingError, match=r"^client_id must not hold a ':'") as caught:
        Credentials(client_id="a:b")
    assert caught.value.setting == "client_id"


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("api offline_access", ("api", "offline_access")),
        ("api  offline_access ", ("api", "offline_access")),
        (["api", "offline_access"], ("api", "offline_access")),
        (("api", ""), ("api",)),
        ({"api"}, ("api",)),
        (frozenset({"api"}), ("api",)),
        ("", ()),
        ([], ()),
        ("!#[]~", ("!#[]~",)),
    ],
)
def test_the_words_of_a_scope(scope: object, words: tuple[str, ...]) -> None:
    assert parse_scope(scope) == words


@pytest.mark.parametrize(
    "scope",
    [
        *("api\n", "api\toffline_access", "a\x00", "a\x7f", 'a"', "a\\", "é", "a\u2028b"),
        *(["api offline_access"], ["api", "a\r"], ["api", 5], [b"api"]),
        *(b"api", None, 5, {"api": 1}, iter(["api"])),
    ],
)
def test_a_scope_that_cannot_be_sent_is_refused(scope: object) -> None:
    with pytest.raises(SettingError, match="^scope must be ") as caught:
        parse_scope(scope)
    assert caught.value.setting == "scope"
