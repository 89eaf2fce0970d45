"""LIF networks through Lava's own processes, into lava/: floating point and fixed point, dense, convolutional, with loops.

Lava has no exporter. The files are plain NIR, and the networks get Lava's fields as NIR's paper/nir_to_lava.py gives them, one
connection process for a weighted node: du = 1, dv = dt / tau, weights and biases times dt / tau, v_threshold; r, v_leak and
v_reset are not read. Fixed point: du = 4095, dv = int(dt / tau * 4095), vth = int(v_threshold * 131071) >> 9, and weights
int(W dt / tau * 256), without biases. Run in snnport's environment with torch, after `make lava`: python record_lava.py.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from recording import DRIVES, About, Recordings, seeded, spikes

from snnport.graph import build
from snnport.importers.dialects import DIALECTS
from snnport.reference import run_spiking

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".venv-lava" / "bin" / "python"
DT = 1e-4
Array = np.ndarray[Any, Any]


@dataclass
class Layer:
    """One LIF population behind a weighted node. size: n, or (channels, height, width) behind a convolution.

    tau: dt / tau of one neuron after the other, in turn. loop: whether it feeds itself. back: a later layer that feeds it too.
    """

    size: Any
    ratio: tuple[float, ...] = (1 / 16,)
    v_threshold: tuple[float, ...] = (0.25,)
    bias: bool = False
    loop: bool = False
    back: int | None = None
    kernel: int = 0
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    extra: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    """Build, run and write every network."""
    book = Recordings("lava", ())
    book.packages = ("nir", "numpy")
    add(book, "one_layer", 6, [Layer(8)])
    add(book, "three_layers", 6, [Layer(10), Layer(8), Layer(5)])
    add(book, "several_time_constants", 6, [Layer(8, (1 / 16, 1 / 8, 1 / 2, 1 / 64, 1.0), (0.25, 0.5))])
    add(book, "bias", 6, [Layer(8, bias=True), Layer(5, bias=True)])
    add(book, "loop", 6, [Layer(8, loop=True)])
    add(book, "two_loops_and_bias", 6, [Layer(8, loop=True, bias=True), Layer(5, (1 / 8, 1 / 32), loop=True, bias=True)])
    add(book, "feedback", 6, [Layer(8, back=1), Layer(6, (1 / 4,))])
    add(book, "what_lava_does_not_read", 6, [Layer(8, extra={"r": 3.0, "v_leak": 0.5, "v_reset": -1.0}), Layer(5)])
    add(book, "convolution", (2, 7, 6), [Layer((3, 5, 4), kernel=3)])
    add(book, "convolution_bias", (2, 7, 6), [Layer((3, 4, 6), kernel=3, stride=(2, 1), padding=(1, 1), bias=True), Layer(5)])
    add(
        book,
        "two_convolutions",
        (1, 8, 8),
        [Layer((4, 4, 4), kernel=4, stride=(2, 2), padding=(1, 1)), Layer((2, 3, 3), kernel=2)],
    )
    add(book, "ratio_of_no_binary_fraction", 6, [Layer(8, (0.04, 0.3)), Layer(5, (0.07,), bias=True)], grid=0)
    add(book, "loop_of_no_binary_fraction", 6, [Layer(8, (0.013,), loop=True), Layer(5, (0.21,))], grid=0)
    add(book, "fixed_one_layer", 6, [Layer(8, v_threshold=(0.1,))], fixed=True)
    add(book, "fixed_two_layers", 6, [Layer(10, (0.04,), (0.1,)), Layer(5, (0.3,), (0.2,))], fixed=True)
    add(book, "fixed_time_constants", 6, [Layer(8, (0.04, 0.3, 0.0171, 1.0), (0.1, 0.17)), Layer(5)], fixed=True)
    book.save()
    path = book.folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["versions"]["lava-nc"] = _version()
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def add(book: Recordings, name: str, inputs: Any, layers: list[Layer], fixed: bool = False, grid: int = 64) -> None:
    """Record one network, with the first mean of weights that makes every layer fire."""
    x = spikes(name, *((inputs,) if isinstance(inputs, int) else inputs), steps=120)
    spoken = {"dialect": "lava-fixed" if fixed else "lava"}
    for drive in DRIVES:
        graph, plan, arrays = network(name, inputs, layers, drive, fixed, grid)
        # Lava takes seconds to start, so the drive is chosen with the reference; what is recorded is Lava's.
        rates = [
            raster.mean() for raster in run_spiking(graph, x.numpy(), DIALECTS[spoken["dialect"]].convention).spikes.values()
        ]
        if min(rates) >= 0.02 and max(rates) <= 0.5:
            break
    else:
        raise ValueError(f"{name}: no drive makes every layer fire, the last gave {rates}")
    found = run({**plan, "steps": x.shape[1]}, arrays, x)
    fired = {key: torch.tensor(value) for key, value in found.items() if key.startswith("spikes/")}
    v = {key.removeprefix("v/"): torch.tensor(value) for key, value in found.items() if key.startswith("v/")}
    left_open = ("dt",) if any(layer.extra for layer in layers) else ("dt", "reset")
    about = About("nir", spoken, left_open, bound=0.0 if fixed else 1e-15, exact=bool(grid))
    book.add(name, graph, x, {key.removeprefix("spikes/"): raster for key, raster in fired.items()}, about, v)


def network(
    name: str, inputs: Any, layers: list[Layer], drive: float, fixed: bool, grid: int
) -> tuple[Any, Any, dict[str, Array]]:
    """The NIR graph, and Lava's network: plan and arrays of run_lava.py."""
    shape = (inputs,) if isinstance(inputs, int) else tuple(inputs)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shape)})}
    edges, arrays, plan = [], {}, {"fixed": fixed, "populations": {}, "connections": []}
    before, source, lava_source = shape, "input", "input"
    for k, layer in enumerate(layers):
        cells, own = f"lif{k}", layer.size if isinstance(layer.size, tuple) else (layer.size,)
        n = int(np.prod(own))
        ratio, v_threshold = (np.resize(values, n) for values in (layer.ratio, layer.v_threshold))
        if len(own) == 3:
            ratio, v_threshold = np.full(n, layer.ratio[0]), np.full(n, layer.v_threshold[0])
        tau = DT / ratio
        nodes[cells] = nir.LIF(
            tau=tau.reshape(own),
            r=np.full(own, layer.extra.get("r", 1.0)),
            v_leak=np.full(own, layer.extra.get("v_leak", 0.0)),
            v_threshold=v_threshold.reshape(own),
            v_reset=np.full(own, layer.extra.get("v_reset", 0.0)),
        )
        plan["populations"][cells] = own
        gain = DT / tau
        arrays |= fields(cells, gain, v_threshold, fixed)
        out = own[0] if layer.kernel else n
        bias = drawn(f"{name} {k} bias", (out,), 0.0, 0.1, grid) if layer.bias else None
        if layer.kernel:
            weight = drawn(f"{name} {k}", (out, before[0], layer.kernel, layer.kernel), drive, 0.3, grid)
            node = nir.Conv2d(before[1:], weight, layer.stride, layer.padding, 1, 1, np.zeros(out) if bias is None else bias)
            how = {"kind": "conv", "input_shape": before, "stride": layer.stride, "padding": layer.padding}
        else:
            weight = drawn(f"{name} {k}", (n, int(np.prod(before))), drive, 0.35, grid)
            node = nir.Linear(weight) if bias is None else nir.Affine(weight, bias)
            how = {"kind": "dense"}
            if len(before) == 3:
                nodes[f"flatten{k}"] = nir.Flatten({"input": np.array(before)}, 0, -1)
                edges.append((source, f"flatten{k}"))
                source = f"flatten{k}"
        nodes[f"w{k}"] = node
        edges += [(source, f"w{k}"), (f"w{k}", cells)]
        join(plan, arrays, lava_source, cells, weight, gain, fixed, how)
        if bias is not None:
            arrays[f"bias/{cells}"] = np.repeat(bias, n // out) * gain
        if layer.loop:
            around = drawn(f"{name} {k} loop", (n, n), -0.02, 0.15, grid)
            nodes[f"around{k}"] = nir.Linear(around)
            edges += [(cells, f"around{k}"), (f"around{k}", cells)]
            join(plan, arrays, cells, cells, around, gain, fixed, {"kind": "dense"})
        before, source, lava_source = own, cells, cells
    for k, layer in enumerate(layers):
        if layer.back is not None:
            n, m = (int(np.prod(plan["populations"][f"lif{i}"])) for i in (k, layer.back))
            back = drawn(f"{name} {k} back", (n, m), -0.05, 0.2, grid)
            nodes[f"back{k}"] = nir.Linear(back)
            edges += [(f"lif{layer.back}", f"back{k}"), (f"back{k}", f"lif{k}")]
            gain = DT / np.asarray(nodes[f"lif{k}"].tau).reshape(-1)
            join(plan, arrays, f"lif{layer.back}", f"lif{k}", back, gain, fixed, {"kind": "dense"})
    nodes["output"] = nir.Output({"output": np.array(before)})
    edges.append((source, "output"))
    return build(nodes, edges), plan, arrays


def fields(cells: str, gain: Array, v_threshold: Array, fixed: bool) -> dict[str, Array]:
    """Lava's fields of a LIF population, one value a neuron."""
    n = len(gain)
    if fixed:
        found = {"du": np.full(n, 4095), "dv": (gain * 4095).astype(int), "vth": (v_threshold * 131071).astype(int) >> 9}
    else:
        found = {"du": np.ones(n), "dv": gain, "vth": v_threshold}
    return {f"{key}/{cells}": value for key, value in found.items()} | {f"bias/{cells}": np.zeros(n, int if fixed else float)}


def join(
    plan: Any, arrays: dict[str, Array], source: str, target: str, weight: Array, gain: Array, fixed: bool, how: Any
) -> None:
    """One more connection of Lava's network, its weights times dt / tau of the target (the same within a channel)."""
    rows = gain.reshape(weight.shape[0], -1)[:, 0].reshape(-1, *(1,) * (weight.ndim - 1))
    scaled = weight * rows
    arrays[f"weight/{len(plan['connections'])}"] = (scaled * 256).astype(int) if fixed else scaled
    plan["connections"].append({"source": source, "target": target, **how})


def drawn(name: str, shape: tuple[int, ...], mean: float, spread: float, grid: int) -> Array:
    """Random numbers, multiples of 1 / grid; of any value where grid is 0."""
    values = mean + spread * torch.randn(shape, generator=seeded(name), dtype=torch.float64).numpy()
    return np.round(values * grid) / grid if grid else values


def run(plan: Any, arrays: dict[str, Array], x: torch.Tensor) -> dict[str, Array]:
    """What Lava gives: spikes/NAME and v/NAME (n_samples, n_steps, n)."""
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "network.npz", Path(folder) / "result.npz"
        np.savez(given, plan=np.array(json.dumps(plan)), x=x.flatten(2).numpy(), **arrays)
        subprocess.run([str(PYTHON), str(HERE / "run_lava.py"), str(given), str(result)], check=True)
        with np.load(result) as file:
            return dict(file)


def _version() -> str:
    ask = "from importlib.metadata import version; print(version('lava-nc'))"
    return subprocess.run([str(PYTHON), "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
