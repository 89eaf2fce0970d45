"""A graph for the importer of another framework: the same spikes there, proven rule by rule, or the rules that differ.

Equal means equal in real numbers. Where the importer sums in float32, a potential within a rounding error of its threshold may
fall on the other side; on an input at hand `changed_spikes` counts that too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Coding, Convention
from snnport.errors import UnknownName
from snnport.exporters.nir import write_nir
from snnport.exporters.nir_bounds import never_below, never_twice
from snnport.exporters.nir_fit import Difference, Task, fit, floor_of
from snnport.exporters.nir_loaders import LOADERS, Loader
from snnport.exporters.nir_step import step_of
from snnport.exporters.nir_wiring import Work, multiplied, named, ordered, with_known_layers, with_loops
from snnport.graph import Graph, back_edges, build, fresh_name, shapes
from snnport.nodes import NEURON_NODES
from snnport.reference.spiking import run_spiking

INPUT_RULE = "every input is 0 or 1 in every step"


@dataclass(frozen=True, eq=False)
class Rewriting:
    """A graph as an importer is to read it.

    convention: what the importer makes of it. differences: rules that are not the same there; empty if the spikes are.
    conditions: on which that rests. populations: neuron of the source -> its node. runs: whether the graph can be run at all.
    arguments: what the lines that load it say beside the file and the time step.
    """

    dialect: str
    loader: Loader
    graph: Graph
    convention: Convention
    differences: tuple[Difference, ...]
    conditions: tuple[str, ...]
    notes: tuple[str, ...]
    populations: Mapping[str, str]
    runs: bool
    arguments: Mapping[str, Any]

    def call(self, path: Path) -> tuple[str, ...]:
        """The lines that load the file at `path` with the framework's own importer."""
        lines = self.loader.looped_call if self.arguments["looped"] and self.loader.looped_call else self.loader.call
        return tuple(line.format(file=str(path), dt=self.convention.dt, **self.arguments) for line in lines)


def rewritten(graph: Graph, source: Convention, dialect: str, coding: Coding | None = None) -> Rewriting:
    """`graph`, whose neurons mean what `source` says, for the importer of `dialect`.

    Raises UnknownName for a dialect that is none.
    """
    if dialect not in LOADERS:
        raise UnknownName.among("dialect", dialect, list(LOADERS))
    loader = LOADERS[dialect]
    work = Work(graph)
    conditions: set[str] = set()
    target = _target(graph, source, loader)
    _compare_rules(work, source, target, loader, coding, conditions)
    with_known_layers(work, loader)
    bounded = _with_neurons(work, source, target, loader, conditions)
    if bounded:
        ours, theirs = (_floor(rule.v_min) for rule in (source, loader.convention))
        work.differs("v_min", ", ".join(bounded), f"potentials end at {ours} in the source, at {theirs} with the importer")
    with_loops(work, source, target, loader)
    ordered(work, loader)
    names = named(work) if dialect != "nir" else {name: name for name in work.graph.nodes}
    first = [name for name, kind in _kinds(work.graph) if kind in loader.reset_first]
    free = [name for name, kind in _kinds(work.graph) if kind in loader.neurons and not loader.neurons[kind].bounded]
    target = target.having(reset_first=tuple(first), unbounded=tuple(free))
    work.graph = _bare(work.graph, target)
    neurons = [name for name, node in graph.nodes.items() if isinstance(node, (*NEURON_NODES, nir.Threshold))]
    populations = {name: names[name] for name in neurons}
    return Rewriting(
        dialect,
        loader,
        work.graph,
        target,
        tuple(dict.fromkeys(work.differences)),
        (*sorted(conditions), *loader.conditions),
        tuple(work.notes),
        populations,
        not any(found.fatal for found in work.differences),
        _arguments(work.graph, target),
    )


def write_dialect(found: Rewriting, path: Path) -> None:
    """Write a rewriting without differences to `path`, whole or not at all. Raises InvalidGraph as write_nir does."""
    assert not found.differences
    write_nir(found.graph, path, found.loader.without)


