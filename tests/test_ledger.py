from __future__ import annotations

import json

import pytest

from snnport.errors import PassFailed
from snnport.ledger import Entry, settle


def became(node: str, *into: str, kind: str = "Conv") -> Entry:
    return Entry(node, kind, "became", into, "as it is", "onnx")


def step(node: str, fate: str, *into: str, why: str = "because") -> Entry:
    return Entry(node, "Conv2d", fate, into, why, "some-pass")


def test_a_node_that_no_pass_touches_ends_where_the_importer_put_it() -> None:
    (settled,) = settle([became("c", "conv")], [], {"conv"})
    assert (settled.node, settled.kind, settled.final) == ("c", "Conv", ("conv",))
    assert settled.steps == (became("c", "conv"),)


def test_a_node_is_followed_through_the_passes() -> None:
    passes = [step("bn", "folded", "conv"), step("conv", "merged", "dense"), step("other", "dropped")]
    (settled,) = settle([became("b", "bn")], passes, {"dense", "other"})
    assert settled.final == ("dense",)
    assert settled.steps == (became("b", "bn"), passes[0], passes[1])


def test_a_node_may_end_in_several_sorted() -> None:
    (settled,) = settle([became("p", "pool")], [step("pool", "became", "sum", "relay")], {"sum", "relay"})
    assert settled.final == ("relay", "sum")


def test_a_node_may_stay_and_share_its_work() -> None:
    (settled,) = settle([became("a", "w")], [step("w", "became", "w", "w.flatten")], {"w", "w.flatten"})
    assert settled.final == ("w", "w.flatten")


def test_a_ring_of_entries_ends() -> None:
    (settled,) = settle([became("a", "x")], [step("x", "merged", "y"), step("y", "merged", "x")], {"y"})
    assert settled.final == ("y",)


@pytest.mark.parametrize(
    ("opening", "passes"),
    [
        (Entry("d", "Dropout", "dropped", (), "identity at inference", "onnx"), []),
        (became("d", "drop"), [step("drop", "dropped", why="identity")]),
    ],
)
def test_a_node_may_be_dropped_for_a_reason(opening: Entry, passes: list[Entry]) -> None:
    (settled,) = settle([opening], passes, set())
    assert settled.final == ()


@pytest.mark.parametrize(
    ("opening", "passes"),
    [
        (became("lost", "gone"), []),
        (became("lost"), []),
        (became("lost", "x"), [step("x", "merged", "gone")]),
        (became("lost", "x"), [step("x", "dropped", why="")]),
        (Entry("lost", "Conv", "dropped", (), "", "onnx"), []),
    ],
)
def test_a_node_that_is_lost_is_refused(opening: Entry, passes: list[Entry]) -> None:
    with pytest.raises(
        PassFailed, match=r"ledger: 1 source nodes are not accounted for: lost \(Conv\)\. Report this as a fault"
    ):
        settle([became("kept", "conv"), opening], passes, {"conv"})


def test_all_lost_nodes_are_named_at_once() -> None:
    with pytest.raises(PassFailed, match=r"2 source nodes are not accounted for: a \(Conv\), b \(Gemm\)"):
        settle([became("a", "x"), became("b", "y", kind="Gemm")], [], {"z"})


def test_a_settled_node_is_plain_data() -> None:
    (settled,) = settle([became("c", "conv")], [], {"conv"})
    assert json.loads(json.dumps(settled.to_json())) == {
        "node": "c",
        "kind": "Conv",
        "final": ["conv"],
        "steps": [{"node": "c", "kind": "Conv", "fate": "became", "into": ["conv"], "why": "as it is", "by": "onnx"}],
    }
