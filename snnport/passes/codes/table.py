"""All codes, by the name that `--code` takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from snnport.convention import Coding
from snnport.errors import InvalidGraph
from snnport.passes.codes.base import Code
from snnport.passes.codes.delay import DELAY
from snnport.passes.codes.gate import GATE
from snnport.passes.codes.graded import GRADED
from snnport.passes.codes.ramp import RAMP
from snnport.passes.codes.rate import RATE
from snnport.passes.codes.sigma_delta import SIGMA_DELTA
from snnport.passes.codes.ttfs import TTFS

CODES: Mapping[str, Code] = MappingProxyType({code.name: code for code in (GATE, RATE, RAMP, TTFS, DELAY, GRADED, SIGMA_DELTA)})


def code_of(coding: Coding) -> Code:
    """The code of a graph's coding. Raises InvalidGraph if it is none of CODES."""
    if coding.code not in CODES:
        raise InvalidGraph("metadata 'snnport'", f"there is no code '{coding.code}'", f"Known: {', '.join(CODES)}")
    return CODES[coding.code]
