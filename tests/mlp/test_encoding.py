"""Tests of encoding tables: as by scikit-learn, and from the training rows alone."""

import json

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from research.errors import UserError
from research.mlp.encoding import encode, width
from research.mlp.tables import Column, Table

RNG = np.random.default_rng(0)
N, TRAIN = 40, np.arange(0, 40, 2)
NUMBERS = np.exp(RNG.normal(size=N)) * 100
GAPS = np.where(np.arange(N) % 5 == 0, np.nan, NUMBERS)
WORDS = np.array(["red", "green", "green", "blue"], object)[np.arange(N) // 2 % 4]


def table(**columns):
    columns = tuple(Column(name, np.asarray(values)) for name, values in columns.items())
    return Table(columns, np.zeros(len(columns[0].values), int), [], "table.csv")


def words(*counts):
    """A column of the words a, b, ..., each repeated so many times."""
    return np.repeat(np.array(list("abcdefgh"[: len(counts)]), object), counts)


def close(given, expected):
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)


def test_numbers_are_standardized_as_by_scikit_learn():
    encoded = encode(table(n=NUMBERS), TRAIN)
    scaler = StandardScaler().fit(NUMBERS[TRAIN, None])
    close(encoded.x, scaler.transform(NUMBERS[:, None]))
    assert encoded.x.dtype == np.float32
    close(encoded.facts[0]["mean"], scaler.mean_)
    close(encoded.facts[0]["scale"], scaler.scale_)
    assert not encoded.facts[0]["indicator"]


def test_a_missing_number_becomes_the_training_median_and_an_indicator():
    encoded = encode(table(n=GAPS), TRAIN)
    imputer = SimpleImputer(strategy="median").fit(GAPS[TRAIN, None])
    filled, missing = imputer.transform(GAPS[:, None]), np.isnan(GAPS)[:, None].astype(float)
    for feature, expected in enumerate((filled, missing)):
        scaler = StandardScaler().fit(expected[TRAIN])
        close(encoded.x[:, feature], scaler.transform(expected)[:, 0])
    assert encoded.features == ["n", "n (missing)"]
    close(encoded.facts[0]["fill"], np.nanmedian(GAPS[TRAIN]))
    assert encoded.facts[0]["indicator"]


def test_a_number_missing_only_outside_training_gets_no_indicator():
    gap = NUMBERS.copy()
    gap[[1, 3]] = np.nan
    encoded = encode(table(n=gap), TRAIN)
    assert encoded.features == ["n"]
    fact = encoded.facts[0]
    close(encoded.x[[1, 3], 0], (fact["fill"] - fact["mean"][0]) / fact["scale"][0])


def test_a_column_empty_in_training_gives_finite_features():
    gap = np.full(N, np.nan)
    assert np.isfinite(encode(table(n=gap), TRAIN).x).all()
    gap[1] = 5.0
    assert np.isfinite(encode(table(n=gap), TRAIN).x).all()


def test_words_are_one_hot_as_by_scikit_learn():
    encoded = encode(table(w=WORDS), TRAIN)
    expected = OneHotEncoder(sparse_output=False).fit(WORDS[TRAIN, None])
    close(encoded.x, expected.transform(WORDS[:, None]))
    assert encoded.features == ["w = blue", "w = green", "w = red"]
    assert encoded.facts[0] == {
        "name": "w", "kind": "category", "categories": ["blue", "green", "red"], "other": [],
    }  # fmt: skip


def test_a_missing_word_is_a_category_of_its_own():
    some = WORDS.copy()
    some[[1, 4]] = None
    encoded = encode(table(w=some), TRAIN)
    assert encoded.features[0] == "w = (missing)"
    assert np.flatnonzero(encoded.x[:, 0]).tolist() == [1, 4]
    close(encoded.x.sum(axis=1), 1)


def test_an_unseen_category_is_an_error_that_says_what_to_do():
    some = WORDS.copy()
    some[3] = "pink"
    says = r"table\.csv, column color: the category 'pink' is in no training row; --min-category 2"
    with pytest.raises(UserError, match=says):
        encode(table(n=NUMBERS, color=some), TRAIN)
    some[3] = None
    with pytest.raises(UserError, match=r"column color: the category '\(missing\)' is in no train"):
        encode(table(n=NUMBERS, color=some), TRAIN)


