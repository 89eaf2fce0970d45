"""The networks that are written for every importer, each with what its source framework means by it and an input to run.

Weights are drawn once and stored (sources.npz); this is how they were made.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.convention import PLAIN, Convention
from snnport.graph import Graph, build, chain
from snnport.importers.dialect_table import DIALECTS
from snnport.nodes import flatten_node, input_node, output_node

STEPS, SAMPLES = 120, 2


def rules(dialect: str, **changes: Any) -> Convention:
    """The convention of a dialect with its open points settled."""
    return DIALECTS[dialect].convention.having(**changes)


def full(shape: Sequence[int], *values: Any) -> list[Any]:
    return [np.array(np.broadcast_to(np.asarray(value, float), shape)) for value in values]


def lif(shape: Sequence[int], tau: Any, r: Any = 1.0, leak: Any = 0.0, threshold: Any = 1.0, reset: Any = 0.0) -> nir.LIF:
    return nir.LIF(*full(shape, tau, r, leak, threshold, reset))


def cuba(shape: Sequence[int], tau_syn: Any, tau_mem: Any, r: Any, w_in: Any, threshold: Any = 1.0) -> nir.CubaLIF:
    return nir.CubaLIF(*full(shape, tau_syn, tau_mem, r, 0.0, threshold, 0.0, w_in))


def integrate(shape: Sequence[int], r: Any = 1.0, threshold: Any = 1.0, reset: Any = 0.0) -> nir.IF:
    return nir.IF(*full(shape, r, threshold, reset))


def conv(rng: np.random.Generator, shape: Sequence[int], outputs: int, k: int, stride: int = 1, **draw: float) -> nir.Conv2d:
    weight = rng.normal(draw.get("mean", 0.05), draw.get("spread", 0.3), (outputs, shape[0], k, k))
    bias = rng.normal(0, 0.03, outputs)
    options: Any = (tuple(shape[1:]), weight.astype(np.float32), (stride, stride), (k // 2, k // 2), (1, 1), 1, bias)
    return nir.Conv2d(*options)


def pool(kind: Any, k: int) -> Any:
    return kind(np.array([k, k]), np.array([k, k]), np.array([0, 0]))


def said(graph: Graph, convention: Convention) -> Graph:
    header = {"version": 1, "coding": None, "convention": convention.to_json()}
    return build(graph.nodes, graph.edges, {"snnport": json.dumps(header)})


def layers(shape: Sequence[int], nodes: dict[str, Any], out: Sequence[int], convention: Convention) -> Graph:
    return said(chain({"input": input_node(shape), **nodes, "output": output_node(out)}), convention)


def drawn(rng: np.random.Generator, out: int, into: int, mean: float = 0.1, spread: float = 0.5) -> Any:
    return rng.normal(mean, spread, (out, into)).astype(np.float32)


def networks() -> dict[str, Graph]:
    """Name -> graph, its convention in its metadata."""
    rng = np.random.default_rng(20)
    dt = 1e-4
    made: dict[str, Graph] = {}
    bias = rng.normal(0, 0.05, (8, 12)).astype(np.float32)
    made["snntorch-zero-dense"] = layers(
        (6,),
        {
            "fc1": nir.Affine(drawn(rng, 10, 6), bias[0, :10]),
            "lif1": lif((10,), dt / (1 - 0.9), 10.0, 0.0, 1.0),
            "fc2": nir.Linear(drawn(rng, 4, 10)),
            "lif2": lif((4,), dt / (1 - np.array([0.5, 0.7, 0.8, 0.95])), 1 / (1 - np.array([0.5, 0.7, 0.8, 0.95]))),
        },
        (4,),
        rules("snntorch", reset="zero"),
    )
    made["snntorch-subtract-dense"] = layers(
        (6,),
        {"fc1": nir.Affine(drawn(rng, 10, 6), bias[1, :10]), "lif1": lif((10,), dt / 0.1, 10.0)},
        (10,),
        rules("snntorch", reset="subtract", reset_when="carried"),
    )
    small = np.abs(drawn(rng, 8, 6, 0.0, 0.1)).clip(0, 0.16)
    made["subtract-small-weights"] = layers(
        (6,),
        {
            "fc1": nir.Linear(small),
            "if1": integrate((8,)),
            "fc2": nir.Linear(np.abs(drawn(rng, 5, 8, 0.0, 0.1)).clip(0, 0.12)),
            "lif2": lif((5,), -1 / np.log(0.875), 1.0),
        },
        (5,),
        rules("sinabs", multi_spike=False, v_min=None, name="one-spike"),
    )
    made["snntorch-subtract-small-weights"] = layers(
        (6,),
        {"fc1": nir.Linear(small), "lif1": lif((8,), dt / 0.125, 8.0)},
        (8,),
        rules("snntorch", reset="subtract", reset_when="carried"),
    )
    made["snntorch-cuba-recurrent"] = recurrent(rng, rules("snntorch", reset="zero"))
    made["norse-integrators-conv"] = layers(
        (2, 12, 12),
        {
            "conv1": conv(rng, (2, 12, 12), 4, 3),
            "if1": integrate((4, 12, 12)),
            "pool": pool(nir.SumPool2d, 2),
            "conv2": conv(rng, (4, 6, 6), 3, 3, 2, spread=0.2),
            "if2": integrate((3, 3, 3), threshold=1.5),
            "flat": flatten_node((3, 3, 3)),
            "fc": nir.Affine(drawn(rng, 5, 27), bias[2, :5]),
            "if3": integrate((5,), threshold=np.array([0.5, 1.0, 1.5, 2.0, 2.5])),
        },
        (5,),
        rules("norse", reset="zero"),
    )
    made["sinabs-integrators-conv"] = layers(
        (2, 12, 12),
        {
            "conv1": conv(rng, (2, 12, 12), 4, 3),
            "if1": integrate((4, 12, 12)),
            "pool": pool(nir.SumPool2d, 2),
            "flat": flatten_node((4, 6, 6)),
            "fc": nir.Affine(drawn(rng, 5, 144, 0.02, 0.1), bias[3, :5]),
            "if2": integrate((5,)),
        },
        (5,),
        rules("sinabs"),
    )
    made["nir-many-constants"] = layers(
        (6,),
        {
            "fc1": nir.Affine(drawn(rng, 8, 6, 0.5, 1.0), bias[4, :8]),
            "lif1": lif(
                (8,),
                1e-3 * np.linspace(0.5, 4, 8),
                np.linspace(2, 9, 8),
                np.linspace(-0.2, 0.2, 8),
                np.linspace(0.5, 1.5, 8),
                np.linspace(-0.2, 0.2, 8),
            ),
            "fc2": nir.Linear(drawn(rng, 4, 8, 0.5, 1.0)),
            "lif2": lif((4,), 2e-3, 3.0, 0.1, 1.0, -0.3),
        },
        (4,),
        PLAIN,
    )
    made["sinabs-leaky-readout"] = layers(
        (6,),
        {
            "fc1": nir.Affine(drawn(rng, 8, 6), bias[5, :8]),
            "lif1": lif((8,), np.array([5.0, 10.0] * 4)),
            "fc2": nir.Affine(drawn(rng, 3, 8), np.zeros(3)),
            "li": nir.LI(*full((3,), 20.0, 1.0, 0.0)),
        },
        (3,),
        rules("sinabs", v_min=None),
    )
    made["sinabs-leaky-dense"] = layers(
        (6,),
        {
            "fc1": nir.Affine(drawn(rng, 8, 6), bias[6, :8]),
            "lif1": lif((8,), np.array([5.0, 10.0] * 4)),
            "fc2": nir.Affine(drawn(rng, 3, 8), np.zeros(3)),
            "lif2": lif((3,), 20.0, threshold=2.0),
        },
        (3,),
        rules("sinabs", v_min=None),
    )
    made["spikingjelly-value-conv"] = layers(
        (2, 12, 12),
        {
            "conv": conv(rng, (2, 12, 12), 4, 3, 2),
            "lif1": lif((4, 6, 6), 2e-4, 1.0, -0.1, 0.4, -0.1),
            "pool": pool(nir.AvgPool2d, 3),
            "flat": flatten_node((4, 2, 2)),
            "fc": nir.Affine(drawn(rng, 4, 16), bias[7, :4]),
            "lif2": lif((4,), 1e-3, 10.0),
        },
        (4,),
        rules("spikingjelly"),
    )
    made["norse-cuba"] = layers(
        (6,),
        {
            "fc1": nir.Linear(drawn(rng, 8, 6, 0.3, 1.0)),
            "lif1": cuba((8,), 5e-3, np.linspace(4e-3, 2e-2, 8), 1.0, 1.0),
            "fc2": nir.Linear(drawn(rng, 4, 8, 0.3, 2.0)),
            "lif2": cuba((4,), 5e-3, 1e-2, 1.0, 1.0, 0.5),
        },
        (4,),
        rules("norse", reset="zero"),
    )
    made["rockpool-recurrent"] = recurrent(rng, rules("rockpool"), tau=(5e-3, 1e-2))
    made["rockpool-dense"] = layers(
        (6,),
        {
            "fc1": nir.Linear(drawn(rng, 8, 6)),
            "lif1": cuba((8,), 5e-3, np.linspace(4e-3, 2e-2, 8), 1.0, 1.0),
            "fc2": nir.Linear(drawn(rng, 4, 8)),
            "lif2": cuba((4,), 2e-3, 1e-2, 1.0, 1.0, 0.5),
        },
        (4,),
        rules("rockpool"),
    )
    made["nir-delay"] = layers(
        (6,),
        {
            "fc1": nir.Linear(drawn(rng, 8, 6)),
            "lif1": lif((8,), 1e-3, 5.0),
            "delay": nir.Delay(np.full(8, 3e-4)),
            "fc2": nir.Linear(drawn(rng, 4, 8)),
            "lif2": lif((4,), 1e-3, 5.0),
        },
        (4,),
        PLAIN,
    )
    made["nir-skip"] = skip(rng)
    made["lava-dense"] = layers(
        (6,),
        {
            "fc1": nir.Linear(drawn(rng, 8, 6, 0.5, 2.0)),
            "lif1": lif((8,), 1e-3),
            "fc2": nir.Linear(drawn(rng, 4, 8, 2.0, 4.0)),
            "lif2": lif((4,), 1e-3),
        },
        (4,),
        rules("lava"),
    )
    made["spyx-dense"] = layers(
        (6,),
        {
            "fc1": nir.Linear(drawn(rng, 8, 6)),
            "lif1": lif((8,), 1 / (1 - 0.875)),
            "fc2": nir.Linear(drawn(rng, 4, 8)),
            "lif2": lif((4,), 1 / (1 - 0.75)),
        },
        (4,),
        rules("spyx"),
    )
    made["gate-code"] = converted()
    return made


def recurrent(rng: np.random.Generator, convention: Convention, tau: tuple[float, float] = (2e-4, 1e-3)) -> Graph:
    """One recurrent hidden layer, its loop with a bias except in Rockpool, and a layer behind it."""
    dt, (syn, mem) = convention.dt, tau
    loop = 0.0 if convention.name == "rockpool" else 0.05
    nodes = {
        "input": input_node((6,)),
        "fc1": nir.Affine(drawn(rng, 10, 6, 0.1, 0.4), np.zeros(10)),
        "lif1": cuba((10,), syn, mem, mem / dt, syn / dt),
        "w_rec": nir.Affine(drawn(rng, 10, 10, -0.1, 0.3), np.full(10, loop)),
        "fc2": nir.Linear(drawn(rng, 4, 10)),
        "lif2": cuba((4,), syn, mem, mem / dt, syn / dt),
        "output": output_node((4,)),
    }
    edges = [("input", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "output")]
    return said(build(nodes, [*edges, ("lif1", "w_rec"), ("w_rec", "lif1")]), convention)


def skip(rng: np.random.Generator) -> Graph:
    """Two branches that meet."""
    nodes = {
        "input": input_node((6,)),
        "a": nir.Linear(drawn(rng, 8, 6)),
        "lif_a": lif((8,), 1e-3, 5.0),
        "b": nir.Linear(drawn(rng, 8, 6)),
        "lif_b": lif((8,), 2e-3, 9.0),
        "join": nir.Linear(drawn(rng, 4, 8)),
        "lif": lif((4,), 1e-3, 5.0),
        "output": output_node((4,)),
    }
    edges = [("input", "a"), ("a", "lif_a"), ("lif_a", "join"), ("input", "b"), ("b", "lif_b"), ("lif_b", "join")]
    return said(build(nodes, [*edges, ("join", "lif"), ("lif", "output")]), PLAIN)


def converted() -> Graph:
    """The network that ships with snnport, converted losslessly by the gate code."""
    from snnport.api import convert
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.prepare import InputOptions
    from snnport.importers.nir import read_nir
    from snnport.models.digits import DIGITS

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
        convert(DIGITS.onnx, path, inputs=inputs, options=ConvertOptions(levels=4))
        return read_nir(path).graph


def raster(graph: Graph, seed: int) -> Any:
    """Spikes (SAMPLES, STEPS, n) for the graph's input."""
    shape = next(tuple(node.input_type["input"]) for node in graph.nodes.values() if isinstance(node, nir.Input))
    return (np.random.default_rng(seed).random((SAMPLES, STEPS, int(np.prod(shape)))) < 0.35).astype(np.uint8)
