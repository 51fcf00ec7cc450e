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


def token_age() -> str:
    """The three ages of a token, for a lifetime of one hour. Not to scale."""
    ages = [
        (24, 236, FRESH, "fresh", "0:00", "uses the token: no lock, no I/O"),
        (
            260,
            176,
            EXPIRING,
            "expiring",
            "0:45",
            "uses the token, and one thread renews",
        ),
        (436, 100, EXPIRED, "expired", "0:59", "waits until one thread has renewed"),
    ]
    shapes = [text(24, 36, "The age of an access token that expires after one hour", bold=True)]
    for row, (x, width, fill, name, begin, told) in enumerate(ages):
        y = 172 + 30 * row
        shapes += [
            text(x, 70, begin, fill=PALE),
            line(x, 76, x, 128),
            box(x, 82, width, 40, fill),
            text(x + width / 2, 107, name, bold=True, anchor="middle"),
            box(24, y - 13, 16, 16, fill),
            text(48, y, f"{name}: a request {told}"),
        ]
    shapes += [
        text(536, 70, "1:00", fill=PALE, anchor="end"),
        "<path d='M340 138H486V128' stroke='#616e7c' fill='none' stroke-dasharray='4 3'/>",
        "<path d='M481 135L486 126L491 135' stroke='#616e7c' fill='none'/>",
        text(332, 143, "a 401 from the API", fill=PALE, anchor="end"),
        text(24, 272, "To renew: the token store, the refresh token, the password, an error"),
    ]
    return svg(560, 296, "The ages of an access token: fresh, expiring, expired", shapes)


def token_requests() -> str:
    """A bar for each library: the token requests of 64 threads that start at once."""
    name = "64 threads start cold: token requests"
    found = [each for each in json.loads(FIGURES.read_text("utf-8")) if each["name"] == name]
    largest = max(each["value"] for each in found)
    shapes = [text(24, 36, "64 threads start at once: the number of token requests", bold=True)]
    for row, each in enumerate(found):
        y = 56 + 32 * row
        ours = each["whose"] == "IrisSession"
        width = each["value"] / largest * 280
        shapes += [
            text(192, y + 16, each["whose"], anchor="end", bold=ours),
            box(204, y, width, 22, OURS if ours else THEIRS),
            text(212 + width, y + 16, f"{each['value']:g}", bold=ours),
        ]
    height = 56 + 32 * len(found) + 16
    return svg(560, height, "Token requests of 64 threads, for each library", shapes)


def icon() -> str:
    """An iris, for the tab of a browser."""
    rings = [(32, "#0b7285"), (24, "#99e9f2"), (13, "#1f2933")]
    circles = "".join(f"<circle cx='32' cy='32' r='{r}' fill='{fill}'/>" for r, fill in rings)
    return f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'>{circles}</svg>\n"


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
    "icon.svg": icon,
}


def main() -> None:
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), "utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
