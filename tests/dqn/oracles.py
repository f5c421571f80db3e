"""rlax and flashbax, whose answers ours must equal. Their imports and theirs alone may warn."""

import contextlib
import warnings

import jax

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flashbax
    import rlax

__all__ = ["flashbax", "lenient", "rlax"]


@contextlib.contextmanager
def lenient():
    """JAX as these libraries expect it: types and ranks mix, and they may warn."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
