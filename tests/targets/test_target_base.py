from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from spiking import dense, fire, plain

from snnport.chip import Chip, Number, load_chip
from snnport.errors import DoesNotFit, InvalidInput, UnknownName
from snnport.program import Program
from snnport.registry import TARGETS
from snnport.targets.base import CheckResult, Usage, Violation, finding, resolve_target, rule_name


def small() -> object:
    return plain((2,), {"w": dense([[3, -4], [1, 2]]), "n": fire((2,))})


@pytest.mark.parametrize("name", TARGETS.names())
def test_every_target_has_numbers_with_sources_and_rules_with_texts(name: str) -> None:
    target = resolve_target(name)
    assert target.chip.name == target.name == target.chip.target == name
    assert all(n.source and n.unit for n in target.chip.numbers.values())
    names = [rule for rule, _ in target.rules()]
    assert len(set(names)) == len(names) > 5
    assert all(text.endswith(".") and "  " not in text for _, text in target.rules())


@pytest.mark.parametrize("name", ["cpu", "loihi2", "speck2f"])
def test_a_small_network_fits_and_every_rule_name_is_known(name: str) -> None:
    target = resolve_target(name)
    result = target.check(small())
    assert result.fits
    assert result.violations == ()
    program = target.lower(small())
    assert program.target == name
    assert program.chip is target.chip
    assert {s.population for s in program.placements} == {"n"}


def test_a_rule_is_called_what_its_function_is_called() -> None:
    def weight_bits() -> None:
        """Nothing."""

    assert rule_name(weight_bits) == "weight-bits"


def test_check_gives_plain_data() -> None:
    result = CheckResult(
        "chip", (Usage("cores", "chip", 2, 4, "cores"),), (Violation("r", "n", "it is 3, the limit is 2", "Use 2"),), ()
    )
    assert not result.fits
    assert json.loads(json.dumps(result.to_json())) == {
        "target": "chip",
        "fits": False,
        "usage": [{"resource": "cores", "where": "chip", "used": 2, "limit": 4, "unit": "cores"}],
        "violations": [{"rule": "r", "where": "n", "message": "it is 3, the limit is 2", "remedy": "Use 2"}],
        "warnings": [],
    }
    assert result.violations[0].text("chip") == "chip: n: it is 3, the limit is 2. Use 2."


def test_warnings_do_not_decide() -> None:
    result = CheckResult("chip", (), (), (finding("n", "it is large", "Look"),))
    assert result.fits
    result.require()


def test_one_violation_is_one_sentence() -> None:
    result = CheckResult("chip", (), (Violation("r", "n", "it is 3, the limit is 2", "Use 2"),), ())
    with pytest.raises(DoesNotFit, match=r"^chip: n: it is 3, the limit is 2\. Use 2\.$"):
        result.require()


def test_all_violations_are_in_one_message() -> None:
    result = CheckResult("chip", (), (Violation("r", "n", "is 3", "Use 2"), Violation("q", "m", "is 9", "Use 8")), ())
    with pytest.raises(DoesNotFit) as caught:
        result.require()
    assert str(caught.value) == (
        "chip: the network does not fit, 2 rules are broken:\n  chip: n: is 3. Use 2.\n  chip: m: is 9. Use 8."
    )


def test_an_unknown_target_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'loihi2'"):
        resolve_target("lohi2")


