"""Checks XLA's flag for deterministic operations, under which scatters have lost writes.

With jaxlib 0.5.3, `zeros.at[arange].set(x)` lost what was written to place 0
(https://github.com/jax-ml/jax/issues/27796).
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from research.benchmark.gpu_check.processes import Found, attempt

SIZES = (4, 100, 10_000)


def work(seconds: float) -> Iterator[Found]:
    """Yields whether all that is written is there, for values of several types and sizes."""
    del seconds  # it takes few
    for size in SIZES:
        for name, x in {
            "int32": np.arange(1, size + 1, dtype=np.int32),
            "float32": np.linspace(1, 2, size, dtype=np.float32),
            "rows": np.linspace(1, 2, 3 * size, dtype=np.float32).reshape(size, 3),
        }.items():
            yield attempt(f"zeros.at[arange({size})].set of {name}", _written, size, name, x)


def _written(size: int, name: str, x: np.ndarray) -> Found:
    write = jax.jit(lambda x: jnp.zeros_like(x).at[jnp.arange(size)].set(x))
    wrong = np.asarray(write(x)) != x
    return {
        "what": f"zeros.at[arange({size})].set of {name}",
        "right": not wrong.any(),
        "wrong": int(wrong.sum()),
        "first_wrong": int(np.argmax(wrong.reshape(size, -1).any(axis=1))) if wrong.any() else None,
    }
