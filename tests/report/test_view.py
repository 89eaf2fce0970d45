from __future__ import annotations

from dataclasses import replace

from snnport.report import view
from snnport.report.report import (
    Ann,
    Baseline,
    BreakEven,
    Check,
    Joules,
    Picture,
    Placement,
    Report,
    Run,
    Stage,
    TargetResult,
    Usage,
    Violation,
)

FITS = Check("chip", True, (), (), ())


def _run(report: Report) -> Run:
    run = report.targets[0].run
    assert run is not None
    return run


def test_summary_of_each_kind_of_result(report: Report) -> None:
    ran, broken, idle = map(view.summary, report.targets)
    assert (ran.verdict, ran.accuracy, ran.latency, ran.css) == ("fits", "98.62 %", "1.93 ms", "good")
    assert (ran.energy, ran.energy_range) == ("10.2 \u00b5J", "8.1 to 11 \u00b5J")
    assert (broken.verdict, broken.css) == ("does not fit", "bad")
    assert broken.reason == "speck: it needs 11 of 9 cores (and 2 more)"
    assert (idle.verdict, idle.css, idle.reason) == ("fits, did not run", "part", "the simulation was not asked for.")
    assert (broken.accuracy, broken.latency, broken.energy) == ("n/a", "n/a", "n/a")


def test_a_long_reason_gives_way_to_the_first_violation(report: Report) -> None:
    long = replace(report.targets[1], why_not="3 rules are broken:\n  one\n  two\n  three")
    assert view.reason(long) == "speck: it needs 11 of 9 cores (and 2 more)"
    assert view.reason(replace(long, check=FITS)) == long.why_not


def test_latency_falls_back_to_cycles_then_to_nothing(report: Report) -> None:
    run = _run(report)
    assert view.latency(replace(run, time_s=None)) == "193,423 cycles"
    assert view.latency(replace(run, time_s=None, cycles=None)) == "n/a"
    assert view.latency(replace(run, samples=0)) == "n/a"


def test_an_estimate_that_prices_nothing_is_not_quoted(report: Report) -> None:
    run = _run(report)
    rest = replace(run.energy[0], model="at rest", low_j=0.0, mid_j=0.0, high_j=0.0, terms={})
    two = replace(report.targets[0], run=replace(run, energy=(rest, run.energy[1])))
    assert view.summary(two).energy_basis == "horowitz-45nm (analytic)"
    none = view.summary(replace(two, run=replace(run, energy=(rest,))))
    assert (none.energy, none.energy_range, none.energy_basis) == ("n/a", "", "")


def test_findings_of_several_places_are_one_line() -> None:
    found = [Violation("r", where, what, "x") for where, what in (("a", "m"), ("b", "m"), ("c", "n"), ("d", "m"))]
    assert [(v.where, v.message) for v in view.grouped(found)] == [("a, b, d", "m"), ("c", "n")]


def test_a_chip_without_a_model_of_time_says_so(report: Report) -> None:
    told = dict(view.timing(replace(_run(report), cycles=None, time_s=None, cycles_per_sample=None, core_cycles=())))
    assert told["latency per sample"] == "not known: no model of this chip's time"


def test_timing_states_throughput_and_balance(report: Report) -> None:
    rows = dict(view.timing(_run(report)))
    assert rows["cycles in all"] == "1,934,226,017"
    assert rows["cycles per sample"] == "193,423 (least 120,031, most 260,118)"
    assert rows["throughput, one sample after another"] == "517 samples/s"
    assert rows["core balance, busiest over mean of those used"] == "3.37 over 6 cores"


def test_layers_take_sizes_from_placements_then_from_the_graph(report: Report) -> None:
    first = view.layers(report.targets[0], report.graph)[0]
    assert (first.name, first.size, first.spikes) == ("input", 784, 12_326_956)
    assert first.rate == 12_326_956 / (784 * 10_000 * 97)
    bare = replace(report.targets[0], placements=())
    assert view.layers(bare, report.graph)[0].size == 784
    assert view.layers(bare, Picture((), ()))[0].rate is None


def test_losses_pass_over_stages_without_accuracy() -> None:
    stages = (Stage("a", 0.5, None), Stage("b", None, None), Stage("c", 0.25, None))
    assert [change for _, change in view.losses(stages)] == [None, None, -0.25]


def test_accuracy_sentence(report: Report) -> None:
    text = view.accuracy_sentence(report)
    assert "lowered program, reaches 98.62 %, \u22120.25 pp against source ANN (98.87 %)" in text
    assert "\u22120.29 pp, at activations in 16 levels" in text
    rising = replace(report, stages=(Stage("a", 0.5, None), Stage("b", 0.75, None)))
    assert view.accuracy_sentence(rising).endswith("No stage loses any.")
    assert view.accuracy_sentence(replace(report, stages=report.stages[:1])) == "Accuracy is 98.87 % (source ANN)."
    assert "no labels" in view.accuracy_sentence(replace(report, stages=()))


def test_exactness_sentence(report: Report) -> None:
    assert "integer for integer" in view.exactness_sentence(report)
    assert "differ from the quantised network's in 7 values" in view.exactness_sentence(
        replace(report, logits_equal=False, logit_mismatches=7)
    )
    assert view.exactness_sentence(replace(report, logits_equal=None)) == "Logits were not compared."


def test_usage_text() -> None:
    assert view.usage_text(Usage("memory", 70_656, 65_536, "bytes")) == ("70,656 bytes", "65,536 bytes", "108 %")
    assert view.usage_text(Usage("steps", 97, None)) == ("97", "no limit", "n/a")
    assert view.usage_text(Usage("cores", 1, 0, "cores")) == ("1", "0", "n/a")


def test_cores_of_joins_neighbours_and_names_chips() -> None:
    places = [Placement("a", c, 0, 1) for c in (3, 0, 1, 2, 7)]
    result = TargetResult("chip", FITS, False, "", None, tuple(places), 128)
    assert view.cores_of(result) == (("a", "0 to 3, 7"),)
    two = replace(result, placements=(Placement("a", 5, 0, 1), Placement("a", 6, 1, 2, 1)))
    assert view.cores_of(two) == (("a", "chip 0: 5, chip 1: 6"),)
    assert (view.core_index(two, 0, 6), view.core_index(two, 1, 6)) == (6, 134)
    assert view.core_index(replace(two, cores=None), 1, 6) is None


def test_spans_mark_commands() -> None:
    assert view.spans("See `snnport doctor`.") == (("See ", False), ("snnport doctor", True), (".", False))


def test_baselines_say_what_the_ann_would_cost_and_where_both_are_even(report: Report) -> None:
    run = next(result.run for result in report.targets if result.run is not None)
    ann = Ann("int8 ANN", 100, 1e-9, 2e-9 * run.samples, 3e-9)
    own = Joules(1e-9, 5e-9 * run.samples, 9e-9)

    def said(even: BreakEven) -> str:
        return view.baselines(replace(run, baselines=(Baseline("m", own, 0.05, 1.5, (ann,), (even,)),)))[0]

    text = said(BreakEven("int8 ANN", 0.01, 0.02, 0.03, 0.025))
    assert text.startswith("m: 5.00 nJ a sample spiking, 2.00 nJ as int8 ANN. They are even at 0.02000 spikes a neuron")
    assert "It costs more even when silent (without the cost of idle neurons: 0.02500)." in said(BreakEven("a", 0, 0, 0, 0.025))
    assert "No part of its cost grows with spikes." in said(BreakEven("a", None, None, None, None))
    assert view.baselines(run) == []
