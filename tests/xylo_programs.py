"""Random programs of a Xylo: everything that its chip knows, with states that saturate in a third of them."""

from __future__ import annotations

import numpy as np
from random_programs import chip_with

from snnport.program import Neuron, Population, Program, Projection, Slice, Sparse


def synapses(rng: np.random.Generator, n_source: int, n_target: int) -> Sparse:
    """A random list, source by source, weights of 8 bits."""
    source, target = np.nonzero(rng.random((n_source, n_target)) < rng.uniform(0.2, 1.0))
    codes = rng.integers(-128, 128, len(source))
    return Sparse(codes.astype(np.int8), target, source, (n_target, n_source))


def cells(rng: np.random.Generator, n: int, top: int, states: int, most: int) -> Neuron:
    """n neurons with thresholds up to `top`."""
    params = {
        "v_threshold": rng.integers(1, top, n),
        "dash_mem": rng.integers(0, 9, n),
        "dash_syn": rng.integers(0, 9, n),
        "bias": rng.integers(-300, 300, n) * (rng.random() < 0.6),
        "max_spikes": np.asarray(most),
    }
    if states == 2:
        params["dash_syn_2"] = rng.integers(0, 9, n)
    if most > 1:
        params["alias"] = np.where(rng.random(n) < 0.3, rng.integers(0, n, n), -1)
    return Neuron("xylo", params)


def xylo_program(seed: int) -> tuple[Program, np.ndarray]:
    """A program of one or two hidden populations and the spikes (1, n_steps, n_inputs) it is shown."""
    rng = np.random.default_rng(seed)
    inputs, outputs, states = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    sizes = [int(n) for n in rng.integers(2, 9, int(rng.integers(1, 3)))]
    top = (50, 3000, 30000)[seed % 3]
    shifts = [int(e) for e in rng.integers(0, 7, 3)]
    hidden = [Population(f"h{k}", (n,), cells(rng, n, top, states, 31)) for k, n in enumerate(sizes)]
    out = Population("out", (outputs,), cells(rng, outputs, 2000, 1, 1))
    links = []
    for p in hidden:
        for port in range(states):
            links.append(Projection(f"in{p.name}{port}", "in", p.name, synapses(rng, inputs, p.size), None, 0, shifts[0], port))
            for q in hidden:
                links.append(
                    Projection(
                        f"{q.name}{p.name}{port}", q.name, p.name, synapses(rng, q.size, p.size), None, 1, shifts[1], port
                    )
                )
        links.append(Projection(f"{p.name}out", p.name, "out", synapses(rng, p.size, outputs), None, 1, shifts[2]))
    populations = (Population("in", (inputs,), Neuron("input", {})), *hidden, out)
    placements = tuple(Slice(p.name, 0, 0, p.size) for p in populations[1:])
    x = rng.integers(0, 16, (1, 25, inputs)) * (rng.random((1, 25, inputs)) < 0.4)
    return Program("xylo_audio2", chip_with(), populations, tuple(links), placements, ("in",), ("out",), 0, {}), x
