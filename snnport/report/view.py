"""What every renderer says about a report, once: the answers in words, and figures derived from the plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from snnport.report.report import BreakEven, Check, Energy, Picture, Report, Run, Stage, TargetResult, Usage, Violation
from snnport.report.units import NONE, between, count, number, percent, plural, points, share, si


@dataclass(frozen=True)
class Summary:
    """A target in one line of words. Latency and energy are per sample."""

    target: str
    verdict: str
    fits: bool
    ran: bool
    accuracy: str
    latency: str
    energy: str
    energy_range: str
    energy_basis: str
    reason: str
    chips: str = NONE

    @property
    def css(self) -> str:
        """good, part or bad."""
        return ("good" if self.ran else "part") if self.fits else "bad"


@dataclass(frozen=True)
class Layer:
    """A population's activity. rate: spikes per neuron and step; None where its size is unknown."""

    name: str
    size: int | None
    spikes: int
    per_sample: float
    rate: float | None


def summary(result: TargetResult) -> Summary:
    """The line of `result` in the table over all targets."""
    run = result.run
    energy = quoted(run) if run else None
    return Summary(
        target=result.target,
        verdict=verdict(result),
        fits=result.check.fits,
        ran=result.ran,
        accuracy=percent(run.accuracy) if run else NONE,
        latency=latency(run),
        energy=si(per_sample(energy.mid_j, run), "J") if run and energy else NONE,
        energy_range=energy_range(energy, run) if run and energy else "",
        energy_basis=f"{energy.model} ({energy.provenance})" if energy else "",
        reason=reason(result),
        chips=chips(result),
    )


def quoted(run: Run) -> Energy | None:
    """The estimate that a summary quotes: the first that prices something of the run."""
    return next((energy for energy in run.energy if energy.high_j > 0), None)


def grouped(findings: Sequence[Violation]) -> tuple[Violation, ...]:
    """Findings that say the same of several places as one line each, in their order."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for found in findings:
        places.setdefault((found.rule, found.message, found.remedy), []).append(found.where)
    return tuple(Violation(rule, ", ".join(where), what, remedy) for (rule, what, remedy), where in places.items())


def chips(result: TargetResult) -> str:
    """How many chips hold the network; n/a where it did not run."""
    if result.run is None:
        return NONE
    if result.run.traffic is not None:
        return count(max(result.run.traffic.chips, 1))
    return count(max(1, len({p.chip for p in result.placements})))


def verdict(result: TargetResult) -> str:
    """Whether the network fits and ran."""
    if not result.check.fits:
        return "does not fit"
    return "fits" if result.ran else "fits, did not run"


def reason(result: TargetResult) -> str:
    """Why a target has no result, in one line: the first violation where it does not fit. Empty for a target that ran."""
    if result.ran or not result.check.violations:
        return "" if result.ran else result.why_not
    first = result.check.violations[0]
    rest = len(result.check.violations) - 1
    return f"{first.where}: {first.message}" + (f" (and {count(rest)} more)" if rest else "")


def per_sample(total: float | None, run: Run) -> float | None:
    """`total` over all samples, divided; None for no samples or no total."""
    return None if total is None or not run.samples else total / run.samples


def latency(run: Run | None) -> str:
    """Mean time a sample takes; cycles where the target has no time."""
    if run is None:
        return NONE
    seconds = per_sample(run.time_s, run)
    if seconds is not None:
        return si(seconds, "s")
    cycles = per_sample(run.cycles, run)
    return NONE if cycles is None else f"{number(cycles)} cycles"


def energy_range(energy: Energy, run: Run) -> str:
    """The range of the energy a sample takes; empty for no samples."""
    n = run.samples
    return between(energy.low_j / n, energy.high_j / n, "J", energy.mid_j / n) if n else ""


def timing(run: Run) -> tuple[tuple[str, str], ...]:
    """What is known of a run's time, as names and values."""
    rows = [("steps per sample", count(run.steps)), ("samples", count(run.samples))]
    if run.cycles_per_sample:
        spread = run.cycles_per_sample
        rows.append(("cycles per sample", f"{number(spread.mean)} (least {number(spread.min)}, most {number(spread.max)})"))
    if run.cycles is not None:
        rows.append(("cycles in all", count(run.cycles)))
    seconds = per_sample(run.time_s, run)
    if seconds:
        rows.append(("latency per sample", si(seconds, "s")))
        rows.append(("throughput, one sample after another", f"{number(1 / seconds, 3)} samples/s"))
    elif run.cycles is None:
        rows.append(("latency per sample", "not known: no model of this chip's time"))
    if any(run.core_cycles):
        busy = [c for c in run.core_cycles if c]
        ratio = max(busy) * len(busy) / sum(busy)
        rows.append(("core balance, busiest over mean of those used", f"{ratio:.2f} over {plural(len(busy), 'core')}"))
    rows.append(("simulation on this machine", si(run.wall_s, "s")))
    return tuple(rows)


