"""The table of replayed recordings for the terminal. File names are put in as plain text, never read as markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from snnport.report.units import count, plural, printable

_GOOD, _BAD = "green", "bold red"


def recorded_runs(data: Mapping[str, Any]) -> RenderableType:
    """Every recorded run and each of its fields that differs. `data`: the document of `run --recorded --json`."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(("recorded run", "verdict", "cycles", "events", "spikes", "services")):
        table.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    lines: list[Text] = []
    for case in data["cases"]:
        n = len(case["differences"])
        verdict = Text("equal", _GOOD) if not n else Text(f"{plural(n, 'field')} differ" + ("s" if n == 1 else ""), _BAD)
        numbers = (Text(count(case[key])) for key in ("cycles", "events", "spikes", "services"))
        table.add_row(Text(printable(case["file"])), verdict, *numbers)
        lines += [Text(f"{printable(case['file'])}: {_told(difference)}", _BAD) for difference in case["differences"]]
    good = sum(1 for case in data["cases"] if case["equal"])
    last = f"{good} of {plural(len(data['cases']), 'recorded run')} equal in all {len(data['fields'])} fields"
    return Group(table, *lines, Text(last, _GOOD if data["equal"] else _BAD))


def _told(difference: Mapping[str, Any]) -> str:
    if difference["index"] is None:
        return f"{difference['field']} is {difference['actual']}, recorded is {difference['expected']}"
    ends = ("nothing" if difference[key] is None else str(difference[key]) for key in ("actual", "expected"))
    actual, expected = ends
    where = f"{difference['field']}[{difference['index']}] is {actual}, recorded is {expected}"
    more = difference["differing"] - 1
    return where + (f", and {plural(more, 'entry', 'entries')} more differ" + ("s" if more == 1 else "") if more else "")
