from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport.report import charts, view
from snnport.report.axis import window
from snnport.report.report import Check, Energy, Placement, Report, Run, Stage, TargetResult, Term, Usage


def _run(report: Report) -> Run:
    run = report.targets[0].run
    assert run is not None
    return run


def _texts(root: ElementTree.Element, css: str) -> list[str]:
    return [node.text or "" for node in root.iterfind(f".//text[@class='{css}']")]


def test_waterfall_shows_loss_and_gain(report: Report) -> None:
    root = ElementTree.fromstring(charts.waterfall(report.stages))
    assert _texts(root, "value")[2] == "98.58 %  (\u22120.29 pp)"
    assert len(root.findall(".//rect[@class='loss']")) == 1
    assert len(root.findall(".//rect[@class='gain']")) == 1
    assert _texts(root, "axis") == ["98.4 %", "98.6 %", "98.8 %", "99.0 %"]
    assert root.findall(".//line[@class='tick']")[0].attrib["x1"] == "78.33%"
    assert "source ANN 98.87 %" in root.attrib["aria-label"]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=8))
def test_waterfall_draws_any_accuracies_inside_its_axis(values: list[float | None]) -> None:
    stages = [Stage(f"s{i}", v, None) for i, v in enumerate(values)]
    root = ElementTree.fromstring(charts.waterfall(stages))
    assert len(root.findall(".//line[@class='tick']")) == sum(v is not None for v in values)
    low, high, step = window([v for v in values if v is not None])
    assert 0 <= low < high <= 1 + 1e-9
    assert all(low - 1e-9 <= v <= high + 1e-9 for v in values if v is not None)
    assert (high - low) / step == pytest.approx(round((high - low) / step))


def test_energy_ranges_lists_each_term_per_sample(report: Report) -> None:
    run = _run(report)
    root = ElementTree.fromstring(charts.energy_ranges(run.energy[0], run.samples))
    assert _texts(root, "label") == ["in all", "synaptic_operations", "neuron_updates", "spikes", "hops"]
    assert _texts(root, "value")[:2] == ["10.2 \u00b5J", "5.07 \u00b5J  (49 %)"]
    assert len(root.findall(".//rect[@class='range']")) == 5


def test_energy_ranges_place_their_marks_on_a_log_axis() -> None:
    energy = Energy("m", "p", None, 2e-9, 2e-8, 2e-7, {"hops": Term(1, 2e-9, 2e-9, 2e-8)}, ())
    root = ElementTree.fromstring(charts.energy_ranges(energy, 2))
    assert _texts(root, "axis") == ["1 nJ", "10 nJ", "100 nJ"]
    bars = root.findall(".//rect[@class='range']")
    assert [(b.attrib["x"], b.attrib["width"]) for b in bars] == [("0.00%", "100.00%"), ("0.00%", "50.00%")]
    assert [t.attrib["x1"] for t in root.findall(".//line[@class='tick']")] == ["50.00%", "0.00%"]


def test_energy_ranges_bears_free_terms_and_no_energy() -> None:
    free = Energy("m", "p", None, 0.0, 0.0, 0.0, {"hops": Term(0, 0.0, 0.0, 0.0)}, ())
    root = ElementTree.fromstring(charts.energy_ranges(free, 0))
    assert _texts(root, "value") == ["0 J", "0 J  (n/a)"]
    assert not root.findall(".//rect[@class='range']")


def test_usage_bars_turn_red_beyond_the_limit(report: Report) -> None:
    root = ElementTree.fromstring(charts.usage_bars(report.targets[1].check))
    assert _texts(root, "label") == ["cores", "kernel memory @ w3", "neurons"]
    assert _texts(root, "value") == ["11 of 9", "70,656 of 65,536 bytes", "3,136 of 65,536"]
    assert len(root.findall(".//rect[@class='over']")) == 2
    assert [t.attrib["x1"] for t in root.findall(".//line[@class='tick']")] == ["81.82%", "92.75%"]


def test_usage_bars_do_not_repeat_the_chip() -> None:
    usage = (Usage("cores", 1, 2, "cores", "chip"), Usage("neurons", 1, 2, "", "core 0"))
    root = ElementTree.fromstring(charts.usage_bars(Check("chip", True, usage, (), ())))
    assert _texts(root, "label") == ["cores", "neurons @ core 0"]


def test_usage_bars_keep_to_the_fullest() -> None:
    usage = tuple(Usage("memory", i, 100, "", f"core {i}") for i in range(90))
    root = ElementTree.fromstring(charts.usage_bars(Check("chip", True, usage, (), ())))
    assert len(_texts(root, "label")) == 24
    assert _texts(root, "value")[0] == "89 of 100"


def test_spike_bars(report: Report) -> None:
    root = ElementTree.fromstring(charts.spike_bars(view.layers(report.targets[0], report.graph)))
    assert _texts(root, "value") == ["1,233", "1,913", "1,114", "782.4", "340.1", "104.3", "0"]
    assert len(root.findall(".//rect[@class='bar']")) == 6


def test_step_strip_places_each_window(report: Report) -> None:
    run = _run(report)
    root = ElementTree.fromstring(charts.step_strip(run, view.sizes(report.targets[0], report.graph)))
    strips = root.findall("./svg")
    assert len(strips) == len(run.spikes_per_step)
    assert strips[0].attrib["viewBox"] == "0 0 97 1"
    cells = strips[1].findall("./rect[@class='cell']")
    assert cells[0].attrib["x"] == "16"
    assert cells[0].attrib["fill-opacity"] == "1.00"
    assert strips[1].findtext("title") == "conv1: most in step 16, 225.1 spikes a sample, 7.18 % of its neurons"
    assert strips[6].findall("./rect[@class='cell']") == []


def test_step_strip_stays_small_on_long_runs(report: Report) -> None:
    run = replace(_run(report), spikes_per_step={f"p{i}": tuple((t * 7 + i) % 13 for t in range(5000)) for i in range(60)})
    picture = charts.step_strip(run, {})
    assert len(picture) < 1_500_000
    assert ElementTree.fromstring(picture).findall("./svg")[0].attrib["viewBox"] == "0 0 239 1"


def test_core_map_draws_every_core_once(report: Report) -> None:
    root = ElementTree.fromstring(charts.core_map(report.targets[0], 0))
    assert len(root.findall(".//rect[@class='tile']")) == 128
    assert root.attrib["aria-label"] == "Cores of loihi, chip 0: 11 cores of 128 used"
    assert len(root.findall("./rect[@class='busy']")) == 6
    assert root.findtext("./g/title") == "core 0: input 784 neurons"


def test_core_map_of_a_second_chip_takes_its_own_cycles(report: Report) -> None:
    check = Check("chip", True, (), (), ())
    run = replace(_run(report), core_cycles=(5, 0, 0, 7))
    result = TargetResult("chip", check, True, "", run, (Placement("a", 0, 0, 3), Placement("a", 1, 3, 6, 1)), 2)
    second = ElementTree.fromstring(charts.core_map(result, 1))
    assert [b.findtext("title") for b in second.findall("./rect[@class='busy']")] == ["7 cycles"]