def test_a_toml_varies_a_target(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text('name = "tiny"\nextends = "cpu"\n[numbers.cores]\nvalue = 1\n[numbers.neurons_per_core]\nvalue = 1\n')
    target = resolve_target(str(path))
    assert (target.name, target.chip.name) == ("cpu", "tiny")
    assert target.chip["weight_words"] == resolve_target("cpu").chip["weight_words"]
    result = target.check(small())
    assert result.target == "tiny"
    assert [(v.rule, v.where) for v in result.violations] == [("neurons", "tiny"), ("cores", "tiny")]
    assert result.violations[0].message == "it needs 2 neurons, the chip has 1 (1 cores of 1)"
    assert resolve_target("cpu").check(small()).fits


def test_a_toml_of_an_unknown_target_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('name = "odd"\ntarget = "spek2f"\n')
    with pytest.raises(UnknownName, match=r"target 'spek2f'.*speck2f"):
        resolve_target(str(path))


def test_a_variant_must_have_every_number() -> None:
    with pytest.raises(InvalidInput, match=r"chip mine: it lacks .*cores.*extends = \"cpu\""):
        resolve_target("cpu").with_chip(Chip("mine", "cpu", "", {}))


@pytest.mark.parametrize(
    ("number", "value", "message"),
    [
        ("cores", (1, 2), "not one number"),
        ("cores", 1.5, "no whole number"),
        ("cores", -1, "below 0"),
    ],
)
def test_a_variant_keeps_the_kind_of_each_number(number: str, value: object, message: str) -> None:
    own = load_chip(resolve_target("cpu").chip_file)
    numbers = {**own.numbers, number: Number(value, "", "", "low")}
    with pytest.raises(InvalidInput, match=message):
        resolve_target("cpu").with_chip(Chip("mine", "cpu", "", numbers))


def test_a_list_stays_a_list() -> None:
    own = load_chip(resolve_target("speck2f").chip_file)
    numbers = {**own.numbers, "kernel_words": Number(16384, "", "", "low")}
    with pytest.raises(InvalidInput, match="not a list of numbers"):
        resolve_target("speck2f").with_chip(Chip("mine", "speck2f", "", numbers))


def test_a_float_network_needs_the_quantising_pass() -> None:
    graph = plain((2,), {"w": dense([[0.3, -0.4]], scale=1.0), "n": fire((1,), 0.5)})
    graph.nodes["w"].metadata.clear()
    loihi = "bits=8,threshold_bits=17,bias_bits=13,scale=None,accumulator_bits=16,planes=2,theta=0,readout=255"
    speck = "bits=8,threshold_bits=16,bias_bits=8,scale=None,accumulator_bits=0,method=fitted,thresholds="
    for name, spelling in {
        "cpu": "quantize-snn{bits=8,threshold_bits=32,bias_bits=0,scale=None,accumulator_bits=0}",
        "loihi1": f"quantize-planes{{{loihi}}}",
        "loihi2": f"quantize-planes{{{loihi}}}",
        "speck2f": f"quantize-speck{{{speck}}}",
    }.items():
        assert [p.spelling for p in resolve_target(name).passes_for(graph)] == [spelling]
        assert resolve_target(name).passes_for(small()) == ()
        broken = [v for v in resolve_target(name).check(graph).violations if v.rule == "integer-weights"]
        assert [v.where for v in broken] == ["w", "n"]
    assert np.isclose(graph.nodes["w"].weight[0, 0], 0.3)


@pytest.mark.parametrize("name", [name for name in TARGETS.names() if not name.startswith("xylo")])
def test_programs_come_back_from_their_files(name: str, tmp_path: Path) -> None:
    program = resolve_target(name).lower(small())
    program.save(tmp_path / "p.npz")
    again = Program.load(tmp_path / "p.npz")
    assert (again.target, again.placements, again.n_steps, again.meta) == (name, program.placements, 0, program.meta)
    assert again.chip.to_json() == program.chip.to_json()
    for old, new in zip(program.populations, again.populations, strict=True):
        assert (old.name, old.shape, old.neuron.family) == (new.name, new.shape, new.neuron.family)
        assert {k: v.tolist() for k, v in old.neuron.params.items()} == {k: v.tolist() for k, v in new.neuron.params.items()}
    for old, new in zip(program.projections, again.projections, strict=True):
        assert (old.name, old.delay, type(old.synapse)) == (new.name, new.delay, type(new.synapse))
        assert np.array_equal(old.synapse.codes, new.synapse.codes)
