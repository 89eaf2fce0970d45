"""The rows of a sweep as a table of numbers for other tools."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields

from snnport.report.sweep import Row, SweepReport


def render(report: SweepReport) -> str:
    """One line a row under a line of names; what is not known is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [f.name for f in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in report.rows)
    return stream.getvalue()
