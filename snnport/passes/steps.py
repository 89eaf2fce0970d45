"""Steps of counting rectifiers from samples: the least squared error, a percentile, or the greatest value.

Percentile: B. Rueckauer et al., Frontiers in Neuroscience 2017 (robust normalisation). Greatest value: P. Diehl et al.,
IJCNN 2015. Squared error: Y. Li et al., ICML 2021 (adaptive thresholds).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

Array = npt.NDArray[Any]
"""float64 or float32."""
MAX_VALUES = 1 << 17
"""Values a search looks at; more are thinned out evenly."""
RULES = "mse, max, or a percentile such as 99.9"


def percentile_of(thresholds: str) -> float | None:
    """The percentile that `thresholds` is, 100 for "max", None for "mse". Raises InvalidInput for anything else."""
    if thresholds in ("mse", "max"):
        return None if thresholds == "mse" else 100.0
    try:
        percentile = float(thresholds)
    except ValueError:
        percentile = 0.0
    if not 0 < percentile <= 100:
        raise InvalidInput("--thresholds", f"there is no rule '{thresholds}'", f"Known: {RULES}")
    return percentile


def step_by(thresholds: str, target: Array, values: Array, levels: int, maximum: float = np.inf) -> float:
    """The step that the rule `thresholds` finds: levels * step is the percentile of `target` among what is above 0, or the
    squared error between `target` and the counts of `values` is least. levels * step <= maximum."""
    percentile = percentile_of(thresholds)
    if percentile is None:
        return best_step(target, values, levels, maximum)
    positive = _thinned(target)
    positive = positive[positive > 0]
    top = float(np.percentile(positive, percentile)) if positive.size and percentile < 100 else float(target.max(initial=0.0))
    return min(top, maximum) / levels if top > 0 else 1.0 / levels


def best_step(target: Array, values: Array, levels: int, maximum: float = np.inf) -> float:
    """The step s that minimises sum (target - s * clip(floor(values / s + 1/2), 0, levels))^2, levels * s <= maximum."""
    target, values = _thinned(target), _thinned(values)
    top = min(max(float(target.max(initial=0.0)), float(values.max(initial=0.0))), maximum)
    if top <= 0:
        return 1.0 / levels
    kind = target.dtype.type

    def error(step: float) -> float:
        counts = np.clip(np.floor(values / kind(step) + kind(0.5)), 0, levels)
        return float(np.square(target - kind(step) * counts).sum(dtype=np.float64))

    coarse = top / levels * np.linspace(0.1, 1.0, 46)
    best = min(coarse, key=error)
    fine = best + (coarse[1] - coarse[0]) * np.linspace(-1, 1, 21)
    return float(min((s for s in fine if 0 < s * levels <= maximum), key=error, default=best))


def _thinned(values: Array) -> Array:
    flat = values.reshape(-1)
    return flat[:: max(1, -(-flat.size // MAX_VALUES))]
