"""What to try where accuracy was lost, with an estimate of what it gives.

An estimate takes the part of the loss that the option acts on, and from it the share that went away where this was measured:
an error that halves leaves half of the changed answers (levels), four times the input levels a quarter of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snnport.report.losses import Activity, Hint, Layer

WORTH = 0.002
"""Losses below this are left alone."""
BY_TUNING = 0.6
"""Share of the loss of activations that fine-tuning wins back (ResNet-20 on CIFAR-10, 4 and 8 levels: 0.6 to 0.9)."""


@dataclass(frozen=True)
class Chosen:
    """What the network was converted with. tuned: whether it was fine-tuned."""

    code: str
    levels: int
    input_levels: int
    bits: int
    steps: int
    tuned: bool
    exact: bool


def hints(
    losses: Mapping[str, float], layers: Sequence[Layer], activity: Sequence[Activity], chosen: Chosen
) -> tuple[Hint, ...]:
    """Hints, the most promising first. losses: stage -> what it lost against the one before, as a fraction."""
    found = [*_input(layers, chosen), *_activations(losses, layers, chosen), *_weights(losses, chosen)]
    found += [*_spiking(losses, chosen), *_clipping(activity, chosen)]
    return tuple(sorted(found, key=lambda hint: -(hint.gain or 0.0)))


def _lost_at_input(layers: Sequence[Layer]) -> float:
    return 1.0 - layers[0].agreement if layers else 0.0


def _input(layers: Sequence[Layer], chosen: Chosen) -> Iterator[Hint]:
    lost = _lost_at_input(layers)
    if lost > WORTH and chosen.input_levels < 256 and chosen.code != "rate":
        more = 4 * chosen.input_levels
        why = f"rounding the input to {chosen.input_levels} levels alone changes {100 * lost:.1f} % of the answers"
        yield Hint(why, f"--input-levels {more}", 0.75 * lost)


def _activations(losses: Mapping[str, float], layers: Sequence[Layer], chosen: Chosen) -> Iterator[Hint]:
    lost = losses.get("quantised activations", 0.0)
    if lost <= WORTH:
        return
    rest = max(lost - _lost_at_input(layers), 0.0) if layers else lost
    why = f"counting to {chosen.levels} loses {100 * lost:.1f} points"
    yield Hint(f"{why}; twice the levels halve the error, for twice the steps", f"--levels {2 * chosen.levels}", 0.5 * rest)
    if not chosen.tuned and chosen.code in ("gate", "ramp", "ttfs", "rate"):
        yield Hint(f"{why}; training wins back most of it", "--finetune 10 --train-data FILE", BY_TUNING * lost)


def _weights(losses: Mapping[str, float], chosen: Chosen) -> Iterator[Hint]:
    lost = losses.get("quantised weights", 0.0) + losses.get("fitted weights", 0.0)
    if lost > WORTH:
        yield Hint(f"weights of {chosen.bits} bits lose {100 * lost:.1f} points", f"--bits {min(chosen.bits + 2, 16)}", lost)


def _spiking(losses: Mapping[str, float], chosen: Chosen) -> Iterator[Hint]:
    lost = losses.get("lowered", 0.0)
    if lost > WORTH and not chosen.exact:
        why = f"the {chosen.code} code is not exact: spikes that come in another order lose {100 * lost:.1f} points"
        yield Hint(why, "--code gate", lost)
        yield Hint(f"{why}; more steps let more of them settle", f"--steps {2 * chosen.steps}", 0.5 * lost)


def _clipping(activity: Sequence[Activity], chosen: Chosen) -> Iterator[Hint]:
    clipped = [a for a in activity if a.clipped >= 0.05]
    if clipped:
        worst = max(clipped, key=lambda a: a.clipped)
        why = f"{100 * worst.clipped:.1f} % of the counts of {worst.population} stand at the clip {worst.levels}"
        yield Hint(why, "--thresholds 99.9", None)
