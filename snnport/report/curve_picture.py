"""Accuracy (or agreement) against levels or steps as a line, the recommended point ringed and named.

Places across are percent of the width, so that the letters keep their size from 400 to 1400 pixels; distances across are by
the order of the points, since levels are usually doubled.
"""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from snnport.report.axis import ticks, window
from snnport.report.losses import Curve
from snnport.report.losses_words import tolerance_words
from snnport.report.svg import picture, tag
from snnport.report.units import count, percent, plural

TOP, HEIGHT, BOTTOM = 26, 190, 44
LEFT, RIGHT = 0.17, 0.95
MOST_NAMED = 8
"""Points whose levels are written below the axis; of more, each second, third, ..."""


def curve_picture(curve: Curve) -> Markup:
    """The picture of a curve that has a point."""
    values = [point.height for point in curve.points]
    reference = _reference(curve)
    low, high, step = window([*values, reference])

    def up(value: float) -> float:
        return TOP + HEIGHT * (1 - (value - low) / (high - low))

    parts: list[Markup] = []
    for at, text in ticks(low, high, step):
        y = TOP + HEIGHT * (1 - at)
        parts.append(tag("line", class_="guide", x1=_percent(LEFT - 0.03), x2="100%", y1=y, y2=y))
        parts.append(tag("text", text, class_="axis", x=_percent(LEFT - 0.045), y=y + 4, text_anchor="end"))
    parts += _kept(curve, reference, up(reference), min(up(reference - curve.tolerance), TOP + HEIGHT))
    places = list(zip((_place(curve, i) for i in range(len(values))), map(up, values), strict=True))
    for (x1, y1), (x2, y2) in pairwise(places):
        parts.append(tag("line", class_="curve", x1=_percent(x1), x2=_percent(x2), y1=y1, y2=y2))
    for i, (x, y) in enumerate(places):
        parts += _mark(curve, i, x, y)
    parts.append(tag("text", _axis(curve), class_="axis", x="100%", y=TOP + HEIGHT + BOTTOM - 6, text_anchor="end"))
    return picture(_label(curve), "100%", TOP + HEIGHT + BOTTOM, *parts)


def _kept(curve: Curve, reference: float, top: float, bottom: float) -> list[Markup]:
    """The float network's line, and the band below it that the recommended point has to reach."""
    words = "float network" if curve.float_accuracy is not None else "the float network's answers"
    title = tag("title", f"{tolerance_words(curve)} or less below the float network")
    return [
        tag("rect", title, class_="band", x=_percent(LEFT - 0.03), y=top, width=_percent(1 - LEFT + 0.03), height=bottom - top),
        tag("line", class_="float", x1=_percent(LEFT - 0.03), x2="100%", y1=top, y2=top),
        tag("text", f"{words}, {percent(reference)}", class_="axis", x=_percent(LEFT), y=top - 7),
    ]


def _mark(curve: Curve, i: int, x: float, y: float) -> list[Markup]:
    """A point, and its place on the axis below."""
    chosen, point = i == curve.recommended, curve.points[i]
    own = curve.across(point)
    text = f"{own} {curve.against}: {percent(point.height)}, {plural(point.steps, 'step')}{', recommended' if chosen else ''}"
    title = tag("title", text)
    found = [tag("circle", title, class_="chosen" if chosen else "dot", cx=_percent(x), cy=y, r=7 if chosen else 4)]
    every = -(-len(curve.points) // MOST_NAMED)
    if i % every == 0 or chosen:
        css = "axis strong" if chosen else "axis"
        found.append(tag("text", count(own), class_=css, x=_percent(x), y=TOP + HEIGHT + 18, text_anchor="middle"))
    return found


def _place(curve: Curve, i: int) -> float:
    n = len(curve.points)
    return (LEFT + RIGHT) / 2 if n == 1 else LEFT + (RIGHT - LEFT) * i / (n - 1)


def _reference(curve: Curve) -> float:
    """What the points are held against: the float network's accuracy, or agreement in all."""
    return 1.0 if curve.float_accuracy is None else curve.float_accuracy


def _axis(curve: Curve) -> str:
    return "levels of an activation" if curve.against == "levels" else "steps of a sample"


def _label(curve: Curve) -> str:
    what = "Agreement" if curve.float_accuracy is None else "Accuracy"
    told = ", ".join(f"{curve.across(point)} {percent(point.height)}" for point in curve.points)
    return f"{what} against {curve.against}: {told}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}%"
