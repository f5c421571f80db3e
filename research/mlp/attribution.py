"""What a net looks at: integrated gradients, what is lost when a column is shuffled, and how far
nets that differ in the seed alone agree on it.

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
from research.mlp.loss import accuracy, r2
from research.mlp.task import make_model

Output = Callable[[jax.Array], jax.Array]  # [B, F] -> one number a row, [B]


def integrated_gradients(
    output: Output, x_BxF: jax.Array, baseline_F: jax.Array, steps: int
) -> jax.Array:
    """How much each feature adds to `output` on the straight way from the baseline to the row:
    `(x_i - x'_i) * integral of d output / d x_i` (Sundararajan, Taly and Yan, 2017, eq. 1).

    The way is cut into `steps` pieces. The slope of a piece is taken from those at its ends, in the
    proportion in which they make up for what the output changes by: exact where it has one bend, as
    where one ReLU switches; an even mean would need some hundred times as many pieces.

    Returns:
      float32 [B, F]; the sum over F is `output(x) - output(baseline)` (completeness, their
      proposition 1) but for pieces whose change no such proportion explains.
    """
    way_BxF = x_BxF - baseline_F[None, :]
    slopes = jax.value_and_grad(
        lambda x: (lambda y_B: (jnp.sum(y_B), y_B))(output(x)), has_aux=True
    )

    def at(place: jax.Array | float) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Output, its slope, and the slope along the way."""
        (_, output_B), slope_BxF = slopes(baseline_F[None, :] + place * way_BxF)
        return output_B, slope_BxF, jnp.sum(slope_BxF * way_BxF, axis=1)

    def add(carry: tuple, step: jax.Array) -> tuple[tuple, None]:
        (output_B, slope_BxF, along_B), total_BxF = carry
        end = at((step + 1) / steps)
        change_B, bend_B = steps * (end[0] - output_B), along_B - end[2]
        share_B = (change_B - end[2]) / jnp.where(bend_B == 0, 1, bend_B)
        share_Bx1 = jnp.where(bend_B == 0, 0.5, jnp.clip(share_B, 0, 1))[:, None]
        return (end, total_BxF + share_Bx1 * slope_BxF + (1 - share_Bx1) * end[1]), None

    def add_some(carry: tuple, some: jax.Array) -> tuple[tuple, None]:
        start, total_BxF = carry
        (end, some_BxF), _ = lax.scan(add, (start, jnp.zeros_like(x_BxF)), some)
        return (end, total_BxF + some_BxF), None

    # Sums of sums: one long sum of small numbers would lose what many pieces gain.
    pieces = jnp.arange(steps, dtype=jnp.float32).reshape(-1, math.gcd(steps, 64))
    (_, total_BxF), _ = lax.scan(add_some, (at(0.0), jnp.zeros_like(x_BxF)), pieces)
    return way_BxF * total_BxF / steps


def make_output(config: Config, shared: Dataset, params: object, labels_B: jax.Array) -> Output:
    """What is explained: the logit of each row's true class (of two classes, that of class 1
    against class 0); of numbers the prediction, in the unit of the target."""
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
    """Integrated gradients of rows as the net reads them, from the mean of the training part.

    Returns:
      float32 [B, F], and the completeness gap of each row as a share of the difference of outputs,
      or of 1 where that is smaller, float32 [B].
    """
    x_BxF, labels_B = shared.standardized(rows.x), jnp.asarray(rows.y)
    baseline_F = jnp.zeros(x_BxF.shape[1], jnp.float32)  # what standardizing makes of the mean
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
    """How much worse a net is when the values of one column are dealt out to other rows (Breiman,
    2001; Fisher, Rudin and Dominici, 2019).

    Args:
      config: of the net.
      shared: the data.
      params: of the run.
      rows: to be predicted.
      members_CxF: bool, the features that each column consists of, which stay together.
      repeats: how often each is shuffled; the mean is returned.
      key: typed.

    Returns:
      float32 [C]: what is lost of the accuracy, or of numbers of R^2.
    """
    model, x_BxF, y_B = make_model(config, shared), shared.standardized(rows.x), jnp.asarray(rows.y)

    def score(x_BxF: jax.Array) -> jax.Array:
        outputs_BxK: jax.Array = model.apply({"params": params}, x_BxF)  # pyright: ignore
        return accuracy(outputs_BxK, y_B) if shared.classes else r2(outputs_BxK, y_B)

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
