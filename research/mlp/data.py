"""The data of the MLP: a table or images, split into three parts, encoded and inspected.

Shape letters: N rows, F features, K classes.
"""

import dataclasses
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from research.errors import UserError, shortlist
from research.flags import check_length
from research.mlp import column_notes, data_quality
from research.mlp.cells import column_flag
from research.mlp.dataset import BUNDLED, DataChoice, Dataset, Split
from research.mlp.encoding import Encoded, encode
from research.mlp.images import IMAGES, Images, load_images
from research.mlp.tables import Table, read_bundled, read_files
from research.plain_text import count_of, one_line

MOST_ROWS_NAMED = 20_000  # beyond, the manifest holds a digest of the row indices


@cache
def load(choice: DataChoice) -> tuple[Dataset, dict[str, Any]]:
    """The data set that was chosen, and facts about it for the manifest.

    The parts hold 60, 20 and 20% of the rows, stratified by class. If the data comes with a test
    part, the rest is split 75 to 25%, or 5/6 to 1/6 for named images.

    Returns:
      The data set, and its facts: the row indices of each part, how each column was encoded, a
      checksum, and the `notes` of the checks.

    Raises:
      UserError: if there is no such data, or it cannot be used.
    """
    if choice.data in BUNDLED or choice.data in IMAGES:
        _refuse_table_flags(choice)
    return _load_images(choice) if choice.data in IMAGES else _load_table(choice)


def read_table(choice: DataChoice) -> tuple[Table, dict[str, np.ndarray]]:
    """The table that was chosen, and the row indices of each part.

    Raises:
      UserError: if there is no such table, or it cannot be used.
    """
    table = read_bundled(choice.data) if choice.data in BUNDLED else _read_files(choice)
    rows = _split_rows(table.y, bool(table.class_names), table.test_rows, 0.25, choice.split_seed)
    return table, rows


def read_images(choice: DataChoice) -> tuple[Images, dict[str, np.ndarray]]:
    """The named images that were chosen, and the row indices of each part."""
    images = load_images(choice.data)
    return images, _split_rows(images.y, True, images.test_rows, 1 / 6, choice.split_seed)


def _read_files(choice: DataChoice) -> Table:
    for flag, path in (("--data", choice.data), ("--test-data", choice.test_data)):
        check_length(flag, path)
        if (path or flag == "--data") and not Path(path).is_file():
            known = ", ".join([*BUNDLED, *IMAGES])
            names = f" nor one of {known}" if flag == "--data" else ""
            kind = "neither a file" if names else "no such file"
            raise UserError(f"{flag} {one_line(path) or repr(path)}: {kind}{names}")
    names = ("drop", "target_type", "missing", "categorical", "numeric")
    how = {name: getattr(choice, name) for name in names}
    return read_files(choice.data, choice.target, choice.test_data, **how)


def balanced(dataset: Dataset) -> Dataset:
    """The data set with class weights that give every class the same total weight in training."""
    classes = np.arange(dataset.classes)
    weights: Any = compute_class_weight("balanced", classes=classes, y=dataset.train.y)
    return dataclasses.replace(dataset, class_weights=jnp.asarray(weights, jnp.float32))


def _refuse_table_flags(choice: DataChoice) -> None:
    for name, default in DataChoice._field_defaults.items():
        if name != "split_seed" and (given := getattr(choice, name)) != default:
            flag = "--" + name.replace("_", "-")
            given = shlex.join(given) if isinstance(given, tuple) else given
            raise UserError(f"{flag} {given}: only for a CSV or Parquet file, not {choice.data}")


