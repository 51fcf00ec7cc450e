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
        QueryComplexityError,
        QuotaExceededError,
        RateLimitedError,
        SettingError,
        TokenError,
        TokenRefusedError,
        TokenResponseError,
        TokenTimeoutError,
        TokenUnreachableError,
    )
    from .pagination import Progress
    from .problems import Problem, problem_of
    from .quota import IRIS_RATE_LIMITS, Pool, Quota, QuotaState, QuotaStore, RateLimit
    from .retry import DEFAULT_RETRY
    from .session import IrisSession
    from .source import Updater
    from .stores import FileTokenStore, RedisTokenStore, TokenStore
    from .timespans import windows
    from .types import Counters, ResumePoint, TokenDict
    from .walk import Walk

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_RETRY",
    "IRIS_RATE_LIMITS",
    "BearerAuth",
    "Clock",
    "Counters",
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
    "Pool",
    "Problem",
    "Progress",
    "QueryComplexityError",
    "Quota",
    "QuotaExceededError",
    "QuotaState",
    "QuotaStore",
    "RateLimit",
    "RateLimitedError",
    "RedisTokenStore",
    "ResumePoint",
    "SettingError",
    "TokenDict",
    "TokenError",
    "TokenRefusedError",
    "TokenResponseError",
    "TokenStore",
    "TokenTimeoutError",
    "TokenUnreachableError",
    "Updater",
    "Walk",
    "problem_of",
    "windows",
]

#: The modules of the public names, except for the errors.
_MODULES = {
    "DEFAULT_RETRY": "retry",
    "IRIS_RATE_LIMITS": "quota",
    "BearerAuth": "auth",
    "Clock": "clock",
    "Counters": "types",
    "FileTokenStore": "stores",
    "IrisSession": "session",
    "Pool": "quota",
    "Problem": "problems",
    "Progress": "pagination",
    "Quota": "quota",
    "QuotaState": "quota",
    "QuotaStore": "quota",
    "RateLimit": "quota",
    "RedisTokenStore": "stores",
    "ResumePoint": "types",
    "TokenDict": "types",
    "TokenStore": "stores",
    "Updater": "source",
    "Walk": "walk",
    "problem_of": "problems",
    "windows": "timespans",
}

# A public name is imported at its first use (PEP 562), because pytest loads this file at each start
# together with `requests_iris.testing`. Type checkers do not see the function, and report unknown
# names.
if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f".{_MODULES.get(name, 'errors')}", __name__)
        # stored for the next use; `setdefault` gives all threads the same object
        return globals().setdefault(name, getattr(module, name))

    def __dir__():
        return sorted({*globals(), *__all__})
