"""Conversions beside the field: same networks, same data, the same number of steps.

Usage: python benchmarks/conversion.py DATA [--samples 1000] [--cifar 1000] [--networks LeNet-5,mnist-8,ResNet-20]
[--finetune RECIPE] [--tuned NETWORK=FILE.nir@SECONDS,..] [--no-peers]. DATA holds mnist/, cifar10/ and ann/ (as the tests'
SNNPORT_DATA). Peers run as PEP 723 scripts under uv (UV names it). --finetune: the MNIST networks, by `snnport convert`;
--tuned: files that it wrote before, taken as they are, with the time that they took. Writes benchmarks/CONVERSION.md and,
beside it, every number as CONVERSION.json; numbers there of other networks are kept, and with --no-peers the peers' too.

What T means. Peers: steps in which every layer works on the spikes of the same step, so that on a machine in which a spike
takes a step they take T + depth - 1. snnport's gate code: a window of T steps a layer (T levels); its latency is the sum of the
windows, its period (steps from one sample to the next) 2 T - 1, or 3 T - 1 with a skip over a block. Graded: 1, a layer works
in one step. All are in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.convention import coding_of
from snnport.datasets import Samples
from snnport.encoders import encoder_of
from snnport.flow.convert import FOLDING, ConvertOptions, convert_graph
from snnport.flow.model import ReadOptions, open_model
from snnport.flow.prepare import InputOptions
from snnport.graph import Graph, names_of, predecessors, shapes, topological_order
from snnport.nodes import WEIGHTED_NODES, MaxPool2d, QuantReLU, ReLU, pair
from snnport.passes.base import Context, run_passes
from snnport.passes.codes.gate import least_period
from snnport.passes.quantize_weights import weights_of
from snnport.passes.spike import Spike
from snnport.passes.unspike import quantised_ann
from snnport.reference import forward, node_function, values_at

HERE = Path(__file__).parent
STEPS = (2, 4, 8, 16, 32, 64)
BITS, WIDE = 8, 12
"""Bits of a weight of ours; the peers' weights are floats, which shows where there are steps enough to tell, so WIDE there."""
CALIBRATION = 256
TUNED = (2, 4, 8)
"""Windows at which the MNIST networks are fine-tuned, on TRAINING training images without their labels."""
TRAINING = 10_000
PEERS = {
    "convert_spikingjelly.py": "max,99.9%,balanced",
    "convert_normalised.py": "99.9,99.9+half",
    "convert_sinabs.py": "plain,normalised",
}


@dataclass(frozen=True)
class Task:
    """A network with its data. inputs: how files are read."""

    name: str
    model: Path
    builder: str | None
    images: Path
    labels: Path
    calibration: Path
    inputs: InputOptions
    calibration_inputs: InputOptions


@dataclass(frozen=True)
class Row:
    """One measurement. spikes, operations: an inference. steps, period: None where the peer has no such notion."""

    network: str
    method: str
    T: int
    accuracy: float
    agreement: float
    spikes: float
    operations: float
    latency: int | None
    period: int | None
    conversion_s: float
    samples: int


