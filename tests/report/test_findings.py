from __future__ import annotations

from dataclasses import replace

from snnport.report.findings import next_steps
from snnport.report.report import Picture, Report, Run, Stage


def _with_run(report: Report, **changes: object) -> Report:
    run = report.targets[0].run
    assert run is not None
    changed: Run = replace(run, **changes)  # type: ignore[arg-type]
    return replace(report, targets=(replace(report.targets[0], run=changed),))


def test_each_finding_names_its_place_and_the_next_command(report: Report) -> None:
    steps = next_steps(report)
    assert "speck: it does not fit. First violation, at speck: it needs 11 of 9 cores. Merge or drop 2 layers." in steps[0]
    assert "`snnport check lenet.onnx --target speck`" in steps[0]
    assert "cpu: it fits but did not run" in steps[1]
    assert "Most accuracy is lost at activations in 16 levels (\u22120.29 pp)." in steps[2]
    assert "Answers change first at conv2" in steps[3]
    assert "loihi: core 4 (conv1) works 3.4 times as long as the mean core" in steps[4]
    assert "synaptic_operations takes 49 % of the energy (loihi-nahuku)" in steps[5]
    assert "leaves out static power, host input and output" in steps[6]


def test_an_inexact_program_comes_first(report: Report) -> None:
    first = next_steps(replace(report, logits_equal=False, logit_mismatches=3))[0]
    assert first.startswith("The logits differ from the quantised network's in 3 values.")
    assert "`snnport validate lenet.onnx --target loihi --input DATA.npz`" in first


def test_a_silent_population_is_named_but_a_readout_is_not(report: Report) -> None:
    assert not any("ever fired" in step for step in next_steps(report))
    unknown = replace(report, graph=Picture((), ()))
    assert any("no neuron of logits ever fired" in step for step in next_steps(unknown))
    by_design = replace(_with_run(report, never_fire=("logits",)), graph=Picture((), ()))
    assert not any("ever fired" in step for step in next_steps(by_design))


def test_few_samples_and_missing_labels_are_said(report: Report) -> None:
    few = next_steps(_with_run(report, samples=50, correct=49, accuracy=0.98))
    assert any("rests on 50 samples, one of which is 2.00 %" in step for step in few)
    bare = next_steps(_with_run(report, accuracy=None, correct=None))
    assert any("the data has no labels" in step and "--labels Y" in step for step in bare)


def test_file_names_are_quoted_for_the_shell(report: Report) -> None:
    odd = replace(report, source=replace(report.source, file="my net; rm.onnx"))
    assert "'my net; rm.onnx'" in next_steps(odd)[0]


def test_what_several_chips_say_is_said_once(report: Report) -> None:
    one = _with_run(report, samples=50, correct=49, accuracy=0.98)
    two = replace(one, targets=(one.targets[0], replace(one.targets[0], target="loihi2")))
    steps = [step for step in next_steps(two) if "rests on 50 samples" in step]
    assert steps == ["loihi, loihi2: the accuracy rests on 50 samples, one of which is 2.00 %; run more samples."]


def test_one_sample_is_no_loss(report: Report) -> None:
    few = replace(report.data, n_samples=300)
    assert not any("Most accuracy is lost" in step for step in next_steps(replace(report, data=few)))


def test_nothing_left_to_do_is_said(report: Report) -> None:
    calm = replace(_with_run(report, energy=(), core_cycles=()), stages=(Stage("a", 0.9, 1.0),), losses=None)
    assert next_steps(calm) == ("Nothing is left to do: the network fits, is exact, and every count is priced.",)
