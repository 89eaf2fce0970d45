"""A Loihi program as a netx file that lava-dl 0.6.0 loads with the same spikes in the same steps.

netx holds a chain of layers: convolutions and dense layers, some with a recurrent matrix, each with one neuron type and one
set of decays and threshold. What a program has beyond that is rewritten where that is exact (exporters/netxsynapse.py, and
biases that come as spikes become bias_mant) or refused, all faults at once, before anything is written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from snnport.errors import DoesNotFit
from snnport.events import write_bytes
from snnport.exporters.netxsynapse import Fault, Faulty, conv_fields, dense_fields, is_conv
from snnport.program import Population, Program, Projection, Shape

CUBA = ("cuba", "cuba_reset")
NEVER = 1 << 17
UNIT = 64
"""Units of v and u in a weight code; a bias_mant counts in them."""
MOST_BIAS = 4095
SDNN_EXP = 6
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Network:
    """Layers of a netx file: fields by name, `neuron` among them as a dictionary. loading: arguments of lava-dl's Network."""

    layers: tuple[Mapping[str, Any], ...]
    loading: Mapping[str, int]
    steps: int | None


def write_netx(program: Program, path: Path) -> tuple[str, ...]:
    """Write `program` to `path`, whole or not at all; returns the lines of Python that load it.

    Raises DoesNotFit, naming every layer that netx cannot hold and what to do.
    """
    network = netx_of(program)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for number, layer in enumerate(network.layers):
            group = file.create_group(f"layer/{number}")
            for name, value in layer.items():
                if isinstance(value, Mapping):
                    for key, entry in value.items():
                        group.create_dataset(f"{name}/{key}", data=entry)
                else:
                    group.create_dataset(name, data=np.array([value], "S10") if name == "type" else value)
        if network.steps:
            file.create_dataset("simulation/Ts", data=1)
            file.create_dataset("simulation/tSample", data=network.steps)
    write_bytes(path, buffer.getvalue())
    return loading_lines(network, path.name)


def loading_lines(network: Network, name: str) -> tuple[str, ...]:
    """The lines of Python that load the file called `name` in lava-dl's environment and run it on Lava.

    They run as they stand once x.npy holds the input: (n, steps) or (width, height, channels, steps), whole numbers.
    """
    arguments = "".join(f", {key}={value}" for key, value in network.loading.items())
    driven = network.layers[0]["type"] == "input" and "neuron" in network.layers[0]
    entry = "Source(data=x).s_out.connect(net.inp)  # the spikes of the input"
    if driven and network.layers[0]["neuron"]["type"] == "SDNN":
        entry = "Source(data=x).s_out.connect(net.in_layer.neuron.a_in)  # whole numbers, one a step"
    elif driven:
        entry = "net.in_layer.neuron.bias_mant.init = x[..., 0]  # one sample, the same in every step"
    return (
        "import numpy as np",
        "from lava.lib.dl import netx",
        "from lava.magma.core.run_conditions import RunSteps",
        "from lava.magma.core.run_configs import Loihi2SimCfg",
        "from lava.proc.io.sink import RingBuffer as Sink",
        "from lava.proc.io.source import RingBuffer as Source",
        'x = np.load("x.npy")  # whole numbers, (n, steps), maps (width, height, channels, steps)',
        f'net = netx.hdf5.Network(net_config="{name}"{arguments})',
        entry,
        "sink = Sink(shape=net.out.shape, buffer=x.shape[-1])",
        "net.out.connect(sink.a_in)  # step t of net.out is step t of snnport run",
        'net.run(condition=RunSteps(num_steps=x.shape[-1]), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))',
        "spikes = sink.data.get()",
        "net.stop()",
    )


