"""`check --fix`: the rewritings that a target offers, carried out one by one, each proved where it is exact.

Two stages. Before quantisation rewritings work on real numbers and are proved by the reference; behind it they work on codes
and are proved by the engine: the same spikes, entry for entry, from the same stimulus.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import coding_of, convention_of
from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, SnnportError, UnknownName
from snnport.exporters.nir import write_nir
from snnport.flow.check import own_program
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, Prepared, for_target, spiking
from snnport.flow.stimuli import stimulus_for
from snnport.graph import Graph, names_of, shapes
from snnport.passes.base import Context, run_passes
from snnport.passes.fixes.base import Rewrite
from snnport.passes.paths import output_populations
from snnport.passes.proof import RELATIVE_BOUND
from snnport.program import Program
from snnport.reference import run_spiking
from snnport.registry import PASSES, TARGETS
from snnport.sim.engine import run
from snnport.targets.base import CheckResult, Fixes, Proposal, Proposing, Target, resolve_target

ROUNDS = 64
"""Rewritings of one network, at most: each makes it larger or removes what asked for it."""
SAMPLES, STEPS = 2, 24
PROOF, PROOF_SEED = "spikes that a rewriting is proved on", 0
SILENT = (nir.I, nir.LI, nir.CubaLI)
DENSITIES = (0.2, 0.6, 2.0, 6.0)
"""Mean spikes a neuron and step of the seeded stimulus; the first that makes the outputs fire ENOUGH."""
ENOUGH = 100
"""Output spikes that a proof on a seeded stimulus shall compare, if one of DENSITIES gives as many."""


@dataclass(frozen=True)
class Fix:
    """What became of one proposal. spelling: of the pass. applied: done to the network. exact: as its pass claims.

    proven: whether the outputs gave the same before and behind it; None where it was not applied, claims nothing, or the
    outputs gave nothing. compared: output spikes (potentials, of outputs that never fire) that were compared. changed:
    entries that differ.
    """

    name: str
    where: str
    exact: bool
    cost: str
    applied: bool
    proven: bool | None = None
    compared: int | None = None
    changed: int | None = None
    spelling: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `check --json` prints it."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Fixed:
    """A network before and behind its rewritings. done: passes beside them."""

    graph: Graph
    before: CheckResult
    after: CheckResult
    fixes: tuple[Fix, ...]
    done: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Spikes to prove on: (n_samples, n_steps, n_inputs), and whether they were given. seeded: they may be made denser."""

    raster: npt.NDArray[Any] | None
    seeded: bool

    def tried(self, size: int, steps: int) -> Iterable[npt.NDArray[Any]]:
        """One raster after the other, until the outputs fire enough."""
        if self.raster is not None:
            return [self.raster]
        rng = np.random.default_rng(PROOF_SEED)
        length = steps or STEPS
        return (rng.poisson(density, (SAMPLES, length, size)).astype(np.int32) for density in DENSITIES)


def check_offering(model: Model, target: str, inputs: InputOptions, options: ConvertOptions) -> dict[str, Any]:
    """The document of `check --json`: what the rules find, what was applied before, and what could be rewritten."""
    chip = resolve_target(target)
    if model.program is not None:
        found = chip.check_program(own_program(model, chip)).to_json()
        return {"schema": 1, **found, "done": [], "fixes": [], "seeds": {}}
    prepared = spiking(model, inputs, options)
    if chip.fixes == Fixes():
        judged, offered = for_target(prepared, chip), []
    else:
        ready = _quantised(prepared, chip)
        judged = prepared if ready is None else ready
        offered = [_offered(p).to_json() for p in _proposed(prepared.graph, None if ready is None else ready.graph, chip)]
    found = chip.check(judged.graph).to_json()
    return {"schema": 1, **found, "done": list(judged.done), "fixes": offered, "seeds": dict(judged.seeds)}


