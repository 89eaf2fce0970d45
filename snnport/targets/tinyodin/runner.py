"""Run a program of target tinyodin: stimulus to input events, the core cycle by cycle, and back to spikes a step.

Each sample starts from potentials of 0, which the host writes beforehand; what that takes is not counted. The host holds
the events of a step back until the core is at rest, so every spike belongs to one step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnknownName
from snnport.program import Population, Program
from snnport.sim.counts import Counts
from snnport.sim.results import RunResult
from snnport.sim.tinyodin import NEURONS, Inputs, StepRun, simulate_steps
from snnport.targets.tinyodin.crossbar import addresses, core_of, event_words, fan_out
from snnport.trace import Trace

Ints = npt.NDArray[np.int64]
WORD_BYTES = 4
"""Both memories have words of 32 bits: one neuron, or eight synapses (ChFrenkel/tinyODIN, doc/README.md, section 3)."""
SYNAPSES_A_WORD = 8


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    record_spikes: Collection[str] = (),
    record_v: Collection[str] = (),
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Run every sample of `stimulus`. Spikes and v of a step are those when the core is at rest behind it.

    Arguments, trace and results are those of sim.engine.run; cycles count from the first event of a sample to rest. The
    trace's meta says how many spikes the full queue lost ("dropped").
    Raises InvalidInput for a stimulus that does not fit and for a step that does not come to rest, UnknownName for a
    population that is not there.
    """
    _check(program, stimulus, record_spikes, record_v)
    n, steps = stimulus.n_samples, program.n_steps or stimulus.n_steps
    tally = _Tally(program, n, steps)
    spikes = {p.name: np.zeros((n, steps, p.size), np.int32) for p in program.populations if p.name in record_spikes}
    v = {p.name: np.zeros((n, steps, p.size), np.int16) for p in program.populations if p.name in record_v}
    final_v = {name: np.zeros((n, program.population(name).size), np.int64) for name in program.outputs}
    counts = {name: np.zeros_like(values) for name, values in final_v.items()}
    for sample in range(n):
        raster = _raster(program, stimulus, sample, steps)
        done, fired = run_sample(program, raster)
        by_step = _per_step(program, raster, fired)
        tally.add(sample, done, by_step)
        for population in program.populations:
            name, own = population.name, tally.span(population)
            if name in spikes:
                spikes[name][sample] = by_step[:, own]
            if name in v:
                v[name][sample] = done.v[:, own]
            if name in final_v:
                final_v[name][sample] = done.v[-1, own] if steps else 0
                counts[name][sample] = by_step[:, own].sum(axis=0)
        if progress is not None:
            progress(sample + 1, n)
    return RunResult(Trace(spikes, v, {"dropped": tally.dropped}), final_v, counts, tally.counts())


def event_program(program: Program, raster: npt.NDArray[Any]) -> Inputs:
    """The core of `program` with the input events of one sample, raster (n_steps, n_inputs), each at its cycle.

    The cycles are those of a host that waits for rest between steps; `snnport.sim.tinyodin.simulate` replays them.
    """
    return run_sample(program, raster)[0].inputs


def run_sample(program: Program, raster: npt.NDArray[Any]) -> tuple[StepRun, Ints]:
    """One sample, raster (n_steps, n_inputs) of counts: what the core did, and the firings (n_steps, 256) of each step."""
    words, per_step = event_words(raster, addresses(program), _inputs(program))
    done = simulate_steps(core_of(program, words), per_step, int(program.chip["step_cycles"]))
    if done.steps < len(raster):
        what = f"step {done.steps} is not at rest after {program.chip['step_cycles']} cycles: its spikes drive themselves"
        raise InvalidInput("stimulus", what, "Weaken the loop, or raise step_cycles in a chip file of your own")
    fired = np.zeros((len(raster), NEURONS), np.int64)
    step = np.searchsorted(done.starts, done.outputs.fire_cycle, side="right") - 1
    np.add.at(fired, (step, done.outputs.fire_neuron), 1)
    return done, fired


