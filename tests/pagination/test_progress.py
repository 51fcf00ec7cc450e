"""Progress: a function that is called, or a bar."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr

import pytest

from requests_iris import IncompleteListError, SettingError
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, OPERATORS
from .lists import walkers


def test_progress_is_called_with_the_total(iris) -> None:
    told: list[tuple[int, int | None]] = []
    arguments = {"params": {"size": 100}, "progress": lambda *n: told.append(n)}
    assert len(list(iris.items(ASSETS, **arguments))) == 250
    assert told == [(100, 250), (200, 250), (250, 250)]


def test_progress_may_be_none(iris) -> None:
    assert len(list(iris.items(ASSETS, progress=None))) == 250


def test_progress_that_fails_ends_the_walk(iris) -> None:
    def tell(done: int, total: int | None) -> None:
        raise LookupError(done, total)

    with pytest.raises(LookupError, match="100, 250"):
        list(iris.items(ASSETS, params={"size": 100}, max_workers=8, progress=tell))
    assert walkers() == []


class TestABar:
    """Drawn on a terminal, whose line it leaves when the walk ends, and not before."""

    @pytest.fixture
    def terminal(self) -> io.StringIO:
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        return terminal

    @pytest.fixture
    def walk(self, iris, terminal):
        walk = iris.items(ASSETS, params={"size": 100}, progress=True)
        with redirect_stderr(terminal):
            next(walk)
        assert not terminal.getvalue().endswith("\n")
        return walk

    def test_a_bar_is_not_drawn_before_the_first_item(self, iris, terminal) -> None:
        with redirect_stderr(terminal):
            iris.items(ASSETS, progress=True)
        assert terminal.getvalue() == ""

    def test_a_bar_counts_to_the_total(self, walk, terminal) -> None:
        assert sum(1 for _ in walk) == 249
        assert "250/250" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_a_bar_counts_without_a_total(self, iris, terminal) -> None:
        with redirect_stderr(terminal):
            assert sum(1 for _ in iris.items(OPERATORS, progress=True)) == 250
        assert "250 items" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_a_bar_ends_with_a_list_that_is_closed(self, walk, terminal) -> None:
        walk.close()
        assert "100/250" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_a_bar_ends_with_a_list_that_fails(self, sandbox, walk, terminal) -> None:
        sandbox.inject(Fault(status=400), on="api")
        with pytest.raises(IncompleteListError):
            list(walk)
        assert "100/250" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_a_bar_stays_until_the_last_item(self, walk, terminal) -> None:
        for _ in range(249):
            next(walk)
        assert not terminal.getvalue().endswith("\n")
        assert next(walk, None) is None
        assert terminal.getvalue().endswith("\n")


def test_a_bar_is_drawn_on_a_terminal_only(iris, capsys) -> None:
    assert len(list(iris.items(ASSETS, progress=True))) == 250
    assert capsys.readouterr().err == ""


def test_a_bar_without_tqdm_names_the_extra(iris, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(SettingError, match=r"requests-iris\[progress\]"):
        iris.items(ASSETS, progress=True)


class _Gone(io.StringIO):
    """A terminal whose window is closed while a list is read."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    "stream", [None, _closed(), object(), _Gone()], ids=["None", "closed", "object", "gone"]
)
def test_a_program_without_a_terminal_gets_no_bar_and_no_error(iris, monkeypatch, stream) -> None:
    """Windows services and windowed programs have no standard error."""
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(list(iris.items(ASSETS, params={"size": 100}, progress=True))) == 250


def test_a_terminal_that_closes_meanwhile_does_not_end_the_list(iris, terminal_of) -> None:
    with redirect_stderr(terminal_of):
        walk = iris.items(ASSETS, params={"size": 10}, progress=True)
        next(walk)
        terminal_of.close()
        assert sum(1 for _ in walk) == 249


@pytest.fixture
def terminal_of() -> io.StringIO:
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    return terminal
