"""The score of a net on adversarial examples.

Shape letters: M radii.
"""

import jax
import jax.numpy as jnp

from research.mlp.attacks import attack
from research.mlp.config import Config
from research.mlp.dataset import Dataset, Split
from research.mlp.loss import margin, predicted_class
from research.mlp.task import make_box, make_input_gradient, make_model


def robustness(
    config: Config,
    shared: Dataset,
    params: object,
    rows: Split,
    radii_M: jax.Array,
    steps: int,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The scores of one run under FGSM and under PGD, for every radius; see `attack`.

    PGD follows the loss from FGSM's point and the margin from a random one. Where a net is so
    confident that the gradient of its loss vanishes, the loss alone would make it look robust.

    Args:
      config: the config of the net; the attacks increase its loss.
      shared: the data, which defines the radius 1.
      params: the params of the run.
      rows: the rows to attack.
      radii_M: float32, in increasing order.
      steps: PGD steps from each of the two starts.
      key: typed.

    Returns:
      float32 [M] each: the accuracy; for regression the root mean squared error, in the unit of the
      target.
    """
    model, y_B = make_model(config, shared), jnp.asarray(rows.y)

    def errors(x_BxF: jax.Array) -> jax.Array:
        outputs_BxK: jax.Array = model.apply({"params": params}, x_BxF)  # pyright: ignore
        if shared.classes:
            return (predicted_class(outputs_BxK) != y_B).astype(jnp.float32)
        return jnp.square(outputs_BxK[:, 0] - y_B)

    by_loss = make_input_gradient(config, shared, params, y_B)
    by_margin = by_loss
    if shared.classes:
        by_margin = make_input_gradient(config, shared, params, y_B, margin)
    x_BxF, box = shared.standardized(rows.x), make_box(shared)
    both = attack(by_loss, errors, x_BxF, radii_M, box, steps, key, by_margin)

    def score(errors_MxB: jax.Array) -> jax.Array:
        if shared.classes:
            return jnp.mean(1 - errors_MxB, axis=1)
        return jnp.sqrt(jnp.mean(errors_MxB, axis=1)) * shared.target_scale

    return score(both[0]), score(both[1])
