"""The choice between forms of one computation that suit different platforms.

On a GPU a small kernel costs microseconds to start, so that forms with few kernels win although
they move or compute more. On a TPU, too, no instruction is quicker than some two thousand cycles by
its compiler's estimate, and gathers, scatters and sums over many rows are slow. A CPU runs a
program as one, and there the forms win that move less.
"""

from collections.abc import Callable
from typing import Any

from jax import lax


def by_platform(
    *args: Any,
    gpu: Callable[..., Any] | None = None,
    tpu: Callable[..., Any] | None = None,
    other: Callable[..., Any],
) -> Any:
    """Returns `gpu(*args)` in programs that are compiled for a GPU and `tpu(*args)` in those for a
    TPU, if they are given, and `other(*args)` elsewhere.

    All must give the same up to rounding. All are traced, and one is compiled.
    """
    forms = {"cuda": gpu, "rocm": gpu, "tpu": tpu}
    forms = {platform: form for platform, form in forms.items() if form is not None}
    return lax.platform_dependent(*args, **forms, default=other)
