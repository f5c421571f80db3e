"""Feature attribution: integrated gradients, permutation importance, and the agreement of seeds.

Shape letters: B rows, F features, C columns, R runs.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.stats import rankdata

from research.mlp.config import Config
from research.mlp.dataset import Dataset, Split
from research.mlp.task import key_metric_of, make_model, scores_of
from research.task import Mean

Output = Callable[[jax.Array], jax.Array]  # [B, F] -> a scalar for each row, [B]


def integrated_gradients(
    output: Output, x_BxF: jax.Array, baseline_F: jax.Array, steps: int
) -> jax.Array:
    """The integrated gradients of `output` along the straight line from the baseline to each row:
    `(x_i - x'_i) * integral of d output / d x_i` (Sundararajan, Taly and Yan, 2017, eq. 1).

    The line is cut into `steps` pieces. The gradient on a piece is a weighted mean of those at its
    ends, with the weight that reproduces the change of the output. This is exact if the output is
    linear except for one kink, as where one ReLU switches; the trapezoidal rule needs about a
    hundred times as many pieces.

    Returns:
      float32 [B, F]. The sum over F is `output(x) - output(baseline)` (completeness, their
      proposition 1), except for pieces whose change no weight in [0, 1] reproduces.
    """
    line_BxF = x_BxF - baseline_F[None, :]
    value_and_gradient = jax.value_and_grad(
        lambda x: (lambda y_B: (jnp.sum(y_B), y_B))(output(x)), has_aux=True
    )

    def at(place: jax.Array | float) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The output, its input gradient, and its derivative along the line."""
        (_, output_B), gradient_BxF = value_and_gradient(baseline_F[None, :] + place * line_BxF)
        return output_B, gradient_BxF, jnp.sum(gradient_BxF * line_BxF, axis=1)

    def add(carry: tuple, step: jax.Array) -> tuple[tuple, None]:
        (output_B, gradient_BxF, along_B), total_BxF = carry
        end = at((step + 1) / steps)
        change_B, bend_B = steps * (end[0] - output_B), along_B - end[2]
        share_B = (change_B - end[2]) / jnp.where(bend_B == 0, 1, bend_B)
        share_Bx1 = jnp.where(bend_B == 0, 0.5, jnp.clip(share_B, 0, 1))[:, None]
        return (end, total_BxF + share_Bx1 * gradient_BxF + (1 - share_Bx1) * end[1]), None

    def add_some(carry: tuple, some: jax.Array) -> tuple[tuple, None]:
        start, total_BxF = carry
        (end, some_BxF), _ = lax.scan(add, (start, jnp.zeros_like(x_BxF)), some)
        return (end, total_BxF + some_BxF), None

    # Partial sums: one long sum of small numbers would lose the precision that many pieces gain.
    pieces = jnp.arange(steps, dtype=jnp.float32).reshape(-1, math.gcd(steps, 64))
    (_, total_BxF), _ = lax.scan(add_some, (at(0.0), jnp.zeros_like(x_BxF)), pieces)
    return line_BxF * total_BxF / steps


def make_output(config: Config, shared: Dataset, params: object, labels_B: jax.Array) -> Output:
    """The output to explain: a function of rows, [B, F] -> [B].

    It is the logit of each row's true class; for two classes, the logit of class 1 against class 0;
    for regression, the prediction in the unit of the target.
    """
    model = make_model(config, shared)

    def output(x_BxF: jax.Array) -> jax.Array:
        outputs_BxK: jax.Array = model.apply({"params": params}, x_BxF)  # pyright: ignore
        if outputs_BxK.shape[1] > 1:
            wanted_BxK = jax.nn.one_hot(labels_B, outputs_BxK.shape[1], dtype=jnp.float32)
            return jnp.sum(outputs_BxK * wanted_BxK, axis=1)
        return outputs_BxK[:, 0] * shared.target_scale

    return output


def explain(
    config: Config, shared: Dataset, params: object, rows: Split, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Integrated gradients of standardized rows, with the mean of the training part as baseline.

    Returns:
      float32 [B, F], and the completeness gap of each row, float32 [B], relative to the difference
      of outputs, or to 1 where that is smaller.
    """
    x_BxF, labels_B = shared.standardized(rows.x), jnp.asarray(rows.y)
    baseline_F = jnp.zeros(x_BxF.shape[1], jnp.float32)  # the mean, standardized
    output = make_output(config, shared, params, labels_B)
    attributions_BxF = integrated_gradients(output, x_BxF, baseline_F, steps)
    difference_B = output(x_BxF) - output(baseline_F[None, :])
    gap_B = jnp.abs(attributions_BxF.sum(axis=1) - difference_B)
    return attributions_BxF, gap_B / jnp.maximum(jnp.abs(difference_B), 1)


def permutation_importance(
    config: Config,
    shared: Dataset,
    params: object,
    rows: Split,
    members_CxF: jax.Array,
    repeats: int,
    key: jax.Array,
) -> jax.Array:
    """The permutation importance of each column: the score lost when its values are shuffled.

    Args:
      config: the config of the net.
      shared: the data.
      params: the params of the run.
      rows: the rows to predict.
      members_CxF: bool, the features that each column consists of, which are shuffled together.
      repeats: how many shuffles are averaged.
      key: typed.

    Returns:
      float32 [C]: how much worse the key metric of the config is, by default accuracy, or R^2 for
      regression.

    References: Breiman (2001); Fisher, Rudin and Dominici (2019).
    """
    model, x_BxF, y_B = make_model(config, shared), shared.standardized(rows.x), jnp.asarray(rows.y)

    name, key_metric = key_metric_of(config)
    sign = jnp.float32(1 if key_metric.higher_is_better else -1)

    def score(x_BxF: jax.Array) -> jax.Array:
        outputs_BxK: jax.Array = model.apply({"params": params}, x_BxF)  # pyright: ignore
        return sign * Mean.of(scores_of(config, shared, outputs_BxK, y_B)[name]).total

    def without(members_F_and_key: tuple[jax.Array, jax.Array]) -> jax.Array:
        members_F, column_key = members_F_and_key

        def once(key: jax.Array) -> jax.Array:
            shuffled_BxF = jax.random.permutation(key, x_BxF)
            return score(jnp.where(members_F[None, :], shuffled_BxF, x_BxF))

        return jnp.mean(lax.map(once, jax.random.split(column_key, repeats)))

    keys = jax.random.split(key, len(members_CxF))
    return score(x_BxF) - lax.map(without, (members_CxF, keys))


def in_top(importance_RxF: np.ndarray, top: int) -> np.ndarray:
    """How many runs have a feature among their `top` most important, and above 0: int [F]."""
    ranks_RxF = rankdata(-importance_RxF, axis=1, method="ordinal")
    return np.sum((ranks_RxF <= top) & (importance_RxF > 0), axis=0)


def rank_correlation(importance_RxF: np.ndarray) -> float:
    """The mean of Spearman's rank correlation over all pairs of runs: 1 where all order the
    features alike, about 0 where they agree by chance alone; NaN for a single run or feature."""
    runs = len(importance_RxF)
    if runs < 2 or importance_RxF.shape[1] < 2:
        return float("nan")
    ranks_RxF = rankdata(importance_RxF, axis=1)
    centred = ranks_RxF - ranks_RxF.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    units = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    total = np.sum(np.sum(units, axis=0) ** 2) - np.sum(units**2)  # of all pairs, twice
    return float(total / (runs * (runs - 1)))
