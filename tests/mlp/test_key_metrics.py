"""Tests of the metrics that are computed on the device, against scikit-learn."""

import warnings

import jax
import numpy as np
import pytest

from research.errors import UserError
from research.mlp import Config, make_problem
from research.mlp.key_metrics import CLASSIFICATION, check_fits
from research.mlp.scores import score
from research.task import Mean
from tests.mlp.cases import some_state


def drawn(classes, rows, levels):
    """Labels, and probabilities that are multiples of 1 / levels; the last class is rare."""
    rng = np.random.default_rng(classes)
    y = np.minimum(rng.geometric(0.5, rows) - 1, classes - 1)[::-1]
    p = rng.multinomial(levels, (1 + 2 * np.eye(classes)[y]) / (classes + 2)) / levels
    return y.astype(np.int32), p.astype(np.float32)


@pytest.mark.parametrize(("classes", "levels"), [(2, 4), (2, 2**20), (4, 8)])
def test_every_metric_of_classes_is_scikit_learns(classes, levels):
    y, p = drawn(classes, 201, levels)
    names = [str(k) for k in range(classes)]
    expected = score(y, p, names)
    for name, metric in CLASSIFICATION.items():
        if metric.score is None:
            continue
        found = jax.jit(metric.score)(p, y)
        found = found.total / found.weight if isinstance(found, Mean) else found
        known = f"{name}_macro" if classes > 2 and name in ("f1", "precision", "recall") else name
        np.testing.assert_allclose(found, expected[known], rtol=2e-6, err_msg=name)


def test_areas_leave_out_absent_classes_and_are_undefined_for_one_class():
    y, p = drawn(4, 100, 8)
    y[y == 2] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = score(y, p, list("abcd"))
    for name in ("roc_auc", "average_precision"):
        found = jax.jit(CLASSIFICATION[name].score)(p, y)
        np.testing.assert_allclose(found.total, expected[name], rtol=2e-6)
        alone = jax.jit(CLASSIFICATION[name].score)(p, np.zeros_like(y))
        assert (float(alone.weight), bool(np.isfinite(alone.total))) == (0.0, True)


@pytest.mark.parametrize(
    ("data", "name", "higher"), [("breast_cancer", "roc_auc", True), ("diabetes", "mae", False)]
)
def test_the_task_evaluates_the_metric_that_settings_are_ordered_by(data, name, higher):
    problem = make_problem(Config(data=data, hidden=(), key_metric=name))
    task, shared = problem.task, problem.shared
    assert (task.key_metric, task.higher_is_better) == (f"validation_{name}", higher)
    found = jax.jit(task.evaluate)(shared, None, some_state(task, shared), None)
    assert f"test_{name}" in found
    if name == "mae":  # in the unit of the target, of which half the standard deviation is 38
        assert 20 < float(found["validation_mae"]) < 1000


@pytest.mark.parametrize(("name", "classes"), [("roc_auc", 0), ("rmse", 3)])
def test_a_metric_that_does_not_fit_is_refused(name, classes):
    check_fits("auto", "t.csv", classes)
    with pytest.raises(UserError, match=f"--key-metric {name}: t.csv is a .* problem; use"):
        check_fits(name, "t.csv", classes)