def check_fixed(
    model: Model,
    target: str,
    inputs: InputOptions,
    options: ConvertOptions,
    names: Collection[str],
    input_: Path | None,
    output: Path | None,
) -> dict[str, Any]:
    """The document of `check --fix --json`: the findings behind the rewritings, and "before" those before them.

    output: where the rewritten network is written, in codes. Raises InvalidInput for a target that offers no rewriting, and
    for a program.
    """
    chip = resolve_target(target)
    if chip.fixes == Fixes():
        known = [name for name in TARGETS.names() if resolve_target(name).fixes != Fixes()]
        raise InvalidInput("--fix", f"target {chip.name} offers 0 rewritings", f"Targets that do: {', '.join(known)}")
    prepared = spiking(model, inputs, options)
    evidence = evidence_of(model, prepared, input_, inputs)
    fixed = fix(prepared, chip, names, evidence)
    files = []
    if output is not None:
        write_nir(fixed.graph, output)
        files = [str(output)]
    return {
        "schema": 1,
        **fixed.after.to_json(),
        "done": list(fixed.done),
        "fixes": [f.to_json() for f in fixed.fixes],
        "before": fixed.before.to_json(),
        "files": files,
        "seeds": {**prepared.seeds, **({PROOF: PROOF_SEED} if evidence.raster is None and fixed.fixes else {})},
    }


def offers(prepared: Prepared, target: Target) -> tuple[Fix, ...]:
    """What `target` would rewrite in a network, without doing it. Of the second stage only what a quantised graph shows."""
    ready = _quantised(prepared, target)
    return tuple(_offered(p) for p in _proposed(prepared.graph, None if ready is None else ready.graph, target))


def _proposed(real: Graph, codes: Graph | None, target: Target) -> list[Proposal]:
    found = [p for propose in target.fixes.real for p in propose(real, target.chip)]
    return found + [p for propose in target.fixes.codes for p in (propose(codes, target.chip) if codes is not None else ())]


def fix(prepared: Prepared, target: Target, names: Collection[str] = (), evidence: Evidence | None = None) -> Fixed:
    """Rewrite what keeps a network off `target`.

    names: rewritings to do beside every exact one that a broken rule asks for. Raises UnknownName for a name that no
    rewriting has.
    """
    for name in names:
        if name not in PASSES.names() or not _is_fix(name):
            raise UnknownName.among("fix", name, [n for n in PASSES.names() if _is_fix(n)])
    proof = evidence or Evidence(None, True)
    fixes: list[Fix] = []
    first = _quantised(prepared, target)
    before = target.check(prepared.graph if first is None else first.graph)
    graph = _rounds(prepared.graph, target.fixes.real, target, names, lambda a, b, s: _by_reference(a, b, s, proof), fixes)
    ready = first if first is not None and graph is prepared.graph else for_target(replace(prepared, graph=graph), target)
    graph = _rounds(ready.graph, target.fixes.codes, target, names, lambda a, b, s: _by_engine(a, b, s, target, proof), fixes)
    left = [_offered(p) for propose in target.fixes.codes for p in propose(graph, target.chip)]
    known = {(f.name, f.where) for f in fixes}
    fixes += [f for f in left if (f.name, f.where) not in known]
    return Fixed(graph, before, target.check(graph), tuple(fixes), ready.done)


def evidence_of(model: Model, prepared: Prepared, input_: Path | None, inputs: InputOptions) -> Evidence:
    """The samples of `input_` as spikes, the first few; seeded spikes without a file."""
    if input_ is None:
        return Evidence(None, True)
    coding = coding_of(prepared.graph.metadata)
    samples = inputs.load(input_, model, labels=inputs.labels)
    stimulus = stimulus_for(coding.encoder if coding else None, samples, coding.n_steps if coding else 0)
    return Evidence(stimulus.raster(0, min(stimulus.n_samples, 16)), False)


Proving = Callable[[Graph, Graph, Rewrite], tuple[int, int]]
"""Graph before, graph behind, rewriting to: output spikes before, output entries that differ."""


def _rounds(
    graph: Graph,
    proposing: tuple[Proposing, ...],
    target: Target,
    names: Collection[str],
    prove: Proving,
    fixes: list[Fix],
) -> Graph:
    """Carry out the first proposal that may be, and ask again, until none is left."""
    for _ in range(ROUNDS):
        every = (p for propose in proposing for p in propose(graph, target.chip))
        chosen = next((p for p in every if p.step is not None and _wanted(p, names)), None)
        if chosen is None:
            return graph
        step = chosen.step
        assert isinstance(step, Rewrite)
        rewritten = run_passes(graph, (step,), Context())
        compared, changed = prove(graph, rewritten, step)
        proven = changed == 0 if chosen.exact and (compared or changed) else None
        what = (chosen.name, chosen.where, chosen.exact, chosen.cost)
        fixes.append(Fix(*what, True, proven, compared, changed, step.spelling))
        graph = rewritten
    return graph


