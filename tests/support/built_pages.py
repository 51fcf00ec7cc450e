"""Follows every internal link of the built pages: `python -m tests.support.built_pages FOLDER`.

Sphinx checks links between sources. This program checks the result: links of the theme, of the
search index and of tables of contents, and whether each anchor exists.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        link = given.get("src" if tag in ("img", "script") else "href")
        if link and not urlsplit(link).scheme and not link.startswith("//"):
            self.links.add(link)


def broken_links(folder: Path) -> Iterator[str]:
    """Each broken link, with the page that has the link."""
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    for path, page in pages.items():
        for link in sorted(page.links):
            target, anchor = urldefrag(unquote(link))
            file = (path.parent / target.partition("?")[0]).resolve() if target else path
            known = pages.get(file)
            if not file.exists() or (known and anchor not in known.anchors):
                yield f"{path.relative_to(folder)}: {link}"


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    if not list(folder.rglob("*.html")):
        print(f"There are no pages in {folder}.")
        return 1
    broken = list(broken_links(folder))
    print(*broken, sep="\n", end="\n" if broken else "")
    print(f"{folder / 'index.html'}: {len(broken)} broken links")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
