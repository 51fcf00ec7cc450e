"""The README's blocks of Python."""

from __future__ import annotations

import re
import textwrap

from ..readme_commands import README

BLOCK = re.compile(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)")


def blocks_of(section: str) -> list[str]:
    """The blocks of a section, without indentation."""
    text = README.read_text("utf-8").split(f"\n{section}\n{'-' * len(section)}\n")[1]
    text = re.split(r"\n-{3,}\n", text)[0]
    return [textwrap.dedent(block) for block in BLOCK.findall(text)]
