from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from snnport.report.layout import GAP, LAYERS_A_COLUMN, NODE_WIDTH, SLACK, arrange


def test_a_chain_is_straight() -> None:
    names = [f"n{i}" for i in range(9)]
    layout = arrange(names, list(pairwise(names)))
    assert {layout.places[n].x for n in names} == {NODE_WIDTH / 2}
    assert [layout.places[n].layer for n in names] == list(range(9))
    assert layout.widths == (NODE_WIDTH,)


def test_a_skip_runs_beside_a_straight_chain() -> None:
    names = ["a", "b", "c", "d"]
    layout = arrange(names, [*pairwise(names), ("a", "d")])
    assert len({layout.places[n].x for n in names}) == 1
    lane = layout.routes["a", "d"][1:-1]
    assert [p.layer for p in lane] == [1, 2]
    assert all(abs(p.x - layout.places["b"].x) > NODE_WIDTH / 2 for p in lane)


def test_deep_graphs_fold_into_columns() -> None:
    names = [f"n{i}" for i in range(60)]
    layout = arrange(names, list(pairwise(names)))
    assert len(layout.widths) == 5
    assert [layout.places[n].column for n in names] == sorted(layout.places[n].column for n in names)
    assert layout.depth <= LAYERS_A_COLUMN + 2 * SLACK


def test_loops_become_back_edges() -> None:
    layout = arrange(["in", "lif", "w"], [("in", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "lif")])
    assert layout.back == {("w", "lif"), ("lif", "lif")}
    assert layout.places["w"].layer == 2


def test_empty_and_unknown() -> None:
    assert arrange([], []).places == {}
    assert arrange(["a"], [("a", "ghost")]).routes == {}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 25), st.data())
def test_any_graph_is_laid_out_without_overlap(n: int, data: st.DataObject) -> None:
    names = [str(i) for i in range(n)]
    ends = st.integers(0, n - 1).map(str)
    edges = data.draw(st.lists(st.tuples(ends, ends), max_size=40))
    layout = arrange(names, edges)
    assert set(layout.places) == set(names)
    assert set(layout.routes) == set(edges)
    for a, b in combinations(names, 2):
        p, q = layout.places[a], layout.places[b]
        if (p.layer, p.column) == (q.layer, q.column):
            assert abs(p.x - q.x) >= NODE_WIDTH + GAP - 0.11  # places are rounded to 0.1
    for edge, route in layout.routes.items():
        assert (route[0], route[-1]) == (layout.places[edge[0]], layout.places[edge[1]])
        if edge not in layout.back:
            depth = [(p.column, p.layer) for p in route]
            assert depth == sorted(set(depth))