def tasks(data: Path) -> dict[str, Task]:
    """The networks by name."""
    mnist = data / "mnist"
    test = mnist / "t10k-images-idx3-ubyte.gz", mnist / "t10k-labels-idx1-ubyte.gz", mnist / "train-images-idx3-ubyte.gz"
    cifar, norm = data / "cifar10", {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    lenet, cntk = InputOptions(scale=255.0), InputOptions()
    x, y = (cifar / f"snntoolbox_binarynet_{n}_test1000.npz" for n in "xy")
    train = cifar / "convnetjs_cifar10_batch_0.png"
    test_scale, train_scale = InputOptions(scale=2.0, shift=0.5, **norm), InputOptions(scale=255.0, **norm)
    resnet = data / "ann" / "resnet20-12fca82f.th"
    found = (
        Task("LeNet-5", data / "ann" / "lenet5_torch_lenet.onnx", None, *test, lenet, lenet),
        Task("mnist-8", data / "ann" / "mnist_cntk_conv_opset8.onnx", None, *test, cntk, cntk),
        Task("ResNet-20", resnet, "resnet20", x, y, train, test_scale, train_scale),
    )
    return {task.name: task for task in found}


def case_of(graph: Graph, x: np.ndarray, y: np.ndarray, calibration: np.ndarray, path: Path) -> np.ndarray:
    """Write a folded float graph and its data for the peers; returns the float network's answers."""
    answers = forward(graph, x, chunk=64).reshape(len(x), -1).argmax(1)
    arrays: dict[str, Any] = {
        "x": x.astype(np.float32),
        "y": y,
        "answers": answers,
        "calibration": calibration.astype(np.float32),
    }
    nodes = []
    for name in topological_order(graph):
        node: Any = graph.nodes[name]
        entry: dict[str, Any] = {"name": _plain(name), "sources": [_plain(s) for s in predecessors(graph, name)], **_kind(node)}
        if entry["kind"] in ("conv", "linear"):
            bias = getattr(node, "bias", None)
            arrays[f"{_plain(name)}/weight"] = weights_of(node)
            arrays[f"{_plain(name)}/bias"] = np.zeros(len(node.weight)) if bias is None else np.asarray(bias)
        nodes.append(entry)
    np.savez(path, graph=json.dumps(nodes), **arrays)
    return answers


def _plain(name: str) -> str:
    return "n_" + name.replace(".", "_").replace("/", "_")


def _kind(node: Any) -> dict[str, Any]:
    if isinstance(node, nir.Conv2d):
        return {"kind": "conv", "stride": pair(node.stride), "padding": pair(node.padding), "groups": int(node.groups)}
    if isinstance(node, nir.Affine | nir.Linear):
        return {"kind": "linear"}
    if isinstance(node, MaxPool2d):
        top, left, bottom, right = node.padding
        assert (top, left) == (bottom, right), "torch pads both sides alike"
        return {"kind": "max", "kernel": node.kernel_size, "stride": node.stride, "padding": (top, left)}
    if isinstance(node, nir.AvgPool2d):
        return {"kind": "average", "kernel": pair(node.kernel_size), "stride": pair(node.stride)}
    kinds = {nir.Input: "input", nir.Output: "output", ReLU: "relu", nir.Flatten: "flatten", nir.Scale: "same"}
    return {"kind": kinds[type(node)]}


def counted(quantised: Graph, x: np.ndarray, *, once: bool) -> tuple[np.ndarray, float, float]:
    """Answers of a quantised ANN, and spikes and synaptic operations an inference: of counts, or of one spike each (`once`).

    The counts are the spikes of the lossless codes, one for one (docs/codes.md has the proofs, tests hold the engine to them).
    """
    encoder = encoder_of(quantised.metadata)
    masks = {name: _mask(name, quantised.nodes[name]) for name in names_of(quantised, *WEIGHTED_NODES)}
    rectifiers = names_of(quantised, QuantReLU)
    into = {name: predecessors(quantised, name)[0] for name in masks}
    output = names_of(quantised, nir.Output)[0]
    answers, spikes, operations = [], 0.0, 0.0
    for start in range(0, len(x), 50):
        counts = encoder.counts(x[start : start + 50])
        wanted = {*rectifiers, *into.values(), output}
        values = values_at(quantised, counts, wanted, integers=True, chunk=50)
        answers.append(values[output].reshape(len(counts), -1).argmax(1))
        spikes += sum(float((values[name] > 0).sum() if once else values[name].sum()) for name in rectifiers)
        for name, mask in masks.items():
            arriving = values[into[name]]
            operations += float(mask((arriving > 0).astype(float) if once else arriving).sum())
    return np.concatenate(answers), spikes / len(x), operations / len(x)


def _mask(name: str, node: Any) -> Any:
    """The layer with ones for weights: what it sums are synaptic operations."""
    if isinstance(node, nir.Scale):
        return lambda x: x
    ones = (weights_of(node) != 0).astype(np.float64)
    zeros = np.zeros(len(ones))
    if isinstance(node, nir.Conv2d):
        made: nir.NIRNode = nir.Conv2d(None, ones, node.stride, node.padding, node.dilation, node.groups, zeros)
    else:
        made = nir.Affine(ones, zeros)
    return node_function(name, made)


def own_rows(task: Task, imported: Any, samples: Samples, calibration: np.ndarray, answers: np.ndarray) -> list[Row]:
    """The gate code at each T, at some also ttfs, which is the same quantised ANN in other spikes; graded; and WIDE weights."""
    x, rows = samples.batch(0, samples.n_samples), []
    for code, T, bits in (*(("gate", T, BITS) for T in STEPS), ("graded", 1, BITS), *(("gate", T, WIDE) for T in STEPS[-2:])):
        start = time.process_time()
        options = ConvertOptions(code=code, levels=0 if code == "graded" else T, bits=bits)
        conversion = convert_graph(imported, calibration, "", options)
        seconds = time.process_time() - start
        method = f"snnport {code}" if bits == BITS else f"snnport {code}, {bits}-bit weights"
        rows.append(_row(task.name, method, T, conversion.graph, x, samples.y, answers, seconds))
        if code == "gate" and T in (4, 8, 16):
            once = run_passes(conversion.stages["quantised weights"], (Spike("ttfs"),), Context(calibration))
            rows.append(_row(task.name, "snnport ttfs", T, once, x, samples.y, answers, seconds))
    return rows


def _row(
    network: str, method: str, T: int, graph: Graph, x: np.ndarray, y: np.ndarray, answers: np.ndarray, seconds: float
) -> Row:
    coding = coding_of(graph.metadata)
    assert coding is not None
    found, spikes, operations = counted(quantised_ann(graph), x, once=coding.code in ("ttfs", "graded"))
    period = 1 if coding.code == "graded" else least_period(coding) + (1 if coding.code == "ttfs" else 0)
    accuracy, agreement = float((found == y).mean()), float((found == answers).mean())
    return Row(network, method, T, accuracy, agreement, spikes, operations, coding.n_steps, period, seconds, len(x))


def fine_tuned(task: Task, recipe: str, images: Path, folder: Path) -> list[tuple[Path, float]]:
    """Files that `snnport convert --finetune` makes of an MNIST network at each of TUNED, with the CPU seconds they took."""
    found = []
    for T in TUNED:
        out = folder / f"{task.name}-{T}.nir"
        words = ["convert", task.model, "-o", out, "--levels", T, "--scale", task.inputs.scale, "--calibration", images]
        command = [sys.executable, "-m", "snnport", *map(str, words), "--finetune", recipe, "--train-data", str(images)]
        start = os.times()
        subprocess.run(command, check=True, capture_output=True)
        end = os.times()
        found.append((out, end.children_user - start.children_user + end.children_system - start.children_system))
    return found


def peer_rows(task: str, case: Path, depth: int) -> tuple[list[Row], dict[str, str]]:
    """What the peers' scripts measured."""
    uv, rows, versions = os.environ.get("UV", "uv"), [], {}
    for script, methods in PEERS.items():
        out = case.with_name(f"{case.stem}-{script[8:-3]}.json")
        command = [uv, "run", "--no-project", str(HERE / "peers" / script), str(case), str(out)]
        done = subprocess.run([*command, ",".join(map(str, STEPS)), methods], capture_output=True, text=True, check=False)
        if done.returncode:
            rows.append(
                Row(task, f"{script}: failed: {done.stderr.strip().splitlines()[-1][:90]}", 0, 0, 0, 0, 0, None, None, 0, 0)
            )
            continue
        data = json.loads(out.read_text())
        versions |= data["versions"]
        for run in data["runs"]:
            for p in run["points"]:
                name = f"{script[8:-3]} {run['method']}"
                numbers = (p["accuracy"], p["agreement"], p["spikes"], p["synaptic_operations"])
                rows.append(Row(task, name, p["T"], *numbers, p["T"] + depth - 1, p["T"], run["conversion_s"], run["samples"]))
    return rows, versions


def main() -> None:
    """Measure, and write both files."""
    ask = argparse.ArgumentParser()
    ask.add_argument("data", type=Path)
    ask.add_argument("--samples", type=int, default=1000)
    ask.add_argument("--cifar", type=int, default=1000)
    ask.add_argument("--networks", default="LeNet-5,mnist-8,ResNet-20")
    ask.add_argument("--finetune", default="")
    ask.add_argument("--tuned", default="")
    ask.add_argument("--no-peers", action="store_true")
    ask.add_argument("--folder", type=Path, default=Path("/tmp/snnport-conversion"))
    given = ask.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rows, facts = kept(given.networks.split(","), peers=given.no_peers)
    facts |= {"finetune": given.finetune} if given.finetune else {}
    for name in given.networks.split(","):
        task = tasks(given.data)[name]
        model = open_model(task.model, ReadOptions(builder=task.builder))
        loaded = task.inputs.load(task.images, model, labels=task.labels)
        n = min(loaded.n_samples, given.cifar if name == "ResNet-20" else given.samples)
        samples = Samples(loaded.x[:n], loaded.y[:n], loaded.shape, n, 0, loaded.scaling, ())
        calibration = task.calibration_inputs.load(task.calibration, model).batch(0, CALIBRATION)
        folded = run_passes(model.imported.graph, [p for p in FOLDING if p.name != "sum-pool"], Context(calibration))
        case = given.folder / f"{name}.npz"
        answers = case_of(folded, samples.batch(0, n), samples.y, calibration, case)
        facts["float"][name] = float((answers == samples.y).mean())
        facts["neurons"][name] = sum(int(np.prod(shapes(folded)[r])) for r in names_of(folded, ReLU))
        depth = 1 + len(names_of(folded, ReLU))
        if not given.no_peers:
            found, versions = peer_rows(name, case, depth)
            rows += found
            facts["versions"] |= versions
        rows += own_rows(task, model.imported, samples, calibration, answers)
        parts = [part.split("=", 1) for part in filter(None, given.tuned.split(","))]
        named = [file.partition("@") for network, file in parts if network == name]
        files = [(Path(file), float(took or 0)) for file, _, took in named]
        if given.finetune and not files and name != "ResNet-20":
            images = given.folder / "train.npz"
            np.savez(images, x=InputOptions().load(task.calibration, model).batch(0, TRAINING).astype(np.uint8))
            files = fine_tuned(task, given.finetune, images, given.folder)
        for file, seconds in files:
            graph = open_model(file).graph
            levels = max(node.levels for node in quantised_ann(graph).nodes.values() if isinstance(node, QuantReLU))
            rows.append(_row(name, "snnport gate, fine-tuned", levels, graph, samples.batch(0, n), samples.y, answers, seconds))
        write(rows, facts)


def kept(again: list[str], *, peers: bool) -> tuple[list[Row], dict[str, Any]]:
    """What CONVERSION.json holds and is not measured now: rows of other networks and, where `peers`, those of all peers."""
    path = HERE / "CONVERSION.json"
    before = json.loads(path.read_text()) if path.is_file() else {"rows": [], "facts": {}}
    rows = [Row(**row) for row in before["rows"]]
    rows = [row for row in rows if row.network not in again or (peers and not row.method.startswith("snnport"))]
    facts: dict[str, Any] = {"float": {}, "versions": {}, "neurons": {}, **before["facts"]}
    return rows, {**facts, "machine": platform.machine(), "python": platform.python_version()}


def write(rows: list[Row], facts: dict[str, Any]) -> None:
    """CONVERSION.json with every number, CONVERSION.md with the tables."""
    order = list(tasks(Path()))
    rows = sorted(rows, key=lambda row: (order.index(row.network), row.method.startswith("snnport")))
    (HERE / "CONVERSION.json").write_text(json.dumps({"facts": facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    from peers.convert_table import page

    (HERE / "CONVERSION.md").write_text(page(rows, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
