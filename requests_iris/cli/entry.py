"""The entry point: every command ends with an exit status, and with one line if it fails.

====================================================================================== ======
how a command ends                                                                     status
====================================================================================== ======
the work is done, or the reader of the output, for example ``head``, closed the pipe   0
anything failed: the network, a server, a refusal, a list, a file, standard output     1
the command line is wrong, or a setting is missing or cannot be right                  2
a signal: 128 and the number, for example 130 for Ctrl-C and 143 for SIGTERM           128+n
====================================================================================== ======

Commands raise errors and do not print errors. :meth:`EntryPoint.invoke` turns every exception into
a :class:`Failure` with one line. :meth:`EntryPoint.main` writes the line, also if standard streams
are closed, full or without a reader.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from ..text import one_line
from . import extras
from .failures import LONGEST, Failure, ReaderGone, failure_of
from .signals import in_main_thread
from .streams import complain, flush_stdout, occupy_descriptors, usable_streams, writing_stdout


class Command(click.Command):
    """A command with a ``--help`` which survives every state of standard output."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with writing_stdout():  # only --help can meet an OSError here
            return super().make_context(*args, **kwargs)


class EntryPoint(Command, click.Group):
    """A group of commands. Each command ends with an exit status, and with one line if it fails."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with the status.

        :param standalone_mode: False for a call inside a program: return the status and raise
            click's exceptions.
        """

        def run() -> Any:
            _check_extras(sys.argv[1:] if args is None else args)
            return super(EntryPoint, self).main(args, prog_name, complete_var, False, **extra)

        if not standalone_mode:
            return run()
        if in_main_thread():
            occupy_descriptors()
        with usable_streams():
            try:
                status = _status_of(run)
            finally:  # also after a SystemExit from a signal handler
                unwritten = flush_stdout()
            if unwritten and not status:
                status = _show(Failure(f"Standard output cannot be written: {unwritten}."))
        sys.exit(status)

    def invoke(self, ctx: click.Context) -> Any:
        """As click. Every error is a click.ClickException with one line."""
        try:
            return super().invoke(ctx)
        except ReaderGone:
            return 0
        except KeyboardInterrupt:
            raise click.Abort from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            raise failure_of(error) from error


def _check_extras(arguments: Sequence[str]) -> None:
    if line := extras.missing_for(arguments):
        raise Failure(line)


def _status_of(run: Callable[[], Any]) -> int:
    try:
        result = run()
    except ReaderGone:
        return 0
    except (click.Abort, KeyboardInterrupt):
        complain("Interrupted.\n")
        return 128 + signal.SIGINT
    except click.ClickException as error:
        return _show(error)
    except Exception as error:
        return _show(failure_of(error))
    return result if isinstance(result, int) else 0


def _show(error: click.ClickException) -> int:
    if isinstance(error, NoArgsIsHelpError):
        complain(error.format_message() + "\n")
    else:
        complain(f"Error: {one_line(error.format_message(), LONGEST)}{_hint(error)}\n")
    return error.exit_code


def _hint(error: click.ClickException) -> str:
    if not (isinstance(error, click.UsageError) and error.ctx):
        return ""
    return f" (`{error.ctx.command_path} --help` shows the options)"
