"""Trained nets as a program that predicts without this package.

    schema.json          the columns, how each is encoded, the classes
    params.safetensors   the params, every tensor [members, ...]
    predict.jaxexport    encoded rows -> predictions, params included (`jax.export`)
    predict.py           a table -> encoded rows -> predictions, with numpy and jax alone

Shape letters: R members, N rows, F features.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from research.mlp.config import Config
from research.mlp.dataset import Dataset
from research.mlp.encoding import NONE
from research.mlp.tables import MISSING
from research.mlp.task import make_model, readable

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SCRIPT = Path(__file__).with_name("exported_predict.py")


def make_program(config: Config, shared: Dataset, params: Any) -> bytes:
    """The serialized program of one net, or of the mean of several.

    Args:
      config: of the nets.
      shared: the data they were trained on.
      params: every leaf [R, ...].

    Returns:
      A program of `[n, F] -> float32 [n, K]` for any n: float32 rows as `encode` makes them, or
      uint8 pictures.
    """
    model = make_model(config, shared)

    def one_net(params: Any, x_NxF: jax.Array) -> jax.Array:
        outputs: Any = model.apply({"params": params}, x_NxF)
        return readable(shared, outputs)

    def predict(x_NxF: jax.Array) -> jax.Array:
        standardized = shared.standardized(x_NxF)
        return jnp.mean(jax.vmap(one_net, in_axes=(0, None))(params, standardized), axis=0)

    x = shared.train.x
    (rows,) = export.symbolic_shape("n")
    given = jax.ShapeDtypeStruct((rows, x.shape[1]), x.dtype)
    with jax.debug_key_reuse(False):
        exported = export.export(jax.jit(predict), platforms=PLATFORMS)(given)
    return bytes(exported.serialize())


def make_schema(config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    """What predict.py needs to know; JSON types."""
    columns = facts.get("columns")
    if columns is not None:
        unknown = config.min_category > 1  # an unknown word is no error then
        columns = [column | {"unknown": unknown} for column in columns]
    return {
        "columns": columns,
        "features": facts.get("features"),
        "target": config.target,
        "classes": facts["classes"],
        "missing": sorted(MISSING),
        "none": NONE,
    }


def run_program(program: bytes, x_NxF: np.ndarray) -> np.ndarray:
    """What an exported program makes of rows."""
    return np.asarray(export.deserialize(bytearray(program)).call(x_NxF))
