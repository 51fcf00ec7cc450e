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
    def test_a_file_appears_when_it_is_complete_and_not_before(self, tmp_path: Path) -> None:
        target = tmp_path / "x"
        target.write_bytes(b"old")
        with replacing(target) as file:
            file.write(b"new")
            file.flush()
            assert target.read_bytes() == b"old"
        assert target.read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["x"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_error_leaves_the_directory_unchanged(self, tmp_path: Path, error: Any) -> None:
        target = tmp_path / "x"
        target.write_bytes(b"old")
        with pytest.raises(error), replacing(target) as file:
            self.fail(file, error)
        assert target.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["x"]

    def test_an_error_is_raised_also_if_the_new_file_was_deleted(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as file:
            self.fail(file, KeyboardInterrupt, *tmp_path.iterdir())

    def fail(self, file: IO[bytes], error: type[BaseException], *gone: Path) -> None:
        file.write(b"new")
        for path in gone:
            path.unlink()
        raise error

    def test_a_new_file_has_the_mode_that_the_umask_gives(self, tmp_path: Path) -> None:
        umask = os.umask(0o027)
        try:
            with replacing(tmp_path / "x"):
                pass
        finally:
            assert os.umask(umask) == 0o027
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640

    def test_an_existing_file_keeps_its_mode(self, tmp_path: Path) -> None:
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

    def test_a_pipe_of_the_shell_is_written_to(self) -> None:
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

    def test_a_name_may_be_as_long_as_the_file_system_allows(self, tmp_path: Path) -> None:
        name = 127 * "é"  # 254 bytes of 255
        with replacing(tmp_path / name):
            pass
        assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson"])
def test_json_lines_hold_the_given_items(suffix: str, tmp_path: Path) -> None:
    text = written(suffix, ROWS, tmp_path).read_text("utf-8")
    assert [json.loads(line) for line in text.splitlines()] == ROWS
    assert "é" in text


def test_json_file_holds_one_array_with_the_given_items(tmp_path: Path) -> None:
    text = written(".json", ROWS, tmp_path).read_text("utf-8")
    assert json.loads(text) == ROWS
    assert "é" in text
    assert text.startswith("[\n{")
    assert text.endswith("\n]\n")


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_items_of_json_are_written_one_by_one(suffix: str) -> None:
    """Memory stays flat: no item waits for the next."""
    file = io.BytesIO()
    sizes = []

    def items() -> Iterator[Any]:
        for row in ROWS:
            sizes.append(len(file.getvalue()))
            yield row

    FORMATS[suffix](items(), file)
    assert sizes == sorted(set(sizes))


def test_csv_has_a_column_for_each_member_of_any_item(tmp_path: Path) -> None:
    text = written(".csv", ROWS, tmp_path).read_text("utf-8", "strict")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == ["id", "place.lat", "place.tags", "note", "moved", "empty", "value"]
    assert rows[0]["place.tags"] == '["a", "b"]'
    assert rows[0]["note"] == ""
    assert rows[1]["note"] == 'é, "q"\n'
    assert (rows[1]["moved"], rows[2]["moved"]) == ("true", "false")
    assert rows[3]["value"] == "bare"
    assert len(rows) == len(ROWS)


def test_csv_names_a_nested_member_with_all_names_above_it(tmp_path: Path) -> None:
    rows = [{"a": {"b": {"c": ["é"]}, "d": 1}}]
    text = written(".csv", rows, tmp_path).read_text("utf-8")
    assert list(csv.reader(io.StringIO(text))) == [["a.b.c", "a.d"], ['["é"]', "1"]]


@pytest.mark.parametrize(
    "item",
    [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": None}, {"a": {"b.c": 1, "b": {"c": 1}}}],
)
def test_csv_refuses_two_members_that_belong_into_one_column(item: Any, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"\.jsonl can: an item has two values for 'a\.b"):
        written(".csv", [{"a.b": 1}, {"a": {"b": 2}}, item], tmp_path)
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
def test_parquet_has_json_if_values_have_no_common_type(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the values are in one batch or in several."""
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


def test_a_list_that_parquet_cannot_hold_is_an_error_that_names_jsonl(
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
        assert target.read_bytes() == (b"[]\n" if suffix == ".json" else b"")


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_error_while_reading_the_list_reaches_the_caller(suffix: str, tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield {"id": 1}
        raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        written(suffix, broken(), tmp_path)
    assert os.listdir(tmp_path) == []


def test_json_keeps_its_layout_if_the_terminal_cannot_hold_the_text() -> None:
    assert writers.json_text({"a": "é"}, "ascii", indent=1) == '{\n "a": "\\u00e9"\n}'


class TestHalfASurrogatePair:
    """JSON can write it, and UTF-8 cannot."""

    HALF: Any = json.loads(r'{"name": "\ud800 ł"}')

    def test_half_a_surrogate_pair_is_json_in_ascii_beside_other_items(
        self, tmp_path: Path
    ) -> None:
        target = written(".jsonl", [self.HALF, {"name": "ł"}], tmp_path)
        first, second = target.read_text("utf-8").splitlines()
        assert json.loads(first) == self.HALF
        assert second == '{"name": "ł"}'

    def test_half_a_surrogate_pair_is_an_escape_in_csv(self, tmp_path: Path) -> None:
        text = written(".csv", [self.HALF], tmp_path).read_text("utf-8")
        assert text == "name\n\\ud800 ł\n"

    @pytest.mark.parametrize("element", [HALF, {json.loads(r'"\ud800"'): 1}])
    def test_half_a_surrogate_pair_is_refused_by_parquet(
        self, element: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(CannotWrite, match=r"\.jsonl can"):
            written(".parquet", [element], tmp_path)
        assert os.listdir(tmp_path) == []


FORMATS_TO_TRY = pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])


@FORMATS_TO_TRY
@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a": [0, {"b.c": %s}]}', "at 'a[1].b.c'"),
        ('{"a": 1.5, "b": [[%s]]}', "at 'b[0][0]'"),
        ("%s", "NaN or"),
    ],
)
def test_a_number_that_json_cannot_hold_is_refused_with_its_place(
    suffix: str, number: str, text: str, path: str, tmp_path: Path
) -> None:
    items = [{"a": [1e308]}, json.loads(text % number)]
    with pytest.raises(CannotWrite) as refused:
        written(suffix, items, tmp_path)
    assert str(refused.value).startswith("Item 2 has ")
    assert path in str(refused.value)
    assert os.listdir(tmp_path) == []


def nested(levels: int, kind: type) -> Any:
    inner: Any = 1
    for _ in range(levels):
        inner = [inner] if kind is list else {"a": inner}
    return inner


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("levels", [19, 20, 21, 60, 900])
def test_parquet_of_nested_values_can_be_read(levels: int, kind: type, tmp_path: Path) -> None:
    """Readers refuse schemas of about 90 levels, which pyarrow writes without a word."""
    value = nested(levels, kind)
    table = pyarrow.parquet.read_table(written(".parquet", [{"v": value}], tmp_path))
    (found,) = table.column("v").to_pylist()
    assert (json.loads(found) if isinstance(found, str) else found) == value
    assert isinstance(found, str) == (levels > 20)


@FORMATS_TO_TRY
def test_items_beyond_all_depth_are_refused_in_one_line(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"^Item 2 is nested too deeply to be written\.$"):
        written(suffix, [{"v": 1}, {"v": nested(100_000, list)}], tmp_path)


@pytest.mark.parametrize("value", [10**400, [10**400], {"n": [-(10**4000)]}])
def test_parquet_has_json_for_numbers_beyond_its_types(value: Any, tmp_path: Path) -> None:
    rows = [{"v": value}, {"v": None}]
    table = pyarrow.parquet.read_table(written(".parquet", rows, tmp_path))
    first, second = table.column("v").to_pylist()
    assert (json.loads(first), second) == (value, None)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_gets_all_text_unchanged_except_formulas_in_csv(suffix: str, tmp_path: Path) -> None:
    rows = [{"name": "\x1b[31m\x9b\u202e\x7f"}]
    target = written(suffix, rows, tmp_path)
    if suffix == ".parquet":
        assert pyarrow.parquet.read_table(target).to_pylist() == rows
    elif suffix == ".csv":
        (_, (cell,)) = csv.reader(io.StringIO(target.read_text("utf-8"), newline=""))
        assert cell == rows[0]["name"]
    else:
        text = target.read_text("utf-8")
        assert json.loads(text) == (rows if suffix == ".json" else rows[0])
        assert "\u202e" in text
