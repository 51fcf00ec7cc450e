"""Prints the commands of the README that a newcomer runs in a clone, one a line."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.rst"


def commands() -> list[str]:
    return re.findall(r"^    \$ (python3 .+)$", README.read_text("utf-8"), re.MULTILINE)


if __name__ == "__main__":
    print("\n".join(commands()))
