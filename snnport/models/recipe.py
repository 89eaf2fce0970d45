"""A recipe: a network and how to train it, as frozen data. No framework is needed to read one.

To add one: a file of its own with a builder and a `Recipe`, and its line in registry.RECIPES. `snnport train NAME` does the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput, UnknownName
from snnport.graph import Graph


@dataclass(frozen=True)
class Fit:
    """How a network is trained; parts with options are spelled `name{option=value}` (snnport/spelling.py).

    loss, regularisers, augment, surrogate, schedule, optimiser: names of those tables; the rate is `lr`.
    encoder: how a sample becomes steps: "none" for samples that have steps, else of snnport/training/encoding.py.
    clip_grad: longest gradient, None for any. tbptt: steps after which gradients are cut, 0 for none. trainable: fields that
    are learned. validation: fraction of the training set that is held out to choose the best epoch; 0: the last epoch.
    patience: epochs without a better one on the validation part before it stops, 0 for never. average: decay a step of a
    moving average of what is learned, which is then what is judged and kept; 0 for none.
    """

    epochs: int
    batch_size: int
    lr: float
    loss: str
    encoder: str = "none"
    decoder: str = ""
    optimiser: str = "adam"
    schedule: str = "constant"
    surrogate: str = "fast-sigmoid"
    regularisers: tuple[str, ...] = ()
    augment: tuple[str, ...] = ()
    trainable: tuple[str, ...] = ("weight", "bias")
    clip_grad: float | None = None
    weight_decay: float = 0.0
    tbptt: int = 0
    checkpoint_steps: int = 0
    detach_reset: bool = True
    seed: int = 0
    validation: float = 0.0
    patience: int = 0
    average: float = 0.0


@dataclass(frozen=True)
class Option:
    """A flag that `snnport train NAME` takes for one recipe. name: as typed, without dashes ("hidden-size").

    The value replaces the setting of that name (underscores for dashes) in the recipe's network, else in its fit.
    """

    name: str
    kind: type
    help: str
    choices: tuple[str, ...] = ()

    @property
    def setting(self) -> str:
        """The setting that it replaces."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Recipe:
    """A network, its data, and how it is trained.

    build: the untrained graph, from the settings of `network` and a seed; its convention stands in its metadata.
    data: the samples, from the user's folder (None: by download, or as made by the loader). network: the builder's settings.
    options: recipe-specific flags. reset: how its neurons reset, in words. must_reach: accuracy (or bound) on the test set.
    source: where the network was published. trained_by: what trains it, "module:function"; the gradient if empty.
    tiny: settings, of network or fit, for a run of seconds.
    """

    name: str
    about: str
    source: str
    reset: str
    build: Callable[[Mapping[str, Any], int], Graph]
    data: Callable[[Path | None, Mapping[str, Any]], Splits]
    fit: Fit
    network: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    must_reach: float | None = None
    trained_by: str = ""
    tiny: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", MappingProxyType(dict(self.network)))
        object.__setattr__(self, "tiny", MappingProxyType(dict(self.tiny)))

    def having(self, **settings: Any) -> Recipe:
        """This recipe with other settings of its network or, where that has none of the name, of its fit.

        Raises UnknownName for a setting that neither has, InvalidInput for one that is out of its range.
        """
        of_fit = {f.name for f in fields(Fit)}
        known = [*self.network, *sorted(of_fit)]
        for name in settings:
            if name not in known:
                raise UnknownName.among(f"setting of {self.name}", name, known)
        for name in ("epochs", "batch_size", "hidden_size", "lr", "dt", "tau_m", "tau_adapt", "v_threshold", "clip_grad"):
            value = settings.get(name)
            if isinstance(value, int | float) and not value > 0:
                raise InvalidInput(f"{self.name}: {name.replace('_', '-')}", f"{value} is not above 0")
        network = {name: value for name, value in settings.items() if name in self.network}
        fit = {name: value for name, value in settings.items() if name not in self.network}
        return replace(self, network={**self.network, **network}, fit=replace(self.fit, **fit))
