"""Tests that planted problems of a table are found, and nothing else."""

import json

import numpy as np
import pytest

from research.mlp import Config, data_quality
from research.mlp.data import load
from research.mlp.dataset import DataChoice

N = 200
ROWS = {
    "train": np.arange(120),
    "validation": np.arange(120, 160),
    "test": np.arange(160, 200),
}
COLUMNS = {"a": np.array([0]), "b": np.array([1, 2]), "c": np.array([3])}
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
CLASSES = (np.random.default_rng(1).permutation(N) % 3).astype(np.int32)
NUMBERS = np.random.default_rng(2).normal(size=N).astype(np.float32)
NAMES = ["x", "y", "z"]


def inspect(x=X, y=CLASSES, columns=COLUMNS):
    names = NAMES if y.dtype == np.int32 else []
    return data_quality.inspect(x, y, ROWS, names, columns)


def lines(**given):
    return data_quality.describe(inspect(**given), "table.csv", ())


def changed(array, at, to):
    copy = array.copy()
    copy[at] = to
    return copy


@pytest.mark.parametrize("y", [CLASSES, NUMBERS])
def test_a_clean_table_has_no_notes(y):
    assert lines(y=y) == []
    report = inspect(y=y)
    assert report["duplicates"] == {"validation": 0, "test": 0}
    assert (report["constant"], report["leaks"], report["contradictions"]) == ([], {}, 0)
    assert json.loads(json.dumps(report)) == report


def test_a_column_that_is_the_same_in_all_training_rows_is_named():
    constant = changed(X, np.s_[:120, 1:3], 5)
    assert lines(x=constant) == ["table.csv: constant in the training rows: b"]
    assert lines(x=changed(constant, (7, 2), 6)) == []


@pytest.mark.parametrize("feature", [0, 3])
def test_a_copy_of_the_class_is_a_leak(feature):
    leak = changed(X, np.s_[:, feature], CLASSES)
    name = {0: "a", 3: "c"}[feature]
    assert lines(x=leak) == [
        f"table.csv: alone, column {name} (score 1.000 of 1) predicts the target. Does it leak it? "
        f"--drop {name} leaves it out"
    ]


def test_a_one_hot_category_is_checked_for_leaks_as_one_column():
    """No single feature tells three classes apart, only the whole category."""
    leak = X.copy()
    leak[:, 1:3] = np.stack([CLASSES == 0, CLASSES == 1], axis=1)
    assert list(inspect(x=leak)["leaks"]) == ["b"]


@pytest.mark.parametrize(
    "copy",
    [lambda y: 3 * y - 7, lambda y: -y, lambda y: y + 0.01 * NUMBERS[::-1]],
)
def test_a_linear_copy_of_the_target_is_a_leak(copy):
    leaks = inspect(x=changed(X, np.s_[:, 3], copy(NUMBERS)), y=NUMBERS)["leaks"]
    assert list(leaks) == ["c"]
    assert 0.99 <= leaks["c"] <= 1


def test_a_good_predictor_is_no_leak():
    noisy = NUMBERS + 0.3 * X[:, 3]
    assert inspect(x=changed(X, np.s_[:, 3], noisy), y=NUMBERS)["leaks"] == {}
    noisy = np.where(np.arange(N) % 10 == 0, X[:, 3], CLASSES)
    assert inspect(x=changed(X, np.s_[:, 3], noisy))["leaks"] == {}


def test_leaks_are_searched_in_training_rows_only():
    assert inspect(x=changed(X, np.s_[120:, 3], CLASSES[120:]))["leaks"] == {}
    assert list(inspect(x=changed(X, np.s_[:120, 3], CLASSES[:120]))["leaks"]) == ["c"]


def test_pixels_and_a_single_column_are_never_called_leaks():
    leak = changed(X, np.s_[:, 0], CLASSES)
    assert inspect(x=leak, columns=None)["leaks"] == {}
    assert inspect(x=leak[:, :1], columns={"a": np.array([0])})["leaks"] == {}


def test_copies_of_training_rows_are_counted_by_part():
    copies = changed(X, [120, 121, 159, 199], X[[0, 0, 119, 5]])
    assert inspect(x=copies)["duplicates"] == {"validation": 3, "test": 1}
    found = lines(x=copies)
    assert found[0] == ("table.csv: 3 rows of the validation part are also in the training part")
    assert len(found) == 2
    assert inspect(x=changed(X, [120, 121], X[199]))["duplicates"]["validation"] == 0


def test_training_rows_that_contradict_each_other_are_counted():
    """Three equal rows, one of another class; two equal of one class; one equal to a test row."""
    x = changed(X, [1, 2, 10, 199], X[[0, 0, 9, 20]])
    y = changed(CLASSES, [0, 1, 2, 9, 10, 20, 199], [0, 0, 1, 2, 2, 0, 1])
    assert inspect(x=x, y=y)["contradictions"] == 3
    assert "table.csv: 3 training rows have the features of another one, but another target" in (
        lines(x=x, y=y)
    )


@pytest.mark.parametrize(("rare", "uneven"), [(30, True), (31, False)])
def test_class_imbalance_is_noted_from_3_to_1(rare, uneven):
    y = np.zeros(N, np.int32)
    y[:rare] = 1
    report = data_quality.inspect(X, y, ROWS, ["common", "rare"], COLUMNS)
    assert report["class_rows"] == {"common": 120 - rare, "rare": rare}
    found = data_quality.describe(report, "table.csv")
    assert len(found) == uneven
    if uneven:
        assert found == [
            "table.csv: imbalanced classes: 90 training rows of common, 30 of rare (25%)"
        ]
        (advised,) = data_quality.advice(report, Config())
        assert "0.75 without looking" in advised
        assert "--key-metric roc_auc" in advised
        assert not data_quality.advice(report, Config(key_metric="roc_auc"))


def test_no_leaks_are_searched_with_two_rows_per_class():
    rows = {"train": np.arange(6), "validation": np.arange(6, 9), "test": np.arange(9, 12)}
    y = (np.arange(12) % 3).astype(np.int32)
    assert data_quality.inspect(X[:12], y, rows, NAMES, COLUMNS)["leaks"] == {}


def test_a_class_of_two_rows_hides_no_leak():
    y = np.where(CLASSES == 2, 0, CLASSES)
    y[[3, 50]] = 2
    assert list(inspect(x=changed(X, np.s_[:, 3], y), y=y)["leaks"]) == ["c"]


def test_a_target_constant_in_training_gives_no_leaks():
    report = inspect(y=changed(NUMBERS, np.s_[:120], 0))
    assert report["leaks"] == {}
    assert report["class_rows"] == {}


def test_iris_has_one_duplicate_row():
    (note,) = load(DataChoice("iris"))[1]["notes"]
    assert note.startswith("iris: 1 row")
    assert note.split(" of the ")[1].startswith("test part")
