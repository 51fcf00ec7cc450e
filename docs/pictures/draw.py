"""Draws the pictures of the manual: `tox -e pictures`.

The files beside this program are committed, because places that show the README cannot draw. A test
compares the files with the drawings. The chart shows the figures in ``figures.json``, which is the
output of ``tox -e bench -- --json``.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from requests_iris.cli.demo import Demo
from requests_iris.sandbox import Sandbox

FOLDER = Path(__file__).parent
FIGURES = FOLDER / "figures.json"

#: Colours that can be read on white, and told apart without red and green.
INK, PALE, OURS, THEIRS = "#1f2933", "#616e7c", "#0b7285", "#adb5bd"
FRESH, EXPIRING, EXPIRED = "#99e9f2", "#ffe066", "#ffa8a8"


def svg(width: int, height: int, title: str, shapes: list[str]) -> str:
    """A picture on a white card, because the page around may be dark."""
    font = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"width='{width}' height='{height}' role='img' {font}>",
            f"<title>{escape(title)}</title>",
            f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>",
            *shapes,
            "</svg>\n",
        ]
    )


def box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' fill='{fill}'/>"


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = PALE) -> str:
    return f"<path d='M{x1:g} {y1:g}L{x2:g} {y2:g}' stroke='{stroke}' fill='none'/>"


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 14,
    fill: str = INK,
    bold: bool = False,
    anchor: str = "start",
) -> str:
    weight = " font-weight='600'" if bold else ""
    return (
        f"<text x='{x:g}' y='{y:g}' font-size='{size}' fill='{fill}' text-anchor='{anchor}'"
        f"{weight}>{escape(words)}</text>"
    )


def paragraph(x: float, y: float, lines: list[str]) -> list[str]:
    return [text(x, y + 19 * number, words, size=13) for number, words in enumerate(lines)]


def token_age() -> str:
    """The three ages of a token, for a lifetime of one hour. Not to scale."""
    ages = [
        (
            40,
            300,
            FRESH,
            "fresh",
            "0:00",
            ["Every request uses the token:", "no lock, no I/O, one comparison of times."],
        ),
        (
            340,
            220,
            EXPIRING,
            "expiring",
            "0:45",
            ["One thread renews the token.", "The others keep using the token."],
        ),
        (560, 160, EXPIRED, "expired", "0:59", ["One thread renews.", "The others wait."]),
    ]
    shapes = [
        text(40, 34, "The age of an access token that expires after one hour", bold=True, size=16)
    ]
    for x, width, fill, name, begin, told in ages:
        shapes += [
            text(x, 70, begin, size=12, fill=PALE),
            line(x, 76, x, 128),
            box(x, 82, width, 40, fill),
            text(x + width / 2, 107, name, bold=True, anchor="middle"),
            *paragraph(x, 148, told),
        ]
    shapes += [
        text(720, 70, "1:00", size=12, fill=PALE, anchor="end"),
        f"<path d='M190 206V222H640V192' stroke='{PALE}' fill='none' stroke-dasharray='4 3'/>",
        f"<path d='M635 199L640 190L645 199' stroke='{PALE}' fill='none'/>",
        text(200, 216, "a 401 from the API: expired at once", size=12, fill=PALE),
        text(40, 254, "To renew:", bold=True, size=13),
        text(
            118,
            254,
            "the token store, then the refresh token, then the password, then an error",
            size=13,
        ),
    ]
    return svg(760, 276, "The ages of an access token: fresh, expiring, expired", shapes)


def token_requests() -> str:
    """A bar for each library: the token requests of 64 threads that start at once."""
    name = "64 threads start cold: token requests"
    found = [each for each in json.loads(FIGURES.read_text("utf-8")) if each["name"] == name]
    largest = max(each["value"] for each in found)
    shapes = [
        text(24, 34, "64 threads start at once: how many token requests?", bold=True, size=16)
    ]
    for row, each in enumerate(found):
        y = 56 + 32 * row
        ours = each["whose"] == "IrisSession"
        width = each["value"] / largest * 460
        shapes += [
            text(200, y + 16, each["whose"], anchor="end", bold=ours),
            box(212, y, width, 22, OURS if ours else THEIRS),
            text(220 + width, y + 16, f"{each['value']:g}", bold=ours),
        ]
    height = 56 + 32 * len(found) + 16
    return svg(760, height, "Token requests of 64 threads: IrisSession 1, others 64", shapes)


def demo() -> str:
    """The output of `requests-iris demo`, as a picture of a terminal. Takes five seconds."""
    shown = Console(file=io.StringIO(), record=True, width=98, highlight=False)
    shown.print("[bold]$ requests-iris demo[/bold]")
    for words in demo_lines(lambda seconds, _: time.sleep(seconds)):
        style = "green" if words.startswith(("Renewed", "Signed", "Done")) else None
        shown.print(
            words, style=style or ("yellow" if words.startswith("Expired") else None), markup=False
        )
    return shown.export_svg(title="requests-iris demo", theme=MONOKAI, unique_id="demo")


def demo_lines(pause: Callable[[float, Sandbox], object]) -> Iterator[str]:
    """The lines of the demo, with a fixed address, fixed tokens and fixed times.

    :param pause: called with the seconds until a token has expired, and the sandbox.
    """
    printed = io.StringIO()
    with Sandbox(token_lifetime=2) as sandbox:
        screen = Console(file=printed, soft_wrap=True, highlight=False)
        Demo(sandbox, screen, pace=0, pause=lambda seconds: pause(seconds, sandbox)).run()
    tokens: dict[str, str] = {}
    for words in printed.getvalue().splitlines():
        words = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8443", words)
        words = re.sub(r"Waiting [\d.]+ s", "Waiting 2.2 s", words)
        for token in re.findall(r"token (\w{8})", words):
            words = words.replace(token, tokens.setdefault(token, TOKENS[len(tokens)]))
        yield words


#: Fingerprints for the picture.
TOKENS = ("5f0c2a91", "c84e17d3", "07b96fe2")
PICTURES: dict[str, Callable[[], str]] = {
    "token-age.svg": token_age,
    "token-requests.svg": token_requests,
    "demo.svg": demo,
}


def main() -> None:
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), "utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
