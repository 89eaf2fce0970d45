"""What `check --fix` rewrites: the network before and behind, on the same spikes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from command import Command
from spiking import PLAIN_IF, coded, conv, dense, fire, integrate, plain, sum_pool, wired

from snnport.convention import Window
from snnport.errors import PassFailed, UnknownName
from snnport.exporters.nir import write_nir
from snnport.flow.fix import Evidence, Fixed, fix, offers
from snnport.flow.model import Model
from snnport.flow.prepare import Prepared
from snnport.graph import Graph, shapes
from snnport.nodes import flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.fixes.base import Rewrite
from snnport.passes.fixes.channels import ExtendReadout
from snnport.registry import PASSES
from snnport.targets.base import resolve_target

RULE = PLAIN_IF.having(reset="subtract", multi_spike=True)
SPECK = resolve_target("speck2f")
NOTHING: Any = None


def codes(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20, 40, shape)


def real(node: Any) -> Any:
    """A node in real numbers, which no scale is known of."""
    if hasattr(node, "weight"):
        node.weight = node.weight / 60
    else:
        node.v_threshold = np.ones_like(node.v_threshold)
    node.metadata = {}
    return node


def prepared(graph: Graph) -> Prepared:
    model = Model(Path("net.nir"), "", NOTHING, NOTHING)
    return Prepared(model, graph, None, (), ())


def fixed(graph: Graph, *names: str) -> Fixed:
    return fix(prepared(graph), SPECK, names)


def broken(result: Fixed) -> tuple[set[str], set[str]]:
    return {v.rule for v in result.before.violations}, {v.rule for v in result.after.violations}


def done(result: Fixed) -> list[tuple[str, str]]:
    return [(f.name, f.where) for f in result.fixes if f.applied]


def one(c: nir.NIRNode, shape: tuple[int, ...], out: tuple[int, ...], threshold: float = 60) -> Graph:
    return plain(shape, {"c": c, "n": fire(out, threshold)}, RULE)


def pooled(pool: nir.NIRNode, size: tuple[int, int, int], c: nir.NIRNode, out: tuple[int, ...]) -> Graph:
    nodes = {"c0": conv(codes(3, 2, 1, 1)), "n0": fire((3, 12, 12), 60), "p": pool, "c": c, "n": fire(out, 60)}
    return plain((2, 12, 12), nodes, RULE)


FORMS = {
    "groups": (one(conv(codes(4, 1, 3, 3), groups=2), (2, 8, 8), (4, 6, 6)), "groups", [("ungroup", "c")]),
    "dilation": (
        one(conv(codes(4, 2, 3, 3), dilation=(2, 2)), (2, 8, 8), (4, 4, 4)),
        "dilation",
        [("spread-dilation", "c")],
    ),
    "dilated and grouped": (
        one(conv(codes(4, 1, 3, 3), dilation=(2, 1), groups=2), (2, 8, 8), (4, 4, 6)),
        "dilation",
        [("ungroup", "c"), ("spread-dilation", "c"), ("square-kernel", "c")],
    ),
    "rectangle": (
        one(conv(codes(4, 2, 3, 1), padding=(1, 0)), (2, 8, 8), (4, 8, 8)),
        "square-kernel",
        [("square-kernel", "c")],
    ),
    "one-sided": (one(conv(codes(4, 2, 2, 2), padding="same"), (2, 8, 8), (4, 8, 8)), "padding", [("square-kernel", "c")]),
    "single window": (
        one(conv(codes(4, 2, 8, 8), stride=(3, 5)), (2, 8, 8), (4, 1, 1)),
        "stride",
        [("square-kernel", "c")],
    ),
    "zero margin": (
        one(conv(np.pad(codes(2, 1, 1, 1), ((0, 0), (0, 0), (8, 8), (8, 8))), padding=(8, 8)), (1, 8, 8), (2, 8, 8)),
        "padding",
        [("square-kernel", "c")],
    ),
    "pool of 3": (pooled(sum_pool(3), (3, 4, 4), conv(codes(4, 3, 4, 4)), (4, 1, 1)), "pool-size", [("pool-into-kernel", "c")]),
    "overlapping pool": (
        pooled(sum_pool(2, 1), (3, 11, 11), conv(codes(4, 3, 2, 2)), (4, 10, 10)),
        "pool-size",
        [("pool-into-kernel", "c")],
    ),
    "pooled input": (
        plain((3, 12, 12), {"p": sum_pool(2), "c": conv(codes(4, 3, 3, 3)), "n": fire((4, 4, 4), 60)}, RULE),
        "input-stage",
        [("pool-into-kernel", "c")],
    ),
    "pool of 3, dense": (
        plain(
            (2, 12, 12),
            {
                "c0": conv(codes(3, 2, 1, 1)),
                "n0": fire((3, 12, 12), 60),
                "p": sum_pool(3),
                "f": flatten_node((3, 4, 4)),
                "d": dense(codes(4, 48)),
                "n": fire((4,), 60),
            },
            RULE,
        ),
        "pool-size",
        [("pool-into-kernel", "d")],
    ),
    "dense on 3x4": (
        plain(
            (2, 3, 4),
            {
                "f": flatten_node((2, 3, 4)),
                "d": dense(codes(5, 24)),
                "n": fire((5,), 60),
                "d2": dense(codes(3, 5)),
                "n2": fire((3,), 30),
            },
            RULE,
        ),
        "dense-map",
        [("square-kernel", "d")],
    ),
    "thresholds in codes": (
        plain((2,), {"d": dense([[4, 8], [3, 2], [10, -6]]), "n": fire((3,), [20, 40, 60])}, RULE),
        "scalar-thresholds",
        [("fold-thresholds", "n")],
    ),
    "a way without weights": (
        plain((3,), {"d": dense(codes(3, 3)), "m": fire((3,), 9), "n": fire((3,), 2)}, RULE),
        "weighted-paths",
        [("scale-to-conv", "n")],
    ),
    "many channels": (
        plain(
            (2, 64, 64),
            {
                "c": conv(codes(32, 2, 3, 3), padding=(1, 1), bias=codes(32, seed=4)),
                "n": fire((32, 64, 64), 100),
                "p": sum_pool(4),
                "d": conv(codes(4, 32, 3, 3), stride=(4, 4), bias=codes(4, seed=5)),
                "m": fire((4, 4, 4), 500),
            },
            RULE,
        ),
        "neuron-memory",
        [("split-channels", "n")],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_an_exact_rewriting_keeps_every_output_spike(name: str) -> None:
    graph, rule, wanted = FORMS[name]
    result = fixed(graph)
    before, after = broken(result)
    assert rule in before
    assert after == set()
    assert done(result) == wanted
    for found in result.fixes:
        if found.applied:
            assert (found.exact, found.proven, found.changed) == (True, True, 0)
            assert found.compared is not None
            assert found.compared > 0
            assert found.cost != ""


def average(kernel: int) -> nir.AvgPool2d:
    return nir.AvgPool2d(np.array([kernel] * 2), np.array([kernel] * 2), np.array([0, 0]))


@pytest.mark.parametrize(("kernel", "more"), [(2, []), (3, [("pool-into-kernel", "c")])])
def test_average_pooling_becomes_sum_pooling_before_it_is_quantised(kernel: int, more: list[tuple[str, str]]) -> None:
    side = 6 // kernel
    nodes = {
        "c0": real(conv(codes(3, 2, 3, 3))),
        "n0": real(fire((3, 6, 6))),
        "p": average(kernel),
        "c": real(conv(4 * codes(4, 3, side, side))),
        "n": real(fire((4, 1, 1))),
    }
    graph = plain((2, 8, 8), nodes, RULE)
    result = fixed(graph)
    assert broken(result) == ({"integer-weights", "supported-nodes"}, set())
    assert done(result) == [("average-to-sum", "p"), *more]
    assert all(found.proven for found in result.fixes if found.applied)
    assert f"counts {kernel * kernel} times as many codes" in result.fixes[0].cost


def test_integers_stay_behind_an_average_pooling_that_has_codes() -> None:
    weight = 3 * codes(4, 3, 3, 3)
    nodes = {
        "c0": conv(codes(3, 2, 3, 3)),
        "n0": fire((3, 6, 6), 60),
        "p": average(2),
        "c": conv(weight),
        "n": fire((4, 1, 1), 80, theta=80),
    }
    step = PASSES.load("average-to-sum")(node="p")
    graph = run_passes(plain((2, 8, 8), nodes, RULE), (step,), Context())
    program = SPECK.lower(graph)
    assert np.array_equal(program.projections[1].synapse.codes, weight)
    assert program.population("n").neuron["v_threshold"].tolist() == 4 * 80
    assert graph.nodes["n"].metadata["theta"] == 4 * 80


def test_convolutions_along_one_axis() -> None:
    c1 = nir.Conv1d(20, codes(3, 2, 3) / 60, 2, 1, 1, 1, np.zeros(3))
    nodes = {
        "c": c1,
        "n": real(fire((3, 10))),
        "f": flatten_node((3, 10)),
        "d": real(dense(codes(4, 30))),
        "m": real(fire((4,))),
    }
    result = fixed(plain((2, 20), nodes, RULE))
    assert broken(result)[1] == set()
    assert done(result) == [("conv1d-to-2d", "c"), ("square-kernel", "c"), ("square-kernel", "d")]
    assert shapes(result.graph)["input"] == (2, 1, 20)
    assert all(found.proven for found in result.fixes if found.applied)


def test_scales_and_thresholds_in_real_numbers() -> None:
    nodes = {
        "s": nir.Scale(np.array([1.0, 2.0, 0.5]).reshape(3, 1, 1) * np.ones((3, 4, 4))),
        "n": real(fire((3, 4, 4))),
        "c": real(conv(codes(2, 3, 3, 3))),
        "m": real(fire((2, 2, 2))),
    }
    nodes["m"].v_threshold[1] = 2.0
    result = fixed(plain((3, 4, 4), nodes, RULE))
    assert broken(result)[1] == set()
    assert done(result) == [("scale-to-conv", "s"), ("fold-thresholds", "m")]
    assert all(found.proven for found in result.fixes if found.applied)


def residual() -> Graph:
    nodes = {
        "input": input_node((1, 6, 6)),
        "w": conv(codes(2, 1, 3, 3)),
        "n": fire((2, 4, 4), 60),
        "a": conv(codes(3, 2, 1, 1)),
        "x": conv(codes(2, 2, 1, 1)),
        "k": fire((2, 4, 4), 50),
        "b": conv(codes(3, 2, 3, 3), padding=(1, 1)),
        "m": fire((3, 4, 4), 90),
        "o": output_node(),
    }
    edges = [("input", "w"), ("w", "n"), ("n", "a"), ("n", "x"), ("x", "k"), ("k", "b"), ("a", "m"), ("b", "m"), ("m", "o")]
    return wired(nodes, edges, RULE)


def test_a_shortcut_gets_a_kernel_of_the_size_beside_it() -> None:
    result = fixed(residual())
    assert broken(result) == ({"one-kernel"}, set())
    assert done(result) == [("square-kernel", "a")]
    layer_a: Any = result.graph.nodes["a"]
    assert layer_a.weight.shape == (3, 2, 3, 3)


def test_an_identity_shortcut_in_real_numbers_becomes_part_of_the_kernel_beside_it() -> None:
    nodes = {
        "input": input_node((1, 6, 6)),
        "w": real(conv(codes(2, 1, 3, 3))),
        "n": real(fire((2, 4, 4))),
        "b": real(conv(codes(2, 2, 3, 3, seed=3), padding=(1, 1))),
        "k": real(fire((2, 4, 4))),
        "c": real(conv(codes(2, 2, 3, 3, seed=4), padding=(1, 1))),
        "m": real(fire((2, 4, 4))),
        "o": output_node(),
    }
    edges = [("input", "w"), ("w", "n"), ("n", "b"), ("b", "k"), ("k", "c"), ("c", "m"), ("n", "m"), ("m", "o")]
    result = fixed(wired(nodes, edges, RULE))
    assert broken(result)[1] == set()
    assert done(result) == [("scale-to-conv", "m"), ("square-kernel", "n->m.unit")]
    assert all(found.proven for found in result.fixes if found.applied)


def branches(count: int) -> Graph:
    nodes: dict[str, nir.NIRNode] = {"input": input_node((1, 6, 6)), "w": conv(codes(2, 1, 3, 3)), "n": fire((2, 4, 4), 60)}
    edges = [("input", "w"), ("w", "n")]
    for i in range(count):
        nodes |= {f"w{i}": conv(codes(2, 2, 3, 3, seed=i)), f"m{i}": fire((2, 2, 2), 60), f"o{i}": output_node()}
        edges += [("n", f"w{i}"), (f"w{i}", f"m{i}"), (f"m{i}", f"o{i}")]
    return wired(nodes, edges, RULE)


def test_a_population_that_feeds_too_many_is_computed_twice() -> None:
    result = fixed(branches(4))
    assert broken(result) == ({"fan-out"}, set())
    assert done(result) == [("duplicate-layer", "n")]
    assert sorted(a for a, b in result.graph.edges if b.startswith("w") and b[1:].isdigit()) == ["n", "n", "n.copy", "n.copy"]


def test_dead_channels_go_before_anything_is_split() -> None:
    weight = codes(40, 2, 3, 3)
    weight[30:] = -np.abs(weight[30:])
    behind = codes(4, 40, 3, 3)
    behind[:, :14] = 0
    nodes = {
        "c": conv(weight, padding=(1, 1)),
        "n": fire((40, 64, 64), 100),
        "p": sum_pool(4),
        "d": conv(behind, stride=(4, 4)),
        "m": fire((4, 4, 4), 500),
    }
    result = fixed(plain((2, 64, 64), nodes, RULE))
    assert broken(result)[1] == set()
    assert done(result) == [("drop-dead-channels", "n")]
    assert shapes(result.graph)["n"] == (16, 64, 64)
    assert result.fixes[0].cost == "nothing: 24 of 40 channels never fire or nothing listens to them"


def wide() -> Graph:
    nodes = {
        "f": flatten_node((128, 2, 2)),
        "d": dense(codes(500, 512)),
        "n": fire((500,), 2000),
        "e": dense(codes(10, 500)),
        "m": fire((10,), 900),
    }
    return plain((128, 2, 2), nodes, RULE)


def test_clipping_is_offered_with_its_price_and_done_where_it_is_named() -> None:
    result = fixed(wide())
    assert broken(result)[1] == {"kernel-memory", "core-assignment"}
    assert done(result) == []
    offered = {found.name: found for found in result.fixes}
    assert offered["split-channels"].cost == "cannot be done: its halves are still too large, or the cores are too few"
    assert offered["clip-channels"].exact is False
    assert offered["clip-channels"].cost.startswith("244 of 500 channels go, with ")
    clipped = fixed(wide(), "clip-channels")
    assert broken(clipped)[1] == set()
    first = clipped.fixes[0]
    assert (first.name, first.applied, first.exact, first.proven) == ("clip-channels", True, False, None)
    assert first.changed is not None
    assert first.changed > 0


def test_what_cannot_be_rewritten_says_why() -> None:
    result = fixed(one(conv(codes(4, 2, 2, 2), stride=(3, 3)), (2, 8, 8), (4, 3, 3)))
    assert broken(result)[1] == {"stride"}
    assert [f.cost for f in result.fixes] == [
        "cannot be done: a stride of (3, 3) makes several windows, and another stride makes another network"
    ]
    uneven = fixed(one(conv(codes(4, 2, 3, 2)), (2, 8, 8), (4, 6, 7)))
    assert [f.cost for f in uneven.fixes] == ["cannot be done: no square kernel within the limits sees the same input"]
    folded = fixed(plain((1,), {"d": dense([[7], [127]]), "n": fire((2,), [30, 31])}, RULE))
    assert folded.fixes[0].cost.startswith("cannot be done: no whole codes of 8 bits have one threshold")
    crowded = fixed(plain((1,), {f"{kind}{i}": part for i in range(10) for kind, part in layer().items()}, RULE))
    assert broken(crowded)[1] == {"core-assignment"}
    assert {f.cost for f in crowded.fixes if f.name == "split-channels"} <= {
        "cannot be done: its halves are still too large, or the cores are too few",
        "cannot be done: it is an output, and one core is read",
        "cannot be done: it is an output, shares its weights, or has 1 channel",
    }


def layer() -> dict[str, nir.NIRNode]:
    return {"w": dense([[9]]), "n": fire((1,))}


def test_the_readout_is_spread_where_it_is_named_and_is_read_as_before(tmp_path: Path) -> None:
    graph = plain((2,), {"d": dense(codes(3, 2)), "n": fire((3,), 60)}, RULE)
    assert done(fixed(graph)) == []
    result = fixed(graph, "extend-readout")
    assert done(result) == [("extend-readout", "n")]
    assert result.fixes[0].proven is True
    program = SPECK.lower(result.graph)
    assert program.population("n").shape == (9,)
    assert program.meta["classes"] == [0, 4, 8]
    assert program.meta["readout_block"] is True
    assert [w for w in result.after.warnings if w.rule == "readout"] == []


def rate_network() -> Graph:
    nodes = {
        "c": conv(codes(32, 2, 3, 3), padding=(1, 1), bias=codes(32, seed=4)),
        "n": fire((32, 64, 64), 100, theta=100),
        "p": sum_pool(4),
        "d": conv(codes(4, 32, 3, 3), stride=(4, 4), bias=codes(4, seed=5)),
        "m": integrate((4, 4, 4)),
    }
    windows = {"input": Window("input", 0, 0, 4), "n": Window("free", 0, 0, 8), "m": Window("readout", 0, 0, 1)}
    return coded(plain((2, 64, 64), nodes), "rate", windows, 8)


def test_a_network_of_the_rate_code_is_split_with_its_windows_and_biases() -> None:
    result = fixed(rate_network())
    assert broken(result)[1] == set()
    assert done(result) == [("split-channels", "n")]
    assert result.fixes[0].proven is True
    windows = json.loads(result.graph.metadata["snnport"])["coding"]["windows"]
    assert sorted(windows) == ["input", "m", "n.a", "n.b"]


def test_names_of_fixes() -> None:
    with pytest.raises(UnknownName, match=r"fix 'extend-readut': there is no such name. Did you mean 'extend-readout'"):
        fixed(residual(), "extend-readut")
    with pytest.raises(UnknownName, match="fix 'quantize-snn': there is no such name"):
        fixed(residual(), "quantize-snn")


def test_offers_are_those_that_fix_does_first() -> None:
    found = offers(prepared(residual()), SPECK)
    assert [(f.name, f.where, f.applied, f.proven) for f in found] == [("square-kernel", "a", False, None)]
    assert found[0].spelling == "square-kernel{node=a,kernel=15,padding=7,strides=1/2/4/8,least=3}"


def test_potentials_are_compared_where_an_output_never_fires() -> None:
    nodes = {
        "c0": real(conv(codes(3, 2, 3, 3))),
        "n0": real(fire((3, 6, 6))),
        "p": average(3),
        "c": real(conv(4 * codes(4, 3, 2, 2))),
        "n": nir.I(np.ones((4, 1, 1))),
    }
    first = fixed(plain((2, 8, 8), nodes, RULE)).fixes[0]
    assert (first.name, first.proven, first.changed) == ("average-to-sum", True, 0)
    assert first.compared is not None
    assert first.compared > 100


def test_a_given_stimulus_is_the_proof_and_silence_is_none() -> None:
    graph, _, _ = FORMS["groups"]
    raster = np.zeros((1, 5, 128), np.int32)
    silent = fix(prepared(graph), SPECK, (), Evidence(raster, False))
    assert [(f.proven, f.compared) for f in silent.fixes if f.applied] == [(None, 0)]


def test_a_rewriting_that_changes_spikes_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _, _ = FORMS["groups"]
    good = PASSES.load("ungroup").apply

    def wrong(self: Any, graph: Graph, ctx: Context) -> Graph:
        result = good(self, graph, ctx)
        result.nodes["c"].weight = result.nodes["c"].weight + 1
        return result

    monkeypatch.setattr(PASSES.load("ungroup"), "apply", wrong)
    found = fixed(graph).fixes[0]
    assert (found.applied, found.proven) == (True, False)
    assert found.changed is not None
    assert found.changed > 0


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("ungroup", "there is no such node, wanted is Conv2d"),
        ("extend-readout{node=n}", "it is no output that feeds nothing else"),
        ("split-channels{node=m}", "it is an output, shares its weights, or has 1 channel"),
        ("duplicate-layer{node=k}", "it feeds 1 populations"),
        ("drop-dead-channels{node=n}", "0 of its 2 channels are dead"),
        ("clip-channels{node=n,keep=2}", "2 of its 2 channels cannot be kept"),
        ("clip-channels{node=m,keep=2}", "2 of its 3 channels cannot be kept"),
        ("pool-into-kernel{node=a}", "ways lead into it, one with a pooling is needed"),
        ("square-kernel{node=b,kernel=2}", "no kernel of at most 2x2 sees the same input"),
        ("scale-to-conv{node=n}", "no way without weights leads into it"),
        ("average-to-sum{node=b}", "it is a Conv2d, wanted is AvgPool2d"),
    ],
)
def test_passes_refuse_what_they_cannot_do(spelling: str, message: str) -> None:
    from snnport.passes.spec import parse_pass

    with pytest.raises(PassFailed, match=message):
        run_passes(residual(), (parse_pass(spelling),), Context())


def test_every_fix_is_a_pass_of_its_name() -> None:
    found = {name: PASSES.load(name) for name in PASSES.names()}
    fixes = {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Rewrite)}
    assert len(fixes) == 13
    assert all(kind.name == name for name, kind in fixes.items())
    assert all((kind.__doc__ or "").strip().endswith(".") for kind in fixes.values())
    spikes = np.array([[1, 2]])
    kept = {name for name, kind in fixes.items() if np.array_equal(kind().expected(spikes, (2,)), spikes)}
    assert set(fixes) - kept == {"extend-readout"}
    assert ExtendReadout(spread=3).expected(spikes, (2,)).tolist() == [[1, 0, 0, 2]]


# ------------------------------------------------------------------------------------------------------ the command


def test_check_fix_writes_a_network_that_fits(tmp_path: Path, snnport: Command) -> None:
    source, target = tmp_path / "net.nir", tmp_path / "fixed.nir"
    write_nir(FORMS["dilated and grouped"][0], source)
    refused = snnport("check", source, "--target", "speck2f", "--json")
    assert refused.code == 1
    assert [f["name"] for f in refused.data["fixes"]][:2] == ["ungroup", "spread-dilation"]
    answer = snnport("check", source, "--target", "speck2f", "--fix", "-o", target, "--json")
    assert answer.code == 0
    assert answer.data["fits"] is True
    assert {v["rule"] for v in answer.data["before"]["violations"]} == {"dilation", "groups"}
    assert [(f["name"], f["proven"], f["applied"]) for f in answer.data["fixes"]] == [
        ("ungroup", True, True),
        ("spread-dilation", True, True),
        ("square-kernel", True, True),
    ]
    assert answer.data["files"] == [str(target)]
    again = snnport("check", target, "--target", "speck2f", "--json")
    assert (again.code, again.data["violations"]) == (0, [])
    shown = snnport("check", source, "--target", "speck2f", "--fix")
    assert "fixed: ungroup: c: 128 kernel words, 2 times the weights." in " ".join(shown.out.split())


def test_both_networks_give_the_same_run(tmp_path: Path, snnport: Command) -> None:
    source, target = tmp_path / "net.nir", tmp_path / "fixed.nir"
    write_nir(residual(), source)
    rng = np.random.default_rng(5)
    x = tmp_path / "x.npz"
    np.savez(x, x=rng.integers(0, 3, (3, 10, 1, 6, 6)), y=np.zeros(3, np.int64))
    answer = snnport("check", source, "--target", "speck2f", "--fix", "--input", x, "-o", target, "--json")
    assert answer.data["fixes"][0]["compared"] > 0
    cpu = snnport("run", source, "--target", "cpu", "--input", x, "--json").data
    chip = snnport("run", target, "--target", "speck2f", "--order", "time-stepped", "--input", x, "--json").data
    assert cpu["spikes"]["m"] == chip["spikes"]["m"] > 0
    assert cpu["predictions"] == chip["predictions"]


def test_the_readout_of_a_fixed_network_names_the_classes_that_it_named(tmp_path: Path, snnport: Command) -> None:
    source, target, x = tmp_path / "net.nir", tmp_path / "fixed.nir", tmp_path / "x.npz"
    write_nir(plain((2,), {"d": dense([[9, 1], [1, 9]]), "n": fire((2,), 20)}, RULE), source)
    np.savez(x, x=np.array([[[3, 0]] * 9, [[0, 3]] * 9]), y=np.array([0, 1]))
    assert snnport("check", source, "--target", "speck2f", "--fix", "--fixes", "extend-readout", "-o", target).code == 0
    for engine in ("sim", "reference"):
        found = snnport("run", target, "--target", "speck2f", "--engine", engine, "--input", x, "--json").data
        assert (found["predictions"], found["accuracy"]) == ([0, 1], 1.0)


def test_targets_and_options_that_do_not_go_together(tmp_path: Path, snnport: Command) -> None:
    source = tmp_path / "net.nir"
    write_nir(residual(), source)
    refused = snnport("check", source, "--target", "tinyodin", "--fix", "--json")
    assert refused.code == 1
    assert refused.data["error"]["message"] == "target tinyodin offers 0 rewritings"
    assert refused.data["error"]["remedy"] == "Targets that do: dynapcnn, speck2e, speck2f"
    assert snnport("check", source, "--target", "speck2f", "-o", tmp_path / "x.nir").code == 2


REAL = ("snntorch__examples-scnn_mnist__89e0a618.nir", "inNuCE_BRANDY-2025__exported_models-10__a031194d.nir")


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_speck_networks_are_extended_and_keep_their_spikes(
    name: str, data_dir: Path, tmp_path: Path, snnport: Command
) -> None:
    written = tmp_path / "x.nir"
    arguments = ["--reset", "subtract", "--target", "speck2f", "--fix", "--fixes", "extend-readout", "-o", written, "--json"]
    answer = snnport("check", data_dir / "nir" / name, *arguments)
    assert answer.code == 0
    (only,) = answer.data["fixes"]
    assert (only["name"], only["proven"], only["changed"]) == ("extend-readout", True, 0)
    assert only["compared"] > 30
    chip = snnport("export", written, "--target", "speck2f", "-o", tmp_path / "chip", "--json")
    assert len(chip.data["layers"]) == 5


@pytest.mark.data
def test_a_real_network_of_one_axis_is_rewritten_until_it_fits(data_dir: Path, snnport: Command) -> None:
    name = "nir4s__src-test-scala-nir-samples-conv1-network__f75a86db.nir"
    answer = snnport("check", data_dir / "nir" / name, "--reset", "subtract", "--target", "speck2f", "--fix", "--json")
    assert answer.code == 0
    assert {v["rule"] for v in answer.data["before"]["violations"]} >= {"supported-nodes"}
    assert [f["name"] for f in answer.data["fixes"] if f["applied"]] == ["conv1d-to-2d", "square-kernel"]
    assert all(f["proven"] and f["compared"] > 0 for f in answer.data["fixes"] if f["applied"])
