"""The formats that a list is written in."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet
import pytest

from requests_iris.cli import writers
from requests_iris.cli.writers import FORMATS, CannotWrite, replacing

ROWS: list[Any] = [
    {"id": 1, "place": {"lat": 55.5, "tags": ["a", "b"]}, "note": None},
    {"id": 2, "place": {"lat": 9}, "note": 'é, "q"\n', "moved": True},
    {"moved": False, "empty": {}},
    "bare",
]


def written(suffix: str, elements: Iterable[Any], directory: Path) -> Path:
    target = directory / f"list{suffix}"
    with replacing(target) as file:
        FORMATS[suffix](iter(elements), file)
    return target


class TestReplacing:
    def test_the_file_is_there_at_the_end_and_not_before(self, tmp_path: Path) -> None:
        target = tmp_path / "x"
        target.write_bytes(b"old")
        with replacing(target) as file:
            file.write(b"new")
            file.flush()
            assert target.read_bytes() == b"old"
        assert target.read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["x"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_after_an_error_nothing_has_changed(self, tmp_path: Path, error: Any) -> None:
        target = tmp_path / "x"
        target.write_bytes(b"old")
        with pytest.raises(error), replacing(target) as file:
            self.fail(file, error)
        assert target.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["x"]

    def test_an_error_is_told_even_if_the_file_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as file:
            self.fail(file, KeyboardInterrupt, *tmp_path.iterdir())

    def fail(self, file: IO[bytes], error: type[BaseException], *gone: Path) -> None:
        file.write(b"new")
        for path in gone:
            path.unlink()
        raise error

    def test_others_may_read_it_as_far_as_the_umask_says(self, tmp_path: Path) -> None:
        umask = os.umask(0o027)
        try:
            with replacing(tmp_path / "x"):
                pass
        finally:
            assert os.umask(umask) == 0o027
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640

    def test_a_file_that_was_there_keeps_its_mode(self, tmp_path: Path) -> None:
        (tmp_path / "x").touch(0o600)
        with replacing(tmp_path / "x") as file:
            file.write(b"private")
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "x").symlink_to("there/y")
        for content in (b"first", b"second"):
            with replacing(tmp_path / "x") as file:
                file.write(content)
            assert (tmp_path / "there" / "y").read_bytes() == content
        assert (tmp_path / "x").is_symlink()

    def test_a_pipe_is_written_to_and_not_replaced(self, tmp_path: Path) -> None:
        pipe = tmp_path / "x"
        os.mkfifo(pipe)
        with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
            with replacing(pipe) as file:
                file.write(b"new")
            assert reader.read() == b"new"
        assert pipe.is_fifo()
        assert os.listdir(tmp_path) == ["x"]

    def test_a_pipe_of_the_shell_is_one_too(self) -> None:
        """As in ``-o >(gzip)``, and ``-o /dev/stdout``."""
        ours, theirs = os.pipe()
        with replacing(Path(f"/dev/fd/{theirs}")) as file:
            file.write(b"new")
        os.close(theirs)
        with open(ours, "rb") as reader:
            assert reader.read() == b"new"

    def test_an_error_names_the_target_and_not_the_file_beside_it(self) -> None:
        with (
            pytest.raises(CannotWrite, match=r"^/proc/a\.csv cannot be written: \w[\w ]+$"),
            replacing(Path("/proc/a.csv")),
        ):
            pass  # pragma: no cover

    def test_a_name_may_be_as_long_as_one_can_be(self, tmp_path: Path) -> None:
        name = 127 * "é"  # 254 bytes of 255
        with replacing(tmp_path / name):
            pass
        assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson"])
def test_json_lines_hold_what_was_given(suffix: str, tmp_path: Path) -> None:
    text = written(suffix, ROWS, tmp_path).read_text("utf-8")
    assert [json.loads(line) for line in text.splitlines()] == ROWS
    assert "é" in text


def test_json_lines_are_written_one_by_one(tmp_path: Path) -> None:
    """Memory stays flat: no element waits for the next."""
    file = io.BytesIO()
    sizes = []

    def elements() -> Iterator[Any]:
        for row in ROWS:
            sizes.append(len(file.getvalue()))
            yield row

    writers.json_lines(elements(), file)
    assert sizes == sorted(set(sizes))


def test_csv_has_a_column_for_each_member_that_any_element_has(tmp_path: Path) -> None:
    text = written(".csv", ROWS, tmp_path).read_text("utf-8", "strict")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == ["id", "place.lat", "place.tags", "note", "moved", "empty", "value"]
    assert rows[0]["place.tags"] == '["a", "b"]'
    assert rows[0]["note"] == ""
    assert rows[1]["note"] == 'é, "q"\n'
    assert (rows[1]["moved"], rows[2]["moved"]) == ("true", "false")
    assert rows[3]["value"] == "bare"
    assert len(rows) == len(ROWS)


def test_csv_names_what_is_deep_with_all_the_names_above(tmp_path: Path) -> None:
    rows = [{"a": {"b": {"c": ["é"]}, "d": 1}}]
    text = written(".csv", rows, tmp_path).read_text("utf-8")
    assert list(csv.reader(io.StringIO(text))) == [["a.b.c", "a.d"], ['["é"]', "1"]]


@pytest.mark.parametrize(
    "element",
    [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": None}, {"a": {"b.c": 1, "b": {"c": 1}}}],
)
def test_csv_has_no_column_for_two_members(element: Any, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"\.jsonl can: an element has two values for 'a\.b"):
        written(".csv", [{"a.b": 1}, {"a": {"b": 2}}, element], tmp_path)
    assert os.listdir(tmp_path) == []


def test_parquet_keeps_types_and_nesting(tmp_path: Path) -> None:
    rows = pyarrow.parquet.read_table(written(".parquet", ROWS, tmp_path)).to_pylist()
    assert [row["id"] for row in rows] == [1, 2, None, None]
    assert [row["place"] for row in rows[:2]] == [
        {"lat": 55.5, "tags": ["a", "b"]},
        {"lat": 9.0, "tags": None},
    ]
    assert [row["moved"] for row in rows] == [None, True, False, None]
    assert rows[2]["empty"] == "{}"
    assert rows[3]["value"] == "bare"


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_parquet_has_json_where_no_type_is_common(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the values meet in one batch or not."""
    monkeypatch.setattr(writers, "BATCH", batch)
    values = [1, "one", None, {"a": [1]}, 10**30]
    table = pyarrow.parquet.read_table(written(".parquet", [{"v": v} for v in values], tmp_path))
    found = table.column("v").to_pylist()
    assert [None if text is None else json.loads(text) for text in found] == values


