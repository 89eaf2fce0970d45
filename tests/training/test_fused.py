"""The compiled loops give the spikes, potentials and gradients of the step-by-step arithmetic, which are autograd's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from graphs import RULE, small

from snnport.training import fused, stepping
from snnport.training.kernels import shares
from snnport.training.module import Held, as_module
from snnport.training.surrogates import StraightThrough

CASES: tuple[dict[str, Any], ...] = (
    {"kind": "LIF", "loop": "all", "reset": "value", "detach": False},
    {"kind": "LIF", "loop": "", "reset": "subtract", "held": True, "same": True},
    {"kind": "LIF", "loop": "all", "reset": "subtract", "reset_when": "next_end", "detach": False},
    {"kind": "CubaLIF", "loop": "all", "reset": "value", "current": "old"},
    {"kind": "CubaLIF", "loop": "", "update": "increment", "membrane_gain": "leak", "reset": "value", "held": True},
    {"kind": "AdaptiveLIF", "loop": "all", "reset": "subtract", "detach": False, "same": True},
    {"kind": "AdaptiveLIF", "loop": "all", "reset": "value", "pieces": 5},
)


def gradients(case: dict[str, Any], compiled: bool, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Outputs, potentials and all gradients of a loss on outputs, potentials and the last state."""
    with monkeypatch.context() as patch:
        patch.setattr(fused, "WORTH", 0 if compiled else 1 << 40)
        rng = np.random.default_rng(0)
        words = {k: v for k, v in case.items() if k in ("reset", "reset_when", "update", "membrane_gain", "current")}
        graph = small(rng, case["kind"], loop=case["loop"], same=case.get("same", False))
        options = {"detach_reset": case.get("detach", True), "checkpoint_steps": case.get("pieces", 0)}
        module = as_module(graph, RULE.having(**words), **options)
        x = torch.from_numpy(rng.normal(0.3, 1.5, (4, 5) if case.get("held") else (4, 11, 5))).requires_grad_()
        found = module(Held(x, 11) if case.get("held") else x, record_v=("n",))
        cell = found.state.cells["n"]
        total = (found.output**2).sum() + 0.3 * (found.v["n"] ** 2).sum() + (cell.v**2).sum() + (cell.b**2).sum()
        total.backward()
        assert found.spikes["n"].sum() > 10
        return [
            found.output.detach(),
            found.v["n"].detach(),
            *(p.grad for p in (x, *module.parameters()) if p.grad is not None),
        ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(v) for v in case.values()))
def test_the_same_as_step_by_step(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradients(case, False, monkeypatch)
    found = gradients(case, True, monkeypatch)
    assert len(found) == len(expected) > 5
    assert torch.equal(found[0] != 0, expected[0] != 0)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_pieces_in_the_backward_pass_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = {"kind": "LIF", "loop": "all", "reset": "value", "detach": False}
    for mine, other in zip(
        gradients({**case, "pieces": 3}, True, monkeypatch), gradients(case, True, monkeypatch), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(1)
    module = as_module(small(rng, "LIF", inputs=40, hidden=900), RULE.having(reset="subtract"))
    x = torch.from_numpy(rng.normal(0.3, 1.5, (9, 20, 40)))
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        out = module(x)
        module.zero_grad()
        out.output.square().sum().backward()
        found.append([out.spikes["n"].detach(), module.get_parameter("fc2/weight").grad])
    torch.set_num_threads(1)
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])
    assert shares(9, 2) == [(0, 4), (4, 9)]
    assert shares(1, 4) == [(0, 1)]


@pytest.mark.parametrize(("kind", "field"), [("LI", "tau"), ("LI", "v_leak"), ("CubaLI", "tau_syn"), ("CubaLI", "w_in")])
def test_derivatives_of_learned_fields(kind: str, field: str) -> None:
    rng = np.random.default_rng(2)
    graph = small(rng, kind)
    module = as_module(graph, RULE.having(synapse_gain="leak"), trainable=(f"n.{field}",))
    x = torch.from_numpy(rng.normal(0.3, 1.0, (2, 6, 5)))
    (parameter,) = module.parameters()
    module(x).output.sum().backward()
    before, measured = parameter.detach().clone(), torch.zeros_like(parameter)
    with torch.no_grad():
        for index in range(parameter.numel()):
            ends = []
            for sign in (1, -1):
                parameter.copy_(before)
                parameter[index] += sign * 1e-6
                ends.append(float(module(x).output.sum()))
            measured[index] = (ends[0] - ends[1]) / 2e-6
    assert parameter.grad is not None
    torch.testing.assert_close(parameter.grad, measured, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("field", ["v_threshold", "tau", "beta", "tau_adapt"])
def test_derivatives_through_spikes(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slope of 1 everywhere the backward pass is that of a network whose spikes are potential less limit, plus what
    does not change: its derivative can be measured where no spike comes or goes."""
    rng = np.random.default_rng(3)
    module = as_module(
        small(rng, "AdaptiveLIF"),
        RULE.having(reset="subtract"),
        trainable=(f"n.{field}",),
        surrogate=StraightThrough(),
        detach_reset=False,
    )
    x = torch.from_numpy(rng.normal(0.8, 1.0, (2, 8, 5)))
    (parameter,) = module.parameters()
    fixed: list[torch.Tensor] = []
    seen: list[torch.Tensor] = []

    def through(v: torch.Tensor, limit: torch.Tensor, reaches: bool, surrogate: Any) -> torch.Tensor:
        """The spikes as they were at the first go, moved by how potential less limit has moved."""
        index = len(seen)
        now = v - limit
        seen.append(now.detach())
        if len(fixed) <= index:
            fixed.append(torch.stack([(v > limit).to(v.dtype), now.detach()]))
        return fixed[index][0] + now - fixed[index][1]

    monkeypatch.setattr(stepping.Fires, "apply", through)
    loss = module(x).output.sum()
    loss.backward()
    before, measured = parameter.detach().clone(), torch.zeros_like(parameter)
    with torch.no_grad():
        for index in range(parameter.numel()):
            ends = []
            for sign in (1, -1):
                seen.clear()
                parameter.copy_(before)
                parameter[index] += sign * 1e-6
                ends.append(float(module(x).output.sum()))
            measured[index] = (ends[0] - ends[1]) / 2e-6
    assert parameter.grad is not None
    assert (measured != 0).any()
    torch.testing.assert_close(parameter.grad, measured, rtol=1e-4, atol=1e-6)
