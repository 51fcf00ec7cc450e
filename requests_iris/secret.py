"""Values with a hidden ``repr``: secret text, the bearer; fingerprints and redaction.

Tools such as rich, Sentry and cgitb show local variables beside a traceback. The tools call
``repr()`` on each value, and slice or encode long strings first. The classes here override all
three.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from html.entities import codepoint2name
from types import FrameType
from typing import Any
from urllib.parse import quote_plus


class Secret(str):
    """A password, client secret or token, or a text with a secret inside.

    requests sends a Secret as any str. The ``repr`` of a Secret, a slice or an encoded Secret shows
    no character of the secret. ``str(secret)`` is the plain text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[secret]'"

    def __getitem__(self, key: Any) -> Secret:
        return Secret(super().__getitem__(key))

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return SecretBytes(super().encode(encoding, errors))


class SecretBytes(bytes):
    """The bytes of a :class:`Secret`, as urllib3 and http.client hold the secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'[secret]'"

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return SecretBytes(part) if isinstance(key, slice) else part


class Bearer(Secret):
    """The value of an ``Authorization`` header set by a session of this library.

    requests sends a Bearer as any str. The ``repr`` of a Bearer, or of headers with a Bearer, shows
    a fingerprint. A pickle holds the fingerprint only, because a pickled Response contains the
    request.
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

    A RedactedBearer equals the Bearer with the same fingerprint. requests promises equal headers
    before and after pickling.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bearer) and self.fingerprint == other.fingerprint

    def __ne__(self, other: object) -> bool:
        return not self == other  # str defines __ne__, and would ignore __eq__ above

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def fingerprint(self) -> str:
        return str(self[len("Bearer fingerprint:") :])


def fingerprint(secret: str) -> str:
    """Eight characters of a hash, to distinguish secrets in a log."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


class Concealed:
    """A box around an object that may contain a secret, for example a dict with a token.

    The ``repr`` of the box hides the content. Only `reveal()` returns the content.

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

    A function with a secret as an argument conceals the argument in the first statement. Then a
    later failure cannot show the secret among the local variables of the frames.
    """
    if value is None or isinstance(value, (Secret, Concealed)):
        return value
    # str(value) would be the name of a member for an enumeration
    return Secret(str.__str__(value)) if isinstance(value, str) else Concealed(value)


#: Modules whose local variables hold the bytes of a sent request, headers and all.
_SENDERS = ("http", "urllib3", "ssl", "socket")


def forget_sent(error: BaseException) -> None:
    """Clears the local variables of http.client and urllib3 in the frames behind an error.

    http.client joins all headers to plain bytes before sending. If sending fails, the bytes stay in
    the frames. The variables of a program's own frames do not change.
    """
    for frame in frames_behind(error):
        if frame.f_globals.get("__name__", "").partition(".")[0] in _SENDERS:
            _clear(frame)


def forget_all(error: BaseException) -> None:
    """Removes the frames behind an error, with all local variables.

    A hundred lines of frames would also hide the message in a printed traceback.
    """
    for frame in frames_behind(error):
        _clear(frame)
    for link in _links(error):
        link.__traceback__ = None


def frames_behind(error: BaseException) -> Iterator[FrameType]:
    """The frames in the tracebacks of an error, and of all causes and contexts."""
    for link in _links(error):
        traceback = link.__traceback__
        while traceback is not None:
            yield traceback.tb_frame
            traceback = traceback.tb_next


def _links(error: BaseException) -> Iterator[BaseException]:
    """An error, with all causes and contexts. A program can link errors in a circle."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            waiting += (link.__cause__, link.__context__)
            yield link


def _clear(frame: FrameType) -> None:
    with suppress(RuntimeError):  # the frame is still running
        frame.clear()


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text` with each secret replaced by ``[secret]``, in every spelling.

    If `text` was decoded with a wrong charset, secrets cannot be found, and the result is "".
    """
    if _MISREAD.search(text):
        return ""
    for secret in secrets:
        # the end first: a text rarely has a secret, and compiling the pattern of a whole token
        # takes a tenth of a second
        if re.search(_in_any_spelling(secret[-_END:]), text, re.IGNORECASE):
            text = re.sub(_in_any_spelling(secret), "[secret]", text, flags=re.IGNORECASE)
    return text


#: Characters at the end of a secret, which a text must have to have the secret.
_END = 8


#: Characters of a text decoded with a wrong charset, such as GB18030 read as UTF-8.
_MISREAD = re.compile(r"[\x00-\x08\x0e-\x1f\ufffd]")
#: Any number of backslashes, since some formats double each backslash. No text fits two branches.
#: Therefore a long run of backslashes matches in linear time.
_BACKSLASHES = r"(?:\\|\\u005c|%5c|&#x5c;|&#92;)+"


def _in_any_spelling(secret: str) -> str:
    """A pattern of `secret` as plain text, and as URLs, JSON, HTML and Python write `secret`.

    Character by character, since each format escapes different characters.
    """
    known = _patterns_of_ascii()
    return "".join(
        known.get(each) or _pattern_of(each) for each in re.sub(r"\\+", r"\\", str(secret))
    )


@functools.cache
def _patterns_of_ascii() -> dict[str, str]:
    """The pattern of each ASCII character. Making a pattern takes 80 microseconds."""
    return {chr(code): _pattern_of(chr(code)) for code in range(128)}


def _pattern_of(character: str) -> str:
    if character == "\\":
        return _BACKSLASHES
    return f"(?:{'|'.join(map(_escaped, _spellings(character)))})"


def _escaped(spelling: str) -> str:
    """A pattern of a spelling. JSON within JSON doubles each backslash of the spelling.

    The number of backslashes is bounded, because a long run must not take long to search.
    """
    return re.escape(spelling).replace("\\\\", r"\\{1,8}")


def _spellings(character: str) -> list[str]:
    """All spellings, the longest first. Otherwise a part of an escape would stay in the text."""
    code = ord(character)
    spellings = {
        *(character, quote_plus(character), f"\\{character}"),
        *(f"\\x{code:02x}", f"\\u{code:04x}", json.dumps(character)[1:-1]),
        *(f"&#x{code:x};", f"&#{code};", f"&{codepoint2name.get(code, f'#{code}')};"),
        *("".join(f"{mark}{byte:02x}" for byte in character.encode()) for mark in ("%", "\\x")),
    }
    return sorted(spellings, key=len, reverse=True)
