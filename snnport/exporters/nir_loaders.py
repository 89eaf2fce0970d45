"""What the frameworks' own importers make of a NIR file: one Loader each, read in the sources named and run on written files.

An importer is not the mirror of its exporter. snnTorch always resets to zero on import, Norse honours r and w_in of CubaLIF
only, sinabs bounds IF neurons and no others, and nirtorch, below several of them, runs some graphs in an order of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from snnport.convention import PLAIN, Convention
from snnport.importers.dialect_table import DIALECTS, NORSE, ROCKPOOL, SINABS, SNNTORCH, SPIKINGJELLY

ANY = 99
MAPS = ("Affine", "Linear", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten")


@dataclass(frozen=True)
class Limits:
    """What an importer takes in one kind of neuron.

    r, w_in: "free" (any number), "one", or "unit": the value with which one unit of input adds 1; r also "clock": it tells the
    time step, tau / dt - 1. leak, reset: whether v_leak and v_reset are read; leak_is_reset: they are to be equal. same: fields
    that are one number a population. resets: of the loaded neurons. rank: most axes of a population. bounded: the convention's
    v_min holds. least_tau: in steps, and longer.
    """

    r: str = "free"
    w_in: str = "free"
    leak: bool = True
    reset: bool = True
    leak_is_reset: bool = False
    same: tuple[str, ...] = ()
    resets: tuple[str, ...] = ("value",)
    rank: int = ANY
    bounded: bool = True
    least_tau: float = 0.0


@dataclass(frozen=True)
class Loader:
    """A framework's importer.

    title: framework, version and importer. convention: of the loaded network; where `dt_free`, the caller gives its dt, the
    source's or the one of the field `dt`. own: it is snnport, which takes every window of a pool, and several Inputs.
    neurons: kinds it builds. linear: kinds of stateless nodes that it builds rightly. order: how graphs are run: "any" (by
    their edges), "walk" (nirtorch's depth-first walk: a node that joins branches may run before them), "chain" (no
    branches). loops: "any", "long" (no loop of two nodes), "none". one_by_one: no batch axis. without: fields that its nir
    does not know. reset_first: kinds that reset before they integrate. call: the lines that load the file, with {file},
    {dt}, {reset_method} filled in; looped_call: those for a network with loops. refuses: why no file could be exact.
    conditions: of every file. tested: round trips are stored (tests/golden/interop/written).
    """

    title: str
    convention: Convention
    neurons: Mapping[str, Limits]
    linear: tuple[str, ...] = MAPS
    order: str = "any"
    loops: str = "any"
    dt_free: bool = True
    dt: float | None = None
    own: bool = False
    one_by_one: bool = False
    without: tuple[str, ...] = ()
    reset_first: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    looped_call: tuple[str, ...] = ()
    tested: bool = False
    refuses: str = ""
    conditions: tuple[str, ...] = ()


_SNNTORCH = Loader(
    "snnTorch 1.0.0, import_from_nir",
    SNNTORCH.having(reset="zero", loop_start="nothing"),
    {
        "LIF": Limits("unit", "one", leak=False, reset=False, same=("v_threshold",), resets=("zero",)),
        "CubaLIF": Limits("unit", "unit", leak=False, reset=False, same=("v_threshold",), resets=("zero",)),
    },
    linear=("Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"),
    loops="long",
    dt_free=False,
    one_by_one=True,
    call=(
        "import nir, snntorch.import_nir",
        "model = snntorch.import_nir.import_from_nir(nir.read({file!r}))",
        "state = None",
        "for x in steps:  # one sample at a time, without a batch axis",
        "    spikes, state = model(x) if state is None else model(x, state)",
    ),
    tested=True,
)
"""snntorch/import_nir.py: Leaky and Synaptic with reset_mechanism="zero", reset_delay=False; one threshold a layer; IF becomes
Leaky(beta=0.9) with a subtracting reset, so none is written; a loop of two nodes is rebuilt with the input behind the recurrent
weight, so loops get a third node. nirtorch/nir_interpreter.py runs it: loops carry nothing in the first step."""

_NORSE_LIMITS = {
    "IF": Limits("one", reset=False, resets=("zero",)),
    "LIF": Limits("one", reset=False, resets=("zero",)),
    "CubaLIF": Limits(leak=False, reset=False, resets=("zero", "subtract")),
}
_NORSE = Loader(
    "Norse 1.1.0, from_nir",
    NORSE.having(reset="zero", ignores=(), synapse_gain="leak"),
    _NORSE_LIMITS,
    linear=("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten"),
    order="walk",
    dt=2.0**-10,
    one_by_one=True,
    call=(
        "import nir, norse.torch, norse.torch.functional.reset as reset",
        "model = norse.torch.from_nir(nir.read({file!r}), reset_method=reset.{reset_method}, dt={dt!r})",
        "state = None",
        "for x in steps:  # one sample at a time, without a batch axis",
        "    spikes, state = model(x, state)",
    ),
    tested=True,
)
"""norse/torch/utils/import_nir.py: r and v_reset of IF and LIF are not read; CubaLIF is w_in, a leaky box (leak gain), r, a LIF
box, and v_leak goes to both boxes; reset_method reaches CubaLIF alone; LI, AvgPool2d and what else it does not know becomes
nothing, in silence. nirtorch/graph_executor.py runs it. dt is a power of two, so that float32 keeps dt * (1 / tau) exact."""

_SINABS = Loader(
    "sinabs 3.1.3, from_nir",
    SINABS.having(loop_start="nothing"),
    {
        "IF": Limits("one", leak=False, reset=False, resets=("subtract",)),
        "LIF": Limits("one", leak=False, reset=False, resets=("subtract",), rank=1, bounded=False),
        "LI": Limits("one", leak=False, resets=(), rank=1),
    },
    linear=("Affine", "Conv2d", "SumPool2d", "Flatten"),
    order="walk",
    dt_free=False,
    without=("v_reset", "metadata"),
    call=(
        "import nir, sinabs.nir",
        "model = sinabs.nir.from_nir(nir.read({file!r}), batch_size=n_samples)",
        "spikes, state = model(x)  # (n_samples * n_steps, ...)",
    ),
    looped_call=(
        "import nir, sinabs.nir",
        "model = sinabs.nir.from_nir(nir.read({file!r}), batch_size=n_samples, num_timesteps=1)",
        "state = None",
        "for x in steps:  # (n_samples, ...) each",
        "    spikes, state = model(x, state)",
    ),
    tested=True,
)
"""sinabs/nir.py: IF with min_v_mem = -v_threshold, LIF and LI without bound, every reset subtracts, as many spikes a step as
fit; no Linear (dropped in silence), no CubaLIF; SumPool2d without padding; any(v_leak) fails on maps. sinabs asks for
nir 1.0.4 at most, which knows no v_reset and no metadata of nodes."""

_SPIKINGJELLY = Loader(
    "SpikingJelly 2.0.0, import_from_nir",
    SPIKINGJELLY,
    {
        "IF": Limits("unit", same=("v_threshold", "v_reset")),
        "LIF": Limits("one or unit", leak_is_reset=True, same=("tau", "v_leak", "v_threshold", "v_reset"), least_tau=1.0),
        "CubaLIF": Limits("unit", "unit", leak=False, same=("tau_syn", "tau_mem", "v_threshold", "v_reset")),
    },
    linear=MAPS,
    call=(
        "from spikingjelly.activation_based.nir_exchange.from_nir import import_from_nir",
        "model = import_from_nir({file!r}, dt={dt!r})",
        "state = None",
        "for x in steps:  # (n_samples, ...) each",
        "    spikes, state = model(x) if state is None else model(x, state)",
    ),
    tested=True,
)
"""spikingjelly/activation_based/nir_exchange/from_nir.py: one number for each parameter of a layer, r = 1/dt (IF), 1 or tau/dt
(LIF), tau_mem/dt and w_in = tau_syn/dt (CubaLIF), v_leak = v_reset (LIF) or 0."""

_ROCKPOOL = Loader(
    "Rockpool 3.1.0, from_nir",
    ROCKPOOL.having(loop_start="nothing"),
    {"CubaLIF": Limits("clock", "one", leak=False, reset=False, resets=("subtract",), rank=1)},
    linear=("Affine", "Linear"),
    order="walk",
    conditions=("no neuron fires more than 65536 times in a step",),
    call=(
        "import nir",
        "from rockpool.nn.modules.torch.nir import from_nir",
        "model = from_nir(nir.read({file!r}))",
        "spikes, state = model(x)  # (n_samples, n_steps, n)",
    ),
    looped_call=(
        "import nir",
        "from rockpool.nn.modules.torch.nir import from_nir",
        "model = from_nir(nir.read({file!r}))  # for every sample anew: its neurons keep the state of the first of a batch",
        "state = None",
        "for x in steps:  # (1, 1, n) each",
        "    spikes, state = model(x, state)",
    ),
    tested=True,
)
"""rockpool/nn/modules/torch/nir.py: CubaLIF becomes LIFTorch; LIF is refused there (it has no tau_mem) and LI gets a whole
number of seconds; r gives the time step, dt = tau_mem / (1 + r); no convolution. lif_torch.py: max_spikes_per_dt = 2^16."""


def _as_dialect(name: str, title: str, *, reset: str = "", **more: object) -> Loader:
    """The loader of a framework that imports by the rules of its dialect."""
    found = DIALECTS[name]
    rules = found.convention
    kinds = {}
    for kind in found.neurons:
        kinds[kind] = Limits(
            "one" if "r" in rules.ignores else "free",
            "one" if "w_in" in rules.ignores else "free",
            leak="v_leak" not in rules.ignores,
            reset="v_reset" not in rules.ignores and rules.reset == "value",
            resets=(rules.reset,) if kind not in ("LI", "CubaLI") else (),
            bounded=kind in found.bounded,
        )
    return Loader(title, rules, kinds, dt_free=not found.dt_fixed, **more)  # type: ignore[arg-type]


LOADERS: Mapping[str, Loader] = MappingProxyType(
    {
        "nir": Loader(
            "NIR's own equations, forward Euler (snnport itself)",
            PLAIN,
            {kind: Limits() for kind in ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")},
            linear=(*MAPS, "Scale", "Threshold", "Delay"),
            own=True,
            call=("snnport run {file} --dialect nir --dt {dt!r} --reset value --engine reference --input X.npz",),
            tested=True,
        ),
        "snntorch": _SNNTORCH,
        "norse": _NORSE,
        "norse-1.1.0": _NORSE,
        "sinabs": _SINABS,
        "spikingjelly": _SPIKINGJELLY,
        "rockpool": _ROCKPOOL,
        "spyx": _as_dialect(
            "spyx",
            "Spyx 1.0.0, from_nir",
            linear=("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten"),
            order="chain",
            loops="none",
            reset_first=("CubaLIF",),
            call=("import nir, spyx.nir", "model, spikes = spyx.nir.from_nir(nir.read({file!r}), x, dt=1)  # x: steps first"),
        ),
        "lava": _as_dialect(
            "lava",
            "Lava 0.10.0, the NIR paper's nir_to_lava.py",
            linear=("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten"),
            order="chain",
            loops="none",
            call=("import nir, nir_to_lava", "nodes, start, layers = nir_to_lava.import_from_nir_to_lava(nir.read({file!r}))"),
        ),
        "nengo": _as_dialect(
            "nengo",
            "Nengo 4.1.0, the NIR paper's nir_to_nengo.py",
            linear=("Affine", "Linear"),
            call=("import nir, nir_to_nengo", "network = nir_to_nengo.nir_to_nengo(nir.read({file!r}), dt={dt!r})"),
        ),
        "hxtorch": _as_dialect(
            "hxtorch",
            "hxtorch in mock mode, from_nir",
            linear=("Linear",),
            order="chain",
            loops="none",
            call=("import nir, hxtorch.spiking", "network = hxtorch.spiking.from_nir(nir.read({file!r}), dt={dt!r})"),
        ),
        "jaxsnn": _as_dialect(
            "jaxsnn",
            "jaxsnn 0.3.0, from_nir",
            linear=("Linear",),
            order="chain",
            loops="none",
            refuses="it runs on events in continuous time, where no two steps exist: spikes only come near those of a step",
        ),
        "spinnaker2": _as_dialect(
            "spinnaker2", "SpiNNaker2, s2_nir", linear=("Affine", "Linear"), call=("import s2_nir  # with nir.read({file!r})",)
        ),
    }
)
"""Dialects that `export --format nir --dialect NAME` writes. The norse dialect is that of Norse 1.1.0 and what follows it."""
