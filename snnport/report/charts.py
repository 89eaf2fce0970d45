"""The charts of a report: accuracy, energy, usage, spikes, cores. Plain data in, inline SVG out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from snnport.report.axis import ticks, window
from snnport.report.report import Check, Energy, Run, Stage, TargetResult, Usage
from snnport.report.svg import Bar, Row, Tick, picture, row_chart, tag
from snnport.report.units import count, number, percent, plural, points, share, shortened, si
from snnport.report.view import Layer, core_index, losses, usage_text

MOST_ROWS = 24
TILE, GAP, TILES_A_ROW = 20, 2, 16
HUES = 8
MOST_CORES = 1024
STRIP_ROW = 22
STRIP_LABEL, STRIP_WIDTH, STRIP_CHARS = "30%", "70%", 16
MOST_BINS, SHADES = 240, 12


def waterfall(stages: Sequence[Stage]) -> Markup:
    """Accuracy from stage to stage: a stroke where it stands, a bar for what was lost or won. The axis shows the part used."""
    known = [s.accuracy for s in stages if s.accuracy is not None]
    low, high, step = window(known)
    at = {s.name: 0.0 if s.accuracy is None else (s.accuracy - low) / (high - low) for s in stages}
    rows = []
    for stage, change in losses(tuple(stages)):
        value = percent(stage.accuracy) + ("" if change is None else f"  ({points(change)})")
        marks: list[Bar | Tick] = []
        if change and stage.accuracy is not None:
            before = (stage.accuracy - change - low) / (high - low)
            marks.append(Bar(before, at[stage.name], "loss" if change < 0 else "gain", points(change)))
        if stage.accuracy is not None:
            marks.append(Tick(at[stage.name], title=percent(stage.accuracy)))
        rows.append(Row(stage.name, value, tuple(marks)))
    text = ", ".join(f"{s.name} {percent(s.accuracy)}" for s in stages)
    return row_chart(f"Accuracy by stage: {text}", rows, ticks(low, high, step))


def energy_ranges(energy: Energy, samples: int) -> Markup:
    """Energy of a sample, in all and by term: a bar from the low to the high estimate, a stroke at the middle; log axis."""
    n = max(samples, 1)
    lines = [("in all", energy.low_j / n, energy.mid_j / n, energy.high_j / n, "total")]
    terms = sorted(energy.terms.items(), key=lambda item: -item[1].mid_j)
    lines += [(name, t.low_j / n, t.mid_j / n, t.high_j / n, "") for name, t in terms]
    positive = [v for _, *values, _ in lines for v in values if isinstance(v, float) and v > 0] or [1e-12]
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    last = max(last, first + 1)
    rows = []
    for name, low, mid, high, css in lines:
        text = si(mid, "J") if css else f"{si(mid, 'J')}  ({share(mid, lines[0][2])})"
        title = f"{si(low, 'J')} to {si(high, 'J')}, middle {si(mid, 'J')}"
        at = [(math.log10(v) - first) / (last - first) if v > 0 else 0.0 for v in (low, mid, high)]
        marks = (Bar(at[0], at[2], "range", title), Tick(at[1], title=title)) if high > 0 else ()
        rows.append(Row(name, text, marks, css))
    every = math.ceil((last - first) / 5)
    decades = [((i - first) / (last - first), si(10.0**i, "J", 1)) for i in range(first, last + 1, every)]
    return row_chart(f"Energy per sample by {energy.model}, in all and by term, low to high", rows, decades)


def usage_bars(check: Check) -> Markup:
    """Each resource as a bar to its limit, red beyond it; the fullest where there are too many."""
    limited = [u for u in check.usage if u.limit]
    limited.sort(key=lambda u: -_fill(u))
    rows = []
    for u in limited[:MOST_ROWS]:
        _, limit, part = usage_text(u)
        over = _fill(u) > 1
        whole = max(_fill(u), 1.0)
        marks: tuple[Bar | Tick, ...] = (Bar(0, _fill(u) / whole, "over" if over else "bar", part),)
        if over:
            marks += (Tick(1 / whole, title=f"limit {limit}"),)
        where = f" @ {u.where}" if u.where not in ("", check.target) else ""
        rows.append(Row(u.resource + where, f"{number(u.used)} of {limit}", marks))
    return row_chart(f"Resources of {check.target}, used of limit", rows)


def _fill(usage: Usage) -> float:
    return usage.used / usage.limit if usage.limit else 0.0


def spike_bars(layers: Sequence[Layer]) -> Markup:
    """Spikes per sample of each population."""
    most = max((layer.per_sample for layer in layers), default=0.0) or 1.0
    rows = [
        Row(
            layer.name,
            f"{number(layer.per_sample)}",
            (Bar(0, layer.per_sample / most, "bar", f"{count(layer.spikes)} in all"),) if layer.spikes else (),
        )
        for layer in layers
    ]
    return row_chart("Spikes per sample, by population", rows)


def rate_bars(layers: Sequence[Layer]) -> Markup:
    """Spikes a neuron and step of each population whose size is known, against the most active one."""
    known = [(layer, layer.rate) for layer in layers if layer.rate is not None]
    most = max((rate for _, rate in known), default=0.0) or 1.0
    rows = [
        Row(layer.name, percent(rate), (Bar(0, rate / most, "bar", f"{percent(rate)} a step"),) if rate else ())
        for layer, rate in known
    ]
    return row_chart("Rate of each population: spikes a neuron and step", rows)


def core_bars(result: TargetResult) -> Markup | None:
    """Busy cycles of each core a sample, the busiest first; None where no core counted any."""
    run = result.run
    if run is None or not any(run.core_cycles):
        return None
    busy = sorted(((n, core) for core, n in enumerate(run.core_cycles) if n), key=lambda item: (-item[0], item[1]))
    held: dict[int, list[str]] = {}
    for p in result.placements:
        held.setdefault(core_index(result, p.chip, p.core) or 0, []).append(p.population)
    rows = []
    for n, core in busy[:MOST_ROWS]:
        names = ", ".join(dict.fromkeys(held.get(core, ())))
        value = f"{number(n / max(run.samples, 1))} cycles"
        rows.append(Row(f"core {core}" + (f": {names}" if names else ""), value, (Bar(0, n / busy[0][0], "bar", count(n)),)))
    label = f"Busy cycles a sample of each core of {result.target}"
    return row_chart(label + (f", the {MOST_ROWS} busiest of {len(busy)}" if len(busy) > MOST_ROWS else ""), rows)


def step_strip(run: Run, sizes: Mapping[str, int]) -> Markup:
    """Populations down, steps across: the stronger the colour, the more spikes, against the population's own busiest step."""
    rows = {name: counts for name, counts in run.spikes_per_step.items() if counts}
    steps = max((len(c) for c in rows.values()), default=1)
    parts: list[Markup] = []
    for i, (name, counts) in enumerate(rows.items()):
        slots = max(run.samples, 1) * sizes.get(name, 0)
        most = max(counts)
        rate = f", {percent(most / slots)} of its neurons" if slots else ""
        title = f"{name}: most in step {counts.index(most)}, {number(most / max(run.samples, 1))} spikes a sample{rate}"
        parts.append(tag("text", shortened(name, STRIP_CHARS), tag("title", title), class_="axis", x=0, y=i * STRIP_ROW + 15))
        parts.append(_strip(counts, steps, i * STRIP_ROW + 3, title))
    bottom = len(rows) * STRIP_ROW
    parts.append(tag("text", "step 0", class_="axis", x=STRIP_LABEL, y=bottom + 14))
    parts.append(tag("text", f"step {count(steps - 1)}", class_="axis", x="100%", y=bottom + 14, text_anchor="end"))
    return picture(f"Spikes in each step on {run.target}, by population", "100%", bottom + STRIP_ROW, *parts)


