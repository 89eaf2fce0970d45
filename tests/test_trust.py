"""Small things that trust rests on: samples leave no state, threads change nothing, exports say how they are loaded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import spiking_output
from spiking import conv, dense, fire, plain
from typer.testing import CliRunner
from xylo_programs import xylo_program

from snnport.cli import app
from snnport.encoders import Stimulus
from snnport.exporters.nir import write_nir
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.flow.loading import APPLY
from snnport.graph import Graph
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


def result_of(program: Program, x: np.ndarray, threads: int) -> Any:
    """What the target's executor gives: spikes of every population, last potentials, counts."""
    run = RUNNERS.load(program.target) if program.target in RUNNERS.entries else engine.run
    names = tuple(p.name for p in program.populations)
    stimulus = Stimulus(x, None, x.shape[1])
    return run(replace(program, n_steps=x.shape[1]), stimulus, record_spikes=names, threads=threads)


def totals_of(result: Any) -> dict[str, Any]:
    """Everything that is counted over all samples, and that prices and times are made of."""
    counts = result.counts
    named = {"spikes": counts.spikes, "operations": counts.synaptic_operations, "clipped": counts.v_saturations}
    cores = np.asarray(counts.core_cycles).tolist()
    return {**named, "updates": counts.neuron_updates, "cycles": counts.total_cycles, "cores": cores}


@pytest.mark.parametrize("name", TARGETS.names())
def test_sample_order_and_threads_change_no_result(name: str) -> None:
    program, x = program_for(name)
    whole = result_of(program, x, 1)
    fired = {k: a for k, a in whole.trace.spikes.items() if k not in program.inputs}
    assert sum(int(np.count_nonzero(a)) for a in fired.values()) > 0
    order = np.random.default_rng(0).permutation(SAMPLES)
    again, two, alone = result_of(program, x[order], 1), result_of(program, x, 2), result_of(program, x[3:4], 1)
    for kept in (lambda result: result.trace.spikes, lambda result: result.final_v):
        for population, array in kept(whole).items():
            assert np.array_equal(kept(again)[population], array[order]), population
            assert np.array_equal(kept(two)[population], array), population
            assert np.array_equal(kept(alone)[population], array[3:4]), population
    assert totals_of(again) == totals_of(whole)
    assert totals_of(two) == totals_of(whole)


def test_every_chip_is_among_them() -> None:
    chips = {"cpu", "loihi1", "loihi2", "dynapcnn", "speck2e", "speck2f", "tinyodin"}
    assert chips | {"xylo_audio2", "xylo_audio3", "xylo_imu"} <= set(TARGETS.names())


def test_an_export_says_how_it_is_loaded(tmp_path: Path) -> None:
    nir_ = tmp_path / "d.nir"
    line = ["convert", DIGITS.onnx, "-o", nir_, "--scale", 16, "--calibration", DIGITS.calibration]
    assert CliRunner().invoke(app, [str(a) for a in line]).exit_code == 0
    answer = CliRunner().invoke(app, ["export", str(nir_), "--format", "nir", "-o", str(tmp_path / "e.nir"), "--json"])
    found = json.loads(answer.stdout)
    path = Path(found["lines_file"])
    assert path == tmp_path / "e.nir.load.py"
    first, *lines = path.read_text().splitlines()
    assert first == "# tested: snnport's tests run these lines"
    assert lines == found["load"]
    assert lines[0] == "import nir"
    scope: dict[str, object] = {}
    exec("\n".join(lines), scope)
    assert type(scope["graph"]).__name__ == "NIRGraph"


class Anything:
    """Stands for samna's objects: every part is there, and keeps what is assigned."""

    def __getattr__(self, name: str) -> Anything:
        self.__dict__[name] = found = Anything()
        return found

    def __iter__(self) -> Iterator[Anything]:
        kept: list[Anything] = self.__dict__.setdefault("items", [Anything() for _ in range(16)])
        return iter(kept)

    def __call__(self, *given: object) -> Anything:
        self.__dict__["given"] = given
        return self.__dict__.setdefault("answer", Anything())

    def __getitem__(self, index: int) -> Anything:
        return Anything()


def lines_beside(graph: Graph, target: str, folder: Path) -> str:
    """The lines that `export` writes beside the files of `graph`, which are in folder / "out"."""
    write_nir(graph, folder / "n.nir")
    line = ["export", str(folder / "n.nir"), "--target", target, "-o", str(folder / "out"), "--json"]
    answer = CliRunner().invoke(app, line)
    assert answer.exit_code == 0, answer.output
    return Path(json.loads(answer.stdout)["lines_file"]).read_text()


def test_lines_for_samna_bring_every_number_into_its_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """samna itself cannot be had here: its classes are stood in for, and the lines say that they are untested."""
    graph = plain((1, 6, 6), {"a": conv(np.arange(18).reshape(2, 1, 3, 3) - 9), "o": fire((2, 4, 4), 30.0)})
    text = lines_beside(graph, "speck2f", tmp_path)
    assert text.startswith("# untested")
    samna = Anything()
    monkeypatch.setitem(sys.modules, "samna", samna)  # type: ignore[arg-type]
    scope: dict[str, Any] = {}
    exec(text, scope)
    wanted = json.loads((tmp_path / "out" / "samna.json").read_text())["configuration"]
    first = next(i for i, core in enumerate(wanted["cnn_layers"]) if "weights" in core)
    assert list(scope["configuration"].cnn_layers)[first].weights == wanted["cnn_layers"][first]["weights"]
    assert samna.device.open_device().get_model().apply_configuration.given == (scope["configuration"],)
    assert "\n".join(APPLY) in (Path(__file__).parents[1] / "docs" / "formats.md").read_text()


def test_lines_for_tinyodin_name_the_memories_of_its_sources(tmp_path: Path) -> None:
    """As in ChFrenkel/tinyODIN, commit 1865653: tinyODIN.v, neuron_core.v, synaptic_core.v."""
    graph = plain((12,), {"a": dense(np.full((4, 12), 3)), "o": fire((4,), 9.0)})
    text = lines_beside(graph, "tinyodin", tmp_path)
    assert text.startswith("// untested")
    for file, memory in (("neurons.hex", "neuron_core_0.neurarray_0"), ("synapses.hex", "synaptic_core_0.synarray_0")):
        assert f'initial $readmemh("{tmp_path / "out" / file}", dut.{memory}.SRAM);' in text
        assert (tmp_path / "out" / file).is_file()
