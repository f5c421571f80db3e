"""Tests of the charts of classifiers on the page."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from research.errors import UserError
from research.mlp.views.charts import (
    Predictions,
    _confusion_variant,
    _curve_variants,
    class_charts,
    read_predictions,
)
from research.mlp.views.class_curves import ROC
from research.report.read import read_run_folder
from research.report.summary import summarize

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 60)
NAMES = ["<b>x</b>", "a\x1b[31m\n", "y" * 500, "y" * 501]


@pytest.fixture
def summary(make_sweep):
    """A summary of two settings of four runs, the better of which predicts every row correctly."""
    path = make_sweep(np.arange(16.0).reshape(2, 4, 2))
    (path / "evaluation").mkdir()
    for first, skill in ((0, 0.0), (4, 20.0)):
        logits = RNG.normal(size=(4, 60, 3)) + skill * np.eye(3)[Y]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        tensors = {"runs": np.arange(first, first + 4), "test": probabilities.astype(np.float32)}
        tensors |= {"validation": tensors["test"], "test_target": Y, "validation_target": Y}
        facts = {"setting": f'"setting {first}"', "classes": '["<a>", "b", "c"]'}
        save_file(tensors, path / "evaluation" / f"predictions-{first:06}.safetensors", facts)
    return summarize([read_run_folder(path)])


def test_the_best_setting_that_was_evaluated_is_shown(summary):
    test, validation = read_predictions(summary, 0)
    assert (test.part, validation.part) == ("test", "validation")
    assert test.setting == "setting 4"
    assert test.probabilities.shape == (4, 60, 3)


def test_curves_of_a_perfect_classifier_are_at_the_corner(summary):
    roc, recall, confusion = class_charts(summary, 0)
    middle = roc.variants[0].traces[-1].drawn
    assert middle.name == "mean of the classes, area 1"
    assert recall.variants[0].traces[-1].drawn.y[:-1].min() > 0.99
    drawn = confusion.variants[0].traces[0].drawn
    np.testing.assert_array_equal(drawn.text, np.diag(np.bincount(Y)))
    assert drawn.x[0] == "&lt;a&gt;"


def test_without_predictions_there_are_no_charts(make_sweep):
    run = read_run_folder(make_sweep(np.zeros((2, 2, 2))))
    assert class_charts(summarize([run]), 0) == []


def test_a_damaged_file_is_named(summary):
    (path,) = summary.runs[0].path.glob("evaluation/predictions-000004*")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"predictions-000004\.safetensors is damaged"):
        class_charts(summary, 0)


def test_shortened_class_names_still_differ():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 4
    found = Predictions("test", "all", NAMES, y, rng.dirichlet(np.ones(4), (2, 40)))
    (trace,) = _confusion_variant(found).traces
    names = list(trace.drawn.x)
    assert names[:2] == ["&lt;b&gt;x&lt;/b&gt;", r"a\x1b[31m\n"]
    assert len(set(names)) == 4
    assert max(map(len, names)) < 50
    (variant,) = _curve_variants([found], ROC, "x", "y", False)
    assert {trace.drawn.name for trace in variant.traces} >= set(names)
