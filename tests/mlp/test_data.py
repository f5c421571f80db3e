"""Tests of loading data: split, standardized, recorded, and refused if it cannot be used."""

import json

import chex
import numpy as np
import pytest
from sklearn import datasets
from sklearn.utils.class_weight import compute_class_weight

from research.errors import UserError
from research.mlp import Config, data, make_problem
from research.mlp.dataset import BUNDLED, DataChoice
from research.mlp.images import IMAGES
from tests.mlp.files import BITS, ROWS, UP, csv

PARTS = ("train", "validation", "test")


def load(path, target, split_seed=0, **how):
    return data.load(DataChoice(path, target, split_seed=split_seed, **how))


@pytest.mark.parametrize(
    ("name", "classes", "features"),
    [("digits", 10, 64), ("breast_cancer", 2, 30), ("wine", 3, 13), ("iris", 3, 4),
     ("diabetes", 0, 10)],
)  # fmt: skip
def test_bundled_data_sets_have_their_known_features_and_classes(name, classes, features):
    dataset, facts = data.load(DataChoice(name))
    assert dataset.classes == classes
    assert dataset.train.x.shape[1] == features
    assert facts["name"] == name
    for part in PARTS:
        split = getattr(dataset, part)
        chex.assert_type([split.x, split.y], [np.float32, np.int32 if classes else np.float32])
        chex.assert_tree_all_finite(split)


def test_the_parts_are_60_20_20_and_hold_every_row_once():
    dataset, facts = data.load(DataChoice("digits"))
    rows = [facts["rows"][part] for part in PARTS]
    assert [len(part) for part in rows] == [1077, 360, 360]
    assert sorted(row for part in rows for row in part) == list(range(1797))
    for part in PARTS:
        labels = datasets.load_digits().target[facts["rows"][part]]
        np.testing.assert_array_equal(getattr(dataset, part).y, labels)
        assert np.bincount(labels).min() >= 0.08 * len(labels)  # stratified


def test_the_split_follows_its_seed():
    rows = [data.load(DataChoice("wine", split_seed=seed))[1]["rows"] for seed in (0, 1)]
    assert rows[0] != rows[1]
    data.load.cache_clear()
    assert load("wine", "", 0)[1]["rows"] == rows[0]


def test_features_are_standardized_by_the_training_part_alone():
    dataset, facts = data.load(DataChoice("wine"))
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
    dataset, facts = data.load(DataChoice("diabetes"))
    np.testing.assert_allclose([dataset.train.y.mean(), dataset.train.y.std()], [0, 1], atol=1e-5)
    y = datasets.load_diabetes().target[facts["rows"]["test"]]
    restored = dataset.test.y * float(dataset.target_scale) + facts["target_mean"]
    np.testing.assert_allclose(restored, y, rtol=1e-4)


