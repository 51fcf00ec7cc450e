"""Secrets as values that do not show themselves: secret text, the bearer, fingerprints, redaction.

Tools such as rich, Sentry and cgitb show local variables beside a traceback. They call ``repr()``
on each value, and slice or encode long strings first. The classes here override all three.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from html.entities import codepoint2name
from typing import Any
from urllib.parse import quote_plus


class Secret(str):
    """A password, client secret, token, or a text that contains such a secret.

    On the wire a Secret is a str like any other. Its ``repr``, slices and encodings show no
    character of the secret. ``str(secret)`` is the plain text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[secret]'"

    def __getitem__(self, key: Any) -> Secret:
        return Secret(super().__getitem__(key))

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return SecretBytes(super().encode(encoding, errors))


class SecretBytes(bytes):
    """A :class:`Secret` after ``encode``, as urllib3 and http.client hold it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'[secret]'"

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return SecretBytes(part) if isinstance(key, slice) else part


class Bearer(Secret):
    """The value of an ``Authorization`` header that a session of this library has set.

    On the wire a Bearer is a str like any other. Its ``repr``, and so the repr of a request's
    headers, shows a fingerprint. A pickle holds the fingerprint only: a Response is pickled with
    its request.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Bearer {self.fingerprint}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (RedactedBearer, (str(self.redacted),))

    def __copy__(self) -> Bearer:
        return self

    def __deepcopy__(self, memo: object) -> Bearer:
        return self

    @property
    def access_token(self) -> Secret:
        return self[len("Bearer ") :]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.access_token)

    @property
    def redacted(self) -> RedactedBearer:
        return RedactedBearer(f"Bearer fingerprint:{self.fingerprint}")


class RedactedBearer(Bearer):
    """A :class:`Bearer` after pickling: the fingerprint without the token.

    A RedactedBearer equals the Bearer with the same fingerprint, because requests promises that
    the headers of an unpickled request equal the headers of the pickled request.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bearer) and self.fingerprint == other.fingerprint

    def __ne__(self, other: object) -> bool:
        return not self == other  # str has a __ne__ of its own, so this class must override it

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def fingerprint(self) -> str:
        return str(self[len("Bearer fingerprint:") :])


def fingerprint(secret: str) -> str:
    """Eight characters that distinguish two secrets in a log and reveal neither."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


class Concealed:
    """A box around an object that may contain a secret, such as a token as a dict.

    The box shows nothing of its content. Only `reveal()` returns the content.

    :ivar kind: the name of the content's type, for an error message.
    """

    __slots__ = ("kind", "reveal")

    def __init__(self, content: object) -> None:
        self.kind = type(content).__name__
        # a closure, because tools also show the attributes of an object
        self.reveal: Callable[[], Any] = lambda: content

    def __repr__(self) -> str:
        return "[secret]"

    def __reduce__(self) -> tuple[Any, ...]:
        return Concealed, (self.reveal(),)


def concealed(value: Any) -> Any:
    """`value` in a form that a traceback can show: None, a :class:`Secret`, or :class:`Concealed`.

    A function that takes a secret conceals the argument in its first statement. So no later failure
    can show the secret among the local variables of that function or of the functions it calls.
    """
    if value is None or isinstance(value, (Secret, Concealed)):
        return value
    # not str(value), which is another text for an enumeration
    return Secret(str.__str__(value)) if isinstance(value, str) else Concealed(value)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text` with ``[secret]`` in the place of each secret, in whatever spelling.

    Returns "" for a text in another charset than the one it was decoded with: a secret in there
    cannot be found.
    """
    if _MISREAD.search(text):
        return ""
    for secret in secrets:
        text = re.sub(_in_any_spelling(secret), "[secret]", text, flags=re.IGNORECASE)
    return text


#: Characters that only a text in another charset has, such as GB18030 read as UTF-8.
_MISREAD = re.compile(r"[\x00-\x08\x0e-\x1f\ufffd]")
#: Backslashes of any number, since some formats double each. One branch per spelling, so that
#: there is only one way to read a run of backslashes.
_BACKSLASHES = r"(?:\\|\\u005c|%5c|&#x5c;|&#92;)+"


def _in_any_spelling(secret: str) -> str:
    """A pattern of `secret` as plain text, and as URLs, JSON, HTML and Python write it.

    Character by character, since each format escapes other characters.
    """
    return "".join(
        _BACKSLASHES if each == "\\" else f"(?:{'|'.join(map(_pattern_of, _spellings(each)))})"
        for each in re.sub(r"\\+", r"\\", str(secret))
    )


def _pattern_of(spelling: str) -> str:
    """A pattern of a spelling whose backslashes may be doubled, as JSON within JSON doubles them.

    The number is bounded, because a run of backslashes must not take long to read.
    """
    return re.escape(spelling).replace("\\\\", r"\\{1,8}")


def _spellings(character: str) -> list[str]:
    """The longest first, so that no part of an escape stays behind."""
    code = ord(character)
    spellings = {
        *(character, quote_plus(character), f"\\{character}"),
        *(f"\\x{code:02x}", f"\\u{code:04x}", json.dumps(character)[1:-1]),
        *(f"&#x{code:x};", f"&#{code};", f"&{codepoint2name.get(code, f'#{code}')};"),
        *("".join(f"{mark}{byte:02x}" for byte in character.encode()) for mark in ("%", "\\x")),
    }
    return sorted(spellings, key=len, reverse=True)
