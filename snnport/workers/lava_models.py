"""Lava's neuron processes for the families of a program, and what is watched in them; imports numpy and lava alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from lava.proc.atrlif.models import PyATRLIFModelFixed  # type: ignore[import-not-found]
from lava.proc.atrlif.process import ATRLIF  # type: ignore[import-not-found]
from lava.proc.conv.models import PyConvModelFixed  # type: ignore[import-not-found]
from lava.proc.conv.process import Conv  # type: ignore[import-not-found]
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc  # type: ignore[import-not-found]
from lava.proc.dense.process import DelayDense, Dense  # type: ignore[import-not-found]
from lava.proc.graded.models import PyGradedReluVecModelFixed, PyGradedVecModelFixed  # type: ignore[import-not-found]
from lava.proc.graded.process import GradedReluVec, GradedVec  # type: ignore[import-not-found]
from lava.proc.lif.models import PyLifModelBitAcc, PyLifResetModelBitAcc  # type: ignore[import-not-found]
from lava.proc.lif.process import LIF, LIFReset  # type: ignore[import-not-found]
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed  # type: ignore[import-not-found]
from lava.proc.sdn.process import ActivationMode, Delta, SigmaDelta  # type: ignore[import-not-found]
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc  # type: ignore[import-not-found]
from lava.proc.sparse.process import DelaySparse, Sparse  # type: ignore[import-not-found]

Arrays = dict[str, Any]
NEVER = 1 << 17
STATES = ("u", "v", "i", "r", "s", "sigma", "act", "residue", "error", "a_buff", "a_buf")


class Sending:
    """An output port that keeps what it sent last, and sends nothing before its population begins."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.silent = False
        self.sent: Any = None

    def send(self, data: Any) -> None:
        """Send, as the port would."""
        self.sent = np.array(data)
        self.port.send(np.zeros_like(data) if self.silent else data)


def observed(model: Any) -> Any:
    """`model` that begins anew with each sample, is silent before its start, and copies its values to files.

    proc_params["observe"]: period (steps of a sample), start, steps, first (sample), v_init, files: path of "spikes" or of a
    formula's name.
    """

    def run_spk(self: Any) -> None:
        how, now = self.proc_params["observe"], self.time_step
        sample, step = divmod(now - 1, how["period"])
        if now == 1:
            self._files = {name: np.lib.format.open_memmap(path, mode="r+") for name, path in how["files"].items()}
            if hasattr(self, "s_out"):
                self.s_out = Sending(self.s_out)
        if now > 1 and step in (0, how["start"]):
            _begin(self, how["v_init"])
        if hasattr(self, "s_out"):
            self.s_out.silent = step < how["start"]
        # LIFReset reads the clock, which starts anew with each sample.
        self.time_step = step + 1 - how["start"]
        model.run_spk(self)
        self.time_step = now
        t = step - how["start"]
        if 0 <= t < how["steps"]:
            for name, file in self._files.items():
                value = self.s_out.sent if name == "spikes" else FORMULAS[name](self)
                file[how["first"] + sample, t] = np.asarray(value).reshape(-1)

    return type(f"Observed{model.__name__}", (model,), {"run_spk": run_spk})


def _begin(model: Any, v_init: Any) -> None:
    for name in STATES:
        if isinstance(getattr(model, name, None), np.ndarray):
            getattr(model, name)[...] = v_init if name == "v" else 0
    if hasattr(model, "theta"):
        model.theta[...] = model.theta_0


FORMULAS: dict[str, Callable[[Any], Any]] = {
    "v": lambda model: model.v,
    "v/64": lambda model: model.v >> 6,
    "u": lambda model: model.u,
    "i": lambda model: model.i,
    "nothing": lambda model: np.zeros_like(model.v),
    "sigma": lambda model: model.sigma,
    "sent": lambda model: model.act - model.residue,
}
MODELS = {
    LIF: PyLifModelBitAcc,
    LIFReset: PyLifResetModelBitAcc,
    ATRLIF: PyATRLIFModelFixed,
    GradedVec: PyGradedVecModelFixed,
    GradedReluVec: PyGradedReluVecModelFixed,
    Delta: PyDeltaModelFixed,
    SigmaDelta: PySigmaDeltaModelFixed,
    Dense: PyDenseModelBitAcc,
    Sparse: PySparseModelBitAcc,
    DelayDense: PyDelayDenseModelBitAcc,
    DelaySparse: PyDelaySparseModelBitAcc,
    Conv: PyConvModelFixed,
}
OBSERVED = {process: observed(model) for process, model in MODELS.items()}


class Built(NamedTuple):
    """A neuron process. v, u: which formula gives them. v_init: where v starts."""

    process: Any
    v: str
    u: str = ""
    v_init: Any = 0


def scalar(value: Any) -> Any:
    """One number where all neurons have the same, else the array."""
    flat = np.asarray(value).reshape(-1)
    return int(flat[0]) if flat.size and np.all(flat == flat[0]) else np.asarray(value, np.int32)


def neurons(family: str, p: Arrays, size: int) -> Built:
    """The process of a population."""
    shape = (size,)

    def one(name: str, default: int = 0) -> Any:
        return scalar(p.get(name, default))

    if family in ("cuba", "cuba_reset"):
        common = {"shape": shape, "du": one("du"), "dv": one("dv"), "vth": one("vth")}
        common |= {"bias_mant": one("bias_mant"), "bias_exp": one("bias_exp")}
        if family == "cuba":
            return Built(LIF(**common), "v", "u")
        reset = {"reset_interval": one("reset_interval"), "reset_offset": one("reset_offset")}
        return Built(LIFReset(**common, **reset), "v", "u")
    if family == "integrator":
        v_init = np.broadcast_to(np.asarray(p.get("v_init", 0)) << 6, shape).astype(np.int32)
        return Built(
            LIF(shape=shape, du=4095, dv=0, vth=NEVER, v=v_init, bias_mant=one("bias"), bias_exp=6), "v/64", "", v_init
        )
    if family == "atrlif":
        decays = {f"delta_{new}": one(old) / 4096 for new, old in (("i", "du"), ("v", "dv"), ("theta", "dtheta"), ("r", "dr"))}
        rest = {name: one(name) for name in ("theta_0", "theta_step", "bias_mant", "bias_exp")}
        return Built(ATRLIF(shape=shape, **decays, **rest), "v", "i")
    if family in ("graded", "graded_relu"):
        process = (GradedVec if family == "graded" else GradedReluVec)(shape=shape, vth=0)
        return Built(_thresholds(process, p.get("v_threshold", 0)), "nothing")
    # Lava scales thresholds, biases and inputs by 2^(spike_exp + state_exp), and shifts what it sends right by state_exp.
    shift = {"spike_exp": -one("shift"), "state_exp": one("shift")}
    if family == "delta":
        return Built(_thresholds(Delta(shape=shape, vth=1, **shift), p["v_threshold"]), "sent")
    mode = ActivationMode.RELU if one("rectify", 1) else ActivationMode.UNIT
    return Built(
        _thresholds(SigmaDelta(shape=shape, vth=1, bias=one("bias"), act_mode=mode, **shift), p["v_threshold"]), "sigma"
    )


def _thresholds(process: Any, values: Any) -> Any:
    """`process` with a threshold for each neuron; Lava declares one for all, and its models take both."""
    value = scalar(values)
    process.vth.init = value
    process.vth.shape = np.shape(value) or (1,)
    return process
