"""Losses in sentences and in a terminal's table: layers, neurons that do nothing, what to try, a curve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from snnport.report.losses import Activity, Curve, Losses
from snnport.report.plain import read
from snnport.report.units import percent

MANY = 0.1
"""A share of dead or saturated neurons from which on a population is worth a sentence."""
CLIPPED = 0.05
"""The same for the share of counts at the clip."""
LAYER_HEADS = ("population", "relative error", "corr.", "agreement up to here", "error of logits", "dead", "clipped")
"""Heads of the columns of `layer_rows`."""
WIDTH = 30
"""Columns of a bar."""


def activity_sentences(activity: Sequence[Activity]) -> Iterator[str]:
    """What is worth saying of it, each with its numbers and a remedy."""
    for a in activity:
        if a.zero_weights:
            yield (
                f"{a.population}: all weights into it are 0, so that it gives the same whatever comes in. "
                "Look for a layer that was never trained or was pruned away; more --bits if rounding did it."
            )
        if a.silent:
            yield (
                f"{a.population}: none of its {a.neurons} neurons ever spikes on these samples. Check --scale, --mean and "
                "--std; if they are right, its biases are too low: --correction on, or lower thresholds (--thresholds mse)."
            )
        elif a.dead >= MANY * a.neurons:
            yield (
                f"{a.population}: {a.dead} of {a.neurons} neurons never spike on these samples. On a chip they cost room "
                "and updates: prune them in the source network, or give samples that cover its classes."
            )
        if a.saturated:
            yield (
                f"{a.population}: {a.saturated} of {a.neurons} neurons stand at the clip {a.levels} on every sample and tell "
                "nothing. Raise thresholds (--thresholds 99.9 or max), or use more --levels."
            )
        elif a.clipped >= CLIPPED:
            yield (
                f"{a.population}: {100 * a.clipped:.1f} % of its counts stand at the clip {a.levels}. "
                "Raise thresholds (--thresholds 99.9), or use more --levels."
            )


def cause_sentences(losses: Losses) -> Iterator[str]:
    """The first layer that loses, what to try, and what does nothing."""
    if losses.first is not None:
        at = next(layer for layer in losses.layers if layer.name == losses.first)
        more = "" if losses.worst in (None, losses.first) else f"; the largest error comes in at {losses.worst}"
        yield (
            f"Answers change first at {losses.first}: quantised up to there, {percent(at.agreement)} of "
            f"{losses.samples} samples keep their answer{more}."
        )
    for hint in losses.hints:
        gain = "" if hint.gain is None else f" (about {100 * hint.gain:+.1f} points, estimated)"
        yield f"Try {hint.options}{gain}: {hint.why}."
    yield from activity_sentences(losses.activity)


def silent_neurons(data: Mapping[str, Any]) -> list[str]:
    """The sentences of the list "activity" of a document, if it has one."""
    found = data.get("activity") or []
    activity = [read(Activity, entry, f"activity[{i}]") for i, entry in enumerate(found)]
    return list(activity_sentences(activity))


def losses_table(data: Mapping[str, Any] | None) -> list[RenderableType]:
    """What a terminal shows of the document of `validate --json` under "losses"."""
    if data is None:
        return []
    losses = read(Losses, data, "losses")
    parts: list[RenderableType] = []
    if losses.layers:
        table = _table(*LAYER_HEADS)
        for layer, cells in zip(losses.layers, layer_rows(losses), strict=True):
            table.add_row(*(Text(cell, style="bold red" if layer.name == losses.first else "") for cell in cells))
        parts.append(table)
    parts += [Text(sentence) for sentence in cause_sentences(losses)]
    if losses.curve is not None:
        parts.append(curve_table(losses.curve))
    return parts


def layer_rows(losses: Losses) -> list[tuple[str, ...]]:
    """The cells of each layer, under LAYER_HEADS."""
    active = {a.population: a for a in losses.activity}
    rows: list[tuple[str, ...]] = []
    for layer in losses.layers:
        own = active.get(layer.name)
        still = ("", "") if own is None else (f"{own.dead} of {own.neurons}", percent(own.clipped))
        numbers = (f"{layer.relative_error:.3f}", f"{layer.correlation:.4f}", percent(layer.agreement))
        rows.append((layer.name, *numbers, f"{layer.output_error:.3f}", *still))
    return rows


def curve_heads(curve: Curve) -> tuple[str, ...]:
    """The heads of the columns of `curve_rows`."""
    return curve.against, "input levels", "steps", "accuracy", "agreement", "recommended"


def curve_rows(curve: Curve) -> list[tuple[str, ...]]:
    """The cells of each point of a curve."""
    rows: list[tuple[str, ...]] = []
    for i, point in enumerate(curve.points):
        accuracy = "" if point.accuracy is None else percent(point.accuracy)
        chosen = "recommended" if i == curve.recommended else ""
        rows.append(
            (str(curve.across(point)), str(point.input_levels), str(point.steps), accuracy, percent(point.agreement), chosen)
        )
    return rows


def curve_table(curve: Curve) -> RenderableType:
    """Accuracy (or agreement) against levels or steps as bars, the recommended point marked."""
    table = _table(*curve_heads(curve), "")
    for i, (point, cells) in enumerate(zip(curve.points, curve_rows(curve), strict=True)):
        bar = "█" * round(WIDTH * point.height)
        table.add_row(*(Text(cell, style="bold green" if i == curve.recommended else "") for cell in (*cells, bar)))
    return Group(table, Text(curve_sentence(curve)))


def curve_sentence(curve: Curve) -> str:
    """The recommended point in words."""
    limit = tolerance_words(curve)
    if curve.recommended is None:
        return f"No point loses {limit} or less. Try more {curve.against}, or --finetune."
    point = curve.points[curve.recommended]
    first = "" if point.input_levels == point.levels else f" --input-levels {point.input_levels}"
    return f"Recommended: --levels {point.levels}{first} ({point.steps} steps): the fewest steps that lose {limit} or less."


def tolerance_words(curve: Curve) -> str:
    """What the recommended point may lose."""
    lost = round(100 * curve.tolerance, 10)
    return f"{lost:g} {'point' if lost == 1 else 'points'}"


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 or not head else "right")
    return table
