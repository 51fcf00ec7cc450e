"""The command line: `requests-iris check`, `get`, `demo` and `sandbox`."""

from __future__ import annotations

import sys

from . import extras

if _missing := extras.missing_for(["--help"]):
    raise SystemExit(extras.missing_for(sys.argv[1:]) or _missing)

import click

from .. import __version__
from .check import check
from .demo import demo
from .entry import EntryPoint
from .get import get
from .sandbox import sandbox


@click.group(
    cls=EntryPoint,
    epilog="""\b
Exit status:
  0      The work is done, or the reader of the output has closed the pipe.
  1      Something failed: the network, a server, a list, a file, the output.
  2      The command line is wrong, or a setting is missing or wrong.
  128+n  Signal n ended the command: 130 after Ctrl-C, 143 after SIGTERM.""",
)
@click.version_option(__version__, prog_name="requests-iris")
def main() -> None:
    """A requests.Session that is always signed in to IRIS: try it, read a list.

    Settings come from the TRACKUNIT_* variables: CLIENT_ID, CLIENT_SECRET, USERNAME, PASSWORD,
    SCOPE, BASE_URL, TOKEN_URL and TOKEN_STORE. No option takes a secret.
    """


for _command in (check, get, demo, sandbox):
    main.add_command(_command)
