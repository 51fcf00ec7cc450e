"""A method that knows which of its arguments the caller passed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def passes_on_to(name: str) -> Callable[[Method], Method]:
    """Makes a method call the method `name` with exactly the arguments that its caller passed.

    The decorated method only declares parameters, types and documentation; its body never runs.
    Arguments after the URL are passed on by name.

    Subclasses, mixins and monkeypatches of users stand between IrisSession and requests.Session,
    and are written against requests' own calls: ``{"timeout": 9, **kwargs}`` sets a timeout only if
    `kwargs` has no timeout. A default in a signature cannot tell whether the caller passed None.
    """

    def decorate(declared: Method) -> Method:
        signature = inspect.signature(declared)

        @functools.wraps(declared)
        def method(self: Any, method: str, url: Any, *args: Any, **passed: Any) -> Any:
            if args:
                # by name; an argument too many or given twice is a TypeError here
                bound = signature.bind(self, method, url, *args, **passed).arguments
                passed = {key: bound[key] for key in list(bound)[3:]}
            return getattr(self, name)(method, url, **passed)

        return cast("Method", method)

    return decorate
