"""Rules for programs whose populations send numbers; a target's rules wrap them."""

from __future__ import annotations

from snnport.chip import Chip
from snnport.convention import coding_of
from snnport.fixed import signed_bits, signed_range
from snnport.graph import Graph
from snnport.program import Program
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.graded import NUMBERS

REMEDY = "Use fewer levels or bits: --levels, --bits"


def no_messages(graph: Graph, chip: Chip) -> Findings:
    """A violation for a network whose neurons send numbers on a chip whose spikes carry nothing."""
    coding = coding_of(graph.metadata)
    if coding is None or coding.code not in NUMBERS:
        return Findings()
    senders = [name for name, window in coding.windows.items() if window.role == "message"]
    message = f"{len(senders)} populations send numbers, a spike of {chip.name} carries none"
    return Findings(violations=(finding(", ".join(senders) or chip.name, message, "Convert with another --code"),))


def sum_widths(program: Program, bits: int) -> Findings:
    """Sums of arrivals, as lowering bounded them (meta "sums"), that leave the two's complement range of `bits` bits."""
    usage, violations = [], []
    most = signed_range(bits)[1]
    for name, worst in (program.meta.get("sums") or {}).items():
        used = signed_bits(-int(worst), int(worst))
        usage.append(Usage("sum-bits", name, used, bits, "bits"))
        if worst > most:
            message = f"up to {worst} arrive in one step, {bits} bits hold {most}"
            violations.append(finding(name, message, REMEDY))
    return Findings(tuple(usage), tuple(violations))


def message_widths(program: Program, bits: int) -> Findings:
    """Messages, as lowering bounded them (meta "messages"), that leave the two's complement range of `bits` bits."""
    usage, violations = [], []
    least, most = signed_range(bits)
    for name, (low, high) in (program.meta.get("messages") or {}).items():
        usage.append(Usage("message-bits", name, signed_bits(int(low), int(high)), bits, "bits"))
        if low < least or high > most:
            message = f"its messages span {low}..{high}, a spike carries {bits} bits: {least}..{most}"
            violations.append(finding(name, message, REMEDY))
    return Findings(tuple(usage), tuple(violations))
