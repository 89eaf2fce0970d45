"""A chip from a SANA-FE architecture file: its sizes for the rules and the placement, its energies for the estimate.

The energies are numbers of the chip, so that they travel with every program that is lowered for it.
"""

from __future__ import annotations

from types import MappingProxyType

from snnport.chip import Chip, Number
from snnport.errors import UnsupportedNode
from snnport.sim.price_model import Band, Price, PriceModel
from snnport.sim.sanafe_arch import Architecture

UNLIMITED = 1 << 40
"""Of what the file states no limit for."""
PRICED = {
    "dense synapses": ("synaptic_operations_dense", "synapse_dense_pj"),
    "sparse synapses": ("synaptic_operations_sparse", "synapse_sparse_pj"),
    "convolution synapses": ("synaptic_operations_conv", "synapse_conv_pj"),
    "dendrites": ("synaptic_operations", "dendrite_pj"),
    "neuron accesses": ("neuron_updates", "access_pj"),
    "driven neurons": ("neuron_updates_driven", "update_pj"),
    "idle neurons": ("neuron_updates_idle", "update_pj"),
    "spikes": ("placed_spikes", "spike_pj"),
    "messages": ("messages", "message_pj"),
    "hops east and west": ("hops_x", "hop_x_pj"),
    "hops north and south": ("hops_y", "hop_y_pj"),
}
"""Term -> (what is counted, the chip's number that prices it)."""
UNPRICED = (
    "barrier synchronisation (time alone)",
    "stimuli (their units are priced at the host)",
    "static power",
    "host, encoding of the input, reading of the output",
)


def as_chip(architecture: Architecture, base: Chip) -> Chip:
    """A chip for the target of `base` with the sizes and energies of `architecture`; of `base` it keeps state_bits alone.

    Raises UnsupportedNode if the file has no unit for leaky integrate-and-fire neurons.
    """
    soma = architecture.neuron()
    if soma is None:
        what = "it has no soma unit of model leaky_integrate_fire"
        raise UnsupportedNode(architecture.name, what, "Choose another architecture")
    mesh, hops = architecture.mesh, architecture.hops
    source = f"SANA-FE architecture '{architecture.name}'"
    sizes = {
        "cores": Number(architecture.cores, "cores", source, "secondary"),
        "neurons_per_core": Number(architecture.neurons_per_core, "neurons", source, "secondary"),
        "mesh_width": Number(mesh.width, "tiles", source, "secondary"),
        "mesh_height": Number(mesh.height, "tiles", source, "secondary"),
        "cores_per_tile": Number(mesh.cores_per_tile, "cores", source, "secondary"),
        "weight_words": Number(UNLIMITED, "words", f"{source}: it states no limit", "low"),
        "state_bits": base.numbers["state_bits"],
    }
    joules = {
        **{f"synapse_{kind}_pj": architecture.synapses[architecture.synapse(kind)] for kind in ("dense", "sparse", "conv")},
        "dendrite_pj": next(iter(architecture.dendrites.values())),
        "access_pj": soma.access,
        "update_pj": soma.update,
        "spike_pj": soma.spike_out,
        "message_pj": architecture.message_in + architecture.message_out,
        "hop_x_pj": (hops.east + hops.west) / 2,
        "hop_y_pj": (hops.north + hops.south) / 2,
    }
    prices = {name: Number(value * 1e12, "pJ", source, "secondary") for name, value in joules.items()}
    description = f"sizes and energies of {source}; the integer neurons of {base.name}, no clock"
    return Chip(architecture.name, base.target, description, MappingProxyType({**sizes, **prices}))


def chip_prices(chip: Chip) -> PriceModel | None:
    """The price model that the chip's own numbers make, or None if they are not those of an architecture file.

    SANA-FE charges an update to idle neurons whose potential is not 0: none of them (low) to all of them (high).
    """
    if any(number not in chip.numbers for _, number in PRICED.values()):
        return None

    def band(term: str, number: str) -> Band:
        pj = float(chip[number])
        low = 0.0 if term == "idle neurons" else pj
        return Band(low, pj, pj, chip.numbers[number].source)

    terms = {term: Price(count, band(term, number)) for term, (count, number) in PRICED.items()}
    name = f"SANA-FE: {chip.name}"
    return PriceModel(name, "analytic", None, None, (chip.target,), MappingProxyType(terms), UNPRICED, None)
