"""A chip as a grid of its cores, each coloured by how full it is, and what went between them.

A core is as full as the resource of which it has used most: neurons, axons or synaptic memory. Cores lie as on the chip's
mesh of tiles where the chip states one, else in rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from snnport.report.report import CoreUse, Run, TargetResult
from snnport.report.svg import picture, tag
from snnport.report.units import count, number, plural

SIDE, GAP, LABEL = 34, 3, 16
ROW = 16
MOST_CORES = 1024
LIGHT = 0.6
"""Share from which on a core is so dark that its letters are white."""
UNUSED = "unused"


def shares(use: CoreUse, limits: Mapping[str, int]) -> dict[str, float]:
    """Resource -> fraction of a core's limit, fullest first."""
    found = {name: used / limits[name] for name, used in use.used.items() if limits.get(name)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def fullest(result: TargetResult) -> tuple[tuple[str, str, str, str], ...]:
    """One line a core, the fullest first: (core, fullest resource, its use, share)."""
    lines = []
    for use in result.core_use:
        share = shares(use, result.core_limits)
        if share:
            name, most = next(iter(share.items()))
            used = f"{number(use.used[name])} of {number(result.core_limits[name])}"
            lines.append((-most, use.chip, use.core, (_name(use), name, used, _percent(most))))
    return tuple(line for *_, line in sorted(lines))


def use_map(result: TargetResult, chip: int) -> Markup:
    """The cores of `chip`, darker the fuller; a core's number and share stand in it, everything else on hovering."""
    here = {use.core: use for use in result.core_use if use.chip == chip}
    shown = sorted(set(here) | set(range(min(result.cores or 0, MOST_CORES))))
    places = [_place(core, result.mesh) for core in shown]
    tiles = [_core(core, here.get(core), result.core_limits, *at) for core, at in zip(shown, places, strict=True)]
    of = f" of {count(result.cores)}" if result.cores else ""
    label = f"Cores of {result.target}, chip {chip}, by use: {plural(len(here), 'core')}{of} used"
    width = max((x for x, _ in places), default=0) + 1
    height = max((y for _, y in places), default=0) + 1
    title = tag("text", f"chip {chip}: {plural(len(here), 'core')}{of} in use", class_="core-label", x=1, y=11)
    return picture(label, width * (SIDE + GAP) + 1, LABEL + height * (SIDE + GAP), title, *tiles, css="cores use")


def traffic_sentence(run: Run) -> str:
    """What the spikes of a run sent over the network, in one sentence; empty where it is not known."""
    found = run.traffic
    if found is None or not found.barriers:
        return ""
    rate = number(found.messages / found.barriers)
    hops = "" if found.hops is None else f", {count(found.hops)} hops from tile to tile"
    told = f"{count(found.messages)} messages ({rate} a step, {count(found.chip_messages)} of them between chips){hops}"
    if run.events is not None:  # no step ends there for all cores at once
        return f"{told}."
    return f"{told}, {count(found.barriers)} barriers of {plural(found.chips, 'chip')}."


def _place(core: int, mesh: tuple[int, ...]) -> tuple[int, int]:
    """Column and row of a core. A tile's cores stand two by two where four make a tile, else below each other."""
    if len(mesh) != 3:
        return core % ROW, core // ROW
    _, height, a_tile = mesh
    tile, inside = divmod(core, a_tile)
    x, y = divmod(tile, height)
    wide = 2 if a_tile % 2 == 0 else 1
    return x * wide + inside % wide, (height - 1 - y) * (a_tile // wide) + inside // wide


def _core(core: int, use: CoreUse | None, limits: Mapping[str, int], column: int, row: int) -> Markup:
    x, y = 1 + column * (SIDE + GAP), LABEL + row * (SIDE + GAP)
    share = {} if use is None else shares(use, limits)
    words = ", ".join(f"{name} {number(use.used[name])} of {number(limits[name])}" for name in share) if use else UNUSED
    parts = [
        tag("title", f"core {core}: {words or UNUSED}"),
        tag("rect", class_="tile", x=x, y=y, width=SIDE, height=SIDE, rx=2),
    ]
    most = max(share.values(), default=0.0)
    ink = {"style": "fill: #fff"} if most > LIGHT else {}
    if share:
        css = "over" if most > 1 else "full"
        shade = f"{min(0.15 + 0.7 * most, 0.85):.2f}"
        parts.append(tag("rect", class_=css, x=x, y=y, width=SIDE, height=SIDE, rx=2, fill_opacity=shade))
        middle = {"x": x + SIDE / 2, "y": y + SIDE - 6, "text_anchor": "middle"}
        parts.append(tag("text", _percent(most), class_="core-share", **middle, **ink))
    parts.append(tag("text", str(core), class_="core-label", x=x + 3, y=y + 10, **ink))
    return tag("g", *parts)


def _name(use: CoreUse) -> str:
    return f"{use.core}" + (f" of chip {use.chip}" if use.chip else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"
