"""requests_iris: a :class:`requests.Session` that is always signed in to Trackunit's IRIS APIs."""

from .errors import (
    GraphQLError,
    IncompleteListError,
    InvalidClientError,
    InvalidGrantError,
    IrisError,
    ListError,
    MissingSettingError,
    NotAListError,
    SettingError,
    TokenError,
    TokenRefusedError,
    TokenReplyError,
    TokenUnreachableError,
)
from .problems import Problem, problem_of
from .session import IrisSession

__version__ = "0.1.0"

__all__ = [
    "GraphQLError",
    "IncompleteListError",
    "InvalidClientError",
    "InvalidGrantError",
    "IrisError",
    "IrisSession",
    "ListError",
    "MissingSettingError",
    "NotAListError",
    "Problem",
    "SettingError",
    "TokenError",
    "TokenRefusedError",
    "TokenReplyError",
    "TokenUnreachableError",
    "problem_of",
]
