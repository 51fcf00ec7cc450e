"""Who signs in: from arguments, else from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from .errors import MissingSettingError, SettingError
from .secret import Secret

#: The variables that stand behind the settings begin with this.
PREFIX = "TRACKUNIT_"


def from_environment(setting: str, environ: Mapping[str, str]) -> str | None:
    """The setting's variable, such as ``TRACKUNIT_SCOPE``; an empty one counts as not set."""
    return environ.get(variable_of(setting)) or None


def variable_of(setting: str) -> str:
    """The name of the variable that can hold a setting."""
    return PREFIX + setting.upper()


@dataclass(frozen=True)
class Credentials:
    """An API User of IRIS and the client it signs in with (RFC 6749 sections 2.3.1 and 4.3.2)."""

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_text(each.name, getattr(self, each.name))
        if self.client_id and ":" in self.client_id:
            raise SettingError(
                "client_id must not hold a ':', which ends it in HTTP Basic (RFC 7617 section 2)",
                setting="client_id",
            )

    def completed(self, environ: Mapping[str, str]) -> Credentials:
        """These, with what is missing taken from the environment as far as it is there."""
        missing = [each.name for each in fields(self) if getattr(self, each.name) is None]
        return replace(self, **{name: from_environment(name, environ) for name in missing})

    @property
    def client(self) -> tuple[Secret, Secret]:
        """client_id and client_secret.

        :raises MissingSettingError: if one of them is missing.
        """
        client_id, client_secret = self._given("client_id", "client_secret")
        return client_id, client_secret

    @property
    def user(self) -> tuple[Secret, Secret]:
        """username and password, which no one can use without the client.

        :raises MissingSettingError: if one of them, or of :attr:`client`, is missing.
        """
        *_, username, password = self._given("client_id", "client_secret", "username", "password")
        return username, password

    def _given(self, *names: str) -> list[Secret]:
        """All that is missing is told at once, so that nobody has to find out one by one."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise MissingSettingError(
                f"a token is needed, but there is no {', '.join(missing)}: "
                f"pass {', '.join(f'{name}=' for name in missing)} to the session, "
                f"or set {', '.join(map(variable_of, missing))}",
                setting=missing[0],
                variable=variable_of(missing[0]),
            )
        return [Secret(getattr(self, name)) for name in names]


def parse_scope(scope: object) -> tuple[str, ...]:
    """The words of a scope, given as one string or as several.

    :raises SettingError: for a character that RFC 6749 section 3.3 does not allow in a scope.
    """
    words = scope.split(" ") if isinstance(scope, str) else scope
    if not isinstance(words, (list, tuple, set, frozenset)):
        raise SettingError("scope must be a string or a list of strings", setting="scope")
    for word in words:
        if not isinstance(word, str) or not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]*", word):
            raise SettingError(
                "scope must be words of visible ASCII characters without quotes and backslashes, "
                "with spaces between them",
                setting="scope",
            )
    return tuple(word for word in words if word)


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise SettingError(f"{name} must be a str, not {type(value).__name__}", setting=name)
    # not by catching encode()'s error: that one quotes the value, and would hang on ours
    if re.search("[\ud800-\udfff]", value or ""):
        raise SettingError(f"{name} is no valid Unicode text", setting=name)
