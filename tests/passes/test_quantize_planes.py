from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import PLAIN_IF, dense, fire, integrate, leaky, plain

from snnport.errors import PassFailed
from snnport.graph import Graph
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_planes import PLANE_TOP, QuantizePlanes, rounded
from snnport.quant import codes_of

STRICT = PLAIN_IF.having(comparison=">")


def network(weight: object, bias: object = None, theta: float = 1.0, kind: object = leaky) -> Graph:
    w = dense(weight, bias)
    w.metadata = {}
    n = leaky((len(np.atleast_2d(weight)),), 4.0, theta) if kind is leaky else fire((len(np.atleast_2d(weight)),), theta)
    n.metadata = {}
    return plain((np.shape(weight)[1],), {"w": w, "n": n}, STRICT)


def codes(graph: Graph, field: str = "weight") -> list[object]:
    node = graph.nodes["w"]
    return codes_of(getattr(node, field), node.metadata["scale"], "w").tolist()


def run(graph: Graph, **options: object) -> Graph:
    return run_passes(graph, (QuantizePlanes(**options),), Context())


def test_a_large_inhibition_leaves_the_threshold_its_codes() -> None:
    graph = network([[0.803, -13.4, 0.1]], [-0.0317])
    one = run(graph, theta=0)
    assert one.nodes["n"].metadata["theta"] == 128
    two = run(graph, theta=240)
    assert two.nodes["n"].metadata["theta"] == 240
    # 13.4 * 240 = 3216 needs a shift of 4 for 8 bits; 0.803 * 240 = 192.72 none.
    assert codes(two) == [[193, -3216, 24]]
    assert codes(two, "bias") == [-8]
    odd = run(network([[0.803, -13.41, 0.1]]), theta=240)
    assert codes(odd) == [[193, -3216, 24]]
    assert codes(run(network([[0.803, -13.41, 0.1]]), theta=240, planes=4)) == [[193, -3218, 24]]


def test_a_threshold_with_codes_enough_stays_on_one_scale() -> None:
    graph = run(network([[0.5, -0.4]]), theta=240)
    assert graph.nodes["w"].metadata["bits"] == 8
    assert graph.nodes["n"].metadata["theta"] > 200


@pytest.mark.parametrize(
    ("weight", "theta", "kind", "kept"),
    [([[10, -3]], 25, leaky, True), ([[10, -3]], 2, leaky, False), ([[10, -3]], 2, fire, True), ([[300, 1]], 900, fire, False)],
)
def test_whole_numbers_stay_what_they_are(weight: object, theta: float, kind: object, kept: bool) -> None:
    graph = run(network(weight, theta=theta, kind=kind), theta=256)
    assert (graph.nodes["w"].metadata["scale"] == 1.0) is kept
    assert (codes(graph) == weight) is kept


def test_a_readout_has_its_largest_weight_at_255() -> None:
    w, n = dense([[0.5, -2.0]]), integrate((1,))
    w.metadata, n.metadata = {}, {}
    graph = run(plain((2,), {"w": w, "n": n}, STRICT), theta=256)
    assert codes(graph) == [[64, -255]]


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(PassFailed, match="planes = 3, theta = 0: 2 or 4 planes"):
        run(network([[0.5]]), planes=3)
    with pytest.raises(PassFailed, match="theta = 131072"):
        run(network([[0.5]]), theta=1 << 17)
    with pytest.raises(PassFailed, match=r"readout = 256: 1\.\.255 is needed"):
        run(network([[0.5]]), readout=256)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-32640, 32640), min_size=1, max_size=9), st.sampled_from([2, 4]))
def test_rounding_stays_within_half_a_unit_of_its_plane(values: list[float], planes: int) -> None:
    array = np.array(values)
    found, exponents = rounded(array, planes)
    unit = np.where(array > 0, 1 << exponents[0], 1 << exponents[1]) if planes == 2 else np.ones(len(array))
    assert np.all(np.abs(found - array) <= unit / 2)
    for sign, exponent in zip((1, -1), exponents, strict=True):
        part = np.maximum(sign * found, 0)
        assert part.max(initial=0) >> exponent <= PLANE_TOP + 1
        assert planes == 4 or not np.any(part % (1 << exponent))