def changed_spikes(
    graph: Graph, source: Convention, coding: Coding | None, found: Rewriting, raster: npt.NDArray[Any]
) -> dict[str, int]:
    """Population -> by how many spikes it differs on `raster` (n_samples, n_steps, *input shape).

    Where nothing fires, in how many steps a potential differs by more than 1e-4 of the largest.
    """
    silent = [name for name in found.populations if not _fires(graph.nodes[name])]
    ours = run_spiking(graph, raster, source, coding, silent)
    theirs = run_spiking(found.graph, raster, found.convention, None, [found.populations[name] for name in silent])
    result = {}
    for name, written in found.populations.items():
        if name in silent:
            a, b = np.asarray(ours.v[name], np.float64), np.asarray(theirs.v[written], np.float64)
            result[name] = int(np.count_nonzero(~np.isclose(a, b, rtol=1e-4, atol=1e-4 * (1.0 + np.abs(a).max(initial=0.0)))))
        else:
            result[name] = int(np.abs(ours.spikes[name].astype(np.int64) - theirs.spikes[written]).sum())
    return result


def _kinds(graph: Graph) -> list[tuple[str, str]]:
    return [(name, type(node).__name__) for name, node in graph.nodes.items()]


def _fires(node: Any) -> bool:
    return hasattr(node, "v_threshold") or isinstance(node, nir.Threshold)


# ------------------------------------------------------------------------------------------------------------- rules


def _target(graph: Graph, source: Convention, loader: Loader) -> Convention:
    """The importer's convention with the choices that are open: its time step and its reset."""
    resets = {reset: None for limits in loader.neurons.values() for reset in limits.resets}
    hard = "value" if "value" in resets else "zero"
    wish = hard if source.reset in ("zero", "value") else source.reset
    reset = wish if wish in resets else next(iter(resets))
    dt = (loader.dt or source.dt) if loader.dt_free else loader.convention.dt
    return loader.convention.having(dt=dt, reset=reset)


def _compare_rules(
    work: Work, source: Convention, target: Convention, loader: Loader, coding: Coding | None, conditions: set[str]
) -> None:
    """The rules that no parameter can change."""
    graph = work.graph
    firing = [name for name, node in graph.nodes.items() if hasattr(node, "v_threshold")]
    synaptic = any(isinstance(node, nir.CubaLI | nir.CubaLIF) for node in graph.nodes.values())
    if loader.refuses:
        work.differs("time", "graph", loader.refuses, fatal=True)
    if coding is not None:
        what = "its neurons open and close by a schedule and take their biases once; no framework's file can say that"
        work.differs("coding", "graph", what)
    for rule, matters in (
        ("spike_delay", bool(firing)),
        ("synapse_delay", True),
        ("current", synaptic),
        ("recurrent_delay", bool(back_edges(graph)) and not (source.spike_delay or source.synapse_delay)),
    ):
        ours, theirs = getattr(source, rule), getattr(target, rule)
        if matters and ours != theirs:
            work.differs(rule, "graph", f"{ours} in the source, {theirs} with the importer")
    if "lava-fixed" in (source.dtype, target.dtype) and source.dtype != target.dtype:
        work.differs("dtype", "graph", f"{source.dtype} in the source, {target.dtype} with the importer")
    if not firing:
        return
    if source.reset != target.reset and not {source.reset, target.reset} <= {"zero", "value"}:
        work.differs("reset", "graph", f"{source.reset} in the source, {target.reset} with the importer")
    if source.comparison != target.comparison and target.reset not in ("zero", "value"):
        what = f"fires on v {source.comparison} threshold, with the importer on v {target.comparison} threshold"
        work.differs("comparison", "graph", what)
    _compare_spikes(work, source, target, loader, firing, conditions)


