"""What a graph is trained for, put together from its recipe: encoder, output, loss, regularisers, decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from snnport.errors import InvalidInput
from snnport.graph import Graph, names_of, predecessors
from snnport.models.recipe import Fit
from snnport.nodes import NEURON_NODES
from snnport.spelling import parse_among
from snnport.training.batches import Batch
from snnport.training.decoders import DECODERS, Coded, Count, Decoder, FirstSpike, Membrane
from snnport.training.encoding import ENCODERS, Encoder
from snnport.training.losses import LOSSES, OutputLoss
from snnport.training.module import Given, Held, Result, SpikingModule
from snnport.training.regularisers import REGULARISERS, Regulariser

CHUNK = 256
"""Samples that are asked at once."""


@dataclass(frozen=True)
class Output:
    """Where a graph is read. node: what its Output reads, "" where that adds several. fires: whether spikes come from it."""

    node: str
    fires: bool

    @classmethod
    def of(cls, graph: Graph) -> Output:
        """Of the first Output."""
        sources = predecessors(graph, names_of(graph, nir.Output)[0])
        if len(sources) != 1:
            return cls("", False)
        node = graph.nodes[sources[0]]
        return cls(sources[0], hasattr(node, "v_threshold") or isinstance(node, nir.Threshold))

    def read(self, result: Result) -> tuple[Tensor | None, Tensor | None]:
        """(spikes or None, potentials or None), each (batch, steps, neurons)."""
        spikes = result.spikes[self.node].flatten(2) if self.fires else None
        v = result.v.get(self.node, None if self.fires else result.output)
        return spikes, None if v is None else v.flatten(2)


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, as the loop asks for it, and the labels that a network gives."""

    encoder: Encoder
    loss: OutputLoss
    decoder: Decoder | None
    regularisers: tuple[Regulariser, ...]
    output: Output
    tbptt: int = 0

    @classmethod
    def of(cls, fit: Fit, graph: Graph) -> Objective:
        """What `fit` spells. Raises UnknownName and InvalidInput for what it spells wrongly."""
        loss: OutputLoss = parse_among("loss", LOSSES, fit.loss)
        decoder: Decoder | None = parse_among("decoder", DECODERS, fit.decoder) if fit.decoder else _decoder_of(fit.loss, loss)
        regularisers = tuple(parse_among("regulariser", REGULARISERS, text) for text in fit.regularisers)
        output = Output.of(graph)
        if loss.reads_v and output.fires and not isinstance(graph.nodes[output.node], NEURON_NODES):
            raise InvalidInput(f"loss {fit.loss}", "the output has no potential", "Read its counts: of=count")
        return cls(parse_among("encoder", ENCODERS, fit.encoder), loss, decoder, regularisers, output, fit.tbptt)

    def __call__(self, module: nn.Module, batch: Batch) -> Tensor | Iterator[Tensor]:
        """The loss; one for every `tbptt` steps if gradients are cut."""
        assert isinstance(module, SpikingModule)
        x, y = batch[0], batch[1]
        given = self.encoder.encode(x, np.random.default_rng(int(batch[2][0]) if len(batch) > 2 else 0))
        if self.tbptt:
            return self._in_parts(module, given, y)
        return self._of(module(given, record_v=self._recorded), y)

    def _in_parts(self, module: SpikingModule, given: Given, y: Tensor) -> Iterator[Tensor]:
        steps = given.steps if isinstance(given, Held) else given.shape[1]
        starts = range(0, steps, self.tbptt)
        state = None
        for start in starts:
            stop = min(start + self.tbptt, steps)
            part: Given = replace(given, steps=stop - start) if isinstance(given, Held) else given[:, start:stop]
            result = module(part, state=state, record_v=self._recorded)
            yield self._of(result, y) / len(starts)
            state = result.state.detached()

    @property
    def _recorded(self) -> tuple[str, ...]:
        reads_v = self.loss.reads_v or (self.decoder is not None and self.decoder.reads_v)
        return (self.output.node,) if reads_v and self.output.fires else ()

    def _of(self, result: Result, y: Tensor) -> Tensor:
        total = self.loss.value(*self.output.read(result), y)
        for regulariser in self.regularisers:
            for name, spikes in result.spikes.items():
                if name != self.output.node:
                    total = total + regulariser.value(spikes)
        return total

    def answers(self, module: SpikingModule, x: npt.NDArray[Any], seed: int = 0) -> npt.NDArray[np.int64]:
        """The labels that `module` gives for samples x (n_samples, ...). Raises InvalidInput without a decoder."""
        if self.decoder is None:
            raise InvalidInput("decoder", "this loss is none of labels", "Name a decoder")
        found = []
        with torch.no_grad():
            for start in range(0, len(x), CHUNK):
                part = torch.from_numpy(np.require(x[start : start + CHUNK], requirements=("C", "W")))
                given = self.encoder.encode(part, np.random.default_rng([seed, start]))
                found.append(self.decoder.labels(*self.output.read(module(given, record_v=self._recorded))).cpu().numpy())
        return np.concatenate(found).astype(np.int64)

    def raster(self, x: npt.NDArray[Any], seed: int = 0) -> npt.NDArray[Any]:
        """What the network is given for samples x: (n_samples, n_steps, *shape), bytes where all of it are small counts."""
        parts = []
        for start in range(0, len(x), CHUNK):
            part = torch.from_numpy(np.require(x[start : start + CHUNK], requirements=("C", "W")))
            given = self.encoder.encode(part, np.random.default_rng([seed, start]))
            if isinstance(given, Held):
                given = given.x[:, None].expand(len(given.x), given.steps, *given.x.shape[1:])
            parts.append(given.numpy())
        whole = np.concatenate(parts)
        small = whole.astype(np.uint8)
        return small if np.array_equal(small, whole) else whole


def _decoder_of(text: str, loss: OutputLoss) -> Decoder | None:
    """The decoder that goes with a loss."""
    name, _, _ = text.partition("{")
    if name.startswith("spike-time"):
        return FirstSpike()
    if name == "coded-cross-entropy":
        whole: Any = loss
        return Coded(whole.code, whole.classes, whole.of, whole.over, whole.middle)
    if name == "trajectory":
        return None
    reading: Any = loss
    return Membrane(reading.over) if reading.of == "membrane" else Count()
