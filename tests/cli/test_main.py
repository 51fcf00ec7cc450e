"""The command line as a whole."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from requests_iris import __version__
from requests_iris.cli import main

from .run import run, run_anew
from .without import run_without

#: The packages of all extras.
PACKAGES = ["click", "rich", "trustme", "werkzeug", "pyarrow", "filelock", "redis"]


def test_version_is_printed():
    assert run_anew("--version").stdout == f"requests-iris, version {__version__}\n"


@pytest.mark.parametrize(
    ("missing", "extra"), [("click", "cli"), ("rich", "cli"), ("trustme", "sandbox")]
)
def test_a_missing_extra_is_named_in_one_line(missing, extra):
    (result,) = run_without([missing], (["demo"], ""))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert f'needs {missing}: pip install "requests-iris[{extra}]"' in result.stderr


#: Command lines with a value of TRACKUNIT_TOKEN_STORE; the subject and the extras of the message.
MISSING = [
    (["demo"], "", "requests-iris demo", "cli,sandbox"),
    (["sandbox"], "t.json", "requests-iris sandbox", "cli,sandbox"),
    (["check"], "", "requests-iris check", "cli"),
    (["get", "/x"], "", "requests-iris get", "cli"),
    (["get", "/x"], "t.json", "requests-iris get", "cli,file"),
    (["--env-prefix", "A_", "get", "/x"], "t.json", "requests-iris get", "cli"),
    (["--env-prefix=TRACKUNIT_", "get", "/x"], "t.json", "requests-iris get", "cli,file"),
    (["get", "/x", "--all", "-o", "x.PARQUET"], "", "requests-iris get", "cli,parquet"),
    (["get", "/x", "-ox.parquet"], "rediss://h", "requests-iris get", "cli,parquet,redis"),
    (["--help"], "", "The command line", "cli"),
    (["sandbox", "-h"], "", "requests-iris sandbox", "cli"),
    ([], "", "The command line", "cli"),
]


def test_all_missing_extras_are_named_at_once():
    results = run_without(PACKAGES, *((arguments, store) for arguments, store, _, _ in MISSING))
    assert [(result.args, result.returncode, result.stdout) for result in results] == [
        (arguments, 1, "") for arguments, _, _, _ in MISSING
    ]
    for result, (arguments, store, subject, extras) in zip(results, MISSING, strict=True):
        line = rf'{subject} needs [\w, ]+: pip install "requests-iris\[{extras}\]"\n'
        assert re.fullmatch(line, result.stderr), (arguments, store)


def test_help_needs_the_extra_cli_only():
    others = [name for name in PACKAGES if name not in ("click", "rich")]
    commands = ["demo", "sandbox", "get", "check"]
    results = run_without(others, *(([command, "--help"], "") for command in commands))
    for command, result in zip(commands, results, strict=True):
        assert (result.returncode, result.stderr) == (0, ""), command
        assert f"requests-iris {command} " in result.stdout


@pytest.mark.parametrize("arguments", [["get"], ["no-such"], ["get", "/x", "--no-such"]])
def test_a_wrong_command_line_is_one_line_and_status_2(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert re.fullmatch(
        r"Error: .* \(`requests-iris.* --help` shows the options\)\n", result.stderr
    )


def test_a_command_line_without_a_command_shows_the_help():
    result = run()
    assert result.returncode == 2
    assert "Read from IRIS" in result.stderr


@pytest.mark.parametrize("name", [None, *main.commands])
def test_every_help_tells_the_exit_status_and_fits_a_terminal(name):
    shown = run(*([name] if name else []), "--help").stdout
    assert re.search(r"Exit status:\s+0 ", shown)
    examples = r"\s+requests-iris .*"
    assert [
        line for line in shown.splitlines() if len(line) > 80 and not re.match(examples, line)
    ] == []


@pytest.mark.parametrize("name", [None, *main.commands])
def test_short_option_h_shows_the_same_help(name):
    words = [name] if name else []
    long, short = (CliRunner().invoke(main, [*words, option]) for option in ("--help", "-h"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert "-h, --help" in short.stdout


@pytest.mark.parametrize("name", main.commands)
def test_every_option_has_a_help(name):
    options = [each for each in main.commands[name].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


def test_an_unforeseen_error_is_one_line_and_leads_to_its_traceback(monkeypatch):
    def fail():
        raise KeyError("a\x1b[31m\nb")

    command = click.Command("fail", callback=fail)
    monkeypatch.setitem(main.commands, "fail", command)
    with pytest.raises(click.ClickException) as failure:
        main(["fail"], standalone_mode=False)
    line = failure.value.message
    assert line.startswith("KeyError ")
    assert line.isprintable()
    assert "python -X dev -m requests_iris" in line


def test_an_unforeseen_error_about_an_encoding_does_not_quote_the_text(monkeypatch):
    def fail():
        "hush\ud800".encode()

    monkeypatch.setitem(main.commands, "fail", click.Command("fail", callback=fail))
    with pytest.raises(click.ClickException, match="UnicodeEncodeError") as failure:
        main(["fail"], standalone_mode=False)
    assert "d800" not in failure.value.message


def test_a_missing_setting_is_status_2_of_every_command_that_signs_in(monkeypatch):
    for command in (["check"], ["get", "/x"]):
        result = run(*command)
        assert result.returncode == 2
        assert "TRACKUNIT_PASSWORD" in result.stdout + result.stderr
