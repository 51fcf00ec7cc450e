"""A detector of secrets in text, in every usual encoding."""

from __future__ import annotations

import json
import traceback
from base64 import b64encode
from urllib.parse import quote, quote_plus


def forms_of(secret: str) -> set[str]:
    """The secret in every encoding of a log, in base64 also from the middle of a group on."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        # the characters at the edges hold bits of the neighbours, too
        forms.add(encoded[(0, 2, 3)[shift] : -1])
    return forms


def leaks(text: str, secrets: list[str]) -> list[str]:
    """The secrets in the text."""
    return [secret for secret in secrets if any(form in text for form in forms_of(secret))]


def shown(*things: object) -> str:
    """The `repr` and `str` of the things."""
    return "\n".join(f"{thing!r}\n{thing!s}" for thing in things)


def told_of(error: BaseException) -> str:
    """The text of an error and of its causes, with the formatted traceback."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    link: BaseException | None = error
    while link is not None:
        text += shown(link, link.args, vars(link))
        response = getattr(link, "response", None)
        if response is not None:
            text += shown(response.text, response.headers, vars(response.request))
        link = link.__cause__ or link.__context__
    return text
