"""The JSON of a page, by msgspec if msgspec is installed (the extra ``fast``).

The result is always the result of ``Response.json()``, in every value and every type. msgspec
accepts only a part of the documents that the standard library accepts, and reads this part in the
same way. Therefore ``Response.json()`` reads every document that msgspec refuses: NaN, Infinity, a
byte order mark, half of a surrogate pair, a number beyond the range of a double, UTF-16.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from requests import Response, models

#: A decoder for bytes in UTF-8.
Decode = Callable[[bytes], Any]

#: The method of requests and the function of the standard library. If a program replaces one of
#: them, or overrides the method in a subclass of Response, the replacement decodes every page.
_OWN_JSON, _OWN_LOADS = Response.json, json.loads


def json_of(response: Response, decode: Decode | None = None) -> Any:
    """The same as ``response.json()``.

    :param decode: a decoder that refuses every document which the standard library would read
        differently; by default msgspec's, if msgspec is installed.
    :raises ValueError: if the response is no JSON.
    :raises RecursionError: if the JSON is nested too deeply.
    """
    decode = decode or _installed()
    if decode is not None and _is_plain_utf8(response):
        content = response.content
        with suppress(Exception):  # requests decides, whatever the reason of the refusal is
            return decode(content)
    return response.json()


def _is_plain_utf8(response: Response) -> bool:
    """Whether requests would read the content as UTF-8, with the standard library."""
    # Without an encoding requests guesses UTF-8, UTF-16 or UTF-32. msgspec refuses the last two.
    encoding = (response.encoding or "utf-8").lower()
    return (
        encoding in ("utf-8", "utf8")
        and getattr(type(response), "json", None) is _OWN_JSON
        and "json" not in vars(response)
        and models.complexjson.loads is _OWN_LOADS  # type: ignore[attr-defined]
    )


@lru_cache(maxsize=1)  # Two threads may import msgspec twice. This is harmless.
def _installed() -> Decode | None:
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec.json.decode
