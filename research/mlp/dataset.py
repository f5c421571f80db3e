"""What an MLP trains on, once it is read, and how one says which data that is.

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
    """Rows of one part: x float32 [N, F], or uint8 where they are images by name; y int32 [N]
    (classes) or float32 [N] (numbers)."""

    x: Any
    y: Any


@struct.dataclass
class Dataset:
    """A table in three parts.

    Attributes:
      train, validation, test: `Split`s.
      x_mean, x_scale: float32 [F], what standardizes a row that is uint8; those that are float32
        are standardized already, by the training part.
      x_low, x_high: float32 [F], between what a standardized row can lie.
      radius: float32 [F], how far an attack of radius 1 moves each feature: a standard deviation;
        of images, from black to white; 0 where it cannot move a little, as a category.
      target_mean, target_scale: float32 scalars, zero and unit of a regression target; 0 and 1 for
        classes.
      class_weights: float32 [K], by which the loss of each class is multiplied.
      classes: K; 0 for regression. Static.
      image: (height, width, channels) where a row is an image; () where it is none. Static.
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
        """Rows as the net reads them: float32."""
        x = jnp.asarray(x)
        if x.dtype != jnp.uint8:
            return x
        return (x.astype(jnp.float32) - self.x_mean[None, :]) / self.x_scale[None, :]


class DataChoice(NamedTuple):
    """Which data, and how it is read; the config's fields of these names."""

    data: str
    target: str = ""
    test_data: str = ""
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    target_type: str = "auto"
    min_category: int = 1
    split_seed: int = 0
