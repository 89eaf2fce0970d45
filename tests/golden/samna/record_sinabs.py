# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "numpy>=2"]
# ///
"""What sinabs 3.1.3 writes into samna's configuration object, beside this script: one .json a network, and the network as .nir.

With SNNPORT_DATA also real.json: the same of networks that others trained for Speck, from their files (nir/*.nir there); long
lists as a hash.

samna itself fetches a closed binary, so a stand-in takes its place: it keeps what is assigned to it. The .nir holds the
integers that sinabs discretised (weights, biases, thresholds), so that another exporter can start from the same numbers.
Run it with: uv run --no-project tests/golden/samna/record_sinabs.py
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nir
import numpy as np

HERE = Path(__file__).parent
CORES = 9


class Kind(type):
    """A class whose every attribute is a class of the same kind."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Kind(name, (), {})


class Anything(ModuleType):
    """A module whose every attribute is a class or a module that is there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Kind(name, (), {})


class Kept:
    """Keeps what is assigned, in `fields`; parts that sinabs reaches into are there from the start."""

    def __init__(self, **parts: Any) -> None:
        object.__setattr__(self, "fields", {})
        object.__setattr__(self, "parts", parts)

    def __getattr__(self, name: str) -> Any:
        if name in self.fields:
            return self.fields[name]
        return self.parts[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def plain(self) -> dict[str, Any]:
        def of(value: Any) -> Any:
            if isinstance(value, Kept):
                return value.plain()
            if isinstance(value, list):
                return [of(v) for v in value]
            return value

        kept = {key: of(value) for key, value in self.parts.items() if isinstance(value, Kept | list)}
        return {**{k: v for k, v in kept.items() if v not in ({}, [])}, **{k: of(v) for k, v in self.fields.items()}}


def configuration() -> Kept:
    ends = lambda: [Kept(pooling=1), Kept(pooling=1)]  # noqa: E731
    dvs = Kept(destinations=ends(), pooling=SimpleNamespace(x=1, y=1))
    return Kept(cnn_layers=[Kept(destinations=ends()) for _ in range(CORES)], dvs_layer=dvs)


def install() -> None:
    """The stand-in for samna and samnagui."""
    for name in ("samna", "samnagui"):
        sys.modules[name] = Anything(name)
    for chip in ("speck2e", "speck2f"):
        part, inner = Anything(f"samna.{chip}"), Anything(f"samna.{chip}.configuration")
        inner.SpeckConfiguration = configuration
        part.configuration = inner
        part.validate_configuration = lambda config: (True, "")
        sys.modules |= {part.__name__: part, inner.__name__: inner}
        setattr(sys.modules["samna"], chip, part)


install()

import sinabs.layers as sl  # noqa: E402
import torch  # noqa: E402
from sinabs.activation import MembraneReset  # noqa: E402
from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402
from sinabs.backend.dynapcnn.dvs_layer import DVSLayer  # noqa: E402
from torch import nn  # noqa: E402


def iaf(threshold: float = 1.0, **options: Any) -> sl.IAFSqueeze:
    return sl.IAFSqueeze(batch_size=1, spike_threshold=threshold, **{"min_v_mem": -threshold, **options})


class Branches(nn.Module):
    """A split and a merge: two layers feed one kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_a, self.iaf_a = nn.Conv2d(2, 4, 3, padding=1, bias=False), iaf()
        self.pool_a = sl.SumPool2d(2, 2)
        self.conv_b, self.iaf_b = nn.Conv2d(4, 4, 3, padding=1, bias=False), iaf(1.5)
        self.conv_c, self.iaf_c = nn.Conv2d(4, 4, 1, bias=False), iaf(0.5)
        self.merge = sl.Merge()
        self.conv_d, self.iaf_d = nn.Conv2d(4, 3, 4, bias=False), iaf()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.pool_a(self.iaf_a(self.conv_a(x)))
        both = self.merge(self.iaf_b(self.conv_b(first)), self.iaf_c(self.conv_c(first)))
        return self.iaf_d(self.conv_d(both))


