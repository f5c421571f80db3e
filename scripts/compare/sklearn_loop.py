"""scikit-learn's MLPClassifier, for `scripts/bench` to time.

    python sklearn_loop.py DATA.npz HIDDEN SECONDS

prints, as JSON, examples per second and what was trained. This script needs scikit-learn
and nothing of this project. OMP_NUM_THREADS is the number of its threads.
"""

import json
import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

EPOCHS = 20


def main(path: str, hidden: int, seconds: float, batch_size: int = 64) -> dict:
    """Trains with Adam at its defaults and ReLU for at least `seconds`."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    data = np.load(path)
    x, y = data["x"], data["y"]
    updates, spent, params = 0, 0.0, 0
    while spent < seconds:
        model = MLPClassifier(
            hidden_layer_sizes=(hidden,),
            batch_size=batch_size,  # pyright: ignore[reportArgumentType]
            alpha=0.0, max_iter=EPOCHS,
            n_iter_no_change=EPOCHS, tol=0.0,
        )  # fmt: skip
        began = time.perf_counter()
        model.fit(x, y)
        spent += time.perf_counter() - began
        updates += model.n_iter_ * -(-len(x) // batch_size)
        params = sum(leaf.size for leaf in [*model.coefs_, *model.intercepts_])
    examples = updates * batch_size * len(x) / (-(-len(x) // batch_size) * batch_size)
    return {"units_per_second": examples / spent, "updates": updates, "batch": batch_size,
            "params": params}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