def _strip(counts: Sequence[int], steps: int, top: int, title: str) -> Markup:
    """One row of the step strip; neighbours of one shade are one cell, and long runs are summed into bins."""
    width = -(-steps // MOST_BINS)
    bins = [sum(counts[t : t + width]) for t in range(0, len(counts), width)]
    shades = [math.ceil(SHADES * b / max(*bins, 1)) for b in bins]
    cells, start = [], 0
    for shade, run in groupby(shades):
        length = len(list(run))
        if shade:
            opacity = f"{shade / SHADES:.2f}"
            cells.append(tag("rect", class_="cell", x=start, y=0, width=length, height=1, fill_opacity=opacity))
        start += length
    whole = -(-steps // width)
    return tag(
        "svg",
        tag("title", title),
        tag("rect", class_="track", width=whole, height=1),
        *cells,
        x=STRIP_LABEL,
        y=top,
        width=STRIP_WIDTH,
        height=STRIP_ROW - 6,
        viewBox=f"0 0 {whole} 1",
        preserveAspectRatio="none",
    )


def core_map(result: TargetResult, chip: int) -> Markup:
    """The cores of one chip as tiles, filled by the neurons they hold; the stripe below a tile is its busy time."""
    placed: dict[int, dict[str, int]] = {}
    for p in result.placements:
        if p.chip == chip:
            here = placed.setdefault(p.core, {})
            here[p.population] = here.get(p.population, 0) + p.stop - p.start
    shown = sorted(set(placed) | set(range(min(result.cores or 0, MOST_CORES))))
    most = max((sum(here.values()) for here in placed.values()), default=1) or 1
    cycles = result.run.core_cycles if result.run else ()
    hue = {name: i % HUES for i, name in enumerate(dict.fromkeys(p.population for p in result.placements))}
    tiles = []
    for i, core in enumerate(shown):
        x, y = 1 + (i % TILES_A_ROW) * (TILE + GAP), 1 + (i // TILES_A_ROW) * (TILE + 4 + GAP)
        tiles.append(_tile(core, placed.get(core, {}), most, hue, x, y))
        at = core_index(result, chip, core)
        if at is not None and at < len(cycles) and cycles[at]:
            busy = TILE * cycles[at] / max(cycles)
            tiles.append(tag("rect", tag("title", f"{count(cycles[at])} cycles"), class_="busy", x=x, y=y + TILE + 1,
                             width=busy, height=2.5))  # fmt: skip
    lines = -(-len(shown) // TILES_A_ROW)
    of = f" of {count(result.cores)}" if result.cores else ""
    label = f"Cores of {result.target}, chip {chip}: {plural(len(placed), 'core')}{of} used"
    width = min(len(shown), TILES_A_ROW) * (TILE + GAP)
    return picture(label, width + 1, lines * (TILE + 4 + GAP), *tiles, css="cores")


def _tile(core: int, held: Mapping[str, int], most: int, hue: Mapping[str, int], x: int, y: int) -> Markup:
    names = ", ".join(f"{name} {plural(n, 'neuron')}" for name, n in held.items()) or "unused"
    parts = [tag("title", f"core {core}: {names}"), tag("rect", class_="tile", x=x, y=y, width=TILE, height=TILE, rx=2)]
    level = float(y + TILE)
    for name, n in held.items():
        height = max(TILE * n / most, 1.5)
        level -= height
        parts.append(tag("rect", class_=f"hue{hue[name]}", x=x, y=max(level, y), width=TILE, height=height))
    return tag("g", *parts)
