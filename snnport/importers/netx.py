"""A netx file of lava-dl as a graph whose metadata hold the very integers that lava-dl 0.6.0 hands to Lava.

Plain NIR says what it can: weights in codes (scale 1), decays as time constants of a step of DT, thresholds in codes. The
registers themselves stand in the metadata `loihi` of each population, and targets/loihi/exact.py lowers them as they are.
A layer i is the population `layer<i>` behind `layer<i>.synapse`; docs/formats.md has the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.errors import InvalidGraph, InvalidInput, UnsupportedNode
from snnport.graph import Edge, build, shapes
from snnport.importers.base import Imported
from snnport.importers.hdf5 import listed
from snnport.importers.netxfile import RawLayer, RawNet, read_layers
from snnport.importers.netxneuron import INTEGRATOR, Registers, cuba_registers, node_of, sdnn_registers
from snnport.importers.netxrules import delays_of, kept, optimise
from snnport.ledger import Entry
from snnport.nodes import Shape, flatten_node, input_node, output_node, window_positions

DT = 1e-3
"""Seconds a step: netx does not say, and only ratios to it are used."""
CONVENTION = Convention("netx", dt=DT, reset="zero", comparison=">", synapse_delay=1)
EXACT = "loihi_exact"
"""Metadata of a graph whose populations hold their registers under LOIHI."""
LOIHI = "loihi"
HEADER = "netx"
"""Metadata of the graph: JSON of `steps` (of a sample, or null) and `input_layer` (transform and kind, or null)."""
Ints = npt.NDArray[np.int64]
NOT_READ = {
    "pool": "Sum poolings can be written as a convolution of ones",
    "unpool": "",
    "convT": "",
    "concat": "",
    "dense_comp": "",
}


def read_netx(path: Path, *, reset_interval: int | None = None) -> Imported:
    """The network in the netx file at `path`. reset_interval: as lava-dl's Network takes it (None: no resets).

    Raises InvalidGraph or UnsupportedNode, naming file or layer, for a damaged file or what has no counterpart here.
    """
    if reset_interval is not None and reset_interval < 1:
        raise InvalidInput("--reset-interval", f"{reset_interval} is no number of steps", "Give the steps of a sample")
    net = read_layers(path)
    try:
        return _read(net, reset_interval)
    except (InvalidGraph, UnsupportedNode) as error:
        where = error.where if error.where.startswith(str(path)) else f"{path}: {error.where}"
        raise type(error)(where, error.what, error.remedy) from None


@dataclass
class _Made:
    """What has been built so far. last: the node that gives the activity of the last layer. blocks: populations so far."""

    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last: str = ""
    shape: Shape = ()
    declared: Shape | None = None
    blocks: int = 0
    input_layer: dict[str, Any] | None = None
    flatten: int | None = None
    graded: bool = False
    ended: str = ""

    def add(self, name: str, node: nir.NIRNode, after: str = "") -> str:
        self.nodes[name] = node
        if after:
            self.edges.append((after, name))
        return name


def _read(net: RawNet, reset_interval: int | None) -> Imported:
    made = _Made()
    for layer in net.layers:
        if made.ended:
            raise UnsupportedNode(layer.where, f"it follows {made.ended}, whose result no neuron takes", "Remove it")
        if layer.kind not in _LAYERS:
            known = ", ".join(sorted(_LAYERS))
            what = f"there is no counterpart for this type; read are {known}"
            raise UnsupportedNode(layer.where, what, NOT_READ.get(layer.kind, ""))
        _LAYERS[layer.kind](layer, made, reset_interval)
    if not made.blocks:
        raise InvalidGraph("network", "it has no layer of neurons")
    made.add("output", output_node(made.shape), made.last)
    header = {"steps": net.steps, "input_layer": made.input_layer, "reset_interval": reset_interval}
    meaning = {"version": 1, "coding": None, "convention": CONVENTION.to_json()}
    metadata = {EXACT: 1, HEADER: json.dumps(header), "snnport": json.dumps(meaning)}
    graph = build(made.nodes, made.edges, metadata)
    shapes(graph)
    evidence = ("an HDF5 group 'layer' with types and neurons as lava-dl's export_hdf5 writes them",)
    return Imported(
        graph,
        "netx",
        tuple(made.ledger),
        dialect="lava-dl",
        evidence=evidence,
        convention=CONVENTION,
        repairs=tuple(made.notes),
    )


# ----------------------------------------------------------------------------------------------------------- layers


def _input(layer: RawLayer, made: _Made, reset_interval: int | None) -> None:
    if made.blocks or made.declared is not None:
        raise InvalidGraph(layer.where, "an input layer comes first, and once", "Export the network again")
    shape = _shape(layer)
    if layer.neuron is None:
        made.declared = shape
        made.ledger.append(Entry(f"layer{layer.number}", layer.kind, "became", ("input",), "", "netx"))
        return
    registers = _registers(layer, shape, reset_interval, made, np.zeros(1, np.int64), is_input=True)
    _begin(made, shape, graded=True)
    name = f"layer{layer.number}"
    made.input_layer = {"kind": registers.family, "name": name}
    for key in ("weight", "bias"):
        if layer.has(key):
            made.input_layer[key] = int(layer.whole(key).reshape(-1)[0])
    made.add(name, node_of(registers, shape, DT), "input")
    _block(made, layer, name, shape, registers, ())


def _dense(layer: RawLayer, made: _Made, reset_interval: int | None) -> None:
    if layer.has("weight.imag") or layer.has("weight.real"):
        what = "its weights are complex, for resonate-and-fire neurons, which have no counterpart here"
        raise UnsupportedNode(layer.where, what)
    name, recurrent = f"layer{layer.number}", layer.kind == "dense_rec"
    size = int(np.prod(_shape(layer)))
    weight = layer.whole("weight")
    weight = weight.reshape(size, -1) if weight.ndim == 1 and weight.size % size == 0 else weight
    if weight.ndim != 2 or len(weight) != size:
        what = f"its weight has shape {weight.shape}, its shape says {size} neurons"
        raise InvalidGraph(layer.where, what, "Export the network again")
    registers = _registers(layer, (size,), reset_interval, made, _bias(layer, (size,)))
    if not made.nodes:
        _begin(made, made.declared or (weight.shape[1],))
    if len(made.shape) > 1 and made.flatten is None and made.blocks:
        what = f"the layer before it gives a map {made.shape}, and no flatten stands between"
        raise InvalidGraph(layer.where, what, "Export the network again")
    if len(made.shape) > 1:
        flat = f"layer{made.flatten}" if made.flatten is not None else f"{name}.flatten"
        made.last, made.shape = made.add(flat, flatten_node(made.shape), made.last), (int(np.prod(made.shape)),)
    made.flatten = None
    if made.shape != (weight.shape[1],):
        what = f"its weight takes {weight.shape[1]} inputs, the layer before it gives {int(np.prod(made.shape))}"
        raise InvalidGraph(layer.where, what, "Export the network again")
    weights = {f"{name}.synapse": weight}
    if recurrent:
        back = layer.whole("weight_rec")
        weights[f"{name}.recurrent"] = back.reshape(size, -1) if back.ndim == 1 and back.size == size * size else back
        if weights[f"{name}.recurrent"].shape != (size, size):
            raise InvalidGraph(layer.where, f"its weight_rec has shape {back.shape}, wanted is {(size, size)}")
    codes, delays = _dense_codes(layer, made, weights), _delays(layer, made, weight.shape)
    sources = {f"{name}.synapse": made.last, f"{name}.recurrent": name}
    for synapse, values in codes.items():
        _connect(made, synapse, values, delays, sources[synapse], name, registers)
    made.add(name, node_of(registers, (size,), DT))
    _block(made, layer, name, (size,), registers, tuple(codes))


def _conv(layer: RawLayer, made: _Made, reset_interval: int | None) -> None:
    name, shape, weight = f"layer{layer.number}", _shape(layer), layer.whole("weight")
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise InvalidGraph(layer.where, f"its weight has shape {weight.shape}, wanted is (out, in, height, width)")
    stride, dilation = layer.pair("stride", 1, 1), layer.pair("dilation", 1, 1)
    padding, groups = layer.pair("padding", 0, 0), layer.pair("groups", 1, 1)[0]
    if not made.nodes and made.declared is None:
        raise InvalidGraph(layer.where, "it comes first, and no layer says the shape of its input", "Put an input layer first")
    if not made.nodes:
        _begin(made, made.declared or ())
    if len(made.shape) != 3 or made.shape[0] != weight.shape[1] * groups or len(weight) % groups:
        what = f"its weight {weight.shape} in {groups} groups does not take a map {made.shape}"
        raise InvalidGraph(layer.where, what, "Export the network again")
    size = window_positions(made.shape[1:], weight.shape[2:], stride, (*padding, *padding), dilation)
    if min(size) < 1 or shape != (len(weight), *size):
        what = f"its shape is {shape}, its kernel, stride, padding and dilation give {(len(weight), *size)}"
        raise InvalidGraph(layer.where, what, "Export the network again")
    if layer.has("delay"):
        made.notes.append(f"{name}: lava-dl ignores the delays of a convolution, and so they are left out here")
    bias = _bias(layer, shape)
    registers = _registers(layer, shape, reset_interval, made, bias)
    by_channel = bias.reshape(shape[0], -1)
    channels = by_channel[:, 0] if np.all(by_channel == by_channel[:, :1]) else np.zeros(shape[0], np.int64)
    conv = nir.Conv2d(
        made.shape[1:],  # type: ignore[arg-type]
        weight.astype(np.float64),
        stride,
        padding,
        dilation,
        groups,
        channels.astype(np.float64) if registers.bias_in_current else np.zeros(shape[0]),
    )
    conv.metadata = {"scale": 1.0, "bits": _bits(weight)}
    made.add(f"{name}.synapse", conv, made.last)
    made.add(name, node_of(registers, shape, DT), f"{name}.synapse")
    _block(made, layer, name, shape, registers, (f"{name}.synapse",))


def _flatten(layer: RawLayer, made: _Made, reset_interval: int | None) -> None:
    """Until the dense layer that follows: (channels, height, width) in C order, which is what netx makes of its (w, h, c)."""
    made.flatten = layer.number
    made.ledger.append(Entry(f"layer{layer.number}", layer.kind, "became", (f"layer{layer.number}",), "", "netx"))


def _average(layer: RawLayer, made: _Made, reset_interval: int | None) -> None:
    """slayer's mean over groups of neurons, which lava-dl's netx does not run: an integrator counts their spikes."""
    outputs, size = int(np.prod(_shape(layer))), int(np.prod(made.shape))
    if not made.blocks or size % outputs:
        raise InvalidGraph(layer.where, f"it averages {size} neurons into {outputs}", "Export the network again")
    name = f"layer{layer.number}"
    weight = np.kron(np.eye(outputs), np.ones((1, size // outputs)))
    linear = nir.Linear(weight)
    linear.metadata = {"scale": 1.0, "bits": 2}
    if len(made.shape) > 1:
        made.last = made.add(f"{name}.flatten", flatten_node(made.shape), made.last)
    made.add(f"{name}.synapse", linear, made.last)
    registers = Registers("integrator", {"bias": np.zeros((), np.int64)}, bias_in_current=True)
    made.add(name, node_of(registers, (outputs,), DT), f"{name}.synapse")
    made.notes.append(f"{name}: the mean of {size // outputs} neurons a class is read as the count of their spikes")
    _block(made, layer, name, (outputs,), registers, (f"{name}.synapse",))
    made.ended = "an average"


_LAYERS: Mapping[str, Callable[[RawLayer, _Made, int | None], None]] = {
    "input": _input,
    "dense": _dense,
    "dense_rec": _dense,
    "conv": _conv,
    "flatten": _flatten,
    "average": _average,
}


# ------------------------------------------------------------------------------------------------------------ parts


def _begin(made: _Made, shape: Shape, graded: bool = False) -> None:
    node = input_node(shape)
    node.metadata = {LOIHI: {"family": "input", **({"graded": 1} if graded else {})}}
    made.last, made.shape = made.add("input", node), shape


def _block(made: _Made, layer: RawLayer, name: str, shape: Shape, registers: Registers, synapses: tuple[str, ...]) -> None:
    made.last, made.shape, made.graded = name, shape, registers.family in ("delta", "sigma_delta")
    made.blocks += 1
    made.ended = "a sigma output" if registers.family == "integrator" and layer.kind != "average" else made.ended
    made.ledger.append(Entry(name, layer.kind, "became", (*synapses, name), registers.family, "netx"))


def _registers(
    layer: RawLayer, shape: Shape, reset_interval: int | None, made: _Made, bias: Ints, *, is_input: bool = False
) -> Registers:
    """The registers of the layer's neuron; netx's own integrator where it has none."""
    if layer.neuron is None and layer.kind == "conv":
        raise InvalidGraph(layer.where, "it has no neuron", "Export the network again")
    kind = layer.text("type") or "none" if layer.neuron is not None else INTEGRATOR
    if "messageBits" in (layer.neuron or {}):
        made.notes.append(f"layer{layer.number}: its messageBits are left out; lava-dl cannot read them")
    if kind == "SDNN":
        return sdnn_registers(layer, bias, is_input)
    if kind not in ("CUBA", "LOIHI", INTEGRATOR):
        what = f"its neuron is a '{kind}', read are CUBA, LOIHI and SDNN"
        raise UnsupportedNode(layer.where, what, "Train with CUBA neurons")
    if made.graded:
        what = "its neuron spikes, and the layer before it sends numbers"
        raise UnsupportedNode(layer.where, what, "Use one kind of neuron in all layers")
    offset = made.blocks + 1
    return cuba_registers(layer, bias, None if reset_interval is None else (reset_interval, offset), is_input)


def _shape(layer: RawLayer) -> Shape:
    """Its shape as (channels, height, width) or (n,)."""
    values = layer.numbers("shape").reshape(-1)
    if values.size not in (1, 2, 3) or np.any(values != np.trunc(values)) or values.min() < 1 or values.prod() > 1 << 31:
        raise InvalidGraph(layer.where, f"its shape is {listed(values)}", "Export the network again")
    return tuple(int(v) for v in values)


def _bias(layer: RawLayer, shape: Shape) -> Ints:
    """bias_mant of every neuron, in C order. netx takes one a neuron (a map's as width, height, channel) or one a channel."""
    size = int(np.prod(shape))
    if not layer.has("bias"):
        return np.zeros(size, np.int64)
    values = layer.whole("bias")
    if len(shape) == 3 and values.shape == shape[::-1]:
        return values.transpose(2, 1, 0).reshape(-1)
    if values.ndim <= 1 and values.size in (1, shape[0]):
        return np.repeat(np.broadcast_to(values.reshape(-1), (shape[0],)), size // shape[0])
    what = f"its bias has shape {values.shape}, its neurons {shape}"
    raise InvalidGraph(layer.where, what, "Give one bias a neuron or a channel")


def _dense_codes(layer: RawLayer, made: _Made, weights: Mapping[str, Ints]) -> dict[str, Ints]:
    """What one spike adds through each synapse of the dense layer, after netx and Lava."""
    whole = np.hstack(tuple(weights.values()))
    stored = optimise(layer.where, whole)
    if stored.clipped:
        made.notes.append(f"layer{layer.number}: lava-dl clips {stored.clipped} of its weights to -256..254")
    # RecurrentDense with delays does not hand the exponent on: its weights stay shifted.
    shift = 0 if len(weights) > 1 and layer.has("delay") else stored.scale_bits
    codes, start = {}, 0
    for name, weight in weights.items():
        part = stored.codes[:, start : start + weight.shape[1]]
        codes[name] = kept(layer.where, part, stored.weight_bits, shift)
        start += weight.shape[1]
        changed = np.count_nonzero(codes[name] != weight)
        if changed and not stored.clipped:
            made.notes.append(f"{name}: Lava keeps {changed} of its {weight.size} weights as other numbers")
    return codes


def _delays(layer: RawLayer, made: _Made, shape: tuple[int, int]) -> Ints | None:
    if not layer.has("delay"):
        return None
    delays, clamped = delays_of(layer.where, layer.numbers("delay"), shape)
    if clamped:
        made.notes.append(f"layer{layer.number}: lava-dl clamps its delays to 62 steps")
    if layer.kind == "dense_rec" and shape[0] != shape[1]:
        what = f"it has delays of shape {shape} for recurrent weights {(shape[0], shape[0])}, which lava-dl cannot load"
        raise UnsupportedNode(layer.where, what, "Remove its delays")
    return delays if delays.any() else None


def _connect(made: _Made, name: str, codes: Ints, delays: Ints | None, source: str, target: str, registers: Registers) -> None:
    """source -> [Delay] -> weights -> [Delay] -> target; one such way a delay where synapses of one neuron differ in it."""
    ways = [(name, codes, None, None)] if delays is None else _ways(name, codes, delays)
    for number, (label, weight, before, after) in enumerate(ways):
        real = weight.astype(np.float64)
        bias = registers.bias_in_codes if number == 0 and name.endswith(".synapse") else None
        node: Any = nir.Linear(real) if bias is None or not bias.any() else nir.Affine(real, bias.astype(np.float64))
        node.metadata = {"scale": 1.0, "bits": _bits(codes), **({LOIHI: {"listed": 1}} if len(ways) > 1 else {})}
        last = source
        if before is not None:
            last = made.add(f"{label}.delay", nir.Delay(before * DT), last)
        last = made.add(label, node, last)
        if after is not None:
            last = made.add(f"{label}.delay", nir.Delay(after * DT), last)
        made.edges.append((last, target))


def _ways(name: str, codes: Ints, delays: Ints) -> list[tuple[str, Ints, Ints | None, Ints | None]]:
    """(name, codes, delay of each source, delay of each target): one where all synapses of a source or target agree."""
    if np.all(delays == delays[:1]):
        return [(name, codes, delays[0].astype(np.float64), None)]  # type: ignore[list-item]
    if np.all(delays == delays[:, :1]):
        return [(name, codes, None, delays[:, 0].astype(np.float64))]  # type: ignore[list-item]
    found: list[tuple[str, Ints, Ints | None, Ints | None]] = []
    for delay in np.unique(delays[codes != 0]):
        part = np.where(delays == delay, codes, 0)
        found.append((f"{name}.{int(delay)}", part, np.full(codes.shape[1], delay), None))
    return found


def _bits(codes: Ints) -> int:
    return int(max(np.abs(codes).max(initial=0), 1)).bit_length() + 1
