from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from snnport.errors import InvalidInput
from snnport.report.plain import read, write


@dataclass(frozen=True)
class Inner:
    n: int
    x: float | None


@dataclass(frozen=True)
class Outer:
    name: str
    on: bool
    pair: tuple[str, str]
    inner: tuple[Inner, ...]
    by_name: Mapping[str, Inner]
    wide: int | float | None = None
    extra: Mapping[str, int] = field(default_factory=dict)


OUTER = Outer("a", True, ("b", "c"), (Inner(1, 0.5), Inner(2, None)), {"k": Inner(10**20, 3)}, 2.5, {"z": 1})


def test_read_takes_back_what_write_gives() -> None:
    assert read(Outer, write(OUTER), "doc") == OUTER


def test_write_gives_plain_types() -> None:
    assert write(OUTER)["inner"] == [{"n": 1, "x": 0.5}, {"n": 2, "x": None}]


def test_defaults_and_unknown_keys() -> None:
    data = write(OUTER)
    del data["wide"], data["extra"]
    found = read(Outer, {**data, "later": 1}, "doc")
    assert (found.wide, found.extra) == (None, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, r"doc\.name: it is 3, a text is needed"),
        ({"on": 1}, r"doc\.on: it is 1, true or false is needed"),
        ({"pair": ["a"]}, r"doc\.pair: .* a list of 2 is needed"),
        ({"pair": "ab"}, r"doc\.pair: .* a list is needed"),
        ({"inner": [{"n": True, "x": 1}]}, r"doc\.inner\[0\]\.n: it is True, a whole number is needed"),
        ({"inner": [{"n": 1.5, "x": 1}]}, r"doc\.inner\[0\]\.n: it is 1\.5, a whole number is needed"),
        ({"inner": [{"n": 1, "x": float("nan")}]}, r"doc\.inner\[0\]\.x: it is nan, a finite number is needed"),
        ({"inner": [{"n": 1}]}, r"doc\.inner\[0\]: it has no entry 'x'"),
        ({"by_name": []}, r"doc\.by_name: it is \[\], an object is needed"),
        ({"by_name": {"k": 1}}, r"doc\.by_name\.k: it is 1, an object is needed"),
        ({"wide": "1"}, r"doc\.wide: it is '1', a number is needed"),
        ({"name": list(range(99))}, r"doc\.name: it is \[0, 1, 2.*\.\.\., a text is needed"),
    ],
)
def test_a_wrong_entry_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(Outer, {**write(OUTER), **change}, "doc")