def _wanted(proposal: Proposal, names: Collection[str]) -> bool:
    return proposal.name in names or (proposal.exact and proposal.asked)


def _offered(proposal: Proposal) -> Fix:
    spelling = None if proposal.step is None else proposal.step.spelling
    return Fix(proposal.name, proposal.where, proposal.exact, proposal.cost, False, spelling=spelling)


def _is_fix(name: str) -> bool:
    kind = PASSES.load(name)
    return isinstance(kind, type) and issubclass(kind, Rewrite)


def _quantised(prepared: Prepared, target: Target) -> Prepared | None:
    try:
        return for_target(prepared, target)
    except SnnportError:
        return None


def _by_reference(before: Graph, after: Graph, step: Rewrite, proof: Evidence) -> tuple[int, int]:
    """Both graphs in real numbers, as the network's convention means them; potentials of outputs that never fire."""
    rule = convention_of(before.metadata)
    sizes = [shapes(g)[names_of(g, nir.Input)[0]] for g in (before, after)]
    names = [output_populations(g) for g in (before, after)]
    sent, changed = 0, 0
    for raster in proof.tried(prod(sizes[0]), 0):
        given = []
        for graph, size, outputs in zip((before, after), sizes, names, strict=True):
            trace = run_spiking(graph, raster.reshape(*raster.shape[:2], *size), rule, record_v=outputs)
            given.append({n: trace.v[n] if isinstance(graph.nodes[n], SILENT) else trace.spikes[n] for n in outputs})
        sent, changed = _compared(before, step, (names[0], given[0]), (names[1], given[1]))
        if sent >= ENOUGH:
            break
    return sent, changed


def _by_engine(before: Graph, after: Graph, step: Rewrite, target: Target, proof: Evidence) -> tuple[int, int]:
    """The programs of both graphs. What has no program as it stands, for lack of integers, counts as changed."""
    programs = [target.lowering(graph, target.chip) for graph in (before, after)]
    spikes, changed = 0, 0
    size = sum(programs[0].population(name).size for name in programs[0].inputs)
    for raster in proof.tried(size, programs[0].n_steps):
        given = [_spikes(program, raster) for program in programs]
        spikes, changed = _compared(before, step, (programs[0].outputs, given[0]), (programs[1].outputs, given[1]))
        if spikes >= ENOUGH:
            break
    return spikes, changed


def _spikes(program: Program, raster: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
    stimulus = Stimulus(raster, None, raster.shape[1])
    return run(program, stimulus, record_spikes=program.outputs, threads=1).trace.spikes


def _compared(
    graph: Graph,
    step: Rewrite,
    before: tuple[Collection[str], Mapping[str, npt.NDArray[Any]]],
    after: tuple[Collection[str], Mapping[str, npt.NDArray[Any]]],
) -> tuple[int, int]:
    """What the outputs gave before (spikes, or potentials that are not 0), and how many entries differ.

    All of them where the outputs are other populations. Real potentials differ where RELATIVE_BOUND cannot explain it.
    """
    sizes = shapes(graph)
    names, given = before
    total = sum(_amount(given[name]) for name in names)
    if list(names) != list(after[0]):
        return total, max(total, 1)
    changed = 0
    for name in names:
        wanted = step.expected(given[name], sizes[name]) if getattr(step, "node", None) == name else given[name]
        got = after[1][name]
        if wanted.shape != got.shape:
            changed += max(_amount(wanted), 1)
            continue
        slack = RELATIVE_BOUND * float(np.abs(wanted).max(initial=0)) if wanted.dtype.kind == "f" else 0
        changed += int(np.count_nonzero(np.abs(wanted - got) > slack))
    return total, changed


def _amount(values: npt.NDArray[Any]) -> int:
    return int(np.count_nonzero(values)) if values.dtype.kind == "f" else int(values.sum())
