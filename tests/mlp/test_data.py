"""Tables: split, standardized, recorded; and refused where they cannot be used."""

import chex
import numpy as np
import pytest
from sklearn import datasets

from research.errors import UserError
from research.mlp import data

PARTS = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("name", "classes", "features"),
    [("digits", 10, 64), ("breast_cancer", 2, 30), ("wine", 3, 13), ("iris", 3, 4),
     ("diabetes", 0, 10)],
)  # fmt: skip
def test_bundled_sets_are_what_they_are(name, classes, features):
    dataset, facts = data.load_dataset(name)
    assert dataset.classes == classes
    assert dataset.train.x.shape[1] == features
    assert facts["name"] == name
    for part in PARTS:
        split = getattr(dataset, part)
        chex.assert_type([split.x, split.y], [np.float32, np.int32 if classes else np.float32])
        chex.assert_tree_all_finite(split)


def test_the_parts_are_60_20_20_and_hold_every_row_once():
    dataset, facts = data.load_dataset("digits")
    rows = [facts["rows"][part] for part in PARTS]
    assert [len(part) for part in rows] == [1077, 360, 360]
    assert sorted(row for part in rows for row in part) == list(range(1797))
    for part in PARTS:
        labels = datasets.load_digits().target[facts["rows"][part]]
        np.testing.assert_array_equal(getattr(dataset, part).y, labels)
        assert np.bincount(labels).min() >= 0.08 * len(labels)  # stratified


def test_the_split_follows_its_seed():
    rows = [data.load_dataset("wine", "", seed)[1]["rows"] for seed in (0, 1)]
    assert rows[0] != rows[1]
    data.load.cache_clear()
    assert data.load_dataset("wine", "", 0)[1]["rows"] == rows[0]


def test_features_are_standardized_by_the_training_part_alone():
    dataset, facts = data.load_dataset("wine")
    np.testing.assert_allclose(dataset.train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.train.x.std(axis=0), 1, atol=1e-5)
    assert np.abs(dataset.test.x.mean(axis=0)).max() > 0.02
    x = datasets.load_wine().data
    mean, scale = (np.array([column[name][0] for column in facts["columns"]])
                   for name in ("mean", "scale"))  # fmt: skip
    np.testing.assert_allclose(mean, x[facts["rows"]["train"]].mean(axis=0))
    restored = dataset.test.x * scale + mean
    np.testing.assert_allclose(restored, x[facts["rows"]["test"]], rtol=1e-4)


def test_a_regression_target_is_standardized_and_its_unit_kept():
    dataset, facts = data.load_dataset("diabetes")
    np.testing.assert_allclose([dataset.train.y.mean(), dataset.train.y.std()], [0, 1], atol=1e-5)
    y = datasets.load_diabetes().target[facts["rows"]["test"]]
    restored = dataset.test.y * float(dataset.target_scale) + facts["target_mean"]
    np.testing.assert_allclose(restored, y, rtol=1e-4)


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def rows(values, count=30):
    return "".join(f"{i},{values(i)}\n" for i in range(count))


def test_a_csv_target_of_few_whole_numbers_is_classes(tmp_path):
    path = write(tmp_path, '"a" , b\n\n' + rows(lambda i: 3 + 4 * (i % 2)), "utf-8-sig")
    dataset, facts = data.load_dataset(path, "b")
    assert dataset.classes == 2
    assert facts["classes"] == ["3", "7"]
    assert facts["features"] == ["a"]
    assert set(dataset.train.y.tolist()) == {0, 1}


@pytest.mark.parametrize("values", [lambda i: i / 2, lambda i: i])
def test_a_csv_target_of_other_numbers_is_a_regression(tmp_path, values):
    dataset, _ = data.load_dataset(write(tmp_path, "a,b\n" + rows(values)), "b")
    assert dataset.classes == 0


def test_a_constant_feature_does_no_harm(tmp_path):
    dataset, _ = data.load_dataset(write(tmp_path, "a,b\n" + rows(lambda _: 5)), "a")
    chex.assert_tree_all_finite(dataset.train)


def test_a_class_too_small_for_every_part_is_not_stratified(tmp_path):
    path = write(tmp_path, "a,b\n" + rows(lambda i: int(i == 4)))
    assert data.load_dataset(path, "b")[0].classes == 2


@pytest.mark.parametrize(
    ("text", "target", "says"),
    [
        ("", "b", "is empty"),
        ("a,b\n", "b", "is empty"),
        ("a,b\n" + rows(lambda i: i), "", "--target is missing.*a, b"),
        ("a,b\n" + rows(lambda i: i), "c", "--target c: no such column.*a, b"),
        ("a,b\n" + rows(lambda i: i, 9), "b", "9 rows of data; at least 10"),
        ("a,b\n" + rows(lambda i: i) + "1\n", "b", "line 32: 1 cells under 2 columns"),
        ("a,b\n" + rows(lambda i: i) + "1,x\n", "b", "line 32, column b: 'x' is not a number"),
        ("a,b\n" + rows(lambda i: i) + "nan,1\n", "b", "line 32, column a: 'nan'"),
        ("a,b\n" + rows(lambda i: i) + "1,inf\n", "b", "line 32, column b: 'inf'"),
        ("a,b\n" + rows(lambda i: i) + ",1\n", "b", "line 32, column a: ''"),
        ("a,b\n" + rows(lambda _: 5), "b", "b is 5 in every row"),
        ("b\n" + "1\n2\n" * 10, "b", "no column beside the target b"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_clear_line(tmp_path, text, target, says):
    with pytest.raises(UserError, match=says):
        data.load_dataset(write(tmp_path, text), target)


def test_what_is_no_text_or_no_file_is_named(tmp_path):
    path = write(tmp_path, "a,b\nä,1\n", "latin-1")
    with pytest.raises(UserError, match=r"table\.csv cannot be read as CSV"):
        data.load_dataset(path, "b")
    with pytest.raises(UserError, match="neither a CSV file nor one of digits"):
        data.load_dataset(str(tmp_path), "b")
    with pytest.raises(UserError, match="--target b: only a CSV file"):
        data.load_dataset("iris", "b")