def _load_table(choice: DataChoice) -> tuple[Dataset, dict[str, Any]]:
    table, rows = read_table(choice)
    _check_classes(table, rows)
    encoded = encode(table, rows["train"], choice.min_category)
    y, y_mean, y_scale = _standardize_target(table, rows["train"])
    dataset = Dataset(
        **{part: Split(encoded.x[which], y[which]) for part, which in rows.items()},
        x_mean=jnp.zeros(len(encoded.features), jnp.float32),
        x_scale=jnp.ones(len(encoded.features), jnp.float32),
        **_bounds(table, encoded.facts, encoded.radius),
        target_mean=jnp.float32(y_mean),
        target_scale=jnp.float32(y_scale),
        class_weights=jnp.ones(len(table.class_names), jnp.float32),
        classes=len(table.class_names),
        image=table.image,
    )
    columns = None if table.image else _features_of_columns(table, encoded)
    found = data_quality.inspect(encoded.x, y, rows, table.class_names, columns)
    facts = {
        **_facts(choice, rows, table.class_names, found, table.left_out),
        "missing": {"rule": dict(table.rule), "cells": table.missing_words},
        "sha256": _sha256(*(_plain(column.values) for column in table.columns), table.y),
        "dropped_rows": table.dropped,
        "ids": list(table.ids),
        "features": encoded.features,
        "columns": encoded.facts,
        "target_mean": y_mean,
        "target_scale": y_scale,
    }
    untested = _describe_untested(table, rows)
    facts["notes"] = [*_notes(table, choice.target), *untested, *facts["notes"]]
    return dataset, facts


def _features_of_columns(table: Table, encoded: Encoded) -> dict[str, np.ndarray]:
    """The indices of the features that each column became, by its name."""
    return {
        column.name: np.flatnonzero(encoded.columns == index)
        for index, column in enumerate(table.columns)
    }


def _notes(table: Table, target: str) -> list[str]:
    """Notes on how the cells of the table were read, one line each."""
    lines = []
    if table.dropped:
        lines.append(f"{count_of(table.dropped, 'row')} without {target} left out")
    if table.missing_words:
        lines.append(f"read as missing: {_describe_missing(table)}; --missing names other words")
    lines += [
        f"{name or repr(name)}: looks like an id (every value differs), left out; "
        f"{column_flag('--numeric', [name])} to keep it"
        for name in table.ids
    ]
    unchosen = [column for column in table.columns if column.name not in table.chosen]
    if told := [line for column in unchosen if (line := column_notes.describe(column))]:
        lines += [*told, "--categorical COLUMN takes the cells of a column for categories instead"]
    return [f"{table.source}: {line}" for line in lines]


def _describe_untested(table: Table, rows: Mapping[str, np.ndarray]) -> list[str]:
    """A note on classes that are too rare for any score to tell how well they are predicted."""
    measured = table.y[np.concatenate([rows["validation"], rows["test"]])]
    rare = [name for k, name in enumerate(table.class_names) if k not in measured]
    if not rare:
        return []
    return [f"{table.source}: no row of {shortlist(rare)} is in the validation or test part"]


def _describe_missing(table: Table) -> str:
    """The words that counted as missing, with the number of cells and the columns of each."""
    columns: dict[str, dict[str, int]] = {}
    for name, counts in table.missing_words.items():
        for word, count in counts.items():
            columns.setdefault(word, {})[name] = count
    lines = []
    for word, where in sorted(columns.items()):
        cells = "1 cell" if (count := sum(where.values())) == 1 else f"{count} cells"
        lines.append(f"{word!r} in {cells} of {shortlist(name or repr(name) for name in where)}")
    return "; ".join(lines)


