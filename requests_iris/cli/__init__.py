"""The command line: `requests-iris check`, `get`, `demo` and `sandbox`."""

from __future__ import annotations

try:
    import click

    from .check import check
    from .demo import demo
    from .get import get
    from .sandbox import sandbox
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    raise SystemExit(
        f'The command line needs {package}: pip install "requests-iris[cli]"'
    ) from None

from .. import __version__


@click.group()
@click.version_option(__version__, prog_name="requests-iris")
def main() -> None:
    """A requests.Session that is always signed in to IRIS: try it out, read a list.

    Settings come from the TRACKUNIT_* variables: CLIENT_ID, CLIENT_SECRET, USERNAME, PASSWORD,
    SCOPE, BASE_URL, TOKEN_URL and TOKEN_STORE.
    """


for _command in (check, get, demo, sandbox):
    main.add_command(_command)
