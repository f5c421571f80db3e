"""Tests of params that are read back from a run folder."""

import numpy as np
import pytest

from research.errors import UserError
from research.runs.params import load_params
from tests.runs.test_run_folder import JOB, create


def test_load_params_finds_the_last_params_of_any_job(tmp_path):
    folder = create(tmp_path, "run")
    later = JOB._replace(runs=(6,), start=8, stop=16, sources=(JOB.name,))
    folder.save_params(JOB, {"w": np.float32([5, 6])})
    folder.save_params(later, {"w": np.float32([66])})
    assert load_params(folder.path, 5)["w"] == 5
    assert load_params(folder.path, 6)["w"] == 66
    with pytest.raises(UserError, match="no params of run 7"):
        load_params(folder.path, 7)


def test_params_of_another_number_of_runs_are_damaged(tmp_path):
    folder = create(tmp_path, "run")
    folder.save_params(JOB, {"w": np.float32([5, 6, 7])})
    with pytest.raises(UserError, match=r"is damaged: w is \[3\] of 2 runs"):
        load_params(folder.path, 5)
