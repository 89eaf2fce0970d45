"""The whole road for one network and any number of chips: convert, check, lower, run, validate, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from snnport.convention import coding_of
from snnport.datasets import Samples
from snnport.errors import DoesNotFit, PassFailed, SnnportError, UnsupportedNode
from snnport.flow.agreement import agreement_of, raster_of
from snnport.flow.convert import ConvertOptions
from snnport.flow.curve import CurveOptions, curve_of
from snnport.flow.entrance import entrance_of
from snnport.flow.explain import with_cause
from snnport.flow.model import Model
from snnport.flow.orders import options_for
from snnport.flow.outcome import Outcome, RunOptions
from snnport.flow.prepare import InputOptions, Prepared, for_target, spiking
from snnport.flow.provenance import cost_models, sha256_of, versions
from snnport.flow.run import run_program
from snnport.flow.validate import FITTED, QUANTISED, Expectation, Validation, expect, judge
from snnport.flow.waterfall import losses_of
from snnport.graph import Graph, shapes
from snnport.passes.codes.table import code_of
from snnport.passes.unspike import quantised_ann
from snnport.program import Program
from snnport.report.event_rates import EventReport
from snnport.report.findings import next_steps
from snnport.report.losses import Losses
from snnport.report.plain import read
from snnport.report.report import (
    Baseline,
    Check,
    CoreUse,
    Data,
    DataFile,
    Energy,
    Picture,
    PictureNode,
    Placement,
    Report,
    Run,
    Source,
    Spread,
    Stage,
    TargetResult,
    Traffic,
)
from snnport.sim.network import mesh_of
from snnport.targets.base import CheckResult, Target, Violation

Say = Callable[[str], None]


def port(
    model: Model,
    targets: Sequence[Target],
    samples: Samples,
    files: Sequence[Path],
    inputs: InputOptions,
    options: ConvertOptions,
    say: Say = lambda message: None,
    progress: Callable[[int, int], None] | None = None,
    running: RunOptions | None = None,
    curve: CurveOptions | None = None,
) -> tuple[Report, dict[str, Program], Prepared]:
    """Port `model` to every target. Returns the report, the programs that were lowered, by target, and the spiking graph.

    A target that the network does not fit is a result; what is wrong with the network or the data is raised.
    """
    prepared = spiking(model, inputs, options, samples, say)
    results: list[TargetResult] = []
    programs: dict[str, Program] = {}
    judgements: list[Validation] = []
    known: list[tuple[Graph, Expectation]] = []
    seeds = dict(prepared.seeds)
    for target in targets:
        name = target.chip.name
        say(f"{name}: check")
        try:
            ready = for_target(prepared, target)
            check = target.check(ready.graph)
        except (PassFailed, UnsupportedNode) as error:
            if len(targets) == 1:
                raise
            results.append(_refused(target, _broken(target, error)))
            continue
        seeds |= ready.seeds
        if not check.fits:
            results.append(_refused(target, check))
            continue
        programs[name] = target.lower(ready.graph)
        say(f"{name}: run {samples.n_samples} samples")
        outcome = run_program(programs[name], samples, options_for(programs[name], running), progress)
        expected = next((answer for graph, answer in known if graph is ready.graph), None)
        if expected is None:
            expected = expect(stages_of(ready), quantised_of(ready), samples, say, last_stage(ready))
            known.append((ready.graph, expected))
        judgements.append(with_cause(judge(expected, outcome, samples), expected, programs[name], samples, outcome))
        ran = _ran(target, check, programs[name], outcome)
        say(f"{name}: compare with the reference")
        agreement = agreement_of(ready.graph, programs[name], samples)
        results.append(replace(ran, raster=raster_of(programs[name], samples), agreement=agreement))
    report = Report(
        Source(model.path.name, model.path.suffix.lstrip("."), model.sha256, model.input_shape),
        Data(tuple(DataFile(f.name, sha256_of(f)) for f in files), samples.n_samples, _scaling(inputs)),
        versions(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        {**asdict(options), "calibration": prepared.conversion.calibration if prepared.conversion else ""},
        prepared.conversion.passes if prepared.conversion else (),
        _picture(prepared.graph),
        prepared.conversion.ledger if prepared.conversion else (),
        tuple(Stage(**vars(stage)) for stage in judgements[0].stages) if judgements else (),
        _all_equal(judgements),
        sum(j.logit_mismatches or 0 for j in judgements) if _all_equal(judgements) is not None else None,
        tuple(results),
        cost_models=cost_models(targets),
        seeds=seeds,
        entrance=entrance_of(prepared.graph, {r.target: (programs[r.target], r.run) for r in results if r.run is not None}),
        losses=_losses(prepared, judgements, samples, model, inputs, options, curve, say),
    )
    return replace(report, next_steps=next_steps(report)), programs, prepared


def _losses(
    prepared: Prepared,
    judgements: Sequence[Validation],
    samples: Samples,
    model: Model,
    inputs: InputOptions,
    options: ConvertOptions,
    curve: CurveOptions | None,
    say: Say,
) -> Losses | None:
    """Where the network lost what, before any chip; with a curve where one is asked for."""
    found = losses_of(prepared, None, samples, judgements[0].stages if judgements else (), say)
    if curve is None:
        return found
    return replace(found or Losses(), curve=curve_of(model, inputs, options, curve, samples, say))


def _all_equal(judgements: Sequence[Validation]) -> bool | None:
    verdicts = [j.logits_equal for j in judgements if j.logits_equal is not None]
    return all(verdicts) if verdicts else None


def stages_of(prepared: Prepared) -> dict[str, Graph]:
    """The graphs before the quantised ANN that validate runs, by stage name."""
    if prepared.conversion is None:
        return {}
    last = ("spiking",) if _fitted(prepared) or quantised_of(prepared) is None else (QUANTISED, "spiking")
    return {name: graph for name, graph in prepared.conversion.stages.items() if name not in last}


def last_stage(prepared: Prepared) -> str:
    """The name of the quantised ANN among the stages."""
    return FITTED if _fitted(prepared) else QUANTISED


def _fitted(prepared: Prepared) -> bool:
    """Whether a target's pass has changed the network after its conversion."""
    return prepared.conversion is not None and prepared.graph is not prepared.conversion.graph


