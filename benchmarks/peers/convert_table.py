"""The page of benchmarks/conversion.py, from its rows."""

from __future__ import annotations

from typing import Any

HEAD = """# Conversions beside the field

Written by benchmarks/conversion.py. Same networks, same samples, same labels; thresholds from 256 training images, no labels.

T: for the peers the steps in which all layers work on the spikes of the same step; for snnport's gate and ttfs codes the window
of a layer (levels = T); for graded its latency. Latency: steps from the first input spike to the logits on a machine in which
a spike takes a step to the next layer (peers: T + depth - 1). Period: steps from one sample to the next when samples stream
(peers hold the state of one sample: T). Peers feed the first layer with numbers in every step; those products are not in their
operations. snnport's are all spikes, those of the input included. Sinabs' neurons may spike several times a step, so that T
bounds no count there. Agreement: share of samples with the float network's arg max. Conversion: seconds of one core.
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
    return f"Python {facts['python']}, {facts['machine']}. Peers: {known or 'not run'}."


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
    """Who is first at each T, at equal windows and at equal latency, and what ttfs costs."""
    peers = [row for row in rows if row.samples and not row.method.startswith("snnport")]
    ours = [row for row in rows if row.method.startswith("snnport")]
    lines = []
    if peers:
        heads = "| T | best peer (agreement, accuracy) | gate, window T | best of ours within the peer's latency |"
        lines += [heads, "|---:|---|---|---|"]
        for T in sorted({row.T for row in peers}):
            best = max((row for row in peers if row.T == T), key=lambda row: (row.agreement, row.accuracy))
            gates = [row for row in ours if row.method.startswith("snnport gate") and row.T == T]
            same = max(gates, key=lambda row: (row.agreement, row.accuracy), default=None)
            early = [row for row in ours if row.latency <= best.latency]
            soon = max(early, key=lambda row: (row.agreement, row.accuracy), default=None)
            lines.append(f"| {T} | {_short(best)} | {_against(same, best)} | {_against(soon, best)} |")
    neurons = facts["neurons"][network]
    for row in ours:
        count = next((r for r in ours if r.method == "snnport gate" and r.T == row.T), None)
        if row.method == "snnport ttfs" and count is not None:
            share = row.operations / count.operations
            said = f"{row.spikes / neurons:.3f} data spikes a neuron, {share:.2f} of the count code's operations"
            lines.append(f"\nttfs, L = {row.T}: {said} without a twin, twice that with one.")
    return "\n".join(lines)


def _short(row: Any) -> str:
    return f"{row.method}: {100 * row.agreement:.2f}, {100 * row.accuracy:.2f}"


def _against(row: Any | None, best: Any) -> str:
    if row is None:
        return "none"
    verdict = "first" if (row.agreement, row.accuracy) >= (best.agreement, best.accuracy) else "behind"
    return f"{verdict}: {_short(row)} (latency {row.latency})"
