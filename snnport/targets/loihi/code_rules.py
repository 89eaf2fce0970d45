"""The rule of Loihi for currents that stay, which the ttfs code is made of."""

from __future__ import annotations

import nir

from snnport.chip import Chip
from snnport.convention import coding_of
from snnport.graph import Graph, names_of
from snnport.targets.base import Findings, finding
from snnport.targets.intervals import charges
from snnport.targets.lowering import plan


def persistent_current(graph: Graph, chip: Chip) -> Findings:
    """The ttfs code needs currents that stay: du = 0 with ds_offset = 0. With ds_offset = 1 a current loses 1/4096 a step.

    A current of c codes, 64 c units, loses ceil(c / 64) units in every step; over L steps that is half a code of potential
    or more from 4096 / (L (L - 1)) codes on, and the control pulses are larger than that in any network.
    """
    coding = coding_of(graph.metadata)
    if coding is None or coding.code != "ttfs":
        return Findings()
    if not int(chip["current_offset"]):
        message = "its currents stay, by the register bit ds_offset = 0 on the chip, by du = -1 in lava-nc 0.10.0's model"
        return Findings(warnings=(finding(chip.name, message, "Nothing; on the chip clear ds_offset of these cores"),))
    what = plan(graph, forward_delay=1)
    found = []
    for name in names_of(graph, nir.IF, nir.I):
        window = coding.windows[name]
        if window.role == "relay":
            continue
        sources = {p.source: 1 for p in what.into(name)}
        low, high = charges(what.into(name), sources, len(what.bias[name]))
        largest = int((high - low).max(initial=0))
        levels = max(coding.windows[source].levels for source in sources)
        limit = 4096 // max(1, levels * (levels - 1))
        message = f"its current reaches {largest} codes and decays, exact for {levels} levels are less than {limit}"
        found.append(finding(name, message, "Use a chip whose currents can stay, or --code ramp"))
    return Findings(violations=tuple(found))
