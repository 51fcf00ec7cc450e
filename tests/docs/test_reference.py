"""The reference has an entry for every public name, and the index leads to every page."""

from __future__ import annotations

import re

from requests_oauthlib import OAuth2Session

import requests_iris
from requests_iris import IrisSession

from ..support.pages import DOCS, pages

#: Secrets, whose values cannot be read; an attribute of OAuth2Session without use; and a method
#: that the package calls in a forked child.
NO_ENTRY = {"auto_refresh_kwargs", "client_secret", "password", "reset_after_fork"}
ENTRY = re.compile(r"^\.\. auto\w+:: (?:requests_iris\.)?(?:\w+\.)*(\w+)", re.MULTILINE)


def test_every_public_name_has_an_entry_in_the_reference() -> None:
    text = "\n".join(path.read_text("utf-8") for path in (DOCS / "reference").glob("*.rst"))
    assert set(requests_iris.__all__) - set(ENTRY.findall(text)) == set()


def test_everything_that_the_session_adds_to_OAuth2Session_has_an_entry() -> None:
    ours = (each for each in IrisSession.__mro__ if each.__module__.startswith("requests_iris."))
    added = {name for each in ours for name in vars(each)} - set(dir(OAuth2Session))
    text = (DOCS / "reference" / "session.rst").read_text("utf-8")
    missing = {name for name in added if not name.startswith("_")} - set(ENTRY.findall(text))
    assert missing == NO_ENTRY


def test_every_how_to_guide_is_in_the_index() -> None:
    index = (DOCS / "howto" / "index.rst").read_text("utf-8")
    names = {path.stem for path in pages() if path.parent.name == "howto"} - {"index"}
    assert names == set(re.findall(r"^    ([a-z0-9-]+)$", index, re.MULTILINE))
