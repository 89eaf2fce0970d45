"""e-prop: learning of a recurrent population from what each synapse knows (G. Bellec et al., A solution to the learning dilemma
for recurrent networks of spiking neurons, Nature Communications 11:3625, 2020).

The gradient of a loss E with respect to a weight W_ji into the population is approximated by
    sum over t of L_j(t) e_ji(t),      L_j(t) = dE / ds_j(t) with later spikes held fixed (the learning signal)
with eligibility traces of the neuron alone: psi = surrogate at v - threshold, x_i what arrives (through loops a step late),
    ev_i(t) = alpha ev_i(t-1) + g x_i(t)                                       alpha, g: decay and gain of the potential
    eb_ji(t) = rho eb_ji(t-1) + (1 - rho) e_ji(t-1)                            of the threshold, if it adapts
    e_ji(t) = psi_j(t) (ev_i(t) - beta eb_ji(t))
`eligibility` is that, forward in time. EpropNet gets the same sums from torch: recurrent spikes are cut out of the graph of
derivatives where they leave for the loop, so that what is left is exactly the sum above. The reset is held fixed; one to a
value also ends ev of the neuron that fired.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

from snnport.convention import Convention, convention_of
from snnport.datasets.splits import Splits
from snnport.errors import InvalidGraph
from snnport.graph import Graph, back_edges, names_of, predecessors, successors, with_nodes
from snnport.models.recipe import Recipe
from snnport.nodes import AdaptiveLIF
from snnport.spelling import parse_among
from snnport.training.batches import ArrayBatches
from snnport.training.checkpoint import seed_all
from snnport.training.loop import Plan, fit
from snnport.training.optimisers import Adam
from snnport.training.schedules import SCHEDULES
from snnport.training.surrogates import SURROGATES, Surrogate

FEEDBACK = ("symmetric", "random")
EVALUATED = 500
"""Samples that are asked at a time."""


@dataclass(frozen=True)
class Numbers:
    """One population: v = alpha v + x, threshold v_threshold + beta b, b = rho b + (1 - rho) s. kappa: the readout's decay."""

    alpha: float
    rho: float
    beta: float
    v_threshold: float
    kappa: float
    subtracts: bool


