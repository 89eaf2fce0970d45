"""The same network without spikes, on the same memories: the quantised ANN beside which a spiking network must be judged.

Two ANNs: the bit-matched one, whose activations have the ceil(log2(L + 1)) bits that L spikes can say (Yan, Bai and Wong,
arXiv 2409.08290) and whose weights are the program's, and the usual int8 one. Both are priced by the prices of the spiking
network's own model, so that nothing but the way of computing differs. The break-even rate is the spike rate at which the
spiking network would cost as much as the ANN.

What the band means here: high and mid fetch a weight for every multiplication, as an event-driven chip does for every
event, and dense layers their inputs once (Lemaire et al., ICONIP 2022); low fetches every weight and activation once an
inference, the best that any reuse can do. Left out on both sides: static power, messages, control, the input's encoding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from snnport.sim.analytic import AS_STORED, PICO, Line, access_pj, spiking_lines, summed
from snnport.sim.energy import lines
from snnport.sim.price_model import Analytic, Band, Price, PriceModel, Triple
from snnport.sim.workload import Layer, Workload

INT8 = 8
COMPARED = (
    "synaptic_operations",
    "neuron_updates",
    "weight_read_bytes",
    "state_read_bytes",
    "state_write_bytes",
)
"""Counts whose terms take part in the comparison: those that both ways of computing have."""


@dataclass(frozen=True)
class Ann:
    """Energy of the ANN for all samples. macs: multiplications with addition; the terms are joules (low, mid, high)."""

    name: str
    activation_bits: tuple[int, ...]
    weight_bits: tuple[int, ...]
    macs: int
    joules: Triple
    terms: tuple[Line, ...]


@dataclass(frozen=True)
class BreakEven:
    """Spike rates (spikes a neuron and step) at which the spiking network costs as much as the ANN called `against`.

    least, mid, most: by the model's band; 0 where the spiking network costs more even if it never fires, None where it has
    no cost that grows with its spikes. event_driven: mid for a machine that spends nothing on neurons without events.
    """

    against: str
    least: float | None
    mid: float | None
    most: float | None
    event_driven: float | None


@dataclass(frozen=True)
class Comparison:
    """The spiking network and its ANNs by one model, joules for all samples.

    spike_rate: spikes a neuron and step, mean of all populations that drive weights. spikes_per_synapse: synaptic
    operations a synapse and inference.
    """

    model: str
    spiking: Triple
    spike_rate: float
    spikes_per_synapse: float
    anns: tuple[Ann, ...]
    break_even: tuple[BreakEven, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for a report."""
        return {
            "model": self.model,
            "spiking": _json(self.spiking),
            "spike_rate": self.spike_rate,
            "spikes_per_synapse": self.spikes_per_synapse,
            "anns": [
                {
                    "name": ann.name,
                    "activation_bits": list(ann.activation_bits),
                    "weight_bits": list(ann.weight_bits),
                    "macs": ann.macs,
                    **_json(ann.joules),
                    "terms": {line.name: {"count": line.count, **_json(line.joules)} for line in ann.terms},
                }
                for ann in self.anns
            ],
            "break_even": [vars(b) for b in self.break_even],
        }


def compare(work: Workload, model: PriceModel) -> Comparison | None:
    """The spiking network beside its two ANNs by `model`; None if the model has no price of a multiplication or memory."""
    layers = trained(work)
    bill = _spiking(work, model)
    if bill is None or model.multiply_pj is None or not layers:
        return None
    whole, grows = summed(bill)
    anns = (
        _ann("bit-matched ANN", work, model, matched_bits, lambda layer: layer.weight_bits),
        _ann("int8 ANN", work, model, lambda layer: INT8, lambda layer: INT8),
    )
    rate = spike_rate(work)
    synapses = sum(layer.connections for layer in layers) * work.counts.samples
    per_synapse = sum(layer.operations for layer in layers) / synapses if synapses else 0.0
    return Comparison(model.name, whole, rate, per_synapse, anns, tuple(break_even(rate, whole, grows, ann) for ann in anns))


def trained(work: Workload) -> tuple[Layer, ...]:
    """The layers that the trained network has: those that generators drive are there for the spikes alone."""
    return tuple(layer for layer in work.layers if not layer.controlled)


def matched_bits(layer: Layer) -> int:
    """Bits of an activation that says as much as the spikes of the layer's source: ceil(log2(levels + 1))."""
    return layer.levels.bit_length()


def spike_rate(work: Workload) -> float:
    """Spikes a neuron and step, mean over the populations that drive a trained layer."""
    counts = work.counts
    sources = dict.fromkeys(layer.source for layer in trained(work))
    neurons = sum(len(counts.spikes_per_neuron[name]) for name in sources)
    chances = neurons * counts.steps * counts.samples
    return sum(counts.spikes[name] for name in sources) / chances if chances else 0.0


def break_even(rate: float, whole: Triple, grows: Triple, ann: Ann) -> BreakEven:
    """The rates at which `whole` would equal the ANN's energy if `grows` were in proportion to the rate."""
    rates = [_even(rate, whole[i], grows[i], ann.joules[i]) for i in range(3)]
    known = sorted(r for r in rates if r is not None)
    free = _even(rate, grows[1], grows[1], ann.joules[1])
    return BreakEven(ann.name, known[0] if known else None, rates[1], known[-1] if known else None, free)


def _even(rate: float, whole: float, grows: float, ann: float) -> float | None:
    return None if grows <= 0 else max(0.0, rate * (ann - (whole - grows)) / grows)


