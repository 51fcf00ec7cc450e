"""Runs the benchmarks, and says whether each figure is what it should be."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
from dataclasses import asdict

from .figure import Figure

#: In the order of the table: the modules, each with a function `measure` that yields figures.
BENCHMARKS = ("overhead", "imports", "threads", "renewal", "lists", "growth")
#: Characters of the longest bar in a chart, which stands for a ratio of 1.
BAR = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", action="store_true", help="figures for a program to read")
    parser.add_argument("--chart", action="store_true", help="bars for those below 1, and no table")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    _forget_environment()
    figures = []
    for name in arguments.names or BENCHMARKS:
        benchmark = importlib.import_module(f".{name}", __package__)
        _forget_heap()
        for figure in benchmark.measure():
            figures.append(figure)
            if not (arguments.json or arguments.chart):
                print(row(figure), flush=True)
    if arguments.json:
        print(json.dumps([{**asdict(each), "holds": each.holds} for each in figures], indent=2))
    if arguments.chart:
        print(*map(bar, figures), sep="\n")
    return 0 if all(figure.holds for figure in figures) else 1


def row(figure: Figure) -> str:
    verdict = "" if figure.holds else "  <-- out of bounds"
    details = ", ".join(f"{name}: {value}" for name, value in figure.details.items())
    return f"{figure.value:7.3f}  {figure.bound:<13} {figure.name} ({details}){verdict}"


def bar(figure: Figure) -> str:
    return (
        f"{'#' * min(round(figure.value * BAR), 2 * BAR):<{BAR}} {figure.value:.2f}  {figure.name}"
    )


def _forget_environment() -> None:
    # For each request requests looks through all variables for proxies, which can take longer than
    # the rest of it: with few of them the figures tell more, and are the same everywhere.
    for name in set(os.environ) - {"PATH", "HOME", "LANG", "TMPDIR", "SystemRoot"}:
        del os.environ[name]


def _forget_heap() -> None:
    # Each peer's library, and what earlier benchmarks left, would be searched at each collection of
    # garbage that one has to wait for: no program has them all.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
