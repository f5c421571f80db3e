"""Summaries for tests of the page."""

import numpy as np
import pytest

from research.report.read import read_run_folder
from research.report.summary import summarize


@pytest.fixture
def grid(make_sweep):
    """A summary of 3 x 2 x 2 settings of 5 seeds, 12 steps each."""
    axes = {"rate": [0.001, 0.01, 0.1], "width": ["16", "8x8"], "decay": [0.0, 0.1]}
    rng = np.random.default_rng(0)
    means = np.repeat([1.0, 3.0, 2.0], 4)[:, None, None]
    rise = np.linspace(-1, 0, 12)
    made = means + rng.normal(0, 0.1, (12, 5, 1)) + rise
    return summarize([read_run_folder(make_sweep(made, axes=axes))])
