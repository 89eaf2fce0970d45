"""Places for the nodes of a graph: layers from top to bottom, folded into columns where the graph is deep.

The method is Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11(2), 1981: longest-path layers, a dummy place wherever a long edge
passes a layer, barycentric order. Positions across a layer are least squares with a least distance, by pooling neighbours
that would overlap (isotonic regression).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

LAYERS_A_COLUMN = 14
NODE_WIDTH, DUMMY_WIDTH, GAP = 176.0, 10.0, 20.0
SWEEPS = 8
SLACK = 2
"""Layers by which a column may be shorter or longer than its share."""


@dataclass(frozen=True)
class Place:
    """Where a node sits: centre x within its column (pixels), layer, and column of layers."""

    x: float
    layer: int
    column: int


@dataclass(frozen=True)
class Layout:
    """places: name -> place. routes: edge -> the places its line passes, ends included; back edges, which close a loop, have
    only their ends. widths: pixels of each column. depth: layers in the longest column.
    """

    places: Mapping[str, Place]
    routes: Mapping[tuple[str, str], tuple[Place, ...]]
    back: frozenset[tuple[str, str]]
    widths: tuple[float, ...]
    depth: int


def arrange(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    """A layout of the graph. Edges to unknown names are passed over; the order of `names` breaks ties."""
    known = dict.fromkeys(names)
    edges = [e for e in dict.fromkeys(edges) if e[0] in known and e[1] in known]
    back = _back_edges(list(known), edges)
    forward = [e for e in edges if e not in back]
    level = _levels(list(known), forward)
    layers, chains = _with_dummies(level, forward)
    neighbours = _neighbours(chains)
    layers = _ordered(layers, neighbours)
    starts = _column_starts(layers)
    across = _across(layers, neighbours, _spine(level, forward))
    places, widths = {}, []
    for column, (start, stop) in enumerate(pairwise([*starts, len(layers)])):
        inside = [key for layer in layers[start:stop] for key in layer]
        left = min((across[k] - _width(k) / 2 for k in inside), default=0.0)
        right = max((across[k] + _width(k) / 2 for k in inside), default=0.0)
        widths.append(right - left)
        for key in inside:
            depth = level[key] if isinstance(key, str) else key[2]
            places[key] = Place(round(across[key] - left, 1), depth - start, column)
    routes = {edge: tuple(places[key] for key in chain) for edge, chain in chains.items()}
    routes |= {edge: (places[edge[0]], places[edge[1]]) for edge in back}
    named = {key: place for key, place in places.items() if isinstance(key, str)}
    return Layout(named, routes, frozenset(back), tuple(widths), max(b - a for a, b in pairwise([*starts, len(layers)])))


Key = str | tuple[str, str, int]
"""A node, or the dummy place of an edge in a layer: (source, target, layer)."""


def _back_edges(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Edges that lead back to an ancestor in a depth-first walk; without them the graph has no loop."""
    after: dict[str, list[str]] = {name: [] for name in names}
    fed = {b for a, b in edges if a != b}
    for a, b in edges:
        after[a].append(b)
    state: dict[str, int] = {}
    back = set()
    for root in [n for n in names if n not in fed] + list(names):
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(after[root]))]
        while stack:
            name, rest = stack[-1]
            follower = next(rest, None)
            if follower is None:
                state[name] = 2
                stack.pop()
            elif state.get(follower) == 1:
                back.add((name, follower))
            elif follower not in state:
                state[follower] = 1
                stack.append((follower, iter(after[follower])))
    return back


