"""The interface of OAuth2Session: the token, the client, and how to get a token at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, cast

from requests import PreparedRequest, Response

from .credentials import parse_scope
from .errors import SettingError
from .grants import Grant, check_scope
from .parameters import drained, named_only
from .secret import Concealed, Secret, concealed
from .settings import checked_token, checked_updater, kind_of
from .source import TokenSource, Updater

if TYPE_CHECKING:
    from .types import TokenDict


def _refuse_unknown(method: str, arguments: dict[str, Any]) -> None:
    """:raises TypeError: for an unknown argument. Empties `arguments`, which may have secrets."""
    for name in drained(arguments):
        raise TypeError(
            f"{method}() got an unexpected keyword argument {name!r}. Remove the argument: "
            "IrisSession makes the token request from its own settings, such as `scope=` and "
            "`token_timeout=`."
        )


class OAuth2Interface:
    """The part of IrisSession for programs written for OAuth2Session.

    Each method and setter with a secret argument conceals the argument in the first statement.
    """

    _source: TokenSource
    _scope: str | Iterable[str] | None

    def _send_token_request(self, request: PreparedRequest, timeout: float) -> Response:
        raise NotImplementedError

    @property
    def token(self) -> TokenDict:
        """The current token as a new dict, or an empty dict. Reading sends nothing.

        The members are named as in RFC 6749 section 5.1. ``expires_at`` is in seconds since the
        epoch, ``scope`` is a list. The dict contains secrets.

        Assign a saved token to use the saved token, or ``{}`` to forget the token. Neither changes
        the token store. A session without a token takes the stored token at the next request. A
        session with a token takes the stored token at the next renewal, if the stored token expires
        later.
        """
        token = self._source.token
        return cast("TokenDict", token.as_dict() if token else {})

    @token.setter
    def token(self, saved: Mapping[str, Any] | None) -> None:
        box = Concealed(saved)
        del saved
        self._source.token = checked_token(box)

    @property
    def access_token(self) -> str | None:
        """The current access token, if any. The access token is a secret."""
        token = self._source.token
        return token.access_token if token else None

    @access_token.setter
    def access_token(self, value: str | None) -> None:
        box = Concealed({"access_token": value} if value else {})
        del value
        self._source.token = checked_token(box)

    @access_token.deleter
    def access_token(self) -> None:
        self._source.token = None

    @property
    def token_updater(self) -> Updater | None:
        """The callable for each new token, if any. The argument is the token as a dict."""
        return self._source.updater

    @token_updater.setter
    def token_updater(self, updater: Updater | None) -> None:
        box = Concealed(updater)
        del updater
        self._source.updater = checked_updater(box)

    @property
    def scope(self) -> str | Iterable[str] | None:
        """The scope to ask for. :attr:`token` contains the granted scope."""
        return self._scope

    @scope.setter
    def scope(self, scope: str | Iterable[str]) -> None:
        words = parse_scope(scope)
        check_scope(words, self._source.grant)
        self._source.scope = words
        self._scope = scope

    @property
    def client_id(self) -> str | None:
        """The id of the OAuth client."""
        return self._source.credentials.client_id

    @client_id.setter
    def client_id(self, client_id: str | None) -> None:
        self._source.credentials = replace(self._source.credentials, client_id=client_id)

    @client_id.deleter
    def client_id(self) -> None:
        self.client_id = None

    @named_only
    def fetch_token(
        self,
        token_url: str | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        username: str | None = None,
        password: str | None = None,
        **unknown: NoReturn,
    ) -> TokenDict:
        """Signs in now, and returns the token as :attr:`token` does.

        You need not call this method: the session signs in when a request needs a token.

        A `username` or `password` means the password grant: a session whose client_credentials
        grant was inferred changes to the password grant.

        :param token_url: the `token_url` of this session. Another URL is refused.
        :param client_id: replaces the `client_id` of the session, unless the token endpoint
            refuses. So do `client_secret`, `username` and `password`.
        :raises MissingSettingError: if a credential is missing.
        :raises SettingError: for an unusable argument, and for a user if `grant_type` is
            ``client_credentials``.
        :raises TokenError: if the token endpoint issues no token. The session keeps the old token.
        """
        token_url, client_secret, password = map(concealed, (token_url, client_secret, password))
        _refuse_unknown("fetch_token", unknown)
        names_user = username is not None or password is not None
        grant = self._source.grant.for_user() if names_user else self._source.grant
        self._check_token_url(token_url, grant)
        given = {
            "client_id": client_id,
            "client_secret": client_secret,
            "username": username,
            "password": password,
        }
        credentials = replace(
            self._source.credentials, **{k: v for k, v in given.items() if v is not None}
        )
        token = self._source.sign_in(credentials, grant, self._send_token_request)
        return cast("TokenDict", token.as_dict())

    @named_only
    def refresh_token(
        self,
        token_url: str | None = None,
        refresh_token: str | None = None,
        **unknown: NoReturn,
    ) -> TokenDict:
        """Renews now with the refresh_token grant, and returns the token as :attr:`token` does.

        You need not call this method: the session renews the token in time.

        :param token_url: the `token_url` of this session. Another URL is refused.
        :param refresh_token: the refresh token; the default is the refresh token of the session.
        :raises SettingError: without a refresh token, if a credential is missing, and for the
            client_credentials grant, which has no refresh tokens.
        :raises TokenError: if the token endpoint issues no token. The session keeps the old token.
        """
        token_url, refresh_token = concealed(token_url), concealed(refresh_token or None)
        _refuse_unknown("refresh_token", unknown)
        self._check_token_url(token_url)
        if self._source.grant.is_key:
            raise SettingError(
                "The client_credentials grant has no refresh token. The session renews the token "
                "itself. Call `fetch_token()` to renew the token now.",
                setting="grant_type",
            )
        if not (refresh_token is None or isinstance(refresh_token, Secret)):
            raise SettingError(
                f"refresh_token must be a str, not {kind_of(refresh_token)}",
                setting="refresh_token",
            )
        token = self._source.refresh(refresh_token, self._send_token_request)
        return cast("TokenDict", token.as_dict())

    @property
    def auto_refresh_url(self) -> str:
        """The token endpoint. Only the `token_url` of this session can be assigned."""
        return self._source.token_url

    @auto_refresh_url.setter
    def auto_refresh_url(self, url: str | None) -> None:
        url = concealed(url)
        self._check_token_url(url)

    @property
    def auto_refresh_kwargs(self) -> dict[str, Any]:
        """Empty, because a renewal sends only the parameters of RFC 6749 section 6."""
        return {}

    @auto_refresh_kwargs.setter
    def auto_refresh_kwargs(self, kwargs: Mapping[str, Any] | None) -> None:
        is_empty = not kwargs
        del kwargs
        if not is_empty:
            raise NotImplementedError("IrisSession authenticates the client itself at renewal")

    def register_compliance_hook(self, hook_type: str, hook: Callable[..., Any]) -> NoReturn:
        """Not available. Use requests' response hooks, or mount an adapter."""
        raise NotImplementedError(
            "IrisSession has no compliance hooks: use requests' response hooks, or mount an adapter"
        )

    def authorization_url(self, url: str, state: str | None = None, **kwargs: Any) -> NoReturn:
        """Not available, because IRIS has no authorization code grant."""
        raise NotImplementedError(f"IRIS has no authorization URL: {_GRANTS_OF_IRIS}")

    def token_from_fragment(self, authorization_response: str) -> NoReturn:
        """Not available, because IRIS has no implicit grant."""
        raise NotImplementedError(f"IRIS has no implicit grant: {_GRANTS_OF_IRIS}")

    def _check_token_url(self, token_url: str | None, grant: Grant | None = None) -> None:
        known = self._source.url_of(grant or self._source.grant)
        if token_url not in (None, known):
            raise SettingError(
                f"the token_url of this session is {known}. "
                "Create a new session for a new token_url.",
                setting="token_url",
            )


_GRANTS_OF_IRIS = "IRIS has the grants password and client_credentials"

#: The names of OAuth2Session without a use in IrisSession. `dir()` omits these names.
NOT_AVAILABLE = frozenset(
    (
        *("authorization_url", "auto_refresh_kwargs", "compliance_hook", "new_state"),
        *("redirect_uri", "register_compliance_hook", "state", "token_from_fragment"),
    )
)
