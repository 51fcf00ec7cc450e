"""The two ways to sign in: with an API User's password, or with an API key and scopes."""

from __future__ import annotations

from dataclasses import dataclass

from .credentials import Credentials
from .errors import SettingError

#: The grant of an API User (RFC 6749 section 4.3).
PASSWORD = "password"  # noqa: S105
#: The grant of an API key, which IRIS calls "API Tokens v2" (RFC 6749 section 4.4).
CLIENT_CREDENTIALS = "client_credentials"
#: The grant that renews the token of an API User (RFC 6749 section 6).
REFRESH_TOKEN = "refresh_token"  # noqa: S105
#: The grants that sign in.
SIGN_IN = (PASSWORD, CLIENT_CREDENTIALS)
#: The grants, as the counters name them.
GRANTS = (PASSWORD, REFRESH_TOKEN, CLIENT_CREDENTIALS)

#: The word in a scope that asks for a refresh token.
OFFLINE_ACCESS = "offline_access"
#: The advice for a wrong combination of settings.
BOTH_WAYS = "Set username and password for an API User, or scope for an API key."


@dataclass(frozen=True)
class Grant:
    """The grant with which a session signs in.

    :ivar name: ``password`` or ``client_credentials``.
    :ivar inferred: whether the other settings led to the grant, and no `grant_type`.
    """

    name: str = PASSWORD
    inferred: bool = False

    @property
    def is_key(self) -> bool:
        """Whether an API key signs in: without a user, and without a refresh token."""
        return self.name == CLIENT_CREDENTIALS

    def for_user(self) -> Grant:
        """The grant for a caller who names a user.

        :raises SettingError: if `grant_type` says that an API key signs in.
        """
        if self.is_key and not self.inferred:
            raise SettingError(
                "The client_credentials grant has no username and no password. Create the session "
                f"without grant_type. {BOTH_WAYS}",
                setting="grant_type",
            )
        return Grant(PASSWORD) if self.is_key else self


def inferred(credentials: Credentials, scope: tuple[str, ...], *, has_token: bool) -> Grant:
    """The grant of a session without `grant_type`.

    Each sign of an API User leads to the password grant: programs from before API Tokens v2 keep
    their grant.

    :param has_token: whether the caller passed a saved token.
    """
    has_client = credentials.client_id is not None and credentials.client_secret is not None
    is_key = has_client and not has_user(credentials) and not has_token
    is_key = is_key and bool(scope) and OFFLINE_ACCESS not in scope
    return Grant(CLIENT_CREDENTIALS if is_key else PASSWORD, inferred=True)


def has_user(credentials: Credentials) -> bool:
    """Whether a username or a password is set."""
    return credentials.username is not None or credentials.password is not None


def check_scope(scope: tuple[str, ...], grant: Grant) -> None:
    """:raises SettingError: for a scope that the grant can never get."""
    if grant.is_key and OFFLINE_ACCESS in scope:
        raise SettingError(
            "scope contains offline_access, and an API key gets no refresh token. Remove "
            "offline_access from scope.",
            setting="scope",
        )
