"""The arrays that an MLP trains on, and the choice of the data.

Shape letters: N rows, F features, K classes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from research.mlp.images import IMAGES

BUNDLED = ("digits", "breast_cancer", "wine", "iris", "diabetes")  # with scikit-learn
TARGET_TYPES = ("auto", "classes", "numbers")
DATA_HELP = f"{', '.join([*BUNDLED, *IMAGES])}, or a CSV or Parquet file"


class Split(NamedTuple):
    """The rows of one part.

    Attributes:
      x: float32 [N, F]; uint8 for named images.
      y: int32 [N] for classification, float32 [N] for regression.
    """

    x: Any
    y: Any


@struct.dataclass
class Dataset:
    """A data set in three parts.

    Attributes:
      train, validation, test: `Split`s.
      x_mean, x_scale: float32 [F], for standardizing uint8 rows; float32 rows are standardized
        already, by the training part.
      x_low, x_high: float32 [F], the bounds of a standardized row.
      radius: float32 [F], the radius 1 of an attack: one standard deviation of a numeric feature,
        black to white for a pixel, 0 for a feature that is not continuous, such as a category.
      target_mean, target_scale: float32 scalars that standardize a regression target; 0 and 1 for
        classification.
      class_weights: float32 [K], the weight of each class in the loss.
      classes: K; 0 for regression. Static.
      image: (height, width, channels) if a row is an image, else (). Static.
    """

    train: Split
    validation: Split
    test: Split
    x_mean: Any
    x_scale: Any
    x_low: Any
    x_high: Any
    radius: Any
    target_mean: Any
    target_scale: Any
    class_weights: Any
    classes: int = struct.field(pytree_node=False)
    image: tuple[int, ...] = struct.field(pytree_node=False, default=())

    def standardized(self, x: Any) -> jax.Array:
        """Standardized rows, float32, as the net reads them."""
        x = jnp.asarray(x)
        if x.dtype != jnp.uint8:
            return x
        return (x.astype(jnp.float32) - self.x_mean[None, :]) / self.x_scale[None, :]


class DataChoice(NamedTuple):
    """The data and how it is read: the fields of these names of `Config`."""

    data: str
    target: str = ""
    test_data: str = ""
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    target_type: str = "auto"
    min_category: int = 1
    split_seed: int = 0
