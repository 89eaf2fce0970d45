"""The layers that cores run: of every population on the chip the one kernel, and where its spikes come from.

A core has one kernel. Kernels of several projections into one population are that kernel where they are equal (the sources
meet in the same channels), or where they differ in nothing but their weights: then they stand one behind the other along
the input channels, and the sources of each send theirs with a shift of the channel (CnnLayerDestination.feature_shift,
sinabs 3.1.3, docs/speck/faqs/available_network_arch.md). Inputs stand first: events from outside are not shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnport.fixed import IntArray
from snnport.program import Conv, Program, Projection, SumPool
from snnport.targets.placement import on_chip
from snnport.targets.synapses import conv_output, map_shape


@dataclass(frozen=True)
class Feed:
    """Spikes of `source`, summed in windows of `pool`, enter the kernel with their channels shifted by `shift`."""

    source: str
    shift: int
    pool: SumPool | None


@dataclass(frozen=True, eq=False)
class Layer:
    """What one core runs. blocks: kernels one behind the other along their input channels, all of one geometry.

    alien: projections whose kernels are none of `blocks` because their geometry differs; a rule refuses them.
    """

    name: str
    output_shape: tuple[int, int, int]
    blocks: tuple[Conv, ...]
    feeds: tuple[Feed, ...]
    biased: bool
    alien: tuple[str, ...] = ()

    @property
    def kernel_shape(self) -> tuple[int, int, int, int] | None:
        """(out, in, kh, kw) of the kernel; None without any."""
        if not self.blocks:
            return None
        outputs, _, height, width = self.blocks[0].codes.shape
        return int(outputs), sum(conv.input_shape[0] for conv in self.blocks), int(height), int(width)

    @property
    def kernel(self) -> IntArray:
        """Weight codes (out, in, kh, kw)."""
        return np.concatenate([conv.codes.astype(np.int64) for conv in self.blocks], axis=1)


def layers_of(program: Program) -> tuple[Layer, ...]:
    """The layers of `program`, in the order of its populations."""
    return tuple(_layer(program, population.name) for population in on_chip(program))


def _layer(program: Program, name: str) -> Layer:
    population = program.population(name)
    drives = program.into(name)
    convs = [p for p in drives if isinstance(p.synapse, Conv)]
    convs.sort(key=lambda p: p.source not in program.inputs)
    blocks: list[Conv] = []
    feeds: list[Feed] = []
    alien: list[str] = []
    for projection in convs:
        place = _place(projection, blocks)
        if place is None:
            alien.append(projection.name)
            continue
        feeds.append(Feed(projection.source, place, projection.pool))
    bias = population.neuron.params.get("bias")
    shape = conv_output(blocks[0]) if blocks else map_shape(population.shape)
    return Layer(name, shape, tuple(blocks), tuple(feeds), bias is not None and bool(bias.any()), tuple(alien))


def _place(projection: Projection, blocks: list[Conv]) -> int | None:
    """First input channel of the projection's kernel, which is added to `blocks` where it is new; None if it cannot be."""
    conv, first = projection.synapse, 0
    assert isinstance(conv, Conv)
    if blocks and not stackable(conv, blocks[0]):
        return None
    for known in blocks:
        if np.array_equal(known.codes, conv.codes):
            return first
        first += known.input_shape[0]
    blocks.append(conv)
    return first


def stackable(a: Conv, b: Conv) -> bool:
    """Whether two kernels into one population differ in nothing but their weights and their number of input channels."""
    alike = ("stride", "padding", "dilation")
    same = all(getattr(a, key) == getattr(b, key) for key in alike) and a.groups == b.groups == 1
    return same and a.codes.shape[2:] == b.codes.shape[2:] and a.input_shape[1:] == b.input_shape[1:]
