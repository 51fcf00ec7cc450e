"""requests_iris: a :class:`requests.Session` that is always signed in to Trackunit's IRIS APIs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .auth import BearerAuth
    from .clock import Clock
    from .errors import (
        GraphQLError,
        IncompleteListError,
        InvalidClientError,
        InvalidGrantError,
        InvalidScopeError,
        IrisError,
        ListError,
        MissingSettingError,
        NotAListError,
        SettingError,
        TokenError,
        TokenRefusedError,
        TokenResponseError,
        TokenTimeoutError,
        TokenUnreachableError,
    )
    from .problems import Problem, problem_of
    from .session import IrisSession
    from .stores import FileTokenStore, RedisTokenStore, TokenStore

__version__ = "0.1.0"

__all__ = [
    "BearerAuth",
    "Clock",
    "FileTokenStore",
    "GraphQLError",
    "IncompleteListError",
    "InvalidClientError",
    "InvalidGrantError",
    "InvalidScopeError",
    "IrisError",
    "IrisSession",
    "ListError",
    "MissingSettingError",
    "NotAListError",
    "Problem",
    "RedisTokenStore",
    "SettingError",
    "TokenError",
    "TokenRefusedError",
    "TokenResponseError",
    "TokenStore",
    "TokenTimeoutError",
    "TokenUnreachableError",
    "problem_of",
]

#: The modules of the public names that are no errors.
_MODULES = {
    "BearerAuth": "auth",
    "Clock": "clock",
    "FileTokenStore": "stores",
    "IrisSession": "session",
    "Problem": "problems",
    "RedisTokenStore": "stores",
    "TokenStore": "stores",
    "problem_of": "problems",
}

# Public names come when they are first asked for (PEP 562): pytest loads `requests_iris.testing` at
# each start, and with it this file. Type checkers must not see it, or every name would be there.
if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f".{_MODULES.get(name, 'errors')}", __name__)
        # kept, so that it is asked for once; a thread that comes in between keeps the same object
        return globals().setdefault(name, getattr(module, name))

    def __dir__():
        return sorted({*globals(), *__all__})
