"""requests_iris: a :class:`requests.Session` that is always signed in to Trackunit's IRIS APIs."""

from .errors import (
    InvalidClientError,
    InvalidGrantError,
    IrisError,
    MissingSettingError,
    SettingError,
    TokenError,
    TokenRefusedError,
    TokenReplyError,
    TokenUnreachableError,
)
from .session import IrisSession

__version__ = "0.1.0"

__all__ = [
    "InvalidClientError",
    "InvalidGrantError",
    "IrisError",
    "IrisSession",
    "MissingSettingError",
    "SettingError",
    "TokenError",
    "TokenRefusedError",
    "TokenReplyError",
    "TokenUnreachableError",
]
