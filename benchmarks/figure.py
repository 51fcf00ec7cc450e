"""A figure: a measured number with a bound."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number with a bound.

    `name`: the name of the figure, in a few words.
    `whose`: the library, if the figure is measured for each library.
    `value`: the number, in most cases our median divided by theirs.
    `at_most`, `at_least`: the bound. A figure without a bound always holds.
    `details`: the measured times and counts, with units.
    """

    name: str
    whose: str | None = None
    value: float
    at_most: float | None = None
    at_least: float | None = None
    details: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    @property
    def bound(self) -> str:
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"
