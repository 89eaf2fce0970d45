"""Results where a notebook shows them: the tables of the terminal as HTML, and a report as the page that it is."""

from __future__ import annotations

import html
import io

from rich.console import Console, RenderableType

from snnport.report.html import render
from snnport.report.report import Report

WIDTH = 110


def table_html(shown: RenderableType) -> str:
    """What a terminal shows, as one <pre> element; everything in it is escaped."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    console.print(shown)
    return console.export_html(inline_styles=True, code_format="<pre style='line-height:1.25'>{code}</pre>")


def report_html(report: Report) -> str:
    """The report's page without its script, in a frame of its own, so that neither styles the other."""
    page = html.escape(render(report, interactive_charts=False), quote=True)
    return f'<iframe sandbox title="snnport report" style="width:100%;height:720px;border:0" srcdoc="{page}"></iframe>'
