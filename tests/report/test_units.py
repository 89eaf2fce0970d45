from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport.report import units

FACTORS = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "\u00b5": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 J"),
        (None, "n/a"),
        (1.0, "1.00 J"),
        (1.234e-5, "12.3 \u00b5J"),
        (9.996e-4, "1.00 mJ"),
        (999.6, "1.00 kJ"),
        (999.4, "999 J"),
        (-0.5, "\u2212500 mJ"),
        (3.5e-15, "3.50 fJ"),
        (4.2e-20, "4.20e-20 J"),
        (2e15, "2000 TJ"),
    ],
)
def test_si(value: float | None, shown: str) -> None:
    assert units.si(value, "J") == shown


@given(st.floats(1e-15, 1e14), st.integers(2, 5))
def test_si_keeps_its_significant_digits(value: float, digits: int) -> None:
    text, unit = units.si(value, "J", digits).split(" ")
    back = float(text) * FACTORS[unit.removesuffix("J")]
    assert abs(back - value) <= 0.5000001 * 10.0 ** (1 - digits) * value


@given(st.integers(-(10**30), 10**30))
def test_count_is_exact(value: int) -> None:
    assert int(units.count(value).replace(",", "").replace("\u2212", "-")) == value


def test_count_separates_thousands() -> None:
    assert units.count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234, "1,234"), (193422.6017, "193,423"), (782.35, "782.4"), (0.01234567, "0.01235"), (12.0, "12"), (None, "n/a")],
)
def test_number(value: float | None, shown: str) -> None:
    assert units.number(value) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(1.0, "100.00 %"), (0.99999, "> 99.99 %"), (0.0, "0.00 %"), (1e-9, "< 0.01 %"), (0.9862, "98.62 %"), (None, "n/a")],
)
def test_percent_never_rounds_to_all_or_nothing(fraction: float | None, shown: str) -> None:
    assert units.percent(fraction) == shown


@pytest.mark.parametrize(
    ("change", "shown"), [(0.0, "0 pp"), (-0.0013, "\u22120.13 pp"), (0.0004, "+0.04 pp"), (-1e-6, "\u2212<0.01 pp")]
)
def test_points(change: float, shown: str) -> None:
    assert units.points(change) == shown


def test_between_names_the_unit_once_where_it_can() -> None:
    assert units.between(8.1e-6, 16e-6, "J") == "8.1 to 16 \u00b5J"
    assert units.between(8.1e-9, 16e-6, "J") == "8.1 nJ to 16 \u00b5J"
    assert units.between(2.0, 2.0, "J") == "2.0 J"


def test_shape_share_plural() -> None:
    assert units.shape((1, 28, 28)) == "1\u00d728\u00d728"
    assert (units.shape(()), units.shape(None)) == ("scalar", "n/a")
    assert [units.share(a, 200) for a in (0, 3, 66)] == ["0 %", "1.5 %", "33 %"]
    assert units.share(3, 0) == "n/a"
    assert [units.plural(n, "core") for n in (0, 1, 1200)] == ["0 cores", "1 core", "1,200 cores"]
    assert units.plural(2, "core", "kernes") == "2 kernes"


@given(st.text(max_size=60), st.integers(5, 40))
def test_shortened_keeps_both_ends(text: str, limit: int) -> None:
    short = units.shortened(text, limit)
    assert len(short) <= limit
    assert short == text or (text.startswith(short.split("\u2026")[0]) and text.endswith(short[-1]))


@given(st.text())
def test_printable_is_printable(text: str) -> None:
    assert units.printable(text).isprintable()


def test_printable_disarms_terminal_commands() -> None:
    assert units.printable("a\x1b[31mb\n c") == "a\ufffd[31mb c"


def test_a_range_holds_the_value_beside_it() -> None:
    assert units.between(518e-6, 633e-6, "J") == "520 to 630 \u00b5J"
    assert units.between(518e-6, 633e-6, "J", 518.4e-6) == "518 to 633 \u00b5J"
    assert units.between(508e-6, 633e-6, "J", 518.4e-6) == "510 to 630 \u00b5J"
