"""One figure: what was measured, what came out, and what it should be."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number beside its bound.

    `name`: of the figure, in a few words.
    `whose`: whose it is, for one that every library has of its own.
    `value`: mostly a ratio, ours to theirs.
    `at_most`, `at_least`: its bound; None for a figure that is only told.
    `details`: what it was made of, in words and units.
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
