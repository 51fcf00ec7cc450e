"""The built manual in a real browser: `tox -e browser`.

Needs Chromium: the one on the path, or else the one of `playwright install chromium`.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, sync_playwright

from ..support.built_pages import broken_links
from ..support.pages import DOCS

#: The widths of a desktop and of a phone, in pixels.
WIDTHS = (1280, 390)
#: A search, and the page that must be among the results.
SEARCHES = {"proxy": "howto/proxies-and-certificates.html", "invalid_grant": "troubleshooting.html"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", DOCS, folder]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Where the pages are served: a search works over HTTP only."""
    handler = functools.partial(_Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_loads_without_an_error_and_fits_the_screen(
    width: int, folder: Path, url: str, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    wrong: list[str] = []
    page.on("console", lambda told: wrong.append(f"{page.url}: {told.type}: {told.text}"))
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: wrong.extend(_failure(request)))
    for path in sorted(folder.rglob("*.html")):
        response = page.goto(url + str(path.relative_to(folder)))
        if response is None or not response.ok:
            wrong.append(f"{path}: {response}")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            wrong.append(f"{page.url} is {wide} pixels wider than the screen")
    page.close()
    assert wrong == []


def _failure(request: Request) -> list[str]:
    # leaving a page aborts its requests
    return [] if request.failure == "net::ERR_ABORTED" else [f"{request.url}: {request.failure}"]


def test_no_internal_link_is_broken(folder: Path) -> None:
    assert list(broken_links(folder)) == []


@pytest.mark.parametrize("words", SEARCHES)
def test_a_search_finds_the_page(words: str, url: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(url)
    page.fill("input[name=q]", words)
    page.press("input[name=q]", "Enter")
    found = page.locator("#search-results li a").first
    found.wait_for()
    links = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    page.close()
    assert any(SEARCHES[words] in link for link in links)
