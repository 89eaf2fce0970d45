"""What every framework means by a NIR graph: one Convention each, with the version and the files it was read in.

A dialect is the meaning that a file had for the framework that wrote it, not what a file of another framework would become
there. Every rule was read in the sources named, and run against traces or the framework itself where that was possible
(tests/golden/nir).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from snnport.convention import PLAIN, Convention

ALL = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")

SNNTORCH = Convention("snntorch", dt=1e-4, reset="subtract", unity=1e-5, dtype="float32")
"""snnTorch 1.0.0. export_nir.py: dt = 1e-4 always, tau = dt / (1 - beta), r = tau / dt, w_in = tau_syn / dt, v_reset 0 for
every reset mechanism; products within np.allclose of 1 are 1 (import_nir.py). _neurons/leaky.py, synaptic.py, rleaky.py,
rsynaptic.py: v = beta v + i, i = alpha i + x + recurrent(s), surrogate.py: v - threshold > 0; recurrent layers answer
silence with their bias in the first step."""

NORSE = Convention(
    "norse",
    dt=1e-3,
    ignores=("r", "w_in"),
    integrator_gain="unit",
    synapse_gain="unit",
    update="increment",
    loop_start="nothing",
    dtype="float32",
)
"""Norse after 1.1.0 (utils/export_nir.py at 065a3b4): tau in seconds, r = w_in = 1, v_reset as it is. functional/lif_box.py:
v + dt / tau (x + v_leak - v); functional/lif.py: the current jumps by x, counts, then decays; functional/iaf.py: v + x;
functional/heaviside.py: v - v_th > 0. module/sequential.py: nothing comes round a loop in the first step."""

NORSE_1_1_0 = NORSE.having(name="norse-1.1.0", tau_unit=1e3, reset="zero")
"""Norse 1.1.0 (release). utils/export_nir.py, to_nir(dt=0.001): tau is written as dt * tau, 0.01 s as 1e-5, and v_reset not
at all. The rest as in Norse."""

SINABS = Convention(
    "sinabs",
    dt=1.0,
    decay="exponential",
    reset="subtract",
    comparison=">=",
    multi_spike=True,
    v_min=-1.0,
    ignores=("r", "v_leak", "w_in", "v_reset"),
    integrator_gain="unit",
    leaky_gain="unit",
    membrane_gain="unit",
    dtype="float32",
)
"""sinabs 3.1.3. nir.py: tau in steps, r = 1, norm_input=False, IF with min_v_mem = -v_threshold (a layer's own default is no
bound, and the file does not say). layers/functional/lif.py: v = exp(-1 / tau) v + x; activation/spike_generation.py,
MultiSpike: trunc(v / threshold); activation/reset_mechanism.py: v - s threshold, then the bound."""

SPIKINGJELLY = Convention(
    "spikingjelly",
    dt=1e-4,
    comparison=">=",
    unity=1e-6,
    update="divided",
    loop_start="nothing",
    start="reset",
    dtype="float32",
)
"""SpikingJelly 2.0.0. activation_based/nir_exchange/to_nir.py: tau = tau_steps dt, r = 1 or tau_steps (LIF), 1 / dt (IF),
tau_mem / dt and w_in = tau_syn / dt (CubaLIF), v_leak = v_reset, soft reset refused; products within 1e-6 of 1 are 1
(from_nir.py). functional/neuron.py: lif_charge, if_step, cuba_lif_step; surrogate.py, heaviside: v - threshold >= 0;
base_node.py: v starts at v_reset."""

ROCKPOOL = Convention(
    "rockpool",
    dt=1e-3,
    decay="exponential",
    reset="subtract",
    comparison=">=",
    multi_spike=True,
    ignores=("r", "w_in", "v_leak", "v_reset"),
    leaky_gain="keep",
    membrane_gain="unit",
    synapse_gain="keep",
    dtype="float32",
)
"""Rockpool 3.1.0. nn/modules/torch/nir.py: r = tau exp(-dt / tau) / dt (so dt can be computed), the bias is lost, LI is
ExpSynTorch. lif_neuron_torch.py: v = exp(-dt / tau) v + x; lif_torch.py: i = (i + x + w_rec s) exp(-dt / tau_syn), StepPWL:
floor(v / threshold); exp_syn_torch.py: (i + x) exp(-dt / tau)."""

SPYX = Convention(
    "spyx",
    dt=1.0,
    reset="subtract",
    recurrent_delay=0,
    ignores=("r", "w_in", "v_leak", "v_reset"),
    integrator_gain="unit",
    leaky_gain="unit",
    membrane_gain="unit",
    synapse_gain="unit",
    reset_when="next_end",
    spike_delay=1,
    loop_start="nothing",
    dtype="float32",
)
"""Spyx 1.0.0. nir.py: tau = dt / (1 - beta) with dt = 1 unless told, r = beta (not read again). nn.py: a spike is
v - threshold > 0 of the step before; LIF, IF, RLIF, RIF: v = beta v + x - s threshold; CuBaLIF, RCuBaLIF: v - s threshold
first, then i = alpha i + x, v = beta v + i; recurrent layers feed the spike back in the step that shows it."""

HXTORCH = Convention(
    "hxtorch",
    dt=1e-6,
    tau_unit=1e-3,
    ignores=("w_in",),
    synapse_gain="unit",
    update="increment",
    current="old",
    dtype="float32",
)
"""hxtorch, mock mode (electronicvisions/hxtorch, src/pyhxtorch/hxtorch/spiking). utils/from_nir.py at 1033578: milliseconds,
ConversionConfig.dt = 1e-6 s, v_reset and v_leak read, membrane capacitance tau_mem / r, w_in not read.
functional/step_integration_code_factory.py at 507a188: the membrane takes the current of the step before,
v + dt / c (i + g_l (v_leak - v)), then i = (1 - dt / tau_syn) i + x; v > threshold."""

JAXSNN = Convention(
    "jaxsnn",
    dt=1e-6,
    decay="exponential",
    tau_unit=1e-3,
    ignores=("r", "w_in"),
    synapse_gain="unit",
    dtype="float32",
)
"""jaxsnn 0.3.0. event/utils/from_nir.py: milliseconds, r and w_in not read. It runs on events in continuous time: the
steps here approach its spikes as dt falls."""

NENGO = Convention(
    "nengo",
    dt=1e-3,
    decay="exponential",
    reset="zero",
    v_min=0.0,
    ignores=("r", "v_leak", "v_reset"),
    integrator_gain="unit",
    update="increment",
)
"""Nengo 4.1.0 through the NIR paper's paper/03_rnn/nir_to_nengo.py: r = 1 and v_leak = 0 asserted, tau_ref = 0.
nengo/neurons.py, LIF.step: v - (J - v) expm1(-dt / tau), v > 1 with gain 1 / threshold, min_voltage = 0; IF has no floor.
Its CubaLIF is a Lowpass filter with a delay of its own before an exponential membrane: not expressed here."""

LAVA = Convention("lava", dt=1e-4, reset="zero", ignores=("r", "v_leak", "v_reset"), synapse_delay=1)
"""Lava (lava-nc 0.10.0, proc/lif/models.py, PyLifModelFloat) through the NIR paper's paper/nir_to_lava.py and
01_lif/lif_sim_lava.ipynb: dv = dt / tau, du = 1, weights times dt / tau, r and v_reset not read; v > vth, then v = 0.
A Dense process delivers in the next step. (nir_to_lava itself puts a second Dense before every LIF; the recorded traces
have one.)"""

LAVA_FIXED = LAVA.having(name="lava-fixed", dtype="lava-fixed")
"""The same with fixed_pt=True, and Loihi 2 itself: proc/lif/models.py, PyLifModelBitAcc; integers as in
snnport/reference/fixed.py."""

SPINNAKER2 = Convention("spinnaker2", dt=1e-4, reset="zero")
"""SpiNNaker2 (py-spinnaker2, Brian2Backend) through the NIR paper's 01_lif/lif_sim_spinnaker2.py. Its s2_nir.py was not at
hand: forward Euler, v > threshold and the reset to 0 follow from the recorded trace alone."""


@dataclass(frozen=True)
class Dialect:
    """A framework's way to mean a NIR graph, and what its files leave open.

    title: the framework and version. neurons: NIR's neurons that the convention speaks for. dt_fixed: convention.dt holds
    for every file; otherwise it is only the framework's default. reset_written: a v_reset in the file is what the framework
    does; otherwise the reset must be told. bounded: the neurons that v_min holds for. timing: the rule reset_when, by (kind
    of neuron, whether a loop leads back to it, reset, steps that the reset waits); None if it is the convention's for all.
    note: what else a reader of a file must know.
    """

    title: str
    convention: Convention
    neurons: tuple[str, ...]
    dt_fixed: bool = False
    reset_written: bool = True
    bounded: tuple[str, ...] = ALL
    timing: Callable[[str, bool, str, int], str] | None = None
    note: str = ""


def snntorch_timing(kind: str, looped: bool, reset: str, waits: int) -> str:
    """snnTorch 1.0.0. reset_delay=True: only Leaky's reset to zero comes before the integration of the next step.

    reset_delay=False: the code of the delayed reset stays active and is made up for after the comparison.
    """
    if waits:
        return "next_start" if reset == "zero" and kind == "LIF" and not looped else "next_end"
    return "carried" if reset == "subtract" else "at_once"


def spyx_timing(kind: str, looped: bool, reset: str, waits: int) -> str:
    """Spyx 1.0.0: CuBaLIF and RCuBaLIF reset before they integrate, the others after."""
    return "next_start" if kind == "CubaLIF" else "next_end"


DIALECTS = MappingProxyType(
    {
        "nir": Dialect("NIR 1.0.8, the equations of its docs", PLAIN, ALL),
        "snntorch": Dialect(
            "snnTorch 1.0.0",
            SNNTORCH,
            ("LIF", "CubaLIF"),
            dt_fixed=True,
            reset_written=False,
            timing=snntorch_timing,
            note="the file does not say whether resets wait for the next step, as reset_delay=True, snnTorch's default, has"
            " it; taken are the next step where the file holds v_reset, as snnTorch 1.0.0 writes it, at once in older files",
        ),
        "norse": Dialect("Norse after 1.1.0", NORSE, ("IF", "LI", "LIF", "CubaLIF")),
        "norse-1.1.0": Dialect(
            "Norse 1.1.0",
            NORSE_1_1_0,
            ("IF", "LI", "LIF", "CubaLIF"),
            dt_fixed=True,
            note="neither v_reset nor the way of resetting is in the file; resets to 0 are taken where Norse 1.1.0 is told",
        ),
        "sinabs": Dialect(
            "sinabs 3.1.3",
            SINABS,
            ("IF", "LI", "LIF"),
            dt_fixed=True,
            bounded=("IF",),
            note="min_v_mem, norm_input, spike_fn and tau_syn are not in the file; taken as sinabs reads its own files: IF"
            " neurons bounded at minus the threshold, LIF free, norm_input=False, as many spikes a step as fit"
            " (--rules v_min=none,membrane_gain=leak,leaky_gain=leak,multi_spike=no to change)",
        ),
        "spikingjelly": Dialect("SpikingJelly 2.0.0", SPIKINGJELLY, ("IF", "LIF", "CubaLIF"), reset_written=False),
        "rockpool": Dialect("Rockpool 3.1.0", ROCKPOOL, ("LI", "LIF", "CubaLIF"), note="biases of neurons are not in the file"),
        "spyx": Dialect("Spyx 1.0.0", SPYX, ("IF", "LI", "LIF", "CubaLIF"), dt_fixed=True, timing=spyx_timing),
        "hxtorch": Dialect("hxtorch, mock mode", HXTORCH, ("CubaLI", "CubaLIF")),
        "jaxsnn": Dialect(
            "jaxsnn 0.3.0", JAXSNN, ("CubaLIF",), note="jaxsnn runs on events in continuous time; steps only approach it"
        ),
        "nengo": Dialect("Nengo 4.1.0, nir_to_nengo.py", NENGO, ("IF", "LIF"), bounded=("LIF",)),
        "lava": Dialect("Lava 0.10.0, nir_to_lava.py, floating point", LAVA, ("LIF",), dt_fixed=True),
        "lava-fixed": Dialect("Lava 0.10.0, nir_to_lava.py, fixed point", LAVA_FIXED, ("LIF",), dt_fixed=True),
        "spinnaker2": Dialect("SpiNNaker2, Brian2Backend", SPINNAKER2, ("LIF",)),
    }
)
