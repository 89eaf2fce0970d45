from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from snnport.errors import InvalidInput
from snnport.report import terminal
from snnport.report.plain import write
from snnport.report.report import Report


def _shown(what: RenderableType, width: int = 160) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _flat(what: RenderableType) -> str:
    return " ".join(_shown(what).split())


INSPECT: dict[str, Any] = {
    "file": "a[b].nir",
    "format": "nir",
    "dialect": "norse",
    "evidence": ["tau_mem is in seconds"],
    "ambiguous": ["reset: settle it with --reset"],
    "repairs": ["flatten: start_dim 1 became 0"],
    "nodes": [{"name": "[red]x[/]", "type": "LIF", "shape": [4, 8, 8]}, {"name": "y", "type": "Output", "shape": None}],
    "edges": [["[red]x[/]", "y"]],
}


def test_inspect() -> None:
    text = _flat(terminal.inspection(INSPECT))
    assert "a[b].nir: nir, written by norse" in text
    assert "[red]x[/] LIF 4\u00d78\u00d78" in text
    assert "because tau_mem is in seconds" in text
    assert "repaired: flatten: start_dim 1 became 0" in text
    assert "ambiguous: reset: settle it with --reset" in text
    assert "2 nodes, 1 edge" in text


def test_inspect_takes_evidence_as_one_text() -> None:
    assert "because so" in _flat(terminal.inspection({**INSPECT, "evidence": "so"}))


def test_check_lists_every_violation(report: Report, hostile: str) -> None:
    text = _flat(terminal.check_result(write(report.targets[1].check)))
    assert "kernel memory w3 70,656 bytes 65,536 bytes 108 %" in text
    assert "kernel-memory: w3: the kernel takes 70,656 of 65,536 bytes. Use fewer channels, or pool before it." in text
    assert f"readout: {hostile}: a | pipe and `code` in a message of two lines." in text
    assert "speck: does not fit, 3 violations, 0 warnings." in text


def test_run_tells_every_count(report: Report) -> None:
    run = report.targets[0].run
    assert run is not None
    text = _flat(terminal.run_result(write(run)))
    for wanted in (
        "98.62 % (9,862 of 10,000)",
        "1,934,226,017",
        "conv1 19,132,388 1,913",
        "in all 1,507,713,984",
        "neuron updates 659,794,000",
        "loihi-nahuku (measured on silicon, +-12 %, 14 nm): 10.2 \u00b5J a sample (8.1 to 11 \u00b5J)",
        "not priced: static power, host input and output",
    ):
        assert wanted in text


def test_run_takes_the_bare_document_of_the_verb(report: Report) -> None:
    data = write(report.targets[0].run)
    for extra in ("cycles_per_sample", "spikes_per_step", "core_cycles"):
        del data[extra]
    assert "n/a" in _flat(terminal.run_result({**data, "predictions": [1, 2], "accuracy": None, "correct": None}))


def test_validate(report: Report) -> None:
    data = {"stages": write(report.stages), "logits_equal": True, "logit_mismatches": 0, "first_divergence": None}
    text = _flat(terminal.validation(data))
    assert "activations in 16 levels 98.58 % \u22120.29 pp 99.61 %" in text
    assert "logits equal the quantised network's on every sample" in text
    first = {"population": "conv1", "step": 3, "neuron": 5, "expected": 1, "actual": 0, "cause": None}
    broken = _flat(terminal.validation({**data, "logits_equal": False, "logit_mismatches": 3, "first_divergence": first}))
    assert "logits differ in 3 values" in broken
    assert "first divergence: population conv1, step 3, neuron 5, expected 1, actual 0" in broken
    assert "logits were not compared" in _flat(terminal.validation({**data, "logits_equal": None}))


def test_port_shows_all_targets_in_one_table(report: Report) -> None:
    text = _flat(terminal.port_summary(report))
    assert "loihi fits 98.62 % 1.93 ms 10.2 \u00b5J 8.1 to 11 \u00b5J" in text
    assert "speck does not fit n/a n/a n/a n/a" in text
    assert "speck: why not: speck: it needs 11 of 9 cores (and 2 more)" in text
    assert "cpu fits, did not run" in text
    assert "loihi: energy by loihi-nahuku (measured on silicon, +-12 %)" in text
    assert "1. speck: it does not fit." in text


def test_a_narrow_terminal_loses_nothing(report: Report) -> None:
    folded = "".join(_shown(terminal.port_summary(report), 80).split())
    assert "8.1to11\u00b5J" in folded


def test_names_cannot_steer_the_terminal(report: Report) -> None:
    result = replace(report.targets[1], target="\x1b[31mred", why_not="\x1b]0;title\x07")
    assert "\x1b" not in _shown(terminal.port_summary(replace(report, targets=(result,))))


