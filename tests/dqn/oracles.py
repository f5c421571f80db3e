"""rlax and flashbax, whose results ours must equal; their imports alone may warn."""

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
    """While open, JAX promotes types and ranks, and warnings pass, as these libraries expect."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