def multiplications(layer: Layer, samples: int) -> int:
    """Multiplications of the ANN's layer. A signed input comes twice in the spiking network, in the ANN once."""
    return layer.connections * samples // (2 if layer.signed_input else 1)


def _spiking(work: Workload, model: PriceModel) -> tuple[Line, ...] | None:
    if model.analytic is not None:
        return spiking_lines(work, model.analytic, AS_STORED)
    if any(not _prices(model, count) for count in COMPARED if count != "neuron_updates"):
        return None
    bill, _ = lines(work, model)
    return tuple(line for line in bill if model.terms[line.name].count in COMPARED)


def _ann(
    name: str, work: Workload, model: PriceModel, activation: Callable[[Layer], int], weight: Callable[[Layer], int]
) -> Ann:
    bill: dict[str, list[Line]] = {}
    macs = 0
    for layer in trained(work):
        n = 0 if layer.relay else multiplications(layer, work.counts.samples)
        macs += n
        bits = (activation(layer), weight(layer))
        entries = (
            _analytic_layer(layer, work.counts.samples, n, model.analytic, bits, model.multiply_pj)
            if model.analytic is not None
            else _flat_layer(layer, work.counts.samples, n, model, bits)
        )
        for line in entries:
            bill.setdefault(line.name, []).append(line)
    terms = tuple(Line(key, sum(line.count for line in same), summed(same)[0]) for key, same in bill.items())
    layers = trained(work)
    return Ann(name, tuple(map(activation, layers)), tuple(map(weight, layers)), macs, summed(terms)[0], terms)


def _moves(layer: Layer, samples: int, macs: int) -> tuple[int, int, int, int, int]:
    """(weights stored, input values, output values, reads of weights, reads of inputs) of all samples without reuse."""
    half = 2 if layer.signed_input else 1
    inputs, outputs = layer.sources // half * samples, layer.targets * samples
    reads = macs if layer.kind == "conv" else inputs
    return layer.weights // half, inputs, outputs, macs, reads


def _multiply(band: Band | None, bits: tuple[int, int]) -> Triple:
    assert band is not None
    part = bits[0] * bits[1] / (INT8 * INT8)
    return (band.low * part, band.mid * part, band.high * part)


def _analytic_layer(
    layer: Layer, samples: int, macs: int, model: Analytic | None, bits: tuple[int, int], multiply: Band | None
) -> Iterable[Line]:
    assert model is not None
    stored, inputs, outputs, weight_reads, input_reads = _moves(layer, samples, macs)
    product = _multiply(multiply, bits)
    address = inputs + outputs + (layer.kernel * samples if layer.kind == "conv" else 0)
    weights = access_pj(model, stored * bits[1] / 8, bits[1])
    maps_in = access_pj(model, inputs / max(1, samples) * bits[0] / 8, bits[0])
    maps_out = access_pj(model, outputs / max(1, samples) * bits[0] / 8, bits[0])
    yield _line("multiplications", macs, (macs, macs), product)
    yield _line("additions", macs, (macs, macs), (model.add_pj, model.add_pj, model.add_pj))
    yield _line("addressing", address, (address, address), (model.add_pj, model.add_pj, model.add_pj))
    yield _line("weight memory", weight_reads, (stored * samples, weight_reads), weights)
    yield _line("activations read", input_reads, (min(inputs, input_reads), input_reads), maps_in)
    yield _line("activations written", outputs, (outputs, outputs), maps_out)


def _flat_layer(layer: Layer, samples: int, macs: int, model: PriceModel, bits: tuple[int, int]) -> Iterable[Line]:
    stored, inputs, outputs, weight_reads, input_reads = _moves(layer, samples, macs)
    activation, weight = bits[0] / 8, bits[1] / 8
    yield _line("multiplications", macs, (macs, macs), _multiply(model.multiply_pj, bits))
    yield _line("additions", macs, (macs, macs), _sum(model, "synaptic_operations"))
    yield _line("activation functions", outputs, (outputs, outputs), _sum(model, "neuron_updates"))
    weight_pj, read_pj, write_pj = (
        _sum(model, name) for name in ("weight_read_bytes", "state_read_bytes", "state_write_bytes")
    )
    yield _line("weight bytes", weight_reads * weight, (stored * samples * weight, weight_reads * weight), weight_pj)
    least = min(inputs, input_reads) * activation
    yield _line("activation bytes read", input_reads * activation, (least, input_reads * activation), read_pj)
    yield _line("activation bytes written", outputs * activation, (outputs * activation, outputs * activation), write_pj)


def _line(name: str, count: float, numbers: tuple[float, float], pj: Iterable[float]) -> Line:
    """numbers: with the best reuse, for the low figure, and without any, for the others."""
    low, mid, high = pj
    return Line(name, math.ceil(count), (numbers[0] * low * PICO, numbers[1] * mid * PICO, numbers[1] * high * PICO))


def _prices(model: PriceModel, count: str) -> list[Price]:
    return [entry for entry in model.terms.values() if entry.count == count]


def _sum(model: PriceModel, count: str) -> Triple:
    bands = [entry.pj.figures for entry in _prices(model, count)]
    low, mid, high = (math.fsum(band[i] for band in bands) for i in range(3))
    return (low, mid, high)


def _json(joules: Triple) -> dict[str, float]:
    return dict(zip(("low_j", "mid_j", "high_j"), joules, strict=True))
