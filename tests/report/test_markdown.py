from __future__ import annotations

import re
from dataclasses import replace

import pytest

from snnport.report import markdown
from snnport.report.report import Picture, Report


def _cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return markdown.render(report)


def test_tables_are_well_formed(text: str) -> None:
    blocks = [b.splitlines() for b in text.split("\n\n") if b.startswith("|")]
    assert len(blocks) == 17
    for head, rule, *rows in blocks:
        assert re.fullmatch(r"\|(---:?\|)+", rule)
        assert {_cells(line) for line in (head, rule, *rows)} == {_cells(head)}


def test_sections_come_in_the_order_of_the_page(text: str) -> None:
    assert re.findall(r"^## (.*)$", text, re.M) == [
        "Does it fit?",
        "What accuracy, and where was it lost?",
        "What latency and energy, and how sure?",
        "What to do next",
        "The spiking network",
        "On the chips",
        "Spikes and operations",
        "Where does the program leave the reference?",
        "What became of every source node",
        "Card",
    ]


def test_hostile_text_is_escaped(text: str, hostile: str) -> None:
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert r"a \| pipe and \`code\` in a message of two lines" in text


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("conv_1", "conv_1"),
        ("_x_", r"\_x\_"),
        ("a|b\nc", r"a\|b c"),
        ("[l](u)", r"\[l\](u)"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("*`~#\\", r"\*\`\~\#\\"),
        ("\x1b[0m", "\ufffd\\[0m"),
    ],
)
def test_text(plain: str, escaped: str) -> None:
    assert markdown.text(plain) == escaped


def test_numbers_are_told(text: str) -> None:
    assert "| loihi | fits | 98.62 % | 1.93 ms | 10.2 \u00b5J | 8.1 to 11 \u00b5J |" in text
    assert "| in all | 1,507,713,984 |" in text
    assert "**Not priced:** static power, host input and output." in text
    assert "| kernel memory | w3 | 70,656 bytes | 65,536 bytes | 108 % |" in text


def test_commands_stay_code(report: Report) -> None:
    text = markdown.render(replace(report, next_steps=("See `a | b_c_`, then *stop*.", "`x`")))
    assert "1. See `a | b_c_`, then \\*stop\\*.\n2. `x`" in text


def test_a_report_of_nothing_renders(report: Report) -> None:
    bare = replace(report, graph=Picture((), ()), ledger=(), stages=(), targets=(), next_steps=(), passes=())
    assert "There is nothing to suggest." in markdown.render(bare)
