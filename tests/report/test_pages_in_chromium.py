"""The pages in a real browser: nothing is logged, nothing is asked for, everything is drawn, and the keyboard suffices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import INSTALL, Browser, executable

from snnport.report import html, sweep_page
from snnport.report.report import Report, Source
from snnport.report.sweep import DONE, UNFIT, Row, SweepReport, marked

pytestmark = pytest.mark.browser
WIDTHS = (400, 1400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert executable(), INSTALL
    page = Browser()
    yield page
    page.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, report: Report) -> dict[str, Path]:
    """A full report, one of which nothing ran, and a sweep."""
    folder = tmp_path_factory.mktemp("pages")
    rows = [
        Row(
            "cpu" if i % 2 else "loihi2", "gate", 2 + i, 8, "mse", DONE, samples=100, correct=90 + i, accuracy=0.9 + i / 100,
            steps=40, latency_s=1e-3 * (i + 1), energy_model="m", energy_j=1e-6 * (i + 1), energy_low_j=5e-7 * (i + 1),
            energy_high_j=4e-6 * (i + 1), synaptic_operations=1e4 * (i + 1), spikes=10.0, chips=1,
        )
        for i in range(6)
    ]  # fmt: skip
    rows.append(Row("speck2f", "gate", 8, 8, "mse", UNFIT, "no clock " * 20))
    sweep = SweepReport(Source("a.onnx", "onnx", "0" * 64, (1, 8, 8)), (), {}, {"samples": 4}, marked(rows))
    texts = {
        "report": html.render(report),
        "nothing": html.render(replace(report, targets=report.targets[1:], stages=())),
        "sweep": sweep_page.render(sweep),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "nothing", "sweep"])
def test_a_page_logs_nothing_asks_for_nothing_and_fits_its_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width)
    assert browser.logged == []
    assert browser.asked == [pages[name].resolve().as_uri()]
    assert browser.run("innerWidth") == width
    assert browser.run("document.documentElement.scrollWidth") <= width
    wide = browser.run(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, .plot, details:not([open])') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className)"
    )
    assert wide == []
    small = browser.run(
        "[...document.querySelectorAll('main p, main td, main th, main li, main dd, main code')]"
        ".map(e => [parseFloat(getComputedStyle(e).fontSize), e.textContent.slice(0, 40)]).filter(p => p[0] < 10)"
    )
    assert small == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "sweep"])
def test_every_picture_is_drawn(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width)
    browser.run("document.querySelectorAll('details').forEach(e => { e.open = true; }), 0")
    found = browser.run(
        "[...document.querySelectorAll('[role=img]')].map(e => { const b = e.getBoundingClientRect(); return "
        "[e.getAttribute('aria-label'), b.width, b.height, e.querySelectorAll('rect, path, circle, polyline, line').length] })"
    )
    assert len(found) >= (15 if name == "report" else 4)
    for label, wide, high, marks in found:
        assert label
        assert wide > 30, label
        assert high > 10, label
        assert marks >= 1, label
    plots = browser.run("[...document.querySelectorAll('.plot')].map(e => e.querySelectorAll('.scatterlayer .trace').length)")
    assert plots
    assert all(plots)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_curve_is_readable(browser: Browser, pages: dict[str, Path], width: int) -> None:
    """No letter of it lies on another or beyond the figure, and the recommended point is the marked one."""
    browser.open(pages["report"], width)
    boxes = browser.run(
        "[...document.querySelectorAll('svg[aria-label^=\"Accuracy against levels\"] text')].map(e => { "
        "const b = e.getBoundingClientRect(), f = e.closest('figure').getBoundingClientRect(); "
        "return [e.textContent, b.left, b.right, b.top, b.bottom, f.left, f.right] })"
    )
    assert len(boxes) >= 10
    for text, left, right, _, _, first, last in boxes:
        assert first - 1 <= left, text
        assert right <= last + 1, text
    for i, (text, left, right, top, bottom, *_) in enumerate(boxes):
        for other, left2, right2, top2, bottom2, *_ in boxes[i + 1 :]:
            assert right <= left2 or right2 <= left or bottom <= top2 + 1 or bottom2 <= top + 1, (text, other)
    chosen = browser.run("[...document.querySelectorAll('.chart .chosen')].map(e => e.textContent)")
    assert chosen == ["8 levels: 98.35 %, 49 steps, recommended"]


def test_the_keyboard_reaches_everything_and_zooms(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"], 1400)
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.press("Enter")
    assert browser.run("location.hash") == "#main"
    wanted = browser.run(
        "[...document.querySelectorAll('a[href], summary, button, [tabindex=\"0\"]')].filter(e => e.checkVisibility() && "
        "!e.closest('.plot')).length"
    )
    browser.run("document.body.focus(), document.activeElement.blur(), window.reached = new Set(), 0")
    for _ in range(wanted + 20):
        browser.press("Tab")
        browser.run("reached.add(document.activeElement), 0")
    missed = browser.run(
        "[...document.querySelectorAll('a[href], summary, button, [tabindex=\"0\"]')].filter(e => e.checkVisibility() && "
        "!e.closest('.plot') && !reached.has(e)).map(e => e.outerHTML.slice(0, 80))"
    )
    assert missed == []
    browser.run("document.querySelector('summary').focus()")
    browser.press("Enter")
    assert browser.run("document.querySelector('details').open") is True
    whole = browser.run("document.querySelector('[id^=raster]').layout.xaxis.range")
    browser.run("document.querySelector('[data-zoom=in]').focus()")
    browser.press("Space")
    browser.press("Enter")
    near = browser.run("document.querySelector('[id^=raster]').layout.xaxis.range")
    assert near[1] - near[0] == pytest.approx((whole[1] - whole[0]) / 4)
    browser.run("document.querySelector('[data-zoom=right]').focus()")
    browser.press("Enter")
    moved = browser.run("document.querySelector('[id^=raster]').layout.xaxis.range")
    assert moved[0] > near[0]
    browser.run("document.querySelector('[data-zoom=all]').focus()")
    browser.press("Enter")
    assert browser.run("document.querySelector('[id^=raster]').layout.xaxis.range") == whole
    assert browser.logged == []


def test_dots_of_the_raster_lie_where_the_spikes_are(browser: Browser, pages: dict[str, Path], report: Report) -> None:
    browser.open(pages["report"], 1400)
    raster = report.targets[0].raster
    assert raster is not None
    drawn = browser.run("document.querySelector('[id^=raster]').querySelectorAll('.point').length")
    assert drawn == sum(len(dots.step) for dots in raster.dots)


def test_a_real_report_is_whole(browser: Browser, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from snnport.cli import app

    assert CliRunner().invoke(app, ["demo", "-o", str(tmp_path)]).exit_code == 0
    for width in WIDTHS:
        browser.open(tmp_path / "report.html", width)
        assert browser.logged == []
        assert browser.run("document.documentElement.scrollWidth") <= width
        order = browser.run("[...document.querySelectorAll('section')].map(e => e.id)")
        assert order[:4] == ["fit", "accuracy", "cost", "next"]
        assert {"network", "chips", "activity", "divergence", "ledger", "card"} == set(order[4:])