@pytest.mark.parametrize("call", [terminal.check_result, terminal.run_result])
def test_a_malformed_document_is_refused(call: Any) -> None:
    with pytest.raises(InvalidInput, match="it has no entry 'target'"):
        call({})


def test_a_malformed_stage_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"validate\.stages\[0\]: it has no entry 'accuracy'"):
        terminal.validation({"stages": [{"name": "a"}]})


def test_port_names_the_files_it_wrote(report: Report) -> None:
    assert "wrote out/report.html" in _flat(terminal.port_summary(report, ["out/report.html"]))


def test_check_and_run_list_what_was_done_before(report: Report) -> None:
    first, second = report.targets[1], report.targets[0]
    assert "done: fold-batchnorm" in _flat(terminal.check_result({**write(first.check), "done": ["fold-batchnorm"]}))
    compared = {"equal": False, "first": {"population": "conv1", "step": 3}, "spikes_compared": 9}
    text = _flat(terminal.run_result({**write(second.run), "neuron_updates": None, "comparison": compared}))
    assert "neuron updates n/a" in text
    assert "first difference: population conv1, step 3" in text


def test_conversion(report: Report) -> None:
    data = {
        "output": "out.nir",
        "code": "gate",
        "calibration": "512 samples",
        "passes": ["fold-batchnorm", "spike{code=gate}"],
        "ledger": write(report.ledger),
        "findings": {
            "fold-batchnorm": {"largest_error": 1e-15, "largest_output": 2.0, "samples": 32},
            "quantize-activations{levels=4}": {"agreement": 0.5, "correction": True},
            "quantize-weights{bits=8}": {"zeroed_weights": {"w1": 3, "w2": 0}},
        },
        "warnings": ["another reader computes another network"],
    }
    text = _flat(terminal.conversion(data))
    assert "fold-batchnorm: outputs moved by at most 1e-15 of 2, on 32 samples" in text
    assert "quantize-activations: 50.00 % of the arg maxima stayed, bias correction on" in text
    assert "quantize-weights: weights rounded to zero: 3 in w1" in text
    assert "passes: fold-batchnorm, spike{code=gate} code gate, calibrated on 512 samples" in text
    assert "BatchNormalization w1 became; folded: scale and shift move into the weights" in text
    assert "Dropout dropped dropped: identity at inference" in text
    assert "warning: another reader computes another network wrote out.nir" in text


def test_steps_done_tells_facts() -> None:
    text = _flat(terminal.steps_done({"schema": 1, "output": "p.npz", "target": "cpu", "neurons": 12345, "done": ["place"]}))
    assert text == "done: place target cpu, neurons 12,345 wrote p.npz"
    assert _flat(terminal.steps_done({"output": "p.npz", "done": []})) == "wrote p.npz"


def test_comparison_of_traces_and_of_reports() -> None:
    assert _flat(terminal.comparison({"equal": True, "spikes_compared": 1234})) == "equal, 1,234 spikes compared"
    first = {"population": "a", "step": 2, "expected": 1, "actual": 0, "cause": "reset"}
    text = _flat(terminal.comparison({"equal": False, "first": first, "spikes_compared": 5}))
    assert text == "first difference: population a, step 2, expected 1, actual 0, cause reset"
    changed = {"equal": False, "changes": [{"entry": "options.bits", "a": 8, "b": None}]}
    assert "options.bits 8 null 1 entry changed" in _flat(terminal.comparison(changed))
    assert _flat(terminal.comparison({"equal": True, "changes": []})) == "equal"


def test_targets() -> None:
    assert "cpu this machine" in _flat(terminal.target_list({"targets": [{"name": "cpu", "description": "this machine"}]}))
    number = {"value": [1, 2], "unit": "bits", "source": "a paper", "confidence": "measured"}
    rule = {"name": "codes", "text": "weights fit 8 bits"}
    card = {"name": "cpu", "description": "d", "numbers": {"cores": number}, "rules": [rule]}
    text = _flat(terminal.target_card(card))
    assert "cores [1, 2] bits measured a paper" in text
    assert "codes weights fit 8 bits" in text


def test_health() -> None:
    torch = {"name": "torch", "needed_for": "training", "version": "", "required": False, "remedy": "pip install x"}
    numpy = {"name": "numpy", "needed_for": "everything", "version": "2.2.0", "required": True, "remedy": "pip install y"}
    text = _flat(terminal.health({"parts": [torch, numpy]}))
    assert "torch missing training pip install x" in text
    assert "numpy 2.2.0 everything" in text
    assert "pip install y" not in text
