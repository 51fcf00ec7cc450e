"""The credentials of a session, and their environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import MissingSettingError, SettingError
from .secret import Concealed, Secret, concealed

#: The names of all variables begin with this prefix, except for a session of ``from_env``.
PREFIX = "TRACKUNIT_"
#: The credentials, as settings.
NAMES = ("client_id", "client_secret", "username", "password")
#: The credentials of the OAuth client.
CLIENT = ("client_id", "client_secret")
#: The secrets among the credentials.
SECRETS = ("client_secret", "password")


def variable_of(setting: str, prefix: str = PREFIX) -> str:
    """The name of a setting's variable, such as ``TRACKUNIT_SCOPE``."""
    return prefix + setting.upper()


def from_environment(setting: str, environ: Mapping[str, str], prefix: str = PREFIX) -> str | None:
    """The value of a setting's variable. An empty variable counts as not set."""
    return environ.get(variable_of(setting, prefix)) or None


@dataclass(frozen=True)
class Credentials:
    """An API User of IRIS and an OAuth client (RFC 6749 sections 2.3.1 and 4.3.2), or an API key.

    An API key is a client without a user.

    :ivar prefix: the prefix of the variables for missing credentials.
    :raises SettingError: for an unusable credential.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    prefix: str = field(default=PREFIX, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        for name in SECRETS:
            object.__setattr__(self, name, concealed(getattr(self, name)))
        for name in NAMES:
            _check_text(name, getattr(self, name))
        if self.client_id and ":" in self.client_id:
            raise SettingError(
                "client_id must not contain a ':', because a ':' ends the client id in HTTP Basic "
                "(RFC 7617 section 2)",
                setting="client_id",
            )

    def __getstate__(self) -> dict[str, Any]:
        # plain text: a pickle must not depend on a class for secrets
        return {**vars(self), **{name: _plain(getattr(self, name)) for name in SECRETS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """An unpickled session is a new session in a new environment: variables are read again."""
        vars(self).update(vars(Credentials(**state).completed(os.environ)))

    def completed(self, environ: Any) -> Credentials:
        """A copy, with the values of the variables for the missing credentials.

        :raises SettingError: for an unusable variable.
        """
        environ = concealed(environ)
        missing = [name for name in NAMES if getattr(self, name) is None]
        found = {
            name: concealed(from_environment(name, environ.reveal(), self.prefix))
            for name in missing
        }
        found.update((name, _plain(found[name])) for name in found if name not in SECRETS)
        try:
            return replace(self, **found)
        except SettingError as error:
            blame(error, variable_of(error.setting or "", self.prefix))
            raise

    @property
    def client(self) -> tuple[Secret, Secret]:
        """client_id and client_secret.

        :raises MissingSettingError: if client_id or client_secret is missing.
        """
        client_id, client_secret = self.given(*CLIENT)
        return client_id, client_secret

    def key(self, scope: tuple[str, ...]) -> tuple[Secret, Secret]:
        """client_id and client_secret of an API key. An API key signs in for a scope.

        :raises MissingSettingError: if client_id, client_secret or the scope is missing.
        """
        missing = [name for name in CLIENT if getattr(self, name) is None]
        if missing or not scope:
            raise self._missing(missing if scope else [*missing, "scope"])
        return self.client

    @property
    def user(self) -> tuple[Secret, Secret]:
        """username and password. A user needs a client to sign in.

        :raises MissingSettingError: if any of the four credentials is missing.
        """
        *_, username, password = self.given(*NAMES)
        return username, password

    def hint(self) -> str:
        """A likely reason for a refusal of the credentials, as a sentence, or "".

        A secret from a file often ends with the newline of the file.
        """
        found = []
        for name in NAMES:
            value = getattr(self, name)
            if value is None or value == value.strip().strip("\ufeff"):  # how Windows begins a file
                continue
            ends = value.endswith(("\n", "\r"))
            found.append(f"{name} {'ends with a newline' if ends else 'has white space at an end'}")
        return f"{' and '.join(found)}, as text from a file often does." if found else ""

    def given(self, *names: str) -> list[Secret]:
        """The values of settings.

        :raises MissingSettingError: if any is missing. The message names all missing settings.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise self._missing(missing)
        return [Secret(getattr(self, name)) for name in names]

    def _missing(self, names: Sequence[str]) -> MissingSettingError:
        """One error for all missing settings: the user can set all of them at once."""
        variables = {name: variable_of(name, self.prefix) for name in names}
        late = [variable for variable in variables.values() if os.environ.get(variable)]
        never = [name for name in names if variables[name] not in late]
        advice = ""
        if never:
            arguments = _listed([f"`{name}=`" for name in never])
            to_set = _listed([variables[name] for name in never])
            advice = f" Pass {arguments} to IrisSession or set {to_set}."
        if {"username", "password"} <= {*never}:
            advice += " For an API key, set scope instead of username and password."
        if late:
            are, were = ("is", "was") if len(late) == 1 else ("are", "were")
            advice += (
                f" {_listed(late)} {are} set now but {were} not set when this session was created."
                " Create the session afterwards."
            )
        return MissingSettingError(
            f"No {' and no '.join(names)}.{advice}", setting=names[0], variable=variables[names[0]]
        )


def blame(error: SettingError, variable: str) -> None:
    """Names in `error` the variable with the refused value."""
    error.args = (f"{variable}: {error}",)
    error.variable = variable


def parse_scope(scope: object) -> tuple[str, ...]:
    """The words of a scope, which is one string or several words.

    :raises SettingError: for a character outside RFC 6749 section 3.3.
    """
    words = scope.split(" ") if isinstance(scope, str) else scope
    if not isinstance(words, (list, tuple, set, frozenset)):
        raise SettingError("scope must be a string or a list of strings", setting="scope")
    for word in words:
        if not isinstance(word, str) or not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]*", word):
            raise SettingError(
                "scope must be words of visible ASCII characters without quotes and backslashes, "
                "with spaces between the words",
                setting="scope",
            )
    return tuple(word for word in words if word)


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        kind = value.kind if isinstance(value, Concealed) else type(value).__name__
        raise SettingError(f"{name} must be a str, not {kind}", setting=name)
    # a search, because the error of `encode` quotes the value
    if re.search("[\ud800-\udfff]", value or ""):
        raise SettingError(f"{name} is not valid Unicode text", setting=name)


def _plain(value: str | None) -> str | None:
    return None if value is None else str(value)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
