"""The choice between forms of one computation that differ in how many kernels they launch.

On a GPU a small kernel costs microseconds to start, so that forms with few kernels win although
they move or compute more. CPUs and TPUs run a program as one, and there the forms win that move
less.
"""

from collections.abc import Callable
from typing import Any

from jax import lax


def by_platform(*args: Any, gpu: Callable[..., Any], other: Callable[..., Any]) -> Any:
    """Returns `gpu(*args)` in programs that are compiled for a GPU, else `other(*args)`.

    Both must give the same up to rounding. Both are traced, and one is compiled.
    """
    return lax.platform_dependent(*args, cuda=gpu, rocm=gpu, default=other)


def is_gpu(device: Any) -> bool:
    """Whether a device is a GPU."""
    return device.platform in ("gpu", "cuda", "rocm")
