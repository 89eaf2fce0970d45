from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from snnport.report import html
from snnport.report.report import Picture, Report

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps attributes, ids, shown text, and the content of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.feed(page)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1] == tag, f"</{tag}> closes <{self.stack[-1]}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif self.stack and self.stack[-1] == "style":
            self.styles.append(data)
        else:
            self.shown.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return html.render(report)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_asks_the_network_for_nothing(page: Page) -> None:
    assert page.all("link") == []
    for tag, attrs in page.tags:
        assert "src" not in attrs, tag
        href = attrs.get("href")
        assert href is None or href.startswith("#"), (tag, href)
    assert not re.search(r"@import|url\(", "".join(page.styles))
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")


def test_plotly_is_embedded_once_and_sends_nothing(page: Page) -> None:
    assert sum("plotly.js v" in script for script in page.scripts) == 1
    start = next(s for s in page.scripts if "Plotly.newPlot(source" in s)
    assert "showSendToCloud: false" in start
    assert "displaylogo: false" in start


def test_every_population_is_shown_and_none_runs(page: Page, text: str, report: Report, hostile: str) -> None:
    shown = " ".join(page.shown)
    run = report.targets[0].run
    assert run is not None
    for name in run.spikes:
        assert name in shown
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    # four scripts are ours: two figures, the library, the start
    assert len(page.scripts) == 4


def test_embedded_json_is_escaped_and_whole(page: Page, hostile: str) -> None:
    figures = [script for script in page.scripts if script.startswith('{"data"')]
    assert len(figures) == 2
    for figure in figures:
        assert "<" not in figure
        names = [trace["name"] for trace in json.loads(figure)["data"]]
        assert names[4] == hostile.replace("<", "&lt;").replace(">", "&gt;")


def test_each_picture_is_present_and_named(page: Page) -> None:
    labels = [a["aria-label"] for tag, a in page.tags if a.get("role") == "img"]
    assert all(labels)
    wanted = [
        "Accuracy by stage",
        "Accuracy against levels: 2 92.11 %, 4 97.02 %, 8 98.35 %",
        "Energy per sample by loihi-nahuku",
        "Energy per sample by horowitz-45nm",
        "The spiking network: 15 nodes, 15 edges",
        "Resources of loihi",
        "Resources of speck",
        "Cores of loihi, chip 0",
        "Spikes per sample, by population",
        "Spikes in each step on loihi",
        "Spikes over steps on loihi",
        "Spike raster of one sample on loihi",
        "Rate of each population",
        "Busy cycles a sample of each core of loihi",
        "Both traces of conv2[17] around step 40",
    ]
    assert [next(label for label in labels if label and label.startswith(w)) for w in wanted]
    assert len(labels) == len(wanted)


def test_answers_come_in_the_order_of_the_questions(page: Page) -> None:
    ids = [a["id"] for a in page.all("section")]
    assert ids == ["fit", "accuracy", "cost", "next", "network", "chips", "activity", "divergence", "ledger", "card"]


def test_links_and_ids_meet(page: Page) -> None:
    ids = Counter(a["id"] for _, a in page.tags if "id" in a)
    assert set(ids.values()) == {1}
    assert all((a["href"] or "")[1:] in ids for a in page.all("a"))


def test_what_scrolls_is_reached_by_keyboard_and_named(page: Page) -> None:
    boxes = [a for tag, a in page.tags if "scroll" in (a.get("class") or "").split()]
    assert boxes
    for box in boxes:
        assert box["tabindex"] == "0"
        assert box["role"] == "region"
        assert box["aria-label"]


def test_figures_violations_and_provenance_are_told(page: Page) -> None:
    shown = re.sub(r"\s+", " ", " ".join(page.shown))
    for wanted in (
        "98.62 %",
        "1.93 ms",
        "8.1 to 11 \u00b5J",
        "the kernel takes 70,656 of 65,536 bytes",
        "Use fewer channels, or pool before it",
        "measured on silicon, +-12 %",
        "static power, host input and output",
        "1,507,713,984",
        "scale and shift move into the weights",
        "identity at inference",
        "quantize-weights{bits=8}",
        "3f" * 32,
        "9e" * 32,
        "seed of uniform calibration samples",
        "snnport port --replay report.json",
        "in conv2, neuron 17, at step 40 of sample 1: spikes is 0, expected 1. Cause: rounding. v is off by -1 at step 39",
        "speck: it does not fit.",
        "potentials are read out through probes, which slow the run",
        "Recommended: --levels 8 (49 steps): the fewest steps that lose 1 point or less.",
        "Answers change first in the marked line",
    ):
        assert wanted in shown, wanted


def test_the_page_without_scripts_is_small(report: Report) -> None:
    text = html.render(report, interactive_charts=False)
    assert Page(text).scripts == []
    assert len(text) < 120_000


def test_a_report_of_nothing_renders(report: Report) -> None:
    bare = replace(
        report,
        graph=Picture((), ()),
        ledger=(),
        stages=(),
        logits_equal=None,
        logit_mismatches=None,
        targets=(),
        next_steps=(),
        passes=(),
    )
    shown = " ".join(Page(html.render(bare)).shown)
    assert "Nothing ran" in shown
    assert "There is nothing to suggest." in shown


def test_a_rendered_report_equals_one_rendered_from_its_json(report: Report) -> None:
    assert html.render(Report.from_text(report.to_text()), False) == html.render(report, False)


def test_half_characters_do_not_break_the_file(report: Report) -> None:
    odd = replace(report, source=replace(report.source, file="a\ud800b"))
    assert html.render(odd, False).encode("utf-8")
