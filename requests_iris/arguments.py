"""How the arguments of IrisSession appear: in the signature, as properties, and in a TypeError."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any, Generic, NoReturn, TypeVar, overload

from requests import Session

from .settings import revealed

_Value = TypeVar("_Value")
_Function = TypeVar("_Function", bound=Callable[..., None])

#: Arguments that callers try, or that had another name before, and what to use.
_INSTEAD = {
    "timeout": "Pass `default_timeout=`, or `timeout=` to a request",
    "adapters": "Use `session.mount()`",
    "max_retries": "Pass `retry=`",
    "retries": "Pass `retry=`",
    "pool_connections": "Pass `pool_maxsize=`",
    "auto_refresh_url": "Pass `token_url=`",
    "client": "Pass `client_id=` and `client_secret=`",
    "auto_refresh_kwargs": "Leave it out: the session authenticates the client itself",
    "state": "Leave it out: IRIS has no authorization URL",
    "redirect_uri": "Leave it out: IRIS has no authorization URL",
    "pkce": "Leave it out: IRIS has no authorization URL",
    "key": "Pass `items_path=` to `items()` or `pages()`",
    "workers": "Pass `max_workers=` to `items()` or `pages()`",
    "items_path": "Pass `items_path=` to `items()` or `pages()`",
    "max_workers": "Pass `max_workers=` to `items()` or `pages()`",
}


def named_only(function: _Function) -> _Function:
    """Hides ``**unknown`` from :func:`inspect.signature`.

    Mixins such as those of requests-cache look for the arguments that they may pass on there. The
    function raises a TypeError for each argument that has no name of its own.
    """
    shown = signature(function)
    named = [each for each in shown.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    function.__signature__ = shown.replace(parameters=named)  # type: ignore[attr-defined]
    return function


def drained(arguments: dict[str, Any]) -> dict[str, Any]:
    """The content of `arguments`, which is empty afterwards.

    A function that passes its keyword arguments on does not keep them, because a traceback may
    show the local variables of that function.
    """
    content = dict(arguments)
    arguments.clear()
    return content


def refuse_unknown(names: Iterable[str], function: Callable[..., Any]) -> None:
    """Says for the first unknown argument what to use.

    :raises TypeError: if there is any unknown argument.
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
    """Says for an argument that has another name now what the name is.

    :raises TypeError: if such an argument was passed.
    """
    for name in former.keys() & arguments.keys():
        raise TypeError(f"unexpected keyword argument {name!r}. Pass `{former[name]}=`.")


class Argument(Generic[_Value]):
    """A property that returns what was passed when the session was created. It cannot be set."""

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
        raise AttributeError(
            f"{self._name} cannot be changed. Pass `{self._name}=` to a new IrisSession.",
            name=self._name,
            obj=session,
        )


class SecretArgument(Argument[NoReturn]):
    """The place of an argument that no session shows."""

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        if session is None:
            return self
        raise AttributeError(
            f"{self._name} is a secret, which a session does not show", name=self._name, obj=session
        )
