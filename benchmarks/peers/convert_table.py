"""The page of benchmarks/conversion.py, from its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NUMBERS = ("sinabs", "snnport graded")
"""Methods whose neurons send more than one spike in a step, or a number."""
HEAD = """# Conversions beside the field

Written by benchmarks/conversion.py. Same networks, same samples, same labels; thresholds from 256 training images, no labels.

T: for the peers the steps in which all layers work on the spikes of the same step; for snnport's gate and ttfs codes the window
of a layer (levels = T); for graded 1, a layer works in one step. Input levels are chosen by snnport (docs/decisions/0004): as
many as T for the MNIST networks, more for ResNet-20, where the first window grows with them and so does the latency.
Latency: steps from the first input spike to the logits on a machine in which a spike takes a step to the next layer (peers:
T + depth - 1; their max poolings take none, ours one, graded ones two to four). Period: steps from one sample to the next when
samples stream (peers hold the state of one sample: T). Peers feed the first layer with numbers in every step; those products
are not in their operations. snnport's are all spikes, those of the input included. Sinabs' neurons may spike several times a
step, so that T bounds no count there. Weights: snnport's have 8 bits, or as many as the row says; the
peers' are floats. Agreement: share of samples with the float network's arg max. Conversion: CPU seconds,
of fine-tuned ones with their training, where it was timed.
"""


def page(rows: list[Any], facts: dict[str, Any]) -> str:
    """The Markdown text."""
    parts = [HEAD, _versions(facts)]
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        parts += [f"## {network}", _first(own, facts["float"][network]), _table(own), _verdicts(own, facts, network)]
    return "\n\n".join(parts) + "\n"


def _versions(facts: dict[str, Any]) -> str:
    known = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
    tuned = (
        facts.get("finetune") and f" MNIST networks fine-tuned: `--finetune '{facts['finetune']}'`, 10,000 images, no labels."
    )
    return f"Python {facts['python']}, {facts['machine']}. Peers: {known or 'not run'}.{tuned or ''}"


def _first(rows: list[Any], accuracy: float) -> str:
    n = next((row.samples for row in rows if row.samples), 0)
    return f"Float accuracy {100 * accuracy:.2f} % on {n} samples (one sample is {100 / max(n, 1):.2f} points)."


def _table(rows: list[Any]) -> str:
    lines = [
        "| method | T | accuracy | agreement | spikes | operations | latency | period | conversion, CPU |",
        "|---|" + "---:|" * 8,
    ]
    for row in rows:
        if not row.samples:
            lines.append(f"| {row.method} | | | | | | | | |")
            continue
        numbers = f"{100 * row.accuracy:.2f} | {100 * row.agreement:.2f} | {row.spikes:,.0f} | {row.operations:,.0f}"
        lines.append(f"| {row.method} | {row.T} | {numbers} | {row.latency} | {row.period} | {row.conversion_s:.1f} s |")
    return "\n".join(lines)


def _verdicts(rows: list[Any], facts: dict[str, Any], network: str) -> str:
    """Who is first within the same number of steps, three times over; and what ttfs costs."""
    rows = [row for row in rows if row.samples]
    plain = [row for row in rows if not row.method.startswith(NUMBERS)]
    between = next((row.latency - row.T for row in rows if not _own(row)), 0)
    parts = [
        "First with at most T steps a layer and sample:\n\n" + _firsts(rows, lambda row: row.T, 0),
        "First among those that send at most one spike a step (all but sinabs and graded), T steps a layer:\n\n"
        + _firsts(plain, lambda row: row.T, 0),
        f"First at equal end-to-end steps (what the peers need for T, T + {between}):\n\n"
        + _firsts(rows, lambda row: row.latency, between),
        _ttfs(rows, facts["neurons"][network]),
    ]
    return "\n\n".join(parts)


def _firsts(rows: list[Any], steps_of: Callable[[Any], int], more: int) -> str:
    """A table: for each T the best of the rows whose steps are at most T + `more`."""
    lines = ["| T | steps | agreement | accuracy |", "|---:|---:|---|---|"]
    for T in sorted({row.T for row in rows if not _own(row)}):
        fitting = [row for row in rows if steps_of(row) <= T + more]
        cells = [_verdict(fitting, what) for what in ("agreement", "accuracy")]
        lines.append(f"| {T} | {T + more} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _verdict(rows: list[Any], what: str) -> str:
    """The best of ours beside the best of the peers by agreement or accuracy; of equal ones that with fewer operations."""
    ours, theirs = (
        max((row for row in rows if _own(row) is own), key=lambda row: (getattr(row, what), -row.operations), default=None)
        for own in (True, False)
    )
    if theirs is None or ours is None:
        return "no peer fits" if theirs is None else f"lost: {_said(theirs, what)}; none of ours fits"
    lead = getattr(ours, what) - getattr(theirs, what)
    word = "first" if lead > 0 else "lost" if lead < 0 else "level"
    return f"{word}: {_said(ours, what)}; {_said(theirs, what)}"


def _said(row: Any, what: str) -> str:
    return f"{row.method} (T = {row.T}) {100 * getattr(row, what):.2f}"


def _own(row: Any) -> bool:
    return str(row.method).startswith("snnport")


def _ttfs(rows: list[Any], neurons: int) -> str:
    """The claims about ttfs, with what was measured at each number of levels."""
    counts = {row.T: row.operations for row in rows if row.method == "snnport gate"}
    found = [(row.T, row.spikes / neurons, row.operations / counts[row.T]) for row in rows if row.method == "snnport ttfs"]
    lines = []
    for what, limit, figures in (
        ("data spikes a neuron, at most 0.6", 0.6, [(T, spikes) for T, spikes, _ in found]),
        ("operations, of the count code's, under 0.5, without a twin", 0.5, [(T, share) for T, _, share in found]),
        ("the same with a twin, which doubles them", 0.5, [(T, 2 * share) for T, _, share in found]),
    ):
        said = ", ".join(f"{value:.2f} at L = {T} ({'holds' if value <= limit else 'does not hold'})" for T, value in figures)
        lines.append(f"- ttfs, {what}: {said}")
    return "\n".join(lines)
