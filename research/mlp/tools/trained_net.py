"""A trained MLP to work with in Python: it predicts from the rows of a table."""

import dataclasses
import runpy
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np

from research.errors import UserError
from research.mlp.export import SCRIPT, make_schema
from research.mlp.model import MLP
from research.mlp.task import make_model, predictions
from research.mlp.tools.trained import Trained, load_one
from research.report.one_run import OneRun, shown_briefly
from research.report.read import RunFolderData
from research.runs.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class TrainedNet:
    """A trained MLP.

    Attributes:
      run: its number, seed, hyper-parameters and score.
      trained: its config, data, and what is recorded of the data.
      model: the Flax module: `model.apply(params, encoded_rows)` gives logits, or a standardized
        target of a regression.
      params: of the model, as Flax takes them.
    """

    run: OneRun
    trained: Trained
    model: MLP
    params: Any

    def __repr__(self) -> str:
        return shown_briefly(self)

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of probabilities; none of a regression."""
        return self.trained.class_names

    def predict(self, rows: Any) -> np.ndarray:
        """The most probable class of each row; of a regression, its value in the target's unit.

        Args:
          rows: a DataFrame, or column -> values, with the columns of the table that it was trained
            on, in any order; others are ignored. Or an array of rows that are encoded already, as
            `trained.shared.test.x` holds them.

        Raises:
          UserError: naming what a row holds that the net cannot read.
        """
        outputs = self._outputs(rows)
        if not self.classes:
            return outputs[:, 0]
        return np.array(self.classes)[outputs.argmax(axis=1)]

    def probabilities(self, rows: Any) -> np.ndarray:
        """The probability of each class, float32 [rows, classes]; `rows` as of `predict`.

        Raises:
          UserError: as `predict`, and of a regression, which has none.
        """
        if not self.classes:
            raise UserError(f"run {self.run.number} is a regression: it has no probabilities")
        return self._outputs(rows)

    def encode(self, rows: Any) -> np.ndarray:
        """The rows as the net reads them, float32 [rows, features]: imputed, scaled, one-hot.

        Raises:
          UserError: as `predict`.
        """
        table = rows if isinstance(rows, Mapping) else rows.to_dict("list")
        try:
            return self._encode(table)
        except ValueError as error:
            raise UserError(str(error).splitlines()[0]) from None

    def _outputs(self, rows: Any) -> np.ndarray:
        is_table = isinstance(rows, Mapping) or hasattr(rows, "to_dict")
        x = (
            self.encode(rows)
            if is_table
            else _as_encoded(rows, self.trained.shared.test.x.shape[1])
        )
        return np.asarray(self._predictions(self.trained.shared, self.params["params"], x))

    @cached_property
    def _predictions(self) -> Any:
        config = self.trained.config
        return jax.jit(lambda shared, params, x: predictions(config, shared, params, x))

    @cached_property
    def _encode(self) -> Any:
        """The `encode` of exported programs, which reads cells as training did."""
        pixels = self.trained.shared.train.x.shape[1]
        schema = make_schema(self.trained.config, self.trained.facts, pixels)
        encode = runpy.run_path(str(SCRIPT))["encode"]
        encode.__globals__["schema"] = lambda: schema  # else it reads that of an exported folder
        return encode


def _as_encoded(rows: Any, features: int) -> np.ndarray:
    """Rows that are encoded already, [rows, features].

    Raises:
      UserError: for anything else.
    """
    x = np.asarray(rows)
    if x.ndim != 2 or x.shape[1] != features or x.dtype.kind not in "fiub":
        raise UserError(
            f"{x.dtype} {list(x.shape)}: give a DataFrame or column -> values, with the columns of "
            f"the table, or encoded rows: numbers [rows, {features}]"
        )
    return x


def restore(data: RunFolderData, run: OneRun, experiment: Experiment | None = None) -> TrainedNet:
    """The net that a run has trained, by an experiment if its code is in no file.

    Raises:
      UserError: if its params are not there, or its data is not what it was trained on.
    """
    trained = load_one(data, run.number, experiment)
    params = {"params": jax.tree.map(lambda leaf: leaf[0], trained.params)}
    return TrainedNet(run, trained, make_model(trained.config, trained.shared), params)
