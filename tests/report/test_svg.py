from __future__ import annotations

from xml.etree import ElementTree

from markupsafe import Markup

from snnport.report.svg import Bar, Row, Tick, row_chart, tag


def test_tag_escapes_text_and_attributes_and_keeps_markup() -> None:
    inner = tag("b", "<x>")
    assert tag("a", "1 < 2 & 3", inner, aria_label='"<') == Markup(
        '<a aria-label="&#34;&lt;">1 &lt; 2 &amp; 3<b>&lt;x&gt;</b></a>'
    )


def test_tag_writes_zero_and_leaves_out_nothing() -> None:
    assert tag("rect", x=0, y=0.04, width=None, class_="") == Markup('<rect x="0" y="0"></rect>')


def test_row_chart_is_well_formed_and_stays_inside() -> None:
    rows = [Row("one", "1", (Bar(0.2, 1.7, "over", "t"), Tick(-3.0))), Row("a" * 99, "v" * 30)]
    root = ElementTree.fromstring(row_chart("two rows", rows, [(0.0, "0"), (0.5, "5"), (1.0, "10")]))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "two rows"
    over = root.find(".//rect[@class='over']")
    assert over is not None
    assert (over.attrib["x"], over.attrib["width"]) == ("20.00%", "80.00%")
    tick = root.find(".//line[@class='tick']")
    assert tick is not None
    assert tick.attrib["x1"] == "0.00%"
    assert [t.attrib["text-anchor"] for t in root.findall("./text")] == ["start", "middle", "end"]
    labels = root.findall(".//text[@class='label']")
    # label and value share a line of 48 letters; the whole name is in the title
    assert labels[1].text is not None
    assert len(labels[1].text) == 18
    assert labels[1].findtext("title") == "a" * 99
