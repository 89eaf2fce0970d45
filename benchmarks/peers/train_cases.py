"""The networks of the training benchmark, as plain numbers that every contender builds its own module from."""

from __future__ import annotations

from typing import Any

import numpy as np

CLASSES = 10


class TrainCase:
    """name: "leaky-mlp", "lsnn-rows" or "lsnn-pixels". Arrays are float32; weights (target, source).

    leaky-mlp: 784-1000-10, the same image in all 25 steps, batch 128, decay 0.95, cross entropy of every step's potentials
    added up (snnTorch's tutorial 5). lsnn: 28 or 1 inputs, 400 neurons with all-to-all recurrence, 10 leaky readouts, batch 32,
    28 or 784 steps; dt 1 ms, tau 20 ms, tau of the threshold 200 ms, beta 1.8; cross entropy of the last potential.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.name = str(request["case"])
        self.threads = int(request["threads"])
        self.rule = str(request.get("rule", ""))
        rng = np.random.default_rng(0)
        self.steps, self.batch, inputs, self.hidden = {
            "leaky-mlp": (25, 128, 784, 1000),
            "lsnn-rows": (28, 32, 28, 400),
            "lsnn-pixels": (784, 32, 1, 400),
        }[self.name]
        self.recurrent = self.name != "leaky-mlp"

        def uniform(*shape: int) -> Any:
            return rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(shape[-1]))

        image = rng.random((self.batch, inputs if not self.recurrent else 784), np.float32)
        image *= rng.random(image.shape, np.float32) < 0.2
        self.x = image if not self.recurrent else image.reshape(self.batch, self.steps, inputs)
        self.w_in, self.b_in = uniform(self.hidden, inputs) * (4 if self.recurrent else 1), uniform(self.hidden) * 0
        self.w_rec = uniform(self.hidden, self.hidden) * np.float32(0.5)
        self.w_out, self.b_out = uniform(CLASSES, self.hidden), uniform(CLASSES) * 0
        self.y = rng.integers(0, CLASSES, self.batch)
        self.decay = 0.95
        self.tau, self.tau_adapt, self.beta, self.dt = 0.02, 0.2, 1.8, 1e-3
