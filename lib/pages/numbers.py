"""Numbers as words of a page, with a true minus sign."""

import math
from collections.abc import Mapping


def number(value: float | None, digits: int = 2) -> str:
    """A number with ``digits`` decimals; – for None and what is not finite.

    >>> number(-1.5), number(None)
    ('−1.50', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def interval(estimate: Mapping[str, float | None]) -> str:
    """The interval of a row with ``low`` and ``high``; nothing where it has none.

    >>> interval({"low": 0.5, "high": 1})
    '[0.50, 1.00]'
    """
    low, high = estimate.get("low"), estimate.get("high")
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def mean_text(estimate: Mapping[str, float | None]) -> str:
    """A mean with its interval.

    >>> mean_text({"mean": 0.75, "low": 0.5, "high": 1})
    '0.75 [0.50, 1.00]'
    """
    return f"{number(estimate['mean'])} {interval(estimate)}"
