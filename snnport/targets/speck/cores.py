"""Memory of the cores, and which layer goes to which core.

Addresses are padded to powers of two (sinabs 3.1.3, docs/speck/overview.md, memory constraints):
    kernel words = in * 2^(ceil(log2(kh kw)) + ceil(log2 out)),  neuron words = out * 2^(ceil(log2 h) + ceil(log2 w)),
    bias words = out. One layer a core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnport.chip import Chip
from snnport.program import Program
from snnport.targets.speck.layers import Layer, layers_of


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


def kernel_words(shape: tuple[int, ...]) -> int:
    """Words of kernel memory that a kernel of `shape` (out, in, kh, kw) takes."""
    outputs, inputs, height, width = shape
    return inputs * (1 << (bits_for(height * width) + bits_for(outputs)))


def needs_of(program: Program) -> dict[str, Needs]:
    """What each population on the chip needs."""
    return {layer.name: _needs(layer) for layer in layers_of(program)}


def _needs(layer: Layer) -> Needs:
    channels, height, width = layer.output_shape
    kernel = kernel_words(layer.kernel_shape) if layer.kernel_shape else 0
    return Needs(kernel, channels * (1 << (bits_for(height) + bits_for(width))), channels if layer.biased else 0)


def memories(chip: Chip) -> tuple[Needs, ...]:
    """What each core has."""
    rows = zip(chip["kernel_words"], chip["neuron_words"], chip["bias_words"], strict=False)
    return tuple(Needs(*row) for row in rows)[: int(chip["cores"])]


def assign(layers: Mapping[str, Needs], cores: tuple[Needs, ...]) -> dict[str, int]:
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


@dataclass(frozen=True)
class Contest:
    """Layers that only fit `cores`, which are fewer than they: why no assignment of all layers exists (Hall's theorem)."""

    layers: tuple[str, ...]
    cores: tuple[int, ...]


def contests(layers: Mapping[str, Needs], cores: tuple[Needs, ...], placed: Mapping[str, int]) -> tuple[Contest, ...]:
    """Which layers compete for which cores, for the layers that the maximum matching `placed` leaves out.

    From a layer without a core: every core it fits, the layers that have these, every core those fit, and so on. No core so
    reached is free, or the matching were not a maximum; so these layers have one core fewer than they are for each that
    is left out among them. Layers that reach a common core are one contest.
    """
    owner = {core: layer for layer, core in placed.items()}
    found: list[tuple[set[str], set[int]]] = []
    for left in (name for name in layers if name not in placed):
        names, reached, waiting = {left}, set[int](), [left]
        while waiting:
            need = layers[waiting.pop()]
            for core in (i for i, memory in enumerate(cores) if i not in reached and need.fit(memory)):
                reached.add(core)
                names.add(owner[core])
                waiting.append(owner[core])
        same = [part for part in found if part[1] & reached]
        for part in same:
            found.remove(part)
        found.append((names.union(*(p[0] for p in same)), reached.union(*(p[1] for p in same))))
    return tuple(Contest(tuple(n for n in layers if n in names), tuple(sorted(reached))) for names, reached in found)
