"""The JSON of a page, by msgspec if msgspec is installed (the extra ``fast``).

The result is always the result of ``Response.json()``, in every value and every type. msgspec
accepts only a part of the documents that the standard library accepts, and reads this part in the
same way. Therefore ``Response.json()`` reads every document that msgspec refuses: NaN, Infinity, a
byte order mark, half of a surrogate pair, a number beyond the range of a double, UTF-16. The only
difference: a document nested a thousand levels deep, at the limit of recursion of Python, may be up
to six levels deeper with msgspec.
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

#: The parts of requests and of the standard library that decode a page. A program may replace them.
_OWN_JSON, _OWN_TEXT, _OWN_LOADS = Response.json, Response.text, json.loads
_OWN_DECODER = json._default_decoder  # type: ignore[attr-defined]

#: A document that old versions of msgspec read in a different way: integers beyond 64 bits became
#: floats.
_PROBE = b'{"a": [18446744073709551616, -9223372036854775809, -0, -0.0, 0.1, 1e23], "a": [1e2]}'


def json_of(response: Response, decode: Decode | None = None) -> Any:
    """The same as ``response.json()``.

    :param decode: a decoder that refuses every document which the standard library would read
        differently; by default msgspec's, if msgspec is installed.
    :raises ValueError: if the response is no JSON.
    :raises RecursionError: if the JSON is nested too deeply.
    """
    decode = decode or _installed()
    if decode is not None and _is_decoded_as_usual(response) and _is_plain_utf8(response):
        content = response.content
        with suppress(Exception):  # requests decides, whatever the reason of the refusal is
            return decode(content)
    return response.json()


def _is_decoded_as_usual(response: Response) -> bool:
    """Whether requests and the standard library would decode the content.

    If a program replaces a part, or overrides a part in a subclass of Response, the replacement
    decodes every page.
    """
    kind = type(response)
    return (
        issubclass(kind, Response)
        and kind.json is _OWN_JSON
        and kind.text is _OWN_TEXT
        and "json" not in vars(response)
        and models.complexjson.loads is _OWN_LOADS  # type: ignore[attr-defined]
        and json._default_decoder is _OWN_DECODER  # type: ignore[attr-defined]
    )


def _is_plain_utf8(response: Response) -> bool:
    """Whether requests would read the content as UTF-8."""
    # Without an encoding requests guesses UTF-8, UTF-16 or UTF-32. msgspec refuses the last two.
    encoding = response.encoding or "utf-8"
    return isinstance(encoding, str) and encoding.lower() in ("utf-8", "utf8")


@lru_cache(maxsize=1)  # Two threads may import msgspec twice. This is harmless.
def _installed() -> Decode | None:
    """msgspec's decoder, if a suitable version is installed, and nothing is broken or replaced.

    A different module of the name msgspec is also possible, for example beside the caller's script.
    """
    with suppress(Exception):  # a list must not fail because msgspec fails
        import msgspec

        decode: Decode = msgspec.json.decode
        if _is_untouched() and repr(decode(_PROBE)) == repr(json.loads(_PROBE)):
            return decode
    return None


def _is_untouched() -> bool:
    """Whether a program had replaced no part before the import of this module.

    A wrapper can copy the name of a function, but not its globals.
    """
    text: Any = _OWN_TEXT
    parts = ((_OWN_JSON, models), (text.fget, models), (_OWN_LOADS, json))
    return all(each.__globals__ is vars(module) for each, module in parts)
