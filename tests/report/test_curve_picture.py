"""Accuracy against levels as a picture."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from snnport.report.curve_picture import curve_picture
from snnport.report.losses import Curve, Point
from snnport.report.report import Report


def _drawn(curve: Curve) -> ElementTree.Element:
    return ElementTree.fromstring(curve_picture(curve))


def test_points_go_up_with_accuracy_and_the_recommended_one_is_marked(report: Report) -> None:
    assert report.losses is not None
    assert report.losses.curve is not None
    root = _drawn(report.losses.curve)
    marks = root.findall(".//circle")
    heights = [float(m.attrib["cy"]) for m in marks]
    assert heights == sorted(heights, reverse=True)
    places = [float(m.attrib["cx"].rstrip("%")) for m in marks]
    assert places == sorted(places)
    assert [m.attrib["class"] for m in marks] == ["dot", "dot", "chosen", "dot", "dot"]
    assert len(root.findall("./line[@class='curve']")) == 4
    band, line = root.find("./rect[@class='band']"), root.find("./line[@class='float']")
    assert band is not None
    assert line is not None
    # the recommended point lies in the band, the one before it does not
    floor = float(band.attrib["y"]) + float(band.attrib["height"])
    assert heights[2] <= floor < heights[1]
    assert float(line.attrib["y1"]) == float(band.attrib["y"])
    assert "float network, 98.87 %" in [t.text for t in root.findall("./text")]


def test_a_curve_without_labels_shows_agreement_against_steps() -> None:
    points = tuple(Point(n, n, 10 * n, None, 0.9 + n / 1000) for n in range(1, 31))
    root = _drawn(Curve("steps", points, None, 0.01, None))
    assert root.attrib["aria-label"].startswith("Agreement against steps: 10 90.10 %, 20 90.20 %")
    assert not root.findall(".//circle[@class='chosen']")
    axis = [t.text for t in root.findall("./text")]
    assert "the float network's answers, 100.00 %" in axis
    assert [text for text in axis if text and text.isdigit()] == ["10", "50", "90", "130", "170", "210", "250", "290"]


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_a_single_point_at_an_end_is_drawn(accuracy: float) -> None:
    root = _drawn(Curve("levels", (Point(4, 4, 20, accuracy, accuracy),), 0, 0.0, 1.0))
    assert [m.attrib["cx"] for m in root.findall(".//circle")] == ["56.00%"]
    assert not root.findall("./line[@class='curve']")
