"""Credentials: sources, errors for missing credentials, and hidden values."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace

import pytest

from requests_iris.credentials import Credentials, from_environment, parse_scope
from requests_iris.errors import MissingSettingError, SettingError

NAMES = ["client_id", "client_secret", "username", "password"]
ENVIRON = {f"TRACKUNIT_{name.upper()}": f"{name} of environ" for name in NAMES}


def test_credentials_that_were_not_passed_come_from_the_environment() -> None:
    completed = Credentials().completed(ENVIRON)
    assert completed.client == ("client_id of environ", "client_secret of environ")
    assert completed.user == ("username of environ", "password of environ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["argument", ""])
def test_an_argument_wins_over_its_variable_even_if_empty(name: str, value: str) -> None:
    """An empty password is a password."""
    completed = Credentials(**{name: value}).completed(ENVIRON)
    others = {each: f"{each} of environ" for each in NAMES if each != name}
    assert completed == Credentials(**{name: value, **others})


def test_only_variables_with_the_prefix_are_read() -> None:
    environ = {**ENVIRON, "ACME_USERNAME": "user of Acme"}
    completed = Credentials(prefix="ACME_").completed(environ)
    assert completed == Credentials(username="user of Acme", prefix="ACME_")


def test_completing_credentials_does_not_change_the_original() -> None:
    credentials = Credentials(username="argument")
    credentials.completed(ENVIRON)
    assert credentials == Credentials(username="argument")


@pytest.mark.parametrize(
    ("environ", "value"),
    [({"TRACKUNIT_SCOPE": "api"}, "api"), ({"TRACKUNIT_SCOPE": ""}, None), ({"SCOPE": "x"}, None)],
)
def test_an_empty_variable_counts_as_missing(environ: dict[str, str], value: str | None) -> None:
    assert from_environment("scope", environ) == value


@pytest.mark.parametrize("prefix", ["TRACKUNIT_", "ACME_"])
@pytest.mark.parametrize("name", NAMES)
def test_an_error_names_the_missing_credential_its_argument_and_its_variable(name, prefix) -> None:
    variable = f"{prefix}{name.upper()}"
    others = {each: "x" for each in NAMES if each != name}
    credentials = Credentials(**others, prefix=prefix)
    with pytest.raises(MissingSettingError) as caught:
        _ = credentials.client, credentials.user
    assert str(caught.value) == f"No {name}. Pass `{name}=` to IrisSession or set {variable}."
    assert (caught.value.setting, caught.value.variable) == (name, variable)


def test_one_error_names_all_missing_credentials() -> None:
    with pytest.raises(MissingSettingError) as caught:
        _ = Credentials(client_id="c", username="u").user
    assert str(caught.value) == (
        "No client_secret and no password. Pass `client_secret=` and `password=` to IrisSession "
        "or set TRACKUNIT_CLIENT_SECRET and TRACKUNIT_PASSWORD."
    )
    assert caught.value.setting == "client_secret"
    assert caught.value.variable == "TRACKUNIT_CLIENT_SECRET"


def test_an_error_says_that_a_variable_was_set_after_the_session_was_created(monkeypatch) -> None:
    monkeypatch.setenv("TRACKUNIT_PASSWORD", "p")
    with pytest.raises(MissingSettingError) as caught:
        _ = Credentials(client_id="c", username="u").user
    assert str(caught.value) == (
        "No client_secret and no password. "
        "Pass `client_secret=` to IrisSession or set TRACKUNIT_CLIENT_SECRET. "
        "TRACKUNIT_PASSWORD is set now but was not set when this session was created. "
        "Create the session afterwards."
    )


def test_an_unpickled_session_reads_the_variables_of_its_prefix(monkeypatch) -> None:
    pickled = pickle.dumps(Credentials(username="passed", prefix="ACME_"))
    monkeypatch.setenv("ACME_USERNAME", "user")
    monkeypatch.setenv("ACME_PASSWORD", "password")
    monkeypatch.setenv("TRACKUNIT_CLIENT_ID", "of another prefix")
    loaded = pickle.loads(pickled)
    assert loaded == Credentials(username="passed", password="password", prefix="ACME_")


HINTS = [
    ({"password": "p\n"}, "password ends with a newline"),
    ({"client_secret": "s\r\n"}, "client_secret ends with a newline"),
    (
        {"client_secret": "s\n", "password": "p\n"},
        "client_secret ends with a newline and password ends with a newline",
    ),
    ({"username": " u"}, "username has white space at an end"),
    ({"client_id": "c\t"}, "client_id has white space at an end"),
    ({"password": "\ufeffp"}, "password has white space at an end"),
]


@pytest.mark.parametrize(("given", "hint"), HINTS)
def test_a_hint_names_white_space_from_a_secret_file(given, hint) -> None:
    assert Credentials(**given).hint().startswith(hint)


@pytest.mark.parametrize("given", [{}, {"password": ""}, {"password": "a b"}])
def test_a_message_about_clean_secrets_has_no_hint(given) -> None:
    assert Credentials(**given).hint() == ""


@pytest.mark.parametrize("name", ["client_secret", "password"])
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, replace])
def test_secrets_stay_hidden_in_copies(name, again) -> None:
    credentials = again(Credentials(**{name: "hush"}))
    assert getattr(credentials, name) == "hush"
    assert "hush" not in f"{credentials!r}{vars(credentials)!r}"


def test_a_pickle_of_credentials_holds_plain_text() -> None:
    assert b"Secret" not in pickle.dumps(Credentials(client_secret="s", password="p"))


def test_the_client_needs_no_user() -> None:
    """The refresh_token grant uses no password."""
    assert Credentials(client_id="c", client_secret="s").client == ("c", "s")


def test_the_repr_hides_secret_and_password() -> None:
    shown = repr(Credentials("the id", "hush", "the user", "hush"))
    assert shown == "Credentials(client_id='the id', username='the user')"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [b"hush", 5, ["hush"], False])
def test_a_credential_that_is_not_a_str_is_refused(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"^{name} must be a str, not ") as caught:
        Credentials(**{name: value})  # type: ignore[arg-type]
    assert caught.value.setting == name
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["a:b&c+d%e f=g", "é", "密码", "🔑", "\x7f\t"])
def test_any_text_is_accepted_unchanged(name: str, value: str) -> None:
    value = value.replace(":", "") if name == "client_id" else value
    assert getattr(Credentials(**{name: value}), name) == value


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_surrogate_is_refused_without_a_trace_of_the_value(name: str) -> None:
    """A UnicodeEncodeError behind the error would contain the whole text."""
    for call in (
        lambda: Credentials(**{name: "hush\udc80"}),
        lambda: Credentials().completed({f"TRACKUNIT_{name.upper()}": "hush\udc80"}),
    ):
        with pytest.raises(SettingError, match=f"{name} is not valid Unicode text$") as caught:
            call()
        assert caught.value.setting == name
        assert not [each for each in _chain(caught.value) if "hush" in f"{each!r}{vars(each)}"]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_colon_in_client_id_is_refused() -> None:
    """HTTP Basic would read the rest of the client id as the beginning of the secret."""
    with pytest.raises(SettingError, match=r"^client_id must not contain a ':'") as caught:
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
def test_a_scope_is_split_into_its_words(scope: object, words: tuple[str, ...]) -> None:
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