def test_parquet_learns_columns_and_types_from_all_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "BATCH", 2)
    given = [{"a": None}, {"a": 1}, {"a": 2.5}, {"b": {"c": 1}}, {"b": {"d": "x"}}]
    rows = pyarrow.parquet.read_table(written(".parquet", given, tmp_path)).to_pylist()
    assert [row["a"] for row in rows] == [None, 1.0, 2.5, None, None]
    assert [row["b"] for row in rows[3:]] == [{"c": 1, "d": None}, {"c": None, "d": "x"}]


def test_what_parquet_cannot_hold_is_an_error_that_says_what_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "BATCH", 1)
    with pytest.raises(CannotWrite, match=r"\.jsonl can"):
        written(".parquet", [{"a": 2**60 + 1}, {"a": 0.5}], tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_list_is_a_file(suffix: str, tmp_path: Path) -> None:
    target = written(suffix, [], tmp_path)
    if suffix == ".parquet":
        assert pyarrow.parquet.read_table(target).num_rows == 0
    else:
        assert target.read_bytes() == b""


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_error_of_the_list_reaches_the_caller(suffix: str, tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield {"id": 1}
        raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        written(suffix, broken(), tmp_path)
    assert os.listdir(tmp_path) == []


def test_json_keeps_its_layout_where_the_terminal_cannot_hold_it() -> None:
    assert writers.json_text({"a": "é"}, "ascii", indent=1) == '{\n "a": "\\u00e9"\n}'


class TestHalfASurrogatePair:
    """JSON can write it, and UTF-8 cannot."""

    HALF: Any = json.loads(r'{"name": "\ud800 ł"}')

    def test_is_json_in_ascii_beside_others_that_are_not(self, tmp_path: Path) -> None:
        target = written(".jsonl", [self.HALF, {"name": "ł"}], tmp_path)
        first, second = target.read_text("utf-8").splitlines()
        assert json.loads(first) == self.HALF
        assert second == '{"name": "ł"}'

    def test_is_told_in_csv(self, tmp_path: Path) -> None:
        text = written(".csv", [self.HALF], tmp_path).read_text("utf-8")
        assert text == "name\n\\ud800 ł\n"

    @pytest.mark.parametrize("element", [HALF, {json.loads(r'"\ud800"'): 1}])
    def test_cannot_be_held_by_parquet(self, element: Any, tmp_path: Path) -> None:
        with pytest.raises(CannotWrite, match=r"\.jsonl can"):
            written(".parquet", [element], tmp_path)
        assert os.listdir(tmp_path) == []
