"""A placed program as what samna's configuration needs: cores with their kernels, neurons and destinations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snnport.errors import DoesNotFit
from snnport.exporters.samna import Core, Destination, Device, Front, Readout, Setup, write_samna
from snnport.fixed import IntArray, signed_range
from snnport.program import Program
from snnport.targets.speck.layers import Layer, layers_of
from snnport.targets.speck.sensor import Preprocessing
from snnport.targets.synapses import map_shape


def export(program: Program, folder: Path, raster: IntArray | None) -> tuple[Path, ...]:
    """Write samna.json into `folder`. raster: of no use here, the chip takes its events from a board or its sensor."""
    return write_samna(setup_of(program), folder)


def setup_of(program: Program, front: Preprocessing | None = None) -> Setup:
    """What the chip is given to run `program`.

    front: what happens to events before the first layer; None for what the program itself pools there. Raises DoesNotFit for
    biases that differ within a channel, and for a front that does not give what the program takes.
    """
    chip = program.chip
    placed = {piece.population: piece.core for piece in program.placements}
    layers = {layer.name: layer for layer in layers_of(program)}
    outputs, block = set(program.outputs), _readout(program)
    cores = {placed[name]: _core(program, layer, layers, placed, block) for name, layer in layers.items()}
    stage = _front(program, layers, front)
    entered = tuple(placed[name] for name, layer in layers.items() if any(f.source in program.inputs for f in layer.feeds))
    device = Device(chip.target, int(chip["cores"]), bool(chip["decimator"]), bool(chip["kill_bits"]))
    notes: dict[str, Any] = {
        "inputs": {name: [placed[n] for n, layer in layers.items() if name in _sources(layer)] for name in program.inputs},
        "outputs": {name: placed[name] for name in program.outputs},
        "slow_clock": {"steps_a_tick": 1} if any(layer.biased for layer in layers.values()) else None,
    }
    monitored = {number: replace(core, monitor=core.name in outputs) for number, core in cores.items()}
    return Setup(device, monitored, Front(stage.fields(), stage.noise.fields(), entered), block, notes)


def _core(program: Program, layer: Layer, layers: dict[str, Layer], placed: dict[str, int], block: Readout) -> Core:
    neuron = program.population(layer.name).neuron
    first = layer.blocks[0]
    size = int(np.prod(layer.output_shape))
    ends = [
        Destination(placed[other.name], 1 if feed.pool is None else feed.pool.kernel_size[0], feed.shift)
        for other in layers.values()
        for feed in other.feeds
        if feed.source == layer.name
    ]
    if block.used and layer.name in program.outputs:
        ends.append(Destination(int(program.chip["readout_layer"])))
    low = neuron.params.get("v_min", np.asarray(signed_range(int(program.chip["state_bits"]))[0]))
    channels = layer.output_shape[0]
    return Core(
        layer.name,
        layer.kernel,
        (sum(conv.input_shape[0] for conv in layer.blocks), *first.input_shape[1:]),
        layer.output_shape,
        first.stride,
        (first.padding[0], first.padding[1]),
        _by_channel(layer.name, _bias(program, layer.name), channels),
        np.broadcast_to(neuron.params.get("v_init", np.asarray(0)).reshape(-1), (size,)).reshape(layer.output_shape),
        int(neuron["v_threshold"].reshape(-1)[0]),
        int(low.reshape(-1)[0]),
        bool(neuron["reset"]),
        tuple(ends),
        False,
    )


def _bias(program: Program, name: str) -> IntArray:
    """What a tick of the slow clock adds to each neuron."""
    bias = program.population(name).neuron.params.get("bias", np.asarray(0)).reshape(-1)
    return np.broadcast_to(bias, (program.population(name).size,)).astype(np.int64)


def _by_channel(name: str, bias: IntArray, channels: int) -> IntArray:
    rows = bias.reshape(channels, -1)
    if np.any(rows != rows[:, :1]):
        raise DoesNotFit(name, "its biases differ within a channel, a core has one a channel", "Train without biases")
    return rows[:, 0]


def _readout(program: Program) -> Readout:
    """The readout block takes the one output whose channels were spread for it (metadata of the graph)."""
    return Readout(bool(program.meta.get("readout_block")))


def _sources(layer: Layer) -> set[str]:
    return {feed.source for feed in layer.feeds}


def _front(program: Program, layers: dict[str, Layer], front: Preprocessing | None) -> Preprocessing:
    """The pre-processing, with the pooling that the program has there."""
    pools = [f.pool for layer in layers.values() for f in layer.feeds if f.source in program.inputs]
    own = next((pool.kernel_size for pool in pools if pool is not None), (1, 1))
    shape = map_shape(program.population(program.inputs[0]).shape)
    if front is None:
        return Preprocessing(pool=own, size=shape[1:])
    limit = int(program.chip["input_size"])
    if front.sensor and not program.chip["sensor"]:
        raise DoesNotFit(program.chip.name, "it has 0 sensors, and the events shall come from its own", "Leave out 'sensor'")
    if max(front.size) > limit:
        raise DoesNotFit("--sensor", f"events on {front.size} pixels, the chip takes {limit}x{limit}", "Give size=YxX")
    if own != (1, 1):
        what = f"the network pools its input {own[0]}x{own[1]} itself, the event pre-processing pools once"
        raise DoesNotFit("--sensor", what, "Take the pooling out of the network, or leave out --sensor")
    if front.output_shape != shape:
        what = f"it makes {front.output_shape} of events on {front.shape}, the network takes {shape}"
        raise DoesNotFit("--sensor", what, "Choose size, pool and region so that they agree")
    return front
