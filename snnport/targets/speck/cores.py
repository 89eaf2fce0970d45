"""Memory of Speck's cores, and which layer goes to which core.

Addresses are padded to powers of two (sinabs 3.1.3, docs/speck/overview.md, memory constraints):
    kernel words = in * 2^(ceil(log2(kh kw)) + ceil(log2 out)),  neuron words = out * 2^(ceil(log2 h) + ceil(log2 w)),
    bias words = out. One layer a core.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnport.chip import Chip
from snnport.program import Conv, Program
from snnport.targets.placement import on_chip
from snnport.targets.synapses import conv_output, map_shape


@dataclass(frozen=True)
class Needs:
    """What one layer takes of its core, in words."""

    kernel: int
    neuron: int
    bias: int

    def fit(self, core: Needs) -> bool:
        """Whether a core with these memories holds the layer."""
        return self.kernel <= core.kernel and self.neuron <= core.neuron and self.bias <= core.bias


def bits_for(count: int) -> int:
    """ceil(log2(count))."""
    return max(count - 1, 0).bit_length()


def kernel_words(conv: Conv) -> int:
    """Words of kernel memory that `conv` takes."""
    outputs, inputs, height, width = conv.codes.shape
    return int(inputs) * (1 << (bits_for(int(height * width)) + bits_for(int(outputs))))


def needs_of(program: Program) -> dict[str, Needs]:
    """What each population on the chip needs."""
    found: dict[str, Needs] = {}
    for population in on_chip(program):
        into = program.into(population.name)
        convs = [p.synapse for p in into if isinstance(p.synapse, Conv)]
        channels, height, width = conv_output(convs[0]) if convs else map_shape(population.shape)
        driven = any(program.population(p.source).neuron.family == "generator" for p in into)
        bias = population.neuron.params.get("bias")
        biased = driven or (bias is not None and bool(bias.any()))
        found[population.name] = Needs(
            max((kernel_words(conv) for conv in convs), default=0),
            channels * (1 << (bits_for(height) + bits_for(width))),
            channels if biased else 0,
        )
    return found


def memories(chip: Chip) -> tuple[Needs, ...]:
    """What each core has."""
    rows = zip(chip["kernel_words"], chip["neuron_words"], chip["bias_words"], strict=False)
    return tuple(Needs(*row) for row in rows)[: int(chip["cores"])]


def assign(layers: dict[str, Needs], cores: tuple[Needs, ...]) -> dict[str, int]:
    """Core of each layer, for as many layers as can have one: a maximum bipartite matching by augmenting paths.

    Small cores are tried first, so that what is left over can hold more. Layers without a core are left out.
    """
    order = sorted(range(len(cores)), key=lambda i: (cores[i].kernel, cores[i].neuron, i))
    owner: dict[int, str] = {}

    def find(layer: str, tried: set[int]) -> bool:
        for core in order:
            if core in tried or not layers[layer].fit(cores[core]):
                continue
            tried.add(core)
            if core not in owner or find(owner[core], tried):
                owner[core] = layer
                return True
        return False

    for layer in layers:
        find(layer, set())
    return {layer: core for core, layer in owner.items()}