def _levels(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Longest path from a source, by Kahn's order."""
    level = dict.fromkeys(names, 0)
    waiting = dict.fromkeys(names, 0)
    after: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        waiting[b] += 1
        after[a].append(b)
    ready = [name for name in names if not waiting[name]]
    while ready:
        name = ready.pop(0)
        for follower in after[name]:
            level[follower] = max(level[follower], level[name] + 1)
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return level


def _column_starts(layers: Sequence[Sequence[Key]]) -> list[int]:
    """First layers of the columns: about equal columns, parted where few lines cross, at the thinnest layers."""
    columns = max(1, -(-len(layers) // LAYERS_A_COLUMN))
    starts = [0]
    for column in range(1, columns):
        ideal = column * len(layers) // columns
        near = range(max(starts[-1] + 1, ideal - SLACK), min(len(layers) - 1, ideal + SLACK) + 1)
        starts.append(min(near, key=lambda at: (len(layers[at - 1]) + len(layers[at]), abs(at - ideal))))
    return starts


def _with_dummies(
    level: Mapping[str, int], edges: Sequence[tuple[str, str]]
) -> tuple[list[list[Key]], dict[tuple[str, str], tuple[Key, ...]]]:
    layers: list[list[Key]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name, at in level.items():
        layers[at].append(name)
    chains: dict[tuple[str, str], tuple[Key, ...]] = {}
    for a, b in edges:
        dummies: list[Key] = [(a, b, at) for at in range(level[a] + 1, level[b])]
        for key, at in zip(dummies, range(level[a] + 1, level[b]), strict=True):
            layers[at].append(key)
        chains[a, b] = (a, *dummies, b)
    return layers, chains


def _neighbours(chains: Mapping[tuple[str, str], tuple[Key, ...]]) -> dict[Key, list[tuple[Key, float]]]:
    """Each key's neighbours and how strongly they pull: dummies of one edge most, so that long edges run straight."""
    found: dict[Key, list[tuple[Key, float]]] = {}
    for chain in chains.values():
        for a, b in pairwise(chain):
            real = isinstance(a, str) + isinstance(b, str)
            pull = (8.0, 0.2, 1.0)[real]
            found.setdefault(a, []).append((b, pull))
            found.setdefault(b, []).append((a, pull))
    return found


def _ordered(layers: list[list[Key]], neighbours: Mapping[Key, list[tuple[Key, float]]]) -> list[list[Key]]:
    """Each layer sorted by the mean rank of its neighbours, swept down and up; long edges keep to the right."""
    rank: dict[Key, float] = {key: i for layer in layers for i, key in enumerate(layer)}
    result = [list(layer) for layer in layers]
    for sweep in range(SWEEPS):
        for layer in result if sweep % 2 == 0 else reversed(result):
            means = {}
            for key in layer:
                near = neighbours.get(key, [])
                means[key] = sum(rank[k] for k, _ in near) / len(near) if near else rank[key]
            layer.sort(key=lambda key: (round(means[key], 6), not isinstance(key, str)))
            rank |= {key: float(i) for i, key in enumerate(layer)}
    return result


def _spine(level: Mapping[str, int], edges: Sequence[tuple[str, str]]) -> frozenset[str]:
    """One longest path, which is drawn straight."""
    before: dict[str, str] = {}
    for a, b in edges:
        if level[b] == level[a] + 1:
            before.setdefault(b, a)
    name = max(level, key=lambda n: level[n], default=None)
    path = set()
    while name is not None:
        path.add(name)
        name = before.get(name)
    return frozenset(path)


def _across(
    layers: list[list[Key]], neighbours: Mapping[Key, list[tuple[Key, float]]], spine: frozenset[str]
) -> dict[Key, float]:
    x: dict[Key, float] = {}
    for layer in layers:
        x |= dict(zip(layer, _apart([0.0] * len(layer), [1.0] * len(layer), layer), strict=True))
    for sweep in range(4 * SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wish, weight = [], []
            for key in layer:
                if key in spine:
                    wish.append(0.0)
                    weight.append(1e6)
                    continue
                near = neighbours.get(key, [])
                pull = sum(p for _, p in near)
                wish.append(sum(x[k] * p for k, p in near) / pull if pull else x[key])
                weight.append(pull or 0.1)
            x |= dict(zip(layer, _apart(wish, weight, layer), strict=True))
    return x


def _apart(wish: Sequence[float], weight: Sequence[float], layer: Sequence[Key]) -> list[float]:
    """Positions nearest to `wish` in weighted least squares that keep the order and the least distances of `layer`."""
    offsets, total = [], 0.0
    for i, key in enumerate(layer):
        if i:
            total += (_width(layer[i - 1]) + _width(key)) / 2 + GAP
        offsets.append(total)
    blocks: list[tuple[float, float, int]] = []
    for w, p, o in zip(wish, weight, offsets, strict=True):
        mean, mass, size = w - o, p, 1
        while blocks and blocks[-1][0] > mean:
            other, more, count = blocks.pop()
            mean, mass, size = (mean * mass + other * more) / (mass + more), mass + more, size + count
        blocks.append((mean, mass, size))
    flat = [mean for mean, _, size in blocks for _ in range(size)]
    return [f + o for f, o in zip(flat, offsets, strict=True)]


def _width(key: Key) -> float:
    return NODE_WIDTH if isinstance(key, str) else DUMMY_WIDTH
