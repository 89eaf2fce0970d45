# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "numpy>=2"]
# ///
"""What sinabs 3.1.3 makes of networks for Speck: its discretisation layer by layer, and its time-stepped spikes.

sinabs.backend.dynapcnn imports samna, which is closed; a stand-in without content takes its place, since neither the
discretisation nor the forward pass calls it.

    layers.npz     drawn layers (float32): NAME/weight, NAME/bias (left out: none), NAME/scalars = threshold, min_v_mem (NaN:
                   None), rescale, NAME/v_mem (left out: none); and what DynapcnnLayer(discretize=True) gives:
                   NAME/out_weight, NAME/out_bias, NAME/out_scalars = threshold_high, threshold_low, NAME/out_v_mem.
                   rescale/N: scales, then what rescale_method_1 and _2 make of them.
    networks.npz   drawn chains of such layers with pools between, the raster they got and every layer's spikes a step.
    real.json      SHA-256 of the integers (int16, C order) of the files of the data folder, layer by layer, and thresholds.

    python record_sinabs_speck.py [DATA_FOLDER]
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).parent


class Anything(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class Thing(metaclass=Anything):
    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        return Thing()


class Module(ModuleType):
    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Thing


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("samna", "samnagui"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Module(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Finder())

import nir  # noqa: E402
import sinabs.layers as sl  # noqa: E402
import torch  # noqa: E402
from sinabs.backend.dynapcnn.dynapcnn_layer import DynapcnnLayer  # noqa: E402
from sinabs.backend.dynapcnn.weight_rescaling_methods import rescale_method_1, rescale_method_2  # noqa: E402
from sinabs.from_torch import from_model  # noqa: E402
from sinabs.layers import IAFSqueeze  # noqa: E402
from torch import nn  # noqa: E402


def layer_of(weight, bias, threshold, low, *, rescale=1, v_mem=None, in_shape=None, pool=(1, 1), **geometry):
    """The DynapcnnLayer of a convolution or (2-D weight) a dense layer."""
    if weight.ndim == 2:
        conv = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        in_shape = in_shape or (weight.shape[1], 1, 1)
    else:
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=bias is not None, **geometry)
        in_shape = in_shape or (weight.shape[1], 8, 8)
    conv.weight.data = torch.tensor(weight, dtype=torch.float32)
    if bias is not None:
        conv.bias.data = torch.tensor(bias, dtype=torch.float32)
    spk = IAFSqueeze(spike_threshold=threshold, min_v_mem=low, batch_size=1)
    if v_mem is not None:
        spk.v_mem = torch.tensor(v_mem, dtype=torch.float32)
    return DynapcnnLayer(conv, spk, in_shape, [pool], discretize=True, rescale_weights=rescale)


def integers(layer):
    """weight, bias (None: the layer has none), (threshold_high, threshold_low), v_mem as integers."""
    conv, spk = layer.conv_layer, layer.spk_layer

    def whole(tensor):
        values = tensor.detach().numpy()
        assert np.array_equal(values, np.rint(values))
        return values.astype(np.int32)

    bias = None if conv.bias is None else whole(conv.bias)
    scalars = np.array([int(spk.spike_threshold), int(spk.min_v_mem)], np.int32)
    return whole(conv.weight), bias, scalars, whole(spk.v_mem) if spk.is_state_initialised() else None


def case(**values):
    return values


def drawn():
    rng = np.random.default_rng(6)

    def w(*shape, scale=0.1):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    kernel = (4, 2, 3, 3)
    outlier = w(*kernel, scale=0.02)
    outlier[1, 1, 1, 1] = 5.0
    negative = w(*kernel, scale=0.05)
    negative[0, 0, 0, 0] = -1.0
    edge = w(*kernel, scale=0.05)
    edge[0, 0, 0, :2] = 1.0, -128 / 127
    past = edge.copy()
    past[0, 0, 0, 1] = np.nextafter(np.float32(-128 / 127), np.float32(-2))
    halves = (np.arange(-36, 36, dtype=np.float32).reshape(kernel) + np.float32(0.5)).astype(np.float32)
    halves[0, 0, 0, 0] = 127.0
    yield "plain", case(weight=w(*kernel), bias=None, threshold=1.0, low=-1.0)
    yield "zero_bias", case(weight=w(*kernel), bias=np.zeros(4, np.float32), threshold=1.0, low=-1.0)
    yield "bias_binds", case(weight=w(*kernel, scale=0.01), bias=w(4, scale=2.0), threshold=1.0, low=-1.0)
    yield "outlier", case(weight=outlier, bias=None, threshold=1.0, low=-1.0)
    yield "negative_binds", case(weight=negative, bias=None, threshold=1.0, low=-1.0)
    yield "negative_at_128", case(weight=edge, bias=None, threshold=1.0, low=-1.0)
    yield "negative_past_128", case(weight=past, bias=None, threshold=1.0, low=-1.0)
    yield "threshold_binds", case(weight=np.full(kernel, 0.001, np.float32), bias=None, threshold=1.0, low=-1.0)
    yield "halves", case(weight=halves, bias=None, threshold=100.0, low=-100.0)
    yield "zero_weights", case(weight=np.zeros(kernel, np.float32), bias=None, threshold=1.0, low=-1.0)
    yield "low_binds", case(weight=w(*kernel, scale=0.001), bias=None, threshold=0.5, low=-3.0)
    yield "no_low", case(weight=w(*kernel), bias=None, threshold=1.0, low=None)
    yield "no_low_large", case(weight=w(*kernel, scale=20.0), bias=None, threshold=50.0, low=None)
    yield "dense", case(weight=w(5, 7), bias=w(5), threshold=0.7, low=-0.3)
    yield "rescaled", case(weight=w(*kernel), bias=w(4, scale=0.3), threshold=1.0, low=-1.0, rescale=1 / 4)
    yield "rescaled_16", case(weight=w(*kernel), bias=None, threshold=1.0, low=-1.0, rescale=1 / 4 * (1 / 4))
    yield "rescaled_9", case(weight=w(*kernel), bias=None, threshold=1.0, low=-1.0, rescale=1 / 9)
    yield "v_mem", case(weight=w(*kernel), bias=None, threshold=1.0, low=-1.0, v_mem=w(1, 4, 6, 6, scale=0.4))
    yield "v_mem_binds", case(weight=w(*kernel, scale=0.001), bias=None, threshold=0.01, low=-0.01, v_mem=w(1, 4, 6, 6))
    for i in range(24):
        yield (
            f"random_{i}",
            case(
                weight=w(*rng.integers(1, 6, 2), *[int(rng.integers(1, 5))] * 2, scale=float(10 ** rng.uniform(-3, 1))),
                bias=None,
                threshold=float(np.float32(10 ** rng.uniform(-1, 1))),
                low=-float(np.float32(10 ** rng.uniform(-1, 1))),
                rescale=float(rng.choice([1.0, 0.25, 1 / 16])),
            ),
        )


def record_layers():
    arrays = {}
    for name, given_case in drawn():
        weight, bias, scalars, v_mem = integers(layer_of(**given_case))
        low = np.nan if given_case["low"] is None else given_case["low"]
        arrays |= {f"{name}/weight": given_case["weight"], f"{name}/out_weight": weight, f"{name}/out_scalars": scalars}
        arrays[f"{name}/scalars"] = np.array([given_case["threshold"], low, given_case.get("rescale", 1)], np.float64)
        for key, given, got in (("bias", given_case["bias"], bias), ("v_mem", given_case.get("v_mem"), v_mem)):
            if given is not None:
                arrays |= {f"{name}/{key}": given, f"{name}/out_{key}": got}
    for i, scales in enumerate(([0.25, 1.0], [0.25, 1 / 16], [1 / 9, 0.25, 1.0])):
        arrays[f"rescale/{i}"] = np.array([*scales, rescale_method_1(set(scales)), rescale_method_2(set(scales))])
    np.savez_compressed(HERE / "layers.npz", **arrays)


def record_networks():
    arrays = {}
    for seed in range(8):
        rng = np.random.default_rng(100 + seed)
        channels, side, steps = int(rng.integers(1, 4)), 12, 12
        x = (rng.random((steps, channels, side, side)) < 0.2) * rng.integers(1, 4, (steps, channels, side, side))
        arrays[f"{seed}/raster"] = x.astype(np.uint8)
        out, facts = torch.tensor(x, dtype=torch.float32), []
        for k in range(3):
            previous = channels
            size = int(rng.choice([s for s in (1, 3, 5) if s <= out.shape[2]])) if k < 2 else out.shape[2]
            channels = int(rng.integers(2, 7))
            stride, padding = (int(rng.integers(1, 3)), int(rng.integers(0, 2))) if k < 2 else (1, 0)
            pool = 2 if k < 2 and (out.shape[2] + 2 * padding - size) // stride >= 3 and rng.random() < 0.7 else 1
            weight = (rng.standard_normal((channels, previous, size, size)) * 0.3 / np.sqrt(size)).astype(np.float32)
            bias = (rng.standard_normal(channels) * 0.05).astype(np.float32) if rng.random() < 0.5 else None
            low = float(-rng.choice([0.5, 1.0, 4.0]))
            geometry = {"stride": stride, "padding": padding, "in_shape": tuple(out.shape[1:]), "pool": (pool, pool)}
            layer = layer_of(weight, bias, 1.0, low, **geometry)
            w, b, scalars, _ = integers(layer)
            arrays |= {f"{seed}/{k}/weight": w, f"{seed}/{k}/scalars": scalars}
            arrays[f"{seed}/{k}/bias"] = np.zeros(channels, np.int32) if b is None else b
            with torch.no_grad():
                spikes = layer.spk_layer(layer.conv_layer(out))
                layer.reset_states() if hasattr(layer, "reset_states") else layer.spk_layer.reset_states()
                out = layer(out)
            arrays[f"{seed}/{k}/spikes"] = spikes.numpy().astype(np.int32)
            facts.append([stride, padding, pool])
        arrays[f"{seed}/geometry"] = np.array(facts)
    np.savez_compressed(HERE / "networks.npz", **arrays)


def hashed(layer):
    weight, bias, scalars, _ = integers(layer)
    bias = np.zeros(len(weight), np.int32) if bias is None else bias
    digest = hashlib.sha256(weight.astype(np.int16).tobytes() + bias.astype(np.int16).tobytes()).hexdigest()
    return {"sha256": digest, "high": int(scalars[0]), "low": int(scalars[1])}


def record_real(data: Path):
    found = {}
    for path in sorted((data / "nir").glob("*.nir")):
        if not ("scnn_mnist__89e0a618" in path.name or "inNuCE" in path.name):
            continue
        graph = nir.read(path)
        after = dict(graph.edges)
        layers = {}
        for name, node in graph.nodes.items():
            neuron = graph.nodes.get(after.get(name, ""))
            if not isinstance(node, nir.Conv2d | nir.Affine | nir.Linear) or not isinstance(neuron, nir.IF):
                continue
            # NIR's own loader makes min_v_mem = -v_threshold; a chip's layer has one threshold, the first.
            threshold = float(np.asarray(neuron.v_threshold).reshape(-1)[0])
            shape = (node.weight.shape[1], *node.weight.shape[2:], 1, 1)[:3]
            bias = getattr(node, "bias", None)
            layers[name] = hashed(layer_of(node.weight, bias, threshold, -threshold, in_shape=shape))
        found[path.name] = layers
    state = torch.load(data / "ann" / "sinabs_mnist_params.pt", map_location="cpu", weights_only=True)
    ann = nn.Sequential(
        *(nn.Conv2d(1, 20, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(20, 32, 5, bias=False), nn.ReLU()),
        *(nn.AvgPool2d(2), nn.Conv2d(32, 128, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(128, 500, bias=False), nn.ReLU(), nn.Linear(500, 10, bias=False)),
    )
    ann.load_state_dict(state)
    snn = from_model(ann, add_spiking_output=True, batch_size=1).spiking_model
    parts = [m for m in snn.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    spiking = [m for m in snn.modules() if isinstance(m, sl.IAFSqueeze)]
    rescale = [1.0, 0.25, 0.25, 0.25, 1.0]
    layers = {}
    for name, part, spk, factor in zip(("conv0", "conv3", "conv6", "dense10", "dense12"), parts, spiking, rescale, strict=True):
        weight = part.weight.detach().numpy()
        shape = (weight.shape[1], *weight.shape[2:], 1, 1)[:3]
        layer = layer_of(weight, None, float(spk.spike_threshold), float(spk.min_v_mem), rescale=factor, in_shape=shape)
        layers[name] = hashed(layer)
    found["sinabs_mnist_params.pt"] = layers
    (HERE / "real.json").write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    record_layers()
    record_networks()
    if len(sys.argv) > 1:
        record_real(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
