"""docs/dialects.md is what the table of dialects says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from snnport.convention import Convention
from snnport.importers import dialect_page
from snnport.importers.dialect_page import dialects_page
from snnport.importers.dialect_table import DIALECTS

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == dialects_page()


def row(name: str) -> dict[str, str]:
    """Dialect -> cell of the row of a rule."""
    (line,) = [line for line in dialects_page().splitlines() if line.startswith(f"| `{name}`")]
    return dict(zip(DIALECTS, [cell.strip() for cell in line.strip("|").split("|")][1:], strict=True))


def test_every_rule_and_every_source_is_there() -> None:
    for field in fields(Convention):
        assert field.name in dialect_page.NEVER or len(row(field.name)) == len(DIALECTS)
    for name, dialect in DIALECTS.items():
        (line,) = [line for line in dialects_page().splitlines() if line.startswith(f"- **{name}** ")]
        assert dialect.title in line
        assert len(line) > 80


@pytest.mark.parametrize(
    ("rule", "dialect", "cell"),
    [
        ("comparison", "nir", ">"),
        ("comparison", "norse", ""),
        ("v_min", "sinabs", "-1"),
        ("multi_spike", "rockpool", "yes"),
        ("tau_unit", "hxtorch", "0.001"),
        ("ignores", "lava", "r, v_leak, v_reset"),
        ("ignores", "nir", "nothing"),
    ],
)
def test_cells(rule: str, dialect: str, cell: str) -> None:
    assert row(rule)[dialect] == cell
