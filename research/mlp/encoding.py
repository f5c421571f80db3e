"""Tables encoded as float32 features: imputed, standardized and one-hot, by scikit-learn.

Every transformer is fitted on the training rows alone. A `ColumnTransformer` gives the same
numbers but other names, such as `missingindicator_x` and `x = infrequent_sklearn`, and the recorded
facts and the error lines would need this loop over columns all the same.

Shape letters: N rows, F features, E features of one column.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from research.errors import UserError
from research.mlp.columns import Column
from research.mlp.exported_predict import date_parts
from research.mlp.tables import Table

NONE = "(missing)"  # the category of missing words
DAY = 86_400  # seconds
OTHER = "(other)"  # the category of rare and unknown words


class Encoded(NamedTuple):
    """An encoded table.

    Attributes:
      x: float32 [N, F].
      features: the name of each feature.
      columns: int [F], the index of the column that each feature comes from.
      radius: float32 [F], the radius 1 of an attack: 1 for a number, that is one standard
        deviation; 0 for features that are not continuous.
      facts: how each column was encoded; JSON types.
    """

    x: np.ndarray
    features: list[str]
    columns: np.ndarray
    radius: np.ndarray
    facts: list[dict[str, Any]]


def encode(table: Table, train: np.ndarray, min_category: int = 1) -> Encoded:
    """The encoded table: numbers and the parts of dates standardized, words one-hot.

    A missing number becomes the median, and gets an indicator feature if any training row lacks it;
    a missing word is a category. The pixels of an image share one mean and scale.

    Args:
      table: all rows.
      train: int [M], the rows that medians, means, scales and categories are fitted on.
      min_category: categories with fewer training rows than this are merged into `(other)`, and so
        are categories that the training rows lack.

    Raises:
      UserError: naming a category that the training rows lack, if min_category is 1.
    """
    if table.image:
        return _encode_pixels(table, train)
    parts, features, radius, facts = [], [], [], []
    for column in table.columns:
        if column.is_words:
            x_NxE, names, fact = _encode_words(table.source, column, train, min_category)
            radius += [0.0] * len(names)
        elif column.is_dates:
            x_NxE, names, fact = _encode_dates(column, train)
            radius += [0.0] * len(names)
        else:
            x_NxE, names, fact = _encode_numbers(column, train)
            radius += [1.0] + [0.0] * (len(names) - 1)
        parts.append(x_NxE.astype(np.float32))
        features += names
        facts.append({"name": column.name, **fact})
    columns = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    return Encoded(
        np.concatenate(parts, axis=1), features, columns, np.array(radius, np.float32), facts
    )


def width(fact: dict[str, Any]) -> int:
    """How many features a column became, by the facts about it."""
    if fact["kind"] == "category":
        return len(fact["categories"]) + bool(fact["other"])
    return len(fact["mean"])


def _encode_pixels(table: Table, train: np.ndarray) -> Encoded:
    """Pixels with one mean and scale for all, so that rarely lit pixels are not amplified."""
    pixels = np.stack([column.values for column in table.columns], axis=1)
    mean, scale = float(pixels[train].mean()), float(pixels[train].std())
    names = [column.name for column in table.columns]
    fact = {"kind": "number", "fill": mean, "indicator": False, "mean": [mean], "scale": [scale]}
    return Encoded(
        ((pixels - mean) / scale).astype(np.float32),
        names,
        np.arange(len(names)),
        np.ones(len(names), np.float32),
        [{"name": name, **fact} for name in names],
    )


def _encode_numbers(
    column: Column, train: np.ndarray
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    imputer: Any = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    pipeline: Any = make_pipeline(imputer, StandardScaler())
    pipeline.fit(column.values[train, None])
    scaler = pipeline[-1]
    indicator = len(scaler.mean_) == 2
    fact = {
        "kind": "number",
        "fill": float(imputer.statistics_[0]),
        "indicator": indicator,
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        **({"form": column.form} if column.form else {}),
    }
    names = [column.name, *([f"{column.name} {NONE}"] if indicator else [])]
    return np.asarray(pipeline.transform(column.values[:, None])), names, fact


def _encode_dates(
    column: Column, train: np.ndarray
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """The parts of dates that differ in the training rows, imputed and standardized as numbers."""
    known = column.values[train][~column.missing[train]]
    origin = float(DAY * np.floor(known.min() / DAY)) if len(known) else 0.0
    parts = date_parts(column.values, origin)
    seen = date_parts(known, origin)
    kept = [name for name, values in seen.items() if len(set(values)) > 1] or ["days"]
    x_NxP = np.stack([parts[name] for name in kept], axis=1)
    imputer: Any = SimpleImputer(strategy="median", keep_empty_features=True).fit(x_NxP[train])
    x_NxE, indicator = imputer.transform(x_NxP), bool(column.missing[train].any())
    if indicator:
        x_NxE = np.concatenate([x_NxE, column.missing[:, None]], axis=1)
    scaler: Any = StandardScaler().fit(x_NxE[train])
    fact = {
        "kind": "date",
        "form": column.form,
        "origin": origin,
        "parts": kept,
        "fill": imputer.statistics_.tolist(),
        "indicator": indicator,
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
    }
    since = str(np.datetime64(int(origin), "s").astype("datetime64[D]"))
    names = [f"{column.name}: {name}" + f" since {since}" * (name == "days") for name in kept]
    names += [f"{column.name} {NONE}"] if indicator else []
    return np.asarray(scaler.transform(x_NxE)), names, fact


def _encode_words(
    source: str, column: Column, train: np.ndarray, min_category: int
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    words = np.where(column.missing, NONE, column.values)[:, None]
    known = sorted(set(words[train, 0]))
    if min_category == 1 and (unseen := sorted(set(words[:, 0]) - set(known))):
        raise UserError(
            f"{source}, column {column.name}: the category {unseen[0]!r} is in no training row; "
            "--min-category 2 merges it with the rare ones, another --split-seed may help"
        )
    categories: Any = [known]
    encoder = OneHotEncoder(
        categories=categories,
        min_frequency=min_category if min_category > 1 else None,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    encoder.fit(words[train])
    rare = encoder.infrequent_categories_[0] if min_category > 1 else None
    rare = [] if rare is None else [str(word) for word in rare]
    kept = [word for word in known if word not in rare]
    fact = {"kind": "category", "categories": kept, "other": rare}
    names = [f"{column.name} = {word}" for word in [*kept, *([OTHER] if rare else [])]]
    return np.asarray(encoder.transform(words)), names, fact
