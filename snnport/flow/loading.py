"""The few lines that load an exported file with the vendor's own tool, written beside it; marked where nobody has run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnport.events import write_bytes

UNTESTED = "untested: these lines have not been run with the tool that they are for"
TESTED = "tested: snnport's tests run these lines"
_SPECK = {"dynapcnn": "samna.dynapcnn.configuration.DynapcnnConfiguration"}


def with_lines(document: Mapping[str, Any], output: Path, target: str | None, form: str | None) -> dict[str, Any]:
    """The document of `export` with its lines under "load", whether they are tested, and the file that now holds them.

    output: the file or folder that was written. A document that has lines already keeps them.
    """
    known = form == "netx" or target in ("loihi1", "loihi2")
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
            "// in a testbench of tinyODIN: the memories as they are after SPI programming, and the registers",
            'initial $readmemh("neurons.hex", dut.neuron_core_0.SRAM);',
            'initial $readmemh("synapses.hex", dut.synaptic_core_0.SRAM);',
            "// or send spi.bin: pairs of 20-bit address and data words, little-endian, 4 bytes each",
        )
    if form == "nir":
        return ("import nir", f"graph = nir.read({str(output)!r})")
    kind = _SPECK.get(target or "", f"samna.{target}.configuration.SpeckConfiguration")
    return (
        "import samna",
        f"configuration = {kind}()",
        f"configuration.from_json(open({str(output)!r}).read())",
        "device = samna.device.open_device(samna.device.get_unopened_devices()[0])",
        "device.get_model().apply_configuration(configuration)",
    )
