"""Accuracy of a sweep on the digits beside scikit-learn's MLPClassifier: net, batch, epochs, split
and preprocessing the same.

    scripts/run scripts/compare/mlp_against_sklearn.py
"""

import time
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from research.mlp import PRESETS, HParams, make_problem
from research.sweep import sweep
from research.sweep.machine import configure_jax, device_facts

SEEDS, LEARNING_RATE = 128, 3e-3


def sklearn_accuracies(shared, epochs: int) -> list[float]:
    """Test accuracy for each seed."""
    settings: dict[str, Any] = {
        "hidden_layer_sizes": (128,),
        "batch_size": 64,
        "learning_rate_init": LEARNING_RATE,
        "alpha": 0.0,
        "max_iter": epochs,
        "n_iter_no_change": epochs,
    }
    accuracies = []
    for seed in range(SEEDS):
        net = MLPClassifier(**settings, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the budget is the budget
            net.fit(shared.train.x, shared.train.y)
        accuracies.append(net.score(shared.test.x, shared.test.y))
    return accuracies


def main() -> None:
    """Prints both medians and both times."""
    preset = PRESETS["digits"]
    problem = make_problem(preset.config)
    steps_per_epoch = len(problem.shared.train.x) // preset.config.batch_size
    began = time.perf_counter()
    hparams = HParams(learning_rate=LEARNING_RATE)
    swept = sweep(problem.task, problem.shared, hparams, SEEDS, preset.steps)
    ours = swept.metrics[swept.metrics["step"] == preset.steps]["test_accuracy"]
    took = time.perf_counter() - began
    print(device_facts())
    print(
        f"sweep:        median {np.median(ours):.4f} of {SEEDS} seeds, {took:.0f} s with compiling"
    )
    began = time.perf_counter()
    theirs = sklearn_accuracies(problem.shared, round(preset.steps / steps_per_epoch))
    took = time.perf_counter() - began
    print(f"scikit-learn: median {np.median(theirs):.4f} of {SEEDS} seeds, {took:.0f} s")


if __name__ == "__main__":
    configure_jax()
    main()
