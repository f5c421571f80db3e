"""Tests of `scripts/explain`."""

import numpy as np
import pandas as pd
import pytest

from research.errors import UserError
from research.mlp.tools import explain
from tests.mlp.tools.conftest import check_refused


def test_explanations_name_the_columns(folder, capsys):
    given = explain.Arguments(str(folder), rows=20, repeats=2, top=3)
    table = pd.read_parquet(explain.main(given))
    text = capsys.readouterr().out
    assert "integrated gradients: 256 steps" in text
    assert "over 20 of 36 test rows, means are within" in text
    assert "accuracy lost when shuffled, " in text
    assert text.count(": 3 runs, 20 test rows") == 2
    assert "in the top 3 of all 3 runs" in text
    assert len(table) == 3 * 13
    assert {"proline", "flavanoids"} <= set(table["column"])
    by_column = table.groupby("column")["integrated_gradients"].median()
    assert by_column["flavanoids"] > by_column["ash"]


def test_rows_are_taken_until_intervals_are_narrow(folder, monkeypatch, capsys):
    """The mean over all blocks is that of all rows at once."""
    of = lambda **changes: pd.read_parquet(explain.main(explain.Arguments(str(folder), **changes)))
    at_once = of(rows=30, repeats=1)["integrated_gradients"]
    monkeypatch.setattr(explain, "ROWS_AT_ONCE", 10)
    np.testing.assert_allclose(of(rows=30, repeats=1)["integrated_gradients"], at_once, rtol=1e-4)
    capsys.readouterr()
    monkeypatch.setattr(explain, "PRECISE", 0.3)
    of(repeats=1)
    assert "over 30 of 36 test rows" in capsys.readouterr().out


def test_the_widest_interval_counts_in_shares_of_the_largest_mean():
    sizes = np.array([[10.0, 1.0], [10.0, 3.0]])
    assert explain.uncertainty(sizes) == pytest.approx(1.96 * 1 / 10)
    assert explain.uncertainty(np.zeros((3, 2))) == 0
    assert explain.uncertainty(sizes[:1]) == np.inf


def test_a_regression_is_explained(regression):
    given = explain.Arguments(str(regression), rows=10, repeats=1)
    assert explain.main(given).is_file()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"top": 0}, "--top 0: must be at least 1"),
        ({"rows": 0}, "--rows 0: must be at least 1"),
    ],
)
def test_bad_input_gives_a_one_line_error(folder, given, says):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=says):
        explain.main(explain.Arguments(str(folder), **given))
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_is_not_of_mlps_is_refused(tmp_path, folder):
    check_refused(explain, tmp_path, folder)
