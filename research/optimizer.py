"""Optax with hyper-parameters that are traced, so that one program can hold many values of them.

Built anew inside every step from `hparams`, which costs only trace time; a transformation kept in
the state would leak tracers from one chunk to the next.
"""

from typing import Any

import jax
import optax


def adamw(learning_rate: Any, weight_decay: Any, b1: Any, b2: Any) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019, algorithm 2) with the decay scaled by the rate.

    Args:
      learning_rate, weight_decay, b1, b2: float32 scalars, traced or not. Biases do not decay.
    """
    return _descend(optax.scale_by_adam(b1=b1, b2=b2), learning_rate, weight_decay)


def sgd(learning_rate: Any, weight_decay: Any, momentum: Any) -> optax.GradientTransformation:
    """Gradient descent with heavy-ball momentum (Polyak, 1964) and decay as in `adamw`."""
    return _descend(optax.trace(decay=momentum), learning_rate, weight_decay)


def _descend(
    direction: optax.GradientTransformation, learning_rate: Any, weight_decay: Any
) -> optax.GradientTransformation:
    """Step along `direction`, and shrink the kernels."""
    chain = optax.chain(
        direction,
        optax.add_decayed_weights(weight_decay, mask=_kernels),
        optax.scale_by_learning_rate(learning_rate),
    )

    def update(updates, state, params=None, **extra):
        # Optax raises beta to the step count; with a traced beta that mixes float32 and int32.
        with jax.numpy_dtype_promotion("standard"):
            return chain.update(updates, state, params, **extra)

    return optax.GradientTransformation(chain.init, update)


def _kernels(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