def networks() -> dict[str, tuple[nn.Module, tuple[int, int, int], str, dict[str, Any]]]:
    """Name -> module, input shape, device, and what DynapcnnNetwork is told beside."""
    strided = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=(2, 1), padding=(1, 2), bias=False),
        iaf(),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 5, 2, bias=False),
        iaf(0.7),
        nn.AvgPool2d(4),
        nn.Conv2d(5, 2, 1, bias=False),
        iaf(30.0, min_v_mem=None),
    )
    with torch.no_grad():
        strided[-2].weight *= 400  # without a lower bound sinabs's scale is 1, which rounds smaller weights to 0
    square = nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=1, stride=2, bias=False),
        iaf(),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 10, bias=False),
        iaf(),
    )
    leaking = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=True),
        iaf(reset_fn=MembraneReset()),
        nn.Conv2d(3, 2, 2, bias=True),
        iaf(0.4, reset_fn=MembraneReset()),
    )
    seen = nn.Sequential(
        DVSLayer((16, 16), pool=(2, 2), crop=((1, 7), (2, 8)), flip_x=True, swap_xy=True, disable_pixel_array=False),
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        iaf(),
        nn.Conv2d(4, 2, 6, bias=False),
        iaf(),
    )
    merged = nn.Sequential(
        DVSLayer((16, 16), pool=(4, 4), merge_polarities=True, flip_y=True), nn.Conv2d(1, 4, 4, bias=False), iaf()
    )
    return {
        "strided": (strided, (2, 20, 10), "speck2e:0", {}),
        "square": (square, (1, 14, 14), "speck2fdevkit:0", {}),
        "leaking": (leaking, (1, 6, 6), "speck2edevkit:0", {}),
        "branches": (Branches(), (2, 8, 8), "speck2fmodule:0", {}),
        "seen": (seen, (2, 16, 16), "speck2fdevkit:0", {"dvs_input": True}),
        "merged": (merged, (1, 16, 16), "speck2fdevkit:0", {}),
    }


def record(name: str, module: nn.Module, shape: tuple[int, int, int], device: str, options: dict[str, Any]) -> None:
    given = None if any(isinstance(part, DVSLayer) for part in module.modules()) else shape
    network = DynapcnnNetwork(module, input_shape=given, batch_size=1, **options)
    config = network.make_config(device=device).plain()
    cores = {str(k): v for k, v in network.layer2core_map.items()}
    kept = {"sinabs": "3.1.3", "device": device, "layer2core": cores, "configuration": config}
    (HERE / f"{name}.json").write_text(json.dumps(kept, default=lambda v: v.item(), separators=(",", ":")) + "\n")
    nir.write(HERE / f"{name}.nir", graph_of(network, shape))


def graph_of(network: DynapcnnNetwork, shape: tuple[int, int, int]) -> nir.NIRGraph:  # noqa: TID251
    """The discretised layers as a NIR graph of integers; layer i is c<i> (convolution) and n<i> (neurons)."""
    sensor = network.dvs_layer
    size = shape if sensor is None else tuple(sensor.get_output_shape())
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array(size)})}
    edges = []
    targets: set[int] = set()
    for i, layer in network.dynapcnn_layers.items():
        conv, neuron = layer.conv_layer, layer.spk_layer
        out = np.array(layer.get_neuron_shape())
        bias = np.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().numpy().astype(float)
        weight = conv.weight.detach().numpy().astype(float)
        nodes[f"c{i}"] = nir.Conv2d(tuple(layer.in_shape[1:]), weight, conv.stride, conv.padding, 1, 1, bias)
        full = np.full(out, float(int(neuron.spike_threshold)))
        low = -(2**15) if neuron.min_v_mem is None else int(neuron.min_v_mem)
        zero = isinstance(neuron.reset_fn, MembraneReset)
        metadata = {"min_v_mem": low, "return_to_zero": int(zero)}
        nodes[f"n{i}"] = nir.IF(np.ones(out), full, np.zeros(out), metadata=metadata)
        edges.append((f"c{i}", f"n{i}"))
        for end, pool in zip(network.layer_destination_map[i], layer.pool, strict=True):
            if end < 0:
                continue
            targets.add(end)
            side = int(np.asarray(pool).reshape(-1)[0])
            if side == 1:
                edges.append((f"n{i}", f"c{end}"))
            elif f"p{i}" in nodes:
                edges.append((f"p{i}", f"c{end}"))
            else:
                nodes[f"p{i}"] = nir.SumPool2d(np.array([side, side]), np.array([side, side]), np.array([0, 0]))
                edges += [(f"n{i}", f"p{i}"), (f"p{i}", f"c{end}")]
    last = max(network.dynapcnn_layers)
    nodes["output"] = nir.Output({"output": np.array(network.dynapcnn_layers[last].get_neuron_shape())})
    edges += [("input", f"c{i}") for i in network.dynapcnn_layers if i not in targets] + [(f"n{last}", "output")]
    return nir.NIRGraph(nodes, edges)  # noqa: TID251


