"""The configuration of a DYNAP-CNN or Speck chip as JSON: every field that samna's configuration classes document.

docs/formats.md, "samna configuration (.json)", gives every field and what could not be verified without the vendor. Names
and orders of axes are those that sinabs 3.1.3 (backend/dynapcnn/chips/dynapcnn.py; for DYNAP-CNN's kill bits 2.0.2) writes
into samna's objects, and those of SynSense's Speck Dev Kit Datasheet (Aug 2023), section 3.2.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snnport.events import write_bytes
from snnport.fixed import IntArray

FORMAT, VERSION = "snnport-samna", 1
DESTINATIONS = 2
CLASSES = {"dynapcnn": "DynapcnnConfiguration"}
"""samna module -> the name of its configuration class; SpeckConfiguration elsewhere."""


@dataclass(frozen=True)
class Destination:
    """Where a core sends its spikes: core number, windows of pooling, and what is added to their channel."""

    layer: int
    pooling: int = 1
    feature_shift: int = 0


@dataclass(frozen=True, eq=False)
class Core:
    """What one core runs. kernel (out, in, k, k), biases (out,), initial (out, height, width): integers.

    input_shape, output_shape: (channels, height, width). stride, padding: (y, x).
    """

    name: str
    kernel: IntArray
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    biases: IntArray
    initial: IntArray
    threshold_high: int
    threshold_low: int
    return_to_zero: bool
    destinations: tuple[Destination, ...]
    monitor: bool


@dataclass(frozen=True)
class Device:
    """What of the configuration a chip has. module: in samna. cores: how many. decimator, kill_bits: see the chip's numbers."""

    module: str
    cores: int
    decimator: bool
    kill_bits: bool


@dataclass(frozen=True)
class Front:
    """The event pre-processing. layer, filter: fields of dvs_layer and dvs_filter. cores: where its events go."""

    layer: Mapping[str, Any]
    filter: Mapping[str, Any]
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Readout:
    """Whether the readout block is used. threshold: spikes in a tick of the slow clock that a class must exceed."""

    used: bool = False
    threshold: int = 1


@dataclass(frozen=True, eq=False)
class Setup:
    """A whole chip. cores: core number -> what it runs. notes: what the configuration alone does not say."""

    device: Device
    cores: Mapping[int, Core]
    front: Front
    readout: Readout = field(default_factory=Readout)
    notes: Mapping[str, Any] = field(default_factory=dict)


def configuration(setup: Setup) -> dict[str, Any]:
    """The fields of the configuration object, nested as in samna. Cores without a layer have only the fields that disable."""
    layers = [_core(setup.cores.get(number), setup.device) for number in range(setup.device.cores)]
    enabled = [{"layer": core, "enable": True} for core in setup.front.cores]
    idle = [{"layer": 0, "enable": False}] * (DESTINATIONS - len(enabled))
    return {
        "cnn_layers": layers,
        "dvs_layer": {**setup.front.layer, "destinations": [*enabled, *idle]},
        "dvs_filter": dict(setup.front.filter),
        "readout": _readout(setup.readout),
        "factory_config": {"io_sel": 24} if setup.readout.used else {},
    }


def document(setup: Setup) -> dict[str, Any]:
    """The whole file: the configuration, the class that takes it, and which layer is on which core."""
    module = setup.device.module
    return {
        "format": FORMAT,
        "version": VERSION,
        "class": f"samna.{module}.configuration.{CLASSES.get(module, 'SpeckConfiguration')}",
        "layers": {core.name: number for number, core in setup.cores.items()},
        **setup.notes,
        "configuration": configuration(setup),
    }


def write_samna(setup: Setup, folder: Path) -> tuple[Path, ...]:
    """Write samna.json into `folder`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "samna.json"
    write_bytes(path, json.dumps(document(setup), separators=(",", ":")).encode())
    return (path,)


def _core(core: Core | None, device: Device) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if device.decimator:
        options = {
            "input_congestion_balancer_enable": False,
            "output_decimator_enable": False,
            "output_decimator_interval": 0,
            "leak_internal_slow_clk_enable": False,
        }
    sent = [] if core is None else [_destination(d) for d in core.destinations]
    idle = {"layer": 0, "enable": False, "pooling": 1, "feature_shift": 0}
    ends = [*sent, *[idle] * (DESTINATIONS - len(sent))]
    if core is None:
        return {"destinations": ends, "leak_enable": False, "monitor_enable": False, **options}
    weights = core.kernel.transpose(0, 1, 3, 2)
    initial = core.initial.transpose(0, 2, 1)
    fields: dict[str, Any] = {
        "dimensions": _dimensions(core),
        "weights": weights.tolist(),
        "biases": core.biases.tolist(),
        "leak_enable": bool(core.biases.any()),
        "return_to_zero": core.return_to_zero,
        "threshold_high": core.threshold_high,
        "threshold_low": core.threshold_low,
        "neurons_initial_value": initial.tolist(),
        "monitor_enable": core.monitor,
        "destinations": ends,
        **options,
    }
    if device.kill_bits:
        fields["weights_kill_bit"] = (weights == 0).tolist()
        fields["biases_kill_bit"] = (core.biases == 0).tolist()
        fields["neurons_value_kill_bit"] = np.zeros(initial.shape, bool).tolist()
    return fields


def _destination(end: Destination) -> dict[str, Any]:
    return {"layer": end.layer, "enable": True, "pooling": end.pooling, "feature_shift": end.feature_shift}


def _dimensions(core: Core) -> dict[str, Any]:
    def shape(size: tuple[int, int, int]) -> dict[str, Any]:
        return {"size": {"x": size[2], "y": size[1]}, "feature_count": size[0]}

    return {
        "input_shape": shape(core.input_shape),
        "output_shape": shape(core.output_shape),
        "padding": {"x": core.padding[1], "y": core.padding[0]},
        "stride": {"x": core.stride[1], "y": core.stride[0]},
        "kernel_size": int(core.kernel.shape[2]),
    }


def _readout(readout: Readout) -> dict[str, Any]:
    """One class a channel (readout_configuration_sel 3), no moving average, the compared classes sent (output_mode_sel 1)."""
    if not readout.used:
        return {"enable": False}
    return {
        "enable": True,
        "readout_configuration_sel": 3,
        "output_mode_sel": 1,
        "low_pass_filter_disable": True,
        "low_pass_filter32_not16": False,
        "threshold": readout.threshold,
        "monitor_enable": False,
        "readout_pin_monitor_enable": True,
    }
