"""What a graph's neurons mean: the rules that a NIR file leaves open and that every framework fills in differently."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from snnport.errors import InvalidGraph, UnknownName

RESETS = ("zero", "value", "subtract", "none")
DECAYS = ("euler", "exponential")
COMPARISONS = (">", ">=")
GAINS = ("leak", "unit", "keep")
DTYPES = ("float64", "float32", "lava-fixed")
CHOICES = MappingProxyType(
    {
        "reset": RESETS,
        "decay": DECAYS,
        "comparison": COMPARISONS,
        "integrator_gain": ("dt", "unit"),
        "leaky_gain": GAINS,
        "membrane_gain": GAINS,
        "synapse_gain": GAINS,
        "update": ("product", "increment", "divided"),
        "current": ("new", "old"),
        "reset_when": ("at_once", "next_start", "next_end", "carried"),
        "loop_start": ("rest", "nothing"),
        "start": ("leak", "reset"),
        "dtype": DTYPES,
    }
)
"""The rules that are one word of several: field of Convention -> the words."""
LISTS = ("ignores", "reset_first", "unbounded")
"""Fields of Convention that are tuples of names."""
PARAMETERS = ("r", "w_in", "v_leak", "v_reset")
"""Fields of NIR's neurons that a framework may leave unread; unread they are 1, 1, 0 and 0."""