@dataclass
class _Draft:
    """What has been written so far. shape: of what the last layer gives, None for a dense layer's flat output."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    blocks: int = 0
    map: Shape | None = None

    def sends_numbers(self) -> bool:
        """Whether the last layer sends numbers."""
        neuron = self.layers[-1].get("neuron") if self.layers else None
        return neuron is not None and neuron["type"] == "SDNN"


def netx_of(program: Program) -> Network:
    """The layers of `program`. Raises DoesNotFit with every fault."""
    draft = _Draft()
    biases, chain = _chain(program, draft.faults)
    if draft.faults:
        raise _refused(draft.faults)
    header = json.loads(program.meta.get("netx") or "{}")
    start = program.population(program.inputs[0])
    draft.map = start.shape if len(start.shape) == 3 else None
    for number, population in enumerate(chain):
        source = chain[number - 1] if number else start
        try:
            _layer(program, population, source, draft, biases.get(population.name), header)
        except Faulty as fault:
            draft.faults.append(fault.fault)
    loading = _loading(draft, chain, bool(biases))
    if draft.faults:
        raise _refused(draft.faults)
    return Network(tuple(draft.layers), loading, program.n_steps or header.get("steps"))


def _refused(faults: list[Fault]) -> DoesNotFit:
    if len(faults) == 1:
        return DoesNotFit(f"netx: {faults[0].where}", faults[0].what, faults[0].remedy)
    lines = "\n".join(f"  {f.where}: {f.what}. {f.remedy}." for f in faults)
    return DoesNotFit("netx", f"it cannot hold the network, {len(faults)} reasons:\n{lines}")


# ------------------------------------------------------------------------------------------------------------ the chain


def _chain(program: Program, faults: list[Fault]) -> tuple[dict[str, tuple[Ints, int]], list[Population]]:
    """Biases that come as spikes, (codes (n,), step of the first) by population, and the populations from the input on."""
    if len(program.inputs) != 1:
        faults.append(Fault("network", f"it has {len(program.inputs)} inputs, netx one", "Join them"))
        return {}, []
    sources = {p.name for p in program.populations if _always_fires(program, p)}
    biases: dict[str, tuple[Ints, int]] = {}
    for q in program.projections:
        if q.source in sources:
            codes = _column(q)
            before, first = biases.get(q.target, (0 * codes, q.delay))
            biases[q.target] = (before + codes, first if first == q.delay else -1)
    chain: list[Population] = []
    current = program.inputs[0]
    seen = {current, *sources}
    while True:
        targets = {q.target for q in program.projections if q.source == current and q.target != current}
        if not targets:
            break
        if len(targets) > 1 or targets & seen:
            names = ", ".join(sorted(targets))
            faults.append(Fault(current, f"it feeds {names}; in netx a layer feeds the next one alone", "Train it as a chain"))
            return biases, chain
        current = targets.pop()
        seen.add(current)
        chain.append(program.population(current))
    lost = [p for p in program.populations if p.name not in seen]
    faults += [Fault(p.name, f"it is a {p.neuron.family} beside the chain of layers", _remedy(p)) for p in lost]
    if not chain:
        faults.append(Fault("network", "it has no layer", "Give a network of neurons"))
    elif program.outputs != (chain[-1].name,):
        found = ", ".join(program.outputs)
        faults.append(Fault(found, f"it is read, netx reads the last layer, {chain[-1].name}", "Read the last layer alone"))
    return biases, chain


def _remedy(population: Population) -> str:
    return "Convert with another code" if population.neuron.family == "generator" else "Train it as a chain of layers"


def _always_fires(program: Program, population: Population) -> bool:
    """Whether it is one neuron that nothing reaches and whose bias makes it fire in every step."""
    if population.size != 1 or population.neuron.family != "cuba" or program.into(population.name):
        return False
    return int(_bias(population)[0]) > int(population.neuron["vth"].reshape(-1)[0]) * UNIT


def _column(projection: Projection) -> Ints:
    codes = np.asarray(projection.synapse.codes, np.int64).reshape(-1)
    return codes << projection.exponent


# ------------------------------------------------------------------------------------------------------------- a layer


def _layer(
    program: Program,
    population: Population,
    source: Population,
    draft: _Draft,
    spiked: tuple[Ints, int] | None,
    header: Mapping[str, Any],
) -> None:
    """Append the layers of one population."""
    name, into = population.name, program.into(population.name)
    forward = tuple(q for q in into if q.source == source.name)
    back = tuple(q for q in into if q.source == name)
    if all(q.delay == 0 for q in forward):
        _input_layer(population, forward, draft, header)
        return
    neuron = _neuron(population, draft)
    bias = _own_bias(population) if spiked is None else _as_bias(population, spiked, draft.blocks)
    if source.name in program.inputs and not draft.layers and draft.map is not None:
        shape = np.array(source.shape, np.int64)
        draft.layers.append({"type": "input", "shape": shape})
    if is_conv(forward, draft.map, population):
        if back:
            raise Faulty(Fault(name, "it is a convolution with recurrent synapses", "Train without them"))
        fields = conv_fields(name, forward, population.shape, draft.map)
        by_channel = bias.reshape(population.shape[0], -1)
        one = np.all(by_channel == by_channel[:, :1])
        shaped = by_channel[:, 0] if one else bias.reshape(population.shape).transpose(2, 1, 0)
        layer = {"type": "conv", "shape": np.array(population.shape), **fields}
        draft.map = population.shape
    else:
        if draft.map is not None:
            size = int(np.prod(draft.map))
            draft.layers.append({"type": "flatten", "shape": np.array([size, 1, 1])})
        fields = dense_fields(name, forward, back, source, population.size)
        kind = "dense_rec" if back else "dense"
        layer = {"type": kind, "shape": np.array([population.size]), **fields}
        layer |= {"inFeatures": source.size, "outFeatures": population.size}
        shaped, draft.map = bias, None
    draft.layers.append({**layer, **({"bias": shaped.astype(np.int32)} if bias.any() else {}), "neuron": neuron})
    draft.blocks += 1


def _input_layer(population: Population, forward: tuple[Projection, ...], draft: _Draft, header: Mapping[str, Any]) -> None:
    """An input layer with neurons, which the user drives by their bias (CUBA) or their input (SDNN)."""
    own = header.get("input_layer") or {}
    wanted = SDNN_EXP if population.neuron.family == "delta" else 0
    plain = len(forward) == 1 and forward[0].exponent == wanted and np.all(forward[0].synapse.codes == 1)
    forgets = population.neuron.family == "delta" or np.all(population.neuron.params.get("du", -1) == 4095)
    if draft.blocks or not plain or not forgets or _own_bias(population).any():
        what = "its input arrives in the step in which it was sent; netx has that for the first layer alone, unweighted"
        raise Faulty(Fault(population.name, what, "Let every synapse take a step"))
    layer = {"type": "input", "shape": np.array(population.shape), "neuron": _neuron(population, draft)}
    draft.layers.append(layer | {key: np.array([own[key]]) for key in ("weight", "bias") if key in own})
    draft.blocks += 1


def _neuron(population: Population, draft: _Draft) -> dict[str, Any]:
    """The neuron group of a layer. Raises Faulty."""
    family, p, name = population.neuron.family, population.neuron.params, population.name
    if family in CUBA:
        values = {key: np.unique(p[key]) for key in ("du", "dv", "vth")}
        many = [key for key, value in values.items() if len(value) > 1]
        if many:
            what = f"its neurons differ in {', '.join(many)}; netx holds one for a layer"
            raise Faulty(Fault(name, what, "Train with one value a layer"))
        if family == "cuba_reset":
            draft.resets.append((int(p["reset_interval"].max()), int(p["reset_offset"].max()) - draft.blocks))
        du, dv, vth = (int(values[key][0]) for key in ("du", "dv", "vth"))
        return _cuba(du, dv, vth)
    if family == "integrator" and not np.any(p.get("v_init", 0)) and not draft.sends_numbers():
        return _cuba(4095, 0, NEVER)
    if family in ("delta", "sigma_delta", "integrator"):
        return _sdnn(population)
    what = f"its neurons are of family {family}; netx holds cuba, delta and sigma_delta"
    raise Faulty(Fault(name, what, "Convert for another tool, or run the program with --engine vendor"))


def _cuba(du: int, dv: int, vth: int) -> dict[str, Any]:
    numbers = {"iDecay": du + 1, "vDecay": dv, "vThMant": vth, "refDelay": 1}
    return {"type": "CUBA", **numbers, "gradedSpike": False}


def _sdnn(population: Population) -> dict[str, Any]:
    p, name = population.neuron.params, population.name
    if population.neuron.family == "integrator":
        return {"type": "SDNN", "sigma_output": True, "vThMant": 0, "activation": "relu"}
    threshold = np.unique(p["v_threshold"])
    shift = np.unique(p.get("shift", np.zeros(1)))
    bounded = "v_min" in p or "v_max" in p
    sums = population.neuron.family == "sigma_delta"
    exponent = 2 * SDNN_EXP if sums else SDNN_EXP
    scaled = int(threshold[0]) % (1 << exponent) == 0 or int(threshold[0]) == 1
    plain = shift.tolist() == [SDNN_EXP if sums else 0] and not bounded and bool(np.all(p.get("rectify", 1)))
    if len(threshold) > 1 or not scaled or not plain:
        what = "its exponents, threshold, bounds or rectifier are not those of netx's SDNN (spike_exp and state_exp 6)"
        raise Faulty(Fault(name, what, "Run the program with --engine vendor"))
    return {"type": "SDNN", "vThMant": int(threshold[0]) >> exponent, "activation": "relu"}


# ---------------------------------------------------------------------------------------------------------------- bias


def _bias(population: Population) -> Ints:
    """What is added to v in each step, int64 (n,), in units of v."""
    p = population.neuron.params
    mant, exponent = (np.asarray(p.get(key, 0), np.int64) for key in ("bias_mant", "bias_exp"))
    whole = np.where(exponent >= 0, mant << np.maximum(exponent, 0), mant >> np.maximum(-exponent, 0))
    return np.broadcast_to(whole, (population.size,))


def _own_bias(population: Population) -> Ints:
    """The bias as the file holds it. Raises Faulty where it is no multiple of its unit."""
    family, p = population.neuron.family, population.neuron.params
    if family in CUBA:
        units, unit = _bias(population), UNIT
    elif family == "integrator":
        units, unit = np.broadcast_to(np.asarray(p.get("bias", 0), np.int64), (population.size,)), 1
    else:
        units, unit = np.broadcast_to(np.asarray(p.get("bias", 0), np.int64), (population.size,)), 1 << 2 * SDNN_EXP
    if np.any(units % unit):
        what = f"its bias is no multiple of {unit}, and netx counts it in those"
        raise Faulty(Fault(population.name, what, "Quantise with --bits 8, which gives biases whole codes"))
    return _in_range(population.name, units // unit)


def _as_bias(population: Population, spiked: tuple[Ints, int], blocks: int) -> Ints:
    """A bias that comes as spikes, as bias_mant: the same where the current is forgotten, from the step on in which
    lava-dl's reset_offset = 1 starts the layer."""
    codes, first = spiked
    name = population.name
    if population.neuron.family not in CUBA or not np.all(population.neuron["du"] == 4095):
        what = "its bias belongs to the synaptic current, netx adds it to the potential"
        raise Faulty(Fault(name, what, "Train without a bias, or without a synaptic current"))
    if first != blocks + 1:
        what = f"its bias begins in step {first}, netx could begin it in step {blocks + 1}"
        raise Faulty(Fault(name, what, "Train it as a chain of layers"))
    return _in_range(name, codes + _own_bias(population))


def _in_range(name: str, codes: Ints) -> Ints:
    if np.abs(codes).max(initial=0) > MOST_BIAS:
        what = f"its bias reaches {int(np.abs(codes).max())} codes, a bias_mant holds {MOST_BIAS}"
        raise Faulty(Fault(name, what, "Quantise with --bits 8"))
    return np.asarray(codes, np.int64)


def _loading(draft: _Draft, chain: list[Population], late: bool) -> dict[str, int]:
    """Arguments of Network beside the file: resets that the program has, or one that starts biased layers in their step."""
    if late:
        return {"reset_interval": 1 << 30, "reset_offset": 1}
    if not draft.resets:
        return {}
    if len(set(draft.resets)) > 1 or len(draft.resets) < len(chain):
        what = "its layers differ in their resets; lava-dl resets all at one interval, each a step later"
        draft.faults.append(Fault("network", what, "Read it with one --reset-interval"))
    interval, offset = draft.resets[0]
    return {"reset_interval": interval, **({"reset_offset": offset - 1} if offset != 1 else {})}