def _load_images(choice: DataChoice) -> tuple[Dataset, dict[str, Any]]:
    """Named images as uint8, with the mean and scale of each channel to standardize them later."""
    (images, rows), named = read_images(choice), IMAGES[choice.data]
    channels = images.x[rows["train"]].reshape(-1, named.shape[2])
    mean = np.tile(channels.mean(axis=0), images.x.shape[1] // named.shape[2])
    scale = np.tile(channels.std(axis=0), images.x.shape[1] // named.shape[2])
    mean, scale = mean.astype(np.float32), scale.astype(np.float32)
    y = images.y.astype(np.int32)
    dataset = Dataset(
        **{part: Split(images.x[which], y[which]) for part, which in rows.items()},
        x_mean=jnp.asarray(mean),
        x_scale=jnp.asarray(scale),
        x_low=jnp.asarray(-mean / scale),
        x_high=jnp.asarray((255 - mean) / scale),
        radius=jnp.asarray(255 / scale),
        target_mean=jnp.float32(0),
        target_scale=jnp.float32(1),
        class_weights=jnp.ones(len(named.classes), jnp.float32),
        classes=len(named.classes),
        image=named.shape,
    )
    found = data_quality.inspect(images.x, y, rows, named.classes)
    facts = {
        **_facts(choice, rows, list(named.classes), found),
        "sha256": _sha256(images.x, y),
        "pixel_mean": mean[: named.shape[2]].tolist(),
        "pixel_scale": scale[: named.shape[2]].tolist(),
    }
    return dataset, facts


def _facts(
    choice: DataChoice,
    rows: Mapping[str, np.ndarray],
    class_names: list[str],
    found: data_quality.Report,
    left_out: Sequence[str] | None = None,
) -> dict[str, Any]:
    named = {part: which.tolist() for part, which in rows.items()}
    if sum(map(len, rows.values())) > MOST_ROWS_NAMED:
        named = {part: f"sha256:{_sha256(which)}" for part, which in rows.items()}
    return {
        "name": choice.data,
        "classes": class_names,
        "split_seed": choice.split_seed,
        "rows": named,
        "found": found,
        "notes": data_quality.describe(found, choice.data, left_out),
    }


def _plain(values: np.ndarray) -> np.ndarray:
    """Values as bytes for a checksum: an object array would only give addresses."""
    if values.dtype != object:
        return values
    return np.frombuffer("\0".join("" if v is None else v for v in values).encode(), np.uint8)


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _split_rows(
    y: np.ndarray, classifies: bool, test_rows: int, validation: float, split_seed: int
) -> dict[str, np.ndarray]:
    """The row indices of each part, stratified unless a class is too small to be in every part.

    All rows of a class that would have none in training are trained on: a net cannot predict a
    class that it has not seen.
    """
    drawn, test = np.split(np.arange(len(y)), [len(y) - test_rows])
    counts = np.unique(y[drawn], return_counts=True)[1]
    stratify = classifies and counts.min() >= 5

    def split(rows, share) -> Any:
        labels = y[rows] if stratify else None
        return train_test_split(rows, test_size=share, random_state=split_seed, stratify=labels)

    rest, test = (drawn, test) if test_rows else split(drawn, 0.2)
    train, validation_rows = split(rest, validation)
    parts = {"train": train, "validation": validation_rows, "test": test}
    if not classifies or stratify:
        return parts
    moved = drawn[~np.isin(y[drawn], y[train])]
    kept = {part: which[~np.isin(which, moved)] for part, which in parts.items()}
    if not (len(kept["validation"]) and len(kept["test"])):
        return parts
    return {**kept, "train": np.concatenate([train, moved])}


def _check_classes(table: Table, rows: Mapping[str, np.ndarray]) -> None:
    """Checks that every class occurs in the training part.

    Raises:
      UserError: naming the classes that do not.
    """
    unseen = sorted(set(range(len(table.class_names))) - set(table.y[rows["train"]].tolist()))
    if unseen:
        names = shortlist(table.class_names[k] for k in unseen)
        others = count_of(count := int(np.isin(table.y, unseen).sum()), "other row")
        raise UserError(
            f"{table.source}: no training row is of class {names} of the target, but "
            f"{others} {'is' if count == 1 else 'are'}: delete what no net can predict, or add "
            "rows to train on"
        )


def _standardize_target(table: Table, train: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The target to train on, and the mean and scale that standardized it."""
    if table.class_names:
        return table.y.astype(np.int32), 0.0, 1.0
    scaler: Any = StandardScaler().fit(table.y[train, None])
    y = scaler.transform(table.y[:, None])[:, 0].astype(np.float32)
    return y, float(scaler.mean_[0]), float(scaler.scale_[0])


def _bounds(table: Table, facts: list[dict[str, Any]], radius: np.ndarray) -> dict[str, Any]:
    """The bounds and the radius of attacks: unbounded, or from black to white for images."""
    low, high = np.full(len(radius), -np.inf), np.full(len(radius), np.inf)
    if table.image:
        mean = np.array([fact["mean"][0] for fact in facts])
        scale = np.array([fact["scale"][0] for fact in facts])
        low, high, radius = -mean / scale, (table.brightest - mean) / scale, table.brightest / scale
    arrays = {"x_low": low, "x_high": high, "radius": radius}
    return {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
