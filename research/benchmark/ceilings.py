"""Measures the highest rates that a machine reaches in matrix products and copies.

The roofline of Williams, Waterman and Patterson (2009), with ceilings that are measured.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

SIZES = (256, 512, 1024, 2048, 4096, 8192)  # of square matrices
COPIED_BYTES = 2**27  # on each device: more than caches hold
SECONDS = 0.05  # the least that a repeat takes
REPEATS = 5


class Ceilings(NamedTuple):
    """The highest rates that all local devices reach together.

    Attributes:
      flops_per_second: precision -> FLOP/s of the best square matrix product.
      bytes_per_second: bytes read and written per second by a large copy.
    """

    flops_per_second: dict[str, float]
    bytes_per_second: float


def measure_ceilings(precisions: Sequence[str] = ("float32", "bfloat16")) -> Ceilings:
    """Measures the ceilings, with all devices working at the same time on data of their own."""
    flops = {name: max(_matmul_rates(name)) for name in precisions}
    return Ceilings(flops, _copy())


def _matmul_rates(precision: str) -> Iterator[float]:
    """Yields FLOP/s of products of two [size, size] matrices, of larger and larger ones until a
    single product takes longer than a repeat. Sums are in float32: on a CPU, XLA has no kernels
    with bfloat16 sums and is five times slower."""
    dtype = jnp.dtype(precision)
    for size in SIZES:
        # Each product takes the last one's result, so that XLA can leave none out.
        kernel = jnp.full((size, size), 1 / size, dtype)
        product = lambda y: lax.dot(y, kernel, preferred_element_type=jnp.float32).astype(dtype)  # noqa: B023
        rate = _rate(product, jnp.ones((jax.local_device_count(), size, size), dtype))
        yield 2 * size**3 * jax.local_device_count() * rate
        if rate * SECONDS < 1:
            return


def _copy() -> float:
    """Returns how many bytes per second a copy reads and writes."""
    x = jnp.zeros((jax.local_device_count(), COPIED_BYTES // 4), jnp.float32)
    copy = lambda y: lax.optimization_barrier(y + 1)
    return 2 * COPIED_BYTES * jax.local_device_count() * _rate(copy, x)


def _rate(work: Callable[[jax.Array], jax.Array], x: jax.Array) -> float:
    """Returns how often a second all devices do `work`, each on its part of `x` and with every
    result as the next argument; the fastest of a few repeats. `x` is donated."""
    mesh = Mesh(np.asarray(jax.local_devices()), ("device",))

    def on_each(x, turns):
        return lax.fori_loop(0, turns, lambda _, y: work(y), x[0])[None]

    sharded = jax.shard_map(
        on_each, mesh=mesh, in_specs=(P("device"), P()), out_specs=P("device"), check_vma=False
    )
    run = jax.jit(sharded, donate_argnums=0)
    x = run(jax.device_put(x, NamedSharding(mesh, P("device"))), np.int32(1))
    turns, best = 1, 0.0
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        x = jax.block_until_ready(run(x, np.int32(turns)))
        rate = turns / (time.perf_counter() - began)
        best, turns = max(best, rate), max(1, round(SECONDS * rate))
    return best
