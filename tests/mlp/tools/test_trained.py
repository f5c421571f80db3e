"""Tests of reading the nets of a run folder: columns are read as when they were trained."""

import numpy as np

from research.mlp import Config
from research.mlp.data import load
from research.mlp.tools.trained import read_as_recorded
from tests.mlp.files import BITS, UP, csv


def test_columns_are_read_as_by_the_version_that_recorded_them(tmp_path):
    """It knew neither dates nor ids: dates were words, ids numbers, true and false words."""
    dates = [f"2020-01-0{1 + i // 15}" for i in UP]
    truth = [str(bool(bit)) for bit in BITS]
    path = csv(tmp_path, id=UP, date=dates, truth=truth, y=[i % 3 for i in UP])
    facts = {"columns": [{"name": "id", "kind": "number"}, {"name": "date", "kind": "category"},
                         {"name": "truth", "kind": "category"}]}  # fmt: skip
    config = read_as_recorded(Config(data=path, target="y"), facts)
    dataset, found = load(config.choice)
    assert found["features"] == [
        "id", "date = 2020-01-01", "date = 2020-01-02", "truth = False", "truth = True",
    ]  # fmt: skip
    assert np.shape(dataset.train.x)[1] == 5
    assert read_as_recorded(Config(data="wine"), facts) == Config(data="wine")
