"""Tests of the table of settings."""

import numpy as np

from research.report.read import read_run_folder
from research.report.settings import settings
from research.report.summary import summarize
from research.report.table import (
    brief_columns,
    columns_as_rows,
    full_columns,
    headline_metrics,
)


def test_a_key_metric_without_a_test_part_has_one_column(make_run):
    run = read_run_folder(make_run(key_metric="loss"))
    assert headline_metrics(run) == ["loss"]
    run.manifest["key_metric"] = "validation_score"
    assert headline_metrics(run) == ["validation_score", "test_score"]


def test_both_tables_have_the_same_settings_in_the_same_order(make_run):
    """Compares the tables of `scripts/show` and `scripts/report`, with diverged runs."""
    run = read_run_folder(make_run())
    both = brief_columns(run, list(settings(run))), full_columns(summarize([run]))
    for name in ("rate", "seeds"):
        brief, full = ([c.cells for c in columns if c.name == name] for columns in both)
        assert brief == full


def test_every_column_has_a_cell_for_every_setting(make_sweep):
    axes = {"rate": [0.1, 0.2], "width": ["8x8", "16"]}
    means = np.arange(1.0, 5.0)[:, None, None] + np.linspace(0, 0.1, 8)[:, None]
    run = read_run_folder(make_sweep(means, axes=axes))
    for columns in (brief_columns(run, list(settings(run))), full_columns(summarize([run]))):
        shown = [one for one in columns if one.name in ("rate", "width", "seeds")]
        assert columns_as_rows(shown) == [
            ("0.2", "16", "8"), ("0.2", "8x8", "8"), ("0.1", "16", "8"), ("0.1", "8x8", "8"),
        ]  # fmt: skip
