"""Run a snnport program on SANA-FE, inside SANA-FE's own interpreter; imports numpy and sanafe alone.

    python sanafe_run.py PROGRAM.npz JOB.npz ARCHITECTURE.yaml RESULT.json

PROGRAM.npz is a saved program (docs/formats.md). JOB.npz holds raster (n_steps, n_inputs), 0 or 1; units, a JSON text
{"soma": {population: name}, "synapse": {population: name}, "inputs": [names of the units that play stimuli]}. RESULT.json
gets SANA-FE's totals: spikes (synaptic events), packets_sent, neurons_updated, neurons_fired, sim_time in seconds, and energy
in joules by field. snnport/sim/sanafe.py says which programs have a counterpart, and checks before this runs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sanafe  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

Arrays = dict[str, Any]
NEVER = float(1 << 52)


def read(path: str) -> Arrays:
    """All arrays of an .npz."""
    with np.load(path) as file:
        return dict(file)


def windows(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> list[tuple[int, int, int]]:
    """(target, kernel entry, source) along one axis."""
    targets = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    found = [(o, k, o * stride + k * dilation - before) for o in range(targets) for k in range(kernel)]
    return [(o, k, i) for o, k, i in found if 0 <= i < size]


def pooled(pool: dict[str, Any]) -> tuple[list[list[int]], int]:
    """Source -> pooled positions whose windows hold it, and how many positions there are."""
    (channels, height, width), (kh, kw) = pool["input_shape"], pool["kernel_size"]
    top, left, bottom, right = pool["padding"]
    y = windows(height, kh, pool["stride"][0], top, bottom, 1)
    x = windows(width, kw, pool["stride"][1], left, right, 1)
    rows, columns = max(o for o, _, _ in y) + 1, max(o for o, _, _ in x) + 1
    reached: list[list[int]] = [[] for _ in range(channels * height * width)]
    for c in range(channels):
        for oy, _, iy in y:
            for ox, _, ix in x:
                reached[(c * height + iy) * width + ix].append((c * rows + oy) * columns + ox)
    return reached, channels * rows * columns


def synapses(projection: dict[str, Any], arrays: Arrays, n_source: int) -> tuple[list[tuple[int, int]], list[float]]:
    """Pairs (source, target) and their weights."""
    kind, geometry, place = projection["synapse"], projection["geometry"], f"projection/{projection['name']}"
    codes = arrays[f"{place}/codes"]
    pool = projection["pool"]
    reached, n_seen = pooled(pool) if pool else ([[i] for i in range(n_source)], n_source)
    onward: list[list[tuple[int, int]]] = [[] for _ in range(n_seen)]
    if kind == "Dense":
        for target, source in np.ndindex(codes.shape):
            onward[source].append((target, int(codes[target, source])))
    elif kind == "Diagonal":
        for i, code in enumerate(codes.tolist()):
            onward[i].append((i, code))
    elif kind == "Sparse":
        for target, source, code in zip(arrays[f"{place}/target"], arrays[f"{place}/source"], codes, strict=True):
            onward[int(source)].append((int(target), int(code)))
    else:
        out, per_group, kh, kw = codes.shape
        _, height, width = geometry["input_shape"]
        top, left, bottom, right = geometry["padding"]
        y = windows(height, kh, geometry["stride"][0], top, bottom, geometry["dilation"][0])
        x = windows(width, kw, geometry["stride"][1], left, right, geometry["dilation"][1])
        rows, columns = max(o for o, _, _ in y) + 1, max(o for o, _, _ in x) + 1
        group_out = out // geometry["groups"]
        for o, i in np.ndindex(out, per_group):
            channel = o // group_out * per_group + i
            for oy, ky, iy in y:
                for ox, kx, ix in x:
                    target = (o * rows + oy) * columns + ox
                    onward[(channel * height + iy) * width + ix].append((target, int(codes[o, i, ky, kx])))
    pairs, weights = [], []
    for source, seen in enumerate(reached):
        for position in seen:
            for target, code in onward[position]:
                pairs.append((source, target))
                weights.append(float(code << projection["exponent"]))
    return pairs, weights


def attributes(family: str, params: dict[str, Any], i: int) -> dict[str, Any]:
    """Attributes of SANA-FE's leaky_integrate_fire for neuron i: it fires on v > threshold."""

    def value(name: str, default: int = 0) -> int:
        array = params.get(name)
        return default if array is None else int(array if array.ndim == 0 else array[i])

    common = {"leak_decay": 1.0, "bias": float(value("bias"))}
    if family == "integrator":
        return {**common, "threshold": NEVER, "reset_mode": "none"}
    if value("reset") == 0:
        return {**common, "threshold": float(value("v_threshold")), "reset_mode": "soft"}
    threshold, reset = float(value("v_threshold") - 1), float(value("v_reset"))
    return {**common, "threshold": threshold, "reset_mode": "hard", "reset": reset}


