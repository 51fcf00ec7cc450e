"""The command line: `requests-iris check`, `get`, `quota`, `demo` and `sandbox`."""

from __future__ import annotations

import sys

from . import extras

if _missing := extras.missing_for(["--help"]):
    raise SystemExit(extras.missing_for(sys.argv[1:]) or _missing)

import click

from .. import __version__
from ..credentials import PREFIX
from .check import check
from .demo import demo
from .entry import EntryPoint
from .get import get
from .quota import quota
from .sandbox import sandbox


@click.group(
    cls=EntryPoint,
    context_settings={"help_option_names": ["-h", "--help"]},  # commands inherit the names
    epilog="""\b
Exit status:
  0      The work is done, or the reader of the output has closed the pipe.
  1      Something failed: the network, a server, a list, a file, the output.
  2      The command line is wrong, or a setting is missing or wrong.
  128+n  Signal n ended the command: 130 after Ctrl-C, 143 after SIGTERM.""",
)
@click.version_option(__version__, prog_name="requests-iris")
@click.option(
    "--env-prefix",
    default=PREFIX,
    show_default=True,
    metavar="PREFIX",
    help="The beginning of the names of all variables. Variables with another prefix are not read.",
)
@click.pass_context
def main(context: click.Context, env_prefix: str) -> None:
    """A requests.Session that is always signed in to IRIS: try it, read a list.

    Settings come from the TRACKUNIT_* variables: CLIENT_ID, CLIENT_SECRET, USERNAME, PASSWORD,
    SCOPE, GRANT_TYPE, BASE_URL, TOKEN_URL, TOKEN_STORE, QUOTA and ALLOWED_HOSTS. No option takes a
    secret.
    """
    context.obj = env_prefix


for _command in (check, get, quota, demo, sandbox):
    main.add_command(_command)
