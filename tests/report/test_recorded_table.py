from __future__ import annotations

from typing import Any

from rich.console import Console

from snnport.report.recorded_table import recorded_runs


def case(name: str, *differences: dict[str, Any]) -> dict[str, Any]:
    numbers = {"cycles": 1234, "events": 5, "spikes": 6, "services": 7}
    return {"file": name, "equal": not differences, "completed": True, **numbers, "differences": list(differences)}


def difference(field: str, index: int | None, expected: int | None, actual: int | None, n: int = 1) -> dict[str, Any]:
    return {"field": field, "differing": n, "index": index, "expected": expected, "actual": actual}


def shown(*cases: dict[str, Any]) -> str:
    found = {"cases": list(cases), "fields": ["f"] * 17, "equal": all(c["equal"] for c in cases)}
    console = Console(width=120, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(recorded_runs(found))
    return capture.get()


def test_equal_runs() -> None:
    text = shown(case("a.npz"), case("b.npz"))
    assert "2 of 2 recorded runs equal in all 17 fields" in text
    assert text.count("equal") == 3


def test_every_difference_has_a_line() -> None:
    text = shown(
        case("a.npz"),
        case(
            "[bold]b.npz",
            difference("out_dropped", None, 3, 4),
            difference("out_spk_cycle", 2, 10, 11, 3),
            difference("out_srv_end", 5, None, 9, 2),
            difference("out_fire_cycle", 8, 40, None),
        ),
    )
    assert "[bold]b.npz: out_dropped is 4, recorded is 3\n" in text
    assert "out_spk_cycle[2] is 11, recorded is 10, and 2 entries more differ\n" in text
    assert "out_srv_end[5] is 9, recorded is nothing, and 1 entry more differs\n" in text
    assert "out_fire_cycle[8] is nothing, recorded is 40\n" in text
    assert "4 fields differ" in text
    assert "1 of 2 recorded runs equal in all 17 fields" in text
