"""Small quantised spiking graphs for tests of targets: integer codes with scale 1 unless told otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import nir
import numpy as np

from snnport.convention import CODED, Coding, Convention, Window
from snnport.graph import Graph, build, chain
from snnport.nodes import input_node, output_node

PLAIN_IF = Convention("test", dt=1.0, reset="zero", comparison=">=")
"""Integrate and fire with r = 1 at dt = 1: what the codes say is what happens."""


def dense(codes: Any, bias: Any = None, scale: float = 1.0, bits: int = 8) -> nir.Affine:
    weight = np.asarray(codes, np.float64)
    shift = np.zeros(len(weight)) if bias is None else np.asarray(bias, np.float64)
    return nir.Affine(weight * scale, shift * scale, metadata={"scale": scale, "bits": bits})


def conv(
    codes: Any,
    stride: tuple[int, int] = (1, 1),
    padding: Any = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    bias: Any = None,
) -> nir.Conv2d:
    weight = np.asarray(codes, np.float64)
    shift = np.zeros(len(weight)) if bias is None else np.asarray(bias, np.float64)
    return nir.Conv2d(None, weight, stride, padding, dilation, groups, shift, metadata={"scale": 1.0, "bits": 8})


def fire(shape: Sequence[int], v_threshold: Any = 10.0, reset: float = 0.0, scale: float = 1.0, **more: Any) -> nir.IF:
    thresholds = np.array(np.broadcast_to(np.asarray(v_threshold, np.float64) * scale, shape))
    return nir.IF(np.ones(shape), thresholds, np.full(shape, reset), metadata={"scale": scale, **more})


def relay(shape: Sequence[int]) -> nir.IF:
    return nir.IF(np.ones(shape), np.ones(shape), np.zeros(shape), metadata={"theta": 1, "scale": 1.0, "relay": 1})


def leaky(shape: Sequence[int], tau: float, theta: float, **fields: float) -> nir.LIF:
    """dt = 1, r = tau: an input adds its code."""
    full = {key: np.full(shape, float(value)) for key, value in fields.items()}
    return nir.LIF(
        np.full(shape, tau),
        np.full(shape, tau),
        full.get("v_leak", np.zeros(shape)),
        np.full(shape, theta),
        full.get("v_reset", np.zeros(shape)),
        metadata={"scale": 1.0},
    )


def currents(shape: Sequence[int], tau_syn: float, tau_mem: float, theta: float) -> nir.CubaLIF:
    """dt = 1, w_in = tau_syn and r = tau_mem: an input adds its code to the current, the current to the potential."""
    full = [np.full(shape, float(v)) for v in (tau_syn, tau_mem, tau_mem, 0.0, theta, 0.0, tau_syn)]
    return nir.CubaLIF(*full, metadata={"scale": 1.0})


def integrate(shape: Sequence[int]) -> nir.I:
    return nir.I(np.ones(shape), metadata={"scale": 1.0})


def sum_pool(kernel: int, stride: int | None = None, padding: int = 0) -> nir.SumPool2d:
    return nir.SumPool2d(np.array([kernel] * 2), np.array([stride or kernel] * 2), np.array([padding] * 2))


def said(convention: Convention | None) -> dict[str, str]:
    """Graph metadata that states `convention`; none if it is None."""
    if convention is None:
        return {}
    return {"snnport": json.dumps({"version": 1, "coding": None, "convention": convention.to_json()})}


def plain(shape: Sequence[int], nodes: Mapping[str, nir.NIRNode], convention: Convention | None = PLAIN_IF) -> Graph:
    """Input, `nodes` one behind the other, Output."""
    return chain({"input": input_node(shape), **nodes, "output": output_node()}, said(convention))


def wired(
    nodes: Mapping[str, nir.NIRNode], edges: Sequence[tuple[str, str]], convention: Convention | None = PLAIN_IF
) -> Graph:
    return build(nodes, edges, said(convention))


def coded(graph: Graph, code: str, windows: Mapping[str, Window], n_steps: int, levels: int = 4) -> Graph:
    """`graph` with a coding in its metadata."""
    kind = "consecutive" if code == "gate" else "even"
    encoder = {"kind": kind, "step": 1.0, "levels": levels, "signed": False}
    coding = Coding(code, n_steps, encoder, windows)
    text = json.dumps({"version": 1, "coding": coding.to_json(), "convention": CODED.to_json()})
    return build(graph.nodes, graph.edges, {"snnport": text})


def gate_mlp() -> Graph:
    """3 inputs of 4 levels, 2 gated neurons of 3 levels, 2 readouts; codes chosen so that sums are easy to check."""
    graph = plain(
        (3,),
        {
            "a": dense([[5, -2, 3], [1, 1, -7]], [4, -6]),
            "n": fire((2,), 12.0),
            "b": dense([[1, -1], [2, 2]], [3, -3]),
            "out": integrate((2,)),
        },
    )
    windows = {
        "input": Window("input", 0, 0, 4),
        "n": Window("gated", 1, 4, 3),
        "out": Window("readout", 5, 7, 1),
    }
    return coded(graph, "gate", windows, 8)