SIZE = (8, 12)
SENSORS: dict[str, dict[str, Any]] = {
    "merge": {"merge_polarities": True},
    "pool=2": {"pool": (2, 2)},
    "pool=4x1": {"pool": (4, 1)},
    "region=1:2:7:8": {"crop": ((1, 7), (2, 8))},
    "mirror=x": {"flip_x": True},
    "mirror=y": {"flip_y": True},
    "mirror=xy,swap": {"flip_x": True, "flip_y": True, "swap_xy": True},
    "pool=2,region=1:0:4:3,mirror=x,swap": {"pool": (2, 2), "crop": ((1, 4), (0, 3)), "flip_x": True, "swap_xy": True},
    "merge,pool=4,region=0:1:2:3,mirror=y,swap": {
        "merge_polarities": True,
        "pool": (4, 4),
        "crop": ((0, 2), (1, 3)),
        "flip_y": True,
        "swap_xy": True,
    },
}
"""Spelling of the stages here -> what sinabs's DVSLayer is told."""


def sensors() -> None:
    """What DVSLayer makes of random counts."""
    events = torch.randint(0, 4, (3, 2, *SIZE)).float()
    seen = {text: DVSLayer(SIZE, **told)(events).numpy().astype(np.uint8) for text, told in SENSORS.items()}
    np.savez_compressed(HERE / "sensor.npz", events=events.numpy().astype(np.uint8), **seen)


REAL = (
    "snntorch__examples-scnn_mnist__89e0a618",
    "inNuCE_BRANDY-2025__exported_models-10__a031194d",
    "inNuCE_BRANDY-2025__cnn_sinabs__e75ac8ec",
)


def real(folder: Path) -> None:
    """Networks from files, one layer behind the other, quantised by sinabs."""
    found = {}
    for name in REAL:
        network = DynapcnnNetwork(modules_of(nir.read(folder / f"{name}.nir")), input_shape=(2, 34, 34), batch_size=1)
        config = json.loads(json.dumps(network.make_config(device="speck2fdevkit:0").plain(), default=lambda v: v.item()))
        cores = {str(k): v for k, v in network.layer2core_map.items()}
        found[name] = {"layer2core": cores, "configuration": hashed(config)}
    (HERE / "real.json").write_text(json.dumps(found, indent=1) + "\n")


def modules_of(graph: Any) -> nn.Sequential:
    after = dict(graph.edges)
    here, modules = after["input"], []
    while here != "output":
        node = graph.nodes[here]
        weight = torch.tensor(np.asarray(getattr(node, "weight", 0.0), np.float32))
        if isinstance(node, nir.Conv2d):
            geometry = {key: tuple(int(v) for v in np.broadcast_to(getattr(node, key), 2)) for key in ("stride", "padding")}
            modules.append(nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), bias=False, **geometry))
            modules[-1].weight.data = weight
        elif isinstance(node, nir.Affine | nir.Linear):
            modules.append(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
            modules[-1].weight.data = weight
        elif isinstance(node, nir.IF):
            modules.append(iaf(float(np.unique(node.v_threshold)[0])))
        elif isinstance(node, nir.SumPool2d):
            modules.append(sl.SumPool2d(int(np.asarray(node.kernel_size).reshape(-1)[0])))
        elif after[here] != "output":
            modules.append(nn.Flatten())
        assert not np.any(getattr(node, "bias", 0))
        here = after[here]
    return nn.Sequential(*modules)


def hashed(value: Any) -> Any:
    """`value` with lists of more than 100 numbers as the hash of their text."""
    if isinstance(value, dict):
        return {key: hashed(part) for key, part in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [hashed(part) for part in value]
    text = json.dumps(value)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest() if isinstance(value, list) and len(text) > 300 else value


def main() -> None:
    torch.manual_seed(3)
    sensors()
    for name, (module, shape, device, options) in networks().items():
        record(name, module, shape, device, options)
    if os.environ.get("SNNPORT_DATA"):
        real(Path(os.environ["SNNPORT_DATA"]) / "nir")


if __name__ == "__main__":
    main()
