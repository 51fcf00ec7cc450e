"""The extras for each command, as in ``pip install "requests-iris[cli,sandbox]"``.

Imports the standard library only, because every further package may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec

#: The packages of each extra.
PACKAGES = {
    "cli": ("click", "rich"),
    "sandbox": ("trustme", "werkzeug"),
    "parquet": ("pyarrow",),
    "file": ("filelock",),
    "redis": ("redis",),
}
COMMANDS = ("check", "get", "quota", "demo", "sandbox")
#: The commands with a sandbox.
SANDBOX_COMMANDS = ("demo", "sandbox")
#: The option with the prefix of the variables. It stands before the command.
PREFIX_OPTION = "--env-prefix"
#: The variable of the token store, after the prefix.
TOKEN_STORE = "TOKEN_STORE"  # noqa: S105


def missing_for(arguments: Sequence[str]) -> str | None:
    """Return one line with all missing extras of a command line, or None if all are installed.

    :param arguments: the words after ``requests-iris``, for example ``["demo"]``.
    """
    prefix, arguments = _without_prefix(arguments)
    packages = {
        extra: [name for name in PACKAGES[extra] if find_spec(name) is None]
        for extra in _needed(arguments, prefix)
    }
    extras = [extra for extra, missing in packages.items() if missing]
    if not extras:
        return None
    names = [name for missing in packages.values() for name in missing]
    install = f"requests-iris[{','.join(extras)}]"
    return f'{_subject(arguments)} needs {_listed(names)}: pip install "{install}"'


def _without_prefix(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The prefix of the variables, and the arguments from the command on."""
    prefix = "TRACKUNIT_"
    while arguments and arguments[0].partition("=")[0] == PREFIX_OPTION:
        _, equals, value = arguments[0].partition("=")
        prefix = value if equals else next(iter(arguments[1:]), "")
        arguments = arguments[1 if equals else 2 :]
    return prefix, arguments


def _needed(arguments: Sequence[str], prefix: str) -> list[str]:
    if {"-h", "--help", "--version"} & set(arguments) or not arguments:
        return ["cli"]
    if arguments[0] in SANDBOX_COMMANDS:
        return ["cli", "sandbox"]
    if arguments[0] != "get":  # check reports a token store without its package
        return ["cli"]
    parquet = any(argument.lower().endswith(".parquet") for argument in arguments)
    return ["cli", *(["parquet"] if parquet else []), *_needed_by_store(prefix)]


def _needed_by_store(prefix: str) -> list[str]:
    place = os.environ.get(prefix + TOKEN_STORE, "")
    if not place:
        return []
    return ["redis" if place.lower().startswith(("redis:", "rediss:")) else "file"]


def _subject(arguments: Sequence[str]) -> str:
    if arguments and arguments[0] in COMMANDS:
        return f"requests-iris {arguments[0]}"
    return "The command line"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
