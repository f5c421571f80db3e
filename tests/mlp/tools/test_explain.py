"""Tests of `scripts/explain`."""

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
    assert "in the top 3 of all 3 runs" in text
    assert len(table) == 3 * 13
    assert {"proline", "flavanoids"} <= set(table["column"])
    by_column = table.groupby("column")["integrated_gradients"].median()
    assert by_column["flavanoids"] > by_column["ash"]


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
