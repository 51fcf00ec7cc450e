"""The entry point: whatever happens in a command, it ends with at most one line and an exit status.

====================================================================================== ======
how a command ends                                                                     status
====================================================================================== ======
its work is done, or the reader of its output, such as ``head``, has closed the pipe   0
anything failed: the network, a server, a refusal, a list, a file, standard output     1
the command line is wrong, or a setting is missing or cannot be right                  2
a signal: 128 and its number, such as 130 for Ctrl-C and 143 for SIGTERM               128+n
====================================================================================== ======

Commands raise, and handle no error only to show it. :meth:`EntryPoint.invoke` turns every exception
into a :class:`Failure` with one line. :meth:`EntryPoint.main` writes the line, whatever state the
standard streams are in.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError
from requests import RequestException

from ..errors import SettingError
from ..text import one_line
from . import extras
from .failures import LONGEST, CannotWrite, Failure, ReaderGone, WrongSetting
from .signals import in_main_thread
from .streams import complain, flush_stdout, occupy_descriptors, usable_streams, writing_stdout


class Command(click.Command):
    """A command of which ``--help`` can be written, or says why not."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with writing_stdout():  # --help is the only step in there that meets an OSError
            return super().make_context(*args, **kwargs)


class EntryPoint(Command, click.Group):
    """A group of commands of which each ends with at most one line and an exit status."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its status.

        :param standalone_mode: False for a program that calls this inside itself: return the status
            and raise click's exceptions.
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
            finally:  # also after SystemExit, as a signal raises it
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
            raise _failure_of(error) from error


def _check_extras(arguments: Sequence[str]) -> None:
    if line := extras.missing_for(arguments):
        raise Failure(line)


def _status_of(run: Callable[[], Any]) -> int:
    try:
        result = run()
    except ReaderGone:
        return 0
    except click.Abort:
        complain("Interrupted.\n")
        return 128 + signal.SIGINT
    except click.ClickException as error:
        return _show(error)
    except Exception as error:
        return _show(_failure_of(error))
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


def _failure_of(error: Exception) -> Failure:
    """The line for an error, whatever kind of error it is.

    :raises Exception: `error` itself in Python's development mode (``python -X dev``).
    """
    if sys.flags.dev_mode:
        raise error
    kind = WrongSetting if isinstance(error, SettingError) else Failure
    return kind(_told(error))


def _told(error: Exception) -> str:
    name = type(error).__name__
    if isinstance(error, (RequestException, CannotWrite, ModuleNotFoundError)):
        return str(error) or name
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # a UnicodeError quotes the text that it is about, which may be a secret
    text = "" if isinstance(error, UnicodeError) else f" ({error})"
    return (
        f"{name}{text}. Nobody foresaw this error in requests-iris. "
        "`python -X dev -m requests_iris` with the same arguments shows where it comes from."
    )
