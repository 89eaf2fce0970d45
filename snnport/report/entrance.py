"""How an input enters a spiking network, and what that costs: its own synaptic operations and their share of all energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from snnport.report.units import percent, plural


@dataclass(frozen=True)
class Price:
    """Of one target, over all samples. operations: synaptic, of the projections that read the input; of_all: of every one.

    energy_j: middle of the first estimate's synaptic term, by that share; None where no model prices synaptic operations.
    """

    operations: int
    of_all: int
    energy_j: float | None = None


@dataclass(frozen=True)
class Entrance:
    """signed: whether a sample held a negative number. form: "one population", "two populations" (x and -x, each rectified)
    or "messages" (numbers, signed where the input is). neurons: of the input populations. levels: a number is 0..levels.
    prices: target name -> Price.
    """

    signed: bool
    form: str
    neurons: int
    levels: int
    prices: Mapping[str, Price] = field(default_factory=dict)


def entrance_sentences(entrance: Entrance, samples: int) -> Iterator[str]:
    """What a report says of it; nothing of an input that is never negative."""
    if not entrance.signed:
        return
    for target, price in entrance.prices.items():
        share = f"{percent(price.operations / price.of_all)} of all synaptic operations" if price.of_all else "no operations"
        energy = "" if price.energy_j is None else f", {price.energy_j / max(samples, 1):.3g} J a sample"
        yield f"{target}: {entrance_words(entrance)} It takes {share}{energy}."


def entrance_words(entrance: Entrance) -> str:
    """One sentence: how the input enters."""
    if not entrance.signed:
        return f"The input is never negative on these samples: it enters as {entrance.form}, {_size(entrance)}."
    if entrance.form == "two populations":
        return f"The input is signed: it enters as two populations, x and -x rectified, {_size(entrance)}."
    return f"The input is signed: it enters as graded messages with a sign, {_size(entrance)}."


def _size(entrance: Entrance) -> str:
    return f"{plural(entrance.neurons, 'neuron')} of {entrance.levels} levels"
