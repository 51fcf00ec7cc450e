"""With msgspec, a page is decoded to exactly the same values, types and errors."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import wraps
from json import JSONDecoder, loads
from pathlib import Path
from runpy import run_path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from requests_iris import IrisSession, decoding
from requests_iris.decoding import json_of
from requests_iris.sandbox import Fault

from .support.depth import examples

#: Documents at the edges of JSON. Some are no JSON at all.
DOCUMENTS = (
    *("{}", "[]", "null", "0", "", " ", "[", "[1,]", '{"a":1,}', "[1 2]", "// x\n[]", "{'a': 1}"),
    *('{"a": 1, "b": 2, "a": 3}', '{"": 1}', "{1: 2}", "[]x", " \t\r\n[] ", "\x0b[]", "[+1]"),
    *("[NaN]", "[Infinity]", "[-Infinity]", "[1e400]", "[-1e400]", "[1.7976931348623159e308]"),
    *("[-0]", "[-0.0]", "[1.0]", "[1e5]", "[1E+5]", "[1e-400]", "[5e-324]", "[1e23]", "[0.1e1]"),
    *("[9007199254740993]", "[9007199254740993.0]", "[18446744073709551616]", "[01]", "[1.]"),
    *("[.5]", "[0x1]", "[1_000]", "[\u0661]", "[" + "9" * 400 + "]", "[" + "9" * 5000 + "]"),
    *('["\\ud800"]', '["\\ud83d\\ude00"]', '["\\ude00\\ud83d"]', '{"\\ud800": 1}', '["\\u0000"]'),
    *('["\\/\\b"]', '["\\x41"]', '["\\u12"]', '["a\tb"]', '["a\nb"]', '["\x00"]', '["\x7f"]'),
    *('["\u2028\ufffe\U0001f600"]', "\ufeff[]", "[" * 200 + "]" * 200, "[" * 9999 + "]" * 9999),
    *('{"a": {"b": [{"c": null}, true, false]}}', "nul", "True", '["unfinished'),
)
#: Encodings of a document, each with the encoding that the server names.
ENCODINGS = (
    *(("utf-8", "utf-8"), ("utf-8", None), ("utf-8", "UTF8"), ("utf-8", "latin-1")),
    *(("utf-8-sig", "utf-8"), ("utf-8-sig", None), ("utf-16", None), ("utf-16-le", None)),
    *(("utf-32", None), ("utf-16", "utf-8"), ("latin-1", "utf-8"), ("latin-1", None)),
)
_TEXT = st.text() | st.sampled_from(["\ud800", "a\udc00b", "\x00", '"', "\\", "\u2028", "é"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(_TEXT, each, max_size=4),
    max_leaves=20,
)


def response_of(content: bytes, encoding: str | None = "utf-8") -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response._content = content
    response.encoding = encoding
    return response


def outcome(decode: Callable[[], Any]) -> tuple[str, ...]:
    """The value with all types, or the type of the error."""
    try:
        return "value", repr(decode())  # 1, 1.0, True and -0.0 have different texts
    except (ValueError, RecursionError) as error:
        return "error", type(error).__name__, str(error)


def assert_same(content: bytes, encoding: str | None = "utf-8") -> None:
    ours = outcome(lambda: json_of(response_of(content, encoding), msgspec.json.decode))
    theirs = outcome(response_of(content, encoding).json)
    assert ours == theirs


@pytest.mark.parametrize("encodings", ENCODINGS, ids=str)
def test_odd_documents_give_the_same_value_or_error(encodings: tuple[str, str | None]) -> None:
    written, named = encodings
    for document in DOCUMENTS:
        assert_same(document.encode(written, "replace"), named)


@settings(max_examples=examples(100))
@given(_VALUES, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_every_generated_document_gives_the_same_value(
    value: Any, ascii_only: bool, indent: Any
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert_same(text.encode("utf-8", "surrogatepass"))


_DIGITS = st.text("0123456789", min_size=1, max_size=30)
_NUMBERS = st.tuples(
    st.sampled_from(["", "-"]),
    st.just("0") | st.integers(1, 10**30).map(str),
    st.just("") | _DIGITS.map(".{}".format),
    st.just("") | st.tuples(st.sampled_from(["e", "E", "e+", "E-"]), _DIGITS).map("".join),
).map("".join)


@settings(max_examples=examples(50))
@given(st.lists(_NUMBERS, min_size=1, max_size=20))
def test_every_number_has_the_same_value_and_type(numbers: list[str]) -> None:
    for number in numbers:  # each for itself: msgspec refuses some numbers
        assert_same(number.encode())
    assert_same(f"[{', '.join(numbers)}]".encode())


@settings(max_examples=examples(100))
@given(
    _VALUES.map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.integers(0, 50),
    st.binary(max_size=2) | st.sampled_from([b",", b'"', b"\\u", b"e", b".", b"-", b"0", b"\xff"]),
)
def test_every_damaged_document_gives_the_same_value_or_error(
    text: str, position: int, damage: bytes
) -> None:
    content = text.encode("utf-8", "surrogatepass")
    assert_same(content[:position] + damage + content[position + 1 :])
    assert_same(content[:position] + damage + content[position:], None)


def test_msgspec_decodes_a_plain_page() -> None:
    decoded: list[bytes] = []
    content = '{"content": [{"name": "Bagger 1 ü"}]}'.encode()
    json_of(response_of(content), lambda found: decoded.append(found))
    assert decoded == [content]


def _replace_json(monkeypatch: pytest.MonkeyPatch, case: str, response: Any) -> None:
    """Replaces a part of the decoding. Every replacement reads the price as "mine"."""
    mine = '{"price": "mine"}'
    if case == "subclass":
        response.__class__ = type("Mine", (requests.Response,), {"json": lambda _: loads(mine)})
    elif case == "text of a subclass":
        response.__class__ = type("Mine", (requests.Response,), {"text": mine})
    elif case == "attribute":
        monkeypatch.setattr(response, "json", lambda: loads(mine))
    elif case == "Response.json":
        monkeypatch.setattr(requests.Response, "json", lambda _: loads(mine))
    elif case == "Response.text":
        monkeypatch.setattr(requests.Response, "text", property(lambda _: mine))
    elif case == "json module":
        wrapper = wraps(json.loads)(lambda _: JSONDecoder().decode(mine))
        monkeypatch.setattr("requests.models.complexjson.loads", wrapper)
    else:
        decoder = JSONDecoder(parse_float=lambda _: "mine")
        monkeypatch.setattr("json._default_decoder", decoder)


@pytest.mark.parametrize(
    "case",
    [
        *("subclass", "text of a subclass", "attribute", "Response.json", "Response.text"),
        *("json module", "decoder of the json module"),
    ],
)
def test_a_replaced_part_of_the_decoding_decodes_the_page(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = response_of(b'{"price": 0.10}')
    _replace_json(monkeypatch, case, response)
    assert json_of(response, msgspec.json.decode) == {"price": "mine"}


@pytest.mark.parametrize("encoding", [5, b"utf-8", ["utf-8"]], ids=str)
def test_an_encoding_that_is_no_text_changes_nothing(encoding: Any) -> None:
    assert_same(b'{"a": 1}', encoding)


def _raised(*_: object) -> Any:
    raise SystemError("broken")


@pytest.mark.parametrize(
    "found",
    [
        *(None, ModuleType("msgspec"), SimpleNamespace(json=SimpleNamespace(decode=_raised))),
        # as in msgspec 0.17 and earlier
        SimpleNamespace(json=SimpleNamespace(decode=lambda _: {"a": [2.0**64]})),
    ],
    ids=["missing", "a different module", "broken", "old"],
)
def test_an_unsuitable_msgspec_decodes_no_page(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", found)
    assert run_path(decoding.__file__)["json_of"](response_of(b"[1]")) == [1]


@pytest.mark.parametrize("case", ["Response.json", "Response.text", "json module"])
def test_a_part_that_was_replaced_before_the_import_decodes_the_page(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = response_of(b'{"price": 0.10}')
    _replace_json(monkeypatch, case, response)
    assert run_path(decoding.__file__)["json_of"](response) == {"price": "mine"}


def test_a_msgspec_that_cannot_be_imported_decodes_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise OSError('a library is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "msgspec")
    assert run_path(decoding.__file__)["json_of"](response_of(b"[1]")) == [1]


def test_a_list_with_a_page_beyond_msgspec_is_read_whole(iris: IrisSession, sandbox: Any) -> None:
    page = '{"content": [{"hours": NaN}, {"name": "\\ud800"}], "number": 0, "size": 2, '
    page += '"totalElements": 2, "totalPages": 1}'
    headers = {"Content-Type": "application/json"}
    sandbox.inject(Fault(status=200, body=page, headers=headers), on="api")
    hours, name = iris.items("/api/asset/v1/assets")
    assert math.isnan(hours["hours"])
    assert name == {"name": "\ud800"}