def layers(result: TargetResult, graph: Picture) -> tuple[Layer, ...]:
    """Activity of each population that was counted."""
    run = result.run
    if run is None:
        return ()
    known = sizes(result, graph)
    found = []
    for name, spikes in run.spikes.items():
        size = known.get(name)
        slots = size * run.samples * run.steps if size else 0
        found.append(Layer(name, size, spikes, spikes / run.samples if run.samples else 0.0, spikes / slots if slots else None))
    return tuple(found)


def sizes(result: TargetResult, graph: Picture) -> Mapping[str, int]:
    """Neurons of each population: from the placements, else from the shape in the graph."""
    known: dict[str, int] = {}
    for node in graph.nodes:
        if node.shape:
            known[node.name] = math.prod(node.shape)
    placed: dict[str, int] = {}
    for p in result.placements:
        placed[p.population] = placed.get(p.population, 0) + p.stop - p.start
    return {**known, **placed}


def losses(stages: tuple[Stage, ...]) -> tuple[tuple[Stage, float | None], ...]:
    """Each stage with its change in accuracy since the last stage that has one; None for the first."""
    result: list[tuple[Stage, float | None]] = []
    last: float | None = None
    for stage in stages:
        whole = stage.accuracy if stage.samples is None else None
        result.append((stage, None if whole is None or last is None else whole - last))
        last = last if whole is None else whole
    return tuple(result)


def accuracy_sentence(report: Report) -> str:
    """Where accuracy was lost, in words."""
    known = [s for s in report.stages if s.accuracy is not None]
    if not known:
        return "The data has no labels or no stage was evaluated, so there is no accuracy to compare."
    first, last = known[0], known[-1]
    if len(known) == 1 or first.accuracy is None or last.accuracy is None:
        return f"Accuracy is {percent(last.accuracy)} ({last.name})."
    ran = [result.target for result in report.targets if result.run is not None]
    where = f" on {ran[0]}" if len(ran) > 1 else ""
    text = f"The last stage, {last.name}, reaches {percent(last.accuracy)}{where}"
    change = last.accuracy - first.accuracy
    text += f", {points(change)} against {first.name} ({percent(first.accuracy)})"
    drops = [(b.accuracy - a.accuracy, b.name) for a, b in pairwise(known) if a.accuracy is not None and b.accuracy is not None]
    worst, name = min(drops)
    return f"{text}. " + (
        f"The largest change for the worse is {points(worst)}, at {name}." if worst < 0 else "No stage loses any."
    )


def exactness_sentence(report: Report) -> str:
    """Whether the lowered program computes the quantised network's integers."""
    if report.logits_equal is None:
        return "Logits were not compared."
    if report.logits_equal:
        return "The lowered program gives the quantised network's logits, integer for integer, on every sample."
    places = "" if report.logit_mismatches is None else f" in {plural(report.logit_mismatches, 'value')}"
    return f"The lowered program's logits differ from the quantised network's{places}."


def spans(sentence: str) -> tuple[tuple[str, bool], ...]:
    """The parts of a sentence and whether each is code: commands stand between backticks."""
    return tuple((part, i % 2 == 1) for i, part in enumerate(sentence.split("`")) if part)


def fit_sentence(check: Check) -> str:
    """The verdict of a check with its counts."""
    broken = plural(len(check.violations), "violation")
    warned = plural(len(check.warnings), "warning")
    return f"{check.target}: {'fits' if check.fits else 'does not fit'}, {broken}, {warned}."