def _compare_spikes(
    work: Work, source: Convention, target: Convention, loader: Loader, firing: list[str], conditions: set[str]
) -> None:
    """Rules that come to the same where no potential reaches two thresholds in a step."""
    several = source.multi_spike != target.multi_spike
    often = set(firing) - never_twice(work.graph, source)
    late: dict[tuple[str, str], list[str]] = {}
    for name in firing:
        first = type(work.graph.nodes[name]).__name__ in loader.reset_first
        ours, theirs = _when(source, name in source.reset_first), _when(target, first)
        if {ours, theirs} == {"carried", "at_once"} and name not in often:
            conditions.add(INPUT_RULE)
        elif ours != theirs:
            late.setdefault((ours, theirs), []).append(name)
    for (ours, theirs), names in late.items():
        work.differs("reset_when", ", ".join(names), f"{ours} in the source, {theirs} with the importer")
    if several and often:
        words = {True: "as many spikes a step as fit", False: "one spike a step"}
        what = f"{words[source.multi_spike]} in the source, {words[target.multi_spike]} with the importer"
        work.differs("multi_spike", ", ".join(sorted(often)), what)
    elif several:
        conditions.add(INPUT_RULE)


def _when(rule: Convention, first: bool) -> str:
    """When a reset comes, as far as spikes can tell: before the next integration is at once."""
    word = "next_start" if first else rule.reset_when
    if word == "next_start" and rule.v_min is None:
        return "at_once"
    return "at_once" if word == "carried" and rule.reset != "subtract" else word


def _floor(v_min: float | None) -> str:
    return "nothing" if v_min is None else f"{v_min:g} times the threshold"


# ----------------------------------------------------------------------------------------------------------- neurons


def _with_neurons(work: Work, source: Convention, target: Convention, loader: Loader, conditions: set[str]) -> list[str]:
    """Every neuron as the importer has it. Returns those whose lower bound is another there."""
    sizes = shapes(work.graph)
    original = dict(work.graph.nodes)
    floors = [floor for floor in (loader.convention.v_min, source.v_min) if floor is not None]
    high = never_below(work.graph, source, max(floors)) if floors else set()
    bounds: list[str] = []
    for name, node in original.items():
        if not isinstance(node, NEURON_NODES):
            continue
        floor = None if name in source.unbounded else source.v_min
        task = Task(name, sizes[name], source, target, loader, floor, name in high)
        fitted = fit(step_of(node, sizes[name], source), task)
        if fitted is None:
            known = ", ".join(loader.neurons)
            what = f"{loader.title} has no neuron of {len(sizes[name])} axes that could stand for this {type(node).__name__}"
            work.differs("node", name, f"{what} (it builds {known})", fatal=True)
            continue
        work.differences += fitted.differences
        work.notes += fitted.notes
        if hasattr(node, "v_threshold"):
            other = floor_of(loader, type(fitted.nodes[-1][1]).__name__) != floor
            if other and name in high:
                conditions.add(INPUT_RULE)
            elif other:
                bounds.append(name)
        _replace(work, name, fitted.nodes)
        multiplied(work, f"{name}{fitted.nodes[0][0]}", fitted.factor, loader)
    return bounds


def _replace(work: Work, name: str, nodes: tuple[tuple[str, nir.NIRNode], ...]) -> None:
    """The chain `nodes` in the place of the neuron `name`; the last keeps its name."""
    graph = work.graph
    made = dict(graph.nodes)
    edges = list(graph.edges)
    made[name] = nodes[-1][1]
    for suffix, node in nodes[:-1]:
        before = fresh_name(graph, f"{name}{suffix}")
        made[before] = node
        edges = [(a, before if b == name else b) for a, b in edges]
        edges.append((before, name))
    work.graph = build(made, edges, graph.metadata)


def _bare(graph: Graph, target: Convention) -> Graph:
    """`graph` without the metadata of its source, and with the convention that the importer gives it."""
    nodes = {}
    for name, node in graph.nodes.items():
        nodes[name] = copy(node)
        nodes[name].metadata = {}
    header = {"version": 1, "coding": None, "convention": target.to_json()}
    return build(nodes, graph.edges, {"snnport": json.dumps(header)})


def _arguments(graph: Graph, target: Convention) -> dict[str, Any]:
    """What the call says beside the file and the time step."""
    method = "reset_subtract" if target.reset == "subtract" else "reset_value"
    return {"looped": bool(back_edges(graph)), "reset_method": method}
