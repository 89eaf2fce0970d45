"""A slow third engine: events one after another in plain Python, straight from docs/semantics.md, "Event after event".

It shares no code with snnport/sim. Depth-first is a recursion, breadth-first works on lists, time-stepped on sums.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from engine_oracle import NEUTRAL, synapses

from snnport.program import Conv, Program


class Net:
    """A program as dictionaries: neuron (population, index), parameters, ways onward in the program's order."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.families = {p.name: p.neuron.family for p in program.populations}
        self.size = {p.name: p.size for p in program.populations}
        self.params = {}
        for p in program.populations:
            if p.neuron.family not in ("input", "generator"):
                values = {**NEUTRAL["if"], **p.neuron.params}
                self.params[p.name] = {
                    k: [None] * p.size if v is None else np.broadcast_to(v, (p.size,)).tolist() for k, v in values.items()
                }
        self.fan = {
            q.name: defaultdict(list, {j: [(i, c << q.exponent) for i, c in found] for j, found in direct.items()})
            for q in program.projections
            for direct in [synapses(q, self.size[q.source])]
        }
        self.rank = {p.name: self.ranks(p) for p in program.populations}
        names = [p.name for p in program.populations]
        self.order = []
        while len(self.order) < len(names):
            ready = [n for n in names if n not in self.order and all(q.source in self.order for q in program.into(n))]
            self.order.append(ready[0])

    def ranks(self, population) -> list[int]:
        """Place of each neuron: row, column, channel; its number where the map has no rows."""
        into = self.program.into(population.name)
        mapped = not into or any(isinstance(q.synapse, Conv) for q in into)
        return self.of_map(population.shape) if mapped and len(population.shape) == 3 else list(range(population.size))

    @staticmethod
    def of_map(shape) -> list[int]:
        channels, height, width = shape
        return [(y * width + x) * channels + c for c in range(channels) for y in range(height) for x in range(width)]

    def targets(self, q, source: int) -> list[tuple[int, int]]:
        """(target, code) in the order in which an event meets them; windows of a pooling one after another."""
        found = self.fan[q.name][source]
        if q.pool is not None and (q.pool.kernel_size != q.pool.stride or any(q.pool.padding)):
            return found
        return sorted(found, key=lambda pair: self.rank[q.target][pair[0]])


def run_events(program: Program, raster: np.ndarray, order: str):
    """raster (n_samples, n_steps, n_inputs). Returns population -> spikes (n, t, size), final v, operations by projection."""
    net = Net(program)
    n, steps, _ = raster.shape
    spikes = {name: np.zeros((n, steps, size), int) for name, size in net.size.items()}
    final = {name: np.zeros((n, size), int) for name, size in net.size.items() if name in net.params}
    operations = Counter()
    for sample in range(n):
        run = {"depth-first": DepthFirst, "breadth-first": BreadthFirst, "time-stepped": TimeStepped}[order](net, operations)
        for t in range(steps):
            run.fired = Counter()
            given, at = {}, 0
            for name in program.inputs:
                given[name] = raster[sample, t, at : at + net.size[name]].tolist()
                at += net.size[name]
            run.step(t, given)
            for (name, i), count in run.fired.items():
                spikes[name][sample, t, i] = count
        for name in final:
            final[name][sample] = run.v[name]
    return spikes, final, operations