def usage_text(usage: Usage) -> tuple[str, str, str]:
    """Used, limit and share, in words."""
    unit = f" {usage.unit}" if usage.unit and usage.unit != usage.resource else ""
    if usage.limit is None:
        return f"{number(usage.used)}{unit}", "no limit", NONE
    return f"{number(usage.used)}{unit}", f"{number(usage.limit)}{unit}", share(usage.used, usage.limit)


def cores_of(result: TargetResult) -> tuple[tuple[str, str], ...]:
    """Each placed population and the cores it sits on, runs of neighbours joined: ("conv1", "0 to 3, 7")."""
    places: dict[str, set[tuple[int, int]]] = {}
    for p in result.placements:
        places.setdefault(p.population, set()).add((p.chip, p.core))
    several = len({p.chip for p in result.placements}) > 1
    return tuple((name, _joined(sorted(cores), several)) for name, cores in places.items())


def core_index(result: TargetResult, chip: int, core: int) -> int | None:
    """Where `core` of `chip` stands in core_cycles; None on a further chip of unknown size."""
    if chip == 0:
        return core
    return None if result.cores is None else chip * result.cores + core


def _joined(cores: list[tuple[int, int]], several: bool) -> str:
    runs: list[list[tuple[int, int]]] = []
    for place in cores:
        if runs and runs[-1][-1] == (place[0], place[1] - 1):
            runs[-1].append(place)
        else:
            runs.append([place])
    texts = []
    for run in runs:
        chip = f"chip {run[0][0]}: " if several else ""
        texts.append(chip + (str(run[0][1]) if len(run) == 1 else f"{run[0][1]} to {run[-1][1]}"))
    return ", ".join(texts)


def baselines(run: Run) -> list[str]:
    """The spiking network beside its quantised ANNs, one sentence for each model and ANN."""
    lines = []
    for baseline in run.baselines:
        own = si(per_sample(baseline.spiking.mid_j, run), "J")
        for ann, even in zip(baseline.anns, baseline.break_even, strict=True):
            lines.append(
                f"{baseline.model}: {own} a sample spiking, {si(per_sample(ann.mid_j, run), 'J')} as {ann.name}. {_even(even)} "
                f"The rate of this run is {number(baseline.spike_rate)} spikes a neuron and step."
            )
    return lines


def _even(even: BreakEven) -> str:
    bare = "" if even.event_driven is None else f" (without the cost of idle neurons: {number(even.event_driven)})"
    if even.mid is None:
        return "No part of its cost grows with spikes."
    if even.mid == 0:
        return f"It costs more even when silent{bare}."
    return f"They are even at {number(even.mid)} spikes a neuron and step{bare}."


def agreement_sentence(result: TargetResult) -> str:
    """Whether the program fires as the reference executor of its graph does, in words; empty where nothing ran."""
    found = result.agreement
    if found is None:
        return ""
    if found.why_not:
        return f"The spikes were not compared with the reference executor: {found.why_not}"
    over = f"{plural(found.samples, 'sample')} of {plural(found.steps, 'step')}"
    if found.parting is None:
        return f"No divergence: on {over} the program fires the same {plural(found.spikes, 'spike')} as the reference executor."
    p = found.parting
    cause = f" Cause: {p.cause}." if p.cause else ""
    detail = f" {p.detail}" if p.detail else ""
    return (
        f"On {over} the program first leaves the reference executor in {p.population}, neuron {p.neuron}, at step {p.step} of "
        f"sample {p.sample}: {p.quantity} is {number(p.actual)}, expected {number(p.expected)}.{cause}{detail}"
    )


def seeds_sentence(seeds: Mapping[str, int]) -> str:
    """What was drawn at random, and the seed of each."""
    told = ", ".join(f"{seed} of {name}" for name, seed in seeds.items())
    return f"seed {told}" if told else "no seed: nothing was drawn at random"


def replay_command(report: Report) -> str:
    """The line that computes a report again; empty where it does not say how it was made."""
    return "" if report.invocation is None else "snnport port --replay report.json"