def quantised_of(prepared: Prepared) -> Graph | None:
    """The quantised ANN whose integers the network must give, rebuilt from its metadata; None where none is claimed."""
    coding = coding_of(prepared.graph.metadata)
    return quantised_ann(prepared.graph) if coding is not None and code_of(coding).lossless else None


def exact(report: Report) -> bool:
    """Whether every program that ran gives the quantised ANN's integers."""
    return report.logits_equal is not False


def _refused(target: Target, check: CheckResult) -> TargetResult:
    try:
        check.require()
    except DoesNotFit as error:
        rules = ", ".join(dict.fromkeys(v.rule for v in check.violations))
        return TargetResult(target.chip.name, _check(check), False, f"{rules}: {error}", None, cores=_cores(target))
    raise AssertionError("a check that fits was refused")


def _broken(target: Target, error: SnnportError) -> CheckResult:
    """What a target's own passes refuse, as its rules would have said it."""
    where = error.where.partition("{")[0]
    return CheckResult(target.chip.name, (), (Violation("passes", where, error.what, error.remedy),), ())


def _ran(target: Target, check: CheckResult, program: Program, outcome: Outcome) -> TargetResult:
    placements = tuple(Placement(s.population, s.core, s.start, s.stop, s.chip) for s in program.placements)
    result = TargetResult(target.chip.name, _check(check), True, "", _run(outcome), placements, _cores(target))
    if target.core_use is None:
        return result
    used, limits = target.core_use(program, target.chip)
    uses = tuple(CoreUse(chip, core, dict(load)) for (chip, core), load in sorted(used.items()))
    mesh = mesh_of(target.chip)
    sides = () if mesh is None else (mesh.width, mesh.height, mesh.cores_per_tile)
    return replace(result, core_use=uses, core_limits=dict(limits), mesh=sides)


def _check(check: CheckResult) -> Check:
    return read(Check, check.to_json(), "check")


def _run(outcome: Outcome) -> Run:
    counts = outcome.counts
    assert counts is not None
    cycles = counts.cycles
    spread = None if cycles is None else Spread(float(cycles.mean()), int(cycles.min()), int(cycles.max()))
    return Run(
        outcome.target,
        outcome.engine,
        len(outcome.predictions),
        outcome.n_steps,
        outcome.accuracy,
        outcome.correct,
        dict(counts.spikes),
        dict(counts.synaptic_operations),
        counts.neuron_updates,
        counts.total_cycles,
        outcome.time_s,
        tuple(read(Energy, estimate.to_json(), "energy") for estimate in outcome.energy),
        outcome.wall_s,
        spread,
        {name: tuple(int(n) for n in steps) for name, steps in counts.spikes_per_step.items()},
        tuple(int(n) for n in counts.core_cycles),
        tuple(read(Baseline, found.to_json(), "baseline") for found in outcome.baselines),
        None if outcome.traffic is None else read(Traffic, outcome.traffic, "traffic"),
        None if outcome.events is None else read(EventReport, outcome.events.to_json(), "events"),
        outcome.never_fire,
    )


def _cores(target: Target) -> int | None:
    return int(target.chip["cores"]) if "cores" in target.chip.numbers else None


def _picture(graph: Graph) -> Picture:
    sizes = shapes(graph)
    nodes = tuple(PictureNode(name, type(node).__name__, sizes[name]) for name, node in graph.nodes.items())
    return Picture(nodes, tuple((a, b) for a, b in graph.edges))


def _scaling(inputs: InputOptions) -> str:
    text = f"x / {inputs.scale:g} + {inputs.shift:g}"
    return f"({text} - {list(inputs.mean)}) / {list(inputs.std)}" if inputs.mean or inputs.std else text
