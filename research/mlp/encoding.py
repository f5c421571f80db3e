"""Columns as numbers that a net can read: imputed, scaled and one-hot, by scikit-learn, fitted on
the training rows alone.

Shape letters: N rows, F features, E numbers that one column becomes.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from research.errors import UserError
from research.mlp.columns import Column
from research.mlp.tables import Table

NONE = "(missing)"  # a category of its own
OTHER = "(other)"


class Encoded(NamedTuple):
    """A table as numbers.

    Attributes:
      x: float32 [N, F].
      features: of each of the F, its name.
      columns: int [F], the column that each comes from.
      radius: float32 [F], how far one unit of that column moves it: 1 for a number, which is
        counted in standard deviations then, 0 where it cannot move a little.
      facts: of each column, how it was encoded; JSON types.
    """

    x: np.ndarray
    features: list[str]
    columns: np.ndarray
    radius: np.ndarray
    facts: list[dict[str, Any]]


def encode(table: Table, train: np.ndarray, min_category: int = 1) -> Encoded:
    """Numbers become standard scores, missing ones the median and a feature that says so; words
    become one feature a category; the pixels of images keep their proportions.

    Args:
      table: all rows.
      train: int [M], the rows to learn medians, means, scales and categories from.
      min_category: categories with fewer training rows are one, `(other)`, and so are those that
        the training rows do not have.

    Raises:
      UserError: naming a category that the training rows do not have, if min_category is 1.
    """
    if table.image:
        return _encode_pixels(table, train)
    parts, features, radius, facts = [], [], [], []
    for column in table.columns:
        if column.is_words:
            x_NxE, names, fact = _encode_words(table.source, column, train, min_category)
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


def _encode_pixels(table: Table, train: np.ndarray) -> Encoded:
    """One mean and one scale for all: a pixel that is rarely lit is not to be made loud."""
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
        **({"truth": True} if column.truth else {}),
    }
    names = [column.name, *([f"{column.name} {NONE}"] if indicator else [])]
    return np.asarray(pipeline.transform(column.values[:, None])), names, fact


def _encode_words(
    source: str, column: Column, train: np.ndarray, min_category: int
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    words = np.where(column.missing, NONE, column.values)[:, None]
    known = sorted(set(words[train, 0]))
    if min_category == 1 and (unseen := sorted(set(words[:, 0]) - set(known))):
        raise UserError(
            f"{source}, column {column.name}: the category {unseen[0]!r} is in no training row; "
            "--min-category 2 makes one of the rare ones and those, another --split-seed may help"
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