class EpropNet(nn.Module):
    """Input -> Affine -> recurrent population <-> Linear, -> Affine -> LI -> Output, whose gradients are e-prop's.

    feedback: the learning signal comes back through the readout's own weights, or through random ones that stay.
    """

    def __init__(self, graph: Graph, surrogate: Surrogate, feedback: str = "symmetric") -> None:
        super().__init__()
        if feedback not in FEEDBACK:
            raise InvalidGraph(f"feedback '{feedback}'", f"known are {', '.join(FEEDBACK)}")
        self.graph, self.surrogate, self.names = graph, surrogate, _layers(graph)
        self.numbers = _numbers(graph, self.names)
        layers: list[Any] = [graph.nodes[self.names[part]] for part in ("input", "loop", "readout")]
        first, loop, last = layers
        self.w_in, self.b_in = _parameter(first.weight), _parameter(first.bias)
        self.w_loop = _parameter(loop.weight)
        self.w_out, self.b_out = _parameter(last.weight), _parameter(last.bias)
        # Weights of the learning signal alone; they are never learned, and empty where it takes the readout's own.
        random = torch.randn(self.w_out.shape) / math.sqrt(self.w_out.shape[1])
        self.back = nn.Parameter(random if feedback == "random" else torch.zeros(0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """The readout's potentials (batch, steps, classes) on x (batch, steps, inputs)."""
        return self.read(self.spikes(x))

    def spikes(self, x: Tensor) -> Tensor:
        """Spikes (batch, steps, neurons), whose derivatives end at the loop."""
        numbers, surrogate = self.numbers, self.surrogate
        arriving = x @ self.w_in.T + self.b_in
        v = b = fired = torch.zeros_like(arriving[:, 0])
        found = []
        for step in range(x.shape[1]):
            v = numbers.alpha * v + arriving[:, step] + fired.detach() @ self.w_loop.T
            b = numbers.rho * b + (1 - numbers.rho) * fired
            above = v - numbers.v_threshold - numbers.beta * b
            fired = _spike(above, surrogate)
            held = fired.detach()
            v = v - held * numbers.v_threshold if numbers.subtracts else v * (1 - held)
            found.append(fired)
        return torch.stack(found, dim=1)

    def read(self, spikes: Tensor) -> Tensor:
        """The readout's potentials."""
        if self.back.numel():
            arriving = spikes.detach() @ self.w_out.T + self.b_out + (spikes - spikes.detach()) @ self.back.T
        else:
            arriving = spikes @ self.w_out.T + self.b_out
        v, found = torch.zeros_like(arriving[:, 0]), []
        for step in range(arriving.shape[1]):
            v = self.numbers.kappa * v + arriving[:, step]
            found.append(v)
        return torch.stack(found, dim=1)

    def to_graph(self) -> Graph:
        """The graph with what was learned."""
        arrays = {"input": (self.w_in, self.b_in), "loop": (self.w_loop, None), "readout": (self.w_out, self.b_out)}
        changed: dict[str, nir.NIRNode] = {}
        for part, (weight, bias) in arrays.items():
            node: Any = copy(self.graph.nodes[self.names[part]])
            node.weight = weight.detach().numpy().astype(np.float64)
            if bias is not None:
                node.bias = bias.detach().numpy().astype(np.float64)
            changed[self.names[part]] = node
        return with_nodes(self.graph, changed)


def eligibility(psi: Tensor, arriving: Tensor, fired: Tensor, numbers: Numbers) -> Tensor:
    """Traces e (steps, neurons, inputs) of one sample. psi, fired (steps, neurons); arriving (steps, inputs): what enters."""
    steps, neurons = psi.shape
    ev = eb = e = torch.zeros(neurons, arriving.shape[1])
    found = []
    for step in range(steps):
        ev = numbers.alpha * ev + arriving[step]
        eb = numbers.rho * eb + (1 - numbers.rho) * e
        e = psi[step][:, None] * (ev - numbers.beta * eb)
        if not numbers.subtracts:
            ev = ev * (1 - fired[step])[:, None]
        found.append(e)
    return torch.stack(found)


def learned(
    recipe: Recipe,
    splits: Splits,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Graph, dict[str, Any]]:
    """A recipe of one recurrent population, trained by e-prop with its own settings: cross entropy on the mean membrane."""
    seed_all(seed)
    how = recipe.fit
    net = EpropNet(recipe.build(recipe.network, seed), parse_among("surrogate", SURROGATES, how.surrogate))
    batches = ArrayBatches((splits.train_x, splits.train_y), how.batch_size, seed)
    at = fit(
        net,
        Adam(lr=how.lr).make(net.parameters()),
        batches,
        _loss,
        Plan(how.epochs, clip_norm=how.clip_grad),
        schedule=parse_among("schedule", SCHEDULES, how.schedule),
        checkpoint=checkpoint,
        progress=None if progress is None else (lambda done, total, _: progress(done, total)),
    )
    return net.to_graph(), {"accuracy": accuracy(net, splits), "epochs": [dict(row) for row in at.log], "rule": "e-prop"}


def raster(recipe: Recipe, seed: int, x: Any) -> Any:
    """The counts that enter, which is what the recipe's data are."""
    return x


def accuracy(net: EpropNet, splits: Splits) -> float:
    """Fraction of the test part whose mean membrane is greatest at the right class."""
    correct = 0
    with torch.no_grad():
        for start in range(0, len(splits.test_x), EVALUATED):
            x = torch.as_tensor(np.asarray(splits.test_x[start : start + EVALUATED], np.float32))
            answer = net(x).mean(dim=1).argmax(dim=1).numpy()
            correct += int(np.count_nonzero(answer == splits.test_y[start : start + EVALUATED]))
    return correct / len(splits.test_x)


def _loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, y = batch
    return nn.functional.cross_entropy(net(x.float()).mean(dim=1), y.long())


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, above: Tensor, slope: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(slope)
        return (above > 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad * ctx.saved_tensors[0], None


def _spike(above: Tensor, surrogate: Surrogate) -> Tensor:
    result: Tensor = _Spike.apply(above, surrogate.slope(above.detach()))  # type: ignore[no-untyped-call]
    return result


def _parameter(values: Any) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(np.asarray(values, np.float32)))


def _layers(graph: Graph) -> dict[str, str]:
    """Names of the parts. Raises InvalidGraph for a graph of another form."""
    found = [name for name in names_of(graph, nir.LIF, AdaptiveLIF) if any(b == name for _, b in back_edges(graph))]
    reads = names_of(graph, nir.LI)
    if len(found) != 1 or len(reads) != 1:
        raise InvalidGraph("e-prop", f"{len(found)} recurrent populations and {len(reads)} LI readouts, 1 of each is needed")
    (name,), (read,) = found, reads
    into = [a for a in predecessors(graph, name) if isinstance(graph.nodes[a], nir.Affine)]
    loops = [a for a in predecessors(graph, name) if isinstance(graph.nodes[a], nir.Linear) and a in successors(graph, name)]
    out = [a for a in predecessors(graph, read) if isinstance(graph.nodes[a], nir.Affine) and a in successors(graph, name)]
    if not len(into) == len(loops) == len(out) == 1:
        raise InvalidGraph("e-prop", f"{name} needs one Affine before, one Linear around and one Affine behind it")
    return {"input": into[0], "loop": loops[0], "readout": out[0], "neurons": name, "read": read}


def _numbers(graph: Graph, names: dict[str, str]) -> Numbers:
    node: Any = graph.nodes[names["neurons"]]
    read: Any = graph.nodes[names["read"]]
    rule = convention_of(graph.metadata)
    if rule.membrane_gain != "unit" or rule.leaky_gain != "unit" or rule.decay != "exponential":
        raise InvalidGraph("e-prop", f"convention '{rule.name}' scales what arrives", "Build the network with gains of 1")
    adapts = isinstance(node, AdaptiveLIF)
    return Numbers(
        _kept(node.tau, rule),
        _kept(node.tau_adapt, rule) if adapts else 0.0,
        _one(node.beta) if adapts else 0.0,
        _one(node.v_threshold),
        _kept(read.tau, rule),
        rule.reset == "subtract",
    )


def _kept(tau: Any, rule: Convention) -> float:
    return math.exp(-rule.dt / _one(tau))


def _one(values: Any) -> float:
    """The one value of a field. Raises InvalidGraph where the neurons differ."""
    found = np.unique(np.asarray(values, np.float64))
    if len(found) != 1:
        raise InvalidGraph("e-prop", f"the neurons differ in a field ({found[0]:g} .. {found[-1]:g}), one value is needed")
    return float(found[0])
