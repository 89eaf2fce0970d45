"""Small things that trust rests on: samples leave no state, threads change nothing, exports say how they are loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import spiking_output
from spiking import dense, fire, plain
from typer.testing import CliRunner
from xylo_programs import xylo_program

from snnport.cli import app
from snnport.encoders import Stimulus
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.importers.base import Imported
from snnport.models.digits import DIGITS
from snnport.passes.base import Context, run_passes
from snnport.program import Program
from snnport.registry import RUNNERS, TARGETS
from snnport.sim import engine
from snnport.targets.base import resolve_target

SAMPLES = 7


def program_for(name: str) -> tuple[Program, np.ndarray]:
    """A program of a target, and spikes (SAMPLES, n_steps, n_inputs)."""
    rng = np.random.default_rng(3)
    target = resolve_target(name)
    if name.startswith("xylo"):
        program, x = xylo_program(5)
        more = rng.integers(0, 9, (SAMPLES, *x.shape[1:])) * (rng.random((SAMPLES, *x.shape[1:])) < 0.5)
        return replace(program, target=name, chip=target.chip), more
    if name == "tinyodin":
        weights = [rng.integers(-3, 8, size) for size in ((9, 12), (4, 9))]
        graph = plain((12,), {"a": dense(weights[0]), "h": fire((9,), 9.0), "b": dense(weights[1]), "o": fire((4,), 6.0)})
    else:
        asynchronous = target.name in ("speck2f", "speck2e", "dynapcnn")
        options = ConvertOptions(code="rate" if asynchronous else "gate", levels=4)
        calibration = np.abs(rng.normal(size=(16, 6)))
        graph = convert_graph(Imported(spiking_output(rng), "test", ()), calibration, "noise", options).graph
    graph = run_passes(graph, target.passes_for(graph), Context())
    program = target.lower(graph)
    inputs = sum(program.population(n).size for n in program.inputs)
    return program, (rng.random((SAMPLES, program.n_steps or 20, inputs)) < 0.4).astype(np.int64)


def spikes_of(program: Program, x: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    """Spikes of every population."""
    run = RUNNERS.load(program.target) if program.target in RUNNERS.entries else engine.run
    names = tuple(p.name for p in program.populations)
    stimulus = Stimulus(x, None, x.shape[1])
    return dict(run(replace(program, n_steps=x.shape[1]), stimulus, record_spikes=names, threads=threads).trace.spikes)


@pytest.mark.parametrize("name", TARGETS.names())
def test_sample_order_and_threads_change_no_result(name: str) -> None:
    program, x = program_for(name)
    whole = spikes_of(program, x, 1)
    fired = {k: a for k, a in whole.items() if k not in program.inputs}
    assert sum(int(np.count_nonzero(a)) for a in fired.values()) > 0
    order = np.random.default_rng(0).permutation(SAMPLES)
    again, two, alone = spikes_of(program, x[order], 1), spikes_of(program, x, 2), spikes_of(program, x[3:4], 1)
    for population, spikes in whole.items():
        assert np.array_equal(again[population], spikes[order]), population
        assert np.array_equal(two[population], spikes), population
        assert np.array_equal(alone[population], spikes[3:4]), population


def test_an_export_says_how_it_is_loaded(tmp_path: Path) -> None:
    nir_ = tmp_path / "d.nir"
    line = ["convert", DIGITS.onnx, "-o", nir_, "--scale", 16, "--calibration", DIGITS.calibration]
    assert CliRunner().invoke(app, [str(a) for a in line]).exit_code == 0
    answer = CliRunner().invoke(app, ["export", str(nir_), "--format", "nir", "-o", str(tmp_path / "e.nir"), "--json"])
    found = json.loads(answer.stdout)
    path = Path(found["lines_file"])
    assert path == tmp_path / "e.nir.load.py"
    first, *lines = path.read_text().splitlines()
    assert first == "# untested: these lines have not been run with the tool that they are for"
    assert lines == found["load"]
    assert lines[0] == "import nir"
    scope: dict[str, object] = {}
    exec("\n".join(lines), scope)
    assert type(scope["graph"]).__name__ == "NIRGraph"
