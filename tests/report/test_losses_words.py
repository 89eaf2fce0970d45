"""Losses in sentences: what is worth one, and its remedy."""

from __future__ import annotations

import pytest
from rich.console import Console

from snnport.errors import InvalidInput
from snnport.report.losses import Activity, Curve, Hint, Layer, Losses, Point
from snnport.report.losses_words import activity_sentences, cause_sentences, curve_sentence, losses_table, silent_neurons
from snnport.report.plain import write

POINTS = (Point(4, 4, 20, 0.8, 0.85), Point(8, 16, 40, 0.9, 0.95))
LOSSES = Losses(
    (Layer("input", 0.0, 1.0, 1.0, 0.0), Layer("r", 0.2, 0.9, 0.9, 0.3), Layer("output", 0.3, 0.9, 0.9, 0.9)),
    "r",
    "output",
    100,
    (Activity("r", 10, 10, 0, 0.0, 0.0, 4),),
    (Hint("why", "--levels 8", 0.012), Hint("because", "--thresholds 99.9", None)),
    Curve("levels", POINTS, 1, 0.01, 0.905),
)


def told(**changes: object) -> list[str]:
    values = {"population": "r", "neurons": 10, "dead": 0, "saturated": 0, "clipped": 0.0, "mean": 1.0, "levels": 4, **changes}
    return list(activity_sentences([Activity(**values)]))  # type: ignore[arg-type]


def test_a_population_at_work_is_not_mentioned() -> None:
    assert told() == []
    assert told(dead=0, clipped=0.04) == []


@pytest.mark.parametrize(
    ("changes", "words", "remedy"),
    [
        ({"dead": 10}, "none of its 10 neurons ever spikes", "--scale"),
        ({"dead": 2}, "2 of 10 neurons never spike", "prune"),
        ({"saturated": 1}, "1 of 10 neurons stand at the clip 4 on every sample", "--thresholds 99.9 or max"),
        ({"clipped": 0.2}, "20.0 % of its counts stand at the clip 4", "--levels"),
        ({"zero_weights": True}, "all weights into it are 0", "--bits"),
    ],
)
def test_every_finding_has_its_numbers_and_a_remedy(changes: dict[str, object], words: str, remedy: str) -> None:
    (sentence,) = told(**changes)
    assert words in sentence
    assert remedy in sentence


def test_the_cause_is_told_first_then_what_to_try() -> None:
    first, *tries, silent = cause_sentences(LOSSES)
    assert first.startswith("Answers change first at r")
    assert first.endswith("the largest error comes in at output.")
    assert tries == ["Try --levels 8 (about +1.2 points, estimated): why.", "Try --thresholds 99.9: because."]
    assert "none of its 10 neurons" in silent


def test_the_curve_names_its_point_or_says_that_there_is_none() -> None:
    assert LOSSES.curve is not None
    assert curve_sentence(LOSSES.curve).startswith("Recommended: --levels 8 --input-levels 16 (40 steps)")
    assert curve_sentence(Curve("steps", POINTS, None, 0.01, 1.0)).startswith("No point loses 1 point or less")


def test_a_terminal_shows_all_of_it() -> None:
    console = Console(width=200, record=True)
    for part in losses_table(write(LOSSES)):
        console.print(part)
    text = console.export_text()
    for word in ("Answers change first", "10 of 10", "recommended", "90.00 %", "--thresholds 99.9"):
        assert word in text
    assert losses_table(None) == []


def test_a_damaged_document_is_refused_by_its_entry() -> None:
    assert silent_neurons({"activity": write([LOSSES.activity[0]])})[0].startswith("r: none of its 10")
    assert silent_neurons({}) == []
    with pytest.raises(InvalidInput, match=r"activity\[0\]"):
        silent_neurons({"activity": [{"population": 3}]})
