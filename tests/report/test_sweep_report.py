"""Rows of a sweep: which of them no other beats, and how they are shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from snnport.errors import InvalidInput
from snnport.report.report import Source
from snnport.report.sweep import DONE, FAILED, OBJECTIVES, UNFIT, Row, SweepReport, beats, marked
from snnport.report.sweep_csv import render as render_csv
from snnport.report.sweep_page import render as render_page
from snnport.report.sweep_page import sentence
from snnport.report.sweep_picture import picture
from snnport.report.sweep_table import sweep_summary


def row(accuracy: float | None, energy: float | None, latency: float | None = 1e-3, target: str = "cpu", **more: object) -> Row:
    figures = {"accuracy": accuracy, "energy_j": energy, "latency_s": latency, "synaptic_operations": 10.0, "samples": 4}
    return Row(target, "gate", 8, 8, "mse", DONE, **{**figures, **more})  # type: ignore[arg-type]


ROWS = (
    row(0.9, 1e-6, energy_low_j=5e-7, energy_high_j=3e-6),
    row(0.8, 2e-6),
    row(0.95, 4e-6, target="loihi2"),
    Row("speck2f", "gate", 8, 8, "mse", UNFIT, "relu: <b>no clock</b>"),
    Row("cpu", "gate", 8, 99, "mse", FAILED, "99 bits are outside 2..16"),
)


def report(rows: tuple[Row, ...] = ROWS) -> SweepReport:
    source = Source("a&b.onnx", "onnx", "0" * 64, (1, 8, 8))
    return SweepReport(source, (), {"snnport": "0"}, {"samples": 4}, marked(rows), {"p.toml": "1" * 64}, {"x": 0})


def test_the_front_is_what_no_row_beats() -> None:
    assert [r.pareto for r in marked(ROWS)] == [True, False, True, False, False]


def test_what_is_unknown_neither_wins_nor_loses() -> None:
    known, unknown = row(0.9, 1e-6), row(0.9, None)
    assert beats(known, unknown) is False
    assert beats(row(0.95, 1e-6), unknown)
    assert not beats(row(0.95, None), known)


figures = st.one_of(st.none(), st.integers(1, 4).map(float))


@given(st.lists(st.builds(row, figures, figures, figures), min_size=1, max_size=8))
def test_every_row_off_the_front_is_beaten_and_no_row_on_it_is(rows: list[Row]) -> None:
    for each in marked(rows):
        assert each.pareto != any(beats(other, each) for other in rows)


@given(st.builds(row, figures, figures, figures), st.builds(row, figures, figures, figures))
def test_two_rows_never_beat_each_other(a: Row, b: Row) -> None:
    assert not (beats(a, b) and beats(b, a))
    assert set(OBJECTIVES) == {"accuracy", "energy_j", "latency", "synaptic_operations"}


def test_json_comes_back_and_damage_is_refused() -> None:
    text = report().to_text()
    assert SweepReport.from_text(text) == report()
    with pytest.raises(InvalidInput, match="it is no JSON document"):
        SweepReport.from_text(text[:-9])
    with pytest.raises(InvalidInput, match="it is no sweep of schema 1"):
        SweepReport.from_text('{"schema": 1, "kind": "other"}')


def test_the_page_holds_every_row_escaped_and_asks_the_network_for_nothing() -> None:
    page = render_page(report())
    assert "&lt;b&gt;no clock" in page
    assert "<b>no clock" not in page
    assert "a&amp;b.onnx" in page
    without = render_page(report(), interactive_charts=False)
    assert not re.search(r"(?:src|href)=[\"']?https?:", without)
    assert without.count('class="scatter"') == 3
    assert "0" * 64 in page
    assert "1" * 64 in page


def test_a_sweep_of_which_nothing_ran_is_still_a_page_and_a_picture() -> None:
    nothing = report(ROWS[3:])
    assert "nothing to draw" in render_page(nothing)
    assert "No cell of this sweep ran" in picture(nothing.rows)
    assert sentence(nothing.rows) == "2 cells: 0 ran, 1 do not fit, 1 could not be computed."


def test_the_picture_is_an_svg_with_a_point_for_each_row_that_ran() -> None:
    drawn = picture(report().rows)
    assert drawn.startswith("<svg ")
    assert drawn.count('class="cell-point"') == 3 * 3
    assert "cpu: gate, 8 levels, 8 bits: 90.00 %, 1.00 µJ (500 nJ to 3.0 µJ)" in drawn


def test_the_table_of_numbers_has_a_line_a_row() -> None:
    lines = render_csv(report()).splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert lines[0].startswith("target,code,levels,bits,thresholds,status,reason")


def test_the_terminal_shows_the_front_and_each_reason_once() -> None:
    console = Console(width=200, record=True)
    console.print(sweep_summary(report((*ROWS, ROWS[3])), (Path("sweep.csv"),), 2))
    text = console.export_text()
    assert "speck2f, 2 cells: does not fit: relu: <b>no clock</b>" in text
    assert "2 of them were there from an earlier run" in text
    assert "95.00 %" in text
