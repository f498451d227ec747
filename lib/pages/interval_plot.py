"""Intervals as places on an axis, in percent of its width: what a plot in a table needs, without a script."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clip360.pages.numbers import number

MARGIN = 4.0  # percent on each side, for marks at the ends


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``."""

    low: float
    high: float

    def percent(self, value: float) -> str:
        """The place of a value, as an SVG attribute; values outside lie at the ends.

        >>> Axis(0.0, 1.0).percent(0.5)
        '50.0%'
        """
        inside = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return f"{MARGIN + inside * (100 - 2 * MARGIN):.1f}%"

    def place(self, estimate: Mapping[str, Any]) -> dict[str, str]:
        """Where an estimate with its interval lies: at, low, high."""
        return {"at": self.percent(estimate["value"]), **{end: self.percent(estimate[end]) for end in ("low", "high")}}


def axis_of(estimates: Sequence[Mapping[str, Any]], *values: float) -> Axis | None:
    """An axis with round ends that holds all intervals and the other ``values``; None without a defined estimate.

    >>> axis_of([{"value": 0.52, "low": 0.31, "high": 0.77}], 0.0)
    Axis(low=0.0, high=0.8)
    """
    ends = [estimate[end] for estimate in estimates for end in ("low", "high") if estimate["value"] is not None]
    if not ends:
        return None
    low, high = min(*ends, *values), max(*ends, *values)
    step = _round_step((high - low) or abs(high) or 1.0)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return Axis(round(low, 9), round(high if high > low else low + step, 9))


def _round_step(span: float) -> float:
    """A tenth to a fifth of a span, as 1, 2 or 5 times a power of ten.

    >>> _round_step(0.8), _round_step(37)
    (0.1, 5.0)
    """
    raw = span / 10
    power = 10 ** math.floor(math.log10(raw))
    return float(next(factor for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9)) * power)


def end_text(value: float) -> str:
    """An end of an axis in words, without needless digits.

    >>> end_text(0.0), end_text(-2.5)
    ('0', '−2.5')
    """
    return number(value, 0 if value == int(value) else 1 if round(value * 10, 6) == int(round(value * 10, 6)) else 2)
