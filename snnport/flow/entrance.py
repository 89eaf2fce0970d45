"""How the input of a converted network enters, from its coding; and its price, from the counts of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping

from snnport.convention import coding_of
from snnport.encoders import NUMBERS, CountEncoder
from snnport.graph import Graph, shapes, the_input
from snnport.program import Program
from snnport.report.entrance import Entrance, Price
from snnport.report.report import Run


def entrance_of(graph: Graph, runs: Mapping[str, tuple[Program, Run]] | None = None) -> Entrance | None:
    """The entrance of a converted graph, priced by what its programs counted; None for a network that was not converted."""
    coding = coding_of(graph.metadata)
    if coding is None:
        return None
    encoder = CountEncoder.from_json(coding.encoder)
    form = "messages" if encoder.kind in NUMBERS else "two populations" if encoder.doubles else "one population"
    prices = {target: _price(program, run) for target, (program, run) in (runs or {}).items()}
    return Entrance(encoder.signed, form, math.prod(shapes(graph)[the_input(graph)]), encoder.levels, prices)


def _price(program: Program, run: Run) -> Price:
    reading = [p.name for p in program.projections if p.source in program.inputs]
    own = sum(run.synaptic_operations.get(name, 0) for name in reading)
    total = sum(run.synaptic_operations.values())
    terms = run.energy[0].terms.values() if run.energy and total else ()
    priced = next((term.mid_j for term in terms if term.count == total), None)
    return Price(own, total, None if priced is None else priced * own / total)
