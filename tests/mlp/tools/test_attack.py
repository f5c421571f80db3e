"""Tests of `scripts/attack`."""

import numpy as np
import pandas as pd
import pytest

from research.errors import UserError
from research.mlp.tools import attack
from tests.mlp.tools.conftest import check_refused


def test_scores_under_attack_are_written_for_every_run_and_radius(folder, capsys):
    given = attack.Arguments(str(folder), radius=(1.0, 0.2), steps=3)
    table = pd.read_parquet(attack.main(given))
    text = capsys.readouterr().out
    assert text.count("PGD, 3 steps") == 2
    assert sorted(table["radius"].unique()) == pytest.approx([0, 0.2, 1.0])
    assert len(table) == 6 * 3
    wide = table.pivot(index="run", columns="radius", values="pgd").to_numpy()
    assert (np.diff(wide, axis=1) <= 0).all()
    assert (table["pgd"] <= table["fgsm"] + 1e-6).all()
    assert (folder / "attacks.png").is_file()


def test_errors_of_a_regression_grow_with_the_radius(regression):
    table = pd.read_parquet(attack.main(attack.Arguments(str(regression), steps=2)))
    assert table.groupby("radius")["pgd"].mean().is_monotonic_increasing


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"radius": (-1.0,)}, "--radius -1: must be at least 0"),
        ({"steps": 0}, "--steps 0: must be at least 1"),
        ({"part": "dev"}, "--part dev: there are train, validation, test"),
    ],
)
def test_bad_input_gives_a_one_line_error(folder, given, says):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=says):
        attack.main(attack.Arguments(str(folder), **given))
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_is_not_of_mlps_is_refused(tmp_path, folder):
    check_refused(attack, tmp_path, folder)
