"""How good a net is when its inputs are attacked.

Shape letters: M radii.
"""

import jax
import jax.numpy as jnp

from research.mlp.attacks import attack
from research.mlp.config import Config
from research.mlp.dataset import Dataset, Split
from research.mlp.loss import margin, predicted_class
from research.mlp.task import make_box, make_model, make_slope


def robustness(
    config: Config,
    shared: Dataset,
    params: object,
    rows: Split,
    radii_M: jax.Array,
    steps: int,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The score of one run under FGSM and under PGD, as `attack` makes them. PGD follows the loss
    from FGSM's point and the margin from a random one: where a net is so sure that its loss has no
    slope left, the loss alone would take it for robust.

    Args:
      config: of the net; its loss is what the attacks raise.
      shared: the data, which says how far a radius of 1 is.
      params: of the run.
      rows: to attack.
      radii_M: float32, in increasing order.
      steps: of PGD, from each of two starts.
      key: typed.

    Returns:
      float32 [M] each: accuracy; of numbers the root mean squared error, in the target's unit.
    """
    model, y_B = make_model(config, shared), jnp.asarray(rows.y)

    def errors(x_BxF: jax.Array) -> jax.Array:
        outputs_BxK: jax.Array = model.apply({"params": params}, x_BxF)  # pyright: ignore
        if shared.classes:
            return (predicted_class(outputs_BxK) != y_B).astype(jnp.float32)
        return jnp.square(outputs_BxK[:, 0] - y_B)

    slope = make_slope(config, shared, params, y_B)
    by_margin = make_slope(config, shared, params, y_B, margin) if shared.classes else slope
    x_BxF, box = shared.standardized(rows.x), make_box(shared)
    both = attack(slope, errors, x_BxF, radii_M, box, steps, key, by_margin)

    def score(errors_MxB: jax.Array) -> jax.Array:
        if shared.classes:
            return jnp.mean(1 - errors_MxB, axis=1)
        return jnp.sqrt(jnp.mean(errors_MxB, axis=1)) * shared.target_scale

    return score(both[0]), score(both[1])