def test_rare_and_unseen_categories_share_one_feature():
    """The categories a, b, c, d and e have 4, 3, 2, 1 and 0 training rows."""
    column, train = words(4, 3, 2, 1, 1), np.arange(10)
    encoded = encode(table(w=column), train, min_category=3)
    assert encoded.features == ["w = a", "w = b", "w = (other)"]
    assert encoded.x.argmax(axis=1).tolist() == [0] * 4 + [1] * 3 + [2] * 4
    close(encoded.x.sum(axis=1), 1)
    assert encoded.facts[0]["categories"] == ["a", "b"]
    assert encoded.facts[0]["other"] == ["c", "d"]


def test_rarity_counts_training_rows_only():
    """Both categories have 3 rows, but b has only 1 training row."""
    encoded = encode(table(w=words(3, 3)), np.arange(4), min_category=2)
    assert encoded.features == ["w = a", "w = (other)"]


def test_without_rare_categories_an_unseen_one_is_all_zeros():
    encoded = encode(table(w=words(3, 3, 1)), np.arange(6), min_category=3)
    assert encoded.features == ["w = a", "w = b"]
    assert encoded.x[-1].tolist() == [0, 0]


def test_features_record_their_column_and_whether_attacks_may_move_them():
    encoded = encode(table(n=NUMBERS, w=WORDS, g=GAPS), TRAIN)
    assert encoded.features == ["n", "w = blue", "w = green", "w = red", "g", "g (missing)"]
    assert encoded.columns.tolist() == [0, 1, 1, 1, 2, 2]
    assert encoded.radius.tolist() == [1, 0, 0, 0, 1, 0]
    assert encoded.radius.dtype == np.float32
    assert [fact["name"] for fact in encoded.facts] == ["n", "w", "g"]
    assert json.loads(json.dumps(encoded.facts)) == encoded.facts


def test_pixels_share_one_mean_and_scale():
    """Otherwise a rarely lit pixel would be amplified."""
    lit = [NUMBERS, np.where(np.arange(N) == 3, 9.0, 0.0), np.zeros(N), NUMBERS[::-1]]
    images = table(**{f"pixel {i}": values for i, values in enumerate(lit)})
    encoded = encode(images._replace(image=(2, 2, 1)), TRAIN)
    pixels = np.stack(lit, axis=1)
    close(encoded.x, (pixels - pixels[TRAIN].mean()) / pixels[TRAIN].std())
    assert {(*fact["mean"], *fact["scale"]) for fact in encoded.facts} == {
        (pixels[TRAIN].mean(), pixels[TRAIN].std())
    }
    assert [fact["name"] for fact in encoded.facts] == encoded.features
    assert encoded.columns.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("min_category", [1, 2])
def test_encoding_depends_on_training_rows_only(min_category):
    """Changing other rows changes neither the encoded training rows nor the recorded statistics."""
    others = np.setdiff1d(np.arange(N), TRAIN)
    first = encode(table(n=NUMBERS, w=WORDS, g=GAPS), TRAIN, min_category)
    n, w, g = NUMBERS.copy(), WORDS.copy(), GAPS.copy()
    n[others], w[others], g[others] = 1e6, "red", np.nan
    second = encode(table(n=n, w=w, g=g), TRAIN, min_category)
    np.testing.assert_array_equal(second.x[TRAIN], first.x[TRAIN])
    assert second.facts == first.facts
    assert np.abs(second.x[others] - first.x[others]).max() > 100


def test_parts_of_dates_that_differ_are_standardized_by_the_training_rows():
    """All are of one year and at midnight, so that year and hour are left out."""
    days = np.where(np.arange(N) % 8 == 0, np.nan, 18_300.0 + 3 * np.arange(N))
    column = Column("d", days * 86_400, {}, "year-month-day")
    encoded = encode(Table((column,), np.zeros(N, int), [], "table.csv"), TRAIN)
    (fact,) = encoded.facts
    assert encoded.features == [
        "d: days since 2020-02-14", "d: month", "d: day of month", "d: day of week",
        "d: day of year", "d (missing)",
    ]  # fmt: skip
    assert (fact["origin"], width(fact)) == (18_306 * 86_400, 6)
    filled = np.where(np.isnan(days), np.nanmedian(days[TRAIN]), days)[:, None]
    close(encoded.x[:, 0], StandardScaler().fit(filled[TRAIN]).transform(filled)[:, 0])
    assert not encoded.radius.any()


def test_a_column_without_any_date_is_one_number():
    column = Column("d", np.full(N, np.nan), {}, "year-month-day")
    encoded = encode(Table((column,), np.zeros(N, int), [], "table.csv"), TRAIN)
    assert np.isfinite(encoded.x).all()
