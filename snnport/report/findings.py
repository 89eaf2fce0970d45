"""What to do next: findings of a report in sentences, each with names, numbers and the next command."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator

from snnport.report.entrance import entrance_sentences
from snnport.report.losses_words import cause_sentences
from snnport.report.report import Report, Run, TargetResult
from snnport.report.units import percent, plural, points, share
from snnport.report.view import core_index, losses, quoted

NOTABLE_LOSS = 0.001
"""A loss of accuracy below a tenth of a percentage point is not worth a sentence."""
CHANCE = 1.5
"""Nor is one of so many samples."""
READOUTS = frozenset({"I", "LI", "CubaLI"})
"""Node types that never fire."""
LOPSIDED = 2.0
"""Busiest core over the mean of the used ones, above which splitting a population would pay."""


def next_steps(report: Report) -> tuple[str, ...]:
    """The findings, most pressing first: what is not exact, what does not fit, where accuracy and energy went."""
    file = shlex.quote(report.source.file)
    found = [*_exactness(report, file)]
    for result in report.targets:
        found.extend(_fit(result, file))
    found.extend(_accuracy(report, file))
    found.extend(cause_sentences(report.losses) if report.losses is not None else ())
    found.extend(entrance_sentences(report.entrance, report.data.n_samples) if report.entrance is not None else ())
    readouts = {node.name for node in report.graph.nodes if node.type in READOUTS}
    told: dict[str, list[str]] = {}
    for result in report.targets:
        for sentence in _of_run(result, report, readouts, file):
            told.setdefault(sentence, []).append(result.target)
    found.extend(f"{', '.join(targets)}: {sentence}" for sentence, targets in told.items())
    return tuple(found) or ("Nothing is left to do: the network fits, is exact, and every count is priced.",)


def _of_run(result: TargetResult, report: Report, readouts: Collection[str], file: str) -> Iterator[str]:
    """What a target's run tells, without the target, so that what several say is told once."""
    run = result.run
    if run is None:
        return
    yield from _activity(result, run, readouts)
    if report.options.get("code") == "graded":
        yield from _messages(result, run)
    yield from _energy(run)
    if run.accuracy is None:
        targets = shlex.quote(",".join(t.target for t in report.targets))
        labelled = f"`snnport port {file} --target {targets} --input X --labels Y -o DIR`"
        yield f"the data has no labels. For an accuracy, give them: {labelled}."
    elif run.samples and run.samples < 1000:
        step = percent(1 / run.samples)
        yield f"the accuracy rests on {plural(run.samples, 'sample')}, one of which is {step}; run more samples."


def _exactness(report: Report, file: str) -> Iterator[str]:
    if report.logits_equal is False:
        target = next((t.target for t in report.targets if t.ran), "cpu")
        where = "" if report.logit_mismatches is None else f" in {plural(report.logit_mismatches, 'value')}"
        yield (
            f"The logits differ from the quantised network's{where}. Find the first diverging layer with "
            f"`snnport validate {file} --target {shlex.quote(target)} --input DATA.npz`."
        )


def _fit(result: TargetResult, file: str) -> Iterator[str]:
    if result.check.fits:
        if not result.ran and result.why_not:
            yield f"{result.target}: it fits but did not run: {result.why_not} See what is missing with `snnport doctor`."
        return
    first = next(iter(result.check.violations), None)
    more = len(result.check.violations) - 1
    cause = (
        f" First violation, at {first.where}: {_sentence(first.message)} {_sentence(first.remedy)}".rstrip() if first else ""
    )
    rest = f" {plural(more, 'more violation')} to mend." if more > 0 else ""
    again = f"`snnport check {file} --target {shlex.quote(result.target)}`"
    yield f"{result.target}: it does not fit.{cause}{rest} Check again with {again}."


def _accuracy(report: Report, file: str) -> Iterator[str]:
    drops = [(change, stage.name) for stage, change in losses(report.stages) if change is not None]
    worst, name = min(drops, default=(0.0, ""))
    if worst < -max(NOTABLE_LOSS, CHANCE / max(report.data.n_samples, 1)):
        targets = ",".join(t.target for t in report.targets)
        yield (
            f"Most accuracy is lost at {name} ({points(worst)}). See what more levels or bits buy with "
            f"`snnport sweep {file} --targets {shlex.quote(targets)} --levels 8,16,32 --bits 6,8`."
        )


def _activity(result: TargetResult, run: Run, readouts: Collection[str]) -> Iterator[str]:
    quiet = {*readouts, *run.never_fire}
    silent = [name for name, spikes in run.spikes.items() if spikes == 0 and name not in quiet]
    if silent:
        yield f"no neuron of {', '.join(silent)} ever fired on this data; it does no work."
    busy = [c for c in run.core_cycles if c]
    if len(busy) > 1 and max(busy) * len(busy) > LOPSIDED * sum(busy):
        core = run.core_cycles.index(max(busy))
        names = sorted({p.population for p in result.placements if core_index(result, p.chip, p.core) == core})
        yield (
            f"core {core}{' (' + ', '.join(names) + ')' if names else ''} works "
            f"{max(busy) * len(busy) / sum(busy):.1f} times as long as the mean core; split its populations to shorten a step."
        )


def _messages(result: TargetResult, run: Run) -> Iterator[str]:
    """Messages a neuron and sample, which the graded code bounds by one, of all populations that sit on a core."""
    neurons = {p.population: 0 for p in result.placements}
    for p in result.placements:
        neurons[p.population] += p.stop - p.start
    sent = sum(spikes for name, spikes in run.spikes.items() if name in neurons)
    total = sum(neurons.values()) * run.samples
    if total:
        yield (
            f"{sent / total:.3f} messages a neuron and sample ({plural(sent, 'message')} of "
            f"{plural(sum(neurons.values()), 'neuron')} on {plural(run.samples, 'sample')}); none sends more than one."
        )


def _energy(run: Run) -> Iterator[str]:
    energy = quoted(run)
    if energy is None:
        return
    name, term = max(energy.terms.items(), key=lambda item: item[1].mid_j, default=("", None))
    if term is not None and energy.mid_j > 0:
        yield (
            f"{name} takes {share(term.mid_j, energy.mid_j)} of the energy ({energy.model}); "
            "fewer levels or sparser activity act on it first."
        )
    if energy.unpriced:
        yield (
            f"the energy leaves out {', '.join(energy.unpriced)} ({energy.model} has no price for them); "
            "state this beside the figure."
        )


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."
