"""Tests of metrics against scikit-learn, or hand-computed values where it has none."""

import numpy as np
import pytest
from sklearn import metrics

from research.mlp.scores import calibration_error, losses_by_row, score, score_classes

RNG = np.random.default_rng(0)


def drawn(classes, rows=200):
    y = RNG.integers(0, classes, rows)
    probabilities = RNG.dirichlet(np.ones(classes), rows) + 0.5 * np.eye(classes)[y]
    return y, (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)


def test_many_classes_are_scored_as_scikit_learn_does():
    y, p = drawn(4)
    found = score_classes(y, p, ["a", "b", "c", "d"])
    predicted, exact = p.argmax(axis=1), p.astype(float) / p.astype(float).sum(1, keepdims=True)
    expected = {
        "accuracy": metrics.accuracy_score(y, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
        "precision_macro": metrics.precision_score(y, predicted, average="macro"),
        "precision_micro": metrics.precision_score(y, predicted, average="micro"),
        "recall_macro": metrics.recall_score(y, predicted, average="macro"),
        "f1_macro": metrics.f1_score(y, predicted, average="macro"),
        "f1_micro": metrics.f1_score(y, predicted, average="micro"),
        "precision_class_c": metrics.precision_score(y, predicted, average=None)[2],
        "recall_class_c": metrics.recall_score(y, predicted, average=None)[2],
        "f1_class_d": metrics.f1_score(y, predicted, average=None)[3],
        "roc_auc": metrics.roc_auc_score(y, exact, multi_class="ovr"),
        "average_precision": metrics.average_precision_score(np.eye(4)[y], exact),
        "log_loss": metrics.log_loss(y, exact),
        "brier": np.mean(np.sum((exact - np.eye(4)[y]) ** 2, axis=1)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def test_binary_scores_are_of_the_second_class():
    y, p = drawn(2)
    found = score_classes(y, p, ["no", "yes"])
    yes = p[:, 1].astype(float) / p.astype(float).sum(axis=1)
    expected = {
        "roc_auc": metrics.roc_auc_score(y, yes),
        "average_precision": metrics.average_precision_score(y, yes),
        "brier": np.mean((yes - y) ** 2),
        "f1_class_yes": metrics.f1_score(y, p.argmax(axis=1)),
        "log_loss": metrics.log_loss(y, yes),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def test_class_names_never_shadow_metrics():
    """Whatever the names of the classes, all metrics are present, and those over all classes are
    the same."""
    y, p = drawn(4)
    plain = score_classes(y, p, ["a", "b", "c", "d"])
    for names in (
        ["micro", "macro", "weighted", "a"],
        ["class_a", "a", "class_micro", "micro"],
        ["loss", "accuracy", "step", "run"],
        ["seed", "learning_rate", "part", ""],
    ):
        found = score_classes(y, p, names)
        assert len(found) == len(plain)
        of_all = [name for name in plain if "_class_" not in name]
        assert {name: found[name] for name in of_all} == {name: plain[name] for name in of_all}
        for measure in ("precision", "recall", "f1"):
            assert [found[f"{measure}_class_{name}"] for name in names] == [
                plain[f"{measure}_class_{name}"] for name in "abcd"
            ]


def test_a_class_without_rows_is_no_error():
    y, p = drawn(3)
    y = np.where(y == 2, 0, y)
    found = score_classes(y, p, ["a", "b", "c"])
    assert found["recall_class_c"] == 0
    predicted = p.argmax(axis=1)
    two = [np.mean(predicted[y == k] == k) for k in (0, 1)]
    np.testing.assert_allclose(found["balanced_accuracy"], np.mean(two))
    areas = [metrics.roc_auc_score(y == k, p[:, k]) for k in (0, 1)]
    np.testing.assert_allclose(found["roc_auc"], np.mean(areas))


def test_ranking_metrics_are_missing_if_all_rows_are_of_one_class():
    found = score_classes(np.zeros(20, int), drawn(2, 20)[1], ["a", "b"])
    assert "roc_auc" not in found
    assert np.isfinite(list(found.values())).all()


def test_regression_metrics_are_in_the_unit_of_the_target():
    y = RNG.normal(100, 20, 50)
    predicted = y + RNG.normal(0, 5, 50)
    found = score(y, predicted[:, None], [])
    np.testing.assert_allclose(found["rmse"], np.sqrt(np.mean((y - predicted) ** 2)))
    np.testing.assert_allclose(found["mae"], np.mean(np.abs(y - predicted)))
    np.testing.assert_allclose(found["r2"], metrics.r2_score(y, predicted))


@pytest.mark.parametrize("y", [[3.0], [3.0, 3.0]])
def test_r2_of_targets_that_are_all_the_same_is_missing(y):
    found = score(np.array(y), np.full((len(y), 1), 2.5), [])
    assert found == {"rmse": 0.5, "mae": 0.5}


def test_the_calibration_error_by_hand():
    """Three rows have confidence 0.9, two of them correct; one has 0.55 and is wrong."""
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.55, 0.45]])
    y = np.array([0, 1, 1, 1])
    expected = 3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(0 - 0.55)
    np.testing.assert_allclose(calibration_error(y, p), expected)


def test_confident_and_correct_predictions_are_calibrated():
    y = RNG.integers(0, 3, 30)
    assert calibration_error(y, np.eye(3)[y]) == 0


@pytest.mark.parametrize("classes", [2, 4])
def test_losses_of_rows_add_up_to_the_metrics(classes):
    y, p = drawn(classes)
    found = score_classes(y, p, [str(k) for k in range(classes)])
    rows = {name: loss.mean() for name, loss in losses_by_row(y, p).items()}
    np.testing.assert_allclose(1 - rows["error"], found["accuracy"])
    np.testing.assert_allclose(rows["log_loss"], found["log_loss"], rtol=1e-5)
    half = 2 if classes == 2 else 1  # of two classes, the score is of one
    np.testing.assert_allclose(rows["brier"] / half, found["brier"], rtol=1e-5)


def test_a_predicted_probability_of_0_gives_a_finite_loss():
    loss = losses_by_row(np.array([0]), np.array([[0.0, 1.0]], np.float32))["log_loss"]
    assert 80 < loss[0] < 100
