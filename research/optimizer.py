"""Optax optimizers with traced hyper-parameters, so that one program serves all their values.

A task builds its optimizer from `hparams` inside every step, which costs only trace time; one kept
in the state would leak tracers from one chunk to the next.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from research.by_platform import by_platform


def adamw(
    learning_rate: Any,
    weight_decay: Any,
    b1: Any,
    b2: Any,
    max_grad_norm: Any = None,
    corrections: Any = None,
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019, algorithm 2), its decay scaled by the learning rate.

    Args:
      learning_rate, weight_decay, b1, b2: float32 scalars, traced or not. Biases do not decay.
      max_grad_norm: as in `adam`.
      corrections: `bias_corrections` of the step, if they are known; else they are computed.
    """
    decay = optax.add_decayed_weights(weight_decay, mask=_kernels)
    scaled = _scale_by_adam(b1, b2, corrections)
    return _descend(learning_rate, _clipped(max_grad_norm), scaled, decay)


def sgd(
    learning_rate: Any, weight_decay: Any, momentum: Any = None, max_grad_norm: Any = None
) -> optax.GradientTransformation:
    """Gradient descent with heavy-ball momentum (Polyak, 1964).

    Args:
      learning_rate, weight_decay, max_grad_norm: as in `adamw`.
      momentum: float32 scalar, traced or not; None costs nothing.
    """
    decay = optax.add_decayed_weights(weight_decay, mask=_kernels)
    moved = optax.identity() if momentum is None else optax.trace(decay=momentum)
    return _descend(learning_rate, _clipped(max_grad_norm), moved, decay)


def adam(learning_rate: Any, eps: Any, max_grad_norm: Any) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) on gradients clipped to a global norm (Pascanu et al., 2013).

    Args:
      learning_rate, eps: float32 scalars, traced or not.
      max_grad_norm: float32 scalar, traced or not; 0 turns clipping off, None also costs nothing.
    """
    return _descend(learning_rate, _clipped(max_grad_norm), optax.scale_by_adam(eps=eps))


def bias_corrections(t: jax.Array, b1: Any, b2: Any) -> tuple[jax.Array, jax.Array]:
    """Adam's bias corrections, 1 - b1^(t + 1) and 1 - b2^(t + 1), at the update `t` of a run,
    counted from 0.

    In a step, the two powers are a kernel of their own on a GPU; a `SplitStep` draws them ahead.
    """
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        return 1 - b1 ** (t + 1), 1 - b2 ** (t + 1)


def _scale_by_adam(b1: Any, b2: Any, corrections: Any) -> optax.GradientTransformation:
    """`optax.scale_by_adam`, the same to the bit, with bias corrections that may be given."""
    plain, eps = optax.scale_by_adam(b1, b2), 1e-8
    if corrections is None:
        return plain
    first, second = corrections

    def update(updates, state, params=None):
        del params
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        scaled = jax.tree.map(lambda m, v: (m / first) / (jnp.sqrt(v / second) + eps), mu, nu)
        return scaled, optax.ScaleByAdamState(optax.safe_increment(state.count), mu, nu)

    return optax.GradientTransformation(plain.init, update)


def radam(learning_rate: Any, max_grad_norm: Any) -> optax.GradientTransformation:
    """RAdam (Liu et al., 2020, algorithm 2) on gradients clipped as in `adam`."""
    return _descend(learning_rate, _clipped(max_grad_norm), optax.scale_by_radam())


def _descend(learning_rate: Any, *parts: optax.GradientTransformation) -> Any:
    """The chain of `parts`, followed by a step of `learning_rate` against the result."""
    chain = optax.chain(*parts, optax.scale_by_learning_rate(learning_rate))

    def update(updates, state, params=None, **extra):
        # Optax raises beta to the step count. That mixes float32 and int32 if beta is traced, and
        # would be float64 under JAX's x64 mode if beta is a Python float.
        with (
            jax.enable_x64(False),
            jax.numpy_dtype_promotion("standard"),
            jax.named_scope("optimizer"),
        ):
            return chain.update(updates, state, params, **extra)

    return optax.GradientTransformation(chain.init, update)


def _clipped(max_norm: Any) -> optax.GradientTransformation:
    return optax.identity() if max_norm is None else _clip(max_norm)


def _clip(max_norm: Any) -> optax.GradientTransformation:
    """Clips to a global norm that may be 0, which turns clipping off.

    `optax.clip_by_global_norm` divides every number by the norm before it multiplies; this scales
    all by one factor, which rounds differently.
    """

    def update(updates, state, params=None):
        del params
        norm = by_platform(updates, gpu=_flat_norm, other=optax.tree.norm)
        scale = jnp.where(max_norm > 0, jnp.minimum(1.0, max_norm / jnp.maximum(norm, 1e-12)), 1.0)
        return jax.tree.map(lambda leaf: scale * leaf, updates), state

    return optax.GradientTransformation(_stateless, update)


def _flat_norm(tree: Any) -> jax.Array:
    """The global norm, summed over one array: on a GPU each reduction is a kernel or two."""
    flat, _ = ravel_pytree(tree)
    return jnp.sqrt(jnp.sum(flat * flat))


def _stateless(params: Any) -> optax.EmptyState:
    del params
    return optax.EmptyState()


def _kernels(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