def build(arch: Any, header: dict[str, Any], arrays: Arrays, raster: Any, units: dict[str, Any]) -> Any:
    """The network, mapped to the cores of `arch`."""
    net, groups, cores = sanafe.Network(), {}, arch.cores()
    core_of = {}
    for s in header["placements"]:
        for i in range(s["start"], s["stop"]):
            core_of[s["population"], i] = s["core"]
    used: dict[int, int] = {}
    first = 0
    for p in header["populations"]:
        name, size = p["name"], int(np.prod(p["shape"]))
        params = {key: arrays[f"population/{name}/{key}"] for key in p["params"]}
        group = groups[name] = net.create_neuron_group(name, size)
        for i, neuron in enumerate(group.neurons):
            if p["family"] in ("input", "generator"):
                spikes = raster[:, first + i] if p["family"] == "input" else fixed(params, i, len(raster))
                core = core_of[name, i]
                unit, used[core] = units["inputs"][used.get(core, 0)], used.get(core, 0) + 1
                neuron.set_attributes(soma_hw_name=unit, model_attributes={"spikes": [bool(n) for n in spikes]})
            else:
                neuron.set_attributes(
                    soma_hw_name=units["soma"][name],
                    default_synapse_hw_name=units["synapse"][name],
                    model_attributes=attributes(p["family"], params, i),
                )
        first += size if p["family"] == "input" else 0
    for q in header["projections"]:
        source = groups[q["source"]]
        pairs, weights = synapses(q, arrays, len(source.neurons))
        if pairs:
            source.connect_neurons_sparse(groups[q["target"]], {"weight": weights}, pairs)
    for name, group in groups.items():
        for i, neuron in enumerate(group.neurons):
            neuron.map_to_core(cores[core_of[name, i]])
    return net


def fixed(params: dict[str, Any], i: int, n_steps: int) -> Any:
    """The spikes of neuron i of a generator."""
    spikes = np.zeros(n_steps, int)
    times = params["time"][params["index"] == i]
    spikes[times[times < n_steps]] = 1
    return spikes


def main(program: str, job: str, architecture: str, result: str) -> None:
    """Build, run without SANA-FE's own printing, and write the totals."""
    arrays, given = read(program), read(job)
    header, units = json.loads(bytes(arrays["header"]).decode()), json.loads(str(given["units"]))
    arch = sanafe.load_arch(architecture)
    chip = sanafe.SpikingChip(arch)
    chip.load(build(arch, header, arrays, given["raster"], units))
    silent, shown = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    os.dup2(silent, 1)
    try:
        got = chip.sim(len(given["raster"]), timing_model="simple")
    finally:
        os.dup2(shown, 1)
    kept = ("spikes", "packets_sent", "neurons_updated", "neurons_fired", "sim_time", "energy")
    Path(result).write_text(json.dumps({name: got[name] for name in kept}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
