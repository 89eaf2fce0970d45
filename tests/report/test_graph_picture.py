from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from snnport.report.graph_picture import graph_picture
from snnport.report.report import Picture, PictureNode, Report
from snnport.report.units import shape


def test_every_node_and_edge_is_drawn(report: Report, hostile: str) -> None:
    root = ElementTree.fromstring(graph_picture(report.graph))
    titles = [g.findtext("title") or "" for g in root.findall("./g")]
    assert titles == [f"{n.name}: {n.type}  {shape(n.shape)}" for n in report.graph.nodes]
    assert len(root.findall("./path")) == len(report.graph.edges)
    assert root.attrib["aria-label"] == "The spiking network: 15 nodes, 15 edges"
    assert any(title.startswith(hostile) for title in titles)


def test_boxes_lie_inside_the_picture(report: Report) -> None:
    root = ElementTree.fromstring(graph_picture(report.graph))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.findall("./g/rect"):
        x, y, w, h = (float(box.attrib[k]) for k in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height


def test_kinds_have_their_colours() -> None:
    kinds = ("Input", "Conv2d", "IF", "Flatten", "CubaLIF", "Output")
    nodes = tuple(PictureNode(str(i), kind, ()) for i, kind in enumerate(kinds))
    root = ElementTree.fromstring(graph_picture(Picture(nodes, ())))
    css = [g.attrib["class"] for g in root.findall("./g")]
    assert css == [f"node {k}" for k in ("port", "weighted", "neuron", "plain", "neuron", "port")]


def test_loops_are_dashed() -> None:
    nodes = tuple(PictureNode(n, "LIF", (3,)) for n in "ab")
    root = ElementTree.fromstring(graph_picture(Picture(nodes, (("a", "b"), ("b", "a"), ("b", "b")))))
    assert [p.attrib["class"] for p in root.findall("./path")].count("edge back") == 2


def test_edges_between_columns_take_lanes_of_their_own() -> None:
    names = [f"n{i}" for i in range(30)]
    nodes = tuple(PictureNode(n, "IF", (1,)) for n in names)
    edges = (*pairwise(names), ("n0", "n29"))
    root = ElementTree.fromstring(graph_picture(Picture(nodes, edges)))
    paths = [p.attrib["d"] for p in root.findall("./path")]
    assert len(set(paths)) == 30
