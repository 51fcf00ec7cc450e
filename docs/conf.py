"""The settings of Sphinx for these pages. `tox -e docs` builds the pages."""

from __future__ import annotations

import sys
from pathlib import Path

from requests_iris import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "requests-iris"
author = "The requests-iris developers"
project_copyright = author
release = version = __version__

extensions = ["sphinx.ext.autodoc", "generated"]
exclude_patterns = ["_build"]
default_role = "code"
nitpicky = True
# requests, urllib3 and the standard library have manuals of their own. Links to other hosts would
# make a build depend on the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(requests|urllib3|oauthlib|redis|collections|copy|inspect|pytest|time)(\..*)?"),
    (r"py:.*", r"[a-z ]+"),  # the types of the standard library, such as dict
    (r"py:exc", r"(AttributeError|CancelledError|IndexError|KeyError|ModuleNotFoundError|OSError)"),
    (r"py:exc", r"(RuntimeError|StopIteration|TimeoutError|TypeError|ValueError)"),
]

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "furo"
html_favicon = "pictures/icon.svg"
html_title = "requests-iris"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"


def find_target(app, env, node, contnode):
    """Find the target of a reference that a docstring in another module names briefly.

    A reference to ``ListError.resume`` leads to the class, whose fields describe the attribute.
    """
    name = node["reftarget"].lstrip("~").removeprefix("requests_iris.")
    if node.get("reftype") == "attr":
        name = name.rpartition(".")[0]
    for module in ("requests_iris", "requests_iris.stores", "requests_iris.retry"):
        found = env.get_domain("py").resolve_xref(
            env, node["refdoc"], app.builder, "obj", f"{module}.{name}", node, contnode
        )
        if found is not None:
            return found
    return None


def setup(app):
    app.connect("missing-reference", find_target)
