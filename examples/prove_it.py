"""Convert the shipped network, prove the conversion on its held-out digits, and show what each stage keeps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import snnport
from snnport.flow.prepare import InputOptions
from snnport.models.digits import DIGITS

inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
with tempfile.TemporaryDirectory() as folder:
    network = Path(folder) / "digits.nir"
    snnport.convert(DIGITS.onnx, network, inputs=inputs)
    proof = snnport.validate(network, DIGITS.test, against=DIGITS.onnx, inputs=inputs)

for stage in proof.stages:
    print(f"{stage.name:18} accuracy {stage.accuracy:.4f}, agreement with the float network {stage.agreement:.4f}")
print(f"logit vectors that differ from the quantised network's: {proof.logit_mismatches}")
