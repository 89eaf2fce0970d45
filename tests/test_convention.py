from __future__ import annotations

import json
from typing import Any

import pytest

from snnport.convention import CHOICES, CODED, PLAIN, Coding, Convention, Window, coding_of, convention_of
from snnport.errors import InvalidGraph, UnknownName

CODING = Coding("gate", 9, {"kind": "consecutive"}, {"in": Window("input", 0, 0, 4), "out": Window("readout", 1, 8, 0)})


def noted(**entries: Any) -> dict[str, Any]:
    return {"snnport": json.dumps({"version": 1, **entries}), "other": 1}


def test_a_convention_comes_back_from_json() -> None:
    convention = Convention("x", 1e-3, "exponential", "subtract", ">=", True, 0, -1.0)
    assert Convention.from_json(json.loads(json.dumps(convention.to_json()))) == convention


def test_having_changes_some_rules() -> None:
    changed = CODED.having(reset="zero", dt=2.0)
    assert (changed.reset, changed.dt, changed.comparison) == ("zero", 2.0, CODED.comparison)
    assert CODED.reset == "subtract"


@pytest.mark.parametrize(
    ("rule", "value", "near"),
    [("reset", "substract", "subtract"), ("decay", "exponental", "exponential"), ("comparison", "=>", ">")],
)
def test_an_unknown_rule(rule: str, value: str, near: str) -> None:
    with pytest.raises(UnknownName, match=rf"{rule} '{value}': there is no such name.*{near}"):
        CODED.having(**{rule: value})


@pytest.mark.parametrize("rule", CHOICES)
def test_every_word_of_every_rule_can_be_written_down(rule: str) -> None:
    for word in CHOICES[rule]:
        changed = PLAIN.having(**{rule: word})
        assert Convention.from_json(json.loads(json.dumps(changed.to_json()))) == changed
    with pytest.raises(UnknownName, match=f"{rule} 'nonsense': there is no such name"):
        PLAIN.having(**{rule: "nonsense"})


def test_a_convention_ignores_parameters_of_neurons_only() -> None:
    assert Convention.from_json(PLAIN.having(ignores=("r", "w_in")).to_json()).ignores == ("r", "w_in")
    with pytest.raises(UnknownName, match="parameter 'v_threshold': there is no such name"):
        PLAIN.having(ignores=("v_threshold",))


@pytest.mark.parametrize("rule", ["recurrent_delay", "spike_delay", "synapse_delay"])
@pytest.mark.parametrize("steps", [-1, 0.5, None])
def test_a_delay_is_a_number_of_steps(rule: str, steps: Any) -> None:
    with pytest.raises(InvalidGraph, match=rf"{rule}: .* is no number of steps"):
        PLAIN.having(**{rule: steps})


def test_a_unit_of_time_is_positive() -> None:
    with pytest.raises(InvalidGraph, match=r"tau_unit: 0 is no positive number of seconds"):
        PLAIN.having(tau_unit=0)


@pytest.mark.parametrize("dt", [0, -1e-3, float("nan"), float("inf"), "1e-3", None])
def test_a_step_takes_a_positive_time(dt: Any) -> None:
    with pytest.raises(InvalidGraph, match=r"dt: .* is no positive number of seconds"):
        Convention("x", dt)


def test_the_coding_of_a_graph() -> None:
    assert coding_of(noted(coding=CODING.to_json())) == CODING


@pytest.mark.parametrize("metadata", [{}, {"other": "x"}, noted(coding=None)])
def test_a_graph_without_a_coding(metadata: dict[str, Any]) -> None:
    assert coding_of(metadata) is None


DAMAGED_WINDOW = {**CODING.to_json(), "windows": {"in": {"role": "input"}}}
HALF_STEP = {**CODING.to_json(), "windows": {"in": {"role": "input", "arrival": 0.5, "open": 1, "levels": 1}}}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "3", "{}", '{"coding": 5}', '{"coding": {}}', 7]
    + [json.dumps({"coding": c}) for c in (DAMAGED_WINDOW, HALF_STEP, {**CODING.to_json(), "n_steps": "9"})],
)
def test_a_damaged_coding(text: Any) -> None:
    with pytest.raises(InvalidGraph, match=r"metadata 'snnport': it cannot be read .*Convert the network again"):
        coding_of({"snnport": text})


def test_the_convention_of_a_graph() -> None:
    own = Convention("norse", 1e-3, "exponential")
    assert convention_of(noted(convention=own.to_json(), coding=None)) == own
    assert convention_of(noted(coding=CODING.to_json())) == CODED
    assert convention_of(noted(coding=None)) == PLAIN
    assert convention_of({}) == PLAIN


@pytest.mark.parametrize("text", ["{", "[]", '{"convention": 5}', '{"convention": {"name": "x"}}', '{"convention": {"a": 1}}'])
def test_a_damaged_convention(text: str) -> None:
    with pytest.raises(InvalidGraph, match=r"metadata 'snnport': its convention cannot be read .*Write it again"):
        convention_of({"snnport": text})


def test_a_convention_with_an_unknown_rule() -> None:
    with pytest.raises(UnknownName, match="reset 'never': there is no such name"):
        convention_of(noted(convention={"name": "x", "dt": 1.0, "reset": "never"}))
