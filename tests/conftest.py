"""Eight CPU devices, strict types and shapes, no compilation cache."""

import importlib.metadata
import os
import platform

os.environ["SEEDBED_CACHE"] = "off"  # for the processes that tests start, too
# Tests compile hundreds of small programs and run each for moments: without optimizing, then.
# Before JAX 0.11, most of what is left is spent on fused kernels. Without those, whether a product
# and a sum are rounded once or twice hangs on the loops around them, so bits hold only where no
# instruction does both at once, as in AVX. Another XLA_FLAGS is left as it is; empty compiles as a
# sweep does.
if "XLA_FLAGS" not in os.environ:
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    before_0_11 = importlib.metadata.version("jaxlib").startswith("0.10.")
    if before_0_11 and platform.machine() == "x86_64":
        flags += " --xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX"
    os.environ["XLA_FLAGS"] = flags

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
