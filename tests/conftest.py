"""Eight CPU devices, strict types and shapes, no compilation cache."""

import os

os.environ["SEEDBED_CACHE"] = "off"  # for the processes that tests start, too
# Tests compile hundreds of small programs and run them for moments: twice as fast in all.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=1"

import jax
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture
def one_device():
    """A single device, for what should not be sharded."""
    return jax.local_devices()[:1]
