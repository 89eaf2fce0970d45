"""A sweep as tables for the terminal: the cells that no other beats, and the cells that did not run with their reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from snnport.report.sweep import DONE, Row, SweepReport
from snnport.report.sweep_page import front, sentence, words_of
from snnport.report.units import plural, printable

MOST_REFUSED = 12


def sweep_summary(report: SweepReport, files: Sequence[Path], resumed: int) -> RenderableType:
    """What `snnport sweep` shows."""
    parts: list[RenderableType] = [Text(sentence(report.rows))]
    if resumed:
        parts.append(Text(f"{resumed} of them were there from an earlier run."))
    best = front(report.rows)
    if best:
        table = Table("cell", "accuracy", "energy per sample", "latency per sample", "operations per sample", box=None)
        for row in best:
            texts = words_of(row)
            figures = (texts["accuracy"], texts["energy_j"], texts["latency"], texts["synaptic_operations"])
            table.add_row(Text(printable(row.name)), *map(Text, figures))
        parts.append(table)
    refused: dict[tuple[str, str, str], list[Row]] = {}
    for row in report.rows:
        if row.status != DONE:
            refused.setdefault((row.target, row.status, row.reason), []).append(row)
    for (target, status, reason), rows in list(refused.items())[:MOST_REFUSED]:
        name = rows[0].name if len(rows) == 1 else f"{target}, {plural(len(rows), 'cell')}"
        parts.append(Text(f"{printable(name)}: {status}: {printable(reason)}"))
    if len(refused) > MOST_REFUSED:
        parts.append(Text(f"and {len(refused) - MOST_REFUSED} more reasons, in sweep.csv"))
    parts.append(Text("wrote " + ", ".join(str(path) for path in files)))
    return Group(*parts)
