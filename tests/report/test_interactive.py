from __future__ import annotations

import json
from dataclasses import replace

from snnport.report import view
from snnport.report.interactive import library, script_json, steps_figure
from snnport.report.report import Report, Run


def _run(report: Report) -> Run:
    run = report.targets[0].run
    assert run is not None
    return run


def test_figure_holds_rates_per_neuron(report: Report) -> None:
    run = _run(report)
    figure = steps_figure(run, view.sizes(report.targets[0], report.graph))
    first = figure["data"][0]
    assert first["y"][0] == run.spikes_per_step["input"][0] / (784 * 10_000)
    assert first["x"] == list(range(97))
    assert figure["layout"]["yaxis"]["title"]["text"] == "spikes per neuron and step"


def test_figure_holds_counts_where_sizes_are_unknown(report: Report) -> None:
    run = _run(report)
    figure = steps_figure(run, {})
    assert figure["data"][0]["y"][0] == run.spikes_per_step["input"][0] / 10_000
    assert figure["layout"]["yaxis"]["title"]["text"] == "spikes per sample"


def test_names_are_no_markup(report: Report, hostile: str) -> None:
    names = [trace["name"] for trace in steps_figure(_run(report), {})["data"]]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in names
    assert hostile not in names


def test_many_populations_start_hidden(report: Report) -> None:
    run = replace(_run(report), spikes_per_step={str(i): (1, 2) for i in range(20)})
    shown = [trace["visible"] for trace in steps_figure(run, {})["data"]]
    assert shown.count(True) == 12
    assert shown.count("legendonly") == 8


def test_script_json_cannot_leave_its_script() -> None:
    data = {"</script><!--": "<&>\u2028\u2029"}
    text = script_json(data)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == data


def test_library_cannot_leave_its_script_either() -> None:
    text = library()
    assert "plotly" in text[:200]
    assert "</script" not in text.lower()
