"""A planted fault in a program is found where it is, with both traces around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnport.flow import agreement
from snnport.flow.agreement import agreement_of, raster_of
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import open_model
from snnport.flow.prepare import InputOptions, for_target, spiking
from snnport.program import Neuron, Population, Program
from snnport.registry import TARGETS
from snnport.report.raster import parting_picture


@pytest.fixture(scope="module")
def road(converted: Path):
    model = open_model(converted / "digits.onnx")
    inputs = InputOptions(scale=16.0, calibration=converted / "digits_calibration.npz")
    samples = inputs.load(converted / "digits_test.npz", model).part(0, 4)
    prepared = for_target(spiking(model, inputs, ConvertOptions(levels=4), samples), TARGETS.load("cpu"))
    return prepared.graph, TARGETS.load("cpu").lower(prepared.graph), samples


def with_threshold(program: Program, name: str, change: int) -> Program:
    """`program` with other thresholds in one population."""

    def of(population: Population) -> Population:
        if population.name != name:
            return population
        params = dict(population.neuron.params)
        key = next(k for k in params if "threshold" in k)
        params[key] = params[key] + change
        return replace(population, neuron=Neuron(population.neuron.family, params))

    return replace(program, populations=tuple(map(of, program.populations)))


def test_a_converted_network_fires_as_its_reference(road) -> None:
    found = agreement_of(*road)
    assert found.parting is None
    assert found.why_not == ""
    assert (found.samples, found.spikes > 1000) == (4, True)


def test_a_changed_threshold_is_found_in_its_layer(road) -> None:
    graph, program, samples = road
    hidden = [p.name for p in program.populations if any("threshold" in key for key in p.neuron.params)]
    found = agreement_of(graph, with_threshold(program, hidden[-1], 40), samples).parting
    assert found is not None
    assert found.population == hidden[-1]
    at = found.step - found.first_step
    assert found.expected_spikes[at] == found.expected
    assert found.actual_spikes[at] == found.actual
    assert found.expected != found.actual
    assert len(found.actual_v) == len(found.actual_spikes)
    assert f"around step {found.step}" in parting_picture(found)


def test_what_is_too_large_is_not_compared(road, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, program, samples = road
    monkeypatch.setattr(agreement, "MOST_ENTRIES", 100)
    assert "more than 100" in agreement_of(graph, program, samples).why_not
    assert raster_of(program, samples) is None


def test_a_raster_is_thinned_and_says_so(road, monkeypatch: pytest.MonkeyPatch) -> None:
    _, program, samples = road
    whole = raster_of(program, samples)
    assert whole is not None
    assert all(dots.every == 1 for dots in whole.dots)
    monkeypatch.setattr(agreement, "MOST_DOTS", 50)
    thin = raster_of(program, samples)
    assert thin is not None
    assert sum(len(d.step) for d in thin.dots) < sum(len(d.step) for d in whole.dots)
    assert max(d.every for d in thin.dots) > 1
    for dots in thin.dots:
        assert np.all(np.asarray(dots.neuron) % dots.every == 0)
