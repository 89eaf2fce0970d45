"""The network as an inline SVG drawing, from top to bottom, in columns where it is deep."""

from __future__ import annotations

from itertools import accumulate, pairwise

from markupsafe import Markup

from snnport.report.layout import NODE_WIDTH, Layout, Place, arrange
from snnport.report.report import Picture, PictureNode
from snnport.report.svg import picture, tag
from snnport.report.units import plural, shape, shortened

HEIGHT, LAYER = 40.0, 62.0
MARGIN, GUTTER = 14.0, 52.0
NAME_CHARS = 20
_NEURONS = frozenset({"IF", "LIF", "LI", "I", "CubaLIF", "CubaLI", "Spike"})
_WEIGHTED = frozenset({"Conv1d", "Conv2d", "Affine", "Linear", "Scale"})


def graph_picture(graph: Picture) -> Markup:
    """A drawing of `graph` in its natural size, each node with its name, type and shape."""
    layout = arrange([n.name for n in graph.nodes], graph.edges)
    lefts = list(accumulate((w + GUTTER for w in layout.widths[:-1]), initial=MARGIN))
    lines = [_line(layout, lefts, edge) for edge in layout.routes]
    boxes = [_box(node, layout.places[node.name], lefts) for node in graph.nodes]
    loop_room = 40.0 if layout.back else 0.0
    width = lefts[-1] + (layout.widths[-1] if layout.widths else 0.0) + MARGIN + loop_room
    height = max(layout.depth, 1) * LAYER - (LAYER - HEIGHT) + 2 * MARGIN
    head = tag(
        "marker",
        tag("path", d="M0 0 8 4 0 8z", class_="head"),
        id="arrow", viewBox="0 0 8 8", refX=7, refY=4, markerWidth=7, markerHeight=7, orient="auto",
    )  # fmt: skip
    label = f"The spiking network: {plural(len(graph.nodes), 'node')}, {plural(len(graph.edges), 'edge')}"
    return picture(label, round(width), round(height), tag("defs", head), *lines, *boxes, css="graph")


def _box(node: PictureNode, place: Place, lefts: list[float]) -> Markup:
    x, y = lefts[place.column] + place.x - NODE_WIDTH / 2, MARGIN + place.layer * LAYER
    detail = f"{node.type}  {shape(node.shape)}" if node.shape else node.type
    return tag(
        "g",
        tag("title", f"{node.name}: {detail}"),
        tag("rect", x=x, y=y, width=NODE_WIDTH, height=HEIGHT, rx=6),
        tag("text", shortened(node.name, NAME_CHARS), class_="name", x=x + 12, y=y + 17),
        tag("text", shortened(detail, NAME_CHARS + 5), class_="detail", x=x + 12, y=y + 32),
        class_=f"node {_kind(node.type)}",
    )


def _kind(node_type: str) -> str:
    if node_type in _NEURONS:
        return "neuron"
    if node_type in _WEIGHTED:
        return "weighted"
    return "port" if node_type in ("Input", "Output") else "plain"


def _line(layout: Layout, lefts: list[float], edge: tuple[str, str]) -> Markup:
    route = layout.routes[edge]
    css = "edge back" if edge in layout.back else "edge"
    path = _loop(route, lefts) if edge in layout.back else _through(layout, edge, lefts)
    return tag("path", tag("title", f"{edge[0]} to {edge[1]}"), class_=css, d=path, marker_end="url(#arrow)")


def _through(layout: Layout, edge: tuple[str, str], lefts: list[float]) -> str:
    """Down from the source's lower side, straight through the lanes of the layers between, to the target's upper side."""
    parts = []
    for i, (a, b) in enumerate(pairwise(layout.routes[edge])):
        x0, y0 = _centre(a, lefts)
        x1, y1 = _centre(b, lefts)
        y0 += HEIGHT / 2
        y1 -= HEIGHT / 2
        if i == 0:
            parts.append(f"M{x0:.1f} {y0:.1f}")
        else:
            # a lane runs through the whole height of its layer
            parts.append(f"V{y0:.1f}")
        if a.column == b.column:
            middle = (y0 + y1) / 2
            parts.append(
                f"V{y1:.1f}" if abs(x0 - x1) < 0.5 else f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
            )
        else:
            # to the next column: down, up through the gutter between the two, and in from above
            lane = _lane(layout, edge, a.column)
            gutter = lefts[a.column] + layout.widths[a.column] + GUTTER / 2 + 9 * lane
            low, high, r = y0 + 8 + 3 * lane, y1 - 8 - 3 * lane, 4.0
            parts.append(f"V{low - r:.1f}Q{x0:.1f} {low:.1f} {x0 + r:.1f} {low:.1f}H{gutter - r:.1f}")
            parts.append(f"Q{gutter:.1f} {low:.1f} {gutter:.1f} {low - r:.1f}V{high + r:.1f}")
            parts.append(f"Q{gutter:.1f} {high:.1f} {gutter + r:.1f} {high:.1f}H{x1 - r:.1f}")
            parts.append(f"Q{x1:.1f} {high:.1f} {x1:.1f} {high + r:.1f}V{y1:.1f}")
    return "".join(parts)


def _lane(layout: Layout, edge: tuple[str, str], column: int) -> int:
    """Which of a few lanes (-1, 0, 1) an edge takes from `column` to the next, so that such edges do not cover one another."""
    crossing = [
        other
        for other, route in layout.routes.items()
        if other not in layout.back and any(a.column == column < b.column for a, b in pairwise(route))
    ]
    return 0 if len(crossing) == 1 else crossing.index(edge) % 3 - 1


def _loop(route: tuple[Place, ...], lefts: list[float]) -> str:
    """Out of the source's right side and back into the target's."""
    (x0, y0), (x1, y1) = (_centre(p, lefts) for p in route)
    x0, x1 = x0 + NODE_WIDTH / 2, x1 + NODE_WIDTH / 2
    if y0 == y1 and x0 == x1:
        y0, y1 = y0 + 10, y1 - 10
    out = max(x0, x1) + 34
    return f"M{x0:.1f} {y0:.1f}C{out:.1f} {y0:.1f} {out:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"


def _centre(place: Place, lefts: list[float]) -> tuple[float, float]:
    return lefts[place.column] + place.x, MARGIN + place.layer * LAYER + HEIGHT / 2
