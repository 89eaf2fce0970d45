"""What the integers of Speck cost: sinabs's scales beside fitted ones, on real networks and on one with an outlier.

    python benchmarks/speck_quantisation.py DATA_FOLDER [SAMPLES [NETWORKS]]

The networks were trained on N-MNIST, of which the folder has one sample; their input here are events of MNIST images that move
one pixel a step along three saccades. Every network in integers runs in Sinabs' steps beside itself in real numbers: share of
samples with the same class, spikes that differ (sum of differences of counts over neurons and samples, as a share of the
spikes), and the accuracy. The outlier: the quietest channel of the first layer is silenced, and one of its weights into the
second layer, which no training could keep small then, is 50 times the greatest. Scales are chosen on other samples than those
that are counted.
"""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from snnport.encoders import Stimulus
from snnport.graph import Graph, build, with_nodes
from snnport.importers.nir import read_nir
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_speck import QuantizeSpeck
from snnport.sim.asynchronous import run
from snnport.targets.agreement import Answers
from snnport.targets.base import resolve_target

NETWORKS = (
    "snntorch__examples-scnn_mnist__89e0a618",
    "inNuCE_BRANDY-2025__cnn_sinabs__e75ac8ec",
    "inNuCE_BRANDY-2025__exported_models-10__a031194d",
    "inNuCE_BRANDY-2025__exported_models-100__35ab69b9",
)
SIDE, STEPS, CHOOSING = 34, 60, 16
SACCADES = ((1, 2), (1, -2), (-2, 0))
"""Pixels (right, down) in two steps, twenty steps each."""


def moving(images: np.ndarray) -> np.ndarray:
    """Events (n, STEPS, 2, SIDE, SIDE) of images (n, 28, 28): darker in channel 0, brighter in channel 1."""
    at = np.zeros((STEPS + 1, 2), int)
    for t in range(STEPS):
        right, down = SACCADES[t // 20]
        step = np.array([down * (t % 2), right * (t % 2)]) if t % 20 < 10 else -np.array([down * (t % 2), right * (t % 2)])
        at[t + 1] = at[t] + np.sign(step)
    frames = np.zeros((len(images), STEPS + 1, SIDE, SIDE))
    for t, (down, right) in enumerate(at):
        y, x = 3 + int(np.clip(down, -3, 3)), 3 + int(np.clip(right, -3, 3))
        frames[:, t, y : y + 28, x : x + 28] = images / 255.0
    change = np.diff(frames, axis=1)
    return np.stack([change < -0.25, change > 0.25], axis=2).astype(np.uint8)


def labelled(data: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n test images of MNIST and their labels."""
    x = np.frombuffer(gzip.decompress((data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    y = np.frombuffer(gzip.decompress((data / "mnist/t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    return x.reshape(-1, 28, 28)[:n], y[:n]


def opened(path: Path) -> Graph:
    """The network of a file as sinabs means it."""
    imported = read_nir(path, dialect="sinabs")
    assert imported.convention is not None
    header = {"version": 1, "coding": None, "convention": imported.convention.to_json()}
    return build(imported.graph.nodes, imported.graph.edges, {**imported.graph.metadata, "snnport": json.dumps(header)})


def with_outlier(graph: Graph, answers: Answers) -> tuple[Graph, str]:
    """The quietest channel of the first convolution never fires, and has one weight 50 times the greatest in the second."""
    first, second = [name for name, node in graph.nodes.items() if isinstance(node, nir.Conv2d)][:2]
    before, weight = (np.array(graph.nodes[name].weight) for name in (first, second))
    source = answers.spikes[next(b for a, b in graph.edges if a == first)]
    quietest = int(source.sum(axis=(0, 1)).reshape(len(before), -1).sum(axis=1).argmin())
    before[quietest] = -np.abs(before[quietest])
    weight[0, quietest, 0, 0] = 50 * np.abs(weight).max()
    nodes = {first: replace(graph.nodes[first], weight=before), second: replace(graph.nodes[second], weight=weight)}
    return with_nodes(graph, nodes), second


def judged(graph: Graph, x: np.ndarray, y: np.ndarray) -> None:
    """Print a line for every way to choose the scales."""
    target = resolve_target("speck2f")
    raster = x.reshape(*x.shape[:2], -1)
    choosing, rest = raster[:CHOOSING], raster[CHOOSING:]
    wanted = Answers.of_graph(graph, rest)
    print(f"    in real numbers      accuracy {np.mean(wanted.classes == y[CHOOSING:]):.3f}")
    ways = {
        "sinabs": (QuantizeSpeck(method="sinabs"),),
        "fitted, no samples": target.passes_for(graph),
        "fitted, 16 samples": target.passes_for(graph, choosing),
    }
    for name, passes in ways.items():
        program = target.lowering(run_passes(graph, passes, Context()), target.chip)
        found = run(program, Stimulus(rest, None, STEPS), order="time-stepped", all_counts=True, threads=1)
        classes = found.spike_counts[program.outputs[0]].argmax(axis=1)
        apart = sum(int(np.abs(found.spike_counts[k] - s.sum(axis=1)).sum()) for k, s in wanted.spikes.items())
        total = sum(int(s.sum()) for s in wanted.spikes.values())
        same, right = np.mean(classes == wanted.classes), np.mean(classes == y[CHOOSING:])
        figures = f"accuracy {right:.3f}, same class {same:.3f}, spikes apart {apart / max(total, 1):.4f}"
        print(f"    {name:20} {figures}  {passes[0].spelling}", flush=True)


def main() -> None:
    """Judge all networks."""
    data, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 128
    images, y = labelled(data, n)
    x = moving(images)
    for name in NETWORKS[: int(sys.argv[3]) if len(sys.argv) > 3 else None]:
        graph = opened(data / "nir" / f"{name}.nir")
        print(f"{name}, {n - CHOOSING} samples")
        judged(graph, x, y)
        if name == NETWORKS[0]:
            outlier, layer = with_outlier(graph, Answers.of_graph(graph, x[:CHOOSING].reshape(CHOOSING, STEPS, -1)))
            print(f"{name} with an outlier in {layer}")
            judged(outlier, x, y)


if __name__ == "__main__":
    main()
