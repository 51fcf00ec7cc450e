"""Runs the benchmarks, and says whether each figure is within its bound."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from . import counts
from .figure import Figure

#: The modules in the order of the table. In each module, a function `measure` yields figures.
BENCHMARKS = ("overhead", "imports", "threads", "renewal", "lists", "items", "growth", "quota")
#: Characters of the longest bar in a chart.
BAR = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"a benchmark: {', '.join(BENCHMARKS)}; all by default",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON instead of a table")
    output.add_argument("--chart", action="store_true", help="print bars below the table")
    output.add_argument("--check", action="store_true", help="compare counts with counts.json")
    output.add_argument("--update", action="store_true", help="write the counts to counts.json")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    _forget_environment()
    if arguments.check or arguments.update:
        return counts.check() if arguments.check else counts.update()
    figures = []
    for name in arguments.names or BENCHMARKS:
        benchmark = importlib.import_module(f".{name}", __package__)
        _forget_heap()
        for figure in benchmark.measure():
            figures.append(figure)
            if not arguments.json:
                print(row(figure), flush=True)
    if arguments.json:
        print(json.dumps([{**asdict(each), "holds": each.holds} for each in figures], indent=2))
    if arguments.chart:
        print(*chart(figures), sep="\n")
    return 0 if all(figure.holds for figure in figures) else 1


def row(figure: Figure) -> str:
    whose = f" of {figure.whose}" if figure.whose else ""
    details = ", ".join(f"{name}: {value}" for name, value in figure.details.items())
    verdict = "" if figure.holds else "  <-- out of bounds"
    return f"{figure.value:7.3f}  {figure.bound:<13} {figure.name}{whose} ({details}){verdict}"


def chart(figures: Sequence[Figure]) -> Iterator[str]:
    """Bars for the figures of each library."""
    for name in dict.fromkeys(figure.name for figure in figures if figure.whose):
        bars = [figure for figure in figures if figure.name == name]
        longest = max(figure.value for figure in bars)
        if not longest:  # all values are 0
            continue
        yield name
        for figure in bars:
            length = math.ceil(figure.value / longest * BAR)
            yield f"    {figure.whose:<22} {'#' * length:<{BAR}} {figure.value:>4.0f}"


def _forget_environment() -> None:
    # For each request, requests searches all variables for proxies. With many variables, the search
    # would take longer than the rest of the request.
    for name in set(os.environ) - {"PATH", "HOME", "LANG", "TMPDIR", "SystemRoot"}:
        del os.environ[name]


def _forget_heap() -> None:
    # The garbage collector would search all libraries at each collection. No program imports all.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