@dataclass(frozen=True)
class Convention:
    """How a framework means its graph: what a neuron does in one step, and when a spike arrives.

    Time. dt: seconds a step. tau_unit: seconds that a time constant of 1 means.
    Reading. ignores: fields that do not count, of PARAMETERS. unity: a gain this near to 1 is 1 (relative).
    One step, with a = 1 - dt/tau ("euler") or exp(-dt/tau) ("exponential") for what is kept, x for what arrives:
      synapse  i = a_s i + g_s w_in x     membrane  v = a v + (1 - a) v_leak + g r i     (i = x where there is no synapse)
      integrator  v = v + g r x
    decay: which a. *_gain: g of integrators (I, IF; "dt": dt, "unit": 1), of leaky integrators (LI), of membranes (LIF,
    CubaLI, CubaLIF) and of synapses ("leak": 1 - a, "unit": 1, "keep": a, the input decays once before it counts).
    update: how v is rounded, v = a v + ... ("product"), v = v + (1 - a) (v_leak + r i - v) ("increment", gain "leak" only), or
    the latter with dt / tau for 1 - a, divided, and r i added behind it where its gain is 1 ("divided", without synapses).
    current: the membrane takes the synapse's current of this step ("new") or of the step before ("old").
    Firing. comparison: of v with the threshold. multi_spike: as often as the threshold fits into v. v_min: lower bound of v
    in units of the threshold, None for none. unbounded: the names of neurons that it does not hold for.
    reset: v to v_reset ("value"), to 0 ("zero"), the threshold taken off ("subtract"), or nothing ("none"). reset_when: in
    the step that fires ("at_once"), or in the next, before ("next_start") or after ("next_end") its integration; "carried":
    at once, and where v stays above the threshold all the same, the next comparison is with v less one threshold.
    reset_first: the names of neurons whose reset comes before the integration of the next step where that of the others
    comes after it.
    Delivery, in steps. spike_delay: from crossing the threshold to the spike. synapse_delay: through a weighted node.
    recurrent_delay: once around a closed loop, at least. loop_start: before that, loops and delayed nodes carry what they
    carry in silence, their biases ("rest"), or 0 ("nothing").
    start: potentials are v_leak before the first step (0 in integrators), or v_reset ("reset").
    dtype: of states and sums; "lava-fixed" are Loihi's integers as NIR's paper/nir_to_lava.py scales them.
    """

    name: str
    dt: float
    decay: str = "euler"
    reset: str = "value"
    comparison: str = ">"
    multi_spike: bool = False
    recurrent_delay: int = 1
    v_min: float | None = None
    tau_unit: float = 1.0
    ignores: tuple[str, ...] = ()
    unity: float = 0.0
    integrator_gain: str = "dt"
    leaky_gain: str = "leak"
    membrane_gain: str = "leak"
    synapse_gain: str = "leak"
    update: str = "product"
    current: str = "new"
    reset_when: str = "at_once"
    reset_first: tuple[str, ...] = ()
    unbounded: tuple[str, ...] = ()
    spike_delay: int = 0
    synapse_delay: int = 0
    loop_start: str = "rest"
    start: str = "leak"
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for rule, words in CHOICES.items():
            if getattr(self, rule) not in words:
                raise UnknownName.among(rule, getattr(self, rule), words)
        for field in self.ignores:
            if field not in PARAMETERS:
                raise UnknownName.among("parameter", field, PARAMETERS)
        for rule in ("dt", "tau_unit"):
            value = getattr(self, rule)
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise InvalidGraph(rule, f"{value!r} is no positive number of seconds")
        for rule in ("recurrent_delay", "spike_delay", "synapse_delay"):
            value = getattr(self, rule)
            if not (isinstance(value, int) and value >= 0):
                raise InvalidGraph(rule, f"{value!r} is no number of steps")

    def having(self, **changes: Any) -> Convention:
        """This convention with some of its rules changed."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return {**asdict(self), **{key: list(getattr(self, key)) for key in LISTS}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Convention:
        """The convention that `data` describes."""
        return cls(**{**data, **{key: tuple(data.get(key, ())) for key in LISTS}})


CODED = Convention("snnport", dt=1e-3, reset="subtract", comparison=">=")
"""Networks that snnport converted: integrate and fire, subtracting reset, no decay. dt only sets the scale of time."""


@dataclass(frozen=True)
class Window:
    """When a coded population listens and fires, in steps.

    arrival: first step in which input may arrive. open: first step in which it may fire. It fires in open..open+levels-1.
    role: "gated" (opened at `open`, closed before and after), "relay" (passes spikes on), "readout" (never fires; its
    potential after step `open` is the logit), "free" (never closed: in the rate code open all the time; in the delay code it
    has nothing to fire before `open`, and is expected to have fired all of it after `levels` steps).
    """

    role: str
    arrival: int
    open: int
    levels: int


@dataclass(frozen=True)
class Coding:
    """How a converted network carries numbers as spikes; it travels in the graph's metadata under "snnport", as JSON.

    code: one of docs/codes.md. encoder: CountEncoder.to_json() of the input. windows: neuron node name -> Window.
    """

    code: str
    n_steps: int
    encoder: Mapping[str, Any]
    windows: Mapping[str, Window]

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return {**asdict(self), "windows": {name: asdict(w) for name, w in self.windows.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coding:
        """The coding that `data` describes. Raises KeyError, TypeError or ValueError if it describes none."""
        windows = {name: Window(**w) for name, w in data["windows"].items()}
        steps = [data["n_steps"], *(n for w in windows.values() for n in (w.arrival, w.open, w.levels))]
        if not all(isinstance(n, int) for n in steps):
            raise ValueError("a number of steps is no integer")
        return cls(data["code"], data["n_steps"], data["encoder"], windows)


def coding_of(metadata: Mapping[str, Any]) -> Coding | None:
    """The coding in a graph's metadata, or None if snnport did not convert the graph. Raises InvalidGraph if damaged."""
    text = metadata.get("snnport")
    if text is None:
        return None
    try:
        data = json.loads(text)["coding"]
        return None if data is None else Coding.from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidGraph("metadata 'snnport'", f"it cannot be read ({error!r})", "Convert the network again") from None


PLAIN = Convention("nir", dt=1e-4)
"""What NIR itself says of its neurons: reset to v_reset, fire on v > v_threshold. Its dt is a guess, for leaky neurons only."""


def convention_of(metadata: Mapping[str, Any]) -> Convention:
    """The convention in a graph's metadata; CODED for a graph that snnport converted, PLAIN where nothing is said.

    Raises InvalidGraph if it is damaged.
    """
    try:
        data = json.loads(metadata.get("snnport", "{}")).get("convention")
        if data is not None:
            return Convention.from_json(data)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidGraph("metadata 'snnport'", f"its convention cannot be read ({error!r})", "Write it again") from None
    return PLAIN if coding_of(metadata) is None else CODED