class _Tally:
    """Sums over samples, one after another."""

    def __init__(self, program: Program, n_samples: int, steps: int) -> None:
        self.program, self.n_samples, self.steps = program, n_samples, steps
        self.bases = addresses(program)
        self.cycles = np.zeros(n_samples, np.int64)
        self.spikes = np.zeros((steps, NEURONS), np.int64)
        self.served = np.zeros(NEURONS, np.int64)
        self.saturations = np.zeros(NEURONS, np.int64)
        self.updates = self.sweeps = self.peak = self.dropped = 0

    def span(self, population: Population) -> slice:
        """The addresses of a population."""
        base = self.bases[population.name]
        return slice(base, base + population.size)

    def add(self, sample: int, done: StepRun, by_step: Ints) -> None:
        """Add one sample: what the core did, and the spikes (n_steps, 256) of all populations."""
        entries = done.outputs.srv_entry
        self.cycles[sample] = done.starts[-1]
        self.spikes += by_step
        self.served += np.bincount(entries, minlength=NEURONS)
        self.saturations += done.saturations
        self.updates += done.neuron_updates
        self.sweeps += len(entries)
        self.dropped += done.outputs.dropped
        self.peak = max(self.peak, done.outputs.fifo_max)

    def counts(self) -> Counts:
        """Synaptic operations: spikes served by the network's synapses. Neuron updates: all that the sweeps made."""
        program = self.program
        processed = sum(p.size for p in program.populations if p.neuron.family != "input")
        own = {p.name: self.span(p) for p in program.populations}
        operations = {p.name: int(self.served[own[p.source]] @ fan_out(p)) for p in program.projections}
        spikes = {name: int(self.spikes[:, part].sum()) for name, part in own.items()}
        return Counts(
            samples=self.n_samples,
            steps=self.steps,
            spikes=spikes,
            synaptic_operations=operations,
            neuron_updates=self.updates,
            v_saturations={name: int(self.saturations[part].sum()) for name, part in own.items()},
            u_wraps=dict.fromkeys(own, 0),
            messages=spikes,
            cycles=self.cycles,
            weight_read_bytes=self.sweeps * WORD_BYTES * -(-processed // SYNAPSES_A_WORD),
            state_read_bytes=self.updates * WORD_BYTES,
            state_write_bytes=self.updates * WORD_BYTES,
            chips=1,
            core_cycles=np.array([self.cycles.sum()]),
            queue_peak=np.array([self.peak], np.int64),
            spikes_per_step={name: self.spikes[:, part].sum(axis=1) for name, part in own.items()},
            spikes_per_neuron={name: self.spikes[:, part].sum(axis=0) for name, part in own.items()},
        )


def _inputs(program: Program) -> dict[str, int]:
    return {name: program.population(name).size for name in program.inputs}


def _check(program: Program, stimulus: Stimulus, record_spikes: Collection[str], record_v: Collection[str]) -> None:
    known = {p.name: p.neuron.family for p in program.populations}
    for name in (*record_spikes, *record_v):
        if name not in known:
            raise UnknownName.among("population", name, list(known))
    for name in record_v:
        if known[name] == "input":
            raise InvalidInput(f"v:{name}", "an input has no v", "Record its spikes instead")
    if program.n_steps and stimulus.n_steps > program.n_steps:
        what = f"it has {stimulus.n_steps} steps, the program runs {program.n_steps}"
        raise InvalidInput("stimulus", what, "Shorten it")


def _raster(program: Program, stimulus: Stimulus, sample: int, steps: int) -> npt.NDArray[Any]:
    """Spike counts (n_steps, n_inputs) of one sample; a stimulus that is shorter than the run is followed by silence."""
    given = stimulus.raster(sample, sample + 1)[0]
    if not (np.issubdtype(given.dtype, np.integer) or given.dtype == np.bool_) or int(given.min(initial=0)) < 0:
        raise InvalidInput("stimulus", f"its spikes have type {given.dtype}, counts of 0 or more are needed")
    size = sum(_inputs(program).values())
    if given.shape[1] != size:
        raise InvalidInput("stimulus", f"it has {given.shape[1]} neurons, the inputs of the program have {size}")
    return np.concatenate([given, np.zeros((steps - len(given), size), given.dtype)])


def _per_step(program: Program, raster: npt.NDArray[Any], fired: Ints) -> Ints:
    """Spikes (n_steps, 256) of neurons and of inputs, by address."""
    bases = addresses(program)
    result, first = fired.copy(), 0
    for name, size in _inputs(program).items():
        result[:, bases[name] : bases[name] + size] = raster[:, first : first + size]
        first += size
    return result
