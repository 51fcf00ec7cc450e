"""Text from servers as text: printable, on one line."""

from __future__ import annotations

#: Characters of a server's text that a message shows at most.
LIMIT = 200


def one_line(text: object, limit: int | None = LIMIT) -> str:
    """`text` for an error message, a log record or a terminal.

    Control characters, escape sequences, bidirectional overrides and line breaks become spaces or
    escapes, so that a server cannot move a cursor, hide a line or forge a log record.

    :param limit: characters of the result at most; None for no limit.
    """
    shown = "".join(each if each.isprintable() else " " for each in str(text))
    return " ".join(shown.split())[:limit]
