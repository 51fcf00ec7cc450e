"""Methods with a full signature, called with the arguments from the caller only."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def passes_on_to(name: str) -> Callable[[Method], Method]:
    """Makes a method call the method `name` with exactly the arguments from the caller.

    The decorated method declares parameters, types and documentation. The body never runs.
    Arguments after the URL are passed on by name.

    Subclasses, mixins and monkeypatches of users stand between IrisSession and requests.Session,
    and expect requests' own calls: ``{"timeout": 9, **kwargs}`` sets a timeout only if `kwargs` has
    no timeout. With a default in the signature, an omitted argument looks like None.
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
