"""Loihi 1 and Loihi 2: hard-reset leaky integrate-and-fire neurons with synaptic currents, in the chip's own integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snnport.chip import Chip
from snnport.graph import Graph
from snnport.program import Program
from snnport.targets.base import Target
from snnport.targets.graded import NUMBERS
from snnport.targets.loihi.coded import CODES, lower_coded
from snnport.targets.loihi.exact import is_exact, lower_exact, own_registers, told, unless_exact
from snnport.targets.loihi.graded import lower_graded
from snnport.targets.loihi.placing import core_use, place
from snnport.targets.loihi.preparing import calibrate, prepare
from snnport.targets.loihi.program_rules import PROGRAM_RULES, accumulator_range, state_range
from snnport.targets.loihi.rules import GRAPH_RULES
from snnport.targets.loihi.trained import lower_trained
from snnport.targets.loihi.vendor import run_lava
from snnport.targets.lowering import Plan, plan

SEMANTICS = "Loihi LIF in time steps, a spike arrives in the next step"
MESSAGES = "Loihi 2 graded spikes, a message arrives in the next step"


def lower(graph: Graph, chip: Chip) -> Program:
    """A program of family "cuba": a coded network by coded.py, one that was trained with spikes by trained.py.

    A network in the graded code is one of families "graded" and "graded_relu": graded.py. One that brings its registers,
    from a netx file, is taken as it is: exact.py.
    """
    if is_exact(graph):
        return lower_exact(graph, chip, chip.target, SEMANTICS)
    return replace(_lowered(plan(graph, forward_delay=1), chip), target=chip.target)


def _lowered(what: Plan, chip: Chip) -> Program:
    if what.coding is not None and what.coding.code in CODES:
        return lower_coded(what, chip, SEMANTICS)
    if what.coding is not None and what.coding.code in NUMBERS:
        return lower_graded(what, chip, MESSAGES)
    return lower_trained(what, chip, SEMANTICS)


RULES = (*(unless_exact(rule) for rule in GRAPH_RULES), own_registers)
CHECKS = tuple(told(rule) if rule in (accumulator_range, state_range) else rule for rule in PROGRAM_RULES)

LOIHI1 = Target(
    "loihi1",
    Path(__file__).with_name("chip_loihi1.toml"),
    RULES,
    CHECKS,
    lower,
    place,
    prepare,
    vendor=run_lava,
    calibrate=calibrate,
    core_use=core_use,
)
LOIHI2 = Target(
    "loihi2",
    Path(__file__).with_name("chip.toml"),
    RULES,
    CHECKS,
    lower,
    place,
    prepare,
    vendor=run_lava,
    calibrate=calibrate,
    core_use=core_use,
)
