"""Prices: closed forms, the shipped models, and files that are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sim_programs import traced

from snnport.errors import InvalidInput, UnknownName
from snnport.sim.energy import STATIC, load_model, models_for, price

MODEL = """
name = "mine"
provenance = "analytic"
node_nm = 28
targets = ["cpu"]
unpriced = ["clock tree"]
[terms.operations]
count = "synaptic_operations"
low_pj = 1
mid_pj = 2.5
high_pj = 4
source = "a bench"
[static]
low_w = 0.5
mid_w = 1
high_w = 2
source = "a meter"
"""


@pytest.fixture
def counts():
    return traced("if", [4, 4, 4], v_threshold=4)[2]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_energy_is_counts_times_prices(counts, tmp_path):
    estimate = price(counts, load_model(written(tmp_path / "m.toml", MODEL)), 1e-6)
    assert estimate.terms["operations"].count == 3
    assert estimate.terms["operations"].mid_j == pytest.approx(7.5e-12, rel=1e-12)
    assert (estimate.terms[STATIC].count, estimate.terms[STATIC].high_j) == (1000, pytest.approx(2e-6, rel=1e-12))
    assert estimate.low_j == pytest.approx(3e-12 + 0.5e-6, rel=1e-12)
    assert (estimate.model, estimate.provenance, estimate.node_nm) == ("mine", "analytic", 28)
    assert estimate.unpriced == ("clock tree",)


def test_without_a_time_static_power_is_unpriced(counts, tmp_path):
    model = load_model(written(tmp_path / "m.toml", MODEL))
    for unknown in (None, 0.0):
        estimate = price(counts, model, unknown)
        assert STATIC not in estimate.terms
        assert estimate.unpriced == ("clock tree", "static power (the time of the run is not known)")


def test_without_a_clock_a_price_on_cycles_is_unpriced(counts, tmp_path):
    model = load_model(written(tmp_path / "m.toml", MODEL.replace("synaptic_operations", "cycles")))
    assert price(counts, model, 1.0).terms["operations"].count == counts.total_cycles
    estimate = price(replace(counts, cycles=None), model, 1.0)
    assert "operations" not in estimate.terms
    assert estimate.unpriced[-1] == "operations (the cycles of the run are not known)"


def test_to_json_has_the_documented_keys(counts, tmp_path):
    data = price(counts, load_model(written(tmp_path / "m.toml", MODEL)), 1.0).to_json()
    assert list(data) == [
        *("model", "provenance", "node_nm", "low_j", "mid_j", "high_j", "terms", "unpriced"),
        *("voltage", "what_if"),
    ]
    assert set(data["terms"]["operations"]) == {"count", "low_j", "mid_j", "high_j"}
    assert json.loads(json.dumps(data)) == data


def test_a_target_without_a_model_has_none():
    assert models_for("abacus") == ()


def test_the_cpu_model_by_hand(counts):
    model = next(m for m in models_for("cpu") if m.name == "digital 45 nm")
    estimate = price(counts, model, None)
    # 3 operations, 3 updates, 3 bytes of weights, 24 bytes of state each way.
    mid = 3 * 0.1 + 3 * 0.2 + 3 * 3.47 + 24 * 1.25 + 24 * 1.25
    assert estimate.mid_j == pytest.approx(mid * 1e-12, rel=1e-12)
    assert estimate.node_nm == 45


def test_speck_prices_rest_alone(counts):
    (model,) = models_for("speck2f")
    estimate = price(counts, model, 2.0)
    assert estimate.mid_j == pytest.approx(0.84e-3, rel=1e-12)
    assert price(counts, model, None).high_j == 0


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        (("name =", "nom ="), InvalidInput, r"unknown entries \['nom'\]"),
        (('name = "mine"', ""), InvalidInput, "it has no text 'name'"),
        (('"analytic"', '"guessed"'), UnknownName, "provenance 'guessed'"),
        (('"synaptic_operations"', '"synops"'), UnknownName, "count 'synops'"),
        (("low_pj = 1", "low_pj = -1"), InvalidInput, "terms.operations: low_pj, mid_pj and high_pj"),
        (("low_pj = 1", "low_pj = 3"), InvalidInput, "are not in order"),
        (('source = "a bench"', ""), InvalidInput, "terms.operations: it has no text 'source'"),
        (("node_nm = 28", "node_nm = true"), InvalidInput, "'node_nm' is True"),
        (('targets = ["cpu"]', 'targets = "cpu"'), InvalidInput, "'targets' is no list of texts"),
        (("[static]", "[static"), InvalidInput, "no readable TOML"),
        (("[terms.operations]", "[x]"), InvalidInput, r"unknown entries \['x'\]"),
    ],
)
def test_refused_files(change, kind, match, tmp_path):
    assert change[0] in MODEL
    with pytest.raises(kind, match=match):
        load_model(written(tmp_path / "m.toml", MODEL.replace(*change)))


def test_other_refused_files(tmp_path):
    head = MODEL.split("[terms", maxsplit=1)[0]
    with pytest.raises(InvalidInput, match="'terms' is no table"):
        load_model(written(tmp_path / "a.toml", head + "terms = 3"))
    with pytest.raises(InvalidInput, match=r"terms\.x: it is no table"):
        load_model(written(tmp_path / "b.toml", head + "[terms]\nx = 3"))
    with pytest.raises(InvalidInput, match="there is no such price file"):
        load_model(tmp_path / "none.toml")