THREES = [i % 3 for i in ROWS]
COLORS = [("red", "green", "blue")[i // 2 % 3] for i in ROWS]


def test_a_file_is_encoded_and_its_encoding_recorded(tmp_path):
    gaps = ["?" if i % 7 == 0 else i for i in ROWS]
    path = csv(tmp_path, a=gaps, c=COLORS, b=[3 + 4 * bit for bit in BITS])
    dataset, facts = load(path, "b")
    assert (dataset.classes, dataset.image, facts["classes"]) == (2, (), ["3", "7"])
    names = ["a", "a (missing)", "c = blue", "c = green", "c = red"]
    assert facts["features"] == names
    assert dataset.radius.tolist() == [1, 0, 0, 0, 0]
    for part in PARTS:
        rows = facts["rows"][part]
        x, y = getattr(dataset, part)
        assert y.tolist() == [BITS[row] for row in rows]
        assert [names[2 + place][4:] for place in x[:, 2:].argmax(axis=1)] == [
            COLORS[row] for row in rows
        ]
        fact = facts["columns"][0]
        known = [row % 7 != 0 for row in rows]
        restored = (x[:, 0] * fact["scale"][0] + fact["mean"][0])[known]
        np.testing.assert_allclose(restored, np.array(rows)[known], atol=1e-4)


def test_how_a_file_is_read_can_be_chosen(tmp_path):
    """Regression, a dropped column, and colors of fewer than 10 rows merged."""
    colors = ["red"] * 25 + ["green"] * 3 + ["blue"] * 2
    path = csv(tmp_path, a=UP, c=colors, d=UP, b=BITS)
    dataset, facts = load(path, "b", drop="a", target_type="numbers", min_category=10)
    assert dataset.classes == 0
    assert facts["features"] == ["c = red", "c = (other)", "d"]


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_facts_about_the_data_are_json(name):
    facts = data.load(DataChoice(name))[1]
    assert json.loads(json.dumps(facts)) == facts


def test_regression_data_has_no_classes_and_no_bounds(tmp_path):
    dataset, facts = load(csv(tmp_path, a=UP, b=[i / 2 for i in ROWS]), "b")
    assert (dataset.classes, facts["classes"]) == (0, [])
    assert dataset.class_weights.shape == (0,)
    assert dataset.x_low.tolist() == [-np.inf]
    assert dataset.x_high.tolist() == [np.inf]


def test_digits_are_images_between_black_and_white():
    dataset, facts = data.load(DataChoice("digits"))
    assert dataset.image == (8, 8, 1)
    x = datasets.load_digits().data[facts["rows"]["test"]]
    black, white = np.asarray(dataset.x_low), np.asarray(dataset.x_high)
    np.testing.assert_allclose((dataset.test.x - black) / (white - black), x / 16, atol=1e-5)
    np.testing.assert_allclose(dataset.radius, white - black, rtol=1e-5)


def test_a_constant_feature_does_no_harm(tmp_path):
    path = csv(tmp_path, a=[5] * 30, c=["red"] * 30, b=UP)
    dataset, facts = load(path, "b")
    chex.assert_tree_all_finite(dataset.train)
    assert facts["notes"][0] == f"{path}: constant in the training rows: a, c"


@pytest.mark.parametrize("column", ["c", "b"])
def test_numbers_whose_mean_overflows_give_a_one_line_error(tmp_path, column):
    """Some tools write the largest double for missing values."""
    columns = {"a": UP, "c": UP, "b": [i / 2 for i in ROWS]}
    columns[column] = [*columns[column][:-1], 1.7e308]
    with pytest.raises(UserError, match=f"column {column}"):
        load(csv(tmp_path, **columns), "b")


def test_a_class_too_small_for_every_part_is_not_stratified(tmp_path):
    path = csv(tmp_path, a=UP, b=[int(i == 4) for i in ROWS])
    assert load(path, "b")[0].classes == 2


@pytest.mark.parametrize("rare", [1, 2, 3])
@pytest.mark.parametrize("split_seed", range(8))
def test_a_class_of_few_rows_is_trained_on_wherever_they_fall(tmp_path, rare, split_seed):
    labels = ["rare"] * rare + ["a", "b"] * 20
    path = csv(tmp_path, a=range(len(labels)), b=labels)
    dataset, facts = load(path, "b", split_seed=split_seed)
    parts = {part: np.asarray(getattr(dataset, part).y) for part in PARTS}
    assert sum(map(len, parts.values())) == len(labels)  # every row once
    assert len({row for rows in facts["rows"].values() for row in rows}) == len(labels)
    place = facts["classes"].index("rare")
    assert place in parts["train"]
    measured = place in np.concatenate([parts["validation"], parts["test"]])
    note = f"{path}: no row of rare is in the validation or test part"
    assert (note in facts["notes"]) == (not measured)


def test_cells_between_semicolons_are_told(tmp_path):
    """As spreadsheets write them where the decimal is a comma."""
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1,5;x\n2;y\n" * 9)
    with pytest.raises(UserError, match=r"its header has one name, with semicolons; .* sep=';'"):
        load(str(path), "b")


def test_rows_without_a_target_are_left_out_and_noted(tmp_path):
    path = csv(tmp_path, a=UP, b=["" if i < 4 else i / 2 for i in ROWS])
    dataset, facts = load(path, "b")
    assert facts["dropped_rows"] == 4
    assert facts["notes"] == [f"{path}: 4 rows without b left out"]
    assert sum(len(getattr(dataset, part).y) for part in PARTS) == 26


def test_words_that_count_as_missing_are_noted_and_recorded(tmp_path):
    gaps = [("-", "?", "?", 1, 2, "")[i % 6] for i in ROWS]
    countries = [("NA", "DE", "FR")[i % 3] for i in ROWS]
    path = csv(tmp_path, a=gaps, c=countries, d=gaps, b=["none", *BITS[1:]])
    _, facts = load(path, "b", missing=())
    assert facts["missing"]["cells"] == {
        "a": {"-": 5, "?": 10}, "c": {"NA": 10}, "d": {"-": 5, "?": 10}, "b": {"none": 1},
    }  # fmt: skip
    assert facts["notes"][:2] == [
        f"{path}: 1 row without b left out",
        f"{path}: read as missing: '-' in 10 cells of a, d; '?' in 20 cells of a, d; "
        "'NA' in 10 cells of c; 'none' in 1 cell of b; --missing names other words",
    ]
    _, facts = load(path, "b", missing=("-", "?", "none"))
    assert facts["classes"] == ["0", "1"]
    assert "c = NA" in facts["features"]
    assert json.loads(json.dumps(facts)) == facts


def test_words_that_look_like_numbers_are_noted(tmp_path):
    areas = [("1.200,5", "1.300,5", "900")[i // 2 % 3] for i in ROWS]
    path = csv(tmp_path, a=UP, c=[f'"{area}"' for area in areas], b=BITS)
    note = load(path, "b")[1]["notes"][0]
    assert note.startswith(
        f"{path}: column c looks like numbers but is read as words, such as '1.2"
    )


def test_several_leaks_are_one_note_whose_flag_drops_all(tmp_path):
    """The flag includes columns dropped before; dropping the only column is not advised."""
    noise = [(7 * i) % 13 for i in ROWS]
    path = csv(tmp_path, old=UP, noise=noise, **{"it's": BITS, "copy": BITS}, b=BITS)
    (note,) = [note for note in load(path, "b", drop=("old",))[1]["notes"]
               if "predict" in note]  # fmt: skip
    assert "alone, each of these predicts the target: column it's (score 1.000 of 1), col" in note
    assert note.endswith("""--drop old 'it'"'"'s' copy leaves them out""")
    (note,) = [note for note in load(path, "b", drop=("old", "noise"))[1]["notes"]
               if "predict" in note]  # fmt: skip
    assert note.endswith("Do they leak it?")


def test_a_test_file_is_the_test_part_and_the_rest_is_split_75_to_25(tmp_path):
    path = csv(tmp_path, a=range(40), b=[i % 2 for i in range(40)])
    test = csv(tmp_path, "test.csv", a=[70, 80, 90], b=[1, 1, 0])
    for seed in (0, 1):
        dataset, facts = load(path, "b", seed, test_data=test)
        assert facts["rows"]["test"] == [40, 41, 42]
        assert dataset.test.y.tolist() == [1, 1, 0]
        assert [len(facts["rows"][part]) for part in PARTS] == [30, 10, 3]
        assert sorted(facts["rows"]["train"] + facts["rows"]["validation"]) == list(range(40))
        assert dataset.validation.y.sum() == 5  # stratified
        np.testing.assert_allclose(dataset.train.x.mean(), 0, atol=1e-6)
        assert dataset.test.x.min() > dataset.train.x.max()


def test_copies_of_training_rows_in_a_test_file_are_noted(tmp_path):
    columns = {"a": range(40), "b": [i / 2 for i in range(40)]}
    path, test = csv(tmp_path, **columns), csv(tmp_path, "test.csv", **columns)
    _, facts = load(path, "b", test_data=test)
    (note,) = facts["notes"]
    assert note == f"{path}: 30 rows of the test part are also in the training part"


def test_a_class_missing_from_training_is_an_error(tmp_path):
    path = csv(tmp_path, a=UP, b=COLORS)
    test = csv(tmp_path, "test.csv", a=[1, 2, 3], b=["red", "pink", "pink"])
    says = (
        "no training row is of class pink of the target, but 2 other rows are: delete what no net"
    )
    with pytest.raises(UserError, match=says):
        load(path, "b", test_data=test)


@pytest.mark.parametrize(
    ("labels", "target_type"),
    [([1], "auto"), (["?"], "auto"), (["?"] * 5, "auto"), (["?"] * 5, "numbers"), ([], "auto")],
)
def test_a_test_file_does_not_make_up_for_rows_to_train_on(tmp_path, labels, target_type):
    path = csv(tmp_path, a=range(len(labels)), b=labels)
    test = csv(tmp_path, "test.csv", a=UP, b=BITS)
    with pytest.raises(UserError, match=r"table\.csv"):
        load(path, "b", test_data=test, target_type=target_type)


def test_balanced_weights_equal_scikit_learn(tmp_path):
    labels = ["x" if i < 5 else "y" if i < 14 else "z" for i in ROWS]
    config = Config(data=csv(tmp_path, a=UP, b=labels), target="b", batch_size=4)
    plain, balanced = (
        make_problem(Config(**{**vars(config), "class_weights": name})).shared
        for name in ("none", "balanced")
    )
    assert plain.class_weights.tolist() == [1, 1, 1]
    train = np.asarray(plain.train.y)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=train)
    np.testing.assert_allclose(balanced.class_weights, expected, rtol=1e-6)
    np.testing.assert_allclose(balanced.class_weights[train].mean(), 1, rtol=1e-6)


def test_the_checksum_does_not_depend_on_the_split(tmp_path):
    def checksum(name, seed=0, **columns):
        given = {"a": UP, "c": COLORS, "b": BITS, **columns}
        return load(csv(tmp_path, name, **given), "b", seed)[1]["sha256"]

    first = checksum("1.csv")
    assert len(first) == 64
    assert checksum("1.csv", seed=1) == checksum("2.csv") == first
    words = ["green", *COLORS[1:]]
    others = [{"a": [*UP[:-1], 30]}, {"c": words}, {"b": [*BITS[:-1], 0]}]
    changed = {checksum(f"{i + 3}.csv", **columns) for i, columns in enumerate(others)}
    assert len(changed - {first}) == 3


@pytest.mark.parametrize("name", ["iris", "mnist"])
@pytest.mark.parametrize(
    ("flag", "given", "shown"),
    [("target", "b", "b"), ("test_data", "test.csv", "test.csv"), ("drop", ("a", "b c"), "a 'b c'"),
     ("target_type", "classes", "classes"), ("min_category", 2, 2), ("missing", ("",), "''")],
)  # fmt: skip
def test_options_of_files_are_refused_for_named_data(name, flag, given, shown):
    words = "--" + flag.replace("_", "-")
    says = f"{words} {shown}: only for a CSV or Parquet file, not {name}"
    with pytest.raises(UserError, match=says):
        data.load(DataChoice(name)._replace(**{flag: given}))


def test_a_missing_data_file_is_named(tmp_path):
    known = ", ".join([*BUNDLED, *IMAGES])
    for path in (str(tmp_path), "digitts"):
        with pytest.raises(UserError, match=f"--data {path}: neither a file nor one of {known}"):
            load(path, "b")
    path = csv(tmp_path, a=UP, b=BITS)
    with pytest.raises(UserError, match=r"--test-data none\.csv: no such file$"):
        load(path, "b", test_data="none.csv")
