"""The parameters of IrisSession: in the signature, as properties, and in a TypeError."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any, Generic, NoReturn, TypeVar, overload

from requests import Session

from .settings import revealed

_Value = TypeVar("_Value")
_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Advice for arguments with a wrong or a former name.
_INSTEAD = {
    "timeout": "Pass `default_timeout=`, or `timeout=` to a request",
    "adapters": "Use `session.mount()`",
    "max_retries": "Pass `retry=`",
    "retries": "Pass `retry=`",
    "pool_connections": "Pass `pool_maxsize=`",
    "auto_refresh_url": "Pass `token_url=`",
    "client": "Pass `client_id=` and `client_secret=`",
    "auto_refresh_kwargs": "Remove the argument: the session authenticates the client itself",
    "state": "Remove the argument: IRIS has no authorization URL",
    "redirect_uri": "Remove the argument: IRIS has no authorization URL",
    "pkce": "Remove the argument: IRIS has no authorization URL",
    "key": "Pass `items_path=` to `items()` or `pages()`",
    "workers": "Pass `max_workers=` to `items()` or `pages()`",
    "items_path": "Pass `items_path=` to `items()` or `pages()`",
    "max_workers": "Pass `max_workers=` to `items()` or `pages()`",
}


def named_only(function: _Function) -> _Function:
    """Hides ``**unknown`` from :func:`inspect.signature`.

    Some classes, such as the mixin of requests-cache, pass on only the arguments in the signature
    of the next class. The function itself must raise a TypeError for each unknown argument.
    """
    shown = signature(function)
    named = [each for each in shown.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    function.__signature__ = shown.replace(parameters=named)  # type: ignore[attr-defined]
    return function


def drained(arguments: dict[str, Any]) -> dict[str, Any]:
    """The content of `arguments`, which is empty afterwards.

    A traceback may show the variables of a function, so a function with secrets among the keyword
    arguments must not keep the dict.
    """
    content = dict(arguments)
    arguments.clear()
    return content


def refuse_unknown(names: Iterable[str], function: Callable[..., Any]) -> None:
    """Refuses unknown arguments.

    :raises TypeError: for the first unknown argument, with advice.
    """
    for name in names:
        close = get_close_matches(name, signature(function).parameters, 1)
        if name in _INSTEAD:
            advice = f". {_INSTEAD[name]}."
        elif name in Session.__attrs__:
            advice = f". Set the attribute of the session: `session.{name} = ...`."
        else:
            advice = f". Did you mean {close[0]!r}?" if close else ""
        raise TypeError(f"IrisSession got an unexpected keyword argument {name!r}{advice}")


def refuse_former(arguments: Mapping[str, Any], **former: str) -> None:
    """Refuses arguments by a former name.

    :param former: the new name for each former name.
    :raises TypeError: for a former name. The message names the new name.
    """
    for name in former.keys() & arguments.keys():
        raise TypeError(f"unexpected keyword argument {name!r}. Pass `{former[name]}=`.")


def cannot_change(name: str) -> str:
    """The message for an assignment to the argument `name` of a session."""
    return f"{name} cannot be changed. Pass `{name}=` to a new IrisSession."


class Argument(Generic[_Value]):
    """A read-only property: the argument of the session, exactly as passed."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, session: None, owner: type) -> Argument[_Value]: ...
    @overload
    def __get__(self, session: object, owner: type | None = None) -> _Value: ...
    def __get__(self, session: Any, owner: type | None = None) -> Any:
        return self if session is None else revealed(session._passed[self._name])

    def __set__(self, session: object, value: NoReturn) -> None:
        del value  # may be a secret
        raise AttributeError(cannot_change(self._name))


class TokenUrlArgument(Argument[str]):
    """The token endpoint: as passed, or else the default of the grant in force."""

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        passed = super().__get__(session, owner)
        return session._source.token_url if passed is None else passed


class SecretArgument(Argument[NoReturn]):
    """A property for a secret argument: neither read nor written."""

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        if session is None:
            return self
        raise AttributeError(f"{self._name} is a secret. A session does not show secrets.")
