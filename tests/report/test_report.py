from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from snnport.errors import InvalidInput
from snnport.report.report import Report


def test_json_round_trip_is_equal(report: Report) -> None:
    assert Report.from_text(report.to_text()) == report
    assert Report.from_json(report.to_json()) == report


def test_json_is_plain_and_versioned(report: Report) -> None:
    data = report.to_json()
    assert data["schema"] == 1
    assert json.loads(json.dumps(data)) == data


def test_exact_integers_survive(report: Report) -> None:
    result = report.targets[0]
    assert result.run is not None
    huge = replace(result, run=replace(result.run, neuron_updates=2**63 + 1))
    back = Report.from_text(replace(report, targets=(huge,)).to_text())
    assert back.targets[0].run is not None
    assert back.targets[0].run.neuron_updates == 2**63 + 1


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_damaged_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"r\.json: it is no JSON document"):
        Report.from_text(text, "r.json")


@pytest.mark.parametrize("data", ["[]", "3", '{"schema": 2}', "{}"])
def test_another_document_is_refused(data: str) -> None:
    with pytest.raises(InvalidInput, match="it is no report of schema 1"):
        Report.from_text(data)


def test_a_wrong_entry_is_named(report: Report) -> None:
    data = report.to_json()
    data["targets"][0]["run"]["spikes"]["conv1"] = "many"
    with pytest.raises(InvalidInput, match=r"targets\[0\]\.run\.spikes\.conv1: it is 'many', a whole number is needed"):
        Report.from_json(data)


def test_the_data_alone_imports_no_renderer() -> None:
    code = "import sys, snnport.report.report; print(sorted({'rich', 'jinja2', 'plotly', 'markupsafe'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
