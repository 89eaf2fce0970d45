"""What a graph's neurons mean: the rules that a NIR file leaves open and that every framework fills in differently."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from snnport.errors import InvalidGraph, UnknownName

RESETS = ("zero", "value", "subtract")
DECAYS = ("euler", "exponential")
COMPARISONS = (">", ">=")


@dataclass(frozen=True)
class Convention:
    """How a framework means its graph.

    dt: seconds a step. decay: "euler" (factor 1 - dt/tau) or "exponential" (factor exp(-dt/tau)).
    reset: "value" puts v to v_reset, "zero" to 0, "subtract" takes the threshold off. comparison: of v with the threshold.
    multi_spike: a neuron may fire as often as the threshold fits into v. recurrent_delay: steps a closed loop waits.
    v_min: lower bound of v in units of the threshold, None for none.
    """

    name: str
    dt: float
    decay: str = "euler"
    reset: str = "value"
    comparison: str = ">"
    multi_spike: bool = False
    recurrent_delay: int = 1
    v_min: float | None = None

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("reset", self.reset, RESETS),
            ("decay", self.decay, DECAYS),
            ("comparison", self.comparison, COMPARISONS),
        ):
            if value not in known:
                raise UnknownName.among(kind, value, known)
        if not (isinstance(self.dt, int | float) and 0 < self.dt < math.inf):
            raise InvalidGraph("dt", f"{self.dt!r} is no positive number of seconds")

    def having(self, **changes: Any) -> Convention:
        """This convention with some of its rules changed."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Convention:
        """The convention that `data` describes."""
        return cls(**data)


CODED = Convention("snnport", dt=1e-3, reset="subtract", comparison=">=")
"""Networks that snnport converted: integrate and fire, subtracting reset, no decay. dt only sets the scale of time."""


@dataclass(frozen=True)
class Window:
    """When a coded population listens and fires, in steps.

    arrival: first step in which input may arrive. open: first step in which it may fire. It fires in open..open+levels-1.
    role: "gated" (opened at `open`, closed before and after), "relay" (passes spikes on), "readout" (never fires; its
    potential after step `open` is the logit), "free" (always open, as in the rate code).
    """

    role: str
    arrival: int
    open: int
    levels: int


@dataclass(frozen=True)
class Coding:
    """How a converted network carries numbers as spikes; it travels in the graph's metadata under "snnport", as JSON.

    code: "gate" or "rate". encoder: CountEncoder.to_json() of the input. windows: neuron node name -> Window.
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
