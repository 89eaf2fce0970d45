"""The few lines that load an exported file with the vendor's own tool, written beside it; marked where nobody has run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnport.events import write_bytes
from snnport.exporters.samna import CLASSES

UNTESTED = "untested: these lines have not been run with the tool that they are for"
TESTED = "tested: snnport's tests run these lines"
APPLY = (
    "def apply(part, fields):",
    '    """Assign every field; dimensions, weights and the like as they are, parts and lists of parts one by one."""',
    "    for name, value in fields.items():",
    '        if isinstance(value, dict) and name != "dimensions":',
    "            apply(getattr(part, name), value)",
    "        elif isinstance(value, list) and value and isinstance(value[0], dict):",
    "            for own, inner in zip(getattr(part, name), value):",
    "                apply(own, inner)",
    "        else:",
    "            setattr(part, name, value)",
)
"""Lines that bring a samna.json into samna's object; docs/formats.md shows the same."""


def with_lines(document: Mapping[str, Any], output: Path, target: str | None, form: str | None) -> dict[str, Any]:
    """The document of `export` with its lines under "load", whether they are tested, and the file that now holds them.

    output: the file or folder that was written. A document that has lines already keeps them.
    """
    known = form is not None or target in ("loihi1", "loihi2")
    lines = list(document.get("load") or _lines(output, target, form))
    tested = bool(document.get("tested", known))
    verilog = target == "tinyodin"
    path = output / "load.v" if verilog else output.with_name(f"{output.name}.load.py")
    mark = "//" if verilog else "#"
    head = [f"{mark} {TESTED if tested else UNTESTED}"]
    write_bytes(path, ("\n".join([*head, *lines]) + "\n").encode())
    return {**document, "load": lines, "tested": tested, "lines_file": str(path)}


def _lines(output: Path, target: str | None, form: str | None) -> Sequence[str]:
    if target == "tinyodin":
        return (
            "// in a testbench of tinyODIN (dut: its top module): the memories as they are after SPI programming",
            f'initial $readmemh("{output / "neurons.hex"}", dut.neuron_core_0.neurarray_0.SRAM);',
            f'initial $readmemh("{output / "synapses.hex"}", dut.synaptic_core_0.synarray_0.SRAM);',
            "// then the four words of registers.hex by SPI, to addresses 0 to 3",
            "// or all of it by SPI, spi.bin: pairs of 20-bit address and data words, little-endian, 4 bytes each",
        )
    if form == "nir":
        return ("import nir", f"graph = nir.read({str(output)!r})")
    kind = f"samna.{target}.configuration.{CLASSES.get(str(target), 'SpeckConfiguration')}"
    return (
        "import json, samna",
        *APPLY,
        f"configuration = {kind}()",
        f'apply(configuration, json.load(open({str(output / "samna.json")!r}))["configuration"])',
        f"print(samna.{target}.validate_configuration(configuration))",
        "device = samna.device.open_device(samna.device.get_unopened_devices()[0])",
        "device.get_model().apply_configuration(configuration)",
    )
