"""Text from outside this library is shown printable and on one line."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_iris.text import LIMIT, MARKS, one_line, visible

from .support.depth import PROFILE

#: Characters that are not text: by the effect on a terminal, a log or a reader.
HARMFUL = {
    "escape sequence": "\x1b[2J",
    "OSC sequence": "\x1b]0;title\x07",
    "C0": "\x00\x01\x07\x08\x0e\x1f",
    "DEL": "\x7f",
    "C1": "\x80\x84\x9b\x9d\x9f",
    "bidirectional overrides": "\u202a\u202b\u202c\u202d\u202e",
    "bidirectional isolates": "\u2066\u2067\u2068\u2069\u061c\u200e\u200f",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff\u00ad",
    "tags": "\U000e0001\U000e0041",
    "lone surrogates": "\ud800\udfff\udc9b",
    "private use": "\ue000\U000f0000",
    "unassigned": "\u0378\U0001ffff\uffff",
    "fillers": "\u115f\u1160\u3164\uffa0\u2800\u034f",
    "variation selectors": "\ufe00\U000e0100",
}
#: All that separates words or lines in some program.
BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"
ORDINARY = [
    "Excavator 5 - ZX210",
    "Größe, señor, crème brûlée",
    "экскаватор",
    "עֲגוּרָן",
    "حفارة",
    "挖掘机と掘削機",
    "굴착기",
    "खुदाई करने वाला",
    "รถขุดที่",
    "xe xúc".encode().decode(),
    unicodedata.normalize("NFD", "máy xúc đầu kéo"),
    "👷 ❤️ 🇩🇰 👍🏽",
    "½ · 10² °C \N{RIGHT SINGLE QUOTATION MARK} {}[]\\\"'",
]


#: `str.isprintable` accepts these.
INVISIBLE = HARMFUL["fillers"] + HARMFUL["variation selectors"]


def is_shown(character: str) -> bool:
    return character.isprintable() and character not in INVISIBLE


@pytest.mark.parametrize("text", ORDINARY)
def test_letters_of_all_scripts_and_emoji_stay_as_they_are(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_harmful_characters_become_escapes(text: str) -> None:
    shown = one_line(f"a{text}b")
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == f"a{text}b".replace("\x1f", " ")


@pytest.mark.parametrize("character", BREAKS)
def test_each_line_break_and_each_space_becomes_one_space(character: str) -> None:
    assert one_line(f"{character}one{character}{character} two{character}") == "one two"


def test_a_forged_log_record_stays_on_its_line() -> None:
    text = "denied\r\n2026-01-01 INFO root: signed in as admin"
    assert one_line(text) == "denied 2026-01-01 INFO root: signed in as admin"


def test_a_flood_of_combining_marks_ends_after_a_few() -> None:
    shown = one_line("e" + "\u0301\u0338" * 10, None)
    assert shown.startswith("e" + "\u0301\u0338" * (MARKS // 2) + r"\u0301\u0338")
    assert not any(unicodedata.combining(each) for each in shown[1 + MARKS :])


def test_a_mark_at_the_beginning_does_not_change_the_message_before_it() -> None:
    assert one_line("\u0338= secure") == r"\u0338= secure"
    assert one_line(" \u20dd") == r"\u20dd"


@given(st.text(st.characters()) | st.text(st.sampled_from("a \n\x1b\u0301\u200d\ud800é")))
def test_any_text_becomes_printable_and_one_line(text: str) -> None:
    for limit in (LIMIT, None):
        shown = one_line(text, limit)
        assert len(shown.splitlines()) <= 1
        assert all(map(is_shown, shown))
        assert shown == shown.strip()
        assert limit is None or len(shown) <= limit


#: Codes with characters; some single codes of the rest stand for the rest.
ASSIGNED = (*range(0x33500), *range(0xE0000, 0xE0200))


def test_each_character_of_unicode_becomes_printable() -> None:
    codes = range(0x110000) if PROFILE == "deep" else (*ASSIGNED, *range(0, 0x110000, 997))
    shown = one_line("a".join(map(chr, codes)), None)
    assert not [character for character in shown if not is_shown(character)]


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=LIMIT).filter(str.strip))
def test_printable_text_within_the_limit_is_unchanged(text: str) -> None:
    if all(map(is_shown, text)):
        assert one_line(text) == text


@given(st.text(max_size=50), st.integers(-3, 60))
def test_the_limit_counts_the_dots_of_a_cut_text(text: str, limit: int) -> None:
    shown, whole = one_line(text, limit), one_line(text, None)
    assert len(shown) <= max(limit, 0)
    assert shown == whole or shown.endswith("..."[: max(limit, 0)])


def test_text_behind_many_line_breaks_is_not_lost_silently() -> None:
    assert one_line("\n" * 10_000 + "text") == "..."


class Unhelpful:
    def __str__(self) -> str:
        raise ValueError("no")


class NamelessKind(type):
    @property
    def __name__(cls) -> str:
        raise ValueError("no")


class Nameless(Unhelpful, metaclass=NamelessKind):
    pass


class Liar:
    @property
    def __class__(self) -> Any:
        raise ValueError("no")


class NoText:
    def __str__(self) -> Any:
        return 3


class OddText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("no")

    def __getitem__(self, key: Any) -> Any:
        raise ValueError("no")

    def split(self, *_: Any) -> Any:
        raise ValueError("no")


def nested(levels: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(levels):
        inner = [inner]
    return inner


#: Made when they are used: the test runner asks its parameters for names.
THINGS: dict[str, tuple[Callable[[], object], str]] = {
    "None": (lambda: None, "None"),
    "a bool": (lambda: True, "True"),
    "a number": (lambda: -5, "-5"),
    "a number of 100,001 digits": (lambda: 10**100_000, "<unprintable int>"),
    "bytes": (lambda: b"caf\xc3\xa9\n\xff", r"café \xff"),
    "a bytearray": (lambda: bytearray(b"a\x1b"), r"a\x1b"),
    "a memoryview": (lambda: memoryview(b"abc"), "abc"),
    "an error": (lambda: ValueError("a\nb"), "a b"),
    "an object of JSON": (lambda: {"a": "\x1b\n", "b": [1]}, r"{'a': '\x1b\n', 'b': [1]}"),
    "100,000 levels": (lambda: nested(100_000), "[[[[[...]]]]]"),
    "a number in a list": (lambda: [10**100_000], "<unprintable list>"),
    "str() raises": (Unhelpful, "<unprintable Unhelpful>"),
    "str() and the name of the type raise": (Nameless, "<unprintable>"),
    "str() is not text": (NoText, "<unprintable NoText>"),
    "isinstance() raises": (Liar, "<unprintable Liar>"),
    "all methods of a text raise": (lambda: OddText("a\nb"), "a b"),
}


@pytest.mark.parametrize("name", THINGS)
def test_any_object_becomes_one_line(name: str) -> None:
    make, shown = THINGS[name]
    assert one_line(make()) == shown


HUGE: dict[str, Callable[[], object]] = {
    "a text": lambda: "x" * 10**7,
    "escapes": lambda: "\x1b" * 10**7,
    "bytes": lambda: b"\n" * 10**7,
    "a list of text": lambda: ["x" * 10**7],
    "a list": lambda: list(range(10**6)),
    "an object of JSON": lambda: dict.fromkeys(range(10**6), "x"),
    "a set": lambda: set(range(10**6)),
    "a frozen set": lambda: frozenset(range(10**6)),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_text_is_cut_before_any_work(name: str) -> None:
    huge = HUGE[name]()
    one_line({"a": [set(), frozenset()]})  # fills caches
    tracemalloc.start()
    try:
        line = one_line(huge)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(line) <= LIMIT
    assert peak < 100_000, "work on the whole text or list would need megabytes"


def test_the_escape_for_harmful_characters_can_be_chosen() -> None:
    assert "".join(visible("a\x1b", lambda character: f"<{ord(character)}>")) == "a<27>"
