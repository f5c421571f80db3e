"""Export of trained nets as a program that predicts without this package.

    schema.json          the columns and their encodings, the classes
    params.safetensors   the params, every tensor [members, ...]
    predict.jaxexport    encoded rows -> predictions, params included (`jax.export`)
    predict.py           a table -> encoded rows -> predictions, with numpy and jax alone

Shape letters: R members, N rows, F features.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import export

from research.mlp.cells import MISSING_IN_TEXT, is_parquet
from research.mlp.config import Config
from research.mlp.data import read_images, read_table
from research.mlp.dataset import DataChoice, Dataset
from research.mlp.encoding import NONE
from research.mlp.exported_predict import as_word
from research.mlp.images import IMAGES
from research.mlp.task import make_model, to_predictions

ReadCSV = Callable[[str], Mapping[str, Sequence[str]]]

MOST_CELLS = 2_000_000  # of each part, that the exported program is checked on
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SCRIPT = Path(__file__).with_name("exported_predict.py")


def make_program(config: Config, shared: Dataset, params: Any) -> bytes:
    """The serialized program that predicts with the mean of R nets.

    Args:
      config: the config of the nets.
      shared: the data that they were trained on.
      params: the params of all nets, every leaf [R, ...].

    Returns:
      A program `[n, F] -> float32 [n, K]` for any n. Its input is float32 rows as `encode` returns
      them, or uint8 images.
    """
    model = make_model(config, shared)

    def one_net(params: Any, x_NxF: jax.Array) -> jax.Array:
        outputs: Any = model.apply({"params": params}, x_NxF)
        return to_predictions(shared, outputs)

    def predict(x_NxF: jax.Array) -> jax.Array:
        standardized = shared.standardized(x_NxF)
        return jnp.mean(jax.vmap(one_net, in_axes=(0, None))(params, standardized), axis=0)

    x = shared.train.x
    (rows,) = export.symbolic_shape("n")
    given = jax.ShapeDtypeStruct((rows, x.shape[1]), x.dtype)
    with jax.debug_key_reuse(False):
        exported = export.export(jax.jit(predict), platforms=PLATFORMS)(given)
    return bytes(exported.serialize())


def make_schema(config: Config, facts: dict[str, Any], pixels: int = 0) -> dict[str, Any]:
    """The content of schema.json, which predict.py reads; JSON types.

    Args:
      config: the config of the nets.
      facts: the facts of their data, as `load` returns them.
      pixels: the number of pixels of a row, for named images.
    """
    columns = facts.get("columns")
    if columns is not None:
        unknown = config.min_category > 1  # an unknown word is no error then
        columns = [column | {"unknown": unknown} for column in columns]
    return {
        "columns": columns,
        "features": facts.get("features"),
        "target": config.target,
        "classes": facts["classes"],
        "pixels": pixels if columns is None else None,
        "missing": facts["missing"]["rule"] if "missing" in facts else dict(MISSING_IN_TEXT),
        "none": NONE,
    }


def run_program(program: bytes, x_NxF: np.ndarray) -> np.ndarray:
    """The predictions of an exported program for encoded rows."""
    return np.asarray(export.deserialize(bytearray(program)).call(x_NxF))


def raw_rows(choice: DataChoice, part: str, read_csv: ReadCSV) -> dict[str, Any]:
    """The rows of a part with the cells of the user's file, read by the code of exported programs.

    Args:
      choice: the choice of the data.
      part: train, validation or test.
      read_csv: the reader of the exported program, path -> column -> words. A Parquet file is
        first written as CSV by pandas.

    Returns:
      Column -> values; for large tables only the first rows, at most `MOST_CELLS` cells.
    """
    if choice.data in IMAGES:
        images, rows = read_images(choice)
        columns = {str(pixel): values for pixel, values in enumerate(images.x.T)}
    else:
        table, rows = read_table(choice)
        columns = {column.name: list(map(str, column.values.tolist())) for column in table.columns}
        if table.rows is not None:
            files = [_read_raw(path, read_csv) for path in (choice.data, choice.test_data) if path]
            columns = {name: [cell for file in files for cell in file[name]] for name in columns}
            rows = {name: table.rows[some] for name, some in rows.items()}
    few = rows[part][: max(1, MOST_CELLS // len(columns))]
    return {name: [values[row] for row in few] for name, values in columns.items()}


def _read_raw(path: str, read_csv: ReadCSV) -> Mapping[str, Sequence[str]]:
    if not is_parquet(path):
        return read_csv(path)
    frame = pd.read_parquet(path)
    for name in frame.select_dtypes("float"):  # whole numbers that became floats beside gaps
        if (frame[name].dropna() % 1 == 0).all():
            frame[name] = frame[name].map(as_word, na_action="ignore")
    narrow = list(frame.select_dtypes("float32"))  # which pandas would write with too few digits
    with tempfile.TemporaryDirectory() as folder:
        frame.astype(dict.fromkeys(narrow, "float64")).to_csv(f"{folder}/table.csv", index=False)
        return read_csv(f"{folder}/table.csv")