class Runner:
    def __init__(self, net: Net, operations: Counter) -> None:
        self.net, self.operations, self.fired = net, operations, Counter()
        self.v = {name: list(p["v_init"]) for name, p in net.params.items()}

    def clip(self, name: str, i: int, v: int) -> int:
        p = self.net.params[name]
        low, high = p["v_min"][i], p["v_max"][i]
        v = v if low is None else max(v, low)
        return v if high is None else min(v, high)

    def meet(self, name: str, i: int, code: int) -> bool:
        """One event at one neuron; whether it fires."""
        p, v = self.net.params[name], self.clip(name, i, self.v[name][i] + code)
        fires = v >= p["v_threshold"][i]
        if fires:
            v = v - p["v_threshold"][i] if p["reset"][i] == 0 else p["v_reset"][i]
        self.v[name][i] = v
        return fires

    def due(self, t: int, name: str) -> list:
        """(projection, source) of generators' spikes that arrive at `name` in step t."""
        found = []
        for q in self.net.program.into(name):
            if self.net.families[q.source] == "generator":
                source = self.net.program.population(q.source).neuron
                pairs = zip(source["time"].tolist(), source["index"].tolist(), strict=True)
                found += [(q, i) for i in sorted(i for time, i in pairs if time + q.delay == t)]
        return found

    def generated(self, t: int) -> None:
        for name, family in self.net.families.items():
            if family == "generator":
                source = self.net.program.population(name).neuron
                for time, i in zip(source["time"].tolist(), source["index"].tolist(), strict=True):
                    self.fired[name, i] += time == t

    def by_rank(self, name: str) -> list[int]:
        return sorted(range(self.net.size[name]), key=self.net.rank[name].__getitem__)


class DepthFirst(Runner):
    def spread(self, name: str, i: int) -> None:
        self.fired[name, i] += 1
        for q in self.net.program.projections:
            if q.source == name:
                self.event(q, i)

    def event(self, q, i: int) -> None:
        for target, code in self.net.targets(q, i):
            self.operations[q.name] += 1
            if self.meet(q.target, target, code):
                self.spread(q.target, target)

    def step(self, t: int, given) -> None:
        self.generated(t)
        for name in reversed(self.net.order):
            if name in self.net.params:
                for i in self.by_rank(name):
                    bias = self.net.params[name]["bias"][i]
                    if bias and self.meet(name, i, bias):
                        self.spread(name, i)
                for q, i in self.due(t, name):
                    self.event(q, i)
        for name, counts in given.items():
            for i, count in enumerate(counts):
                for _ in range(count):
                    self.spread(name, i)


class BreadthFirst(Runner):
    def wave(self, start) -> None:
        lists = defaultdict(list)
        for name in self.net.order:
            lists[name] += start(name)
            for q in self.net.program.into(name):
                if self.net.families[q.source] != "generator":
                    for i in lists[q.source]:
                        lists[name] += self.event(q, i)
            self.fired.update((name, i) for i in lists[name])

    def event(self, q, i: int) -> list[int]:
        targets = self.net.targets(q, i)
        self.operations[q.name] += len(targets)
        return [target for target, code in targets if self.meet(q.target, target, code)]

    def ticked(self, t: int, name: str) -> list[int]:
        if name not in self.net.params:
            return []
        bias = self.net.params[name]["bias"]
        found = [i for i in self.by_rank(name) if bias[i] and self.meet(name, i, bias[i])]
        for q, i in self.due(t, name):
            found += self.event(q, i)
        return found

    def step(self, t: int, given) -> None:
        self.generated(t)
        self.wave(lambda name: self.ticked(t, name))
        self.wave(lambda name: [i for i, count in enumerate(given.get(name, [])) for _ in range(count)])


class TimeStepped(Runner):
    def step(self, t: int, given) -> None:
        self.generated(t)
        sent = {name: dict(enumerate(counts)) for name, counts in given.items()}
        for name in self.net.order:
            if name in given:
                self.fired.update({(name, i): count for i, count in sent[name].items() if count})
                continue
            if name not in self.net.params:
                continue
            arrived = Counter()
            for q in self.net.program.into(name):
                source = sent.get(q.source, {})
                if self.net.families[q.source] == "generator":
                    source = Counter(i for p, i in self.due(t, name) if p is q)
                for i, count in source.items():
                    for target, code in self.net.fan[q.name][i]:
                        self.operations[q.name] += count
                        arrived[target] += code * count
            sent[name] = {}
            p = self.net.params[name]
            for i in range(self.net.size[name]):
                v = self.clip(name, i, self.v[name][i] + arrived[i] + p["bias"][i])
                if v >= p["v_threshold"][i]:
                    count = min(p["max_spikes"][i], v // p["v_threshold"][i])
                    v = v - count * p["v_threshold"][i] if p["reset"][i] == 0 else p["v_reset"][i]
                    sent[name][i] = count
                    self.fired[name, i] += count
                self.v[name][i] = v
