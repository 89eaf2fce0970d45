"""Numbers for people: sensible digits, SI prefixes, thousands separators. Exact integers stay exact."""

from __future__ import annotations

import math
from collections.abc import Sequence

MICRO = "\u00b5"
MINUS = "\u2212"
TIMES = "\u00d7"
NONE = "n/a"
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: MICRO, -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def count(value: int) -> str:
    """An exact integer with thousands separators: 1234567 is "1,234,567"."""
    return f"{value:,}".replace("-", MINUS)


def number(value: float | None, digits: int = 4) -> str:
    """An integer exactly; another number to `digits` significant digits, and never fewer than its whole part has."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return count(int(value))
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else -math.floor(math.log10(abs(value))) - 1
    decimals = max(0, digits - whole) if abs(value) >= 1 else digits + whole
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """`value` to `digits` significant digits with an SI prefix: 0.00001234 J is "12.3 uJ", with a true micro sign."""
    if value is None:
        return NONE
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = math.floor(math.log10(abs(rounded)))
    power = min(max(3 * (magnitude // 3), min(_PREFIXES)), max(_PREFIXES))
    decimals = max(0, digits - 1 - (magnitude - power))
    # below the smallest prefix decimals would pile up
    if decimals > 2 * digits:
        return f"{value:.{digits - 1}e} {unit}"
    return f"{rounded / 10.0**power:.{decimals}f} {_PREFIXES[power]}{unit}".replace("-", MINUS)


def between(low: float, high: float, unit: str, mid: float | None = None) -> str:
    """The range from `low` to `high` in two significant digits each: "8.1 to 16 uJ", one unit where both share it.

    mid: a value between them that stands beside the range; three digits where two would leave it out.
    """
    wide = mid is None or low == high or float(f"{low:.1e}") <= mid <= float(f"{high:.1e}")
    first, last = si(low, unit, 2 if wide else 3), si(high, unit, 2 if wide else 3)
    if first == last:
        return first
    head, _, tail = first.rpartition(" ")
    return f"{head} to {last}" if tail == last.rpartition(" ")[2] else f"{first} to {last}"


def percent(fraction: float | None) -> str:
    """A fraction 0..1 with two decimals. Short of all, or more than none, never reads as 100 % or as 0 %."""
    if fraction is None:
        return NONE
    text = f"{100 * fraction:.2f}"
    if text == "100.00" and fraction < 1:
        return "> 99.99 %"
    if text == "0.00" and fraction > 0:
        return "< 0.01 %"
    return f"{text} %"


def points(change: float) -> str:
    """A change of a fraction, in percentage points, with its sign: "-0.13 pp"; no change is "0 pp"."""
    if change == 0:
        return "0 pp"
    sign = "+" if change > 0 else MINUS
    text = f"{abs(100 * change):.2f}"
    return f"{sign}{text} pp" if float(text) else f"{sign}<0.01 pp"


def shape(sizes: Sequence[int] | None) -> str:
    """A shape: "1 x 28 x 28" with true multiplication signs; "scalar" for none."""
    if sizes is None:
        return NONE
    return TIMES.join(str(s) for s in sizes) or "scalar"


def share(part: float, whole: float) -> str:
    """`part` as a share of `whole`, in whole percent above 10, else two digits; n/a where `whole` is 0."""
    if not whole:
        return NONE
    value = 100 * part / whole
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"


def plural(n: int, one: str, many: str = "") -> str:
    """`n` with its noun: "1 rule", "3 rules"."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """`text` on one line, without characters that would steer a terminal or cannot be written."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; its middle gives way, since layer names differ at their ends."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}\u2026{text[len(text) - (limit - 1 - head) :]}"
