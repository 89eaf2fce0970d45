"""Axes of accuracy, shared by the pictures: the part in use, in round steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def window(values: Sequence[float]) -> tuple[float, float, float]:
    """Ends and tick distance of an axis within 0..1 that holds `values` with some room."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    # never closer than half a percentage point, so that noise does not look like a cliff
    room = max(high - low, 0.005)
    step = next(s for s in STEPS if room / s <= 4 or s == STEPS[-1])
    first = max(0, math.floor((low - room * 0.1) / step + 1e-9))
    last = min(round(1 / step), max(first + 1, math.ceil((high + room * 0.1) / step - 1e-9)))
    return min(first, last - 1) * step, last * step, step


def ticks(low: float, high: float, step: float) -> list[tuple[float, str]]:
    """Where the ticks of such an axis lie, as fractions of it, and their texts."""
    n = round((high - low) / step)
    decimals = max(0, -math.floor(math.log10(100 * step) + 1e-9))
    return [(i / n, f"{100 * (low + i * step):.{decimals}f} %") for i in range(n + 1)]
